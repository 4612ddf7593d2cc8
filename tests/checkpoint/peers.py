"""SwinV2 of timm, transformers and torchvision, built as their releases are, and what they compute at every stage."""

from functools import partial
from typing import Any

import timm
from timm.models.swin_transformer_v2 import SwinTransformerV2 as TimmSwin
from torch import Tensor, nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2
from torchvision.models.swin_transformer import SwinTransformer as TorchvisionSwin
from transformers import Swinv2Backbone, Swinv2Config, Swinv2ForImageClassification, Swinv2Model

from .. import reference

NUM_CLASSES = 5

# Unnormalised maps (B, C, H, W) of every stage, and the last one normalised by the peer's own norm.
Features = tuple[list[Tensor], Tensor]


def timm_release(name: str, arch: dict) -> TimmSwin:
    """The model that timm builds for the name of a release, at another size."""
    return _ready(timm.create_model(name, num_classes=NUM_CLASSES, **timm_sizes(arch)))


def timm_small(arch: dict, side: int, window: int) -> TimmSwin:
    """A model of a size that has no release."""
    return _ready(TimmSwin(img_size=side, window_size=window, num_classes=NUM_CLASSES, **timm_sizes(arch)))


def timm_sizes(arch: dict) -> dict[str, Any]:
    return {"embed_dim": arch["embed_dims"], "depths": arch["depths"], "num_heads": arch["num_heads"]}


def timm_features(model: TimmSwin, image: Tensor) -> Features:
    final, stages = model.forward_intermediates(image)
    return stages, to_nchw(final)


def hf_config(arch: dict, side: int, window: int, pretrained: tuple[int, ...] | None = None) -> Swinv2Config:
    """The configuration of a release; it writes 0 for a pretrained window that is the window itself."""
    stages = len(arch["depths"])
    return Swinv2Config(
        image_size=side,
        window_size=window,
        pretrained_window_sizes=list(pretrained or [0] * stages),
        embed_dim=arch["embed_dims"],
        depths=list(arch["depths"]),
        num_heads=list(arch["num_heads"]),
        num_labels=NUM_CLASSES,
        out_features=[f"stage{stage + 1}" for stage in range(stages)],
    )


def hf_model(config: Swinv2Config) -> Swinv2Model:
    return _ready(Swinv2Model(config))


def hf_classifier(config: Swinv2Config) -> Swinv2ForImageClassification:
    return _ready(Swinv2ForImageClassification(config))


def hf_backbone(config: Swinv2Config) -> Swinv2Backbone:
    return _ready(Swinv2Backbone(config))


def hf_features(model: Swinv2Model, image: Tensor) -> Features:
    patches, size = model.embeddings(image)
    out = model.encoder(patches, size, output_hidden_states=True, output_hidden_states_before_downsampling=True)
    final = model.layernorm(out.last_hidden_state).transpose(1, 2)
    stages = list(out.reshaped_hidden_states[1:])  # the first are the patches
    return stages, final.reshape(stages[-1].shape)


def torchvision_model(arch: dict, window: int) -> TorchvisionSwin:
    """As ``swin_v2_t`` and the others are built."""
    return _ready(
        TorchvisionSwin(
            [4, 4],
            arch["embed_dims"],
            list(arch["depths"]),
            list(arch["num_heads"]),
            [window, window],
            num_classes=NUM_CLASSES,
            norm_layer=partial(nn.LayerNorm, eps=1e-5),
            block=SwinTransformerBlockV2,
            downsample_layer=PatchMergingV2,
        )
    )


def torchvision_features(model: TorchvisionSwin, image: Tensor) -> Features:
    x, stages = image, []
    for index, module in enumerate(model.features):
        x = module(x)
        if index % 2:  # a stage; the others are the patches and the mergings
            stages.append(to_nchw(x))
    return stages, to_nchw(model.norm(x))


def to_nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _ready(model: nn.Module) -> nn.Module:
    return reference.randomize_(model).eval()
