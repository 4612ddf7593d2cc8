"""Several processes in one run: if one is gone or hangs, the others end with a sentence, and in a known time."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config

from ..errors import TrainingError
from ..upstream import lost_process

TIMEOUT = 600  # seconds, NCCL's own default; gloo's is 1800. A data loader gives up before, and names its image


def limit_waiting(cfg: Config) -> None:
    """Sets how long the processes of a run wait for each other, where the config does not say it."""
    environment = cfg.get("env_cfg") or {}
    own = {"backend": "nccl", "timeout": TIMEOUT}  # the backend is MMEngine's own default
    cfg.env_cfg = {**environment, "dist_cfg": {**own, **(environment.get("dist_cfg") or {})}}


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """Turns an error that comes from another process' end into a :class:`TrainingError`.

    Raises:
        TrainingError: Another process is gone or late.
    """
    try:
        yield
    except RuntimeError as error:
        told = lost_process(error)
        if told is None:
            raise
        raise TrainingError(
            "Another process of this run has ended, or has not answered for env_cfg.dist_cfg.timeout seconds: its own "
            f"output says why. --resume goes on from the last checkpoint. ({told})"
        ) from error
