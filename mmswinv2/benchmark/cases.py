"""What is measured: a case is one size of image, one window and one mode."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import product
from typing import NamedTuple

from ..arch import MAX_WINDOW, Arch
from ..errors import ConfigError

# The backbone alone, and whole models with it. A training step is a forward and a backward pass.
MODES = ("inference", "train", "mask_rcnn-inference", "mask_rcnn-train", "upernet-inference", "upernet-train")
DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("cpu", "cuda")
STRIDE = 32  # pixels of a token at the last stage
MAX_SIDE = 16384


class Case(NamedTuple):
    """What all contenders compute.

    Attributes:
        arch: Size of the backbone.
        size: Height and width of the images in pixels.
        window: Side of a window in tokens, the same for all stages.
        mode: One of :data:`MODES`.
        batch: Images in a step.
        dtype: One of :data:`DTYPES`; below float32 it is the type of autocast, and weights stay float32.
        device: One of :data:`DEVICES`.
        threads: Threads of torch; None: as many as it takes by itself.
        seed: Of weights and images.
    """

    arch: Arch
    size: tuple[int, int]
    window: int
    mode: str
    batch: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    threads: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """Such as ``inference 512x512 w8``."""
        return f"{self.mode} {self.size[0]}x{self.size[1]} w{self.window}"

    @property
    def trains(self) -> bool:
        """Whether a step has a backward pass."""
        return self.mode.endswith("train")

    @property
    def whole_model(self) -> str | None:
        """``mask_rcnn`` or ``upernet``; None: the backbone alone."""
        return self.mode.rpartition("-")[0] or None


def make_cases(sizes: Sequence[str], windows: Sequence[str], modes: Sequence[str], common: Case) -> list[Case]:
    """Returns a case for each size, window and mode; what else it needs is that of ``common``.

    Raises:
        ConfigError: A size, window or mode is none, or a mode cannot run with the batch.
    """
    for mode in modes:
        check_choice("--modes", mode, MODES)
    if "upernet-train" in modes and common.batch < 2:
        raise ConfigError(
            "--modes upernet-train needs --batch 2 or more: UPerNet's batch norm sees one value per image"
        )
    parsed = [parse_size(size) for size in sizes], [parse_window(window) for window in windows]
    return [common._replace(mode=mode, size=size, window=window) for mode, size, window in product(modes, *parsed)]


def parse_size(text: str) -> tuple[int, int]:
    """Returns the height and width that ``512x512`` stands for.

    Raises:
        ConfigError: It is no size, or its sides are no multiples of 32 pixels, which some contenders need.
    """
    match = re.fullmatch(r"([0-9]{1,9})[xX]([0-9]{1,9})", text)
    if match is None:
        raise ConfigError(f"--sizes {text!r} is no size: write HEIGHTxWIDTH in pixels, such as 800x1344")
    height, width = int(match[1]), int(match[2])
    if not all(0 < side <= MAX_SIDE and side % STRIDE == 0 for side in (height, width)):
        raise ConfigError(
            f"--sizes {text}: each side must be a multiple of {STRIDE} from {STRIDE} to {MAX_SIDE} pixels, "
            "the sizes that all contenders take"
        )
    return height, width


def parse_window(text: str) -> int:
    """Returns the window that ``16`` stands for.

    Raises:
        ConfigError: It is no window.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 2 <= int(text) <= MAX_WINDOW:
        raise ConfigError(f"--windows {text!r} is no window: write its side in tokens, from 2 to {MAX_WINDOW}")
    return int(text)


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Raises :class:`ConfigError` with the nearest choice if ``value`` is none of them."""
    if value not in choices:
        near = get_close_matches(value, choices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(choices)}"
        raise ConfigError(f"{option} {value!r} is unknown: {hint}")
