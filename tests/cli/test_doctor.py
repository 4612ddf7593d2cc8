"""``mmswinv2 doctor``: what is installed, what is wrong with it, and whether it computes rightly."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmcv
import pytest
import torch

from mmswinv2 import layers
from mmswinv2.cli import doctor as environment
from mmswinv2.cli import main
from mmswinv2.cli.doctor import check_device
from mmswinv2.errors import EnvironmentProblem

from ..support import ROOT

Capture = pytest.CaptureFixture[str]


def status() -> int | None:
    """The exit status of the command, run in this process."""
    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    return end.value.code


def test_here_all_is_well() -> None:
    """Versions, devices, the self-test, and nothing to mend, within a minute."""
    command = [sys.executable, "-W", "ignore", "-m", "mmswinv2", "doctor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert found["torch"] == torch.__version__
    assert found["mmcv"] == mmcv.__version__
    assert {"torchvision", "mmengine", "mmdet", "mmseg", "cpu"} <= set(found)
    assert done.stdout.splitlines()[-1] == "the packages work together"


def test_an_mmcv_without_compiled_ops_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(mmcv, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    assert status() == 2
    assert capsys.readouterr().err.startswith("mmswinv2 doctor: mmcv has no working compiled ops")


@pytest.mark.parametrize("package", ["mmdet", "mmseg"])
def test_a_package_that_refuses_the_others_fails(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """As upstream's mmdet does beside mmcv 2.2: everything below it is sound."""
    import_module: Callable = environment.import_module

    def refuse(name: str) -> object:
        assert name != package, "MMCV==2.2.0 is used but incompatible."
        return import_module(name)

    monkeypatch.setattr(environment, "import_module", refuse)
    assert status() == 2
    output, message = capsys.readouterr()
    assert f"{package:12} broken: MMCV==2.2.0 is used but incompatible." in output
    assert f"{package} does not import (MMCV==2.2.0 is used but incompatible.); install versions that fit" in message


def test_both_mmdet_and_mmseg_are_not_needed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A detection user has no mmseg."""
    find_spec = environment.find_spec
    monkeypatch.setattr(environment, "find_spec", lambda name: None if name == "mmseg" else find_spec(name))
    assert status() is None
    assert re.search(r"^mmseg +not installed$", capsys.readouterr().out, re.MULTILINE)


def test_a_pillow_that_breaks_timm_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    version = environment.version
    monkeypatch.setattr(environment, "version", lambda name: "13.0.0" if name == "pillow" else version(name))
    assert status() == 2
    assert "with Pillow 13.0.0: pip install 'pillow<13'" in capsys.readouterr().err


def test_a_device_that_computes_wrongly_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test fails where the fused kernel is off by a thousandth."""
    fused = layers.cosine_attention
    monkeypatch.setattr(layers, "cosine_attention", lambda *args: fused(*args) + 1e-3)
    with pytest.raises(EnvironmentProblem, match="the fused attention differs from the formula"):
        list(check_device(torch.device("cpu")))
