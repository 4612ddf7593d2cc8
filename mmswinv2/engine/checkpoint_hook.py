"""Checkpoints of which none is removed before the next one is whole."""

from typing import Any

from mmengine.fileio import BaseStorageBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..registry import HOOKS


class LateRemoval:
    """A storage of files that notes what is to be removed, and removes it when it is told to.

    Args:
        backend: MMEngine's storage. All else is passed on to it.
    """

    def __init__(self, backend: BaseStorageBackend) -> None:
        self.backend = backend
        self.noted: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        """Notes a file."""
        self.noted.append(path)

    def rmtree(self, path: str) -> None:
        """Notes a folder: the checkpoint of a model in parts."""
        self.noted.append(path)

    def remove_noted(self, kept: str | None) -> None:
        """Removes what was noted, but not ``kept``, which was written again since."""
        for path in self.noted:
            if path != kept and self.backend.isfile(path):
                self.backend.remove(path)
            elif path != kept and self.backend.isdir(path):
                self.backend.rmtree(path)
        self.noted = []


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook`` that removes an old checkpoint after the new one is written, not before.

    With ``max_keep_ckpts=1``, MMEngine removes the only checkpoint and then writes the next: a kill or a full disk
    between leaves nothing. The same holds for the best one. Arguments are MMEngine's.
    """

    file_backend: Any  # MMEngine's, then around it a LateRemoval

    def before_train(self, runner: Runner) -> None:
        """Finds the folder, and puts removals off from here on."""
        super().before_train(runner)
        self.file_backend = LateRemoval(self.file_backend)

    def after_train_epoch(self, runner: Runner) -> None:
        """Saves, then removes."""
        super().after_train_epoch(runner)
        self._remove_noted()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Saves, then removes."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._remove_noted()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Saves the best, then removes."""
        super().after_val_epoch(runner, metrics)
        self._remove_noted()

    def _remove_noted(self) -> None:
        self.file_backend.remove_noted(kept=self.last_ckpt)
