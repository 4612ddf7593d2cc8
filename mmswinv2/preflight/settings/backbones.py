"""The settings of every SwinV2 in a config, by the checks of its constructor."""

from collections.abc import Callable, Iterator
from functools import partial
from inspect import Parameter, signature

from ...arch import (
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
from ...errors import ConfigError
from ...layers import POSITION_BIASES
from ...models.backbone import SwinTransformerV2
from .components import Component


def backbone_faults(component: Component) -> Iterator[str]:
    """Yields a sentence for each setting that a SwinV2 would refuse."""
    if component.target is not SwinTransformerV2:
        return
    key = component.key
    parameters = signature(SwinTransformerV2).parameters
    known = [name for name, parameter in parameters.items() if parameter.kind is not Parameter.VAR_KEYWORD]
    values = {name: component.settings.get(name, parameters[name].default) for name in known}
    unknown = [str(name) for name in component.settings if name not in (*known, "type", "_scope_")]
    yield from _fault(partial(reject_keywords, unknown, known), f"{key}: ")
    yield from _fault(partial(check_patch, values["in_channels"], values["patch_size"], f"{key}."))
    yield from _fault(partial(check_choice, f"{key}.position_bias", values["position_bias"], POSITION_BIASES))
    for name in ("drop_rate", "attn_drop_rate", "drop_path_rate"):
        yield from _fault(partial(check_rate, f"{key}.{name}", values[name]))
    bad_arch = list(_fault(partial(parse_arch, values["arch"]), f"{key}.arch: "))
    yield from bad_arch
    if bad_arch:
        return
    depths = parse_arch(values["arch"]).depths
    windows = ["window_size"] + ["pretrained_window_sizes"] * (values["pretrained_window_sizes"] is not None)
    for name in windows:
        yield from _fault(partial(per_stage_windows, f"{key}.{name}", values[name], len(depths)))
    yield from _fault(partial(check_out_indices, f"{key}.out_indices", values["out_indices"], len(depths)))
    yield from _fault(partial(check_frozen_stages, f"{key}.frozen_stages", values["frozen_stages"], len(depths)))
    yield from _fault(partial(recomputed_blocks, values["with_cp"], depths), f"{key}: ")


def _fault(check: Callable[[], object], start: str = "") -> Iterator[str]:
    """Yields the message of the error that a check raises, if it raises one."""
    try:
        check()
    except ConfigError as error:
        yield f"{start}{error}"
