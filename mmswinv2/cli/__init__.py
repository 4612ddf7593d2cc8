"""The command line: ``mmswinv2 COMMAND``, also ``python -m mmswinv2 COMMAND`` and ``python tools/COMMAND.py``.

A command is a module of this package, with ``add_arguments(parser)`` and ``run(args)``. Its docstring is its help. It
is imported only when it is called, so that ``mmswinv2 --help`` needs neither torch nor OpenMMLab.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from .. import __version__
from ..errors import USER_ERROR, UserError

COMMANDS = {
    "train": "train what a config describes: a detector, a segmentor, a classifier, SimMIM",
    "replay": "run the batch again at which a training stopped, and look at every layer",
    "test": "evaluate a checkpoint on the config's test data",
    "infer": "predict for one image or a folder of images, with pictures",
    "inspect": "tell what a checkpoint is, and print the config that uses it",
    "convert": "write the backbone of a checkpoint in the form that another library reads",
    "shards": "pack a tree of images into tar files, and index them",
    "config": "print a config, check it and its data, and show the model that it builds",
    "check": "look at all images and annotations of a config, and list every fault",
    "flops": "count the multiply-adds and parameters of a backbone or of a config's model",
    "plan": "tell whether a training fits the GPUs, before it runs",
    "benchmark": "measure speed and memory beside other implementations",
    "doctor": "check the installed packages and the device, with a self-test",
}
TELLING = ("inspect", "config", "check", "flops", "plan", "doctor")  # all that they do is print


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits.

    The status is 0, or 2 after an error that the user can mend. Such an error prints a message on stderr and no
    traceback.

    Args:
        arguments: The command and its arguments; None: those that the process was started with.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(story())
        sys.exit()
    if name == "--version":
        print(f"mmswinv2 {__version__}")
        sys.exit()
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        fail("mmswinv2", f"there is no command {name!r}; {f'did you mean {near[0]!r}?' if near else story()}")
    try:
        status = run(name, rest)
        sys.stdout.flush()
        sys.exit(status)
    except UserError as error:
        fail(f"mmswinv2 {name}", str(error))
    except BrokenPipeError:
        if name not in TELLING:  # then it may be the pipe of a worker
            raise
        # As in `mmswinv2 inspect FILE | head`. Python flushes once more at the end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def run(name: str, arguments: Sequence[str]) -> int | None:
    """Runs the command ``name`` and returns its exit status, None for 0.

    Raises:
        UserError: Says what went wrong and what to do.
    """
    if name != "doctor":
        from .doctor import check_environment

        check_environment()  # before anything imports OpenMMLab's packages, whose own errors are long and obscure
    command = import_module(f"{__name__}.{name}")
    parser = argparse.ArgumentParser(
        prog=f"mmswinv2 {name}", description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


def story() -> str:
    """Returns what ``--help`` prints: all commands, in the order in which a project needs them."""
    commands = "\n".join(f"  {name:10}{does}" for name, does in COMMANDS.items())
    return (
        "mmswinv2: Swin Transformer V2 for MMDetection, MMSegmentation and any other OpenMMLab model\n\n"
        f"usage: mmswinv2 COMMAND ...\n\n{commands}\n\n"
        "'mmswinv2 COMMAND --help' tells the options of a command, 'mmswinv2 --version' the version.\n"
        "A config is a file, or one that comes with a package, such as\n"
        "mmswinv2::mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py."
    )


def fail(who: str, message: str) -> NoReturn:
    """Exits with a message on stderr."""
    print(f"{who}: {message}", file=sys.stderr)
    sys.exit(USER_ERROR)
