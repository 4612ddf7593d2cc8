"""Two processes get under each strategy what one gets on the same batches, and go on from each other's files."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.distributed import checkpoint as distributed_checkpoint

from mmswinv2.checkpoint import check_whole, read_checkpoint
from mmswinv2.cli.convert import write_run
from mmswinv2.engine.strategies import STRATEGIES, apply_strategy
from mmswinv2.errors import CheckpointError, ConfigError

from ...support import ROOT
from .training import MODEL, SIMMIM, config, together, train

ITERATIONS = 20
# Rounding grows with the learning rate, and fastest below an L1 loss: at 1e-3 one process that adds up the gradients of
# two halves is 7e-5 from one that takes the whole. SimMIM's recipe is still below 1e-5 at its 20th step.
OPTIMIZER = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-4), clip_grad=dict(max_norm=0.1))


@pytest.mark.full
@pytest.mark.parametrize(
    ("model", "processes"),
    [(MODEL, 2), (MODEL, 4), (SIMMIM, 2)],
    ids=["classification by 2", "classification by 4", "simmim by 2"],
)
def test_losses_follow_those_of_one_process(model: dict, processes: int, tmp_path: Path) -> None:
    """Over 20 steps to 1e-5, with clipped gradients and averaged weights; each has its share of a model in parts."""
    changes = dict(model=model, optim_wrapper=OPTIMIZER)
    alone = train(config(tmp_path / "alone", 1, None, ITERATIONS, **changes))
    cfgs = {name: config(tmp_path / name, processes, name, ITERATIONS, **changes) for name in STRATEGIES}
    for results in together(tmp_path, processes, cfgs):
        for name, result in results.items():
            torch.testing.assert_close(result["losses"], alone["losses"], atol=1e-5, rtol=0, msg=name)
            torch.testing.assert_close(result["weights"], alone["weights"], atol=1e-3, rtol=0, msg=name)
        assert results["ddp"]["kept"] == results["zero1"]["kept"] == alone["kept"]
        assert abs(results["fsdp2"]["kept"] / alone["kept"] - 1 / processes) < 0.01


@pytest.mark.full
def test_blocks_in_parts_are_compiled_one_by_one(tmp_path: Path) -> None:
    """Without a break in them, so that nothing but a block's own computation is compiled."""
    alone = train(config(tmp_path / "alone", 1, None, 4))
    compiled = config(tmp_path / "compiled", 2, "fsdp2", 4, compile=dict(backend="aot_eager", fullgraph=True))
    for results in together(tmp_path, 2, {"compiled": compiled}):
        torch.testing.assert_close(results["compiled"]["losses"], alone["losses"], atol=1e-5, rtol=0)


@pytest.mark.full
@pytest.mark.parametrize(
    ("before", "after", "processes"), [("fsdp2", "fsdp2", 4), ("fsdp2", None, 1), ("zero1", "fsdp2", 2)]
)
def test_goes_on_under_another_strategy_and_number_of_processes(
    before: str, after: str | None, processes: int, tmp_path: Path
) -> None:
    """From iteration 4 on the losses are those of a run that was not interrupted."""
    alone = train(config(tmp_path / "alone", 1, None, 8))
    together(tmp_path, 2, {before: config(tmp_path / before, 2, before, 8)})
    resumed = config(
        tmp_path / "resumed", processes, after, 8, load_from=str(tmp_path / before / "iter_4.pth"), resume=True
    )
    result = train(resumed) if processes == 1 else together(tmp_path, processes, {"resumed": resumed})[0]["resumed"]
    assert result["first"] == 4
    torch.testing.assert_close(result["losses"], alone["losses"][4:], atol=1e-4, rtol=0)


def test_two_processes_share_a_model_and_save_it_in_parts(tmp_path: Path) -> None:
    """What one process reads of it is what both had; a folder without one of its files is refused by its name."""
    first, second = together(tmp_path, 2, {"fsdp2": config(tmp_path / "run", 2, "fsdp2", 4)})
    weights = first["fsdp2"]["weights"]
    assert first["fsdp2"]["kept"] + second["fsdp2"]["kept"] == sum(
        weight.numel() for name, weight in weights.items() if "pretrained_window" not in name
    )
    folder = tmp_path / "run/iter_4.pth"
    check_whole(folder)
    content = read_checkpoint(str(folder)).content
    assert content["meta"]["iter"] == 4
    torch.testing.assert_close(content["ema_state_dict"]["module.head.weight"], weights["head.weight"])
    assert all(state["exp_avg"].shape == state["exp_avg_sq"].shape for state in content["optimizer"]["state"].values())
    write_run(str(folder), tmp_path / "one.pth")
    one = read_checkpoint(str(tmp_path / "one.pth")).content
    assert list(one) == list(content)
    for name in ("state_dict", "ema_state_dict", "optimizer"):
        torch.testing.assert_close(one[name], content[name], atol=0, rtol=0)
    part = sorted(folder.glob("*.safetensors"))[1]
    part.write_bytes(part.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match=f"{part.name} is damaged, its checksum"):
        read_checkpoint(str(folder))
    part.unlink()
    for read in (check_whole, lambda path: read_checkpoint(str(path))):
        with pytest.raises(CheckpointError, match=f"{part.name} is missing, the part of one process"):
            read(folder)


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ({"meta": {"iter": 3}}, "one.safetensors", "the checkpoint of a run is a .pth file"),
        ({"state_dict": {}}, "one.pth", "it is no checkpoint of a run"),
    ],
)
def test_refuses_to_make_a_file_of(content: dict, name: str, sentence: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "source.pth")
    with pytest.raises(CheckpointError, match=sentence):
        write_run(str(tmp_path / "source.pth"), tmp_path / name)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (dict(strategy="fsdp"), "strategy='fsdp' is unknown, choose one of ddp, zero1, fsdp2"),
        (dict(strategy=dict(type="ddp", bucket=1)), "strategy ddp: .*unexpected keyword argument 'bucket'"),
        (dict(strategy="zero1", runner_type="MyRunner"), "strategy and runner_type='MyRunner' exclude each other"),
        (dict(strategy="fsdp2", model_wrapper_cfg=dict(type="MMFullyShardedDataParallel")), "exclude each other"),
    ],
)
def test_refuses(settings: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        apply_strategy(Config(dict(launcher="pytorch", **settings)))


def test_a_torch_that_cannot_write_parts_is_told_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of 2.6, whose ``torch.distributed.checkpoint`` has no writer of safetensors."""
    monkeypatch.delattr(distributed_checkpoint, "HuggingFaceStorageWriter")
    cfg = Config(dict(launcher="pytorch", strategy="fsdp2"))
    with pytest.raises(ConfigError, match="strategy fsdp2 needs a newer torch than"):
        apply_strategy(cfg)
    cfg.strategy = "zero1"
    apply_strategy(cfg)


@pytest.mark.parametrize(
    "settings",
    [
        dict(launcher="none", strategy="fsdp2"),  # one process has nothing to share
        dict(launcher="pytorch"),
        dict(launcher="pytorch", strategy=dict(type="DeepSpeedStrategy"), runner_type="FlexibleRunner"),  # MMEngine's
    ],
)
def test_leaves_as_it_is(settings: dict) -> None:
    cfg = Config(settings)
    apply_strategy(cfg)
    assert cfg.to_dict() == settings


def test_the_fragments_name_the_strategies() -> None:
    """Each is a second base beside any recipe, so it has no key that a recipe has."""
    root = ROOT / "configs/_base_/strategies"
    assert {file.stem for file in root.glob("*.py")} == set(STRATEGIES)
    for file in root.glob("*.py"):
        assert Config.fromfile(file).to_dict() == {"strategy": {"type": file.stem}}
