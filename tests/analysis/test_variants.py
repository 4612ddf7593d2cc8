"""The variants are what they are said to be: one is this project's Swin V2, another MMDetection's Swin V1."""

from collections.abc import Iterator
from itertools import combinations

import pytest
import torch
from mmdet.models import SwinTransformer
from torch import Tensor

from mmswinv2 import SwinTransformerV2
from mmswinv2.analysis.variants import SwinVariant, set_gains
from mmswinv2.errors import ConfigError

from ..models.small_backbone import SMALL, loss_of
from ..reference import randomize_

ARCH = {**SMALL, "extra_norm_period": None}
ALL = [(norm, attention) for norm in ("post", "pre") for attention in ("cosine", "dot")]
each_variant = pytest.mark.parametrize(("norm", "attention"), ALL)


def make(norm: str, attention: str, **settings: object) -> SwinVariant:
    return SwinVariant(norm, attention, **{"arch": ARCH, "window_size": 4, "drop_path_rate": 0.0, **settings})


@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_post_norm_with_cosine_is_swin_v2(mode: str) -> None:
    """To the last bit, from the same seed or the same weights, with its extra norm too."""
    torch.manual_seed(1)
    settings = {"arch": SMALL, "drop_path_rate": 0.0}
    variant = make("post", "cosine", **settings)
    torch.manual_seed(1)
    v2 = SwinTransformerV2(window_size=4, **settings)
    assert all(torch.equal(one, other) for one, other in zip(variant.parameters(), v2.parameters(), strict=True))
    randomize_(v2)
    variant.load_state_dict(v2.state_dict())
    images = torch.randn(2, 3, 72, 60)
    for one, other in zip(variant.train(mode == "training")(images), v2.train(mode == "training")(images), strict=True):
        assert torch.equal(one, other)


def v1_state(v1: SwinTransformer, window: int) -> Iterator[tuple[str, Tensor]]:
    """Yields MMDetection's weights under the names of the variant."""
    for name, tensor in v1.state_dict().items():
        name = name.replace("stages.", "layers.").replace("patch_embed.projection", "patch_embed.proj")
        name = name.replace("w_msa.", "").replace("ffn.layers.0.0", "mlp.fc1").replace("ffn.layers.1", "mlp.fc2")
        name = name.replace("downsample.norm", "downsample.reduction.0")
        name = name.replace("downsample.reduction.weight", "downsample.reduction.1.weight")
        if name.endswith("qkv.bias"):
            q, _, v = tensor.chunk(3)  # that of k has no effect
            yield from ((name.replace("qkv.bias", "q_bias"), q), (name.replace("qkv.bias", "v_bias"), v))
        elif name.endswith("bias_table"):
            yield name[:-6] + ".table", tensor.view(2 * window - 1, 2 * window - 1, -1)
        elif "downsample" in name:
            # MMDetection has the pixels of a channel together, by rows: (C, 2, 2); here (column, row, C)
            pixels = tensor.view(*tensor.shape[:-1], -1, 2, 2).movedim((-3, -2, -1), (-1, -2, -3))
            yield name, pixels.reshape(tensor.shape)
        elif "relative_position_index" not in name:
            yield name, tensor
    yield "pretrained_window_sizes", torch.full((len(v1.stages), 2), window)


def test_pre_norm_with_dot_product_and_table_is_swin_v1() -> None:
    """The whole network of MMDetection, shifted windows included, at sizes where it neither pads nor shifts in vain."""
    arch = {"embed_dims": 16, "depths": (2, 3), "num_heads": (2, 4)}
    v1 = SwinTransformer(**arch, strides=(4, 2), window_size=4, out_indices=(0, 1), drop_path_rate=0.0)
    for parameter in v1.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    variant = make("pre", "dot", arch=arch, out_indices=(0, 1), position_bias="table")
    variant.load_state_dict(dict(v1_state(v1, window=4)))
    images = torch.randn(2, 3, 96, 64)  # maps of 24 x 16 and 12 x 8 tokens
    for one, other in zip(variant(images), v1(images), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@each_variant
def test_all_begin_with_the_same_linear_layers(norm: str, attention: str) -> None:
    """With one seed. Gains begin at 1 with pre-norm and at 0 with post-norm; cosine attention alone has a scale."""
    torch.manual_seed(1)
    variant = make(norm, attention)
    torch.manual_seed(1)
    v2 = make("post", "cosine")
    own = dict(variant.named_parameters())
    for name, parameter in v2.named_parameters():
        if name.endswith(("qkv.weight", "proj.weight", "fc1.weight", "fc2.weight", "cpb_mlp.0.weight")):
            assert torch.equal(own[name], parameter), name
    gains = {gain for block in variant.layers[2].blocks for gain in block.norm1.weight.tolist()}
    assert gains == {float(norm == "pre")}
    assert any("logit_scale" in name for name in own) == (attention == "cosine")


def test_the_four_differ() -> None:
    """With the same linear layers and all gains at 1."""
    outputs = []
    for norm, attention in ALL:
        torch.manual_seed(1)
        variant = make(norm, attention)
        for block in (block for stage in variant.layers for block in stage.blocks):
            set_gains(block, 1.0)
        torch.manual_seed(2)
        outputs.append(variant(torch.randn(1, 3, 64, 64))[-1])
    for one, other in combinations(outputs, 2):
        assert (one - other).abs().max() > 0.01


@each_variant
def test_evaluation_by_parts_and_training_agree_and_all_learn(norm: str, attention: str) -> None:
    """In evaluation a block is given a few windows at a time. Every parameter has a gradient."""
    variant = randomize_(make(norm, attention))
    images = torch.randn(1, 3, 300, 260)  # more than 4096 tokens
    outputs = variant(images)
    with torch.no_grad():
        for one, other in zip(variant.eval()(images), outputs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    loss_of(outputs).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in variant.parameters())


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="norm must be one of 'post', 'pre', got 'before'"):
        make("before", "dot")
    with pytest.raises(ConfigError, match="attention must be one of 'cosine', 'dot', got 'linear'"):
        make("post", "linear")
    with pytest.raises(ConfigError, match="take extra_norm_period out"):
        make("pre", "dot", arch=SMALL)
