"""Reading what ``torch.save`` wrote without running what it may hold.

A pickle is a program. torch's reader with ``weights_only=True`` runs none of it but the making of tensors, plain data
and what it is told to allow, which here is :data:`ALLOWED`. Beside tensors, checkpoints hold a training's log (numpy
arrays and numbers in MMEngine's ``HistoryBuffer``) and its options. Each of those names gets a class of ours that can
do nothing but hold data: the real ones can be misused. A bare ``getattr`` reaches any function; a numpy dtype takes a
state that makes numpy follow plain bytes as pointers.
"""

import argparse
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

from ..errors import CheckpointError

AGAIN = "copy or download it again"
NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
STATISTICS = ("current", "max", "mean", "min")


class NumberType:
    """Stands for ``numpy.dtype``: numbers and booleans alone.

    Args:
        code: Kind and size in bytes, as ``f8``.
        options: numpy's, without effect here.
    """

    def __init__(self, code: str, *options: bool) -> None:
        if code not in NUMBERS:
            raise UnpicklingError(f"GLOBAL numpy.dtype({code!r})")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        """Takes the byte order from numpy's state and leaves the rest."""
        self.dtype = self.dtype.newbyteorder(state[1])


class NumberArray(np.ndarray):
    """Stands for ``numpy.ndarray`` and the function that makes one: empty until its state fills it."""

    def __new__(cls, *arguments: Any) -> "NumberArray":
        """An empty array, whatever numpy's arguments say: the state replaces it."""
        return super().__new__(cls, 0)

    def __setstate__(self, state: tuple[int, tuple[int, ...], NumberType, bool, bytes]) -> None:
        """Fills the array from numpy's state: version, shape, type, whether in Fortran's order, and the data."""
        _, shape, number_type, fortran, data = state
        if not isinstance(number_type, NumberType) or min(shape, default=0) < 0 or type(data) is not bytes:
            raise UnpicklingError("GLOBAL numpy.ndarray with a state that is not of numbers")
        super().__setstate__((1, shape, number_type.dtype, fortran, data))

    def __reduce_ex__(self, protocol: int) -> tuple:
        """Pickled again it is numpy's own, so that files written from it need nothing of ours."""
        return np.asarray(self).__reduce_ex__(protocol)


def number(number_type: NumberType, data: bytes) -> np.generic:
    """Stands for the function that makes a numpy scalar."""
    return np.frombuffer(data, number_type.dtype)[0]


class History(HistoryBuffer):
    """Stands for MMEngine's ``HistoryBuffer`` until its state is set, then is one."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes the numbers and leaves the methods, with which a file could replace those of all buffers."""
        self.__init__(state["_log_history"], state["_count_history"], state["max_length"])
        self.__class__ = HistoryBuffer


def name_of_method(owner: type, name: str) -> str:
    """Stands for ``getattr``, by which ``HistoryBuffer`` pickles its own statistics; gives away the name alone."""
    if owner is not History or name not in STATISTICS:
        raise UnpicklingError(f"GLOBAL builtins.getattr for {name!r}")
    return name


class ConfigNode:
    """Stands for yacs's ``CfgNode``, a dict with attributes: makes a dict with attributes."""

    def __new__(cls) -> OrderedDict:
        """An ``OrderedDict``, the only kind of dict that torch's reader gives attributes."""
        return OrderedDict()


ALLOWED: list[tuple[Callable, str]] = [
    (History, "mmengine.logging.history_buffer.HistoryBuffer"),
    (name_of_method, "builtins.getattr"),
    (bytes, "builtins.bytes"),  # of an empty array
    (NumberType, "numpy.dtype"),
    (NumberArray, "numpy.ndarray"),
    (NumberArray, "numpy._core.multiarray._reconstruct"),
    (NumberArray, "numpy.core.multiarray._reconstruct"),  # numpy 1
    (number, "numpy._core.multiarray.scalar"),
    (number, "numpy.core.multiarray.scalar"),
    (ConfigNode, "yacs.config.CfgNode"),  # official releases keep their config
    (argparse.Namespace, "argparse.Namespace"),  # others their options
]


PICKLES_BEFORE_DATA = 3  # in torch's older format: a magic number, the version of the format, facts of the machine


def referred_names(path: Path) -> list[str]:
    """Functions and classes that the pickle in a file refers to, as far as it can be read.

    Args:
        path: A file of ``torch.save``, in either of torch's formats, or a plain pickle.
    """
    names: list[str] = []
    with suppress(Exception):  # damaged, or no other pickle follows
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                record = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                with archive.open(record) as file:
                    names.extend(_names(file))
        else:
            with open(path, "rb") as file:
                for _ in range(PICKLES_BEFORE_DATA + 1):
                    names.extend(_names(file))
    return list(dict.fromkeys(names))


def _names(file: BinaryIO) -> Iterator[str]:
    strings: list[str] = []
    memo: dict[int, str | None] = {}
    latest = None
    for code, argument, _ in pickletools.genops(file):
        if code.name == "GLOBAL":
            yield argument.replace(" ", ".")
        elif code.name == "STACK_GLOBAL":  # takes its module and name from the stack
            yield ".".join(strings[-2:])
        if code.name == "MEMOIZE":
            memo[len(memo)] = latest
        elif code.name.endswith("PUT"):
            memo[argument] = latest
        else:
            latest = memo.get(argument) if code.name.endswith("GET") else argument
            if isinstance(latest, str):
                strings.append(latest)


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
