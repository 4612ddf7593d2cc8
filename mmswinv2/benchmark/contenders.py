"""Who is measured: SwinV2 of this project and of other libraries, with the same weights and the same outputs.

Each is built as its library builds a backbone, without drop path. All give the four levels as a detector's neck takes
them, one LayerNorm a level and contiguous NCHW. Where a library has no such norms, :class:`Levels` adds them.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..checkpoint.forms import StateDict
from ..errors import ConfigError, EnvironmentProblem
from ..layers import GridPart, WindowGrid, attention, cell_bias, cosine_attention_plain
from ..models import SwinTransformerV2
from .cases import STRIDE, Case, check_choice
from .weights import in_form, seeded_backbone, stage_weights, torchvision_form


class Contender(NamedTuple):
    """An implementation.

    Attributes:
        name: Its name on the command line.
        package: The package that it is of, as it is imported.
        build: Returns the backbone of a case: images (B, 3, H, W) to a list of four levels.
        install: What installs the package.
    """

    name: str
    package: str
    build: Callable[[Case], nn.Module]
    install: str = ""


class Levels(nn.Module):
    """Adds this project's output norms to the backbone of another library.

    Args:
        stages: Gives four maps without an output norm.
        norms: A LayerNorm for each of them.
        channels_first: Whether its maps are (B, C, H, W), and not (B, H, W, C).
    """

    def __init__(self, stages: nn.Module, norms: Sequence[nn.Module], channels_first: bool) -> None:
        super().__init__()
        self.stages = stages
        self.norms = nn.ModuleList(norms)
        self.channels_first = channels_first

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps images (B, 3, H, W) to contiguous levels (B, C, H', W')."""
        maps = self.stages(x)
        if self.channels_first:
            maps = [level.permute(0, 2, 3, 1) for level in maps]
        return tuple(norm(level).permute(0, 3, 1, 2).contiguous() for norm, level in zip(self.norms, maps, strict=True))


def _with_norms(stages: nn.Module, ours: SwinTransformerV2, channels_first: bool) -> Levels:
    return Levels(stages, [ours.get_submodule(f"norm{index}") for index in ours.out_indices], channels_first)


def build_plain(case: Case) -> nn.Module:
    """Returns this project's backbone with the attention of the paper's equation, in a process that has no other."""
    attention.cosine_attention = plain_attention
    return seeded_backbone(case)


def plain_attention(
    qkv: Tensor, logit_scale: Tensor, bias: Tensor, grid: WindowGrid | GridPart, dropout: float = 0.0
) -> Tensor:
    """Computes what :func:`mmswinv2.layers.cosine_attention` does, by the formula as it is written."""
    assert not dropout  # nothing is dropped in a benchmark
    parts, start = [], 0
    for number, shape in grid.cells:
        tokens = shape[0] * shape[1]
        stop = start + number * tokens
        q, k, v = qkv[start:stop].unflatten(0, (number, tokens)).permute(2, 0, 3, 1, 4)  # (n, heads, tokens, d) each
        out = cosine_attention_plain(q, k, v, logit_scale, cell_bias(bias, grid.fitted_window, shape))
        parts.append(out.transpose(1, 2).reshape(number * tokens, -1))
        start = stop
    return torch.cat(parts)


def build_timm(case: Case) -> nn.Module:
    """Returns timm's SwinV2."""
    import timm

    ours = seeded_backbone(case)
    stages = timm.create_model(
        "swinv2_tiny_window8_256",  # all that its name says is overridden here
        pretrained=False,
        features_only=True,
        out_indices=(0, 1, 2, 3),
        img_size=case.size,
        window_size=case.window,
        pretrained_window_sizes=(case.window,) * len(case.arch.depths),
        drop_path_rate=0.0,
        embed_dim=case.arch.embed_dims,
        depths=case.arch.depths,
        num_heads=case.arch.num_heads,
    )
    state = in_form(stage_weights(ours), "timm")
    stages.load_state_dict({name.replace("layers.", "layers_", 1): x for name, x in state.items()})
    return _with_norms(stages, ours, channels_first=False)


class TransformersStages(nn.Module):
    """The maps of transformers' backbone as a list."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.backbone(x).feature_maps)


def build_transformers(case: Case) -> nn.Module:
    """Returns transformers' SwinV2."""
    from transformers import Swinv2Backbone, Swinv2Config

    ours = seeded_backbone(case)
    stages = range(len(case.arch.depths))
    config = Swinv2Config(
        image_size=case.size,
        window_size=case.window,
        pretrained_window_sizes=[case.window for _ in stages],
        embed_dim=case.arch.embed_dims,
        depths=list(case.arch.depths),
        num_heads=list(case.arch.num_heads),
        drop_path_rate=0.0,
        out_features=[f"stage{stage + 1}" for stage in stages],
    )
    backbone = Swinv2Backbone(config)
    backbone.load_state_dict(in_form(stage_weights(ours), "hf"))
    return _with_norms(TransformersStages(backbone), ours, channels_first=True)


class TorchvisionStages(nn.Module):
    """The maps of torchvision's stages; its own norm and head are left out."""

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, module in enumerate(self.features):
            x = module(x)
            if index % 2:  # a stage; the others are the patches and the mergings
                maps.append(x)
        return maps


def build_torchvision(case: Case) -> nn.Module:
    """Returns torchvision's SwinV2."""
    from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

    ours = seeded_backbone(case)
    model = SwinTransformer(
        [4, 4],
        case.arch.embed_dims,
        list(case.arch.depths),
        list(case.arch.num_heads),
        [case.window, case.window],
        stochastic_depth_prob=0.0,
        block=SwinTransformerBlockV2,
        downsample_layer=PatchMergingV2,
    )
    stages = TorchvisionStages(model.features)
    _load(stages, torchvision_form(stage_weights(ours)))
    return _with_norms(stages, ours, channels_first=False)


def build_mmpretrain(case: Case) -> nn.Module:
    """Returns MMPretrain's SwinV2."""
    from mmpretrain.models.backbones import SwinTransformerV2 as Stages

    ours = seeded_backbone(case)
    windows = [case.window] * len(case.arch.depths)
    stages = Stages(
        arch={
            "embed_dims": case.arch.embed_dims,
            "depths": list(case.arch.depths),
            "num_heads": list(case.arch.num_heads),
            "extra_norm_every_n_blocks": 0,
        },
        img_size=case.size,
        window_size=windows,
        pretrained_window_sizes=windows,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.0,
        pad_small_map=min(case.size) // STRIDE < case.window,  # where a map is as large as it, it would shift
    )
    for index in ours.out_indices:  # it has output norms of its own where it is asked to
        setattr(stages, f"norm{index}", ours.get_submodule(f"norm{index}"))
    state = in_form(stage_weights(ours), "mmpretrain")
    _load(stages, state)
    return stages


def _load(stages: nn.Module, state: StateDict) -> None:
    """Loads all weights; what may be missing are tables that the library computes, and norms that are in place."""
    missing, unexpected = stages.load_state_dict(state, strict=False)
    unknown = [*unexpected, *(name for name in missing if ".relative_" not in name and not name.startswith("norm"))]
    if unknown:
        raise EnvironmentProblem(f"the installed version has other names in its SwinV2, such as {unknown[0]}")


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("mmswinv2", "mmswinv2", seeded_backbone),
        Contender("mmswinv2-plain", "mmswinv2", build_plain),
        Contender("timm", "timm", build_timm, "timm"),
        Contender("transformers", "transformers", build_transformers, "'transformers<5'"),
        Contender("torchvision", "torchvision", build_torchvision, "torchvision"),
        Contender("mmpretrain", "mmpretrain", build_mmpretrain, "onedl-mmpretrain"),
    )
}


def build(name: str, case: Case) -> nn.Module:
    """Returns the backbone of a contender.

    Raises:
        EnvironmentProblem: Its package is not installed, or cannot hold this size.
    """
    contender = CONTENDERS[name]
    if not is_installed(contender):
        raise EnvironmentProblem(f"{contender.package} is not installed")
    if case.arch.extra_norm_period and contender.package != "mmswinv2":
        raise EnvironmentProblem(f"{contender.package} has no extra norms, which SwinV2 of this size has")
    return contender.build(case)


def is_installed(contender: Contender) -> bool:
    """Whether its package can be found."""
    return find_spec(contender.package) is not None


def check_contenders(names: Sequence[str]) -> None:
    """Checks contenders that were asked for by name.

    Raises:
        ConfigError: There is no such contender.
        EnvironmentProblem: Its package is not installed.
    """
    for name in names:
        check_choice("--contenders", name, list(CONTENDERS))
        if not is_installed(CONTENDERS[name]):
            package, install = CONTENDERS[name].package, CONTENDERS[name].install
            raise EnvironmentProblem(f"--contenders {name}: {package} is not installed: pip install {install}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--contenders {' '.join(names)}: one is there twice")
