"""Training that goes on after a kill, in the middle of an epoch too, as if nothing had happened.

MMEngine saves model, optimizer and schedule, but neither its place in the data nor the state of its random number
generators. Here both follow from the run's seed and the iteration, so a checkpoint needs nothing more. Gradients are
not saved: with ``accumulative_counts``, a checkpoint loses nothing only after a whole update, at a multiple of that
number.
"""

import math
from typing import Any

from mmengine.dist import broadcast_object_list, get_rank, get_world_size
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from ..datasets.seeds import PROCESS, mixed_seed, seed_process
from ..errors import ConfigError
from ..registry import LOOPS
from ..upstream import choose_val_interval, count_epoch
from .resumable_sampler import ResumableBatchSampler, ResumableSampler, SeededItems

PLACE = "data_place"  # in the message hub, and so in every checkpoint


class _Resumable(BaseLoop):
    """What both loops share. The arguments are those of MMEngine's loop.

    Raises:
        ConfigError: ``train_dataloader`` has a sampler that cannot start in the middle.
    """

    infinite: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        batches = self.dataloader.batch_sampler
        self.sampler = batches.sampler if isinstance(batches, ResumableBatchSampler) else self.dataloader.sampler
        fits = isinstance(self.sampler, ResumableSampler) and self.sampler.infinite == self.infinite
        if not fits or not (self.dataloader.batch_size or isinstance(batches, ResumableBatchSampler)):
            raise ConfigError(
                f"train_cfg.type {type(self).__name__} finds its place in the data with train_dataloader.sampler="
                f"dict(type='mmswinv2.ResumableSampler', infinite={self.infinite}) alone, and a batch_sampler only in "
                "batch_sampler=dict(type='mmswinv2.ResumableBatchSampler', batch_sampler=dict(type=...))"
            )
        # The fetcher of torch's loader asks for a whole batch where a data set has this.
        self.dataloader.dataset.__getitems__ = SeededItems(self.dataloader.dataset)

    def run(self) -> nn.Module:
        """Trains, from the beginning or from where the resumed checkpoint was written."""
        seed = [self.runner.seed]  # that of a resumed run, which the sampler does not know yet
        broadcast_object_list(seed)
        self.sampler.seed = seed[0]
        return self.run_on()

    def run_on(self) -> nn.Module:
        """Runs MMEngine's loop."""
        return super().run()

    def skip_what_was_had(self) -> int:
        """Leaves out the samples that the run has had, in the epoch or, if infinite, in the whole run.

        With other processes or another batch size, ``iter`` does not tell how many these are. So the place where
        such a change took place is kept.

        Returns:
            The batches, of the present size, that were had.

        Raises:
            ConfigError: The size of a batch has changed, and batches are put together by a sampler of their own.
        """
        batches = self.dataloader.batch_sampler
        grouped, size = isinstance(batches, ResumableBatchSampler), batches.batch_size * get_world_size()
        epoch = 0 if self.infinite else self.epoch
        place = self.runner.message_hub.runtime_info.get(PLACE)
        if place is None or place["epoch"] != epoch:
            place = dict(epoch=epoch, iter=0 if self.infinite else self.iter, samples=0, batch=size, grouped=grouped)
        had = place["samples"] + (self.iter - place["iter"]) * place["batch"]
        if grouped:
            if had and place["batch"] != size:
                raise ConfigError(
                    f"the run had {place['batch']} images in an iteration, now it has {size}, and "
                    "train_dataloader.batch_sampler puts them together in another order: resume with the same batch "
                    "size and number of processes, or from a checkpoint of an epoch's end"
                )
            batches.skip(had // size)
        else:
            self.sampler.skip(had)
        if place["batch"] != size:
            place = {**place, "iter": self.iter, "samples": had, "batch": size}
        self.runner.message_hub.update_info(PLACE, place)
        return math.ceil(had / size)

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
        self.skip_what_was_had()
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
        self.runner.call_hook("before_train_epoch")
        self.sampler.set_epoch(self.epoch)
        done = self.skip_what_was_had()
        self.runner.model.train()
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        count_epoch(self)
