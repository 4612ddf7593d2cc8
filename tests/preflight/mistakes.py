"""Configs without mistakes, and the mistakes that people make in them, from ``mistakes.txt``."""

import re
from ast import literal_eval
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..support import ROOT

BASES = {
    "det": "configs/mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py",
    "cascade": "configs/cascade_mask_rcnn/cascade-mask-rcnn_swinv2-t-w16_fpn_ms-3x_coco.py",
    "seg": "configs/upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py",
    "cls": "configs/imagenet/swinv2-t-w8_8xb128-300e_in1k-256px.py",
    "simmim": "configs/simmim/simmim_swinv2-b-w12_16xb128-800e_in1k-192px.py",
    "tiny": "tests/cli/tiny_mask_rcnn.py",
}
TAKEN_OUT = object()
LINE = re.compile(r"(\w+): (\S+) (?:= (.+)|taken out)")


class Mistake(NamedTuple):
    """A config that is changed in one place.

    Attributes:
        base: Key of :data:`BASES`.
        key: The key that is changed, dotted as for ``--cfg-options``.
        value: What it is set to; TAKEN_OUT: the key is taken out.
        sentence: What the user reads, or the part of it that matters.
    """

    base: str
    key: str
    value: Any
    sentence: str


@lru_cache
def base(name: str) -> Config:
    """A config without mistakes; do not change it."""
    return Config.fromfile(ROOT / BASES[name])


def changed(mistake: Mistake) -> Config:
    """The base of a mistake with the change made."""
    config = Config(base(mistake.base).to_dict())
    *path, last = mistake.key.split(".")
    node: Any = config
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    if mistake.value is TAKEN_OUT:
        del node[last]
    else:
        node[last] = mistake.value
    return config


def read_mistakes() -> Iterator[Mistake]:
    """All mistakes of the table."""
    lines = Path(__file__).with_name("mistakes.txt").read_text().splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    for change, sentence in zip(rows[::2], rows[1::2], strict=True):
        match = LINE.fullmatch(change)
        assert match, change
        name, key, value = match.groups()
        yield Mistake(name, key, TAKEN_OUT if value is None else literal_eval(value), sentence.strip())
