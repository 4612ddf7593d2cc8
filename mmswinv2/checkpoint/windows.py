"""Which windows a checkpoint was trained with: the position bias is wrong, without an error, under another one."""

import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..arch import MAX_WINDOW
from ..errors import CheckpointError
from ..layers.position_bias import COORDINATE_RANGE, window_coordinates
from .forms import PRETRAINED_WINDOWS, num_stages

Windows = tuple[tuple[int, int], ...]

# swinv2_base_patch4_window12to16_192to256_22kto1k_ft, swinv2_tiny_window8_256.ms_in1k, swinv2-tiny-patch4-window8-256
RELEASE_NAME = re.compile(
    r"swinv2[-_](?:tiny|small|base|large)[-_](?:patch4[-_])?window(\d{1,4})(?:to(\d{1,4}))?[-_](\d{3})(?:to(\d{3}))?(?![^-_.])"
)


class TellingWeights(Protocol):
    """What of a backbone's tensors may tell the windows; see :class:`~mmswinv2.checkpoint.NativeWeights`."""

    @property
    def state(self) -> Mapping[str, Tensor]: ...

    @property
    def coords_tables(self) -> Mapping[int, list[Tensor]]: ...


@dataclass(frozen=True)
class WindowEvidence:
    """Windows (h, w) in tokens of each stage.

    Attributes:
        pretrained: Window that normalises the offsets of the position bias.
        trained: Window of the attention; None where only ``pretrained`` is known.
        source: What told them, for the user.
    """

    pretrained: Windows
    trained: Windows | None
    source: str


def find_windows(
    weights: TellingWeights,
    names: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> WindowEvidence | None:
    """What tells the windows, asked from the surest to the least sure; None if nothing does.

    Args:
        weights: The backbone's tensors: its ``pretrained_window_sizes``, its tables of coordinates.
        names: Names that may be those of a release: of the file, of a Hub repository.
        metadata: What this project writes beside the tensors of other forms: ``pretrained_window_sizes``
            and ``window_size``, each as [[h, w], ...] or the same in JSON.
        config: The ``config.json`` of a transformers or timm model.

    Raises:
        CheckpointError: What should tell the windows is damaged, or tells of a bias other than log-CPB.
    """
    stages = num_stages(weights.state)
    metadata, config = metadata or {}, config or {}
    trained = _from_metadata(metadata["window_size"], stages) if "window_size" in metadata else None
    if PRETRAINED_WINDOWS in weights.state:
        return WindowEvidence(windows_in_buffer(weights.state[PRETRAINED_WINDOWS], stages), trained, "its buffer")
    if weights.coords_tables:
        return _from_tables(weights.coords_tables, stages)
    if PRETRAINED_WINDOWS in metadata:
        return WindowEvidence(_from_metadata(metadata[PRETRAINED_WINDOWS], stages), trained, "its metadata")
    if config.get("model_type") == "swinv2":
        return _from_transformers_config(config, stages)
    candidates = (_from_release_name(name, stages) for name in (*names, config.get("architecture")))
    return next((evidence for evidence in candidates if evidence), None)


def check_windows(value: object, stages: int, where: str = "") -> Windows:
    """Whatever tells windows, the one judgement of whether they are any.

    Args:
        value: Windows written as [[h, w], ...].
        stages: How many there must be.
        where: What the message begins with.

    Raises:
        CheckpointError: Another form or number, or a side that is no integer from 1 to :data:`MAX_WINDOW`.
    """
    pairs = value if isinstance(value, list | tuple) else ()
    windows = tuple(window for pair in pairs if (window := _window(pair)))
    if not len(pairs) == len(windows) == stages:
        needed = f"a window (h, w) for each of {stages} stages, of 1 to {MAX_WINDOW} tokens"
        raise CheckpointError(f"{where}{reprlib.repr(value)} is not {needed}")
    return windows


def _window(pair: object) -> tuple[int, int] | None:
    match pair:
        case [int(h), int(w)] if bool not in (type(h), type(w)) and min(h, w) >= 1 and max(h, w) <= MAX_WINDOW:
            return h, w
    return None


def windows_in_buffer(buffer: Tensor, stages: int) -> Windows:
    """What a model's buffer ``pretrained_window_sizes`` (stages, 2) says; see :func:`check_windows`.

    Tools that give all tensors of a file one type, as DeepSpeed's ``zero_to_fp32.py``, make floats of its integers.
    """
    if buffer.is_floating_point() and buffer.shape == (stages, 2) and bool((buffer % 1 == 0).all()):
        buffer = buffer.long()
    # a list of a large one would take memory, and only its message would have it
    told = buffer.tolist() if buffer.shape == (stages, 2) else f"a tensor of shape {tuple(buffer.shape)}"
    return check_windows(told, stages, f"{PRETRAINED_WINDOWS} in the checkpoint: ")


def coords_table(window: tuple[int, int], pretrained: tuple[int, int]) -> Tensor:
    """The official ``relative_coords_table`` (1, 2h-1, 2w-1, 2), float32, of a window (h, w)."""
    return window_coordinates(window, torch.tensor(pretrained)).unsqueeze(0)


def official_windows(window: int, image_size: int, stages: int) -> Windows:
    """Window of each stage of an official model: it shrinks to a map that is smaller, 256 px w16: 16, 16, 16, 8."""
    sides = [min(window, image_size // 4 // 2**stage) for stage in range(stages)]
    return tuple((side, side) for side in sides)


def _from_tables(tables: Mapping[int, list[Tensor]], stages: int) -> WindowEvidence:
    windows = {stage: {_from_table(table, stage) for table in tables[stage]} for stage in tables}
    if set(windows) != set(range(stages)) or any(len(found) > 1 for found in windows.values()):
        raise CheckpointError("the relative_coords_table of its blocks contradict each other or are missing in a stage")
    trained, pretrained = zip(*(windows[stage].pop() for stage in range(stages)), strict=True)
    return WindowEvidence(pretrained, trained, "its relative_coords_table")


def _from_table(table: Tensor, stage: int) -> Windows:
    """Window and pretrained window of a table of coordinates."""
    if table.dim() != 4 or table.size(0) != 1 or table.size(3) != 2 or not (table.size(1) % 2 and table.size(2) % 2):
        raise CheckpointError(f"relative_coords_table of stage {stage} has the shape {tuple(table.shape)}")
    window = (table.size(1) // 2 + 1, table.size(2) // 2 + 1)
    check_windows([window], 1)
    table = table.float().cpu()
    units = [_unit(end, side) for end, side in zip(table[0, -1, -1].tolist(), window, strict=True)]
    [pretrained] = check_windows([[unit + 1 for unit in units]], 1)
    expected = coords_table(window, pretrained)
    # a table in half precision is off by up to 4e-3, a linear one by 5e-2 and more; a side of 1 has no offsets
    told = [axis for axis, side in enumerate(window) if side > 1]
    if not torch.allclose(table[..., told], expected[..., told], rtol=0, atol=1e-2):
        raise CheckpointError(
            f"relative_coords_table of stage {stage} is not log-spaced (paper, equation 4): the checkpoint has another "
            "position bias than log-CPB"
        )
    return window, pretrained


def _unit(end: float, side: int) -> int:
    """By how many tokens offsets were divided, from the coordinate of the last of ``side`` tokens.

    The inverse of equation 4: end = log8(8 (side - 1) / unit + 1). A side of 1 has no offsets and tells nothing.
    """
    if side == 1 or not 1e-6 < end < COORDINATE_RANGE:
        return 0
    return round(COORDINATE_RANGE * (side - 1) / (math.pow(COORDINATE_RANGE, end) - 1))


def _from_transformers_config(config: Mapping[str, Any], stages: int) -> WindowEvidence:
    source = "its config.json"
    window, image_size = config.get("window_size"), config.get("image_size")
    if type(window) is not int or type(image_size) is not int or min(window, image_size) < 1:
        raise CheckpointError(f"{source} does not give window_size and image_size as positive integers")
    check_windows([(window, window)], 1)  # before it shrinks to the map
    trained = check_windows(official_windows(window, image_size, stages), stages)
    declared = config.get("pretrained_window_sizes", [0] * stages)
    if not isinstance(declared, list) or len(declared) != stages:
        raise CheckpointError(f"{source} does not have a list of pretrained_window_sizes for {stages} stages")
    # 0 stands for the window itself
    pairs = [own if side == 0 else (side, side) for side, own in zip(declared, trained, strict=True)]
    return WindowEvidence(check_windows(pairs, stages), trained, source)


def _from_release_name(name: object, stages: int) -> WindowEvidence | None:
    match = RELEASE_NAME.match(name) if isinstance(name, str) else None
    if match is None:
        return None
    first_window, last_window, first_size, last_size = (int(group or 0) for group in match.groups())
    pretrained = official_windows(first_window, first_size, stages)
    trained = official_windows(last_window or first_window, last_size or first_size, stages)
    return WindowEvidence(check_windows(pretrained, stages), check_windows(trained, stages), f"the name {name}")


def _from_metadata(value: object, stages: int) -> Windows:
    """Windows written as [[h, w], ...], in safetensors' metadata as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{reprlib.repr(value)} is not a window (h, w) for each stage") from error
    return check_windows(value, stages)
