"""An error that comes up while a part of the config is built names the part."""

from collections.abc import Callable

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, DefaultScope

from mmswinv2.preflight import explain_failed_build


def failed(build: Callable[[object], object], part: object, cfg: Config) -> Exception:
    """The error that ``build`` raises."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), pytest.raises(Exception) as error:
        build(part)
    return error.value


def test_an_assertion_of_a_neck_names_the_neck(detection: Config) -> None:
    """MMDetection's words are kept, with the place in its code: the class itself may be at fault."""
    detection.model.neck.in_channels = 24
    message = str(explain_failed_build(failed(MODELS.build, detection.model, detection), detection))
    assert message.startswith("model.neck: FPN cannot be built from these settings: AssertionError: ")
    assert "fpn.py:" in message


def test_a_wrong_argument_names_the_hook(detection: Config) -> None:
    detection.custom_hooks = [dict(type="EMAHook"), dict(type="EarlyStoppingHook", monitor="x")]
    message = str(explain_failed_build(failed(HOOKS.build, detection.custom_hooks[1], detection), detection))
    assert message.startswith("custom_hooks.1: EarlyStoppingHook cannot be built from these settings: ValueError: ")


def test_an_error_outside_of_a_build_stays(detection: Config) -> None:
    assert explain_failed_build(ValueError("no build"), detection) is None
