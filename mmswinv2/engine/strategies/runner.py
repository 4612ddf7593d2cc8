"""MMEngine's runner for several processes whose state is in parts: of the optimizer, or of the model as well."""

import copy
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast, get_world_size
from mmengine.model import convert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.optim import Optimizer

from ...checkpoint.parts import loading_parts
from ...registry import RUNNERS
from ...upstream import on_all_processes
from ..random_state import random_state, set_random_state
from .shards import WholeValues, compile_blocks, half_precision, parts_like, sharded_blocks


class ParallelRunner(Runner):
    """MMEngine's ``Runner`` that saves by all processes together.

    MMEngine's saves by the first alone, which cannot see what the others have.
    """

    save_checkpoint = on_all_processes(Runner.save_checkpoint)


@RUNNERS.register_module()
class PartedOptimizerRunner(ParallelRunner):
    """A runner whose processes have the optimizer's state in parts (ZeRO-1).

    Checkpoints are MMEngine's: the first process gathers the state and writes it.
    """

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Builds the config's optimizer inside ``ZeroRedundancyOptimizer``."""
        if isinstance(optim_wrapper, dict) and "optimizer" in optim_wrapper:
            optimizer = dict(optim_wrapper["optimizer"])
            own = dict(type="ZeroRedundancyOptimizer", optimizer_type=optimizer.pop("type"))
            optim_wrapper = {**optim_wrapper, "optimizer": {**optimizer, **own}}
        return super().build_optim_wrapper(optim_wrapper)


@RUNNERS.register_module()
class ShardedRunner(ParallelRunner):
    """A runner whose processes have the model in parts (FSDP2).

    Parameters, gradients, the optimizer's state and averaged weights (EMA) are in parts from the beginning on. A block
    is whole while it computes. Checkpoints are folders; see :mod:`mmswinv2.checkpoint.sharded`.
    """

    def build_model(self, model: nn.Module | dict[str, Any]) -> nn.Module:
        """Builds the model block by block, in parts."""
        assert isinstance(model, dict)
        self.mesh: DeviceMesh = init_device_mesh(get_device(), (get_world_size(),))
        self._model_config = copy.deepcopy(model)
        built = self._in_parts(model)
        # Averaged weights begin as a deep copy of the model, which PyTorch does not make of its parts.
        object.__setattr__(built, "__deepcopy__", self._copy)
        return built

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Returns the model as it is: it is in parts already, and needs no wrapper."""
        return model

    def _maybe_compile(self, target: str) -> None:
        """Compiles each block by itself; the whole step, as MMEngine has it, would take the gathering in."""
        chosen = self.cfg.get("compile")  # as MMEngine has it: True, False, or settings of torch.compile
        if chosen is None or chosen is False:
            return
        settings = {} if chosen is True else chosen
        compile_blocks(self.model, settings)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Lets the optimizer take its state from the checkpoint of another strategy."""
        built = super().build_optim_wrapper(optim_wrapper)
        optimizer: Optimizer = built.optimizer
        optimizer.register_load_state_dict_pre_hook(parts_like)
        return built

    def load_or_resume(self) -> None:
        """Loads or resumes, each process its part."""
        with WholeValues(), loading_parts(self.mesh):
            super().load_or_resume()

    def _init_model_weights(self) -> None:
        with WholeValues(), loading_parts(self.mesh):
            self.model.init_weights()
        for buffer in self.model.buffers():
            broadcast(buffer)

    def _in_parts(self, config: dict[str, Any]) -> nn.Module:
        half = None if self.cfg.get("compile") else half_precision(self.cfg.get("optim_wrapper"))
        with sharded_blocks(self.mesh, half):
            model = MODELS.build(config)
        if sync_bn := self.cfg.get("sync_bn"):
            model = convert_sync_batchnorm(model, sync_bn)
        fully_shard(model, mesh=self.mesh, reshard_after_forward=True)  # whole weights after a test would be in the way
        return model.to(get_device())  # buffers, as those of the data preprocessor

    def _copy(self, memo: dict[int, Any]) -> nn.Module:
        """Returns a second model with the same values, in parts as well."""
        state = random_state()
        copied = self._in_parts(copy.deepcopy(self._model_config))
        set_random_state(state)
        with torch.no_grad():
            for name, value in copied.state_dict().items():
                value.copy_(self.model.state_dict()[name])
        return copied
