"""Puts a plan's parts together: a config in, a training with all its moments out."""

from itertools import chain

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from ..layers.windows import Pair
from ..models.backbone import backbones_in
from .backbone import backbone_step
from .live import Moment
from .precision import Precision
from .rest import RestStep, rest_step
from .strategies import Training, largest_block, outside_blocks, size_of
from .training import has_averaged_weights, optimizer_cost


def training_of(cfg: Config, batch: int, size: Pair, precision: Precision, rest: RestStep | None = None) -> Training:
    """Measures a step of a config's model.

    Args:
        cfg: The config of a training.
        batch: Images on a GPU.
        size: Height and width of an image in pixels.
        precision: In which types the step computes, and on what.
        rest: Of :func:`rest_step`, where it is known.

    Raises:
        ConfigError: There is no optimizer, or not exactly one SwinV2 in the model.
    """
    rest = rest or rest_step(cfg, batch, size, precision)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")), torch.device("meta"):
        model: nn.Module = MODELS.build(cfg.model)
    ((_, backbone),) = backbones_in(model)
    parameters, trained = size_of(model), size_of(model, trained=True)
    backbone_trained = size_of(backbone, trained=True)
    block, outside = largest_block(model), outside_blocks(model)
    optimizer = optimizer_cost(cfg, model, precision.like_gpu)
    stages = backbone_step(backbone, batch, size, precision)
    others = trained - backbone_trained
    heads = Moment(rest.gradients, stages.kept.casts, stages.kept.activations + round(rest.peak))
    later = (Moment(others + at.gradients, at.casts, at.activations + round(rest.kept)) for at in stages.moments)
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
        groups=optimizer.groups,
    )
