"""The authors' releases: microsoft/Swin-Transformer and SwinTransformer/Feature-Distillation."""

import re
from collections.abc import Iterable

from .form import Form, StateDict


class Official(Form):
    """The official release; early SimMIM files call the position-bias network ``rpe_mlp``."""

    name = "official"
    aliases = ((".rpe_mlp.", ".cpb_mlp."),)


class FeatureDistillation(Official):
    """Feature-Distillation: the ``enorm`` of huge and giant; one bias network may serve a whole stage."""

    name = "feature-distillation"

    def recognises(self, names: Iterable[str]) -> bool:
        return any(".rel_pos_bias." in name or ".enorm." in name for name in names)

    def join(self, state: StateDict) -> StateDict:
        """Gives each block its stage's bias network, which computes the same."""
        joined = {}
        for name, tensor in state.items():
            shared = re.match(r"layers\.(\d+)\.rel_pos_bias\.(.+)", name)
            if shared is None:
                joined[name] = tensor
            else:
                stage, rest = shared.groups()
                joined |= {f"layers.{stage}.blocks.{block}.attn.{rest}": tensor for block in _blocks(state, stage)}
        return joined


def _blocks(names: Iterable[str], stage: str) -> set[str]:
    """Numbers of the blocks of a stage."""
    return {match[1] for name in names if (match := re.match(rf"layers\.{stage}\.blocks\.(\d+)\.", name))}
