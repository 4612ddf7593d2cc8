"""Mistakes in a config's settings, as a user meets them: one message before anything is built, no traceback."""

import re
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from mmswinv2.cli import main
from mmswinv2.cli.runs import explained
from mmswinv2.errors import ConfigError

from ..preflight.mistakes import BASES
from ..support import ROOT
from ..tiny_nuclei import write_tiny_nuclei
from .support import CONFIGS, run_tool

DETECTION = CONFIGS / "tiny_mask_rcnn.py"


def said(*arguments: object, status: int, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints, which ends with ``status``."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert (end.value.code or 0) == status, printed.err
    return printed.err if status else printed.out


@pytest.mark.parametrize("name", BASES)
def test_a_sound_config_takes_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the data nor the weights need to be there."""
    lines = said("config", ROOT / BASES[name], "--check", status=0, capsys=capsys).splitlines()
    assert lines[-1] == "The settings of the config hold together; its paths and data were not looked at"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("strategy=fsdp", "strategy='fsdp' is unknown, choose one of ddp, zero1, fsdp2"),
        ("strategy.type=zero1 strategy.bucket=9", "strategy zero1: .*unexpected keyword argument 'bucket'"),
    ],
)
def test_a_strategy_is_checked_though_there_is_one_process(
    option: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said("config", DETECTION, "--check", "--cfg-options", *option.split(), status=2, capsys=capsys)
    assert re.search(sentence, told)


def test_all_mistakes_come_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Typed into a config and given as options."""
    config = tmp_path / "mistaken.py"
    config.write_text(
        f"_base_ = [{str(DETECTION)!r}]\n"
        "optim_wraper = dict(clip_grad=dict(max_norm=1))\n"
        "optim_wrapper = dict(optimizer=dict(lr='1e-4'))\n"
        "resume = 'no'\n"
    )
    options = ["train_dataloader.batch_size=0", "train_cfg.max_iters=-1"]
    message = said("config", config, "--check", "--cfg-options", *options, status=2, capsys=capsys)
    assert message.endswith(
        "mmswinv2 config: The config has 5 mistakes:\n"
        "  resume is 'no', it must be True or False\n"
        "  optim_wraper: nothing reads this key; did you mean 'optim_wrapper'?\n"
        "  optim_wrapper.optimizer.lr must be a number above 0, got '1e-4': write 1e-4 without the quotes\n"
        "  train_dataloader.batch_size must be a positive integer, got 0\n"
        "  train_cfg.max_iters must be a positive whole number, got -1\n"
    )


@pytest.mark.parametrize(
    ("command", "option", "sentence"),
    [
        (["train"], "model.neck.in_channels=[1,2,3,4]", "model.neck.in_channels is [1, 2, 3, 4], the levels of the"),
        (["train"], "optim_wrapper=AdamW", "optim_wrapper is 'AdamW', it must be a dict or None"),
        (["train"], "model.backbone.drop_rate=a", "model.backbone.drop_rate must be a number in [0, 1), got 'a'"),
        (
            ["config"],
            "val_evaluator.metric=box",
            "val_evaluator.metric: there is no metric 'box'; did you mean 'bbox'?",
        ),
        (["test", "x.pth"], "model.neck.type=FPNN", "model.neck.type: there is no model of type 'FPNN'; did you mean"),
    ],
)
def test_every_command_checks_first(
    command: list[str],
    option: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before it looks at data, which is not there, and before it makes a work dir."""
    monkeypatch.chdir(tmp_path)
    Path("x.pth").write_text("")
    name, *rest = command
    message = said(name, DETECTION, *rest, "--cfg-options", option, status=2, capsys=capsys)
    assert f"mmswinv2 {name}: {sentence}" in message
    assert not Path("work_dirs").exists()


def test_a_test_does_not_look_at_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in what it does not use does not stop it: here the missing data does."""
    monkeypatch.chdir(tmp_path)
    Path("x.pth").write_text("")
    options = ["optim_wrapper.optimizer.type=Adamm", "train_dataloader.batch_size=0"]
    message = said("test", DETECTION, "x.pth", "--cfg-options", *options, status=2, capsys=capsys)
    assert "names data that does not exist" in message and "Adamm" not in message


def test_remarks_do_not_stop(capsys: pytest.CaptureFixture[str]) -> None:
    """A short trial ends before the schedule does."""
    options = ["train_cfg.max_epochs=9", "param_scheduler.1.end=9"]
    printed = said("config", ROOT / BASES["det"], "--check", "--cfg-options", *options, status=0, capsys=capsys)
    assert "Note: param_scheduler.1.milestones: [11] come after the end of the run of 9 epochs" in printed


def test_no_traceback_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Also for what a class refuses that no table knows: here the anchor generator's own assertion."""
    write_tiny_nuclei(tmp_path)
    option = "model.rpn_head.anchor_generator.scales=None"
    result = run_tool("train.py", DETECTION, "--cfg-options", option, root=tmp_path, cwd=tmp_path)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    expected = "mmswinv2 train: model.rpn_head.anchor_generator: AnchorGenerator cannot be built from these settings: "
    assert f"{expected}AssertionError: " in result.stderr


def test_a_package_that_a_type_needs_is_named_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """InstaBoost is in MMDetection, but its package is not among those that MMDetection asks for."""
    monkeypatch.setitem(sys.modules, "instaboostfast", None)
    cfg = Config(dict(train_pipeline=[dict(type="mmdet.InstaBoost")]))
    with pytest.raises(ConfigError, match=r"^train_pipeline\.0: InstaBoost cannot be built .*install instaboostfast"):
        explained(lambda: TRANSFORMS.build(cfg.train_pipeline[0]), cfg)
