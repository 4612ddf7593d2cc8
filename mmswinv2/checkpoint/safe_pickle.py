"""Reading what ``torch.save`` wrote without running what it may hold.

A pickle is a program. torch's reader with ``weights_only=True`` runs none of it but the making of tensors, plain data
and what it is told to allow, which here is :data:`ALLOWED`. Beside tensors, checkpoints hold a training's log (numpy
arrays and numbers in MMEngine's ``HistoryBuffer``) and its options. Each of those names gets a class of ours that can
do nothing but hold data: the real ones can be misused. A bare ``getattr`` reaches any function; a numpy dtype takes a
state that makes numpy follow plain bytes as pointers.

A small file can also ask for more than a machine has, and torch does not look whether a file is damaged. Both are found
out before torch reads it: the archive's checksums (:func:`read_pickle`), and what its pickle would build
(:func:`_look_through`). For a file of 400 MB this takes 0.1 to 0.3 s, torch's reading 0.2 to 0.7 s (on 2 busy cores).
"""

import argparse
import io
import pickletools
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, SupportsIndex

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

from ..errors import CheckpointError, name_some
from .archive import AGAIN, ZIP, read_pickle

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

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Takes the byte order from numpy's state and leaves the rest."""
        self.dtype = self.dtype.newbyteorder(state[1])


class NumberArray(np.ndarray[Any, np.dtype[Any]]):
    """Stands for ``numpy.ndarray`` and the function that makes one: empty until its state fills it."""

    def __new__(cls, *arguments: Any) -> "NumberArray":
        """An empty array, whatever numpy's arguments say: the state replaces it."""
        return super().__new__(cls, 0)

    def __setstate__(self, state: Any) -> None:
        """Fills the array from numpy's state: version, shape, type, whether in Fortran's order, and the data."""
        _, shape, number_type, fortran, data = state
        if not isinstance(number_type, NumberType) or min(shape, default=0) < 0 or type(data) is not bytes:
            raise UnpicklingError("GLOBAL numpy.ndarray with a state that is not of numbers")
        super().__setstate__((1, shape, number_type.dtype, fortran, data))

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Pickled again it is numpy's own, so that files written from it need nothing of ours."""
        return np.asarray(self).__reduce_ex__(protocol)


def number(number_type: NumberType, data: bytes) -> np.generic:
    """Stands for the function that makes a numpy scalar."""
    found: np.generic = np.frombuffer(data, number_type.dtype)[0]
    return found


class History(HistoryBuffer):
    """Stands for MMEngine's ``HistoryBuffer`` until its state is set, then is one."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes the numbers and leaves the methods, with which a file could replace those of all buffers."""
        HistoryBuffer.__init__(self, state["_log_history"], state["_count_history"], state["max_length"])
        self.__class__ = HistoryBuffer


def name_of_method(owner: type, name: str) -> str:
    """Stands for ``getattr``, by which ``HistoryBuffer`` pickles its own statistics; gives away the name alone."""
    if owner is not History or name not in STATISTICS:
        raise UnpicklingError(f"GLOBAL builtins.getattr for {name!r}")
    return name


def no_bytes() -> bytes:
    """Stands for ``bytes``, by which an empty array pickles its data; with a number it would take that much memory."""
    return b""


class ConfigNode:
    """Stands for yacs's ``CfgNode``, a dict with attributes: makes a dict with attributes."""

    def __new__(cls) -> Any:
        """An ``OrderedDict``, the only kind of dict that torch's reader gives attributes."""
        return OrderedDict()


ALLOWED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (History, "mmengine.logging.history_buffer.HistoryBuffer"),
    (name_of_method, "builtins.getattr"),
    (no_bytes, "builtins.bytes"),
    (NumberType, "numpy.dtype"),
    (NumberArray, "numpy.ndarray"),
    (NumberArray, "numpy._core.multiarray._reconstruct"),
    (NumberArray, "numpy.core.multiarray._reconstruct"),  # numpy 1
    (number, "numpy._core.multiarray.scalar"),
    (number, "numpy.core.multiarray.scalar"),
    (ConfigNode, "yacs.config.CfgNode"),  # official releases keep their config
    (argparse.Namespace, "argparse.Namespace"),  # others their options
]


# In torch's older format: a magic number, the version of the format, facts of the machine, the data, their storages.
PICKLES = 5
# What a pickle may build. A tensor takes 30 steps: SwinV2-B with its optimizer and averaged weights has 84 thousand. A
# step takes a few microseconds and at most 250 bytes, hence seconds and a quarter of a gigabyte.
MAX_STEPS = 1_000_000
MAX_DEPTH = 100  # of containers in containers


class TooMuch(Exception):  # noqa: N818, it reads as what a file asks for
    """A pickle would build more than a checkpoint has."""


class _Part:
    """What is known of an object before it is built.

    Attributes:
        name: Of a function or class.
        number: Of an integer itself, of a tuple the largest of its own: an argument that may be a size.
        objects: Objects in it, one referred to twice counted twice: a tuple that is a key is gone through in full.
        depth: Containers in containers.
        inside: Whether it is in another object, which then knows of its size.
    """

    def __init__(self, value: object = None) -> None:
        self.name = value if isinstance(value, str) else ""
        self.number = abs(value) if isinstance(value, int) else 0
        self.objects, self.depth, self.inside = 1, 0, False

    def take(self, parts: list["_Part"]) -> None:
        """Puts parts into this one."""
        if self.inside:
            raise TooMuch("an object that grows after it was put into another")
        self.objects += sum(part.objects for part in parts)
        self.depth = max(self.depth, *(part.depth + 1 for part in parts), 0)
        if self.objects > MAX_STEPS or self.depth > MAX_DEPTH:
            raise TooMuch(f"over {MAX_STEPS} objects, or containers nested over {MAX_DEPTH} deep")
        for part in parts:
            part.inside = True


GROWS = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD")
CALLS = ("REDUCE", "NEWOBJ", "BINPERSID")  # the last stands for a storage, with its number of elements


def _look_through(pickle: BinaryIO, file_size: int) -> Iterator[str]:
    """Goes through a pickle's steps without doing them, and refuses what would take more than a checkpoint does.

    Args:
        pickle: Read up to its end.
        file_size: Bytes of the whole file; nothing in it is larger.

    Yields:
        Functions and classes that it refers to.

    Raises:
        TooMuch: It would build more than a checkpoint has.
    """
    stack: list[_Part] = []
    marks: list[int] = []
    memo: dict[Any, _Part] = {}
    for step, (code, argument, _) in enumerate(pickletools.genops(pickle)):
        if step > MAX_STEPS:
            raise TooMuch(f"over {MAX_STEPS} steps to build it")
        if code.name == "MARK":
            marks.append(len(stack))
        elif code.name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif code.name.endswith("PUT"):
            memo[argument] = stack[-1]
        elif code.name.endswith("GET"):
            stack.append(memo[argument])
        else:
            parts = _taken(code, stack, marks)
            size = parts[-1].number if code.name in CALLS else 0
            if size > file_size or (size and parts[0].name.endswith(" bytearray")):
                raise TooMuch(f"memory for {size} numbers that it does not hold")
            if code.name == "GLOBAL":
                yield ascii(str(argument).replace(" ", "."))[1:-1]
            elif code.name == "STACK_GLOBAL":
                yield ascii(".".join(part.name for part in parts))[1:-1]
            if code.stack_after:
                made = parts.pop(0) if code.name in GROWS else _Part(argument)
                made.take(parts)
                if "TUPLE" in code.name:
                    made.number = max((part.number for part in parts if not part.depth), default=0)
                stack.append(made)


def _taken(code: pickletools.OpcodeInfo, stack: list[_Part], marks: list[int]) -> list[_Part]:
    """What a step takes from the stack: a fixed number of objects, or all down to a mark and some below."""
    if pickletools.markobject in code.stack_before:
        start = marks.pop() - code.stack_before.index(pickletools.markobject)
    else:
        start = len(stack) - len(code.stack_before)
    if start < 0:
        raise TooMuch("objects that are not there")
    taken = stack[start:]
    del stack[start:]
    return taken


def referred_names(path: Path, source: str) -> list[str]:
    """Functions and classes that a file of ``torch.save`` refers to, which is looked through to its end.

    Args:
        path: The file, in either of torch's formats, or a plain pickle.
        source: What the user called it, for messages.

    Raises:
        CheckpointError: An archive is damaged.
        TooMuch: A pickle would build more than a checkpoint has.
    """
    names: list[str] = []
    size = path.stat().st_size
    with open(path, "rb") as file:
        if file.read(len(ZIP)) == ZIP:
            names += _look_through(io.BytesIO(read_pickle(path, source)), size)
        else:
            file.seek(0)
            for _ in range(PICKLES):
                if file.tell() < size:
                    names += _look_through(file, size)
    return list(dict.fromkeys(names))


def load_pickle(path: Path, source: str, map_location: Any) -> Any:
    """What a file of ``torch.save`` holds, in either of torch's formats.

    Args:
        path: The file.
        source: What the user called it, for messages.
        map_location: As for :func:`torch.load`.

    Raises:
        CheckpointError: The file is damaged, would take more memory than a checkpoint does, or refers to anything
            that is not allowed; nothing of it ran.
    """
    try:
        names = referred_names(path, source)
        with _nothing_else_allowed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another pickle protocol, which ends in an error that says so
            return torch.load(path, map_location=map_location, weights_only=True)
    except CheckpointError:
        raise
    except TooMuch as error:
        raise CheckpointError(f"{source}: refused, because it asks for {error}. Nothing of it ran") from error
    except UnpicklingError as error:
        raise CheckpointError(_refusal(error, names, source)) from error
    except Exception as error:  # a damaged file raises anything
        reason = ascii((str(error) or type(error).__name__).splitlines()[0])[1:-1]
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


def _refusal(error: UnpicklingError, names: list[str], source: str) -> str:
    found = re.search(r"GLOBAL (\S+)", ascii(str(error)))
    if found is None:
        reason = (
            "torch's safe reader does not know this way of pickling (torch.save's own is protocol 2, plain dicts). "
            f"It refers to {name_some(names) or 'nothing'}"
        )
    else:
        name = found[1] if "." in found[1] else f"builtins.{found[1]}"  # torch leaves builtins out
        reason = f"it refers to {name}, which is not needed for weights and could run code"
    return (
        f"{source}: refused, because {reason}. Nothing of it ran. If you trust its origin, read it in a sandbox with "
        "torch.load(..., weights_only=False) and save the state dict alone, with torch.save or safetensors"
    )


def replaces_methods(content: dict[str, Any]) -> bool:
    """Whether a dict or tensor in a checkpoint has an attribute in place of a method: a pickle may set any."""
    rest: list[Any] = [content]
    seen: set[int] = set()
    while rest:
        value = rest.pop()
        if isinstance(value, dict | torch.Tensor) and id(value) not in seen:
            seen.add(id(value))
            if any(hasattr(type(value), str(name)) for name in getattr(value, "__dict__", ())):
                return True
            rest += dict.values(value) if isinstance(value, dict) else ()
    return False
