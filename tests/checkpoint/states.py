"""The tensors of a backbone of any size in every form, from the library that has the form wherever one is at hand."""

from collections.abc import Callable

import torch
from torch import Tensor

from mmswinv2 import SwinTransformerV2

from . import mmpretrain_swin, peers
from .backbones import TABLE, Windows, coords_table, official_state, random_backbone

SIDE = 128  # pixels of the image that the models are for


def map_windows(arch: dict, window: int) -> Windows:
    """Windows of the stages of an official model at ``SIDE``."""
    sides = [min(window, SIDE // 4 // 2**stage) for stage in range(len(arch["depths"]))]
    return tuple((side, side) for side in sides)


def feature_distillation_state(source: SwinTransformerV2) -> dict[str, Tensor]:
    """Feature-Distillation's tensors with one bias network a stage, that of its first block."""
    official = official_state(source)
    state = {name: tensor for name, tensor in official.items() if ".cpb_mlp." not in name}
    for name, tensor in official.items():
        if ".blocks.0.attn.cpb_mlp." in name:
            state[name.replace("blocks.0.attn.cpb_mlp", "rel_pos_bias.rpe_mlp")] = tensor
    for stage, window in enumerate(source.window_sizes):
        pretrained = tuple(source.pretrained_window_sizes[stage].tolist())
        state[f"layers.{stage}.rel_pos_bias.{TABLE}"] = coords_table(window, pretrained)
        state[f"layers.{stage}.rel_pos_bias.relative_position_index"] = torch.zeros(2, 2, dtype=torch.long)
    return state


def _backbone(arch: dict, window: int) -> SwinTransformerV2:
    return random_backbone(arch, window_size=map_windows(arch, window), out_indices=range_of_stages(arch))


def range_of_stages(arch: dict) -> tuple[int, ...]:
    return tuple(range(len(arch["depths"])))


# Each makes random tensors from an arch and a window.
STATES: dict[str, Callable[[dict, int], dict[str, Tensor]]] = {
    "native": lambda arch, window: _backbone(arch, window).state_dict(),
    "official": lambda arch, window: official_state(_backbone(arch, window), map_windows(arch, window)),
    "feature-distillation": lambda arch, window: feature_distillation_state(_backbone(arch, window)),
    "timm": lambda arch, window: peers.timm_small(arch, SIDE, window).state_dict(),
    "hf": lambda arch, window: peers.hf_model(peers.hf_config(arch, SIDE, window)).state_dict(),
    "torchvision": lambda arch, window: peers.torchvision_model(arch, window).state_dict(),
    "mmpretrain": lambda arch, window: mmpretrain_swin.random_state(arch, map_windows(arch, window)),
}
