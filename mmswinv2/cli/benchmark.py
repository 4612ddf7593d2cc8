"""Measures speed and memory of SwinV2, this project's beside that of other libraries, with the same weights and images.

Each contender runs in a process of its own. They take turns in an order that is drawn anew for each round. DIR gets
results.json, results.md, throughput.png and memory.png. They are up to date after each case, and the same command goes
on where it was stopped.
"""

import argparse
import shlex
from itertools import product
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..arch import ARCHS, parse_arch
from ..benchmark.cases import DEVICES, DTYPES, MODES, Case, make_cases
from ..benchmark.contenders import CONTENDERS, check_contenders
from ..benchmark.machine import describe_machine, installed_versions
from ..benchmark.plots import draw
from ..benchmark.report import markdown
from ..benchmark.results import Results
from ..benchmark.rounds import run_case, turns_in
from ..benchmark.worker import Player
from ..errors import ConfigError, EnvironmentProblem

KINDS = {"eager": (False,), "compiled": (True,), "both": (False, True)}
SIZES, WINDOWS, DEFAULT_MODES, ROUNDS = ["512x512", "800x1344"], ["8", "16"], ["inference", "train"], 5
# The regression check: what is measured is fixed, so that runs can be compared.
QUICK_CASES = (
    {"modes": ["inference"], "sizes": ["512x512"], "windows": ["8", "16"]},
    {"modes": ["train"], "sizes": ["256x256"], "windows": ["8"]},
)
QUICK_CONTENDERS, QUICK_ROUNDS = ["mmswinv2", "timm"], 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", help="folder for the results")
    add("--contenders", nargs="+", metavar="NAME", help=f"of {', '.join(CONTENDERS)}; default: all")
    add("--arch", default="tiny", help=f"{', '.join(ARCHS)}; default: tiny")
    add("--sizes", nargs="+", metavar="HxW", help=f"of the images in pixels; default: {' '.join(SIZES)}")
    add("--windows", nargs="+", metavar="N", help=f"sides in tokens; default: {' '.join(WINDOWS)}")
    add("--modes", nargs="+", metavar="MODE", help=f"of {', '.join(MODES)}; default: {' '.join(DEFAULT_MODES)}")
    add(
        "--compile", choices=KINDS, default="eager", help="as the library is, by torch.compile, or both; default: eager"
    )
    add("--batch", type=int, default=1, metavar="N", help="images in a step; default: 1")
    add("--dtype", choices=DTYPES, default="float32", help="below float32: the type of autocast; default: float32")
    add("--device", choices=DEVICES, default="cpu", help="default: cpu")
    add("--rounds", type=int, metavar="N", help=f"turns of each contender; default: {ROUNDS}")
    add("--threads", type=int, metavar="N", help="threads of torch; default: torch's own choice")
    add("--seed", type=int, default=0, metavar="N", help="of weights, images and orders; default: 0")
    quick = f"a few minutes: {' and '.join(QUICK_CONTENDERS)}, eager, {QUICK_ROUNDS} rounds, sizes that are fixed"
    add("--quick", action="store_true", help=quick)


def run(args: argparse.Namespace) -> None:
    """Measures all cases and writes the results."""
    cases = cases_of(args)
    players = players_of(args)
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    folder = Path(args.out)
    settings = {name: getattr(args, name) for name in ("batch", "dtype", "device", "seed")}
    facts = {
        "commands": [command_of(args)],
        "settings": {
            **settings,
            "arch": args.arch,
            "rounds": rounds,
            "players": [list(player) for player in players],
        },
        "machine": describe_machine(args.device, args.threads),
        "versions": installed_versions(),
    }
    results = Results(folder, facts)
    measure(cases, players, rounds, folder, results)
    show(results, folder)  # once more: a run that was stopped may have left those of the case before
    print(f"{folder / 'results.md'}: {len(results.data['cases'])} cases")


def measure(cases: list[Case], players: list[Player], rounds: int, folder: Path, results: Results) -> None:
    """Runs the cases that the results do not have yet, with a bar that tells the time left."""
    left = [case for case in cases if not results.has(case.name)]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(left) * turns_in(len(players), rounds))
        for case in left:

            def report(what: str, name: str = case.name) -> None:
                progress.update(task, advance=1, description=f"{name}: {what}")

            results.add(run_case(case, players, rounds, folder / "workers.log", report))
            show(results, folder)


def show(results: Results, folder: Path) -> None:
    """Writes the table and the pictures of what was measured so far."""
    (folder / "results.md").write_text(markdown(results.data))
    draw(results.data, folder)


def cases_of(args: argparse.Namespace) -> list[Case]:
    """Returns the cases that the options ask for.

    Raises:
        ConfigError: An option has a value that cannot work.
        EnvironmentProblem: A GPU is asked for, and there is none.
    """
    for name in ("batch", "rounds", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, got {value}")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem(
            "--device cuda: torch finds no GPU that it can use; leave the option out, or see 'mmswinv2 doctor'"
        )
    arch = parse_arch(args.arch)
    common = Case(arch, (0, 0), 0, "", args.batch, args.dtype, args.device, args.threads, args.seed)
    given = {"sizes": args.sizes, "windows": args.windows, "modes": args.modes}
    if not args.quick:
        defaults = {"sizes": SIZES, "windows": WINDOWS, "modes": DEFAULT_MODES}
        return make_cases(**{name: given[name] or default for name, default in defaults.items()}, common=common)
    for name, value in given.items():
        if value:
            raise ConfigError(f"--quick fixes what is measured: leave out --{name}, or --quick")
    return [case for chosen in QUICK_CASES for case in make_cases(**chosen, common=common)]


def players_of(args: argparse.Namespace) -> list[Player]:
    """Returns the contenders, each eager, compiled or both.

    Raises:
        ConfigError: There is no such contender.
        EnvironmentProblem: One that was asked for by name is not installed.
    """
    check_contenders(args.contenders or [])
    names = args.contenders or (QUICK_CONTENDERS if args.quick else list(CONTENDERS))
    return [Player(name, compiled) for compiled, name in product(KINDS[args.compile], names)]


def command_of(args: argparse.Namespace) -> str:
    """Returns the command line with the options that hold, defaults included; the folder is left open."""
    words = ["mmswinv2", "benchmark"]
    for name, value in {**vars(args), "out": "DIR"}.items():
        if value is not None and value is not False:
            values = [] if value is True else value if isinstance(value, list) else [value]
            words += [f"--{name}", *map(str, values)]
    return shlex.join(words)
