"""What a config says of a training's memory: size and number of images, precision, optimizer, averaged weights."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS, DefaultScope
from torch import nn

from ..errors import ConfigError
from ..layers.windows import Pair

# Keys of transforms, and the order of their numbers: MMCV and MMDetection write (width, height), MMSegmentation's crop
# and the data preprocessors (height, width). A batch takes as much either way.
SIZE_KEYS = "crop_size", "scale", "scales", "img_scale", "input_size", "size"


class OptimizerCost(NamedTuple):
    """What an optimizer takes.

    Attributes:
        state: Bytes that it keeps for each byte of a trained parameter; AdamW 2.
        temporary: Bytes that a step takes for itself, a copy of what it works on: a parameter, or a group of them.
        groups: Bytes of each parameter, in the optimizer's groups.
    """

    state: float
    temporary: int
    groups: list[list[int]]


def image_size(cfg: Config) -> Pair:
    """Finds height and width in pixels of the batches, the greatest where they vary.

    What comes last decides: the data preprocessor's padding, else the last transform that has a size.

    Raises:
        ConfigError: Nothing has a size.
    """
    preprocessor = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
    paddings = [preprocessor, *(preprocessor.get("batch_augments") or [])]
    transforms = [*_transforms((cfg.get("train_dataloader") or {}).get("dataset") or {}), *paddings]
    sizes = [size for transform in transforms if (size := _largest(transform)) is not None]
    if not sizes:
        raise ConfigError(
            "No image size was found in train_dataloader.dataset.pipeline: give height and width in pixels, as in "
            "--size 800 1344"
        )
    height, width = (round(side) for side in sorted(sizes[-1]))  # landscape
    divisor = preprocessor.get("pad_size_divisor") or 1
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def _transforms(dataset: Any) -> Iterator[dict[str, Any]]:
    """All transforms of a data set, those of wrappers last."""
    for inner in (dataset.get("dataset"), *(dataset.get("datasets") or [])):
        if inner:
            yield from _transforms(inner)
    yield from dataset.get("pipeline") or []


def _largest(transform: Any) -> tuple[float, float] | None:
    """The largest size that a transform gives, of the last one in each of its branches where it has some."""
    branches = transform.get("transforms") or []
    found = [_largest(step) for branch in branches for step in (branch[::-1] if isinstance(branch, list) else [branch])]
    found += [size for key in SIZE_KEYS for size in _sizes(transform.get(key))]
    factor = max(transform.get("ratio_range") or (1,)) if "scale" in transform else 1
    sizes = [(size[0] * factor, size[1] * factor) for size in found if size is not None]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _sizes(value: Any) -> list[Pair]:
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        return [size for item in value for size in _sizes(item)]
    if type(value) is int and value > 1:
        return [(value, value)]
    sides = value if isinstance(value, list | tuple) else ()
    is_pair = len(sides) == 2 and all(type(side) is int and side > 1 for side in sides)
    return [(sides[0], sides[1])] if is_pair else []


def optimizer_cost(cfg: Config, model: nn.Module, like_gpu: bool) -> OptimizerCost:
    """Builds the optimizer over a model on the meta device, and lets it step once on a small tensor.

    Args:
        cfg: The config of a training.
        model: Its model.
        like_gpu: Whether the parameters will be on a GPU, where torch's optimizers take a group at a time by default.

    Raises:
        ConfigError: The config has no optimizer.
    """
    settings = deepcopy(cfg.get("optim_wrapper"))
    if not settings or not settings.get("optimizer"):
        raise ConfigError("The config has no optim_wrapper.optimizer, so it trains nothing that could be planned")
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        small = nn.Parameter(torch.zeros(64, 64))
        small.grad = torch.zeros_like(small)
        optimizer = OPTIMIZERS.build(dict(settings.optimizer, params=[small]))
        optimizer.step()
        for key in ("dtype", "loss_scale", "use_fp16"):  # an AmpOptimWrapper asks for a GPU when it is built
            settings.pop(key, None)
        groups = build_optim_wrapper(model, dict(settings, type="OptimWrapper")).param_groups
    kept = sum(value.nbytes for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value))
    defaults = optimizer.defaults
    foreach = defaults.get("foreach")
    by_group = like_gpu if foreach is None else foreach
    sizes = [[parameter.nbytes for parameter in group["params"] if parameter.requires_grad] for group in groups]
    temporary = max((sum(size) if by_group else max(size) for size in sizes if size), default=0)
    return OptimizerCost(kept // small.nbytes, 0 if defaults.get("fused") else temporary, sizes)


def is_half(cfg: Config) -> bool:
    """Whether a config trains in mixed precision."""
    return (cfg.get("optim_wrapper") or {}).get("type") == "AmpOptimWrapper"


def has_averaged_weights(cfg: Config) -> bool:
    """Whether a hook keeps an average of all weights (EMA)."""
    return any(hook.get("type") == "EMAHook" for hook in cfg.get("custom_hooks") or [])
