"""``mmswinv2 plan``: a row for each strategy, what helps where nothing fits, and what it says of bad input."""

import json
import re
from collections.abc import Callable

import pytest

from mmswinv2.cli import main

SIMMIM = "configs/demo/simmim_swinv2_photos.py"
ON_EIGHT = "--gpus 8 --gpu-memory 40"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process; returns status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["plan", *arguments])
        return end.value.code or 0, *capsys.readouterr()

    return run


def rows(printed: str) -> dict[str, list[str]]:
    """The cells of each strategy."""
    lines = [line.split() for line in printed.splitlines()]
    return {line[0]: line[1:] for line in lines if line and line[0] in ("ddp", "zero1", "fsdp2")}


def test_a_row_for_each_strategy(plan: Run) -> None:
    """What is held adds up, and what fits is below the memory."""
    status, printed, _ = plan(SIMMIM, *ON_EIGHT.split(), "--batch", "256")
    assert status == 0
    assert "128 x 128 px, batch 256 on each of 8 GPUs of 40 GiB, single precision, with_cp=False" in printed
    found = rows(printed)
    assert list(found) == ["ddp", "zero1", "fsdp2"]
    for cells in found.values():
        *parts, total = map(float, cells[:7])
        assert total == pytest.approx(sum(parts), abs=0.31)  # each is rounded to a tenth
        assert cells[7] == "yes"
    assert "What fits" not in printed


def test_json_has_the_strategy_that_was_asked_for_in_bytes(plan: Run) -> None:
    status, printed, _ = plan(SIMMIM, *ON_EIGHT.split(), "--strategy", "zero1", "--json", "--amp", "--size", "64", "64")
    assert status == 0
    found = json.loads(printed)
    assert (found["gpus"], found["batch"], found["size"], found["half"]) == (8, 16, [64, 64], True)
    ((name, one),) = found["strategies"].items()
    assert name == "zero1"
    parts = ("parameters", "gradients", "optimizer", "activations", "gathered", "allowance")
    assert one["total"] == pytest.approx(sum(one[part] for part in parts))
    # AdamW's two moments in float32, an eighth of each, or more as whole parameters are given away; all are trained
    assert one["parameters"] * 2 / 8 <= one["optimizer"] < one["parameters"] * 2 / 8 * 1.25
    assert one["sent"] == pytest.approx(3 * 7 / 8 * one["parameters"])


def test_what_helps_is_told_where_nothing_fits(plan: Run) -> None:
    """1 GiB is the allowance alone; recomputing brings this batch below 2 GiB, and nothing helps with less than 1."""
    _, printed, _ = plan(SIMMIM, "--gpus", "2", "--gpu-memory", "2.5", "--batch", "128")
    assert {cells[7] for cells in rows(printed).values()} == {"no"}
    assert re.search(r"What fits: ddp with model\.backbone\.with_cp=True \([12]\.\d GiB\)", printed)
    _, printed, _ = plan(SIMMIM, "--gpus", "2", "--gpu-memory", "0.5")
    assert "Nothing that plan tried fits: the least is" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (f"no_such.py {ON_EIGHT}", "There is no config file"),
        (f"{SIMMIM} --gpus 0 --gpu-memory 40", "--gpus takes whole numbers above 0, got 0"),
        (f"{SIMMIM} --gpus 8 --gpu-memory=-40", "--gpu-memory takes GiB, a number above 0, got -40"),
        (f"{SIMMIM} --gpus 8 --gpu-memory nan", "--gpu-memory takes GiB, a number above 0, got nan"),
        (f"{SIMMIM} {ON_EIGHT} --strategy fsdp", "--strategy is one of ddp, zero1, fsdp2, got fsdp"),
        (f"{SIMMIM} {ON_EIGHT} --size 128", "--size takes height and width in pixels"),
        (f"{SIMMIM} {ON_EIGHT} --size 120 128", "SimMIM needs images whose sides are multiples of the last stage's"),
        (f"{SIMMIM} {ON_EIGHT} --batch 0", "--batch takes whole numbers above 0, got 0"),
        (f"{SIMMIM} {ON_EIGHT} --cfg-options optim_wrapper=None", "The config has no optim_wrapper"),
        (f"configs/_base_/models/mask-rcnn_swinv2_fpn.py {ON_EIGHT}", "The config has no optim_wrapper"),
        (f"mmdet::retinanet/retinanet_r50_fpn_1x_coco.py {ON_EIGHT}", "plan knows models with one mmswinv2.Swin"),
    ],
)
def test_bad_input_gets_one_sentence(plan: Run, arguments: str, message: str) -> None:
    status, printed, error = plan(*arguments.split())
    assert status == 2 and "GiB" not in printed
    assert re.search(f"^mmswinv2 plan: {message}", error)
    assert "Traceback" not in error
