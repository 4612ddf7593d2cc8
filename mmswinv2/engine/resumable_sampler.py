"""A sampler that can start anywhere: its order and its samples' seeds follow from the run's seed alone."""

import math
from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from ..registry import DATA_SAMPLERS
from .seeds import ORDER, SAMPLE, mixed_seed


class SeededIndex(int):
    """Index of a sample, with a seed for its augmentation.

    The seed stays with it in the arithmetic by which MMEngine's ``ConcatDataset`` (``-``) and ``RepeatDataset`` (``%``)
    find the data set inside them.

    Attributes:
        seed: From 0 to 2^32 - 1. A data set that draws by it alone gives the same sample in every worker.
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

    def __getnewargs__(self) -> tuple[int, int]:
        """For pickling, on the way to a worker."""
        return int(self), self.seed


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler[SeededIndex]):
    """Shuffles each epoch anew and shares it among processes, as MMEngine's samplers do.

    Args:
        dataset: The data set, not empty.
        shuffle: Whether the order is random.
        seed: Seed of the order and the samples, the same in all processes; None: a random one. A resumable
            loop puts the run's in its place.
        infinite: For training by iteration: one epoch follows another without an end, and no sample is
            repeated within one. Else it ends after ``len(self)`` samples.
        round_up: Whether a finite epoch repeats its first samples until all processes have equally many.

    Raises:
        ValueError: The data set is empty.
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
            raise ValueError("the data set is empty: there is nothing to sample")
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
        """Leaves out samples that this process has had: of the epoch, or if infinite, of the whole run."""
        self.skipped = num_samples

    def _epoch_end(self) -> int:
        size = len(self.dataset)
        return math.ceil(size / self.world_size) * self.world_size if self.round_up else size

    def _samples(self, epoch: int, positions: range) -> Iterator[SeededIndex]:
        """Samples at these positions of an epoch, which begins again after its last."""
        size = len(self.dataset)
        rng = np.random.default_rng(mixed_seed(self.seed, ORDER, epoch))
        order = rng.permutation(size) if self.shuffle else np.arange(size)
        for position in positions:
            yield SeededIndex(order[position % size], mixed_seed(self.seed, SAMPLE, epoch, position))
