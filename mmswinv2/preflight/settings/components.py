"""The parts of a config that MMEngine builds, each with the class or function that its ``type`` means.

Where a dict stands decides which registry its type is looked up in. Dicts whose type MMEngine chooses by itself, such
as a data loader, are parts as well.
"""

from typing import Any, NamedTuple

from mmengine import registry as registries
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, LogProcessor, Runner, TestLoop, ValLoop
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from ..types import find_type, is_operator, nearest_type, roots_of_all, unknown_operator, unknown_type
from .signatures import reads_key


class Place(NamedTuple):
    """Where a dict stands.

    Attributes:
        kind: What is built there, in a word for the user.
        roots: MMEngine's registries that its type may be in; the first one is the usual one.
        filled: Keywords that the builder gives; and those that it takes away before.
        certain: Whether a dict with a type is surely built from these registries.
        complete: Whether the dict has all arguments that the builder does not give.
    """

    kind: str
    roots: tuple[Registry, ...]
    filled: tuple[str, ...] = ()
    certain: bool = True
    complete: bool = True


class Component(NamedTuple):
    """A dict of the config and what is built from it.

    Attributes:
        key: Its config key.
        settings: The dict.
        target: The class or function.
        place: Where it stands.
        owner: What the dict around it builds, which may take keys out before; None at the top.
    """

    key: str
    settings: dict
    target: Any
    place: Place
    owner: Any = None


_MODELS = (registries.MODELS, registries.TASK_UTILS, registries.WEIGHT_INITIALIZERS)
MODEL = Place("model", _MODELS, complete=False)
MODEL_PART = Place("model", _MODELS, certain=False, complete=False)
NORM = MODEL._replace(filled=("requires_grad", "num_features"))
INIT = Place("weight initializer", (registries.WEIGHT_INITIALIZERS,), complete=False)
DATASET = Place("dataset", (registries.DATASETS,))
TRANSFORM = Place("transform", (registries.TRANSFORMS,))
SAMPLER = Place("data sampler", (registries.DATA_SAMPLERS,), filled=("dataset", "seed"))
BATCH_SAMPLER = Place("data sampler", (registries.DATA_SAMPLERS,), filled=("sampler", "batch_size"))
FUNCTION = Place("function", (registries.FUNCTIONS,), complete=False)
LOOP = Place("loop", (registries.LOOPS,), filled=("runner", "dataloader", "evaluator"))
METRIC = Place("metric", (registries.METRICS,))
EVALUATOR = Place("evaluator", (registries.EVALUATOR,))
OPTIM_WRAPPER = Place(
    "optim_wrapper", (registries.OPTIM_WRAPPERS,), filled=("optimizer", "constructor", "paramwise_cfg")
)
CONSTRUCTOR = Place("optimizer wrapper constructor", (registries.OPTIM_WRAPPER_CONSTRUCTORS,))
OPTIMIZER = Place("optimizer", (registries.OPTIMIZERS,), filled=("params", "model_params"))
SCHEDULER = Place(
    "parameter scheduler",
    (registries.PARAM_SCHEDULERS,),
    filled=("optimizer", "convert_to_iter_based", "epoch_length", "param_name"),
)
HOOK = Place("hook", (registries.HOOKS,), filled=("priority",))
VISUALIZER = Place("visualizer", (registries.VISUALIZERS,))
BACKEND = Place("vis_backend", (registries.VISBACKENDS,), filled=("save_dir",))
LOG_PROCESSOR = Place("log_processor", (registries.LOG_PROCESSORS,))
WRAPPER = Place("model_wrapper", (registries.MODEL_WRAPPERS,), filled=("module",), complete=False)
LOADER = Place(
    "data loader",
    (),
    filled=("sampler", "batch_sampler", "collate_fn", "worker_init_fn", "num_batch_per_epoch")
    + ("disable_subprocess_warning",),
)
CALL = Place("call", (), filled=("self", "parameters", "type"))

TOP = {
    "model": MODEL,
    "tta_model": MODEL,
    "data_preprocessor": MODEL,
    "model_wrapper_cfg": WRAPPER,
    "optim_wrapper": OPTIM_WRAPPER,
    "param_scheduler": SCHEDULER,
    "train_dataloader": LOADER,
    "val_dataloader": LOADER,
    "test_dataloader": LOADER,
    "train_cfg": LOOP,
    "val_cfg": LOOP,
    "test_cfg": LOOP,
    "val_evaluator": METRIC,
    "test_evaluator": METRIC,
    "default_hooks": HOOK,
    "custom_hooks": HOOK,
    "visualizer": VISUALIZER,
    "log_processor": LOG_PROCESSOR,
    "randomness": CALL,
}
# Where the key alone tells what is built; else it is what the dict around it is, but less surely.
INSIDE = {
    "dataset": DATASET,
    "datasets": DATASET,
    "pipeline": TRANSFORM,
    "transforms": TRANSFORM,
    "switch_pipeline": TRANSFORM,
    "optimizer": OPTIMIZER,
    "vis_backends": BACKEND,
    "metrics": METRIC,
    "clip_grad": CALL,
}
INSIDE_LOADER = {"sampler": SAMPLER, "batch_sampler": BATCH_SAMPLER, "collate_fn": FUNCTION, "worker_init_fn": FUNCTION}
INSIDE_MODEL = {
    "init_cfg": INIT,
    "norm_cfg": NORM,
    **dict.fromkeys(
        ("backbone", "neck", "decode_head", "auxiliary_head", "bbox_head", "mask_head", "rpn_head", "roi_head")
        + ("panoptic_head", "data_preprocessor", "assigner", "sampler", "bbox_coder", "anchor_generator")
        + ("loss_cls", "loss_bbox", "loss_mask", "loss_decode", "act_cfg", "conv_cfg"),
        MODEL,
    ),
}
# Parts of a model that are built wherever they stand.
BUILT = ("backbone", "neck", "decode_head", "rpn_head", "data_preprocessor", "anchor_generator", "bbox_coder")
NAMED_BY = {"constructor": CONSTRUCTOR, "ema_type": Place("model", (registries.MODELS,))}
OPERATORS = ("roi_layer", "nms")  # their types are mmcv's operators
UNTOUCHED = ("paramwise_cfg", "metainfo", "data_prefix", "backend_args", "custom_keys", "loss_scale")
FOREIGN_TRANSFORMS = ("Albu",)  # theirs are another package's


def components(config: dict, scope: str | None) -> tuple[list[Component], list[str]]:
    """Returns all parts of a config, and a sentence for each type that there is not.

    Args:
        config: The config, with the right containers.
        scope: Its default scope.
    """
    walk = _Walk()
    for name, place in TOP.items():
        if isinstance(config.get(name), dict | list | tuple):
            walk.visit(name, config[name], place, scope)
    return walk.found, walk.faults


class _Walk:
    """A walk through a config."""

    def __init__(self) -> None:
        self.found: list[Component] = []
        self.faults: list[str] = []

    def visit(self, key: str, node: object, place: Place, scope: str | None, owner: Any = None) -> None:
        """Looks at a value and all that is in it."""
        if isinstance(node, list | tuple):
            for index, item in enumerate(node):
                self.visit(f"{key}.{index}", item, place, scope, owner)
        elif isinstance(node, dict):
            scope = node["_scope_"] if isinstance(node.get("_scope_"), str) else scope
            target = self._target(key, node, place, scope, owner)
            if target is not None:
                self.found.append(Component(key, node, target, place, owner))
            if getattr(target, "__name__", "") not in FOREIGN_TRANSFORMS:
                self._visit_inside(key, node, place, scope, owner if target is None else target)

    def _visit_inside(self, key: str, node: dict, place: Place, scope: str | None, owner: Any) -> None:
        for name, value in node.items():
            if isinstance(value, str) and name in NAMED_BY:
                self._named(f"{key}.{name}", value, NAMED_BY[name], scope)
            elif isinstance(value, dict | list | tuple) and name not in UNTOUCHED:
                self.visit(f"{key}.{name}", value, inner_place(place, str(name), "type" in node), scope, owner)

    def _named(self, key: str, kind: str, place: Place, scope: str | None) -> None:
        if all(find_type(kind, root, scope) is None for root in place.roots):
            self.faults.append(f"{key}: {unknown_type(kind, place.kind, place.roots, scope)}")

    def _target(self, key: str, node: dict, place: Place, scope: str | None, owner: Any) -> Any:
        """Returns what is built from a dict; None if that is unknown or nothing."""
        kind = node.get("type")
        if not place.roots or kind is None:
            implied = _implied(key, node)
            if implied is None and place.certain and _lacks_type(key, node, place):
                self.faults.append(f"{key} has no type: write dict(type=..., ...), with the name of a {place.kind}")
            return implied
        if place is METRIC and "metrics" in node:
            place = EVALUATOR
        if not isinstance(kind, str):
            if callable(kind):
                return kind
            if place.certain:
                self.faults.append(f"{key}.type is {kind!r}, it must be the name of a {place.kind}")
            return None
        last = key.rpartition(".")[2]
        if last in OPERATORS:
            self.faults += [] if is_operator(kind) else [f"{key}.type: {unknown_operator(kind)}"]
            return None
        for root in place.roots:
            found = find_type(kind, root, scope)
            if found is not None:
                return found
        if place.certain or (not reads_key(owner, kind) and self._is_misspelt(kind, place, scope)):
            self.faults.append(f"{key}.type: {unknown_type(kind, place.kind, place.roots, scope)}")
        return None

    def _is_misspelt(self, kind: str, place: Place, scope: str | None) -> bool:
        """Whether a type that perhaps no registry has to know is known nowhere, but near to a known one."""
        if is_operator(kind) or any(find_type(kind, root, scope) is not None for root in roots_of_all()):
            return False
        return nearest_type(kind, place.roots, scope) is not None


def inner_place(place: Place, name: str, typed: bool) -> Place:
    """Returns the place of what stands under a key of a dict at ``place``, which has a type or only holds others."""
    if place is LOADER and name in INSIDE_LOADER:
        return INSIDE_LOADER[name]
    if place in (MODEL, MODEL_PART, NORM):
        return INSIDE_MODEL.get(name, MODEL_PART)
    inner = INSIDE.get(name)
    if inner is not None:
        return inner
    return place._replace(certain=False) if typed else place


def _lacks_type(key: str, node: dict, place: Place) -> bool:
    """Whether a dict without a type is to be built, and does not only hold others or come as a part of them."""
    if place in (MODEL, INIT, NORM):
        return key.rpartition(".")[2] in BUILT
    holds_others = bool(node) and all(isinstance(value, dict | list | tuple | None) for value in node.values())
    return not (holds_others or (key in TOP and not node) or "metrics" in node)


def _implied(key: str, node: dict) -> Any:
    """Returns what MMEngine builds from a dict that has no type."""
    name = key.rpartition(".")[2]
    if key == "train_cfg":
        return EpochBasedTrainLoop if node.get("by_epoch", True) else IterBasedTrainLoop
    if name == "clip_grad":
        return clip_grad_value_ if node.get("type") == "value" else clip_grad_norm_
    if key.endswith("_dataloader"):
        return DataLoader
    return IMPLIED.get(key)


IMPLIED = {
    "val_cfg": ValLoop,
    "test_cfg": TestLoop,
    "optim_wrapper": OptimWrapper,
    "log_processor": LogProcessor,
    "randomness": Runner.set_randomness,
}
