"""What a load did, in one table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .architecture import describe_arch
from .matching import Match, listed
from .opening import BackboneCheckpoint
from .window_evidence import Windows

NOT_TOLD = "not told"


@dataclass(frozen=True)
class LoadReport:
    """What was loaded, and what was not.

    Attributes:
        checkpoint: The checkpoint.
        match: Its tensors compared with the model's.
    """

    checkpoint: BackboneCheckpoint
    match: Match

    def __str__(self) -> str:
        rows = {
            **describe(self.checkpoint),
            "matched": f"{len(self.match.state)} tensors",
            "initial values kept": listed(self.match.expected_missing) or "none",
            "missing": listed(self.match.missing) or "none",
            "not used": listed(self.match.unused) or "none",
        }
        width = max(map(len, rows)) + 2
        table = [f"  {name:<{width}}{row}" for name, row in rows.items()]
        return "\n".join([f"Backbone weights from {self.checkpoint.source}", *table])


def describe(checkpoint: BackboneCheckpoint) -> dict[str, str]:
    """What a checkpoint is, row by row."""
    weights, windows = checkpoint.weights, checkpoint.windows
    place = ".".join(part for part in (checkpoint.place, weights.prefix.rstrip(".")) if part)
    return {
        "form": weights.form + (f", under {place}" if place else ""),
        "arch": describe_arch(checkpoint.arch),
        "window": format_windows(windows.trained) if windows and windows.trained else NOT_TOLD,
        "pretrained window": f"{format_windows(windows.pretrained)}, told by {windows.source}" if windows else NOT_TOLD,
        "left out": _summary(weights.dropped) or "nothing",
    }


def format_windows(windows: Windows) -> str:
    """``8, 8, 8, 8``; windows that are not square as ``8x4``."""
    return ", ".join(str(h) if h == w else f"{h}x{w}" for h, w in windows)


def _summary(names: Iterable[str]) -> str:
    """Names by kind, with counts: ``head (2), attn_mask (12)``."""
    kinds = Counter(_kind(*name.rpartition(".")[::2]) for name in names)
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.items())


def _kind(module: str, tensor: str) -> str:
    return module.split(".")[0] if tensor in ("weight", "bias") else tensor
