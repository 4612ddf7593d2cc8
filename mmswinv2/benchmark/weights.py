"""One set of weights for all contenders, and the forms in which they take it."""

import torch
from torch import Tensor, nn

from ..checkpoint.forms import FORMS, PRETRAINED_WINDOWS, StateDict
from ..models import SwinTransformerV2
from .cases import Case


def seeded_backbone(case: Case) -> SwinTransformerV2:
    """Returns this project's backbone with the weights of the case. They depend on arch and seed alone."""
    torch.manual_seed(case.seed)
    backbone = SwinTransformerV2(arch=case.arch._asdict(), window_size=case.window, drop_path_rate=0.0)
    _randomize(backbone)
    return backbone


def _randomize(module: nn.Module) -> None:
    """Gives every parameter values that matter. A new model has post-norms of gain 0, and its blocks do nothing."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("logit_scale"):
                continue  # log(10), as at the start of a training
            if parameter.dim() > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)  # gain of a norm
            else:
                parameter.normal_(std=0.3)


def stage_weights(backbone: SwinTransformerV2) -> StateDict:
    """Returns the weights of patches and stages, without output norms and without the buffer of windows."""
    return {name: x for name, x in backbone.state_dict().items() if not name.startswith(("norm", PRETRAINED_WINDOWS))}


def in_form(state: StateDict, name: str) -> StateDict:
    """Brings weights to the form of another library.

    Args:
        state: As from :func:`stage_weights`.
        name: Name of one of :data:`mmswinv2.checkpoint.forms.FORMS`: ``timm``, ``hf`` or ``mmpretrain``.
    """
    form = next(form for form in FORMS if form.name == name)
    if name == "mmpretrain":
        state = {key: unfold_order(x) if key.endswith("reduction.weight") else x for key, x in state.items()}
    return form.from_native(state)


def unfold_order(weight: Tensor) -> Tensor:
    """Columns of a patch merging's reduction in ``nn.Unfold``'s order, the reverse of ``fold_order``.

    Args:
        weight: (2C, 4C); column k * C + c, the neighbours along columns.

    Returns:
        (2C, 4C); column c * 4 + k, the neighbours along rows.
    """
    by_neighbour = weight.reshape(weight.size(0), 4, -1)[:, [0, 2, 1, 3]]  # (2C, 4, C)
    return by_neighbour.transpose(1, 2).flatten(1)


def torchvision_form(state: StateDict) -> StateDict:
    """Brings weights to torchvision's names: patches, stages and mergings are numbered in turn."""
    renamed: StateDict = {}
    for name, tensor in state.items():
        first, *rest = name.split(".")
        if first == "patch_embed":
            new = ["features", "0", {"proj": "0", "norm": "2"}[rest[0]], *rest[1:]]
        else:
            stage, kind, *inner = rest
            place = 2 * int(stage) + (2 if kind == "downsample" else 1)
            new = ["features", str(place), *inner]
        renamed[".".join(new).replace(".mlp.fc1.", ".mlp.0.").replace(".mlp.fc2.", ".mlp.3.")] = tensor
    return _join_biases(renamed)


def _join_biases(state: StateDict) -> StateDict:
    """One bias of q, k and v, where that of k is zero."""
    joined = dict(state)
    for name in [name for name in state if name.endswith(".attn.q_bias")]:
        stem = name.removesuffix("q_bias")
        q, v = joined.pop(name), joined.pop(f"{stem}v_bias")
        joined[f"{stem}qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])
    return joined
