"""A loss or gradients that are not finite: the optimizer does not take them, and the batch is kept to be looked at.

Where this stands in a training step, and why:

1. The loss comes to the optimizer wrapper. One that is bad is multiplied by NaN, so that all its gradients are NaN.
   This needs no wait for the GPU. And several processes average their gradients, so all of them get to know.
2. Before the optimizer's step the norm of all gradients is asked for: one wait for the GPU in an update. Gradients that
   are bad of themselves are found as well.

A forward pass of a bad batch also leaves NaN in running statistics, as those of BatchNorm. They are put back.
"""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial, update_wrapper
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import ConfigError, name_some
from ..models.backbone import unwrapped
from ..registry import HOOKS
from .bad_batch import Fault, Moment, stop
from .batch_file import image_names

BAD_STEPS = "bad_steps"  # in the message hub, and so in every checkpoint


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops a training before its optimizer takes a loss or gradients that are not finite.

    The run ends with a :class:`~mmswinv2.errors.TrainingError`. Its work dir then holds the last good weights with the
    optimizer, ``iter_N.pth``, from which ``--resume`` goes on; a report, ``bad_batch_iter_N.json``; and the batch.
    In mixed precision, MMEngine's wrapper leaves out steps whose scaled gradients overflow. It still does; the loss
    alone counts.

    Args:
        max_loss: Greatest absolute value of a loss that counts as finite. Losses are averages, of the order of 1 to
            100. One that is a sum over pixels needs a greater bound, as its first iteration shows.
        skip_bad_steps: How many single bad steps of a run are left out. Two in a row end it all the same.

    Raises:
        ConfigError: ``max_loss`` is not positive, or ``skip_bad_steps`` is negative.
    """

    priority = "LOWEST"  # the last before a forward pass: others may draw random numbers

    def __init__(self, max_loss: float = 1e6, skip_bad_steps: int = 0) -> None:
        if not max_loss > 0 or skip_bad_steps < 0:
            raise ConfigError(
                f"FiniteLossHook: max_loss={max_loss!r} must be above 0, skip_bad_steps={skip_bad_steps!r} at least 0"
            )
        self.max_loss = max_loss
        self.skip_bad_steps = skip_bad_steps
        self.bad_loss = False  # of this iteration or, of those whose gradients add up with its own, an earlier one

    def before_train(self, runner: Runner) -> None:
        """Puts a guard before each optimizer."""
        wrappers = runner.optim_wrapper
        self.is_watching = isinstance(wrappers, OptimWrapper | OptimWrapperDict)
        if not self.is_watching:
            runner.logger.warning(
                f"{type(wrappers).__name__} steps by itself, so nothing is done about losses that are not finite"
            )
            return
        self.runner = runner
        self.model = unwrapped(runner.model)
        self.on_cpu = all(parameter.device.type == "cpu" for parameter in self.model.parameters())
        for wrapper in [wrappers] if isinstance(wrappers, OptimWrapper) else wrappers.values():
            StepGuard(wrapper, self)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Notes what the iteration begins with; after a bad loss, what the iteration of that loss began with stays."""
        if self.is_watching and not self.bad_loss:
            # On the CPU a model may change its batch in place, as Mixup does. For a GPU it takes a copy.
            batch = copy.deepcopy(data_batch) if self.on_cpu else data_batch
            self.moment = Moment.now(runner.iter, batch, self.model)

    def note_good_step(self) -> None:
        """Ends a row of bad steps."""
        steps = self.runner.message_hub.runtime_info.get(BAD_STEPS)
        if steps is not None and steps["last_was_bad"]:
            self.runner.message_hub.update_info(BAD_STEPS, {**steps, "last_was_bad": False})

    def refuse(self, wrapper: OptimWrapper, context: AbstractContextManager) -> bool:
        """Decides what becomes of a step whose gradients are not finite. All processes of a run decide alike.

        Args:
            wrapper: Whose step it is.
            context: The one in which the model runs, of mixed precision.

        Returns:
            Whether the step is left out. Else the wrapper knows what to do with such gradients.

        Raises:
            TrainingError: The run cannot go on.
        """
        everyone = all_gather_object({"bad_loss": self.bad_loss, "images": image_names(self.moment.batch)})
        at_fault = [rank for rank, one in enumerate(everyone) if one["bad_loss"]]
        if isinstance(wrapper, AmpOptimWrapper) and not at_fault:
            return False
        images = [name for rank in at_fault or range(len(everyone)) for name in everyone[rank]["images"]]
        steps = self.runner.message_hub.runtime_info.get(BAD_STEPS, {"count": 0, "last_was_bad": False})
        if steps["last_was_bad"] or steps["count"] >= self.skip_bad_steps:
            rank = at_fault[0] if at_fault else 0
            stop(self.runner, Fault(rank, bool(at_fault), images), self.moment, context)
        self.moment.restore_buffers(self.model)
        self.bad_loss = False
        self._count(steps["count"] + 1, images)
        return True

    def _count(self, count: int, images: list[str]) -> None:
        """Counts a step that is left out, in the log, its scalars and every later checkpoint."""
        self.runner.message_hub.update_info(BAD_STEPS, {"count": count, "last_was_bad": True})
        self.runner.message_hub.update_scalar(f"train/{BAD_STEPS}", count)
        self.runner.logger.warning(
            f"Left out the step of iteration {self.moment.iteration + 1}, whose loss or gradients are not finite: bad "
            f"step {count} of the {self.skip_bad_steps} that skip_bad_steps allows. Its images: {name_some(images)}"
        )


class StepGuard:
    """Stands before an optimizer wrapper, in the place of its ``update_params`` and ``step``."""

    def __init__(self, wrapper: OptimWrapper, hook: FiniteLossHook) -> None:
        self.wrapper, self.hook = wrapper, hook
        self.update, self.take_step = wrapper.update_params, wrapper.step
        wrapper.update_params = self.update_params
        # MMEngine's schedulers have put a counter around ``step``, and look for the mark that it bears
        wrapper.step = update_wrapper(partial(self.step), self.take_step)

    @torch.compiler.disable
    def update_params(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Hands the loss on, times 1, or times NaN if it is bad."""
        self.bad = ~(loss.detach().abs() <= self.hook.max_loss)  # NaN is not below any bound
        if not self.wrapper.should_sync():  # the update comes with a later batch, so this one has to be kept now
            self.hook.bad_loss = self.hook.bad_loss or bool(self.bad)
        self.update(loss * torch.where(self.bad, torch.nan, 1.0), *args, **kwargs)

    @torch.compiler.disable
    def step(self, **kwargs: Any) -> None:
        """Takes the step if all gradients are finite."""
        gradients = [parameter.grad for parameter in self._parameters() if parameter.grad is not None]
        if nn.utils.get_total_norm(gradients).isfinite():
            self.hook.note_good_step()
            self.take_step(**kwargs)
            return
        self.hook.bad_loss = self.hook.bad_loss or bool(self.bad)
        if not self.hook.refuse(self.wrapper, self.wrapper.optim_context(self.hook.runner.model)):
            self.take_step(**kwargs)

    def _parameters(self) -> Iterator[nn.Parameter]:
        for group in self.wrapper.optimizer.param_groups:
            yield from group["params"]
