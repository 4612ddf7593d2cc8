"""Packages that do not work together are named in one sentence with the mend; the metadata asks for ones that do."""

import re
import sys
from collections.abc import Callable
from distutils.core import run_setup  # setuptools provides it where Python no longer does
from pathlib import Path

import mmcv
import pytest
import torch
from setuptools import Distribution

from mmswinv2.cli import doctor as environment
from mmswinv2.errors import EnvironmentProblem

from ..support import ROOT

OPENMMLAB = ("mmengine", "mmcv", "mmdet", "mmseg")


@pytest.fixture
def break_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a torchvision first on the path whose import raises the line that it is given."""

    def shadow(line: str) -> None:
        (tmp_path / "torchvision").mkdir()
        (tmp_path / "torchvision/__init__.py").write_text(line)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "torchvision", raising=False)

    return shadow


@pytest.fixture
def mmcv_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that stands for mmcv's own: its compiled ops are not there."""
    monkeypatch.setattr(mmcv, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    return tmp_path


def only_fault() -> str:
    """The one sentence, as tools raise it."""
    with pytest.raises(EnvironmentProblem) as error:
        environment.check_environment()
    message = str(error.value)
    assert "\n" not in message
    return message


def test_here_all_is_well() -> None:
    environment.check_environment()


def test_missing_compiled_ops_are_told_with_the_command_that_builds_them(mmcv_folder: Path) -> None:
    fault = only_fault()
    assert fault.startswith("mmcv has no working compiled ops (No module named 'mmcv._ext');")
    assert "pip install --force-reinstall" in fault
    assert "--no-build-isolation onedl-mmcv==" in fault


def test_compiled_ops_of_another_torch_are_told_with_their_error(mmcv_folder: Path) -> None:
    (mmcv_folder / "_ext.py").write_text("raise ImportError('_ext.so: undefined symbol: _ZN3c10\\nmore')")
    assert "no working compiled ops (_ext.so: undefined symbol: _ZN3c10); with g++" in only_fault()


def test_torchvision_of_another_torch_is_told_with_a_matching_pair(break_torchvision: Callable[[str], None]) -> None:
    break_torchvision("raise RuntimeError('operator torchvision::nms does not exist')")
    assert only_fault() == (
        f"torchvision does not fit torch {torch.__version__} (operator torchvision::nms does not exist); "
        "install a matching pair: pip install torch===2.13.0 torchvision==0.28.0"
    )


def test_an_error_without_a_message_is_named_by_its_type(break_torchvision: Callable[[str], None]) -> None:
    break_torchvision("raise OSError")
    assert "(OSError)" in only_fault()


@pytest.mark.parametrize("version", ["2.14.0", "2.14.1+cu130", "2.20.0a0+git1", "3.0.0"])
def test_a_too_new_torch_is_refused(monkeypatch: pytest.MonkeyPatch, mmcv_folder: Path, version: str) -> None:
    """Told alone: mmcv's ops fail with it, and the advice to rebuild them would be wrong."""
    monkeypatch.setattr(torch, "__version__", version)
    assert only_fault() == (
        f"torch {version} is too new for mmcv's compiled ops (they need < 2.14): "
        "install a matching pair: pip install torch===2.13.0 torchvision==0.28.0"
    )


@pytest.mark.parametrize("version", ["2.6.0", "2.9.1+cpu", "2.13.0+cu130"])
def test_a_torch_that_is_not_too_new_passes(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    environment.check_environment()


@pytest.mark.parametrize("version", ["2.4.0", "2.5.1+cu124"])
def test_a_torch_whose_safe_reader_is_unsafe_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    assert f"torch {version} can be made to run code by a checkpoint (CVE-2025-32434)" in only_fault()


@pytest.mark.parametrize("missing", ["mmengine", "mmcv"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    find_spec = environment.find_spec
    monkeypatch.setattr(environment, "find_spec", lambda name: None if name == missing else find_spec(name))
    assert only_fault() == f"{missing} is not installed: pip install 'mmswinv2[onedl]', or run `make setup`"


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """The package as setup.py describes it."""
    monkeypatch.chdir(ROOT)  # as pip does: packages are looked for in the working directory
    return run_setup("setup.py", stop_after="init")


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def test_plain_install_leaves_openmmlab_alone(metadata: Distribution) -> None:
    """Its two lines overwrite each other's files, and a user has one of them already."""
    assert names(metadata.install_requires) == {"torch", "huggingface_hub", "safetensors", "filelock"}


def test_extras_hold_one_line_of_openmmlab_each(metadata: Distribution) -> None:
    extras = metadata.extras_require
    assert set(extras) == {"onedl", "openmmlab", "pretraining", "dev"}
    assert names(extras["onedl"]) == {"onedl-mmengine", "onedl-mmcv", "onedl-mmdetection", "onedl-mmsegmentation"}
    assert names(extras["openmmlab"]) == {"mmengine", "mmcv", "mmdet", "mmsegmentation", "ftfy", "regex", "setuptools"}
    assert all("==" in requirement for requirement in extras["onedl"] + extras["openmmlab"][:4])
    assert {"pytest", "hypothesis", "ruff", "transformers", "torchvision"} <= names(extras["dev"])
    assert names(extras["pretraining"]) <= names(extras["dev"])
    assert not {name for name in names(extras["dev"]) if name.startswith(("mm", "onedl"))}


def test_only_the_package_is_installed(metadata: Distribution) -> None:
    """No top-level `tests` or `tools` in somebody's site-packages."""
    assert {package.split(".")[0] for package in metadata.packages} == {"mmswinv2"}
    assert {"mmswinv2.layers", "mmswinv2.models", "mmswinv2.engine"} <= set(metadata.packages)


def test_versions_agree_wherever_they_are_written(metadata: Distribution) -> None:
    """Makefile, extras, torch's upper bound and the mends of error messages."""
    makefile = dict(re.findall(r"^(\w+) := ([\d.]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert f"onedl-mmcv=={makefile['MMCV']}" in metadata.extras_require["onedl"]
    assert f"onedl-mmcv=={makefile['MMCV']}" in environment.REBUILD_MMCV
    assert f"torch==={makefile['TORCH']} torchvision=={makefile['TORCHVISION']}" in environment.PAIR_TORCHVISION
    (upstream,) = [line for line in metadata.extras_require["openmmlab"] if line.startswith("mmcv==")]
    assert upstream in environment.REBUILD_MMCV
    major, minor = environment.FIRST_TOO_NEW_TORCH
    assert f"<{major}.{minor}" in metadata.install_requires[0]
    assert tuple(map(int, makefile["TORCH"].split(".")[:2])) < environment.FIRST_TOO_NEW_TORCH
