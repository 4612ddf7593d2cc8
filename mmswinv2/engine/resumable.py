"""Training that goes on after a kill, in the middle of an epoch too, as if nothing had happened.

MMEngine saves model, optimizer and schedule, but neither its place in the data nor the state of its random number
generators. Here both follow from the run's seed and the iteration, so a checkpoint needs nothing more. Data sets must
draw by the seed of their index alone, as this package's do. Gradients are not saved: with ``accumulative_counts``, a
checkpoint loses nothing only after a whole update, at a multiple of that number.
"""

import math
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
from mmengine.dataset import ClassBalancedDataset
from mmengine.dist import broadcast_object_list, get_dist_info, get_rank, sync_random_seed
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn
from torch.utils.data import Sampler

from ..datasets.seeds import ORDER, PROCESS, SAMPLE, mixed_seed, seed_process
from ..errors import ConfigError
from ..registry import DATA_SAMPLERS, LOOPS
from ..upstream import choose_val_interval, count_epoch, inner_datasets


class SeededIndex(int):
    """Index of a sample, with a seed for its augmentation.

    MMEngine's ``ConcatDataset`` subtracts from an index and ``RepeatDataset`` takes its remainder, to find the sample
    inside them. The seed stays with the result.

    Attributes:
        seed: From 0 to 2^32 - 1. A data set that draws by it alone returns the same sample in every worker.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> "SeededIndex":
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __sub__(self, other: int) -> "SeededIndex":
        return SeededIndex(int(self) - other, self.seed)

    def __mod__(self, other: int) -> "SeededIndex":
        return SeededIndex(int(self) % other, self.seed)

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override] # int's has the one argument of int
        """Returns what pickling needs, on the way to a worker."""
        return int(self), self.seed


class SeedKeepingList(list[int]):
    """A list that gives its entries the seed of the index by which they are looked up."""

    def __getitem__(self, index: Any) -> Any:
        entry = super().__getitem__(index)
        return SeededIndex(entry, index.seed) if isinstance(index, SeededIndex) else entry


def keep_seeds(dataset: Any) -> None:
    """Makes MMEngine's ``ClassBalancedDataset``, which looks indices up in a list, pass the seeds of samples on."""
    if isinstance(dataset, ClassBalancedDataset):
        dataset.full_init()
        dataset.repeat_indices = SeedKeepingList(dataset.repeat_indices)
    for _, inner in inner_datasets(dataset):
        keep_seeds(inner)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler[SeededIndex]):
    """Shuffles each epoch anew and shares it among processes, as MMEngine's samplers do.

    Args:
        dataset: The data set, not empty.
        shuffle: Whether the order is random.
        seed: Seed of the order and the samples, the same in all processes; None: a random one. A resumable
            loop puts the run's seed in its place.
        infinite: Whether one epoch follows another without an end, as training by iteration needs it. No sample
            is repeated within an epoch. Else the sampler ends after ``len(self)`` samples.
        round_up: Whether a finite epoch repeats its first samples until all processes have equally many.

    Raises:
        ConfigError: The data set is empty.
    """

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: int | None = None,
        infinite: bool = False,
        round_up: bool = True,
    ) -> None:
        if not len(dataset):
            raise ConfigError("the data set is empty: there is nothing to sample")
        keep_seeds(dataset)
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.infinite = infinite
        self.round_up = round_up
        self.epoch = 0
        self.skipped = 0

    def __len__(self) -> int:
        """Samples of this process in an epoch."""
        return math.ceil((self._epoch_end() - self.rank) / self.world_size)

    def __iter__(self) -> Iterator[SeededIndex]:
        first = self.rank + self.skipped * self.world_size
        if not self.infinite:
            yield from self._samples(self.epoch, range(first, self._epoch_end(), self.world_size))
            return
        size = len(self.dataset)
        epoch, first = divmod(first, size)
        while True:
            yield from self._samples(epoch, range(first, size, self.world_size))
            epoch, first = epoch + 1, (first - size) % self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Starts the next iteration at the beginning of a finite epoch."""
        self.epoch = epoch
        self.skipped = 0

    def skip(self, num_samples: int) -> None:
        """Leaves out the samples that this process has had, in the epoch or, if infinite, in the whole run."""
        self.skipped = num_samples

    def _epoch_end(self) -> int:
        size = len(self.dataset)
        return math.ceil(size / self.world_size) * self.world_size if self.round_up else size

    def _samples(self, epoch: int, positions: range) -> Iterator[SeededIndex]:
        """Yields the samples at these positions of an epoch. Positions behind its end start it again."""
        size = len(self.dataset)
        rng = np.random.default_rng(mixed_seed(self.seed, ORDER, epoch))
        order = rng.permutation(size) if self.shuffle else np.arange(size)
        for position in positions:
            yield SeededIndex(order[position % size], mixed_seed(self.seed, SAMPLE, epoch, position))


EPOCH_START = "epoch_start"


class _Resumable(BaseLoop):
    """What both loops share. The arguments are those of MMEngine's loop.

    Raises:
        ConfigError: ``train_dataloader`` has a sampler that cannot start in the middle.
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
        return self.run_on()

    def run_on(self) -> nn.Module:
        """Runs MMEngine's loop."""
        return super().run()

    def run_iter(self, *args: Any) -> None:
        """Runs one iteration. Its draws (drop path, Mixup) depend on run, process and iteration alone."""
        seed_process(mixed_seed(self.sampler.seed, PROCESS, get_rank(), self.iter))
        super().run_iter(*args)


@LOOPS.register_module()
class ResumableIterLoop(_Resumable, IterBasedTrainLoop):
    """MMEngine's ``IterBasedTrainLoop`` that resumes exactly, without loading data again.

    Its sampler is a :class:`ResumableSampler` with ``infinite=True``.
    """

    infinite = True

    def run_on(self) -> nn.Module:
        """Runs MMEngine's loop on data that begins where the run stands.

        The data loader is asked for its iterator only here, when the sampler knows the seed and the place, because
        its workers read ahead as soon as there is an iterator.
        """
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")  # may have the sampler start at the beginning
        self.sampler.skip(self.iter * self.dataloader.batch_size)
        self.dataloader_iterator = iter(self.dataloader)
        while self.iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            choose_val_interval(self)
            if self._validates():
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _validates(self) -> bool:
        """Whether the iteration that has just ended is one to validate after."""
        due = self.iter % self.val_interval == 0 or self.iter == self.max_iters
        return self.runner.val_loop is not None and self.iter >= self.val_begin and due


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
        self.sampler.set_epoch(self.epoch)
        self.sampler.skip(done * self.dataloader.batch_size)
        self.runner.model.train()
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        count_epoch(self)

    def _batches_done(self) -> int:
        """Returns how many batches of this epoch the resumed run has had.

        It is not ``iter`` minus whole epochs: with other GPUs, those before may have had another length.

        Raises:
            ConfigError: This epoch began with another number of iterations.
        """
        length = len(self.dataloader)
        start = self.runner.message_hub.runtime_info.get(EPOCH_START)  # part of every checkpoint
        if start is None or start["epoch"] != self.epoch:
            start = {"epoch": self.epoch, "iter": self.iter, "length": length}
            self.runner.message_hub.update_info(EPOCH_START, start)
        if start["length"] != length:
            raise ConfigError(
                f"the checkpoint was written within an epoch of {start['length']} iterations, now it has {length}: "
                "resume with the same data, batch size and number of processes, or from a checkpoint of an epoch's end"
            )
        return self.iter - start["iter"]
