"""A disk that does not take what a training writes: the run ends with one sentence, and goes on from what is whole."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmswinv2 import SwinTransformerV2
from mmswinv2.cli.disk import checkpoint_size, disk_faults_explained, warn_of_little_room
from mmswinv2.errors import ConfigError, EnvironmentProblem
from mmswinv2.preflight import check_work_dir

from ..engine.tiny_training import ITERATIONS, SIMMIM, training
from .small_run import ENDLESS, write_config
from .support import TIMEOUT, command, environment, run_tool
from .test_work_dir import wait_for

SMALL_DISK = 4 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB of its own, where the machine lets one mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leaves no room on the disk of a folder."""
    path = folder / "ballast"
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return path


def test_a_full_disk_ends_the_run_with_a_sentence(small_disk: Path, tmp_path: Path) -> None:
    """Here the log is what it does not take. With room again, the run goes on from its last whole checkpoint."""
    config = write_config(tmp_path / "config.py", train_cfg=ENDLESS)
    start = command("train.py", config, "--work-dir", small_disk / "work", "--cfg-options")
    start += ["default_hooks.checkpoint.max_keep_ckpts=2"]
    errors = tmp_path / "errors"
    with open(errors, "w") as file:
        out = dict(stdout=subprocess.DEVNULL, stderr=file)
        process = subprocess.Popen(start, cwd=tmp_path, env=environment(tmp_path), **out)
    wait_for(small_disk / "work/iter_4.pth", process, errors)
    ballast = fill(small_disk)
    process.wait(timeout=TIMEOUT)
    said = errors.read_text()
    assert process.returncode == 2
    assert "Traceback" not in said and "Logging error" not in said
    assert f"The disk refuses {small_disk}/work/" in said
    assert f"No space left on device (0.0 MiB free in {small_disk}/work, " in said
    newest = said.split("the last whole checkpoint is ")[1].strip()
    ballast.unlink()
    end = int(Path(newest).stem.removeprefix("iter_")) + 2
    options = ("--cfg-options", f"train_cfg.max_iters={end}", "default_hooks.checkpoint.max_keep_ckpts=2")
    result = run_tool(
        "train.py", config, "--work-dir", small_disk / "work", "--resume", *options, root=tmp_path, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert (small_disk / f"work/iter_{end}.pth").is_file()


def test_a_full_disk_is_found_before_the_run(small_disk: Path) -> None:
    """And a read-only one."""
    fill(small_disk)
    with pytest.raises(ConfigError, match=rf"work dir {small_disk} cannot be written \(No space left on device\)"):
        check_work_dir(str(small_disk))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ConfigError, match=rf"work dir {small_disk} cannot be written \(Read-only file system\)"):
        check_work_dir(str(small_disk))


@pytest.mark.full
def test_a_quota_on_files_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    """The limit is the process's own, and is named. Its first checkpoint is larger."""
    config = write_config(tmp_path / "config.py")
    result = subprocess.run(
        ["bash", "-c", 'ulimit -f 64; exec "$@"', "bash", *command("train.py", config, "--work-dir", "work")],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "File too large (" in result.stderr and "a file may have 0.1 MiB by ulimit -f)" in result.stderr
    assert "it begins anew, there is no checkpoint yet" in result.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO])
def test_each_fault_of_a_disk_is_explained(number: int, tmp_path: Path) -> None:
    (tmp_path / "iter_8.pth").write_bytes(b"PK\x03\x04 cut short")
    with (
        pytest.raises(EnvironmentProblem, match=rf"x/log: {os.strerror(number)} \(.* free in {tmp_path}.*begins anew"),
        disk_faults_explained(str(tmp_path)),
    ):
        raise OSError(number, os.strerror(number), "x/log")


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    """They are no fault of the disk."""
    with pytest.raises(FileNotFoundError), disk_faults_explained(str(tmp_path)):
        (tmp_path / "missing").read_text()


def small_runner(work_dir: Path, max_iters: int, keep: int) -> Runner:
    """A training that saves after every second iteration."""
    config = training(SIMMIM, dict(ENDLESS, max_iters=max_iters), ITERATIONS["sampler"])
    config["default_hooks"]["checkpoint"]["max_keep_ckpts"] = keep
    return Runner.from_cfg(Config(dict(config, work_dir=str(work_dir), experiment_name=work_dir.name)))


@pytest.mark.parametrize(("max_iters", "keep", "number"), [(10**15, -1, 5 * 10**14), (10**15, 3, None), (4, -1, None)])
def test_checkpoints_that_will_not_fit_are_told_of_before(
    max_iters: int, keep: int, number: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures of the run's own: how many it keeps at a time, how large each will be, how much is free."""
    warn_of_little_room(small_runner(tmp_path / f"work{max_iters}{keep}", max_iters, keep))
    said = capsys.readouterr().out
    assert ("make room" in said) == (number is not None)
    assert number is None or f"will write {number} checkpoints of about 0." in said


def test_the_size_of_a_checkpoint_is_known_before_it_is_written(tmp_path: Path) -> None:
    """To a tenth: names and places in the file are not counted, which are few in real models."""
    model = SwinTransformerV2(arch=dict(embed_dims=96, depths=[2, 2], num_heads=[3, 6]), out_indices=(0, 1))
    optimizer = torch.optim.AdamW(model.parameters())
    sum(level.sum() for level in model(torch.zeros(1, 3, 32, 32))).backward()
    optimizer.step()
    torch.save({"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "iter_1.pth")
    assert checkpoint_size(model) == pytest.approx((tmp_path / "iter_1.pth").stat().st_size, rel=0.1)
