"""Whatever a config holds, the check of its settings passes it or refuses it with a ConfigError: nothing else."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_settings

from .mistakes import BASES, base

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**6),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1e-4", "-1", "type", "mmdet.", ".", "os.path", "nan", "mmdet.FPN", "bbox", "auto", "{}", "a/b"]),
    st.sampled_from([dict, len, object(), 1j, b"x"]),
)
NESTED = st.recursive(
    SCALARS,
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.lists(inside, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["type", "_scope_", "lr", "metric", "dataset", "x", "0"]), inside, max_size=4)
    ),
    max_leaves=8,
)
ADDED = ["optimizer", "neck", "batch_size", "begin", "metric", "save_best", "_scope_", "type"]


def places(node: Any, place: tuple = ()) -> list[tuple]:
    """The paths of all values in a config, itself excluded."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [inner for name, value in items for inner in [(*place, name), *places(value, (*place, name))]]


def holder(config: dict, place: tuple) -> Any:
    """The dict or list that holds the value at a place."""
    for part in place[:-1]:
        config = config[part]
    return config


@st.composite
def mutated_configs(draw: st.DrawFn) -> dict:
    """A real config with one to three values replaced, taken out, renamed or wrapped."""
    config = deepcopy(base(draw(st.sampled_from(list(BASES)))).to_dict())
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(config)))
        node, last = holder(config, place), place[-1]
        change = draw(st.sampled_from(["replace", "replace", "remove", "rename", "list", "text", "add"]))
        if change == "replace":
            node[last] = draw(NESTED)
        elif change == "remove":
            del node[last]
        elif change == "list":
            node[last] = [node[last]]
        elif change == "text":
            node[last] = str(node[last])
        elif change == "rename" and isinstance(node, dict):
            node[last[:-1] or "x"] = node.pop(last)
        elif change == "add" and isinstance(node, dict):
            node[draw(st.sampled_from(ADDED))] = draw(NESTED)
        if not places(config):
            break
    return config


def outcome(config: dict) -> str | None:
    """What the check says of a config; None if nothing. Any error but the project's own passes through."""
    try:
        remarks = check_settings(Config(config))
    except ConfigError as error:
        assert str(error)
        return str(error)
    assert all(isinstance(remark, str) for remark in remarks)
    return None


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mutated_configs())
def test_a_mutated_config_passes_or_is_refused(config: dict) -> None:
    outcome(config)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(["model", "train_cfg", "optim_wrapper", "val_evaluator", "x"]), NESTED))
def test_nonsense_is_refused(config: dict) -> None:
    outcome(config)


@pytest.mark.parametrize("config", [{}, dict(model=[]), dict(model=None), dict(model={})])
def test_a_config_without_a_model_is_refused(config: dict) -> None:
    assert "model" in (outcome(config) or "")
