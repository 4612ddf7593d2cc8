"""Two processes that share a model: the first alone reads a checkpoint, and each gets its part."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import load_pretrained, read_checkpoint
from mmswinv2.checkpoint.parts import SMALL, loading_parts, read_once
from mmswinv2.engine.strategies.shards import WholeValues, sharded_blocks
from mmswinv2.errors import CheckpointError

ODD = torch.arange(3.0 * SMALL).view(3, SMALL)  # two processes get 2 and 1 of its rows
ARCH = dict(embed_dims=64, depths=(1, 1), num_heads=(2, 4))


def checkpoint() -> dict[str, Any]:
    state = OrderedDict(odd=ODD, again=ODD, small=torch.ones(3), count=torch.tensor(7), half=ODD.bfloat16())
    state["unusual"] = torch.ones(SMALL, dtype=torch.bool)
    state["expanded"] = torch.ones(1).expand(2**40)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined] # as a module's has
    return {"state_dict": state, "meta": {"iter": 4, "seen": ["a", ("b", ODD)]}}


def whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def one_of_two(rank: int, folder: str) -> None:
    """Does all that a test looks at; the second process finds none of the files."""
    os.chdir(folder if rank == 0 else "/")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/processes", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    with loading_parts(mesh):
        content = read_checkpoint("run.pth").content
        faults = []
        for read in (lambda: read_checkpoint("absent.pth"), lambda: read_once(lambda: 1 // 0)):
            with pytest.raises((CheckpointError, ZeroDivisionError)) as caught:
                read()
            faults.append(f"{caught.type.__name__}: {caught.value}")
        with sharded_blocks(mesh, None):
            model = SwinTransformerV2(ARCH, window_size=4, out_indices=(1,))
        with WholeValues():
            report = load_pretrained(model, "backbone.pth")
            model.register_buffer("large", torch.zeros_like(ODD))
            model.load_state_dict({"large": content["state_dict"]["odd"]}, strict=False)
    state = content["state_dict"]
    found = {
        "kinds": {name: type(value).__name__ for name, value in state.items()},
        "same": state["odd"] is state["again"] is content["meta"]["seen"][1][1],
        "rows": len(state["odd"].to_local()),
        "metadata": state._metadata,
        "expanded": (state["expanded"].shape[0], state.pop("expanded").untyped_storage().nbytes()),
        "state": {name: whole(value) for name, value in state.items()},
        "faults": faults,
        "report": str(report),
        "weights": {name: whole(value) for name, value in model.state_dict().items()},
    }
    torch.save(found, f"{folder}/found_{rank}.pth")
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that both processes have read, and what each found."""
    folder = tmp_path_factory.mktemp("parts")
    torch.save(checkpoint(), folder / "run.pth")
    torch.save(SwinTransformerV2(ARCH, window_size=4, out_indices=(1,)).state_dict(), folder / "backbone.pth")
    multiprocessing.spawn(one_of_two, (str(folder),), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"found_{rank}.pth", weights_only=True) for rank in range(2)]


def test_large_tensors_are_in_parts_and_the_rest_is_whole(found: list[dict]) -> None:
    """One that says to be large, and has no values for it, takes no memory."""
    expected = dict(checkpoint()["state_dict"])
    del expected["expanded"]
    for one in found:
        assert one["expanded"] == (2**40, 4)
        in_parts = [name for name, kind in one["kinds"].items() if kind == "DTensor"]
        assert in_parts == ["odd", "again", "half"]
        torch.testing.assert_close(one["state"], expected, atol=0, rtol=0)
    assert [one["rows"] for one in found] == [2, 1]


def test_a_tensor_in_several_places_is_sent_once(found: list[dict]) -> None:
    assert all(one["same"] for one in found)


def test_a_state_dict_keeps_its_attributes(found: list[dict]) -> None:
    assert all(one["metadata"] == {"": {"version": 1}} for one in found)


def test_what_the_first_cannot_read_all_refuse(found: list[dict], folder: Path) -> None:
    absent = f"CheckpointError: There is no checkpoint file {folder}/absent.pth"
    divided = "integer division or modulo by zero"
    assert found[0]["faults"] == [absent, f"ZeroDivisionError: {divided}"]
    assert found[1]["faults"] == [absent, f"CheckpointError: {divided}"]


def test_a_backbone_gets_the_weights_that_one_process_would_load(found: list[dict], folder: Path) -> None:
    model = SwinTransformerV2(ARCH, window_size=4, out_indices=(1,))
    report = str(load_pretrained(model, str(folder / "backbone.pth")))
    for one in found:
        assert one["report"].splitlines()[1:] == report.splitlines()[1:]
        assert torch.equal(one["weights"].pop("large"), ODD)  # not a parameter, so each has all of it
        torch.testing.assert_close(one["weights"], dict(model.state_dict()), atol=0, rtol=0)
