"""Looks at the weights of ``load_from``, ``--resume`` and a test before they are loaded.

MMEngine loads what has a matching name and warns of the rest: a file that fits nothing leaves random weights.
"""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ..checkpoint import CheckpointError, match_state
from ..checkpoint.forms import PRETRAINED_WINDOWS
from ..checkpoint.matching import listed
from ..models import SwinTransformerV2
from ..registry import HOOKS


@HOOKS.register_module()
class WeightsCheckHook(Hook):
    """Refuses a checkpoint that does not hold the weights of every SwinV2 in the model.

    A run that goes on with ``--resume`` needs the other tensors of the model as well.

    Args:
        whole_model: Whether a run that does not resume needs them too, as a test does; a training from ``load_from``
            may have another head.
    """

    def __init__(self, whole_model: bool = False) -> None:
        self.whole_model = whole_model

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        """Called between reading and loading."""
        resume = bool(runner.cfg.get("resume"))
        if resume and "meta" not in checkpoint:
            raise CheckpointError(
                f"{runner.cfg.load_from} holds weights alone, no run to resume: without --resume, load_from starts a "
                "new run from them"
            )
        try:
            check_weights(runner.model, checkpoint, whole_model=resume or self.whole_model)
        except CheckpointError as error:
            raise CheckpointError(f"{runner.cfg.load_from}: {error}") from error


def check_weights(model: nn.Module, checkpoint: Mapping[str, Any], whole_model: bool) -> None:
    """Compares a checkpoint with the model that is about to be given its weights.

    Args:
        model: The model.
        checkpoint: What the file holds.
        whole_model: Whether heads and necks are compared too, and not the SwinV2s in the model alone.

    Raises:
        CheckpointError: Names the tensors that are missing or mis-shaped.
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
    if whole_model:
        _check_all(model.state_dict(), weights)


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


def _check_all(model: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    names = [name for name in model if name.rpartition(".")[2] != PRETRAINED_WINDOWS]
    faults = {
        "not in the checkpoint": [name for name in names if name not in weights],
        "of another shape": [name for name in names if name in weights and weights[name].shape != model[name].shape],
    }
    lines = [f"{fault} ({len(tensors)}): {listed(tensors)}" for fault, tensors in faults.items() if tensors]
    if lines:
        advice = "to train from its backbone alone: model.backbone.init_cfg=dict(type='Pretrained', checkpoint=...)"
        raise CheckpointError(
            "\n  ".join(["the checkpoint is one of another model than the config's:", *lines, advice])
        )
