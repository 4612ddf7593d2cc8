"""mmpretrain's SwinV2: its names, its stages that begin with a merging, and a merging that unfolds.

The package itself does not import beside a current transformers, so its arithmetic is written out here.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import reference
from ..reference import norm, subset
from .backbones import TABLE, Windows, coords_table


def random_state(arch: dict, windows: Windows) -> dict[str, Tensor]:
    """Random tensors of a classifier's backbone at 3 channels and patches of 4, ``extra_norm_period`` included."""
    dims = arch["embed_dims"]
    state = {"patch_embed.projection.weight": torch.randn(dims, 3, 4, 4) / 7, **_vector("patch_embed.projection", dims)}
    state |= _norm("patch_embed.norm", dims)
    for stage, (depth, heads) in enumerate(zip(arch["depths"], arch["num_heads"], strict=True)):
        name = f"stages.{stage}"
        if stage:
            state[f"{name}.downsample.reduction.weight"] = torch.randn(2 * dims, 4 * dims) / (4 * dims) ** 0.5
            dims *= 2
            state |= _norm(f"{name}.downsample.norm", dims)
        for index in range(depth):
            extra = (index + 1) % arch.get("extra_norm_period", depth + 1) == 0
            state |= _block(f"{name}.blocks.{index}", dims, heads, windows[stage], extra)
    return state | _norm(f"norm{len(arch['depths']) - 1}", dims)


def network(state: Mapping[str, Tensor], image: Tensor, windows: Windows) -> list[Tensor]:
    """Maps (B, C, H, W) of every stage, the last one normalised."""
    x = F.conv2d(image, state["patch_embed.projection.weight"], state["patch_embed.projection.bias"], stride=4)
    x = norm(x.permute(0, 2, 3, 1), subset(state, "patch_embed.norm."))
    features = []
    for stage, window in enumerate(windows):
        params = subset(state, f"stages.{stage}.")
        if stage:
            x = unfolding_merge(x, subset(params, "downsample."))
        depth = 1 + max(int(name.split(".")[1]) for name in params if name.startswith("blocks."))
        for index in range(depth):
            shift = (window[0] // 2, window[1] // 2) if index % 2 else (0, 0)
            x = _run_block(x, subset(params, f"blocks.{index}."), window, shift)
        features.append(x.permute(0, 3, 1, 2))
    return [*features[:-1], norm(x, subset(state, f"norm{len(windows) - 1}.")).permute(0, 3, 1, 2)]


def unfolding_merge(x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    """Patch merging of a map (B, H, W, C) of even sides: unfold, reduce, then norm."""
    batch, height, width, _ = x.shape
    unfolded = F.unfold(x.permute(0, 3, 1, 2), kernel_size=2, stride=2)  # (B, 4C, H/2 * W/2)
    x = unfolded.transpose(1, 2) @ params["reduction.weight"].T
    return norm(x.view(batch, height // 2, width // 2, -1), subset(params, "norm."))


def _run_block(x: Tensor, params: Mapping[str, Tensor], window: tuple[int, int], shift: tuple[int, int]) -> Tensor:
    x = x + norm(reference.attention(x, subset(params, "attn.w_msa."), window, shift, window), subset(params, "norm1."))
    hidden = F.gelu(F.linear(x, params["ffn.layers.0.0.weight"], params["ffn.layers.0.0.bias"]))
    hidden = F.linear(hidden, params["ffn.layers.1.weight"], params["ffn.layers.1.bias"])
    x = x + norm(hidden, subset(params, "norm2."))
    return norm(x, subset(params, "norm3.")) if "norm3.weight" in params else x


def _block(name: str, dims: int, heads: int, window: tuple[int, int], extra: bool) -> dict[str, Tensor]:
    attn, tokens = f"{name}.attn.w_msa", window[0] * window[1]
    state = {
        f"{attn}.qkv.weight": torch.randn(3 * dims, dims) / dims**0.5,
        f"{attn}.q_bias": torch.randn(dims),
        f"{attn}.v_bias": torch.randn(dims),
        f"{attn}.logit_scale": torch.rand(heads, 1, 1) * 3,
        f"{attn}.cpb_mlp.0.weight": torch.randn(512, 2),
        **_vector(f"{attn}.cpb_mlp.0", 512),
        f"{attn}.cpb_mlp.2.weight": torch.randn(heads, 512) / 20,
        **_linear(f"{attn}.proj", dims, dims),
        **_linear(f"{name}.ffn.layers.0.0", dims, 4 * dims),
        **_linear(f"{name}.ffn.layers.1", 4 * dims, dims),
        f"{attn}.{TABLE}": coords_table(window, window),
        f"{attn}.relative_position_index": torch.zeros(tokens, tokens, dtype=torch.long),
    }
    for norm_name in ("norm1", "norm2", *(["norm3"] if extra else [])):
        state |= _norm(f"{name}.{norm_name}", dims)
    return state


def _linear(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.randn(outputs, inputs) / inputs**0.5, **_vector(name, outputs)}


def _norm(name: str, dims: int) -> dict[str, Tensor]:
    return {f"{name}.weight": 0.5 + torch.rand(dims), **_vector(name, dims)}


def _vector(name: str, dims: int) -> dict[str, Tensor]:
    return {f"{name}.bias": torch.randn(dims) * 0.3}
