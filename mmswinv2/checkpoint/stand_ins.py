"""What a checkpoint's pickle may refer to, and what it gets for it.

Beside tensors, checkpoints hold a training's log (numpy arrays and numbers in MMEngine's ``HistoryBuffer``) and its
options. Each of those names gets a class of ours that can do nothing but hold data: the real ones can be misused. A
bare ``getattr`` reaches any function; a numpy dtype takes a state that makes numpy follow plain bytes as pointers.
"""

import argparse
from collections import OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

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
