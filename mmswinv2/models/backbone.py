"""Swin Transformer V2 as a backbone of MMDetection, MMSegmentation and any other MMEngine model."""

from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from mmengine.model import BaseAveragedModel, BaseModule, BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from ..arch import (
    WindowSize,
    check_choice,
    check_frozen_stages,
    check_out_indices,
    check_patch,
    check_rate,
    parse_arch,
    per_stage_windows,
    recomputed_blocks,
    reject_keywords,
)
from ..checkpoint.position_biases import check_position_bias, fit_tables
from ..checkpoint.windows import windows_in_buffer
from ..errors import ConfigError
from ..layers.bias_cache import BiasVersions, PositionBias
from ..layers.block import SwinV2Block
from ..layers.compared_biases import POSITION_BIASES
from ..layers.patches import PatchEmbed
from ..layers.stage import SwinV2Stage
from ..layers.windows import map_size
from ..registry import MODELS


@MODELS.register_module()
class SwinTransformerV2(BaseModule):
    """Swin Transformer V2 (arXiv 2111.09883): multi-scale features of images of any size.

    Windows are cut to the map, so nothing is padded inside the attention and nothing leaks over an
    edge. Weights trained with one window work with any other (log-CPB, paper section 3.3).

    Args:
        arch: ``tiny small base large huge giant``, or a dict with ``embed_dims``, ``depths``,
            ``num_heads`` and optionally ``extra_norm_period``.
        in_channels: Channels of the input.
        patch_size: Side of a patch in pixels, the stride of the first level.
        window_size: Window in tokens: an int, (h, w), or one int or pair per stage. Exactly two ints
            always mean (h, w).
        pretrained_window_sizes: Window with which the position bias was trained, in the same forms.
            None: what a loaded checkpoint says, else ``window_size``. It is kept in the buffer
            ``pretrained_window_sizes`` (stages, 2) and so in every checkpoint.
        out_indices: Stages whose features are returned, ascending. Later stages are not computed and
            their parameters not trained. Name only what the neck or head reads: the norm of an unread
            level gets no gradient, and distributed training would wait for it.
        drop_rate: Dropout on patches and on the outputs of attention and MLP, in [0, 1).
        attn_drop_rate: Dropout on attention weights, in [0, 1).
        drop_path_rate: Stochastic depth of the last block, rising linearly from 0, in [0, 1).
        frozen_stages: What is not trained. -1: nothing; 0: the patch embedding; n: the first n stages as well.
        with_cp: Activation checkpointing, less memory for more time. True: of every block. A count: of the first so
            many blocks of each stage. A count per stage: the same for each.
        position_bias: ``log_cpb``, the paper's and that of all published weights. ``linear_cpb`` and ``table``, with
            which the paper compares it, are for those who compare too. The names in a checkpoint tell which it has.
        init_cfg: MMEngine's. ``dict(type='Pretrained', checkpoint=...)`` takes every public form of SwinV2
            weights, as path, URL or ``hf-hub:OWNER/NAME``; see :func:`mmswinv2.checkpoint.load_pretrained`.

    Raises:
        ConfigError: A value is not among those above.
        ConfigTypeError: The backbone has no such keyword. For those of Swin V1 the message says what to do.
    """

    layers: Sequence[SwinV2Stage]

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "tiny",
        in_channels: int = 3,
        patch_size: int = 4,
        window_size: WindowSize | Sequence[WindowSize] = 8,
        pretrained_window_sizes: WindowSize | Sequence[WindowSize] | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.2,
        frozen_stages: int = -1,
        with_cp: bool | int | Sequence[int] = False,
        position_bias: str = "log_cpb",
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        **unknown: object,
    ) -> None:
        reject_keywords(unknown, [name for name in signature(type(self)).parameters if name != "unknown"])
        # Not at the top: this import replaces MMEngine's loaders, and only those who build the backbone ask for that.
        from ..checkpoint.openmmlab import read_any_form

        super().__init__(init_cfg=read_any_form(init_cfg))
        self.arch = parse_arch(arch)
        num_stages = len(self.arch.depths)
        check_patch(in_channels, patch_size)
        check_choice("position_bias", position_bias, POSITION_BIASES)
        rates = {"drop_rate": drop_rate, "attn_drop_rate": attn_drop_rate, "drop_path_rate": drop_path_rate}
        for name, rate in rates.items():
            check_rate(name, rate)
        check_frozen_stages("frozen_stages", frozen_stages, num_stages)

        self.in_channels = in_channels
        self.patch_size = patch_size
        self.window_sizes = per_stage_windows("window_size", window_size, num_stages)
        self.position_bias = position_bias
        self.out_indices = check_out_indices("out_indices", out_indices, num_stages)
        self.frozen_stages = frozen_stages
        self.recomputed_blocks = recomputed_blocks(with_cp, self.arch.depths)
        self.pretrained_windows_are_explicit = pretrained_window_sizes is not None
        pretrained = window_size if pretrained_window_sizes is None else pretrained_window_sizes
        windows = per_stage_windows("pretrained_window_sizes", pretrained, num_stages)
        self.register_buffer("pretrained_window_sizes", torch.tensor(windows))  # (stages, 2)

        dims = self.arch.stage_dims
        self.patch_embed = PatchEmbed(in_channels, dims[0], patch_size)
        self.pos_drop = nn.Dropout(drop_rate)
        drop_path_rates = _linear_rates(drop_path_rate, self.arch.depths)
        self.layers = nn.ModuleList(  # type: ignore[assignment] # to mypy, its members are plain Modules
            SwinV2Stage(
                dims[stage],
                self.arch.depths[stage],
                self.arch.num_heads[stage],
                self.window_sizes[stage],
                drop_path_rates[stage],
                self.arch.extra_norm_period,
                position_bias,
                drop_rate=drop_rate,
                attn_drop_rate=attn_drop_rate,
                downsample=stage < num_stages - 1,
                recomputed_blocks=self.recomputed_blocks[stage],
            )
            for stage in range(num_stages)
        )
        for stage in self.out_indices:
            self.add_module(f"norm{stage}", nn.LayerNorm(dims[stage]))
        self._bias_versions = BiasVersions()
        self.reset_parameters()
        self._freeze()
        self.register_load_state_dict_pre_hook(_settle_position_bias)

    def reset_parameters(self) -> None:
        """Initialises as the official release does: linear layers from N(0, 0.02^2), gains of post-norms at zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, SwinV2Block):
                module.reset_post_norms()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Computes the features of the stages in ``out_indices``.

        Args:
            x: Images (B, in_channels, H, W). B, H and W are at least 1.

        Returns:
            For each stage i of ``out_indices`` a contiguous map of shape
            (B, C * 2^i, ceil(H / patch_size / 2^i), ceil(W / patch_size / 2^i)).

        Raises:
            ConfigError: ``x`` has another shape, or another type than the weights.
        """
        return self.forward_stages(self.embed(x))

    def embed(self, x: Tensor) -> Tensor:
        """Turns images into tokens (B, ceil(H / patch_size), ceil(W / patch_size), C); see :meth:`forward`."""
        if x.dim() != 4 or x.size(1) != self.in_channels or 0 in x.shape:
            raise ConfigError(
                f"expected images of shape (B, {self.in_channels}, H, W) with B, H and W at least 1, "
                f"got {tuple(x.shape)}"
            )
        weights = self.patch_embed.proj.weight.dtype
        if x.dtype != weights and not (x.is_floating_point() and torch.is_autocast_enabled(x.device.type)):
            raise ConfigError(f"expected images of {weights}, got {x.dtype}: a data_preprocessor makes them so")
        return self.patch_embed(x)

    def forward_stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """Computes from tokens (B, H, W, C) what :meth:`forward` returns."""
        batch, size = x.size(0), map_size(x)
        x = self.pos_drop(x).flatten(0, 2)  # (B * H * W, C), in raster order between stages
        used = self.layers[: self.out_indices[-1] + 1]
        networks = [module for stage in used for module in stage.modules() if isinstance(module, PositionBias)]
        bias_version = self._bias_versions.version(networks, self.pretrained_window_sizes)
        outputs = []
        for index, stage in enumerate(used):
            x = stage(x, batch, size, self.pretrained_window_sizes[index], bias_version)
            if index in self.out_indices:
                norm: nn.Module = getattr(self, f"norm{index}")
                outputs.append(norm(x).view(batch, *size, x.size(1)).permute(0, 3, 1, 2).contiguous())
            if index < self.out_indices[-1]:
                assert stage.downsample is not None  # the last stage alone has none, and no output follows it
                x, size = stage.downsample(x, batch, size)
        return tuple(outputs)

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Returns the layer of a parameter, 0 at the input, and the number of layers, as in MMPretrain.

        The patch embedding is layer 0, block b of stage s is layer sum(depths[:s]) + b + 1, a patch merging belongs to
        the layer of its stage's last block, and the output norms are layer sum(depths) + 1 (as in ``get_swin_layer``
        of github.com/microsoft/SimMIM).

        Args:
            param_name: Such as ``layers.2.blocks.5.attn.q_bias``.
            prefix: What precedes the backbone's names in a model. Parameters without it belong to the last layer.
        """
        depths = self.arch.depths
        part, *rest = param_name.removeprefix(prefix).split(".")
        if part == "patch_embed":
            layer = 0
        elif part != "layers" or not param_name.startswith(prefix):
            layer = sum(depths) + 1
        elif rest[1] == "blocks":
            layer = sum(depths[: int(rest[0])]) + int(rest[2]) + 1
        else:
            layer = sum(depths[: int(rest[0]) + 1])
        return layer, sum(depths) + 2

    def no_weight_decay_keywords(self) -> set[str]:
        """Returns parts of names. Parameters with such a part take no weight decay, like norms and biases."""
        return {"logit_scale", *POSITION_BIASES.values()}

    def train(self, mode: bool = True) -> "SwinTransformerV2":
        """Sets the mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _freeze(self) -> None:
        # Stages after the last output take no part in the loss: without gradients they would make
        # distributed training wait for them.
        last = self.out_indices[-1]
        unused = [self.layers[last].downsample, *self.layers[last + 1 :]]
        for module in [*self._frozen_modules(), *unused]:
            if module is not None:
                module.requires_grad_(False)

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        stages = range(self.frozen_stages)
        norms = [getattr(self, f"norm{index}") for index in stages if index in self.out_indices]
        return [self.patch_embed, self.pos_drop, *self.layers[: self.frozen_stages], *norms]

    def _check_stored_windows(self, stored: Tensor) -> None:
        current = self.pretrained_window_sizes
        windows_in_buffer(stored, len(current))
        if self.pretrained_windows_are_explicit and stored.tolist() != current.tolist():
            raise ConfigError(
                f"pretrained_window_sizes={current.tolist()} in the config contradicts the checkpoint, whose position "
                f"bias was trained with {stored.tolist()}: remove the key, and the checkpoint's value holds"
            )


def _settle_position_bias(
    backbone: SwinTransformerV2, state_dict: dict[str, Any], prefix: str, *unused: object
) -> None:
    """Decides before a load which pretrained windows hold, the constructor's or the file's, and fits tables."""
    # Raised rather than reported: MMEngine only warns of what a non-strict load reports.
    check_position_bias((name.removeprefix(prefix) for name in state_dict), backbone.position_bias)
    if backbone.position_bias == "table":
        own = {f"{prefix}{name}": tensor for name, tensor in backbone.state_dict(keep_vars=True).items()}
        state_dict.update(fit_tables(state_dict, own))
    key = f"{prefix}pretrained_window_sizes"
    if key in state_dict:
        backbone._check_stored_windows(state_dict[key])
    else:  # a file without them leaves the constructor's
        state_dict[key] = backbone.pretrained_window_sizes


def unwrapped(model: nn.Module) -> nn.Module:
    """Returns the model inside its wrappers: distribution, test time augmentation, averaged weights (EMA)."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel | BaseAveragedModel):
        model = model.get_submodule("module")
    return model


def backbones_in(model: nn.Module) -> Iterator[tuple[str, SwinTransformerV2]]:
    """Yields every SwinV2 in a model as (name, backbone); the name of the model itself is empty."""
    for name, module in model.named_modules():
        if isinstance(module, SwinTransformerV2):
            yield name, module


def build_for_last_stage(backbone: dict[str, Any], reader: str) -> SwinTransformerV2:
    """Builds the backbone of a model that reads the last stage alone.

    Args:
        backbone: Its config.
        reader: The model, for the error.

    Raises:
        ConfigError: ``out_indices`` names other stages.
    """
    built = MODELS.build(backbone)
    last = len(built.arch.depths) - 1
    if built.out_indices != (last,):
        raise ConfigError(
            f"{reader} reads the last stage alone: set backbone.out_indices=({last},), got {built.out_indices}"
        )
    return built


def _linear_rates(last_rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Stochastic depth of every block by stage, rising linearly from 0 to ``last_rate``."""
    rates = torch.linspace(0, last_rate, sum(depths), device="cpu").tolist()
    return [[rates.pop(0) for _ in range(depth)] for depth in depths]
