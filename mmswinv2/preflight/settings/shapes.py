"""Which container each part of a config is: a dict where a dict is due, a list where a list is."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Shape(NamedTuple):
    """What a value may be.

    Attributes:
        kinds: Types that are allowed; None stands for itself.
        inside: Shapes of the values of a dict, by key.
        values: Shape of every other value of a dict.
        items: Shape of every item of a list.
        due: Keys that a dict must have.
    """

    kinds: tuple[type | None, ...]
    inside: "dict[str, Shape]" = {}  # noqa: RUF012 (never written to after this module is imported)
    values: "Shape | None" = None
    items: "Shape | None" = None
    due: tuple[str, ...] = ()


TEXT, TEXT_OR_NONE = Shape((str,)), Shape((str, None))
DICT, DICT_OR_NONE = Shape((dict,)), Shape((dict, None))
DICTS_OR_NONE = Shape((list, None), items=DICT)
PART = Shape((dict, list, None), items=DICT_OR_NONE)  # of a model: a neck, a head or a cascade of them
LOOP = Shape((dict, None))
EVALUATOR = Shape((dict, list, None), items=DICT)

DATASET_PARTS: dict[str, Shape] = {
    "pipeline": Shape((list, None), items=DICT),
    "data_prefix": Shape((dict, None), values=TEXT_OR_NONE),
    "ann_file": TEXT_OR_NONE,
    "data_root": TEXT_OR_NONE,
    "proposal_file": TEXT_OR_NONE,
    "img_suffix": Shape((str, tuple, list, None)),
    "metainfo": DICT_OR_NONE,
}
DATASET = Shape((dict,), DATASET_PARTS, due=("type",))
DATASET_PARTS |= {"dataset": DATASET, "datasets": Shape((list,), items=DATASET)}

LOADER = Shape(
    (dict, None),
    {"dataset": DATASET, "sampler": DICT_OR_NONE, "batch_sampler": DICT_OR_NONE, "collate_fn": DICT},
    due=("dataset",),
)
MODEL_PARTS: dict[str, Shape] = {
    "backbone": DICT_OR_NONE,
    "data_preprocessor": DICT_OR_NONE,
    "roi_head": DICT_OR_NONE,
    **dict.fromkeys(
        ("neck", "decode_head", "auxiliary_head", "bbox_head", "mask_head", "rpn_head", "panoptic_head"), PART
    ),
}
MODEL = Shape((dict,), MODEL_PARTS, due=("type",))
TOP = Shape(
    (dict,),
    {
        "model": MODEL,
        **dict.fromkeys(("train_dataloader", "val_dataloader", "test_dataloader"), LOADER),
        **dict.fromkeys(("train_cfg", "val_cfg", "test_cfg"), LOOP),
        **dict.fromkeys(("val_evaluator", "test_evaluator"), EVALUATOR),
        "optim_wrapper": Shape(
            (dict, None),
            {"optimizer": Shape((dict,), due=("type",)), "paramwise_cfg": DICT_OR_NONE, "clip_grad": DICT_OR_NONE},
        ),
        "param_scheduler": Shape((dict, list, None)),
        "default_hooks": Shape((dict, None), values=DICT_OR_NONE),
        "custom_hooks": Shape((list, None), items=Shape((dict,), due=("type",))),
        "env_cfg": Shape((dict,), {"mp_cfg": DICT, "dist_cfg": DICT}),
        "randomness": DICT,
        "visualizer": Shape((dict, None), {"vis_backends": DICTS_OR_NONE}),
        **dict.fromkeys(("log_processor", "auto_scale_lr", "data_preprocessor", "model_wrapper_cfg"), DICT_OR_NONE),
        **dict.fromkeys(("load_from", "work_dir", "experiment_name", "default_scope"), TEXT_OR_NONE),
        "launcher": TEXT,
        "resume": Shape((bool,)),
        "strategy": Shape((dict, str, None)),
    },
    due=("model",),
)
NAMES: dict[type | None, str] = {
    dict: "a dict",
    list: "a list",
    tuple: "a tuple",
    str: "a text",
    bool: "True or False",
    None: "None",
}


def sound_parts(config: dict) -> tuple[dict, list[str]]:
    """Returns what of a config has the right containers, and a sentence for each part left out.

    So the checks that follow meet no string in a dict's place.
    """
    faults: list[str] = []
    return _sound(config, "", TOP, faults) or {}, faults


def _sound(value: Any, key: str, shape: Shape, faults: list[str]) -> Any:
    """Returns the sound parts of a value; None where it is not sound as a whole."""
    if not _fits(value, shape.kinds):
        faults.append(f"{key} is {_named(value)}, it must be {_any_of(shape.kinds)}{_advice(value, shape.kinds)}")
        return None
    if isinstance(value, dict):
        return _sound_dict(value, key, shape, faults)
    if isinstance(value, list | tuple) and shape.items is not None:
        # None in the place of what is not sound: the others keep their index.
        return [_sound(item, f"{key}.{index}", shape.items, faults) for index, item in enumerate(value)]
    return value


def _sound_dict(value: dict, key: str, shape: Shape, faults: list[str]) -> dict:
    for name in shape.due:
        if name not in value and not (name == "type" and "_scope_" in value and len(value) == 1):
            faults.append(f"{key or 'The config'} has no {name}{_missing_advice(key, name)}")
    sound = {}
    for name, inner in value.items():
        expected = shape.inside.get(name, shape.values)
        kept = inner if expected is None else _sound(inner, f"{key}.{name}" if key else str(name), expected, faults)
        if kept is not None or inner is None:
            sound[name] = kept
    return sound


def _fits(value: object, kinds: Iterable[type | None]) -> bool:
    kinds = tuple(kinds)
    if value is None:
        return None in kinds
    allowed = tuple(kind for kind in kinds if kind is not None)
    return isinstance(value, allowed) or (isinstance(value, tuple) and list in allowed)


def _named(value: object) -> str:
    if isinstance(value, dict | list | tuple):
        return NAMES[dict] if isinstance(value, dict) else NAMES[list if isinstance(value, list) else tuple]
    return "None" if value is None else repr(value)[:60]


def _any_of(kinds: tuple[type | None, ...]) -> str:
    return " or ".join(NAMES[kind] for kind in kinds)


def _advice(value: object, kinds: tuple[type | None, ...]) -> str:
    if isinstance(value, list | tuple) and dict in kinds and all(isinstance(item, dict) for item in value):
        return ": write its dict without the brackets" if len(value) == 1 else ""
    if isinstance(value, dict) and list in kinds:
        return ": put it in brackets, [dict(...)]"
    return ""


def _missing_advice(key: str, name: str) -> str:
    if name == "type":
        return f": write {key}=dict(type=..., ...)"
    return ": is a _base_ file missing from it?" if not key else f": write {key}=dict({name}=dict(type=..., ...), ...)"
