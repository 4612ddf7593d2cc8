"""A SimMIM pretraining of seconds that ``tools/train.py`` runs in a process of its own."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..engine.tiny_training import ITERATIONS, SIMMIM, training

ENDLESS = dict(type="mmswinv2.ResumableIterLoop", max_iters=100000)


def write_config(path: Path, **changes: Any) -> Path:
    """Writes the config; ``changes`` replace whole settings."""
    imports = dict(imports=["tests.engine.tiny_training"], allow_failed_imports=False)
    vis_backends = [dict(type="LocalVisBackend")]
    config = {
        **training(SIMMIM, **ITERATIONS),
        "custom_imports": imports,
        "log_level": "INFO",
        "log_processor": dict(by_epoch=False),
        "visualizer": dict(type="Visualizer", vis_backends=vis_backends),
        **changes,
    }
    Config(config).dump(path)
    return path
