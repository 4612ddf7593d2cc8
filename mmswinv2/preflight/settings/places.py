"""The places in a config where MMEngine builds something, and the registries that it looks into there."""

from typing import Any, NamedTuple

from mmengine import registry as registries
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import LogProcessor, Runner, TestLoop, ValLoop


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
LOOP = Place("loop", (registries.LOOPS,), filled=("runner", "dataloader", "evaluator", "by_epoch"))
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
    filled=(
        *("sampler", "batch_sampler", "collate_fn", "worker_init_fn", "num_batch_per_epoch"),
        "disable_subprocess_warning",
    ),
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
    **dict.fromkeys(("backbone", "neck", "data_preprocessor", "act_cfg", "conv_cfg"), MODEL),
    **dict.fromkeys(("decode_head", "auxiliary_head", "bbox_head", "mask_head", "rpn_head", "roi_head"), MODEL),
    **dict.fromkeys(("panoptic_head", "assigner", "sampler", "bbox_coder", "anchor_generator"), MODEL),
    **dict.fromkeys(("loss_cls", "loss_bbox", "loss_mask", "loss_decode"), MODEL),
}
BUILT = ("model.backbone", "model.neck", "model.decode_head", "model.rpn_head", "model.data_preprocessor")
NAMED_BY = {"constructor": CONSTRUCTOR, "ema_type": Place("model", (registries.MODELS,))}
OPERATORS = ("roi_layer", "nms")  # their types are mmcv's operators
UNTOUCHED = ("paramwise_cfg", "metainfo", "data_prefix", "backend_args", "custom_keys", "loss_scale")
FOREIGN_TRANSFORMS = ("Albu",)  # theirs are another package's
# What MMEngine builds from a dict that has no type.
IMPLIED: dict[str, Any] = {
    "val_cfg": ValLoop,
    "test_cfg": TestLoop,
    "optim_wrapper": OptimWrapper,
    "log_processor": LogProcessor,
    "randomness": Runner.set_randomness,
}


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
