"""SimMIM's mask: how many patches, where, and which settings cannot work."""

import pytest
import torch

from mmswinv2.datasets import RandomPatchMask


@pytest.mark.parametrize(
    ("settings", "squares", "hidden"),
    [
        ({}, 36, 22),  # 0.6 * 36 = 21.6
        (dict(input_size=192, mask_ratio=0.75), 36, 27),
        (dict(input_size=320, mask_ratio=0.55), 100, 55),  # as a float product 55.00000000000001
        (dict(input_size=128, mask_patch_size=16, patch_size=2, mask_ratio=0.01), 64, 1),
    ],
)
def test_count_is_exact_and_whole_squares_are_hidden(settings: dict, squares: int, hidden: int) -> None:
    """The share of hidden squares, rounded up, in every draw."""
    transform = RandomPatchMask(**settings)
    tokens = settings.get("input_size", 192) // settings.get("patch_size", 4)
    side = round(squares**0.5)
    for _ in range(20):
        mask = transform({})["mask"]
        assert mask.dtype == torch.bool and mask.shape == (tokens, tokens)
        grid = mask.view(side, tokens // side, side, tokens // side).transpose(1, 2).flatten(2)
        assert torch.equal(grid.all(-1), grid.any(-1))
        assert grid.all(-1).sum() == hidden


def test_every_square_is_hidden_equally_often() -> None:
    """Placement is uniform: within 5 standard deviations of a binomial count."""
    transform, draws = RandomPatchMask(), 2000
    share = torch.stack([transform({})["mask"] for _ in range(draws)]).float().mean(0)
    expected = 22 / 36
    assert (share - expected).abs().max() < 5 * (expected * (1 - expected) / draws) ** 0.5


def test_other_entries_are_kept() -> None:
    assert RandomPatchMask()({"img_path": "x.jpg"})["img_path"] == "x.jpg"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(input_size=200), "input_size=200 must be a multiple of mask_patch_size=32"),
        (dict(input_size=0), "input_size=0 must be a multiple"),
        (dict(mask_patch_size=0), "mask_patch_size=0"),
        (dict(mask_patch_size=32, patch_size=6), "mask_patch_size=32 must be a multiple of the model's patch_size=6"),
        (dict(mask_ratio=0), r"mask_ratio must lie in \(0, 1\), got 0"),
        (dict(mask_ratio=1.0), r"mask_ratio must lie in \(0, 1\), got 1\.0"),
        (dict(mask_ratio=float("nan")), "mask_ratio must lie"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomPatchMask(**settings)
