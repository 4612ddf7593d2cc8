"""What a user writes on the command line becomes cases, or one clear sentence."""

import pytest

from mmswinv2.benchmark.cases import make_cases, parse_size, parse_window
from mmswinv2.errors import ConfigError

from .small import CASE


def test_a_case_for_each_size_window_and_mode() -> None:
    cases = make_cases(["64x64", "800x1344"], ["8", "16"], ["train"], CASE)
    assert [case.name for case in cases] == [
        "train 64x64 w8",
        "train 64x64 w16",
        "train 800x1344 w8",
        "train 800x1344 w16",
    ]
    assert all(case.trains and case.whole_model is None and case.arch == CASE.arch for case in cases)


def test_modes_of_whole_models() -> None:
    (case,) = make_cases(["64x64"], ["8"], ["mask_rcnn-inference"], CASE)
    assert case.whole_model == "mask_rcnn" and not case.trains


NO_SIZES = ["512", "512x", "0x64", "-64x64", "512x512x3", "512.5x512", "64x65", "99999x64", "\u0663\u0662x32"]


@pytest.mark.parametrize("text", NO_SIZES)
def test_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="--sizes"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0", "1", "-8", "8x8", "eight", "8.0", "100000", ""])
def test_no_window(text: str) -> None:
    with pytest.raises(ConfigError, match="--windows"):
        parse_window(text)


def test_unknown_mode_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'inference'"):
        make_cases(["64x64"], ["8"], ["inferense"], CASE)


def test_upernet_cannot_train_on_one_image() -> None:
    """Its pooled branch has one value per channel and image, of which batch norm has no variance."""
    with pytest.raises(ConfigError, match="--batch 2"):
        make_cases(["64x64"], ["8"], ["upernet-train"], CASE)
    make_cases(["64x64"], ["8"], ["upernet-train"], CASE._replace(batch=2))
