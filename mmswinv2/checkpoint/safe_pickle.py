"""Reading what ``torch.save`` wrote without running what it may hold.

A pickle is a program. torch's reader with ``weights_only=True`` runs none of it but the making of tensors, plain data
and what it is told to allow, which here is :data:`ALLOWED`.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

from .errors import CheckpointError
from .file_kind import AGAIN
from .pickle_names import referred_names
from .stand_ins import ALLOWED


def load_pickle(path: Path, source: str, map_location: Any) -> Any:
    """What a file of ``torch.save`` holds, in either of torch's formats.

    Args:
        path: The file.
        source: What the user called it, for messages.
        map_location: As for :func:`torch.load`.

    Raises:
        CheckpointError: The file is damaged, or refers to anything that is not allowed; nothing of it ran.
    """
    try:
        with _nothing_else_allowed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another pickle protocol, which ends in an error that says so
            return torch.load(path, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(_refusal(error, path, source)) from error
    except Exception as error:  # a damaged file raises anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{source}: damaged, cut short or not written by torch.save ({reason}); {AGAIN}"
        ) from error


@contextmanager
def _nothing_else_allowed() -> Iterator[None]:
    """Replaces torch's list instead of adding to it: there may be a bare ``getattr`` on it, for MMEngine's files."""
    others = get_safe_globals()
    clear_safe_globals()
    add_safe_globals(ALLOWED)
    try:
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(others)


def _refusal(error: UnpicklingError, path: Path, source: str) -> str:
    found = re.search(r"GLOBAL (\S+)", str(error))
    if found is None:
        reason = (
            "torch's safe reader does not know this way of pickling (torch.save's own is protocol 2, plain dicts). "
            f"It refers to {', '.join(referred_names(path)) or 'nothing'}"
        )
    else:
        name = found[1] if "." in found[1] else f"builtins.{found[1]}"  # torch leaves builtins out
        reason = f"it refers to {name}, which is not needed for weights and could run code"
    return (
        f"{source}: refused, because {reason}. Nothing of it ran. If you trust its origin, read it in a sandbox with "
        "torch.load(..., weights_only=False) and save the state dict alone, with torch.save or safetensors"
    )
