"""A data loader's worker that dies or hangs ends the run, by a sentence that names the image."""

import copy
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mmengine.runner import Runner
from PIL import Image

from mmswinv2.engine.workers import TIMEOUT, watch_workers, worker_faults_named
from mmswinv2.errors import TrainingError

from . import faults  # noqa: F401, registers EndAt
from .tiny_training import IMAGES, ITERATIONS, SIMMIM, training

SIDE = 32


def folder_of_images(root: Path) -> Path:
    """Twelve images, 00.jpg to 11.jpg."""
    root.mkdir()
    for number in range(12):
        with Image.open(IMAGES[number % len(IMAGES)]) as image:
            image.convert("RGB").resize((SIDE, SIDE)).save(root / f"{number:02}.jpg")
    return root


def config_of(root: Path, *more: dict, **loader: Any) -> dict[str, Any]:
    """A SimMIM training on these images, with more transforms."""
    config = copy.deepcopy(training(SIMMIM, **ITERATIONS))
    config["train_dataloader"]["dataset"] = dict(
        type="mmswinv2.ImageDataset",
        data_root=str(root),
        with_label=False,
        pipeline=[
            dict(type="mmswinv2.LoadImage"),
            *more,
            dict(type="mmswinv2.TimmTransform", input_size=SIDE, is_training=False),
            dict(type="mmswinv2.RandomPatchMask", input_size=SIDE, mask_patch_size=8),
        ],
    )
    config["train_dataloader"].update({"num_workers": 2, **loader})
    return config


def failure(config: dict[str, Any], folder: Path) -> str:
    """What the user reads."""
    runner = watch_workers(Runner(**config, work_dir=str(folder), experiment_name=str(folder)))
    with pytest.raises(TrainingError) as error, worker_faults_named():
        runner.train()
    return str(error.value)


@pytest.mark.parametrize("persistent", [False, True])
def test_an_image_that_cannot_be_read_to_its_end_is_named(persistent: bool, tmp_path: Path) -> None:
    """A pipe without a writer, as a dead network mount: opening it never returns."""
    root = folder_of_images(tmp_path / "images")
    (root / "07.jpg").unlink()
    os.mkfifo(root / "07.jpg")
    start = time.monotonic()
    message = failure(config_of(root, timeout=2, persistent_workers=persistent), tmp_path / "work")
    assert time.monotonic() - start < TIMEOUT / 3
    assert message.startswith("The workers of a data loader have not made a batch for 2 s. They are at ")
    assert f"{root}/07.jpg" in message  # on a busy machine another worker may be at an image as well


@pytest.mark.parametrize(
    ("signal_name", "ended", "advice"),
    [
        ("SIGKILL", "Killed", "no memory left"),
        ("SIGSEGV", "Segmentation fault", "crashed"),
        ("SIGBUS", "Bus error", "/dev/shm"),
    ],
)
def test_a_worker_that_dies_is_explained(signal_name: str, ended: str, advice: str, tmp_path: Path) -> None:
    """At once, with the image that it was at and what to look at for this kind of end.

    There is one worker: torch tells of the end of a second one at any later time, also after this test.
    """
    root = folder_of_images(tmp_path / "images")
    start = time.monotonic()
    end = dict(type="EndAt", name="07.jpg", signal_name=signal_name)
    message = failure(config_of(root, end, num_workers=1), tmp_path / "work")
    assert time.monotonic() - start < TIMEOUT / 3
    assert message.startswith(
        f"A worker of a data loader was killed by signal: {ended} while it was at {root}/07.jpg. "
    )
    assert advice in message


def test_a_connection_may_break_before_the_system_tells_of_the_death(tmp_path: Path) -> None:
    """Then the first error says nothing of a worker, and the one that does comes a little later."""
    config = config_of(folder_of_images(tmp_path / "images"), num_workers=1)
    runner = watch_workers(Runner(**config, work_dir=str(tmp_path / "work"), experiment_name=str(tmp_path)))
    others = set(multiprocessing.active_children())
    batches = iter(runner.build_dataloader(config["train_dataloader"]))
    (worker,) = set(multiprocessing.active_children()) - others
    with pytest.raises(TrainingError, match="was killed by signal: Killed"), worker_faults_named():
        next(batches)
        threading.Timer(0.2, os.kill, (worker.pid, signal.SIGKILL)).start()
        raise ConnectionResetError


def test_a_slow_batch_is_waited_for(tmp_path: Path) -> None:
    """Within the timeout nothing ends, and there is one without a setting."""
    config = config_of(folder_of_images(tmp_path / "images"), dict(type="EndAt", name="07.jpg", seconds=1))
    config["train_cfg"]["max_iters"] = 4
    runner = watch_workers(Runner(**config, work_dir=str(tmp_path / "work"), experiment_name=str(tmp_path)))
    runner.train()
    assert runner.train_dataloader.timeout == TIMEOUT


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), FileNotFoundError("no such image")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), worker_faults_named():
        raise error


def test_without_workers_there_is_no_timeout(tmp_path: Path) -> None:
    """torch refuses one."""
    config = config_of(folder_of_images(tmp_path / "images"), num_workers=0) | dict(log_level="ERROR")
    config["train_cfg"]["max_iters"] = 1
    runner = watch_workers(Runner(**config, work_dir=str(tmp_path / "work"), experiment_name=str(tmp_path)))
    runner.train()
    assert runner.train_dataloader.timeout == 0
