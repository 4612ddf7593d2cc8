"""Four processes evaluate six images: each counts once, and the figures are those of one process."""

import copy
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, RUNNERS
from mmengine.runner import Runner
from torch import distributed, multiprocessing

from mmswinv2.engine.processes import join_processes
from mmswinv2.engine.strategies import apply_strategy

from ...support import ROOT
from ...tiny_nuclei import TRAIN, write_tiny_nuclei

PROCESSES = 4


@METRICS.register_module()
class SeenImages(BaseMetric):
    """How many images were evaluated, and how many different ones."""

    default_prefix = "seen"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        self.results += [sample["img_path"] for sample in data_samples]

    def compute_metrics(self, results: list[str]) -> dict[str, int]:
        return {"images": len(results), "different": len(set(results))}


@pytest.mark.full
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("task", ["mask_rcnn", "upernet"])
def test_each_image_counts_once(task: str, strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the processes get two, two, two and two of them, to have as many."""
    monkeypatch.setenv("TINY_ROOT", f"{write_tiny_nuclei(tmp_path / 'data')}/")
    cfg = Config.fromfile(ROOT / f"tests/cli/tiny_{task}.py")
    assert TRAIN % PROCESSES
    data = cfg.train_dataloader.dataset.get("dataset", cfg.train_dataloader.dataset)
    cfg.test_dataloader.dataset.update({key: data[key] for key in ("ann_file", "data_prefix") if key in data})
    metric = dict(cfg.test_evaluator)
    if "ann_file" in metric:
        metric["ann_file"] = f"{data.data_root}{data.ann_file}"
    cfg.merge_from_dict(dict(randomness=dict(seed=0), log_level="ERROR", launcher="none", work_dir=str(tmp_path)))
    cfg.test_evaluator = [metric, dict(type="SeenImages")]
    alone = evaluated(copy.deepcopy(cfg))
    assert alone["seen/images"] == alone["seen/different"] == TRAIN
    cfg.merge_from_dict(dict(launcher="pytorch", strategy=strategy))
    multiprocessing.spawn(one_of_several, (str(tmp_path), cfg), nprocs=PROCESSES)
    assert json.loads((tmp_path / "figures.json").read_text()) == pytest.approx(alone, nan_ok=True)


def one_of_several(rank: int, folder: str, cfg: Config) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(PROCESSES))
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/processes", rank=rank, world_size=PROCESSES)
    figures = evaluated(cfg)
    if rank == 0:
        Path(folder, "figures.json").write_text(json.dumps(figures))
    distributed.barrier()
    distributed.destroy_process_group()


def evaluated(cfg: Config) -> dict[str, float]:
    """The figures of a model as it is built."""
    apply_strategy(cfg)
    join_processes(cfg)
    runner: Runner = RUNNERS.build(cfg)
    runner._init_model_weights()
    return {name: float(value) for name, value in runner.test().items()}
