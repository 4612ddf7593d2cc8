"""Necks and heads must fit the levels that the backbone gives."""

import pytest
from mmengine.config import Config

from mmswinv2.preflight.channels import channel_faults

ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"auxiliary_head.in_channels": 512},
            "model.auxiliary_head.in_channels has 512 for level 2, which has 64 channels",
        ),
        ({"auxiliary_head.in_index": 5}, "model.auxiliary_head reads level 5, the backbone returns 4 levels"),
        (
            {"decode_head.in_channels": [16, 32, 64, 96]},
            "model.decode_head.in_channels has 96 for level 3, which has 128",
        ),
        ({"backbone.out_indices": (0, 1, 2)}, "model.decode_head reads level 3, the backbone returns 3 levels"),
        ({"backbone.arch": "tiny"}, "model.decode_head.in_channels has 16 for level 0, which has 96 channels"),
    ],
)
def test_heads_that_do_not_fit_the_backbone_are_named(segmentation: Config, change: dict, sentence: str) -> None:
    """Before anything is built, where the error would be of a shape deep inside."""
    segmentation.merge_from_dict(
        dict(model=dict(backbone=dict(arch=dict(_delete_=True, **ARCH), out_indices=(0, 1, 2, 3))))
    )
    segmentation.merge_from_dict(
        {"model.decode_head.in_channels": [16, 32, 64, 128], "model.decode_head.in_index": [0, 1, 2, 3]}
    )
    segmentation.merge_from_dict({"model.auxiliary_head.in_channels": 64, "model.auxiliary_head.in_index": 2})
    assert list(channel_faults(segmentation.model)) == []
    segmentation.merge_from_dict({f"model.{key}": value for key, value in change.items()})
    assert any(sentence in fault for fault in channel_faults(segmentation.model))


def test_a_neck_that_does_not_fit_the_backbone_is_named(detection: Config) -> None:
    assert list(channel_faults(detection.model)) == []
    detection.model.neck.in_channels = [256, 512, 1024, 2048]
    assert list(channel_faults(detection.model)) == [
        "model.neck.in_channels is [256, 512, 1024, 2048], the levels of the backbone have [24, 48, 96, 192]: "
        "set model.neck.in_channels=[24, 48, 96, 192], or the backbone's arch and out_indices"
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"neck.num_outs": 3}, "model.neck.num_outs must be at least 4"),
        ({"neck.end_level": 7}, "model.neck.end_level must be -1 or a level from start_level to 3, got 7"),
        (
            {"neck.out_channels": 64},
            "model.roi_head.mask_roi_extractor.out_channels is 32, model.neck.out",
        ),
        ({"rpn_head.anchor_generator.strides": [4, 8]}, "model.rpn_head.anchor_generator.strides has 2 levels"),
        (
            {"roi_head.bbox_roi_extractor.featmap_strides": [4, 8, 16, 32, 64, 128]},
            "model.roi_head.bbox_roi_extractor.featmap_strides has 6 levels, model.neck.num_outs is 5",
        ),
    ],
)
def test_what_does_not_fit_over_a_pyramid_is_named(detection: Config, change: dict, sentence: str) -> None:
    """Heads that would read other channels or levels than FPN gives: MMDetection's error is of a shape."""
    detection.merge_from_dict({f"model.{key}": value for key, value in change.items()})
    assert any(sentence in fault for fault in channel_faults(detection.model))


def test_a_pyramid_that_leaves_levels_out_fits(detection: Config) -> None:
    """RetinaNet's FPN begins at the second level and makes more of the last."""
    detection.merge_from_dict({"model.neck.start_level": 1, "model.neck.num_outs": 5})
    assert list(channel_faults(detection.model)) == []
