"""A model in parts that is gathered in half precision computes what autocast computes of a whole one."""

from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import Tensor, distributed, multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from mmswinv2.engine.strategies.shards import compile_blocks, half_precision, sharded_blocks
from mmswinv2.models import SwinTransformerV2

from .training import BACKBONE, whole

PROCESSES = 2


def test_is_what_the_optimizer_wrapper_says() -> None:
    assert half_precision(dict(type="OptimWrapper")) is half_precision(build_optim_wrapper) is None
    assert half_precision(dict(type="AmpOptimWrapper", dtype="bfloat16")) == torch.bfloat16
    assert half_precision(dict(type="AmpOptimWrapper", dtype=torch.float16)) == torch.float16
    assert half_precision(dict(type="AmpOptimWrapper", dtype="float32")) is None
    assert half_precision(dict(type="AmpOptimWrapper")) == torch.get_autocast_dtype("cpu")


@pytest.mark.parametrize("with_cp", [pytest.param(False, marks=pytest.mark.full), True])
def test_two_processes_get_the_gradients_of_autocast(with_cp: bool, tmp_path: Path) -> None:
    """Of every parameter; in evaluation, where there is no autocast, they are about as exact as with it."""
    multiprocessing.spawn(in_parts, (str(tmp_path), with_cp), nprocs=PROCESSES)
    results = [torch.load(tmp_path / f"{rank}.pth") for rank in range(PROCESSES)]
    model = build(with_cp)
    check_gradients(model, results)
    features = evaluated(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        error = (evaluated(model) - features).norm()
    for result in results:
        assert result["halves"] == {"qkv", "proj", "fc1", "fc2"}
        assert result["features"].dtype == torch.float32
        assert 0 < (result["features"] - features).norm() < 1.2 * error


@pytest.mark.full
def test_compiled_blocks_get_the_gradients_of_autocast(tmp_path: Path) -> None:
    """They are gathered in float32, each by one graph."""
    multiprocessing.spawn(compiled_in_parts, (str(tmp_path),), nprocs=PROCESSES)
    results = [torch.load(tmp_path / f"{rank}.pth") for rank in range(PROCESSES)]
    check_gradients(build(with_cp=True), results)


def check_gradients(model: SwinTransformerV2, results: list[dict]) -> None:
    """Each process has the mean of what a whole model gets of the images of both."""
    gradients = [step(model, rank) for rank in range(PROCESSES)]
    for name, gradient in gradients[0].items():
        mean = (gradient + gradients[1][name]) / PROCESSES
        for result in results:
            torch.testing.assert_close(result["gradients"][name], mean, atol=1e-6, rtol=1e-4, msg=name)


def in_parts(rank: int, folder: str, with_cp: bool) -> None:
    """One process: a step, and features of an image."""
    model = sharded(rank, folder, with_cp, torch.bfloat16)
    halves: set[str] = set()
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(partial(note_half, halves, name.split(".")[-1]))
    gradients = step(model, rank)
    results = {"gradients": gradients, "features": evaluated(model), "halves": halves}
    torch.save(results, f"{folder}/{rank}.pth")
    distributed.barrier()
    distributed.destroy_process_group()


def compiled_in_parts(rank: int, folder: str) -> None:
    """One process: a step with compiled blocks, which may not break."""
    model = sharded(rank, folder, with_cp=True, half=None)
    compile_blocks(model, dict(backend="eager", fullgraph=True))  # others round sums in bfloat16 in another order
    torch.save({"gradients": step(model, rank)}, f"{folder}/{rank}.pth")
    distributed.barrier()
    distributed.destroy_process_group()


def sharded(rank: int, folder: str, with_cp: bool, half: torch.dtype | None) -> SwinTransformerV2:
    """A process's part of the model."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/processes", rank=rank, world_size=PROCESSES)
    mesh = init_device_mesh("cpu", (PROCESSES,))
    with sharded_blocks(mesh, half):
        model = build(with_cp)
    return fully_shard(model, mesh=mesh)


def note_half(halves: set[str], name: str, layer: nn.Linear, inputs: object) -> None:
    if layer.weight.dtype == torch.bfloat16:
        halves.add(name)


def build(with_cp: bool) -> SwinTransformerV2:
    settings = {name: value for name, value in BACKBONE.items() if name != "type"}
    torch.manual_seed(0)
    model = SwinTransformerV2(**settings, with_cp=with_cp)
    model.init_weights()
    with torch.no_grad():
        for block in (block for stage in model.layers for block in stage.blocks):
            for norm in (block.norm1, block.norm2):
                norm.weight.fill_(1.0)  # at 0 nothing that a block computes has a gradient
    return model


def step(model: nn.Module, rank: int) -> dict[str, Tensor]:
    """The gradients of a process's images, whole."""
    model.train()
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (out,) = model(images(rank))
        loss = (out.float() * torch.linspace(-1, 1, out.numel()).view_as(out)).mean()
    loss.backward()
    return {name: whole(parameter.grad) for name, parameter in model.named_parameters()}


def evaluated(model: nn.Module) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model(images(0))[0]


def images(rank: int) -> Tensor:
    return torch.randn(2, 3, 48, 40, generator=torch.Generator().manual_seed(rank))
