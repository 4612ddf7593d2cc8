"""Backbones with random weights, and their tensors in the official form."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmswinv2 import SwinTransformerV2

from .. import reference

TINY = {"embed_dims": 16, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)}
TABLE = "relative_coords_table"

Windows = tuple[tuple[int, int], ...]


def random_backbone(arch: dict = TINY, **settings: Any) -> SwinTransformerV2:
    """A backbone, ready for inference, with not one trivial tensor."""
    return reference.randomize_(SwinTransformerV2(arch, **settings)).eval()


def pretrained_backbone(checkpoint: Path, arch: dict = TINY, window_size: Any = 8, **init: Any) -> SwinTransformerV2:
    """A backbone as a config builds it, ready for inference; ``init`` are further keys of ``init_cfg``."""
    init_cfg = {"type": "Pretrained", "checkpoint": str(checkpoint), **init}
    model = SwinTransformerV2(arch, window_size=window_size, init_cfg=init_cfg)
    model.init_weights()
    return model.eval()


def square(*sides: int) -> Windows:
    """Windows (h, w) of stages from their sides."""
    return tuple((side, side) for side in sides)


def coords_table(window: tuple[int, int], pretrained: tuple[int, int]) -> Tensor:
    """The official ``relative_coords_table`` (1, 2h-1, 2w-1, 2), number by number from equation 4."""

    def coordinate(offset: int, side: int) -> float:
        return math.copysign(math.log2(8 * abs(offset) / (side - 1) + 1) / 3, offset)

    rows, columns = (range(1 - side, side) for side in window)
    pairs = [[(coordinate(y, pretrained[0]), coordinate(x, pretrained[1])) for x in columns] for y in rows]
    return torch.tensor([pairs])


def official_state(model: SwinTransformerV2, windows: Windows | None = None) -> dict[str, Tensor]:
    """The tensors of a backbone as the official model has them: one norm and, if ``windows`` are given, buffers."""
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(("norm", "pretrained"))}
    last = len(model.arch.depths) - 1
    state |= {f"norm.{part}": model.state_dict()[f"norm{last}.{part}"] for part in ("weight", "bias")}
    for stage, (h, w) in enumerate(windows or ()):
        for block in range(model.arch.depths[stage]):
            name = f"layers.{stage}.blocks.{block}"
            pretrained = tuple(model.pretrained_window_sizes[stage].tolist())
            state[f"{name}.attn.{TABLE}"] = coords_table((h, w), pretrained)
            state[f"{name}.attn.relative_position_index"] = torch.zeros(h * w, h * w, dtype=torch.long)
            if block % 2:
                state[f"{name}.attn_mask"] = torch.zeros(4, h * w, h * w)
    return state
