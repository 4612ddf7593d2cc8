"""``--resume`` takes the newest whole checkpoint, says what it passed over, and never starts anew over a run."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmswinv2.checkpoint.archive import PARTIAL, save_sealed
from mmswinv2.cli.train import check_given, check_start, enable_resume, settle_history
from mmswinv2.errors import CheckpointError, ConfigError

from ..engine.tiny_training import ITERATIONS, SIMMIM, training
from .support import run_tool


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    """A config whose work dir has checkpoints of iterations 2, 4 and 6."""
    (tmp_path / "run").mkdir()
    for number in (2, 4, 6):
        save_sealed(
            {"meta": {"iter": number}, "w": torch.ones(5000)}, tmp_path / f"run/iter_{number}.pth", number, True
        )
    return Config(dict(work_dir=str(tmp_path / "run")))


def cut(cfg: Config, *numbers: int) -> None:
    for number in numbers:
        os.truncate(f"{cfg.work_dir}/iter_{number}.pth", 3000)


@pytest.mark.parametrize("last", [None, "", "\0\0", "iter_2.pth", "gone.pth"])
def test_last_checkpoint_does_not_decide(cfg: Config, last: str | None) -> None:
    """MMEngine starts anew where that file is lost, and writes over the run."""
    if last is not None:
        Path(cfg.work_dir, "last_checkpoint").write_text(last and f"{cfg.work_dir}/{last}")
    enable_resume(cfg, "auto")
    assert cfg.resume and cfg.load_from == f"{cfg.work_dir}/iter_6.pth"


def test_damaged_ones_are_passed_over_and_named(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    cut(cfg, 4, 6)
    enable_resume(cfg, "auto")
    assert cfg.load_from == f"{cfg.work_dir}/iter_2.pth"
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"Passed over: {cfg.work_dir}/iter_{number}.pth: damaged, cut short (the end of the archive is missing); "
        "copy or download it again"
        for number in (4, 6)
    ]


def test_a_run_without_a_whole_checkpoint_is_not_written_over(cfg: Config) -> None:
    cut(cfg, 2, 4, 6)
    with pytest.raises(CheckpointError, match=r"there was a run in .*run, but no whole checkpoint is left of it"):
        enable_resume(cfg, "auto")


def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew(cfg: Config) -> None:
    for path in Path(cfg.work_dir).glob("*.pth"):
        path.unlink()
    Path(cfg.work_dir, "last_checkpoint").write_text("elsewhere/iter_6.pth")
    with pytest.raises(CheckpointError, match=r"is left of it \(the last was elsewhere/iter_6\.pth\)\. To begin anew"):
        enable_resume(cfg, "auto")


def test_an_empty_work_dir_begins(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """So that one command serves the first start and all later ones."""
    cfg = Config(dict(work_dir=str(tmp_path / "new")))
    enable_resume(cfg, "auto")
    assert not cfg.get("resume") and "training starts anew" in capsys.readouterr().out


def test_out_dir_of_the_hook_is_searched(cfg: Config, tmp_path: Path) -> None:
    """MMEngine writes to a folder of the work dir's name in it."""
    cfg.default_hooks = dict(checkpoint=dict(type="CheckpointHook", out_dir=str(tmp_path / "out")))
    (tmp_path / "out/run").mkdir(parents=True)
    save_sealed({"meta": {"iter": 8}}, tmp_path / "out/run/iter_8.pth", 8, True)
    enable_resume(cfg, "auto")
    assert cfg.load_from == str(tmp_path / "out/run/iter_8.pth")


def test_a_run_that_goes_on_from_its_out_dir_is_no_new_run(cfg: Config, tmp_path: Path) -> None:
    """What else it has saved in its work dir stays there."""
    test_out_dir_of_the_hook_is_searched(cfg, tmp_path)
    settle_history(cfg)
    assert (tmp_path / "run/iter_6.pth").is_file() and not (tmp_path / "run/earlier_1").exists()


def test_a_checkpoint_in_remote_storage_is_taken_as_it_is(tmp_path: Path) -> None:
    cfg = Config(dict(work_dir=str(tmp_path)))
    Path(cfg.work_dir, "last_checkpoint").write_text("s3://bucket/run/iter_6.pth")
    enable_resume(cfg, "auto")
    assert cfg.load_from == "s3://bucket/run/iter_6.pth"


def test_half_files_of_killed_saves_are_removed(cfg: Config, capsys: pytest.CaptureFixture) -> None:
    half = Path(cfg.work_dir, f"iter_8.pth{PARTIAL}")
    half.write_bytes(b"PK")
    enable_resume(cfg, "auto")
    assert not half.exists() and f"Removed {half}, which a save that was cut off had left" in capsys.readouterr().out


def test_a_damaged_one_that_is_asked_for_names_the_newest_whole_one(cfg: Config) -> None:
    cut(cfg, 6)
    whole = f"{cfg.work_dir}/iter_4.pth"
    with pytest.raises(
        CheckpointError, match=rf"cut short.*\nThe newest whole checkpoint is {whole}: --resume {whole}"
    ):
        check_given(f"{cfg.work_dir}/iter_6.pth", cfg)
    with pytest.raises(ConfigError, match="There is no checkpoint"):
        check_given(f"{cfg.work_dir}/iter_8.pth", cfg)


def test_several_processes_do_not_start_from_what_is_set_aside(cfg: Config, tmp_path: Path) -> None:
    """One of them moves it, the others would not find it. A process alone knows where it has gone."""
    cfg.update(load_from=f"{cfg.work_dir}/iter_6.pth", launcher="pytorch")
    with pytest.raises(ConfigError, match=r"load_from=.*iter_6\.pth lies in the work dir, .*give another --work-dir"):
        check_start(cfg)
    cfg.launcher = "none"
    check_start(cfg)
    cfg.update(load_from=str(tmp_path / "other/iter_6.pth"), launcher="pytorch")
    check_start(cfg)


@pytest.mark.full
def test_a_run_goes_on_from_the_older_one(tmp_path: Path) -> None:
    """End to end: the newest file is cut short as by a loss of power, ``last_checkpoint`` is empty."""
    config = training(SIMMIM, **ITERATIONS)
    config["custom_imports"] = dict(imports=["tests.engine.tiny_training"], allow_failed_imports=False)
    config["log_level"] = "INFO"
    Config(config).dump(tmp_path / "c.py")
    arguments = ("train.py", tmp_path / "c.py", "--work-dir", tmp_path / "run", "--cfg-options")
    first = run_tool(*arguments, "train_cfg.max_iters=4", root=tmp_path, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    os.truncate(tmp_path / "run/iter_4.pth", 5000)
    (tmp_path / "run/last_checkpoint").write_text("")
    second = run_tool(*arguments, "train_cfg.max_iters=6", "--resume", root=tmp_path, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert f"Passed over: {tmp_path}/run/iter_4.pth: damaged, cut short" in second.stdout
    assert "resumed epoch: 0, iter: 2" in second.stdout + second.stderr
    third = run_tool(*arguments, "train_cfg.max_iters=2", root=tmp_path, cwd=tmp_path)
    assert third.returncode == 0, third.stderr
    said = f"This is a new run. What an earlier one in {tmp_path}/run has saved is kept in {tmp_path}/run/earlier_1"
    assert said in third.stdout
    assert [path.name for path in (tmp_path / "run").glob("*.pth")] == ["iter_2.pth"]
    assert (tmp_path / "run/earlier_1/iter_6.pth").is_file()
