"""Swin V2 as the official release computes it: windows padded, rolled and masked, bias looked up in a table.

The release is github.com/microsoft/Swin-Transformer, models/swin_transformer_v2.py. Here it is functions of a state
dict with the official names, in the dtype of its tensors. Attention itself is the plain form that stands beside
the fast one.

One thing differs from the release: padding is masked as keys, so that no token attends to it. At the sizes where the
official code runs there is no padding.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmswinv2.layers import cosine_attention_plain

Pair = tuple[int, int]
PADDING = -1  # label of tokens that are not there


def randomize_(module: nn.Module, max_logit_scale: float = 30.0) -> nn.Module:
    """Gives every parameter values that matter: a gain of zero or a bias of zero would hide an error.

    Scales stay below ``max_logit_scale``: other implementations mask with -100, and logits as large let masked
    tokens through.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("logit_scale"):
                parameter.uniform_(0.0, math.log(max_logit_scale))
            elif parameter.dim() > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)  # gain of a norm
            else:
                parameter.normal_(std=0.3)
    return module


def official_windows(side: int, window: int, num_stages: int = 4) -> list[int]:
    """Window of each stage of the official model at a square image: min(window, resolution)."""
    return [min(window, side // 4 // 2**stage) for stage in range(num_stages)]


def subset(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Entries under ``prefix``, named without it."""
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def position_bias(cpb: Mapping[str, Tensor], window: Pair, pretrained: Pair) -> Tensor:
    """The (heads, N, N) bias: table of coordinates, meta network, index of pairs, 16 sigmoid."""
    h, w = window
    table = torch.zeros(2 * h - 1, 2 * w - 1, 2, dtype=cpb["0.weight"].dtype)
    table[..., 0] += torch.arange(-(h - 1), h)[:, None] / max(pretrained[0] - 1, 1)
    table[..., 1] += torch.arange(-(w - 1), w)[None, :] / max(pretrained[1] - 1, 1)
    table *= 8
    table = torch.sign(table) * torch.log2(table.abs() + 1) / math.log2(8)
    biases = F.relu(table.reshape(-1, 2) @ cpb["0.weight"].T + cpb["0.bias"]) @ cpb["2.weight"].T

    y, x = (axis.flatten() for axis in torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij"))
    rows, columns = y[:, None] - y[None, :] + h - 1, x[:, None] - x[None, :] + w - 1
    index = rows * (2 * w - 1) + columns  # (N, N)
    return 16 * torch.sigmoid(biases[index]).permute(2, 0, 1)


def grid_runs(size: int, window: int, shift: int) -> Tensor:
    """Run of each token of an axis, from the definition: a grid of step ``window`` that starts at ``shift``."""
    if size <= window:
        return torch.zeros(size, dtype=torch.long)
    return (torch.arange(size) - shift).div(window, rounding_mode="floor")


def window_labels(size: Pair, window: Pair, shift: Pair) -> Tensor:
    """Which tokens of the padded and rolled map belong together, (padded H, padded W); padding has its own label."""

    def axis(size: int, window: int, shift: int) -> tuple[Tensor, Tensor]:
        padded = math.ceil(size / window) * window
        region = torch.zeros(padded, dtype=torch.long)
        if shift:
            region[padded - window : padded - shift] = 1
            region[padded - shift :] = 2
        return region, torch.arange(padded).roll(-shift) < size

    (rows, rows_real), (columns, columns_real) = map(axis, size, window, shift)
    labels = rows[:, None] * 3 + columns[None, :]
    return labels.masked_fill(~(rows_real[:, None] & columns_real[None, :]), PADDING)


def partition(x: Tensor, window: Pair) -> Tensor:
    """(B, H, W, C) to (B, windows, N, C)."""
    batch, height, width, channels = x.shape
    h, w = window
    x = x.view(batch, height // h, h, width // w, w, channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, -1, h * w, channels)


def in_windows(x: Tensor, window: Pair, shift: Pair, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Pads, rolls and partitions a map (B, H, W, C), calls ``function(windows, labels)`` and puts all back.

    ``function`` gets (B, windows, N, C) and the labels (windows, N). An axis no longer than the window
    shrinks the window and is not shifted.
    """
    batch, height, width, _ = x.shape
    shift = tuple(0 if size <= w else s for size, w, s in zip((height, width), window, shift, strict=True))
    window = tuple(min(size, w) for size, w in zip((height, width), window, strict=True))
    labels = window_labels((height, width), window, shift)
    padded_height, padded_width = labels.shape
    x = F.pad(x, (0, 0, 0, padded_width - width, 0, padded_height - height))
    x = x.roll((-shift[0], -shift[1]), (1, 2))
    out = function(partition(x, window), partition(labels[None, ..., None], window)[0, ..., 0])
    out = out.view(batch, padded_height // window[0], padded_width // window[1], *window, -1)
    out = out.permute(0, 1, 3, 2, 4, 5).reshape(batch, padded_height, padded_width, -1)
    return out.roll(shift, (1, 2))[:, :height, :width]


def attention(x: Tensor, params: Mapping[str, Tensor], window: Pair, shift: Pair, pretrained: Pair) -> Tensor:
    """Window attention of a map (B, H, W, C); ``params`` are those of ``attn``."""
    heads = params["logit_scale"].size(0)
    qkv_bias = torch.cat([params["q_bias"], torch.zeros_like(params["q_bias"]), params["v_bias"]])
    fitted = (min(window[0], x.size(1)), min(window[1], x.size(2)))
    bias = position_bias(subset(params, "cpb_mlp."), fitted, pretrained)

    def attend(windows: Tensor, labels: Tensor) -> Tensor:
        batch, number, tokens, channels = windows.shape
        qkv = windows @ params["qkv.weight"].T + qkv_bias
        q, k, v = qkv.view(batch, number, tokens, 3, heads, -1).permute(3, 0, 1, 4, 2, 5)  # (B, windows, heads, N, d)
        apart = labels[:, None, :, None] != labels[:, None, None, :]  # (windows, 1, N, N)
        masked = bias.masked_fill(apart, -math.inf)  # (windows, heads, N, N)
        out = cosine_attention_plain(q, k, v, params["logit_scale"], masked)
        return out.transpose(2, 3).reshape(batch, number, tokens, channels)

    return in_windows(x, window, shift, attend) @ params["proj.weight"].T + params["proj.bias"]


def norm(x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    """LayerNorm over the last dimension, eps 1e-5."""
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * params["weight"] + params["bias"]


def block(x: Tensor, params: Mapping[str, Tensor], window: Pair, shift: Pair, pretrained: Pair) -> Tensor:
    """Residual post-norm: x + norm1(attn(x)), then x + norm2(mlp(x)); then the extra norm where there is one."""
    x = x + norm(attention(x, subset(params, "attn."), window, shift, pretrained), subset(params, "norm1."))
    hidden = x @ params["mlp.fc1.weight"].T + params["mlp.fc1.bias"]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))  # GELU
    x = x + norm(hidden @ params["mlp.fc2.weight"].T + params["mlp.fc2.bias"], subset(params, "norm2."))
    extra = subset(params, "enorm.")
    return norm(x, extra) if extra else x


def merge(x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    """Patch merging, reduction before norm; odd sides are padded with zeros."""
    x = F.pad(x, (0, 0, 0, x.size(2) % 2, 0, x.size(1) % 2))
    parts = [x[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    return norm(torch.cat(parts, -1) @ params["reduction.weight"].T, subset(params, "norm."))


def network(
    state: Mapping[str, Tensor], image: Tensor, windows: Sequence[Pair], pretrained: Sequence[Pair]
) -> list[Tensor]:
    """Normalised features (B, C, H, W) of every stage; depths are read from the names."""
    patch = state["patch_embed.proj.weight"].size(-1)
    image = F.pad(image, (0, -image.size(3) % patch, 0, -image.size(2) % patch))
    x = F.conv2d(image, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=patch)
    x = norm(x.permute(0, 2, 3, 1), subset(state, "patch_embed.norm."))
    features = []
    for stage, (window, trained) in enumerate(zip(windows, pretrained, strict=True)):
        params = subset(state, f"layers.{stage}.")
        depth = 1 + max(int(name.split(".")[1]) for name in params if name.startswith("blocks."))
        for index in range(depth):
            shift = (window[0] // 2, window[1] // 2) if index % 2 else (0, 0)
            x = block(x, subset(params, f"blocks.{index}."), window, shift, trained)
        features.append(norm(x, subset(state, f"norm{stage}.")).permute(0, 3, 1, 2))
        if stage + 1 < len(windows):
            x = merge(x, subset(params, "downsample."))
    return features
