"""Measures a training on a CPU in a process of its own: the peak of its memory over what the libraries take.

It is started by :mod:`.error`, with a case as JSON, and prints the bytes.
"""

import json
import sys
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from ..benchmark.memory import MIB, peak_memory
from .batches import made_up_batch

STEPS = 2  # the second has the optimizer's state beside the activations
REAL_STEPS = 12  # of which the one that takes most counts, as real images vary


class Case(NamedTuple):
    """A training to plan and to measure.

    Attributes:
        config: Its file.
        options: What is changed of it.
        batch: Images.
        size: Height and width in pixels.
        real: Whether it reads the config's images; else batches are made up.
    """

    config: str
    options: dict[str, Any]
    batch: int
    size: tuple[int, int]
    real: bool = False

    def read(self) -> Config:
        """The config, without weights to load."""
        cfg = Config.fromfile(self.config)
        cfg.merge_from_dict(self.options)
        return cfg


def measured(case: Case) -> float | None:
    """Bytes that a training takes at its peak; None where the system does not tell."""
    cfg = case.read()
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        train(cfg, case._replace(batch=2, size=(64, 64), real=False))  # what the libraries set up once
        peak = peak_memory(lambda: train(cfg, case), "cpu")
    return None if peak is None else peak * MIB


def train(cfg: Config, case: Case) -> None:
    """Builds a model and trains it for some steps."""
    model: Any = revert_sync_batchnorm(MODELS.build(ConfigDict(cfg.model, init_cfg=None)))
    model.init_weights()
    model.train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    if case.real:
        batches = iter(Runner.build_dataloader(cfg.train_dataloader, seed=0))
        for _ in range(REAL_STEPS):
            model.train_step(next(batches), optimizer)
        return
    for _ in range(STEPS):
        losses = model(**made_up_batch(model, case.batch, case.size), mode="loss")
        optimizer.update_params(model.parse_losses(losses)[0])


if __name__ == "__main__":
    MMLogger.get_current_instance().setLevel("ERROR")
    print(json.dumps(measured(Case(*json.loads(sys.argv[1])))))
