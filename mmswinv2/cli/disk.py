"""What a training says when the disk does not take what it writes: full, read-only, over a quota, broken."""

import errno
import logging
import math
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import nn

from ..checkpoint import newest_whole, numbered_checkpoints
from ..errors import EnvironmentProblem, UserError

FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


@contextmanager
def disk_faults_explained(work_dir: str) -> Iterator[None]:
    """Turns an error of the disk during a training into one that says what is lost, and how to go on.

    Raises:
        EnvironmentProblem: Names the file, the room that is left and the checkpoint to go on from.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        fault = disk_fault(error)
        if fault is None:
            raise
        name = os.path.abspath(fault.filename) if isinstance(fault.filename, str) else "a file of this run"
        raise EnvironmentProblem(
            f"The disk refuses {name}: {fault.strerror} ({room(work_dir)}). Mend that, then go on with --resume: "
            f"{what_is_left(work_dir)}"
        ) from error


def disk_fault(error: BaseException | None) -> OSError | None:
    """The fault of a disk behind an error, which may have come up while another was handled; None: there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FAULTS:
            return error
        error = error.__cause__ or error.__context__
    return None


def room(work_dir: str) -> str:
    """The space that is left where a run writes, and the limit of a file's size if there is one."""
    places = dict.fromkeys((os.path.abspath(work_dir), tempfile.gettempdir()))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    limits = [] if limit == resource.RLIM_INFINITY else [f"a file may have {size(limit)} by ulimit -f"]
    return ", ".join([*(f"{size(shutil.disk_usage(place).free)} free in {place}" for place in places), *limits])


def size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def what_is_left(work_dir: str) -> str:
    """The newest checkpoint that is whole, in words."""
    path = newest_whole([Path(work_dir)]).path
    return f"the last whole checkpoint is {path}" if path else "it begins anew, there is no checkpoint yet"


def stop_on_lost_log(logger: logging.Logger) -> None:
    """Lets a log that the disk does not take end the run, where ``logging`` would print a traceback for each line."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = partial(_raise, handler)  # type: ignore[method-assign]


def _raise(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    error = sys.exc_info()[1]
    if not isinstance(error, OSError):
        logging.Handler.handleError(handler, record)
        return
    raise OSError(error.errno, error.strerror, handler.baseFilename) from error


def warn_of_little_room(runner: Runner) -> None:
    """Warns where the checkpoints that a training will keep do not fit on the disk."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    if hook is None or hook.out_dir is not None or hook.interval < 1 or not isinstance(runner.model, nn.Module):
        return  # nothing is saved here, or by a strategy, which builds the model later
    more = kept_checkpoints(hook, runner.cfg.train_cfg) - len(numbered_checkpoints(runner.work_dir))
    one = checkpoint_size(runner.model)
    free = shutil.disk_usage(runner.work_dir).free
    if free < max(more, 1) * one:
        runner.logger.warning(
            f"This training will write {max(more, 1)} checkpoints of about {size(one)}, but {runner.work_dir} has "
            f"{size(free)} free: make room, or keep fewer by default_hooks.checkpoint.max_keep_ckpts"
        )


def kept_checkpoints(hook: CheckpointHook, train_cfg: Mapping[str, Any]) -> int:
    """How many checkpoints there are at most at one time: one more than are kept, as the oldest goes last."""
    length = train_cfg.get("max_epochs" if hook.by_epoch else "max_iters") or hook.interval
    written = math.ceil(length / hook.interval)
    return min(written, hook.max_keep_ckpts + 1) if hook.max_keep_ckpts > 0 else written


def checkpoint_size(model: nn.Module) -> int:
    """Bytes of a checkpoint: the weights, and two numbers of the optimizer for each one that learns."""
    learnt = sum(weight.numel() * weight.element_size() for weight in model.parameters() if weight.requires_grad)
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()) + 2 * learnt
