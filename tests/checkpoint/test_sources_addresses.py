"""Files at addresses: downloaded once, by one process, into torch's cache."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.checkpoint.openmmlab import load_from_zoo
from mmswinv2.checkpoint.sources import ZOOS
from mmswinv2.errors import CheckpointError

from ..support import ROOT

WEIGHTS = {"norm.weight": torch.arange(200.0)}


@dataclass
class Server:
    """A server of the files in a folder.

    Attributes:
        address: Where it runs.
        folder: The files.
        asked: Paths of the requests so far.
    """

    address: str
    folder: Path
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, and an empty cache."""
    folder = tmp_path / "served"
    folder.mkdir()
    running_server = Server("", folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            running_server.asked.append(self.path)
            super().do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, args=[0.02], daemon=True).start()
        running_server.address = f"http://127.0.0.1:{running.server_port}"
        yield running_server
        running.shutdown()


def test_kind_and_name_come_from_the_address(server: Server) -> None:
    """Which may have a query."""
    save_file(WEIGHTS, server.folder / "tiny.safetensors")
    file = read_checkpoint(f"{server.address}/tiny.safetensors?download=true")
    assert torch.equal(file.content["norm.weight"], WEIGHTS["norm.weight"])
    assert file.names == ("tiny",)


def test_an_address_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    """A cached file is used as it is; without it the file is downloaded anew."""
    address = f"{server.address}/tiny.safetensors"
    save_file(WEIGHTS, server.folder / "tiny.safetensors")
    first = read_checkpoint(address)
    save_file({"other": torch.zeros(1)}, server.folder / "tiny.safetensors")
    assert read_checkpoint(address).content.keys() == first.content.keys()
    assert server.asked == ["/tiny.safetensors"]
    [cached] = (tmp_path / "home/hub/checkpoints").glob("tiny-*.safetensors")
    cached.unlink()
    assert read_checkpoint(address).content.keys() == {"other"}


def test_files_of_one_name_at_two_addresses(server: Server) -> None:
    """Each has its own place in the cache."""
    for folder, value in (("a", 1.0), ("b", 2.0)):
        (server.folder / folder).mkdir()
        torch.save({"w": torch.tensor(value)}, server.folder / folder / "model.pth")
    found = [read_checkpoint(f"{server.address}/{folder}/model.pth").content["w"].item() for folder in "abab"]
    assert found == [1, 2, 1, 2]
    assert server.asked == ["/a/model.pth", "/b/model.pth"]


@pytest.mark.full
def test_processes_of_a_run_download_once(server: Server) -> None:
    """All begin at the same time, as those of a distributed run do; one downloads and the others wait."""
    torch.save({"w": torch.arange(500_000.0)}, server.folder / "model.pth")
    script = """
import sys, time
from mmswinv2.checkpoint import read_checkpoint
time.sleep(max(0, float(sys.argv[2]) - time.time()))
print(read_checkpoint(sys.argv[1]).content["w"].sum().item())
"""
    together = str(time.time() + 15)
    command = [sys.executable, "-c", script, f"{server.address}/model.pth", together]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {run.communicate(timeout=120)[0].strip() for run in runs} == {str(torch.arange(500_000.0).sum().item())}
    assert server.asked == ["/model.pth"]


def test_zoo_files_are_downloaded_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the name that MMEngine gives them in the same folder."""
    monkeypatch.setitem(ZOOS, "openmmlab://", lambda: {"tiny": f"{server.address}/tiny-0123abcd.pth"})
    torch.save(WEIGHTS, server.folder / "tiny-0123abcd.pth")
    for _ in range(2):
        assert load_from_zoo("openmmlab://tiny", "cpu").keys() == WEIGHTS.keys()
    assert server.asked == ["/tiny-0123abcd.pth"]
    assert Path(torch.hub.get_dir(), "checkpoints/tiny-0123abcd.pth").is_file()


def test_an_address_has_no_neighbours(server: Server, tmp_path: Path) -> None:
    """What lies in the cache beside the file does not belong to it."""
    torch.save(WEIGHTS, server.folder / "w.pth")
    cache = tmp_path / "home/hub/checkpoints"
    cache.mkdir(parents=True)
    (cache / "config.json").write_text(json.dumps({"window_size": 7}))
    assert read_checkpoint(f"{server.address}/w.pth").config == {}


def test_what_a_refused_download_can_be_renewed_with(server: Server, tmp_path: Path) -> None:
    """A cut download stays in the cache: the message names the file to remove."""
    torch.save(WEIGHTS, server.folder / "w.pth")
    whole = (server.folder / "w.pth").read_bytes()
    (server.folder / "w.pth").write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match=rf"w\.pth: .*It lies in {tmp_path}/home/.*: remove that file"):
        read_checkpoint(f"{server.address}/w.pth")


@pytest.mark.parametrize("name", ["missing.pth", "unknown://missing.pth", "http:///missing.pth"])
def test_address_that_gives_nothing(name: str, server: Server, tmp_path: Path) -> None:
    """Whatever the reason, it is said with the address, and nothing is left in the cache."""
    address = name if "://" in name else f"{server.address}/{name}"
    with pytest.raises(CheckpointError, match=f"{address}.* cannot be fetched"):
        read_checkpoint(address)
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o500)
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        read_checkpoint(f"{server.address}/w.pth")
