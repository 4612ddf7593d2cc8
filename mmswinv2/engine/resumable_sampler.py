"""The order of the samples of a run, from which it can start in the middle, and a seed for each of them.

Both follow from the run's seed and the place in the run alone.
"""

import math
from collections.abc import Iterator, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np
from mmengine.dataset import ClassBalancedDataset
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from torch.utils.data import Sampler

from ..datasets.seeds import ORDER, SAMPLE, mixed_seed, seeded
from ..errors import ConfigError
from ..registry import DATA_SAMPLERS
from ..upstream import inner_datasets


class SeededIndex(int):
    """Index of a sample, with a seed for its augmentation.

    MMEngine's ``ConcatDataset`` subtracts from an index and ``RepeatDataset`` takes its remainder, to find the sample
    inside them. The seed stays with the result.

    Attributes:
        seed: From 0 to 2^32 - 1. What draws by it alone returns the same sample in every worker.
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
        return math.ceil((self._epoch_end(0) - self.rank) / self.world_size)

    def __iter__(self) -> Iterator[SeededIndex]:
        first = self.rank + self.skipped
        if not self.infinite:
            yield from self._samples(self.epoch, range(first, self._epoch_end(self.skipped), self.world_size))
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
        """Leaves out the samples that all processes have had, in the epoch or, if infinite, in the whole run."""
        self.skipped = num_samples

    def _epoch_end(self, first: int) -> int:
        """Where an epoch ends that begins at ``first``, which is not 0 if other processes began it."""
        size = len(self.dataset)
        return first + math.ceil((size - first) / self.world_size) * self.world_size if self.round_up else size

    def _samples(self, epoch: int, positions: range) -> Iterator[SeededIndex]:
        """Yields the samples at these positions of an epoch. Positions behind its end start it again."""
        size = len(self.dataset)
        rng = np.random.default_rng(mixed_seed(self.seed, ORDER, epoch))
        order = rng.permutation(size) if self.shuffle else np.arange(size)
        for position in positions:
            yield SeededIndex(order[position % size], mixed_seed(self.seed, SAMPLE, epoch, position))


class SeededItems:
    """Takes the samples of a batch from a data set, each under the seed of its index.

    Augmentations draw from the generators of the process. So without this they depend on what the worker did before,
    except in this package's own data sets.

    Args:
        dataset: Any data set.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[SeededIndex]) -> list[Any]:
        return [self._item(index) for index in indices]

    def _item(self, index: SeededIndex) -> Any:
        with seeded(index.seed):
            return self.dataset[index]


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler(Sampler[list[SeededIndex]]):
    """Another batch sampler's batches, from which a run can start in the middle.

    The batches before are put together again, without loading their images.

    Args:
        sampler: The sampler of the loader, a :class:`ResumableSampler`.
        batch_size: Samples of a batch.
        batch_sampler: Config of the batch sampler, which draws nothing itself, such as
            ``dict(type='AspectRatioBatchSampler')`` of MMDetection.
    """

    def __init__(self, sampler: ResumableSampler, batch_size: int, batch_sampler: dict[str, Any]) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.batches = MMENGINE_DATA_SAMPLERS.build(
            batch_sampler, default_args=dict(sampler=sampler, batch_size=batch_size)
        )
        self.skipped = 0

    def __len__(self) -> int:
        """Batches of this process in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        return islice(iter(self.batches), self.skipped, None)

    def skip(self, num_batches: int) -> None:
        """Leaves out the batches that this process has had, in the epoch or, if infinite, in the whole run."""
        self.skipped = num_batches
