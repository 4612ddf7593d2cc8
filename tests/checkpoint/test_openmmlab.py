"""MMEngine's ``CheckpointLoader`` reads every address through the safe reader."""

import inspect
import subprocess
import sys
from pathlib import Path

import mmengine.runner.runner as runner_module
import pytest
import torch
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader, get_deprecated_model_names, load_checkpoint
from safetensors.torch import save_file

import mmswinv2.checkpoint.openmmlab  # noqa: F401, registers the loaders
from mmswinv2.checkpoint.archive import read_seal
from mmswinv2.checkpoint.sources import ZOOS
from mmswinv2.errors import CheckpointError

from ..support import ROOT
from .payloads import payloads, write_payload

# A model of each zoo, and the file that torch's cache keeps it in.
MODELS = {zoo: next(name for name, address in list_of().items() if address) for zoo, list_of in ZOOS.items()}
CACHED = {f"{zoo}{name}": Path(ZOOS[zoo]()[name]).name for zoo, name in MODELS.items()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, the only place where zoo files are looked for before a download."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_no_loader_of_mmengine_is_left() -> None:
    """Its own run what the safe reader refuses; a new scheme of MMEngine's shows here."""
    assert {loader.__module__ for loader in CheckpointLoader._schemes.values()} == {"mmswinv2.checkpoint.openmmlab"}


def test_a_config_that_names_the_scope_is_enough() -> None:
    """Whoever builds the backbone reads checkpoints safely; nothing of this package has to be imported."""
    script = """
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader
arch = dict(embed_dims=8, depths=(1,), num_heads=(1,))
MODELS.build(dict(type="mmswinv2.SwinTransformerV2", arch=arch, out_indices=(0,)))
print(CheckpointLoader._get_checkpoint_loader("some.pth").__module__)
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.stdout.splitlines()[-1:] == ["mmswinv2.checkpoint.openmmlab"], run.stderr


def test_an_import_changes_nobody_elses_loaders() -> None:
    """A process that imports all of the package but builds no backbone keeps MMEngine's own."""
    script = """
import mmswinv2.models, mmswinv2.datasets, mmswinv2.engine, mmswinv2.preflight, mmswinv2.checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
print({loader.__module__ for loader in CheckpointLoader._schemes.values()})
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.stdout.splitlines()[-1:] == ["{'mmengine.runner.checkpoint'}"], run.stderr


def test_local_payload_is_refused(tmp_path: Path) -> None:
    """By the loader of plain paths, which serves ``load_from``, ``--resume`` and ``init_detector``."""
    path = write_payload(tmp_path / "bad.pth", payloads(tmp_path / "marker")["command"][0])
    with pytest.raises(CheckpointError, match=r"posix\.system"):
        CheckpointLoader.load_checkpoint(str(path), "cpu")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("source", CACHED)
def test_zoo_payload_is_refused(source: str, cache: Path) -> None:
    """Files of the model zoos come from torch's cache, which anything may have written to."""
    write_payload(cache / CACHED[source], payloads(cache / "marker")["attribute"][0])
    with pytest.raises(CheckpointError, match=r"builtins\.getattr"):
        CheckpointLoader.load_checkpoint(source, "cpu")


@pytest.mark.parametrize("source", CACHED)
def test_zoo_model_is_read_from_the_cache(source: str, cache: Path) -> None:
    """As MMEngine's loaders do, a classifier's without its prefix."""
    torch.save({"state_dict": {"backbone.w": torch.ones(1), "head.w": torch.ones(1)}}, cache / CACHED[source])
    expected = {"w"} if source.startswith("mmcls") else {"backbone.w", "head.w"}
    assert CheckpointLoader.load_checkpoint(source, "cpu")["state_dict"].keys() == expected


def test_deprecated_zoo_name(cache: Path) -> None:
    """The old names of models still lead to them."""
    old, new = next(iter(get_deprecated_model_names().items()))
    torch.save({"w": torch.ones(1)}, cache / Path(ZOOS["open-mmlab://"]()[new]).name)
    assert "w" in CheckpointLoader.load_checkpoint(f"open-mmlab://{old}", "cpu")


def test_unknown_zoo_name_and_pavi() -> None:
    """A message instead of a KeyError, and no loader of unknown safety."""
    with pytest.raises(CheckpointError, match="torchvision://resnet5: MMEngine knows no model of this name"):
        CheckpointLoader.load_checkpoint("torchvision://resnet5", "cpu")
    with pytest.raises(CheckpointError, match="pavi:// is not supported"):
        CheckpointLoader.load_checkpoint("pavi://model/w.pth", "cpu")


def test_safetensors_as_a_checkpoint_of_mmengine(tmp_path: Path) -> None:
    """``load_from`` takes them like a state dict."""
    source, target = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_checkpoint(target, str(tmp_path / "w.safetensors"), map_location="cpu", strict=True)
    assert torch.equal(source.weight, target.weight)


def test_text_of_a_checkpoint_is_not_run_when_a_training_resumes(tmp_path: Path) -> None:
    """MMEngine runs ``meta.config`` as Python, to compare the GPUs of mmcv 1's runs: here nobody gets to see it."""
    marker = tmp_path / "marker"
    meta = {"config": f"open({str(marker)!r}, 'w')", "iter": 0, "epoch": 0}
    torch.save({"state_dict": {"w": torch.ones(1)}, "meta": meta, "message_hub": {}}, tmp_path / "iter_0.pth")
    assert CheckpointLoader.load_checkpoint(str(tmp_path / "iter_0.pth"), "cpu")["meta"] == {"iter": 0, "epoch": 0}


def test_runners_write_whole_checkpoints(tmp_path: Path) -> None:
    """The function that ``Runner.save_checkpoint`` finds by its name is this package's."""
    runner_module.save_checkpoint({"meta": {"iter": 3}, "optimizer": {}}, str(tmp_path / "new/iter_3.pth"))
    seal = read_seal(tmp_path / "new/iter_3.pth", "")
    assert seal is not None and seal.iter == 3 and seal.resumable
    assert "save_checkpoint" in inspect.unwrap(Runner.save_checkpoint).__code__.co_names


def test_other_storages_stay_mmengine_s(tmp_path: Path) -> None:
    arguments = {"meta": {"iter": 3}}, str(tmp_path / "iter_3.pth")
    runner_module.save_checkpoint(*arguments, backend_args={"backend": "local"})
    assert read_seal(tmp_path / "iter_3.pth", "") is None
