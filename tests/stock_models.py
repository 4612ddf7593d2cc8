"""Stock configs of MMDetection and MMSegmentation with their backbone swapped, as a user would write them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from mmengine import Config
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from mmswinv2.layers import SwinV2Block

# Wide enough for four heads of the last stage, small enough to train in a second.
ARCH = {"embed_dims": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)}
CHANNELS = [24, 48, 96, 192]
# Without stochastic depth, which could leave a block without gradient.
SWAPPED = {
    "_delete_": True,
    "type": "mmswinv2.SwinTransformerV2",
    "arch": ARCH,
    "window_size": 4,
    "drop_path_rate": 0.0,
}

STOCK_WIDTH = 256  # of every stock neck, and so of the heads over it
WIDTH = 64  # two channels for each of the 32 groups of the stock GroupNorm, which on a map of one pixel needs them
INPUT_SIZE = (110, 130)  # no multiple of 32
# Sizes of necks and heads, wherever the key occurs outside the backbone.
SMALL_SIZES = {
    "out_channels": WIDTH,
    "feat_channels": WIDTH,
    "conv_out_channels": WIDTH,
    "fc_out_channels": WIDTH,
    "channels": WIDTH,
    "embed_dims": WIDTH,
    "feedforward_channels": WIDTH,
    "num_feats": WIDTH // 2,  # the position encoding has sine and cosine of each
    "num_layers": 2,
    "num_queries": 20,
    "size": INPUT_SIZE,
    "max_per_img": 20,
    "max_per_image": 20,
    "score_thr": 0.0,  # an untrained head scores below the stock thresholds
}


class Swap(NamedTuple):
    """What a user changes of a stock config, all of it in the model.

    Attributes:
        package: ``mmdet`` or ``mmseg``.
        stock: Config file below the package's configs.
        channels: Changes to the neck or heads, and what else the old backbone left behind.
        out_indices: Outputs that the neck or head takes.
        unread: Outputs that it takes and leaves aside: their norms learn nothing, which distributed training
            allows with ``find_unused_parameters=True`` alone. Better not to give it these outputs.
        sizes: Sizes to make small that the stock config leaves to the head's default.
    """

    package: str
    stock: str
    channels: dict[str, Any]
    out_indices: tuple[int, ...] = (0, 1, 2, 3)
    unread: tuple[int, ...] = ()
    sizes: dict[str, int] = {}  # noqa: RUF012 (never written to)


def stock_config(package: str, stock: str) -> Path:
    """The config file as the installed package ships it."""
    return Path(import_module(package).__file__).parent / ".mim/configs" / stock


def child_config(folder: Path, stock: Path, **model: Any) -> Path:
    """Writes a config that inherits ``stock`` and changes ``model``; returns its path."""
    path = folder / f"swinv2_{stock.name}"
    path.write_text(f"_base_ = [{str(stock)!r}]\nmodel = {model!r}\n")
    return path


def swapped_config(folder: Path, swap: Swap) -> Config:
    """The stock config with another backbone, then made small."""
    backbone = {**SWAPPED, "out_indices": swap.out_indices}
    path = child_config(folder, stock_config(swap.package, swap.stock), backbone=backbone, **swap.channels)
    config = Config.fromfile(path)
    backbone = config.model.pop("backbone")
    _shrink(config.model)
    config.model.backbone = backbone
    config.merge_from_dict(swap.sizes)
    return config


@contextmanager
def built_model(config: Config) -> Iterator[nn.Module]:
    """Builds and initialises the model as MMEngine's Runner does before training.

    The post-norm gains are set at random: they start at zero, where most gradients are exactly zero.
    """
    with DefaultScope.overwrite_default_scope(config.default_scope):
        registry = import_module(f"{config.default_scope}.registry")
        model = registry.MODELS.build(config.model)
        model.init_weights()
        randomise_post_norm_gains(model.backbone)
        yield model


def randomise_post_norm_gains(backbone: nn.Module) -> None:
    """Gives every block an effect; at initialisation each is the identity."""
    for module in backbone.modules():
        if isinstance(module, SwinV2Block):
            nn.init.uniform_(module.norm1.weight, 0.5, 1.5)
            nn.init.uniform_(module.norm2.weight, 0.5, 1.5)


def _shrink(node: Any) -> None:
    """Makes necks, heads and test settings small, in place."""
    if isinstance(node, ConfigDict):
        for key, value in node.items():
            if key in SMALL_SIZES and not isinstance(value, ConfigDict):
                node[key] = SMALL_SIZES[key]
            elif key == "in_channels" and value == STOCK_WIDTH:
                node[key] = WIDTH
            else:
                _shrink(value)
    elif isinstance(node, list | tuple):
        for item in node:
            _shrink(item)
