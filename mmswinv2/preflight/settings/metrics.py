"""What the metrics of a config give, and whether the best checkpoint and early stopping look at one of these."""

from collections.abc import Callable, Iterator
from typing import Any

from ...errors import name_some
from .components import Component
from .names import nearest

NEAR = 0.6
RULES = ("greater", "less")
COCO_KINDS = ("bbox", "segm", "proposal", "proposal_fast")
COCO_ITEMS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
COCO_RECALLS = ("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000")
IOU_KINDS = {
    "mIoU": ("mIoU", "mAcc"),
    "mDice": ("mDice", "mAcc"),
    "mFscore": ("mFscore", "mPrecision", "mRecall"),
}
# By these MMEngine knows whether more or less of a metric is better.
SORTED_KEYS = ("acc", "top", "ar@", "auc", "precision", "map", "mdice", "miou", "macc", "aacc", "loss")


def as_list(value: object) -> list:
    """Returns a list as it is, and anything else as the one item of a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def metric_faults(components: list[Component]) -> Iterator[str]:
    """Yields a sentence for each misspelt name of a metric."""
    for component in components:
        for name, known in _named_metrics(component):
            for value in as_list(component.settings[name]):
                if not isinstance(value, str) or value not in known:
                    near = nearest(str(value), known, NEAR)
                    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
                    yield f"{component.key}.{name}: there is no metric {value!r}; {hint}"


def _named_metrics(component: Component) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields pairs of (setting that names metrics, metrics that there are)."""
    kind = getattr(component.target, "__name__", "")
    if kind == "CocoMetric" and "metric" in component.settings:
        yield "metric", COCO_KINDS
    if kind == "CocoMetric" and component.settings.get("metric_items") is not None:
        yield "metric_items", (*COCO_ITEMS, *COCO_RECALLS)
    if kind == "IoUMetric" and "iou_metrics" in component.settings:
        yield "iou_metrics", tuple(IOU_KINDS)


def given_names(components: list[Component], evaluator: str) -> tuple[str, ...] | None:
    """Returns the names of all numbers that an evaluator gives; None if one of its metrics is not known here."""
    names: list[str] = []
    metrics = [each for each in components if each.key == evaluator or each.key.startswith(f"{evaluator}.")]
    for component in metrics:
        given = GIVEN.get(getattr(component.target, "__name__", ""))
        if given is None:
            return None
        own, default_prefix = given
        prefix = component.settings.get("prefix") or default_prefix
        names += [f"{prefix}/{name}" if prefix else name for name in own(component.settings)]
    return tuple(names) if metrics else None


def _coco(settings: dict) -> Iterator[str]:
    items = as_list(settings["metric_items"]) if settings.get("metric_items") is not None else None
    for kind in as_list(settings.get("metric", "bbox")):
        if kind == "proposal_fast":
            numbers = settings.get("proposal_nums", (100, 300, 1000))
            yield from (f"AR@{number}" for number in as_list(numbers))
        elif kind == "proposal":
            yield from items or COCO_RECALLS
        else:
            yield from (f"{kind}_{item}" for item in items or COCO_ITEMS)


def _iou(settings: dict) -> Iterator[str]:
    yield "aAcc"
    for kind in as_list(settings.get("iou_metrics", ["mIoU"])):
        yield from IOU_KINDS.get(kind, ()) if isinstance(kind, str) else ()


def _accuracy(settings: dict) -> Iterator[str]:
    yield from (f"top{k}" for k in as_list(settings.get("topk", (1, 5))))


def _reconstruction(settings: dict) -> Iterator[str]:
    yield "l1"


# By the name of a class: its numbers, and the prefix that they have by default.
GIVEN: dict[str, tuple[Callable[[dict], Iterator[str]], str | None]] = {
    "CocoMetric": (_coco, "coco"),
    "IoUMetric": (_iou, None),
    "Accuracy": (_accuracy, "accuracy"),
    "ReconstructionError": (_reconstruction, "reconstruction"),
}


def best_faults(components: list[Component]) -> Iterator[str]:
    """Yields a sentence for each hook that waits for a number which no metric of the validation gives."""
    given = given_names(components, "val_evaluator")
    for component in components:
        name = {"CheckpointHook": "save_best", "EarlyStoppingHook": "monitor"}.get(
            getattr(component.target, "__name__", "")
        )
        if name is None or component.settings.get(name) is None:
            continue
        key, wanted = f"{component.key}.{name}", as_list(component.settings[name])
        unsound = [each for each in wanted if not isinstance(each, str)]
        if unsound:
            yield f"{key} must be the name of a metric, got {unsound[0]!r}"
            continue
        if given is not None:
            unknown = [each for each in wanted if each not in (*given, "auto")]
            for metric in unknown:
                if not _is_of_a_class(metric, components):
                    yield f"{key}: the validation gives no {metric!r}; {_offer(metric, given)}"
        yield from _rule_faults(component, key, wanted)


def _is_of_a_class(metric: str, components: list[Component]) -> bool:
    """Whether a name may be a class's own precision, which CocoMetric gives with classwise."""
    classwise = any(each.settings.get("classwise") for each in components if each.key.startswith("val_evaluator"))
    return classwise and metric.endswith("_precision")


def _offer(metric: str, given: tuple[str, ...]) -> str:
    ends = {name.rpartition("/")[2]: name for name in given}
    near = nearest(metric, given, NEAR) or ends.get(metric.rpartition("/")[2])
    return f"did you mean {near!r}?" if near else f"it gives {name_some(given, 12)}"


def _rule_faults(component: Component, key: str, wanted: list[str]) -> Iterator[str]:
    rules: Any = component.settings.get("rule")
    if rules is None:
        # CheckpointHook knows a direction from its own lists of names, which a config can replace.
        own = {"greater_keys", "less_keys"} & set(component.settings)
        unclear = [each for each in wanted if each != "auto" and not any(part in each.lower() for part in SORTED_KEYS)]
        if unclear and not own:
            yield (
                f"{key}: MMEngine does not know whether more of {unclear[0]!r} is better: set {component.key}.rule to "
                "'greater' or 'less'"
            )
        return
    for rule in as_list(rules):
        if rule not in RULES:
            yield f"{component.key}.rule must be 'greater' or 'less', got {rule!r}"
    if isinstance(rules, list | tuple) and len(rules) not in (1, len(wanted)):
        yield f"{component.key}.rule has {len(rules)} entries for {len(wanted)} metrics: give one, or one for each"
