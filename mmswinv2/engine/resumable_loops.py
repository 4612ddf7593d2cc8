"""Training loops that go on after a kill, in the middle of an epoch too, as if nothing had happened.

MMEngine saves model, optimizer and schedule, but neither its place in the data nor the state of its random number
generators. Here both follow from the run's seed and the iteration, so a checkpoint needs nothing more. Data sets must
draw by the seed of their index alone, as this package's do. Gradients are not saved: with ``accumulative_counts`` only
a checkpoint after a whole update, every multiple of it, loses nothing.
"""

from typing import Any

from mmengine.dist import broadcast_object_list, get_rank
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from ..registry import LOOPS
from .preflight.errors import ConfigError
from .resumable_sampler import ResumableSampler
from .seeds import PROCESS, mixed_seed, seed_process

EPOCH_START = "epoch_start"


class _Resumable:
    """What both loops share; the arguments are those of MMEngine's loop.

    Raises:
        ConfigError: ``train_dataloader`` has a sampler that cannot start anywhere.
    """

    infinite: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sampler = self.dataloader.sampler
        fits = isinstance(self.sampler, ResumableSampler) and self.sampler.infinite == self.infinite
        if not fits or self.dataloader.batch_size is None:
            raise ConfigError(
                f"train_cfg.type {type(self).__name__} finds its place in the data with train_dataloader.sampler="
                f"dict(type='mmswinv2.ResumableSampler', infinite={self.infinite}) alone, and without a batch_sampler"
            )

    def run(self) -> nn.Module:
        """Trains, from the beginning or from where the resumed checkpoint was written."""
        seed = [self.runner.seed]  # that of a resumed run, which the sampler does not know yet
        broadcast_object_list(seed)
        self.sampler.seed = seed[0]
        return super().run()

    def run_iter(self, *args: Any) -> None:
        """One iteration; its draws (drop path, Mixup) depend on run, process and iteration alone."""
        seed_process(mixed_seed(self.sampler.seed, PROCESS, get_rank(), self.iter))
        super().run_iter(*args)


@LOOPS.register_module()
class ResumableIterLoop(_Resumable, IterBasedTrainLoop):
    """MMEngine's ``IterBasedTrainLoop`` that resumes exactly, without loading data again.

    Its sampler is a :class:`ResumableSampler` with ``infinite=True``, which MMEngine itself lets skip what was seen.
    """

    infinite = True


@LOOPS.register_module()
class ResumableEpochLoop(_Resumable, EpochBasedTrainLoop):
    """MMEngine's ``EpochBasedTrainLoop`` that resumes exactly, from checkpoints within an epoch too.

    Its sampler is a :class:`ResumableSampler`. ``CheckpointHook(by_epoch=False)`` writes such checkpoints.
    """

    infinite = False

    def run_epoch(self) -> None:
        """Trains the rest of an epoch: all of it, unless the run was resumed within it."""
        done = self._batches_done()
        self.runner.call_hook("before_train_epoch")
        self.sampler.set_epoch(self._epoch)
        self.sampler.skip(done * self.dataloader.batch_size)
        self.runner.model.train()
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _batches_done(self) -> int:
        """Batches of this epoch that the resumed run has had.

        Not ``iter`` minus whole epochs: those before may have been of another length, with other GPUs.
        """
        length = len(self.dataloader)
        start = self.runner.message_hub.runtime_info.get(EPOCH_START)  # part of every checkpoint
        if start is None or start["epoch"] != self._epoch:
            start = {"epoch": self._epoch, "iter": self._iter, "length": length}
            self.runner.message_hub.update_info(EPOCH_START, start)
        if start["length"] != length:
            raise ConfigError(
                f"the checkpoint was written within an epoch of {start['length']} iterations, now it has {length}: "
                "resume with the same data, batch size and number of processes, or from a checkpoint of an epoch's end"
            )
        return self._iter - start["iter"]
