"""Every form in which a window may be written, and every form that is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.registry import MODELS

from mmswinv2 import SwinTransformerV2
from mmswinv2.arch import per_stage_windows

TWO_STAGES = dict(arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]), out_indices=(0, 1))
KEYS = ["window_size", "pretrained_window_sizes"]


@pytest.mark.parametrize(
    ("value", "windows"),
    [
        (8, [(8, 8)] * 4),
        (1, [(1, 1)] * 4),
        ((8, 16), [(8, 16)] * 4),
        ([8, 16], [(8, 16)] * 4),
        ([16, 16, 16, 8], [(16, 16), (16, 16), (16, 16), (8, 8)]),
        (((4, 6), (8, 6), (8, 8), (1, 3)), [(4, 6), (8, 6), (8, 8), (1, 3)]),
        ([16, (16, 12), [16, 8], 8], [(16, 16), (16, 12), (16, 8), (8, 8)]),
    ],
    ids=str,
)
def test_every_form_of_a_window_is_read(value: int | list | tuple, windows: list[tuple[int, int]]) -> None:
    assert list(per_stage_windows("window_size", value, 4)) == windows


def test_two_ints_are_height_and_width_also_with_two_stages() -> None:
    """The ambiguous case: per stage would be another model without a word."""
    model = SwinTransformerV2(**TWO_STAGES, window_size=[4, 6])
    assert model.window_sizes == ((4, 6), (4, 6))
    assert model.pretrained_window_sizes.tolist() == [[4, 6], [4, 6]]


def test_two_stages_per_stage_are_written_as_pairs() -> None:
    model = SwinTransformerV2(**TWO_STAGES, window_size=[[4, 4], [6, 6]], pretrained_window_sizes=[(4, 4), 8])
    assert model.window_sizes == ((4, 4), (6, 6))
    assert model.pretrained_window_sizes.tolist() == [[4, 4], [8, 8]]


def test_one_stage_takes_a_list_of_one_or_a_pair() -> None:
    assert per_stage_windows("window_size", [8], 1) == ((8, 8),)
    assert per_stage_windows("window_size", [8, 4], 1) == ((8, 4),)


@given(st.lists(st.integers(1, 64) | st.tuples(st.integers(1, 64), st.integers(1, 64)), min_size=3, max_size=5))
def test_per_stage_entries_keep_their_order(entries: list[int | tuple[int, int]]) -> None:
    windows = per_stage_windows("window_size", entries, len(entries))
    assert list(windows) == [(entry, entry) if isinstance(entry, int) else entry for entry in entries]


def test_windows_come_through_the_registry() -> None:
    """A ConfigDict turns tuples into lists at times; the stages get what was written."""
    model = MODELS.build(dict(type="mmswinv2.SwinTransformerV2", **TWO_STAGES, window_size=((4, 6), 3)))
    assert [stage.window_size for stage in model.layers] == [(4, 6), (3, 3)]
    assert [tuple(y.shape) for y in model(torch.rand(1, 3, 20, 28))] == [(1, 8, 5, 7), (1, 16, 3, 4)]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "value",
    [
        *(0, -8, 8.0, True, "8", {"h": 8}, float("nan")),
        *([], [0, 8], [8, -8], [8, 8.0], [8, True], ["8", "8"], [8, None]),
        *([8, 8, 8, 0], [8, 8, 8, 8.0], [[8, 8], [8, 8], [8, 8], [8, 0]], [[8, 8, 8]] * 4, [[8]] * 4),
        *([[8, 8], [8, 8], [8, 8], True], ("8",) * 4),
    ],
    ids=str,
)
def test_a_wrong_form_is_refused(key: str, value: object) -> None:
    """The message names the config key, the forms there are and what was given."""
    with pytest.raises(
        ValueError, match=rf"{key} must be an int, a pair \(h, w\), or one .* per stage.* at least 1, got"
    ):
        SwinTransformerV2(**{key: value})


def test_window_size_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"window_size must be an int.*got None"):
        SwinTransformerV2(window_size=None)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [[8], [8, 8, 8], [8] * 5, [(8, 8), (8, 8)], [(8, 8)] * 5], ids=str)
def test_a_wrong_count_of_stages_is_refused(key: str, value: list) -> None:
    with pytest.raises(ValueError, match=f"{key} has {len(value)} entries, the model has 4 stages"):
        SwinTransformerV2(**{key: value})


def test_the_message_comes_through_the_registry() -> None:
    with pytest.raises(ValueError, match="window_size has 3 entries, the model has 4 stages"):
        MODELS.build(dict(type="mmswinv2.SwinTransformerV2", window_size=[8, 8, 8]))


@pytest.mark.parametrize("value", [1025, (8, 2**31), [8, 8, 8, 10**6]])
def test_a_window_that_no_machine_can_hold_is_refused(value: object) -> None:
    """The same bound as for what a checkpoint tells: what is trained can be read again."""
    with pytest.raises(ValueError, match="window_size must be at most 1024 tokens a side, got"):
        per_stage_windows("window_size", value, 4)
