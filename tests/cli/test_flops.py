"""``mmswinv2 flops``: of a named backbone, of what a config builds, and what it says of what is neither."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmswinv2 import SwinTransformerV2
from mmswinv2.analysis.flops import backbone_costs, count_flops
from mmswinv2.cli import main

SMALL = ("model.backbone.arch._delete_=True", "model.backbone.arch.embed_dims=16")
SMALL += ("model.backbone.arch.depths=1,1,1,1", "model.backbone.arch.num_heads=1,2,4,8")
SIMMIM = "mmswinv2::simmim/simmim_swinv2-b-w12_16xb128-800e_in1k-192px.py"
CLASSIFIER = "mmswinv2::imagenet/swinv2-t-w8_8xb128-300e_in1k-256px.py"

Flops = Callable[..., tuple[int, str, str]]


@pytest.fixture
def flops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flops:
    """Runs the command in this process; returns status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["flops", *arguments])
        return end.value.code or 0, *capsys.readouterr()

    return run


def tables(printed: str) -> dict[str, dict[str, tuple[float, float]]]:
    """By title: each row's multiply-adds in 1e9 and parameters in 1e6."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    rows: dict[str, tuple[float, float]] = {}
    for line in printed.splitlines():
        if line.rstrip().endswith(" px"):
            rows = found[line.strip()] = {}
        row = re.fullmatch(r"  (\S.*?) +([\d.]+ G|-) +(?:[\d.]+%|-)? +([\d.]+) M *", line)
        if row:
            rows[row[1]] = float(row[2].rstrip(" G").replace("-", "0")), float(row[3])
    return found


def test_tiny_is_that_of_the_paper(flops: Flops) -> None:
    status, printed, _ = flops("--arch", "tiny", "--window", "8", "--size", "256", "256")
    assert status == 0
    (table,) = tables(printed).values()
    assert table["total"] == (5.91, 27.58)
    assert sum(flops for part, (flops, _) in table.items() if part != "total") == pytest.approx(5.91, abs=0.01)
    assert "One FLOP is one multiply-add, as in the paper" in printed


@pytest.mark.parametrize(("written", "window"), [("5", 5), ("6 3", (6, 3)), ("8 4 4 2", (8, 4, 4, 2))])
def test_windows_are_those_of_the_backbone(flops: Flops, written: str, window: object) -> None:
    """One number, height and width, or one number per stage, at a size that they do not divide."""
    status, printed, _ = flops("--arch", "tiny", "--window", *written.split(), "--size", "101", "67")
    assert status == 0
    with torch.device("meta"):
        model = SwinTransformerV2("tiny", window_size=window)
    expected = backbone_costs(model, count_flops(model, torch.zeros(1, 3, 101, 67, device="meta")))
    ((title, table),) = tables(printed).items()
    assert title == f"backbone, window {window}, 101 x 67 px"
    for part, cost in expected.items():
        assert table[part] == (
            pytest.approx(cost.flops / 1e9, abs=5e-4),
            pytest.approx(cost.parameters / 1e6, abs=5e-3),
        )


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ("mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py", {"backbone", "neck", "rpn_head", "roi_head"}),
        ("upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py", {"backbone", "decode_head", "auxiliary_head"}),
        ("imagenet/swinv2-t-w8_8xb128-300e_in1k-256px.py", {"backbone", "head"}),
        ("simmim/simmim_swinv2-s-w12_16xb128-800e_in1k-192px.py", {"backbone", "head", "other"}),
    ],
)
def test_a_config_s_model_and_its_backbone(flops: Flops, config: str, parts: set[str]) -> None:
    """The backbone costs the same as a part and by its own table. The heads used in training alone cost nothing."""
    status, printed, _ = flops(f"mmswinv2::{config}", "--size", "128", "192")
    assert status == 0
    (model, backbone) = tables(printed).values()
    assert set(model) == {*parts, "total"}
    assert model["backbone"][0] == pytest.approx(backbone["total"][0], abs=0.01)
    assert model["backbone"][1] == backbone["total"][1]
    for part in parts:
        assert (model[part][0] > 0) == (part not in ("roi_head", "auxiliary_head", "other")), part
    assert ("RoI heads are not counted" in printed) == ("roi_head" in parts)


def test_options_change_a_config(flops: Flops) -> None:
    """Of 16 channels: the patch embedding and the classifier can be worked out by hand."""
    status, printed, _ = flops(
        CLASSIFIER,
        "--size",
        "4096",
        "2048",
        "--cfg-options",
        *SMALL,
        "model.num_classes=80000",
        "model.data_preprocessor.num_classes=80000",
    )
    assert status == 0
    model, backbone = tables(printed).values()
    assert model["head"] == (pytest.approx(128 * 80000 / 1e9, abs=5e-4), pytest.approx(129 * 0.08, abs=5.1e-3))
    assert backbone["patch embedding"][0] == pytest.approx(1024 * 512 * 48 * 16 / 1e9, abs=5e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give either a CONFIG or --arch"),
        (f"{SIMMIM} --arch tiny", "give either a CONFIG or --arch"),
        ("--arch tinny", "unknown arch 'tinny': .*did you mean 'tiny'"),
        ("--arch tiny --window 0", "--window takes whole numbers above 0, got 0"),
        ("--arch tiny --window eight", "--window takes whole numbers above 0, got eight"),
        ("--arch tiny --window 8 8 8", "--window has 3 entries, the model has 4 stages"),
        ("--arch tiny --window 2000", "--window must be at most 1024 tokens a side"),
        ("--arch tiny --size 256", "--size takes height and width in pixels, at most 32768 each, got 256"),
        ("--arch tiny --size 256 1e3", "--size takes whole numbers above 0, got 256 1e3"),
        ("--arch tiny --size 256 -256", "--size takes whole numbers above 0, got 256 -256"),
        ("--arch tiny --size 256 1000000", "--size takes height and width in pixels, at most 32768"),
        ("--arch tiny --cfg-options a=1", "--cfg-options change a CONFIG, and none is given"),
        (f"{SIMMIM} --window 8", "--window goes with --arch; for a CONFIG: --cfg-options model.backbone.window_size"),
        ("no_such.py", "There is no config file"),
        (f"{SIMMIM} --cfg-options model.backbone.typo=1", "SwinTransformerV2 has no such keyword"),
    ],
)
def test_bad_input_gets_one_sentence(flops: Flops, arguments: str, message: str) -> None:
    status, printed, error = flops(*arguments.split())
    assert (status, printed) == (2, "")
    assert re.search(f"^mmswinv2 flops: {message}", error)


def test_a_model_that_needs_more_than_an_image_is_refused(flops: Flops, tmp_path: Path) -> None:
    """DETR's decoder asks the data for the size of every image."""
    config = tmp_path / "detr.py"
    config.write_text("_base_ = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'\nmodel = dict(backbone=dict(init_cfg=None))\n")
    status, _, error = flops(str(config))
    assert status == 2
    assert "DETR does not run on an image of 256 x 256 px alone" in error
