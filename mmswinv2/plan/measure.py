"""Puts a plan's parts together: a config in, a training with all its moments out."""

from itertools import chain

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from ..errors import ConfigError
from ..layers.windows import Pair
from ..models.backbone import backbones_in
from .backbone import backbone_step
from .live import Moment
from .precision import Precision
from .rest import RestStep, rest_step
from .strategies import Training, largest_block, outside_blocks, size_of
from .training import buckets_are_gradients, has_averaged_weights, optimizer_cost


def training_of(cfg: Config, batch: int, size: Pair, precision: Precision, rest: RestStep | None = None) -> Training:
    """Measures a step of a config's model.

    Args:
        cfg: The config of a training.
        batch: Images on a GPU.
        size: Height and width of an image in pixels.
        precision: In which types the step computes, and on what.
        rest: Of :func:`rest_step`, where it is known.

    Raises:
        ConfigError: There is no optimizer, or no SwinV2 in the model.
    """
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")), torch.device("meta"):
        model: nn.Module = MODELS.build(cfg.model)
    backbones = [backbone for _, backbone in backbones_in(model)]
    if len(backbones) != 1:
        raise ConfigError(f"plan knows models with one mmswinv2.SwinTransformerV2, the config's has {len(backbones)}")
    parameters, trained = size_of(model), size_of(model, trained=True)
    backbone_trained = size_of(backbones[0], trained=True)
    block, outside = largest_block(model), outside_blocks(model)
    optimizer = optimizer_cost(cfg, model, precision.like_gpu)
    rest = rest or rest_step(cfg, batch, size, precision)
    stages = backbone_step(backbones[0], batch, size, precision)
    heads = Moment(
        trained - backbone_trained, stages.kept.casts, stages.kept.activations + round(rest.peak)
    )  # their gradients are counted as if all were there at their peak
    later = (
        Moment(heads.gradients + at.gradients, at.casts, at.activations + round(rest.kept)) for at in stages.moments
    )
    return Training(
        moments=list(chain([heads], later)),
        parameters=parameters,
        trained=trained,
        largest_block=block,
        outside_blocks=outside,
        state=optimizer.state,
        temporary=optimizer.temporary,
        averaged=parameters if has_averaged_weights(cfg) else 0,
        half=precision.half,
        buckets_are_gradients=buckets_are_gradients(cfg),
    )
