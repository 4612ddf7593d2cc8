"""Patch embedding and merging of maps whose sides are not multiples of anything."""

import pytest
import torch

from mmswinv2.layers import PatchEmbed, PatchMerging

from .. import reference


@pytest.mark.parametrize("size", [(8, 12), (9, 11), (1, 1), (3, 5)])
def test_incomplete_patches_are_filled_with_zeros(size: tuple[int, int]) -> None:
    embed = reference.randomize_(PatchEmbed(3, 8, patch_size=4))
    height, width = size
    image = torch.randn(2, 3, height, width)
    whole = torch.zeros(2, 3, -(-height // 4) * 4, -(-width // 4) * 4)
    whole[..., :height, :width] = image
    out = embed(image)
    assert out.shape == (2, -(-height // 4), -(-width // 4), 8)
    assert torch.equal(out, embed(whole))


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (1, 4)])
def test_merging_takes_neighbours_in_the_official_order(size: tuple[int, int]) -> None:
    """(0, 0), (1, 0), (0, 1), (1, 1) of the 2 x 2, reduced, then normalised: token by token."""
    height, width = size
    merging = reference.randomize_(PatchMerging(4))
    x = torch.randn(2, height, width, 4)
    tokens, smaller = merging(x.flatten(0, 2), 2, size)
    out = tokens.view(2, *smaller, 8)
    assert out.shape == (2, -(-height // 2), -(-width // 2), 8)
    for row in range(out.size(1)):
        for column in range(out.size(2)):
            neighbours = [
                x[:, y, z] if y < height and z < width else torch.zeros(2, 4)
                for z in (2 * column, 2 * column + 1)
                for y in (2 * row, 2 * row + 1)
            ]
            expected = merging.norm(merging.reduction(torch.cat(neighbours, -1)))
            torch.testing.assert_close(out[:, row, column], expected, atol=1e-6, rtol=1e-5)


def test_the_patch_embedding_is_the_convolution_that_its_weights_are_named_after() -> None:
    """Also in the gradients of weight and bias."""
    embed, image = reference.randomize_(PatchEmbed(3, 8, patch_size=4)), torch.randn(2, 3, 12, 20)
    expected = embed.norm(embed.proj(image).permute(0, 2, 3, 1))
    torch.testing.assert_close(embed(image), expected, atol=1e-5, rtol=0)
    weights, leaves = torch.randn_like(expected), list(embed.parameters())
    for one, other in zip(
        *(torch.autograd.grad((x * weights).sum(), leaves) for x in (embed(image), expected)), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)
