"""Checks that necks and heads fit the levels that the backbone and the neck of a model give."""

from collections.abc import Iterator

from ..arch import check_out_indices, parse_arch
from ..errors import ConfigError
from ..models.backbone import SwinTransformerV2

# Heads that read the backbone where there is no neck.
READERS = ("decode_head", "auxiliary_head", "bbox_head", "panoptic_head", "rpn_head")
PYRAMID_HEADS = ("rpn_head", "bbox_head")  # those over a neck have an anchor generator with a stride for each level


def channel_faults(model: dict) -> Iterator[str]:
    """Compares the channels that necks and heads expect with those of the levels of every SwinV2 in the model.

    Args:
        model: The config of a model.

    Yields:
        A sentence for each part that does not fit. It names the config key, what it says and what the levels have.
    """
    for key, part in _owners("model", model):
        yield from _faults_of_owner(key, part)


def _owners(key: str, part: object) -> Iterator[tuple[str, dict]]:
    """Yields (config key, part of the model) for the parts whose backbone is a SwinV2."""
    if not isinstance(part, dict):
        return
    backbone = part.get("backbone")
    kind = backbone.get("type") if isinstance(backbone, dict) else None
    if kind is SwinTransformerV2 or kind == "mmswinv2.SwinTransformerV2":
        yield key, part
    for name, inner in part.items():
        yield from _owners(f"{key}.{name}", inner)


def _faults_of_owner(key: str, owner: dict) -> Iterator[str]:
    """Yields what does not fit in a part of the model whose backbone is a SwinV2."""
    backbone = owner["backbone"]
    try:
        dims = parse_arch(backbone.get("arch", "tiny")).stage_dims
        stages = check_out_indices("out_indices", backbone.get("out_indices", (0, 1, 2, 3)), len(dims))
    except ConfigError:
        return  # what is wrong with the backbone itself is said elsewhere
    levels = [dims[stage] for stage in stages]
    neck = owner.get("neck")
    if neck:
        several = isinstance(neck, list | tuple)
        first, name = (neck[0], f"{key}.neck.0") if several else (neck, f"{key}.neck")
        if isinstance(first, dict):
            yield from _faults_of_neck(name, first, levels)
        if not several:
            yield from _faults_over_pyramid(key, owner, neck, levels)
        return
    for name in READERS:
        heads = owner.get(name) or []
        several = isinstance(heads, list | tuple)
        for index, head in enumerate(heads if several else [heads]):
            if isinstance(head, dict):
                yield from _faults_of_head(f"{key}.{name}" + (f".{index}" if several else ""), head, levels)
            if name == "decode_head":
                break  # the further ones of a cascade read what the first one gives


def _faults_of_neck(key: str, neck: dict, levels: list[int]) -> Iterator[str]:
    channels = neck.get("in_channels")
    if isinstance(channels, list | tuple) and list(channels) not in (levels, levels[::-1]):
        yield (
            f"{key}.in_channels is {list(channels)}, the levels of the backbone have {levels}: "
            f"set {key}.in_channels={levels}, or the backbone's arch and out_indices"
        )
    elif isinstance(channels, int) and channels not in levels:
        yield f"{key}.in_channels is {channels}, the levels of the backbone have {levels}"
    if not _is_fpn(neck):
        return
    start, end, outputs = neck.get("start_level", 0), neck.get("end_level", -1), neck.get("num_outs")
    if type(start) is not int or not 0 <= start < len(levels):
        yield f"{key}.start_level must be one of the {len(levels)} levels, from 0, got {start!r}"
    elif type(end) is not int or not (end == -1 or start <= end < len(levels)):
        yield f"{key}.end_level must be -1 or a level from start_level to {len(levels) - 1}, got {end!r}"
    else:
        used = (len(levels) if end == -1 else end + 1) - start
        if type(outputs) is not int or outputs < used:
            yield f"{key}.num_outs must be at least {used}, the number of levels that the neck reads, got {outputs!r}"


def _is_fpn(neck: dict) -> bool:
    return str(neck.get("type")).rpartition(".")[2] == "FPN"


def _faults_over_pyramid(key: str, owner: dict, neck: dict, levels: list[int]) -> Iterator[str]:
    """Yields what does not fit between an FPN and the heads over it."""
    outputs, width = neck.get("num_outs"), neck.get("out_channels")
    if not _is_fpn(neck) or type(outputs) is not int:
        return
    for name in PYRAMID_HEADS:
        head = owner.get(name)
        if not isinstance(head, dict):
            continue
        channels, generator = head.get("in_channels"), head.get("anchor_generator")
        if type(channels) is int and type(width) is int and channels != width:
            yield f"{key}.{name}.in_channels is {channels}, {key}.neck.out_channels is {width}: they must be the same"
        strides = generator.get("strides") if isinstance(generator, dict) else None
        if isinstance(strides, list | tuple) and len(strides) != outputs:
            yield (
                f"{key}.{name}.anchor_generator.strides has {len(strides)} levels, {key}.neck.num_outs is {outputs}: "
                "give a stride for each"
            )
    yield from _faults_of_extractors(key, owner.get("roi_head"), outputs, width)


def _faults_of_extractors(key: str, roi_head: object, outputs: int, width: object) -> Iterator[str]:
    for name in ("bbox_roi_extractor", "mask_roi_extractor"):
        extractor = roi_head.get(name) if isinstance(roi_head, dict) else None
        if not isinstance(extractor, dict):
            continue
        where, channels, strides = (
            f"{key}.roi_head.{name}",
            extractor.get("out_channels"),
            extractor.get("featmap_strides"),
        )
        if type(channels) is int and type(width) is int and channels != width:
            yield f"{where}.out_channels is {channels}, {key}.neck.out_channels is {width}: they must be the same"
        if isinstance(strides, list | tuple) and len(strides) > outputs:
            yield f"{where}.featmap_strides has {len(strides)} levels, {key}.neck.num_outs is {outputs}"


def _faults_of_head(key: str, head: dict, levels: list[int]) -> Iterator[str]:
    channels, indices = head.get("in_channels"), head.get("in_index")
    if isinstance(channels, list | tuple):
        indices = list(indices) if isinstance(indices, list | tuple) else list(range(len(channels)))
        if len(indices) != len(channels):
            yield f"{key}.in_channels has {len(channels)} entries, in_index {len(indices)}: give one for each level"
        pairs = list(zip(channels, indices, strict=False))
    elif isinstance(channels, int):
        pairs = [(channels, indices if isinstance(indices, int) else -1)]
    else:
        return
    for channel, index in pairs:
        if type(index) is not int or not -len(levels) <= index < len(levels):
            yield f"{key} reads level {index!r}, the backbone returns {len(levels)} levels (out_indices)"
        elif channel != levels[index]:
            yield f"{key}.in_channels has {channel!r} for level {index}, which has {levels[index]} channels"
