"""Looks at all the data of a config, and lists every fault at once: images, label maps and annotations.

A run looks at the same when it starts, but decodes a sample of a large data set alone. This decodes every file. The
status is 1 if there is an error, at which a run would stop. Warnings and notes tell what a run leaves out.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..errors import ConfigError
from ..preflight import LOADERS
from ..preflight.all_data import check_all
from ..preflight.faults import ERROR, SEVERITIES, Finding
from .runs import add_config_arguments, explained, load_config

FAULTS_FOUND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_config_arguments(parser)
    parser.add_argument(
        "--loaders",
        nargs="+",
        choices=LOADERS,
        metavar="LOADER",
        help=f"data loaders to look at, of {', '.join(LOADERS)}; default: all that the config has",
    )
    parser.add_argument("--json", metavar="FILE", help="writes every fault into a JSON file")


def run(args: argparse.Namespace) -> int | None:
    """Looks at the data, and prints what is wrong with it."""
    cfg = load_config(args.config, args.cfg_options)
    loaders = tuple(args.loaders or (loader for loader in LOADERS if cfg.get(loader) is not None))
    lacking = [loader for loader in loaders if cfg.get(loader) is None]
    if lacking or not loaders:
        raise ConfigError(f"The config has no {' and no '.join(lacking or LOADERS)}: there is no data to look at")
    findings: list[Finding] = []
    with progress_bar() as progress:
        explained(lambda: findings.extend(check_all(cfg, loaders, progress)), cfg)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.kind.severity))
    console = Console(markup=False, emoji=False, highlight=False)  # a path may hold what rich takes for markup
    for finding in findings:
        console.print(f"{finding.kind.severity}: {finding}\n", soft_wrap=True)
    if findings:
        console.print(summary(findings))
    if args.json:
        write_json(args.json, findings)
        console.print(f"All faults are in {os.path.abspath(args.json)}", soft_wrap=True)
    if any(finding.kind.severity == ERROR for finding in findings):
        return FAULTS_FOUND
    console.print(f"No error in the data of {', '.join(loaders)}", soft_wrap=True)
    return None


def progress_bar() -> Progress:
    """Returns the bars that show, on stderr, how many images of each data set have been looked at."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def summary(findings: Sequence[Finding]) -> Table:
    """Returns a table of the kinds of faults and how often each was found."""
    table = Table("severity", "kind", "data set", "number", "of", box=box.SIMPLE)
    for finding in findings:
        key = finding.key.partition(" (")[0]
        total = str(finding.total) if finding.total else ""
        table.add_row(finding.kind.severity, finding.kind.name, key, str(len(finding.faults)), total)
    return table


def write_json(path: str, findings: Sequence[Finding]) -> None:
    """Writes every fault: its kind and severity, the data set's config key, the file, the entry and the message.

    Raises:
        ConfigError: The file cannot be written.
    """
    faults = [
        {
            "kind": finding.kind.name,
            "severity": finding.kind.severity,
            "key": finding.key.partition(" (")[0],
            "file": fault.file,
            "entry": fault.entry,
            "message": fault.message,
        }
        for finding in findings
        for fault in finding.faults
    ]
    counts = {severity: sum(fault["severity"] == severity for fault in faults) for severity in SEVERITIES}
    text = json.dumps({"counts": counts, "faults": faults}, indent=1)
    try:
        Path(path).write_text(f"{text}\n")
    except OSError as error:
        raise ConfigError(f"--json: {os.path.abspath(path)} cannot be written ({error.strerror})") from error
