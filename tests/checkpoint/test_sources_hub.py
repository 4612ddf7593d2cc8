"""Names of the Hugging Face Hub, against a server on this machine.

huggingface_hub reads its settings when it is imported, so every read is in a process of its own.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from ..support import ROOT
from .hub_server import serve_hub

READ = """
import json, sys
from mmswinv2.checkpoint import CheckpointError, read_checkpoint
answers = []
for source in sys.argv[1:]:
    try:
        file = read_checkpoint(source)
        values = {name: weight.tolist() for name, weight in file.content.items()}
        answers.append([values, file.names, file.config])
    except CheckpointError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""
SAFE, TORCH, BARE = "hf-hub:timm/swinv2_tiny.ms_in1k", "hf-hub:someone/old", "hf-hub:someone/empty"
ABSENT, WRONG_REVISION, WRONG_FORM = "hf-hub:someone/absent", f"{SAFE}@v9", "hf-hub:timm/swin/v2"
ALL = (SAFE, f"{SAFE}@v2", TORCH, BARE, ABSENT, WRONG_REVISION, WRONG_FORM)


def torch_file(value: float) -> bytes:
    """A file of ``torch.save``."""
    buffer = io.BytesIO()
    torch.save({"w": torch.tensor([value])}, buffer)
    return buffer.getvalue()


REPOSITORIES = {
    SAFE.removeprefix("hf-hub:"): {
        "model.safetensors": save({"w": torch.tensor([1.0])}, {"format": "pt"}),
        "pytorch_model.bin": torch_file(3.0),
        "config.json": json.dumps({"architecture": "swinv2_tiny_window8_256"}).encode(),
    },
    TORCH.removeprefix("hf-hub:"): {"pytorch_model.bin": torch_file(2.0)},
    BARE.removeprefix("hf-hub:"): {"config.json": b"{}"},
}


def read_in_process(home: Path, endpoint: str, *sources: str, **settings: str) -> dict[str, object]:
    """What reading each source gives, or the error's message."""
    env = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "no_proxy": "*", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", READ, *sources], env=env | settings, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return dict(zip(sources, json.loads(run.stdout.splitlines()[-1]), strict=True))


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path, str]:
    """Answers while the server ran, the folder of the cache, and the address where it no longer runs."""
    home = tmp_path_factory.mktemp("hub")
    with serve_hub(REPOSITORIES) as endpoint:
        answers = read_in_process(home, endpoint, *ALL)
    return answers, home, endpoint


@pytest.fixture(scope="module")
def offline(online: tuple[dict[str, object], Path, str]) -> dict[str, object]:
    """Answers after the server is gone."""
    _, home, endpoint = online
    return read_in_process(home, endpoint, SAFE, TORCH, BARE, HF_HUB_OFFLINE="1")


def test_weights_and_config(online: tuple[dict[str, object], Path, str]) -> None:
    """safetensors before a pickle; the repository's name and its config come along."""
    answers, _, _ = online
    expected = [
        {"w": [1.0]},
        ["model", "swinv2_tiny.ms_in1k"],
        {"architecture": "swinv2_tiny_window8_256"},
    ]
    assert answers[SAFE] == answers[f"{SAFE}@v2"] == expected
    assert answers[TORCH] == [{"w": [2.0]}, ["pytorch_model", "old"], {}]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (BARE, "the repository has none of model.safetensors, pytorch_model.bin; download its file"),
        (ABSENT, "there is no such repository on the Hugging Face Hub, or it is not open to you"),
        (WRONG_REVISION, "the repository has no branch, tag or commit 'v9'"),
        (WRONG_FORM, "not of the form hf-hub:OWNER/NAME[@REVISION]"),
    ],
)
def test_what_the_hub_does_not_have(source: str, message: str, online: tuple[dict[str, object], Path, str]) -> None:
    """Each with what to do."""
    assert online[0][source].startswith(f"{source}: {message}")


def test_cache_serves_offline(online: tuple[dict[str, object], Path, str], offline: dict[str, object]) -> None:
    """The second run needs no network."""
    assert offline[SAFE] == online[0][SAFE]
    assert offline[TORCH] == online[0][TORCH]


def test_offline_without_cache(offline: dict[str, object]) -> None:
    """Says that it is the network, and what to do."""
    assert offline[BARE].startswith(f"{BARE}: the Hugging Face Hub cannot be reached and its cache does not hold")
