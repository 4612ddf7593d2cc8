"""The size of a backbone, read off its tensors."""

import re
from collections import defaultdict
from collections.abc import Mapping
from statistics import mode

from torch import Tensor

from ..arch import ARCHS, Arch
from .errors import CheckpointError

BLOCK = re.compile(r"layers\.(\d+)\.blocks\.(\d+)\.(.+)")


def infer_arch(state: Mapping[str, Tensor]) -> Arch:
    """Size of the backbone whose tensors, under this project's names, are ``state``.

    What most blocks of a stage say holds, so that one tensor missing or mis-shaped does not mislead.

    Raises:
        CheckpointError: The blocks of a stage are missing, or no size can be read off them.
    """
    blocks, dims, heads, extra_norms = defaultdict(set), defaultdict(list), defaultdict(list), set()
    for name, tensor in state.items():
        match = BLOCK.fullmatch(name)
        if match is None:
            continue
        stage, block, rest = int(match[1]), int(match[2]), match[3]
        blocks[stage].add(block)
        if rest == "norm1.weight":
            dims[stage].append(tensor.numel())
        elif rest == "attn.logit_scale":
            heads[stage].append(tensor.numel())
        elif rest == "enorm.weight":
            extra_norms.add(block)
    stages = range(max(blocks, default=-1) + 1)
    missing = [f"layers.{stage}.blocks.*.attn.logit_scale" for stage in stages if not heads[stage]]
    if not dims[0]:
        missing.append("layers.0.blocks.*.norm1.weight")
    if missing:
        raise CheckpointError(f"no size can be read off it, for want of {', '.join(missing)}")
    return Arch(
        embed_dims=mode(dims[0]),
        depths=tuple(max(blocks[stage]) + 1 for stage in stages),
        num_heads=tuple(mode(heads[stage]) for stage in stages),
        extra_norm_period=min(extra_norms) + 1 if extra_norms else None,
    )


def describe_arch(arch: Arch) -> str:
    """The ``arch`` setting of a config that builds ``arch``."""
    for name, named in ARCHS.items():
        if arch == named:
            return repr(name)
    settings = {**arch._asdict(), "depths": list(arch.depths), "num_heads": list(arch.num_heads)}
    return f"dict({', '.join(f'{key}={value}' for key, value in settings.items() if value is not None)})"
