"""One process of several ends, hangs or has a bad batch: the others end too, with a sentence and in a known time."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import distributed

from mmswinv2.engine import processes
from mmswinv2.engine.processes import TIMEOUT, join_processes, limit_waiting, lost_processes_named
from mmswinv2.errors import ConfigError

from .several import SLACK, WAIT, kill, said, seconds_to_end, started, wait_for, write_config


@pytest.mark.parametrize(
    ("number", "longest"),
    [(signal.SIGKILL, SLACK), pytest.param(signal.SIGSTOP, WAIT + SLACK, marks=pytest.mark.full)],
    ids=["dies", "hangs"],
)
def test_the_others_end_when_one_process_is_lost(number: int, longest: float, tmp_path: Path) -> None:
    """At once when it dies, after ``timeout`` when it hangs, without a launcher that would end them."""
    with started(tmp_path, write_config(tmp_path)) as processes:
        wait_for(tmp_path / "work/last_checkpoint", processes, tmp_path)
        processes[1].send_signal(number)
        assert seconds_to_end(processes[0]) < longest
        assert processes[0].returncode == 2, said(tmp_path)
        assert "mmswinv2 train: Another process of this run has ended, or has not answered" in said(tmp_path)


@pytest.mark.full
def test_torchrun_ends_the_others(tmp_path: Path) -> None:
    """As tools/dist_train.sh starts them."""
    with started(tmp_path, write_config(tmp_path), torchrun=()) as processes:
        wait_for(tmp_path / "work/last_checkpoint", processes, tmp_path)
        kill(int((tmp_path / "process_1").read_text()), signal.SIGKILL)
        assert seconds_to_end(processes[0]) < SLACK
        assert processes[0].returncode != 0


@pytest.mark.full
def test_all_stop_at_the_bad_batch_of_one(tmp_path: Path) -> None:
    """They agree by their gradients: each says the same, and the report is of the process that had the batch."""
    with started(tmp_path, write_config(tmp_path, spoilt=(5,), max_iters=20)) as processes:
        for process in processes:
            seconds_to_end(process)
    messages = [said(tmp_path, number).rpartition("mmswinv2 train: ")[2] for number in range(2)]
    assert [process.returncode for process in processes] == [2, 2], said(tmp_path)
    assert messages[0] == messages[1] and "number 5" in messages[0]
    (path,) = (tmp_path / "work").glob("bad_batch_iter_*.json")
    report = json.loads(path.read_text())
    assert len(report["images"]) == 4 and report["losses"]["loss"] == "nan"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, TIMEOUT),
        (dict(env_cfg=dict(dist_cfg=dict(backend="gloo"))), TIMEOUT),
        (dict(env_cfg=dict(dist_cfg=dict(timeout=9))), 9),
    ],
)
def test_the_time_to_wait_is_set_where_the_config_has_none(given: dict[str, Any], expected: int) -> None:
    cfg = Config(given)
    limit_waiting(cfg)
    assert cfg.env_cfg.dist_cfg.timeout == expected


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), lost_processes_named():
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(("restarts", "shared", "told"), [("3", "True", 1), ("3", "False", 0), ("0", "True", 0)])
def test_restarts_that_would_meet_at_old_addresses_are_told(
    restarts: str, shared: str, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torchrun shares its store with the processes that it may start again."""
    for name, value in {"MAX_RESTARTS": restarts, "USE_AGENT_STORE": shared}.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    pretend_gpus(2, monkeypatch)
    sentences = join_processes(Config(dict(launcher="pytorch")))
    assert len(sentences) == told
    assert all("set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in sentence for sentence in sentences)


def pretend_gpus(count: int, monkeypatch: pytest.MonkeyPatch, nccl: bool = True) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(processes, "get_device", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(distributed, "is_nccl_available", lambda: nccl)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """But by gloo they may share one."""
    pretend_gpus(2, monkeypatch)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="3 processes were started on this machine, which has GPUs for 2"):
        join_processes(Config(dict(launcher="pytorch")))
    assert join_processes(Config(dict(launcher="pytorch", env_cfg=dict(dist_cfg=dict(backend="gloo"))))) == []


def test_a_torch_without_nccl_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(1, monkeypatch, nccl=False)
    with pytest.raises(ConfigError, match=r"this build of torch \(.*\) has no NCCL.*backend='gloo'"):
        join_processes(Config(dict(launcher="pytorch")))


@pytest.mark.parametrize(
    ("launcher", "variable", "starter"),
    [
        ("pytorch", "RANK", "torchrun"),
        ("slurm", "SLURM_PROCID", "srun"),
        ("mpi", "OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"),
    ],
)
def test_a_launcher_that_did_not_start_the_process_is_named(
    launcher: str, variable: str, starter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match=f"--launcher {launcher}: the variable {variable} is not set.*{starter}"):
        join_processes(Config(dict(launcher=launcher)))


def test_without_gpus_a_config_for_gpus_is_fitted_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """gloo, DDP without a GPU, and BN at any depth; the rest stays."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(processes, "get_device", lambda: "cpu")
    joined: list[str] = []
    monkeypatch.setattr(processes, "join_processes_on_cpus", lambda launcher, settings: joined.append(settings.backend))
    sync, plain = dict(type="SyncBN", requires_grad=True), dict(type="BN", requires_grad=True)
    cfg = Config(
        dict(
            launcher="pytorch",
            find_unused_parameters=True,
            model=dict(head=[dict(norm_cfg=sync)], neck=dict(type="FPN")),
        )
    )
    gloo, batch_norm = join_processes(cfg)
    assert "gloo in the place of nccl" in gloo and "SyncBN needs GPUs" in batch_norm
    assert joined == ["gloo"]
    assert cfg.model.to_dict() == dict(head=[dict(norm_cfg=plain)], neck=dict(type="FPN"))
    assert cfg.model_wrapper_cfg.device_ids is None and cfg.model_wrapper_cfg.find_unused_parameters
