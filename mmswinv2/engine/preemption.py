"""A run that is told to stop: it saves and ends, so that a scheduler can start it again where it stood."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..checkpoint import remove
from ..registry import HOOKS
from .children import bind_children
from .resumable_loops import ResumableEpochLoop

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: try again later
EVERY = 10  # iterations between two times that several processes ask each other
SAVED = "saved_when_told_to_stop"  # in the message hub: the file's path


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1 (Slurm's ``--signal=USR1@120``) saves ``iter_N.pth`` and ends with exit status 75.

    It saves after the iteration that is running; with ``accumulative_counts`` after a whole update, because gradients
    are not saved. Several processes agree every tenth iteration, after a signal to any of them. During a validation
    one process saves at once, and the validation does not take place; several finish it first.

    The file goes to the work dir. A run that resumes removes it when its next checkpoint is written.
    """

    priority = "LOWEST"  # after the checkpoint of the same iteration

    def __init__(self) -> None:
        self.told: str | None = None
        self.before: dict[signal.Signals, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Listens for the signals."""
        bind_children(SIGNALS)
        self.before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Ends the run, if it was told to."""
        self._remove_leftover(runner)
        if _is_whole_update(runner) and self._agreed(runner.iter + 1):
            self._end(runner, runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Ends the run, if it was told to and is one process, with the weights that are trained."""
        if self.told and get_world_size() == 1:
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(runner)  # a validation works on the averaged weights
            self._end(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Listens no more."""
        self._remove_leftover(runner)
        bind_children(())
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.told = signal.Signals(number).name

    def _agreed(self, done: int) -> bool:
        """Whether any process was told to stop. All of them must come to the same answer at the same iteration."""
        if get_world_size() == 1:
            return self.told is not None
        if done % EVERY:
            return False
        told = torch.tensor(float(self.told is not None))
        all_reduce(told, op="max")
        return bool(told)

    def _end(self, runner: Runner, done: int) -> None:
        """Saves and ends the process."""
        who = self.told or "a signal to another process"
        again = f"The exit status is {REQUEUE}; the same command with --resume goes on from there"
        loop = runner.train_loop
        within = runner.iter < done  # else between two epochs
        if within and isinstance(loop, EpochBasedTrainLoop) and not isinstance(loop, ResumableEpochLoop):
            runner.logger.warning(
                f"Stopped by {who} after iteration {done}. {type(loop).__name__} cannot go on within an epoch "
                "(mmswinv2.ResumableEpochLoop can), so the last checkpoint is that of an epoch's end. " + again
            )
            raise SystemExit(REQUEUE)
        name = f"iter_{done}.pth"
        in_turn = (name,) if within else (name, f"epoch_{runner.epoch}.pth")
        if not any(path.endswith(in_turn) for path in _written(runner)):
            runner.message_hub.update_info(SAVED, os.path.join(runner.work_dir, name))
            runner.save_checkpoint(runner.work_dir, name, meta=dict(epoch=runner.epoch, iter=done), by_epoch=False)
        runner.logger.warning(f"Stopped by {who} after iteration {done}, which is saved. " + again)
        raise SystemExit(REQUEUE)

    def _remove_leftover(self, runner: Runner) -> None:
        """Removes what was saved out of turn before the run resumed, when there is a newer checkpoint."""
        saved = runner.message_hub.runtime_info.get(SAVED)
        newer = [path for path in _written(runner) if path != saved]
        if saved and newer:
            runner.message_hub.runtime_info.pop(SAVED)
            if runner.rank == 0:
                remove(Path(saved))


def _written(runner: Runner) -> list[str]:
    """The checkpoints that this process, since it started, wrote last in their turn."""
    paths = [hook.last_ckpt for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    return [path for path in paths if path]


def _is_whole_update(runner: Runner) -> bool:
    """Whether the iteration that has just ended changed the weights, so that no gradients wait."""
    wrapper = runner.optim_wrapper
    return not isinstance(wrapper, OptimWrapper) or wrapper.should_update()  # others do not tell
