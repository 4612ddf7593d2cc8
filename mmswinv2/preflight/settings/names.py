"""Keys that nothing reads: misspelt ones get the nearest, those of older versions what took their place."""

from collections.abc import Collection, Iterable, Iterator
from difflib import SequenceMatcher
from inspect import signature

from mmengine.runner import Runner

from ...errors import name_some
from .components import Component
from .places import LOADER
from .signatures import keywords_of, reads_key

NEAR = 0.85  # of the configs of MMDetection and MMSegmentation, no name of a variable comes as near to a key
NEAR_KEYWORD = 0.6
# What MMEngine's runner reads besides its arguments, and the test command.
FURTHER = (
    *("compile", "sync_bn", "find_unused_parameters", "activation_checkpointing", "efficient_conv_bn_eval"),
    *("model_wrapper_cfg", "custom_imports", "runner_type", "strategy", "tta_model", "tta_pipeline"),
)
# Keys of MMDetection 2 and MMSegmentation 0, and what does their work now.
FORMER = {
    "lr_config": "param_scheduler",
    "checkpoint_config": "default_hooks.checkpoint",
    "log_config": "default_hooks.logger",
    "evaluation": "val_evaluator, and train_cfg.val_interval",
    "optimizer_config": "optim_wrapper.clip_grad",
    "total_epochs": "train_cfg.max_epochs",
    "resume_from": "load_from and resume=True",
    "dist_params": "env_cfg.dist_cfg",
}
SLOTS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint", "visualization")
INSIDE = {  # dicts whose keys MMEngine reads one by one
    "env_cfg": ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"),
    "env_cfg.mp_cfg": ("mp_start_method", "opencv_num_threads"),
    "auto_scale_lr": ("enable", "base_batch_size"),
    "default_hooks": SLOTS,
}
OPEN = ("env_cfg", "default_hooks")  # others may have a meaning there
PARAMWISE = {
    "DefaultOptimWrapperConstructor": (
        *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult"),
        *("flat_decay_mult", "bypass_duplicate", "dcn_offset_lr_mult"),
    ),
    "LayerDecayOptimWrapperConstructor": ("decay_rate", "custom_keys"),
}


def nearest(name: str, known: Iterable[str], limit: float) -> str | None:
    """Returns the name nearest to ``name``; None if none is as near as ``limit``.

    A name with the same letters in another order counts as near.
    """
    lowered = name.lower()
    matcher = SequenceMatcher(b=lowered)
    best, likeness = None, limit
    for other in known:
        matcher.set_seq1(other.lower())
        swapped = len(name) > 3 and sorted(lowered) == sorted(other.lower())
        if not swapped and (matcher.real_quick_ratio() < likeness or matcher.quick_ratio() < likeness):
            continue
        ratio = max(matcher.ratio(), 0.9 * swapped)
        if ratio >= likeness and (best is None or ratio > likeness):
            best, likeness = other, ratio
    return best


def top_level_faults(config: dict) -> Iterator[str]:
    """Yields a sentence for each key at the top that is near to a known one.

    Every other unknown key is a variable of the user's own. So is a near one whose value the config uses elsewhere, or
    that only adds something to the name.
    """
    known = (*(name for name in signature(Runner).parameters if name != "cfg"), *FURTHER)
    for name, value in config.items():
        if not isinstance(name, str) or name in known:
            continue
        near = nearest(name, [key for key in known if not key.startswith("tta_")], NEAR)
        if near and not _is_variant(name, near) and not _is_used(value, name, config):
            yield f"{name}: nothing reads this key; did you mean {near!r}?"


def former_remarks(config: dict) -> Iterator[str]:
    """Yields a sentence for each key at the top that older versions read: configs keep them without harm."""
    for name in config:
        if name in FORMER and not _is_used(config[name], name, config):
            yield f"{name}: MMEngine does not read this key of older versions, but {FORMER[name]}"


def _is_variant(name: str, key: str) -> bool:
    """Whether a name is a key's with a number or a word added, as people name variables: model2, my_model."""
    rest = name.replace(key, "", 1)
    return rest != name and (rest.strip("_").isdigit() or rest.startswith("_") or rest.endswith("_"))


def _is_used(value: object, name: str, config: dict) -> bool:
    """Whether the value of a variable stands anywhere else in a config."""
    return isinstance(value, dict | list) and any(
        _contains(other, value) for key, other in config.items() if key != name
    )


def _contains(node: object, value: object) -> bool:
    if type(node) is type(value) and node == value:
        return True
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return any(_contains(part, value) for part in inside)


def inside_faults(config: dict) -> Iterator[str]:
    """Yields a sentence for each unknown key in the dicts that have no class behind them."""
    for key, known in INSIDE.items():
        node: object = config
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict):
            yield from _unknown_keys(key, node, known, only_near=key in OPEN)
    hooks = config.get("default_hooks")
    for name, hook in hooks.items() if isinstance(hooks, dict) else ():
        if hook is None and name not in SLOTS[:-1]:
            yield f"default_hooks.{name} is None, but there is no such hook to take out: remove the key"
    yield from _paramwise_faults(config.get("optim_wrapper"))


def _paramwise_faults(wrapper: object) -> Iterator[str]:
    settings = wrapper.get("paramwise_cfg") if isinstance(wrapper, dict) else None
    if not isinstance(wrapper, dict) or not isinstance(settings, dict):
        return
    constructor = wrapper.get("constructor", "DefaultOptimWrapperConstructor")
    known = PARAMWISE.get(str(constructor).rpartition(".")[2])
    if known is None:
        return
    key = "optim_wrapper.paramwise_cfg"
    yield from _unknown_keys(key, settings, known)
    custom = settings.get("custom_keys")
    if custom is not None and not isinstance(custom, dict):
        yield f"{key}.custom_keys is {custom!r}, it must be a dict: {{part of a name: dict(lr_mult=, decay_mult=)}}"
    elif custom:
        for name, multipliers in custom.items():
            if isinstance(multipliers, dict):
                yield from _unknown_keys(f"{key}.custom_keys.{name}", multipliers, ("lr_mult", "decay_mult"), True)
            else:
                yield f"{key}.custom_keys.{name} is {multipliers!r}, it must be a dict(lr_mult=, decay_mult=)"


def _unknown_keys(key: str, node: dict, known: Collection[str], only_near: bool = False) -> Iterator[str]:
    for name in node:
        if name in known:
            continue
        near = nearest(str(name), known, NEAR)
        if near:
            yield f"{key}.{name}: nothing reads this key; did you mean {near!r}?"
        elif not only_near:
            yield f"{key}.{name}: nothing reads this key; there are {', '.join(known)}"


def keyword_faults(component: Component) -> Iterator[str]:
    """Yields a sentence for each key of a part that its class does not take, and each that it lacks."""
    key, settings, target, place, owner = component
    keywords = keywords_of(target)
    name_of_target = getattr(target, "__name__", str(target))
    offered = [name for name in keywords.names if name not in place.filled or place is LOADER]
    for name in settings:
        if name in (*keywords.names, *place.filled, "type", "_scope_", "_delete_") or reads_key(owner, str(name)):
            continue
        near = nearest(str(name), offered, NEAR if keywords.any_other else NEAR_KEYWORD)
        if near:
            yield f"{key}.{name}: {name_of_target} has no such setting; did you mean {near!r}?"
        elif not keywords.any_other:
            takes = f"it takes {name_some(offered, 12)}" if offered else "it takes none"
            yield f"{key}.{name}: {name_of_target} has no such setting; {takes}"
    if place.complete and place.certain:
        missing = sorted(keywords.required - set(settings) - set(place.filled))
        if missing and place is not LOADER:
            yield f"{key} lacks {' and '.join(missing)}, which {name_of_target} needs"
