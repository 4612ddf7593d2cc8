"""Looks at the weights of ``load_from``, ``--resume`` and a test before they are loaded.

MMEngine loads what has a matching name and warns of the rest: a file that fits nothing leaves random weights.
"""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ..checkpoint import CheckpointError, match_state
from ..models import SwinTransformerV2
from ..registry import HOOKS


@HOOKS.register_module()
class WeightsCheckHook(Hook):
    """Refuses a checkpoint that does not hold the weights of every SwinV2 in the model; heads are not looked at."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        """Called between reading and loading."""
        if runner.cfg.get("resume") and "meta" not in checkpoint:
            raise CheckpointError(
                f"{runner.cfg.load_from} holds weights alone, no run to resume: without --resume, load_from starts a "
                "new run from them"
            )
        check_weights(runner.model, checkpoint)


def check_weights(model: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Compares the weights of a whole model's checkpoint with those of every SwinV2 in the model.

    Args:
        model: The model that is about to be given the weights.
        checkpoint: What the file holds.

    Raises:
        CheckpointError: Names the backbone and its tensors that are missing or mis-shaped.
    """
    if is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    weights = checkpoint.get("state_dict", checkpoint)
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    for name, module in model.named_modules():
        if isinstance(module, SwinTransformerV2):
            prefix = f"{name}." if name else ""
            own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            _check_backbone(module, own, name)


def _check_backbone(backbone: SwinTransformerV2, weights: Mapping[str, Any], name: str) -> None:
    if not weights:
        raise CheckpointError(
            f"the checkpoint holds nothing for the model's {name}: it is no checkpoint of this model. Weights of a "
            f"backbone alone belong in its init_cfg: model.{name}.init_cfg=dict(type='Pretrained', checkpoint=...)"
        )
    try:
        match_state(weights, backbone.state_dict())
    except CheckpointError as error:
        raise CheckpointError(f"the checkpoint's {name}: {error}") from error
