"""The ways to write window sizes, brought to one (h, w) per stage."""

from ..arch import is_positive_int

WindowSize = int | tuple[int, int]
FORMS = "an int, a pair (h, w), or one int or pair per stage"


def per_stage_windows(name: str, value: WindowSize | list | tuple, num_stages: int) -> tuple[tuple[int, int], ...]:
    """Window (h, w) in tokens of every stage.

    Args:
        name: Config key, for the error.
        value: An int; a pair (h, w) for all stages; or one int or pair per stage. Exactly two ints
            always mean (h, w), also for a model of two stages.
        num_stages: Stages of the model.

    Raises:
        ValueError: Another form, a number below 1, or a wrong count of stages.
    """
    if is_positive_int(value) or _is_pair(value):
        return (_as_pair(value),) * num_stages
    if isinstance(value, list | tuple) and value and all(is_positive_int(item) or _is_pair(item) for item in value):
        if len(value) == num_stages:
            return tuple(_as_pair(item) for item in value)
        raise ValueError(f"{name} has {len(value)} entries, the model has {num_stages} stages: {value!r}")
    raise ValueError(f"{name} must be {FORMS}, in tokens and at least 1, got {value!r}")


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_positive_int, value))


def _as_pair(value: WindowSize | list) -> tuple[int, int]:
    h, w = (value, value) if is_positive_int(value) else value
    return int(h), int(w)
