"""Groups of parameters: layer-wise decay of the learning rate, and what weight decay leaves alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from ..errors import ConfigError
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS

PARAMWISE_KEYS = {"decay_rate", "custom_keys"}
CUSTOM_MULTIPLIERS = {"lr_mult", "decay_mult"}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Groups the parameters of a model by layer and by whether weight decay applies to them.

    The model tells both. Its modules are asked for ``get_layer_depth(name, prefix)``, as in MMPretrain: it returns the
    layer of a parameter and the number of layers. And they are asked for ``no_weight_decay_keywords()``: it returns
    parts of names that take no decay. The outermost module with the method answers for all that is in it.
    SwinTransformerV2 has both methods.

    A parameter of layer l out of L gets the learning rate lr * decay_rate^(L - 1 - l). Necks and heads, for which no
    module answers, get lr. In the whole model, weight decay leaves vectors alone, which are norms and biases.

    Args:
        optim_wrapper_cfg: MMEngine's, with the ``optimizer`` and its ``lr`` and ``weight_decay``.
        paramwise_cfg: ``decay_rate`` in (0, 1], default 1; ``custom_keys`` as in MMEngine:
            {part of a name: dict(lr_mult=, decay_mult=)}. The longest match counts, and multiplies.

    Raises:
        ConfigError: There is another key or value, or ``lr`` or ``weight_decay`` is missing.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        paramwise_cfg = {"decay_rate": 1.0, "custom_keys": {}, **(paramwise_cfg or {})}
        _check_paramwise_cfg(paramwise_cfg)
        for key in ("lr", "weight_decay"):
            if key not in optim_wrapper_cfg.get("optimizer", {}):
                raise ConfigError(f"optim_wrapper.optimizer.{key} is missing: layer decay and groups scale it")
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, **unused: Any) -> None:
        """Adds the groups of a whole model to ``params`` and logs them. MMEngine calls it once."""
        groups = self.param_groups(module)
        print_log(describe(groups), logger="current")
        params.extend(groups)

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Returns the groups of the trainable parameters.

        Each is a dict with ``name``, ``params``, ``lr_scale``, ``lr`` and ``weight_decay``.

        Raises:
            ConfigError: No module of the model tells its layers.
        """
        layers, exempt = dict(self._layer_scales(model)), set(_without_decay(model))
        members = defaultdict(list)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                where, scale = layers.get(name, ("rest", 1.0))
                key, lr_mult, decay_mult = self._custom_multipliers(name)
                decay = 0.0 if name in exempt or parameter.dim() < 2 else decay_mult
                where = f"{where}_{key}" if key else where
                members[where, scale * lr_mult, decay].append(parameter)
        return [
            {
                "name": f"{where}_{'decay' if decay else 'no_decay'}",
                "params": parameters,
                "lr_scale": scale,
                "lr": self.base_lr * scale,
                "weight_decay": self.base_wd * decay,
            }
            for (where, scale, decay), parameters in members.items()
        ]

    def _layer_scales(self, model: nn.Module) -> Iterator[tuple[str, tuple[str, float]]]:
        """Yields (parameter name, (layer name, learning rate scale)) for all that some module answers for."""
        parts = list(_outermost(model, "get_layer_depth"))
        if not parts:
            raise ConfigError(
                "LayerDecayOptimWrapperConstructor found no part of the model that tells its layers, by a method "
                "get_layer_depth(name, prefix), such as mmswinv2.SwinTransformerV2: remove optim_wrapper.constructor"
            )
        for prefix, part in parts:
            for name, _ in part.named_parameters():
                layer, count = part.get_layer_depth(name)
                yield prefix + name, (f"layer_{layer}", self.paramwise_cfg["decay_rate"] ** (count - 1 - layer))

    def _custom_multipliers(self, name: str) -> tuple[str, float, float]:
        """Returns the longest of ``custom_keys`` in a name, its ``lr_mult`` and ``decay_mult``; else "", 1, 1."""
        custom_keys = self.paramwise_cfg["custom_keys"]
        matches = sorted((key for key in custom_keys if key in name), key=lambda key: (-len(key), key))
        key = matches[0] if matches else ""
        custom = custom_keys.get(key, {})
        return key, custom.get("lr_mult", 1.0), custom.get("decay_mult", 1.0)


def describe(groups: Sequence[dict[str, Any]]) -> str:
    """Returns a table of the groups: name, learning rate, weight decay, tensors, parameters."""
    rows = [f"{'group':24}{'lr':>12}{'weight decay':>14}{'tensors':>9}{'parameters':>12}"]
    for group in groups:
        count = sum(parameter.numel() for parameter in group["params"])
        rows.append(
            f"{group['name']:24}{group['lr']:12.3e}{group['weight_decay']:14.3g}{len(group['params']):9}{count:12,}"
        )
    return "Optimizer groups\n" + "\n".join(rows)


def _check_paramwise_cfg(cfg: dict[str, Any]) -> None:
    unknown = set(cfg) - PARAMWISE_KEYS
    if unknown:
        raise ConfigError(
            f"optim_wrapper.paramwise_cfg has the unknown keys {sorted(unknown)}; "
            f"LayerDecayOptimWrapperConstructor takes {sorted(PARAMWISE_KEYS)}, asks the model for its layers, "
            "and lets norms and biases never decay"
        )
    rate = cfg["decay_rate"]
    if not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise ConfigError(f"optim_wrapper.paramwise_cfg.decay_rate must lie in (0, 1], got {rate!r}")
    for key, custom in cfg["custom_keys"].items():
        if not set(custom) <= CUSTOM_MULTIPLIERS:
            raise ConfigError(
                f"optim_wrapper.paramwise_cfg.custom_keys[{key!r}] is {custom!r}, "
                f"but takes {sorted(CUSTOM_MULTIPLIERS)} alone"
            )


def _without_decay(model: nn.Module) -> Iterator[str]:
    """Yields the names of parameters that the model exempts. A keyword equals a part of the name between dots."""
    for prefix, part in _outermost(model, "no_weight_decay_keywords"):
        keywords = part.no_weight_decay_keywords()
        yield from (prefix + name for name, _ in part.named_parameters() if not keywords.isdisjoint(name.split(".")))


def _outermost(module: nn.Module, method: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (prefix of its names, module) for the outermost modules of a model that have ``method``."""
    if callable(getattr(module, method, None)):
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _outermost(child, method, f"{prefix}{name}.")
