"""Optimizer groups: layer-wise learning rate decay, and what weight decay leaves alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from ..errors import ConfigError
from ..models.backbone import SwinTransformerV2
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS

NO_DECAY = ("logit_scale", "cpb_mlp", "mask_token")
PARAMWISE_KEYS = {"decay_rate", "custom_keys"}
CUSTOM_MULTIPLIERS = {"lr_mult", "decay_mult"}


def get_layer_id(name: str, depths: Sequence[int]) -> int:
    """Depth of a parameter of the backbone, 0 at the input.

    The patch embedding and the mask token are layer 0, block b of stage s is layer
    sum(depths[:s]) + b + 1, a patch merging belongs to the layer of its stage's last block, and the
    rest, the output norms, is layer sum(depths) + 1 (as in the official ``get_swin_layer``).

    Args:
        name: Parameter name within the backbone, such as ``layers.2.blocks.5.attn.q_bias``.
        depths: Blocks of each stage.
    """
    part, *rest = name.split(".")
    if part in ("patch_embed", "mask_token"):
        return 0
    if part != "layers":
        return sum(depths) + 1
    stage = int(rest[0])
    if rest[1] == "blocks":
        return sum(depths[:stage]) + int(rest[2]) + 1
    return sum(depths[: stage + 1])


def has_weight_decay(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: not to vectors (norms, biases), scales, the bias network, the mask token."""
    return parameter.dim() > 1 and not any(part in NO_DECAY for part in name.split("."))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor:
    """Groups the parameters of a model that contains a SwinTransformerV2.

    Weight decay leaves norms, biases, ``logit_scale``, ``cpb_mlp`` and the mask token alone, in the
    whole model. A backbone parameter of layer l gets the learning rate lr * decay_rate^(L + 1 - l),
    L the number of blocks; necks and heads get lr.

    Args:
        optim_wrapper_cfg: MMEngine's, with the ``optimizer`` and its ``lr`` and ``weight_decay``.
        paramwise_cfg: ``decay_rate`` in (0, 1], default 1; ``custom_keys`` as in MMEngine:
            {part of a name: dict(lr_mult=, decay_mult=)}, the longest match counts and multiplies.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        unknown = set(paramwise_cfg) - PARAMWISE_KEYS
        if unknown:
            raise ConfigError(
                f"optim_wrapper.paramwise_cfg has the unknown keys {sorted(unknown)}; "
                f"LayerDecayOptimWrapperConstructor takes {sorted(PARAMWISE_KEYS)}, finds the layers itself, "
                "and lets norms and biases never decay"
            )
        self.decay_rate = paramwise_cfg.get("decay_rate", 1.0)
        if not 0 < self.decay_rate <= 1:
            raise ConfigError(f"optim_wrapper.paramwise_cfg.decay_rate must lie in (0, 1], got {self.decay_rate!r}")
        self.custom_keys = paramwise_cfg.get("custom_keys", {})
        for key, custom in self.custom_keys.items():
            if not set(custom) <= CUSTOM_MULTIPLIERS:
                raise ConfigError(
                    f"optim_wrapper.paramwise_cfg.custom_keys[{key!r}] is {custom!r}, "
                    f"but takes {sorted(CUSTOM_MULTIPLIERS)} alone"
                )
        self.wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.wrapper_cfg.pop("optimizer", {}))
        for key in ("lr", "weight_decay"):
            if key not in self.optimizer_cfg:
                raise ConfigError(f"optim_wrapper.optimizer.{key} is missing: layer decay and groups scale it")

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Builds the optimizer wrapper and prints its groups once."""
        groups = self.param_groups(model)
        print_log(describe(groups), logger="current")
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, "params": groups})
        return OPTIM_WRAPPERS.build({"type": "OptimWrapper", **self.wrapper_cfg, "optimizer": optimizer})

    def param_groups(self, model: nn.Module) -> list[dict]:
        """Groups of the trainable parameters, each a dict with ``name``, ``params``, ``lr`` and ``weight_decay``."""
        scales = dict(self._layer_scales(model))
        members = defaultdict(list)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                where, scale = scales.get(name, ("rest", 1.0))
                key, lr_mult, decay_mult = self._custom_multipliers(name)
                decay = decay_mult if has_weight_decay(name, parameter) else 0.0
                where = f"{where}_{key}" if key else where
                members[where, scale * lr_mult, decay].append(parameter)
        lr, weight_decay = self.optimizer_cfg["lr"], self.optimizer_cfg["weight_decay"]
        return [
            {
                "name": f"{where}_{'decay' if decay else 'no_decay'}",
                "params": parameters,
                "lr_scale": scale,
                "lr": lr * scale,
                "weight_decay": weight_decay * decay,
            }
            for (where, scale, decay), parameters in members.items()
        ]

    def _layer_scales(self, model: nn.Module) -> Iterator[tuple[str, tuple[str, float]]]:
        """Pairs of (parameter name, (layer name, learning rate scale)) for every backbone in the model."""
        backbones = [(name, module) for name, module in model.named_modules() if isinstance(module, SwinTransformerV2)]
        if not backbones:
            raise ConfigError(
                "LayerDecayOptimWrapperConstructor found no mmswinv2.SwinTransformerV2 in the model: it knows the "
                "layers of that backbone alone; remove optim_wrapper.constructor for another"
            )
        for prefix, backbone in backbones:
            depths = backbone.arch.depths
            names = {f"{prefix}.{name}" if prefix else name: name for name, _ in backbone.named_parameters()}
            # SimMIM keeps its mask token beside the backbone, whose first layer it is part of.
            names[".".join([*prefix.split(".")[:-1], "mask_token"])] = "mask_token"
            for full_name, name in names.items():
                layer = get_layer_id(name, depths)
                yield full_name, (f"layer_{layer}", self.decay_rate ** (sum(depths) + 1 - layer))

    def _custom_multipliers(self, name: str) -> tuple[str, float, float]:
        """The longest of ``custom_keys`` in a name, its ``lr_mult`` and ``decay_mult``; without one "", 1, 1."""
        matches = sorted((key for key in self.custom_keys if key in name), key=lambda key: (-len(key), key))
        key = matches[0] if matches else ""
        custom = self.custom_keys.get(key, {})
        return key, custom.get("lr_mult", 1.0), custom.get("decay_mult", 1.0)


def describe(groups: Sequence[dict]) -> str:
    """A table of the groups: name, learning rate, weight decay, tensors, parameters."""
    rows = [f"{'group':24}{'lr':>12}{'weight decay':>14}{'tensors':>9}{'parameters':>12}"]
    for group in groups:
        count = sum(parameter.numel() for parameter in group["params"])
        rows.append(
            f"{group['name']:24}{group['lr']:12.3e}{group['weight_decay']:14.3g}{len(group['params']):9}{count:12,}"
        )
    return "Optimizer groups\n" + "\n".join(rows)
