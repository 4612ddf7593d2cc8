"""Draws the learned position bias, at the window that it was trained with and at larger ones."""

import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..checkpoint.backbone import BackboneCheckpoint
from ..checkpoint.position_biases import find_position_bias
from ..checkpoint.windows import coords_table
from ..errors import CheckpointError
from ..layers.position_bias import LogCPB

FACTORS = (1, 1.5, 2)


def plot_position_bias(checkpoint: BackboneCheckpoint) -> Figure:
    """Draws the position bias over the offset between two tokens, a row for each stage.

    A row is about the first block of its stage. It has maps of the mean over the heads, at 1, 1.5 and 2 times the
    pretrained window and with one scale of colours, and then each head along the middle of the largest map.

    Args:
        checkpoint: A whole checkpoint, which passes :func:`match_state`.

    Raises:
        CheckpointError: The position bias is another one, or nothing tells the pretrained windows, by which it is
            measured.
    """
    if find_position_bias(checkpoint.weights.state) != "log_cpb":
        raise CheckpointError(f"{checkpoint.source}: its position bias is not log-CPB, whose picture this is")
    if checkpoint.windows is None:
        raise CheckpointError(
            f"{checkpoint.source}: nothing tells the window that it was trained with, without which its position bias "
            "cannot be drawn; under the name of its release the file would tell"
        )
    stages, pretrained = len(checkpoint.arch.depths), checkpoint.windows.pretrained
    figure = Figure(figsize=(14, 3 * stages + 0.8), layout="constrained")
    figure.suptitle(
        "Position bias of the first block of each stage, by the offset between two tokens.\n"
        "White frames and grey bands: the offsets that it was trained with."
    )
    rows = figure.subplots(stages, len(FACTORS) + 1, squeeze=False, width_ratios=[*(1 for _ in FACTORS), 1.3])
    for stage, (*maps, profile) in enumerate(rows):
        maps[0].set_ylabel(f"stage {stage}\ndy in tokens")
        _draw_stage(_network(checkpoint, stage), pretrained[stage], maps, profile)
    rows[0, -1].legend(handles=rows[0, -1].lines[-2:])
    return figure


@torch.no_grad()
def _draw_stage(network: LogCPB, pretrained: tuple[int, int], maps: list[Axes], profile: Axes) -> None:
    h, w = pretrained
    windows = [(round(h * factor), round(w * factor)) for factor in FACTORS]
    tables = [network.evaluate(coords_table(window, pretrained))[0] for window in windows]  # (2h-1, 2w-1, heads)
    means = [table.mean(dim=-1) for table in tables]
    colors = Normalize(float(means[-1].min()), float(means[-1].max()))
    for axes, window, mean in zip(maps, windows, means, strict=True):
        _draw_map(axes, mean, window, pretrained, colors)
    profile.figure.colorbar(maps[-1].images[0], ax=maps[-1], label="mean over heads")
    _draw_profile(profile, tables[-1][windows[-1][0] - 1], pretrained[1])


def _network(checkpoint: BackboneCheckpoint, stage: int) -> LogCPB:
    network = LogCPB(checkpoint.arch.num_heads[stage])
    stem = f"layers.{stage}.blocks.0.attn.cpb_mlp."
    network.load_state_dict({name: checkpoint.weights.state[f"{stem}{name}"] for name in network.state_dict()})
    return network


def _draw_map(
    axes: Axes, mean: Tensor, window: tuple[int, int], pretrained: tuple[int, int], colors: Normalize
) -> None:
    """Draws the bias (2h-1, 2w-1) of a window (h, w), with the offset (0, 0) in the middle."""
    h, w = window
    extent = (0.5 - w, w - 0.5, h - 0.5, 0.5 - h)
    axes.imshow(mean.numpy(), extent=extent, norm=colors, interpolation="nearest")
    axes.set(title=f"window {h} x {w}", xlabel="dx in tokens")
    if window == pretrained:
        axes.set_title(f"pretrained window {h} x {w}")
    else:
        _frame(axes, *pretrained)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))


def _frame(axes: Axes, h: int, w: int) -> None:
    """Draws a frame around the offsets within a window (h, w)."""
    corner, width, height = (0.5 - w, 0.5 - h), 2 * w - 1, 2 * h - 1
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linestyle="--", linewidth=1.5))


def _draw_profile(axes: Axes, heads: Tensor, trained_w: int) -> None:
    """Draws the bias (2w-1, heads) over dx, where dy is 0."""
    w = len(heads) // 2 + 1
    dx = range(1 - w, w)
    axes.axvspan(1 - trained_w, trained_w - 1, color="0.9")
    axes.plot(dx, heads.numpy(), color="tab:blue", linewidth=1, alpha=0.4, label="a head")
    axes.plot(dx, heads.mean(dim=-1).numpy(), color="black", linewidth=2, label="mean over heads")
    axes.set(title="along dy = 0", xlabel="dx in tokens", ylabel="bias")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
