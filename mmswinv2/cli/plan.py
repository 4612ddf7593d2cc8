"""Tells before a training whether it fits the GPUs: what it holds on each, and what each sends in a step.

mmswinv2 plan CONFIG --gpus 8 --gpu-memory 40
mmswinv2 plan CONFIG --gpus 64 --gpu-memory 80 --strategy fsdp2 --size 1536 1536 --batch 1

Image size and batch are the config's. No GPU is needed, and no data. The backbone's step runs at full size, without
values; neck and heads run on small images, and what they take is extrapolated. Memory is told in GiB (2^30 bytes) at
the time of a step at which a GPU holds most, and what is sent in GB (10^9 bytes) by each GPU in each step.

Not counted are CUDA's context, workspaces of its libraries, buffers of NCCL, and gaps of the allocator. The column
"allow." stands for them: 1 GiB, and 5 % of the rest. It is a guess.
"""

import argparse
import json
from typing import NamedTuple

from mmengine.config import Config
from mmengine.logging import MMLogger
from rich import box
from rich.console import Console
from rich.table import Table

from ..errors import ConfigError
from ..plan.advice import alternatives, recomputing
from ..plan.measure import training_of
from ..plan.precision import Precision
from ..plan.rest import rest_step
from ..plan.strategies import STRATEGIES, Plan, plan
from ..plan.training import image_size, is_half
from ..preflight import check_settings
from .flops import MAX_SIDE, positive_numbers
from .runs import add_config_arguments, explained, load_config, require

GIB, GB = 2**30, 10**9
SHOWN = 3  # changes that are advised at most
# Of the parts of a plan, short enough for a terminal of 80 characters.
HEADINGS = "weights", "grads", "state", "activ.", "gathered", "allow."


class Question(NamedTuple):
    """What is planned.

    Attributes:
        strategies: Some of :data:`STRATEGIES`.
        gpus: Number of GPUs.
        memory: Of each, in GiB.
        batch: Images on each.
        size: Height and width of an image in pixels.
        half: Whether it trains in mixed precision.
    """

    strategies: list[str]
    gpus: int
    memory: float
    batch: int
    size: tuple[int, int]
    half: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_config_arguments(parser)
    parser.add_argument("--gpus", required=True, metavar="N", help="number of GPUs")
    parser.add_argument("--gpu-memory", required=True, metavar="GIB", help="memory of each, in GiB")
    parser.add_argument("--strategy", metavar="S", help=f"{', '.join(STRATEGIES)} (default: all of them)")
    parser.add_argument("--size", nargs="+", metavar="N", help="height and width in pixels (default: the config's)")
    parser.add_argument("--batch", metavar="N", help="images on each GPU (default: the config's)")
    parser.add_argument("--amp", action="store_true", help="mixed precision, as of mmswinv2 train --amp")
    parser.add_argument("--json", action="store_true", help="print JSON, in bytes")


def run(args: argparse.Namespace) -> None:
    """Prints a row for each strategy, and what to change where none fits."""
    cfg = load_config(args.config, args.cfg_options)
    require(cfg, "model", "optim_wrapper")
    check_settings(cfg)
    MMLogger.get_current_instance().setLevel("ERROR")  # MMEngine tells how it initialised each parameter
    question = asked(args, cfg)
    explained(lambda: answer(cfg, question, args.json), cfg)


def asked(args: argparse.Namespace, cfg: Config) -> Question:
    """Returns what is planned, by the options and the config.

    Raises:
        ConfigError: An option makes no sense, or neither it nor the config says how large images and batches are.
    """
    if args.strategy is not None and args.strategy not in STRATEGIES:
        raise ConfigError(f"--strategy is one of {', '.join(STRATEGIES)}, got {args.strategy}")
    (gpus,) = positive_numbers("--gpus", [args.gpus])
    size = positive_numbers("--size", args.size) if args.size else image_size(cfg)
    if len(size) != 2 or max(size) > MAX_SIDE:
        raise ConfigError(
            f"--size takes height and width in pixels, at most {MAX_SIDE} each, got {' '.join(map(str, size))}"
        )
    batch = args.batch or (cfg.get("train_dataloader") or {}).get("batch_size")
    if batch is None:
        raise ConfigError("The config has no train_dataloader.batch_size: give the images on a GPU, as in --batch 2")
    (number,) = positive_numbers("--batch", [str(batch)])
    return Question(
        [args.strategy] if args.strategy else list(STRATEGIES),
        gpus,
        memory_of(args.gpu_memory),
        number,
        (size[0], size[1]),
        args.amp or is_half(cfg),
    )


def memory_of(text: str) -> float:
    """Returns the GiB of ``--gpu-memory``.

    Raises:
        ConfigError: It is no number above 0.
    """
    try:
        memory = float(text)
    except ValueError:
        memory = 0.0
    if not 0 < memory < float("inf"):
        raise ConfigError(f"--gpu-memory takes GiB, a number above 0, got {text}")
    return memory


def answer(cfg: Config, question: Question, as_json: bool) -> None:
    """Measures a step and prints the plans."""
    precision = Precision(question.half)
    rest = rest_step(cfg, question.batch, question.size, precision)
    training = training_of(cfg, question.batch, question.size, precision, rest)
    plans = {strategy: plan(training, strategy, question.gpus) for strategy in question.strategies}
    limit = question.memory * GIB
    if as_json:
        print(json.dumps(as_data(question, plans), indent=2))
        return
    print_plans(cfg, question, plans)
    if all(one.total > limit for one in plans.values()):
        changed = recomputing(cfg, question.batch, question.size, precision, rest)
        others = list(alternatives(training, changed, question.batch, question.gpus))
        helping = [f"{other.change} ({other.total / GIB:.1f} GiB)" for other in others if other.total <= limit]
        least = min(others, key=lambda other: other.total)
        advice = (
            f"What fits: {'; '.join(helping[:SHOWN])}."
            if helping
            else (
                f"Nothing that plan tried fits: the least is {least.change}, {least.total / GIB:.1f} GiB. "
                "Take more GPUs, GPUs with more memory, or smaller images."
            )
        )
        print(advice)


def as_data(question: Question, plans: dict[str, Plan]) -> dict[str, object]:
    """Returns the plans as JSON has them, all in bytes."""
    strategies = {
        name: {**one._asdict(), "total": one.total, "fits": one.total <= question.memory * GIB}
        for name, one in plans.items()
    }
    return {**question._asdict(), "strategies": strategies}


def print_plans(cfg: Config, question: Question, plans: dict[str, Plan]) -> None:
    """Prints a row for each strategy."""
    title = (
        f"{cfg.model.type}, {question.size[0]} x {question.size[1]} px, batch {question.batch} on each of "
        f"{question.gpus} GPUs of {question.memory:g} GiB, {'mixed' if question.half else 'single'} precision, "
        f"with_cp={cfg.model.backbone.get('with_cp', False)}"
    )
    table = Table(box=box.SIMPLE, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("GiB")
    for name in (*HEADINGS, "total", "fits", "GB sent"):
        table.add_column(name, justify="right")
    for strategy, one in plans.items():
        held = [f"{value / GIB:.1f}" for value in (*one[:-1], one.total)]
        table.add_row(strategy, *held, "yes" if one.total <= question.memory * GIB else "no", f"{one.sent / GB:.2f}")
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)
