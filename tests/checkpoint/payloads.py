"""Pickles that would run code if they were read as pickles are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import HistoryBuffer


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self.call


def payloads(marker: Path) -> dict[str, tuple[Call, str]]:
    """Objects by kind, each with the name it refers to; reading one unsafely leaves the file ``marker``."""
    return {
        "command": (Call(os.system, f"touch {marker}"), "posix.system"),
        "code": (Call(exec, f"open({str(marker)!r}, 'w')"), "builtins.exec"),
        "attribute": (Call(getattr, HistoryBuffer.mean, "__globals__"), "builtins.getattr"),
    }


def write_payload(path: Path, payload: object, **options: Any) -> Path:
    """A checkpoint with a payload in its ``meta``; options are those of ``torch.save``."""
    torch.save({"state_dict": {"weight": torch.ones(1)}, "meta": {"epoch": payload, "iter": 0}}, path, **options)
    return path
