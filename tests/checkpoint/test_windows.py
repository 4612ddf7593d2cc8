"""What tells the windows of a checkpoint, and that nothing false is believed."""

import json
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import NativeWeights, to_native
from mmswinv2.checkpoint.windows import WindowEvidence, find_windows, windows_in_buffer
from mmswinv2.errors import CheckpointError

from . import peers
from .backbones import TABLE, TINY, Windows, coords_table, official_state, square

TRAINED_AT_192 = square(12, 12, 12, 6)
TRAINED_AT_256 = square(16, 16, 16, 8)


def weights_with(tables: list[list[Tensor]] | None = None) -> NativeWeights:
    """An official checkpoint with tables of coordinates, block by block of each stage."""
    state = official_state(SwinTransformerV2(TINY))
    for stage, blocks in enumerate(tables or []):
        for block, table in enumerate(blocks):
            state[f"layers.{stage}.blocks.{block}.attn.{TABLE}"] = table
    return to_native(state)


def tables_of(trained: Windows, pretrained: Windows) -> list[list[Tensor]]:
    return [[coords_table(window, unit)] * 2 for window, unit in zip(trained, pretrained, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("trained", "pretrained"),
    [
        (square(8, 8, 8, 8), square(8, 8, 8, 8)),
        (TRAINED_AT_256, TRAINED_AT_256),
        (TRAINED_AT_192, TRAINED_AT_192),
        (TRAINED_AT_256, TRAINED_AT_192),
        (square(24, 24, 24, 12), TRAINED_AT_192),
        (square(24, 24, 24, 12), TRAINED_AT_256),
        (square(14, 14, 14, 7), TRAINED_AT_192),
        (square(6, 6, 6, 6), TRAINED_AT_192),
        (((8, 4), (4, 8), (6, 2), (3, 5)), ((8, 4), (12, 8), (6, 6), (5, 3))),
    ],
    ids=str,
)
def test_tables(trained: Windows, pretrained: Windows, dtype: torch.dtype) -> None:
    """Every released pair of windows, one smaller than its pretrained one, and windows that are not square."""
    tables = [[table.to(dtype) for table in blocks] for blocks in tables_of(trained, pretrained)]
    assert find_windows(weights_with(tables)) == WindowEvidence(pretrained, trained, f"its {TABLE}")


def test_a_table_of_window_1_is_not_a_number() -> None:
    """The official code divides 0 by 0; a window of 1 has one offset, whatever the unit."""
    tables = tables_of(square(4, 4, 2, 2), square(4, 4, 2, 2))
    tables[3] = [torch.full((1, 1, 1, 2), torch.nan)] * 2
    evidence = find_windows(weights_with(tables))
    assert (evidence.trained, evidence.pretrained) == (square(4, 4, 2, 1), square(4, 4, 2, 1))


def linear_table(window: int) -> Tensor:
    """Of linear-CPB: offsets from -1 to 1."""
    axis = torch.linspace(-1, 1, 2 * window - 1)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).unsqueeze(0)


@pytest.mark.parametrize("window", [2, 7, 8, 12, 16, 24])
def test_a_linear_table_is_another_position_bias(window: int) -> None:
    tables = tables_of(square(8, 8, 8, 8), square(8, 8, 8, 8))
    tables[2] = [linear_table(window)] * 2
    with pytest.raises(CheckpointError, match="relative_coords_table of stage 2 is not log-spaced"):
        find_windows(weights_with(tables))


def test_a_damaged_table_is_refused() -> None:
    tables = tables_of(square(8, 8, 8, 8), square(8, 8, 8, 8))
    tables[1] = [torch.zeros(1, 15, 15, 2)] * 2
    with pytest.raises(CheckpointError, match="stage 1 is not log-spaced"):
        find_windows(weights_with(tables))
    tables[1] = [torch.zeros(1, 14, 15, 2)] * 2
    with pytest.raises(CheckpointError, match=r"stage 1 has the shape \(1, 14, 15, 2\)"):
        find_windows(weights_with(tables))


def test_tables_that_contradict_each_other_are_refused() -> None:
    tables = tables_of(square(8, 8, 8, 8), square(8, 8, 8, 8))
    tables[0][1] = coords_table((8, 8), (12, 12))
    with pytest.raises(CheckpointError, match="contradict each other"):
        find_windows(weights_with(tables))


def test_tables_of_some_stages_alone_are_refused() -> None:
    tables = tables_of(square(8, 8, 8, 8), square(8, 8, 8, 8))
    with pytest.raises(CheckpointError, match="missing in a stage"):
        find_windows(weights_with(tables[:3]))


def test_the_buffer_of_this_project_s_files() -> None:
    model = SwinTransformerV2(TINY, window_size=16, pretrained_window_sizes=TRAINED_AT_192)
    assert find_windows(to_native(model.state_dict())) == WindowEvidence(TRAINED_AT_192, None, "its buffer")


@pytest.mark.parametrize("write", [list, json.dumps], ids=["lists", "JSON"])
def test_metadata(write: Any) -> None:
    """``meta`` of a .pth has lists, safetensors' metadata JSON."""
    metadata = {"pretrained_window_sizes": write([list(pair) for pair in TRAINED_AT_192])}
    assert find_windows(weights_with(), metadata=metadata) == WindowEvidence(TRAINED_AT_192, None, "its metadata")
    metadata["window_size"] = write([list(pair) for pair in TRAINED_AT_256])
    evidence = find_windows(weights_with(), metadata=metadata)
    assert evidence == WindowEvidence(TRAINED_AT_192, TRAINED_AT_256, "its metadata")


@pytest.mark.parametrize(
    "value", ["12", "[[12, 12]]", "twelve", 12, [12] * 4, [[12]] * 4, [[0, 12]] * 4, [[12, 12]] * 3], ids=str
)
def test_damaged_metadata_is_refused(value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"{re.escape(str(value))}'? is not a window \\(h, w\\) for each"):
        find_windows(weights_with(), metadata={"pretrained_window_sizes": value})


NO_SIDES = (0, -8, 2**31, 1025, 8.5, 8.0, "8", None, True, [8], float("nan"))


@pytest.mark.parametrize("side", NO_SIDES, ids=str)
def test_a_side_that_no_window_has_is_refused_wherever_it_is_told(side: Any) -> None:
    """In metadata of both windows, and in transformers' config."""
    for key in ("pretrained_window_sizes", "window_size"):
        with pytest.raises(
            CheckpointError, match=r"is not a window \(h, w\) for each of 4 stages, of 1 to 1024 tokens"
        ):
            find_windows(weights_with(), metadata={key: [[8, 8], [8, 8], [side, 8], [8, 8]]})
    config = {"model_type": "swinv2", "window_size": 8, "image_size": 256}
    for change in ({"window_size": side}, {"pretrained_window_sizes": [side or -1] * 4}):
        with pytest.raises(CheckpointError, match=r"config\.json|is not a window"):
            find_windows(weights_with(), config={**config, **change})


@pytest.mark.parametrize(
    "buffer",
    [
        torch.full((4, 2), 0),
        torch.full((4, 2), -8),
        torch.full((4, 2), 2**31),
        torch.full((4, 2), 8.5),
        torch.full((4, 2), float("nan")),
        torch.full((4, 2), float("inf")),
        torch.full((4, 2), True),
        torch.full((3, 2), 8),
        torch.tensor(8),
        torch.empty(4, 0, dtype=torch.long),
        torch.ones(1, dtype=torch.long).expand(2**33),
    ],
    ids=lambda buffer: f"{buffer.dtype} {tuple(buffer.shape)} {buffer.flatten()[:1].tolist()}",
)
def test_a_buffer_that_tells_no_windows_is_refused(buffer: Tensor) -> None:
    """Without a list of what is in one that is large."""
    with pytest.raises(CheckpointError, match=r"is not a window \(h, w\) for each of"):
        windows_in_buffer(buffer, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_whole_numbers_as_floats_are_windows(dtype: torch.dtype) -> None:
    assert windows_in_buffer(torch.tensor([[8, 8], [8, 4]], dtype=dtype), 2) == ((8, 8), (8, 4))


def test_a_name_with_a_window_that_is_none() -> None:
    with pytest.raises(CheckpointError, match=r"is not a window"):
        find_windows(weights_with(), ("swinv2_tiny_window0_256",))
    assert find_windows(weights_with(), (f"swinv2_tiny_window{2**31}_256", "swinv2_tiny_window08192_256")) is None


@pytest.mark.parametrize("shape", [(1, 1, 2**20 - 1, 2), (1, 2 * 1025 - 1, 3, 2)], ids=str)
def test_a_table_of_a_window_that_no_model_has_is_not_computed(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"is not a window \(h, w\) for each of 1 stages, of 1 to 1024 tokens"):
        find_windows(weights_with([[torch.ones(shape)] * 2] * 4))


@pytest.mark.parametrize("end", [1e-30, 1e-5, -1.0, 1e30, float("inf"), float("nan")])
def test_a_table_whose_end_is_no_coordinate(end: float) -> None:
    """Its inverse would divide by zero, or give a window of billions."""
    table = coords_table((8, 8), (8, 8))
    table[0, -1, -1] = end
    with pytest.raises(CheckpointError, match=r"is not log-spaced|is not a window"):
        find_windows(weights_with([[table] * 2] * 4))


def test_the_other_side_of_a_table_of_window_1_is_checked() -> None:
    table = coords_table((1, 8), (2, 8)).nan_to_num()
    assert find_windows(weights_with([[table] * 2] * 4)).trained == ((1, 8),) * 4
    table[0, 0, 3, 1] = 0.1
    with pytest.raises(CheckpointError, match="is not log-spaced"):
        find_windows(weights_with([[table] * 2] * 4))


@pytest.mark.parametrize(
    ("side", "window", "pretrained", "expected"),
    [
        (256, 8, None, (square(8, 8, 8, 8), square(8, 8, 8, 8))),
        (256, 16, None, (TRAINED_AT_256, TRAINED_AT_256)),
        (192, 12, None, (TRAINED_AT_192, TRAINED_AT_192)),
        (256, 16, (12, 12, 12, 6), (TRAINED_AT_192, TRAINED_AT_256)),
        (384, 24, (12, 12, 12, 6), (TRAINED_AT_192, square(24, 24, 24, 12))),
    ],
)
def test_config_of_transformers(side: int, window: int, pretrained: tuple | None, expected: tuple) -> None:
    """0 stands for the window itself; windows shrink to the map, which the file does not say."""
    config = peers.hf_config(TINY, side, window, pretrained).to_dict()
    assert find_windows(weights_with(), config=config) == WindowEvidence(*expected, "its config.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": None}, "does not give window_size and image_size as positive integers"),
        ({"window_size": "large"}, "does not give window_size and image_size as positive integers"),
        ({"pretrained_window_sizes": [12, 12]}, "does not have a list of pretrained_window_sizes for 4 stages"),
    ],
    ids=str,
)
def test_a_damaged_config_of_transformers_is_refused(change: dict, message: str) -> None:
    config = {**peers.hf_config(TINY, 256, 8).to_dict(), **change}
    with pytest.raises(CheckpointError, match=message):
        find_windows(weights_with(), config=config)


RELEASES = [
    ("swinv2_tiny_patch4_window8_256", square(8, 8, 8, 8), None),
    ("swinv2_small_patch4_window16_256", TRAINED_AT_256, None),
    ("swinv2_base_patch4_window12_192_22k", TRAINED_AT_192, None),
    ("swinv2_base_patch4_window12to16_192to256_22kto1k_ft", TRAINED_AT_192, TRAINED_AT_256),
    ("swinv2_large_patch4_window12to24_192to384_22kto1k_ft", TRAINED_AT_192, square(24, 24, 24, 12)),
    ("swinv2_tiny_window8_256.ms_in1k", square(8, 8, 8, 8), None),
    ("swinv2_large_window12_192.ms_in22k", TRAINED_AT_192, None),
    ("swinv2_base_window12to24_192to384.ms_in22k_ft_in1k", TRAINED_AT_192, square(24, 24, 24, 12)),
    ("swinv2_base_window12to16_192to256_22kft1k", TRAINED_AT_192, TRAINED_AT_256),
    ("swinv2-tiny-patch4-window16-256", TRAINED_AT_256, None),
    ("swinv2-base-patch4-window12-192-22k", TRAINED_AT_192, None),
    ("swinv2-base-patch4-window12to16-192to256-22kto1k-ft", TRAINED_AT_192, TRAINED_AT_256),
]


@pytest.mark.parametrize(("name", "pretrained", "trained"), RELEASES)
def test_names_of_releases(name: str, pretrained: Windows, trained: Windows | None) -> None:
    """Those of the authors, of timm (old and new) and of transformers."""
    expected = WindowEvidence(pretrained, trained or pretrained, f"the name {name}")
    assert find_windows(weights_with(), names=["model", name]) == expected


def test_the_architecture_in_timm_s_config() -> None:
    evidence = find_windows(weights_with(), config={"architecture": "swinv2_base_window12to16_192to256"})
    assert (evidence.pretrained, evidence.trained) == (TRAINED_AT_192, TRAINED_AT_256)


@pytest.mark.parametrize(
    "name",
    [
        "swin_tiny_patch4_window7_224",
        "swinv2_cr_tiny_224",
        "swinv2_cr_tiny_window8_256",
        "swinv2_tiny",
        "swinv2_tiny_window8",
        "swin_v2_t",
        "model",
        "epoch_12",
        "upernet_swinv2_tiny_window8_256",
        "mask_rcnn_swinv2-tiny-window16_coco",
        "swinv2_tiny_window16_1x_coco",
        "swinv2_tiny_window16_512x512",
        "swinv2_tiny_upernet_window16_512",
    ],
)
def test_other_names_tell_nothing(name: str) -> None:
    assert find_windows(weights_with(), names=[name]) is None


def test_the_surest_evidence_is_asked_first() -> None:
    """Buffer, tables, metadata, config.json, name: each is believed only where those before it are silent."""
    model = SwinTransformerV2(TINY, pretrained_window_sizes=5)
    state = {**model.state_dict(), **official_state(model, square(6, 6, 6, 6))}
    metadata = {"pretrained_window_sizes": [[7, 7]] * 4}
    config = peers.hf_config(TINY, 256, 8).to_dict()
    names = ["swinv2_base_patch4_window12_192_22k"]
    sources = []
    for silent in ("pretrained_window_sizes", TABLE, "metadata", "config", "names", None):
        weights = to_native(state)
        evidence = find_windows(weights, names, metadata, config)
        sources.append(evidence and evidence.source)
        state = {name: tensor for name, tensor in state.items() if silent is None or not name.endswith(silent)}
        metadata = {} if silent == "metadata" else metadata
        config = {} if silent == "config" else config
        names = [] if silent == "names" else names
    assert sources == [
        "its buffer",
        f"its {TABLE}",
        "its metadata",
        "its config.json",
        "the name swinv2_base_patch4_window12_192_22k",
        None,
    ]
