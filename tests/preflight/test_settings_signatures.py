"""Which keywords a class takes, through parents that get its ``**kwargs``."""

from typing import Any

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.optim import MultiStepLR, OptimWrapper
from mmengine.utils import deprecated_api_warning
from torch.nn.utils import clip_grad_norm_

from mmswinv2.preflight.settings.signatures import keywords_of, reads_key


class Parent:
    def __init__(self, width: int, depth: int = 1) -> None:
        pass


class Passing(Parent):
    def __init__(self, height: int, **kwargs: Any) -> None:
        super().__init__(width=3, **kwargs)


class Keeping(Parent):
    def __init__(self, height: int, **kwargs: Any) -> None:
        self.colour = kwargs.pop("colour", None)
        super().__init__(**kwargs)


class Second:
    def __init__(self, colour: str = "red") -> None:
        pass


class Skipping(Parent, Second):
    def __init__(self, **kwargs: Any) -> None:
        super(Parent, self).__init__(**kwargs)


class Renamed:
    @deprecated_api_warning({"old": "new"})
    def __init__(self, new: int) -> None:
        pass


def test_keywords_that_go_on_to_the_parent_are_its_own() -> None:
    """What the child gives by itself is not required any more."""
    keywords = keywords_of(Passing)
    assert set(keywords.names) == {"height", "width", "depth"}
    assert keywords.required == {"height"}
    assert not keywords.any_other


def test_keywords_that_go_elsewhere_may_be_any() -> None:
    assert keywords_of(Keeping).any_other
    assert reads_key(Keeping, "colour")
    assert not reads_key(Keeping, "height")


def test_a_parent_that_super_leaves_out_is_left_out() -> None:
    """As in MMDetection's VFNetHead."""
    assert keywords_of(Skipping).names == ("colour",)


@pytest.mark.parametrize("target", [Renamed, torch.Size, torch.tensor, type("Bare", (), {})])
def test_what_cannot_be_told_is_open_or_empty(target: object) -> None:
    keywords = keywords_of(target)
    assert keywords.any_other or keywords.names == ()


def test_real_classes() -> None:
    assert keywords_of(MultiStepLR).required == {"optimizer", "milestones"}
    assert {"optimizer", "accumulative_counts", "clip_grad"} == set(keywords_of(OptimWrapper).names)
    assert keywords_of(CheckpointHook).any_other
    assert "max_norm" in keywords_of(clip_grad_norm_).names
