"""What a model takes beside the stages of its backbone: images, patches, neck, heads and losses.

Which boxes a detector samples depends on values, so this part computes, on a CPU and on small images. In the place of
the stages are random features of the right shapes. What it takes grows along a line with the pixels, and two sizes
tell the line.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from ..errors import ConfigError
from ..layers.patches import PatchEmbed
from ..layers.windows import Pair
from ..models import SimMIM, SwinTransformerV2
from .batches import made_up_batch
from .live import LiveMemory
from .precision import Precision
from .skipped import WithoutProducts

SIDES = 128, 256  # pixels of the small images; multiples of every usual stride
BATCH = 2  # batch norm needs two where a map has one pixel
BACKBONE = "mmswinv2.SwinTransformerV2", "SwinTransformerV2"


class RestStep(NamedTuple):
    """What a step takes beside the stages of the backbone, in bytes.

    Attributes:
        gradients: Of parameters, at the time of the peak.
        peak: The most at one time while neck and heads work, features included and gradients of parameters not.
        kept: What stays while the backward pass of the stages runs.
    """

    gradients: int
    peak: float
    kept: float


class WithoutStages(SwinTransformerV2):
    """A backbone that has only its patch embedding, and gives random features.

    Attributes:
        memory: Of the step that runs.
        kept: Bytes that lived when the features' gradients were ready, those left out.
    """

    memory: LiveMemory
    kept: int

    def __init__(self, **settings: Any) -> None:
        with torch.device("meta"):
            super().__init__(**settings)
        self.is_trained = any(parameter.requires_grad for parameter in self.parameters())
        patches = PatchEmbed(self.in_channels, self.arch.embed_dims, self.patch_size)
        self.patch_embed = patches.requires_grad_(self.frozen_stages < 0)
        self.layers = nn.ModuleList()  # type: ignore[assignment] # as in the class itself
        for stage in self.out_indices:
            delattr(self, f"norm{stage}")
        self.pretrained_window_sizes = torch.empty(0)
        self.frozen_stages = -1  # those stages are gone

    def forward_stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """Returns features of the shapes that the stages would give."""
        self.kept = 0
        x = x if x.requires_grad else x.requires_grad_(self.is_trained)
        features: tuple[Tensor, ...] = _Stages.apply(x, self)
        return features


class _Stages(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, backbone: WithoutStages) -> tuple[Tensor, ...]:
        ctx.backbone, ctx.tokens = backbone, tokens.shape
        ctx.set_materialize_grads(False)
        batch, height, width, _ = tokens.shape
        return tuple(
            torch.randn(
                *(batch, backbone.arch.stage_dims[stage], -(-height // 2**stage), -(-width // 2**stage)),
                dtype=tokens.dtype,
            )
            for stage in backbone.out_indices
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None]:
        now = ctx.backbone.memory.now
        given = sum(gradient.nbytes for gradient in gradients if gradient is not None)
        ctx.backbone.kept = now.casts + now.activations - given
        return torch.zeros(ctx.tokens), None


def rest_step(cfg: Config, batch: int, size: Pair, precision: Precision) -> RestStep:
    """Measures two small steps, and goes on from them along a line.

    Args:
        cfg: The config of a training.
        batch: Images on a GPU.
        size: Height and width of an image in pixels.
        precision: In which types the step computes, and on what.

    Raises:
        ConfigError: The model is of a kind that is not known, does not take images of this size, or does not take
            batches as others of its kind.
    """
    model = build_without_stages(cfg)
    if isinstance(model, SimMIM):
        model.check_size(*size)
    precision.prepare(model)
    model.train()
    try:
        one, other = (measured_step(model, side, precision) for side in SIDES)
    except ConfigError:
        raise
    except Exception as error:  # models of other packages raise anything
        raise ConfigError(
            f"{type(model).__name__} does not learn from the images that plan makes up, "
            f"with boxes, masks and label maps ({type(error).__name__}: {error}), so it cannot be planned"
        ) from error
    pixels, (first, second) = size[0] * size[1], (side**2 for side in SIDES)
    share = (pixels - first) / (second - first)
    peak, kept = (batch / BATCH * (low + (high - low) * share) for low, high in zip(one[1:], other[1:], strict=True))
    return RestStep(other.gradients, peak, kept)


def measured_step(model: Any, side: int, precision: Precision) -> RestStep:
    """Runs a step with :data:`BATCH` square images."""
    backbones = [module for module in model.modules() if isinstance(module, WithoutStages)]
    with WithoutProducts(), LiveMemory(model) as memory:
        for backbone in backbones:
            backbone.memory = memory
        batch = made_up_batch(model, BATCH, (side, side))
        with precision.autocast(), precision.functions():
            losses = model(**batch, mode="loss")
        model.parse_losses(losses)[0].backward()
    model.zero_grad()
    peak = max(memory.moments, key=lambda moment: moment.casts + moment.activations)
    return RestStep(peak.gradients, peak.casts + peak.activations, sum(backbone.kept for backbone in backbones))


def build_without_stages(cfg: Config) -> Any:
    """Builds the model of a config on the CPU, as it is before a training, without the stages of its backbone.

    Raises:
        ConfigError: It has no SwinV2, or several.
    """
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        model: Any = revert_sync_batchnorm(MODELS.build(ConfigDict(_replaced(cfg.model), init_cfg=None)))
    number = sum(isinstance(module, WithoutStages) for module in model.modules())
    if number != 1:
        raise ConfigError(f"plan knows models with one mmswinv2.SwinTransformerV2, the config's has {number}")
    model.init_weights()
    return model


def _replaced(part: Any) -> Any:
    """A config with :class:`WithoutStages` in the place of its backbone."""
    if isinstance(part, list | tuple):
        return type(part)(_replaced(item) for item in part)
    if not isinstance(part, Mapping):
        return part
    if part.get("type") in (*BACKBONE, SwinTransformerV2):
        return {**part, "type": WithoutStages, "init_cfg": None}
    quick = {"sampling_ratio": 1} if part.get("type") == "RoIAlign" else {}  # changes no shape
    return ConfigDict({name: _replaced(value) for name, value in part.items()}, **quick)
