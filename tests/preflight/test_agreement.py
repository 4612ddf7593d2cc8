"""Processes with another config or other data are told so, with what differs, before the first step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing

from mmswinv2.errors import ConfigError, DataError, UserError
from mmswinv2.preflight.agreement import compare_configs, compare_data, decisive, described

from ..engine.tiny_training import SeededCrops

SETTINGS = {"train_cfg.max_iters": 5, "optim_wrapper.optimizer.lr": 0.1}
CASES: list[tuple[Callable[[Any], None], Any, Any, str]] = [
    (compare_configs, SETTINGS, SETTINGS, ""),
    (
        compare_configs,
        SETTINGS,
        {**SETTINGS, "optim_wrapper.optimizer.lr": 0.2, "model.type": "SimMIM"},
        "Process 0 and process 1 differ in model.type, optim_wrapper.optimizer.lr:",
    ),
    (compare_data, {"length": 9}, {"length": 9}, ""),
    (compare_data, {"length": 9}, {"length": 8}, "Process 0 has length 9, process 1 has 8:"),
]


def one_of_two(rank: int, folder: str) -> None:
    """Leaves what each case raises in this process."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    said = []
    for compare, first, second, _ in CASES:
        try:
            compare((first, second)[rank])
            said.append(("", ""))
        except UserError as error:
            said.append((type(error).__name__, str(error)))
    torch.save(said, f"{folder}/{rank}.pth")
    distributed.barrier()
    distributed.destroy_process_group()


def test_all_processes_say_the_same(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in range(2))
    assert first == second
    for (compare, *_, sentence), (kind, message) in zip(CASES, first, strict=True):
        expected = "" if not sentence else (ConfigError if compare is compare_configs else DataError).__name__
        assert kind == expected
        assert sentence in message


def test_where_files_lie_does_not_decide() -> None:
    config = {
        "model": {"type": "SimMIM"},
        "train_dataloader": {"num_workers": 2, "dataset": {"data_root": "/a", "x": 1}},
    }
    assert decisive({**config, "work_dir": "w"}) == {"model.type": "SimMIM", "train_dataloader.dataset.x": 1}


@pytest.mark.parametrize("size", [3, 2500])
def test_data_is_described_by_length_classes_and_names(size: int) -> None:
    """Another image changes the checksum of the names; only so many entries of a large set are asked for."""
    dataset = SeededCrops(size)
    before = dict(described(dataset))
    assert before["length"] == size and before["classes"] == tuple("abcd")
    dataset.load_data_list = lambda: [{"img_path": f"other/{index}.jpg", "label": 0} for index in range(size)]
    dataset._fully_initialized = False
    dataset.full_init()
    assert dict(described(dataset))["names with the checksum"] != before["names with the checksum"]
