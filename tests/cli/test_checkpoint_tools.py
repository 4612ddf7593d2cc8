"""The checkpoint tools as a user runs them, and the page on checkpoints, whose blocks are run as they stand."""

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from PIL import Image
from safetensors.torch import save_file

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import FORMS, convert, load_pretrained, open_checkpoint
from mmswinv2.errors import CheckpointError

from ..checkpoint.backbones import TINY, official_state, random_backbone, square
from ..support import ROOT
from .support import command, environment, said_by

PAGE = (ROOT / "docs/checkpoints.md").read_text()
RELEASE = "checkpoints/swinv2_tiny_patch4_window8_256.pth"
TWO_STAGES = dict(embed_dims=16, depths=(1, 7), num_heads=(1, 2), extra_norm_period=6)

Call = Callable[..., tuple[int | None, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs a tool in this process and an empty folder; returns status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(tool: str, *arguments: object) -> tuple[int | None, str, str]:
        monkeypatch.setattr(sys, "argv", command(tool, *arguments)[1:])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / "tools" / tool), run_name="__main__")
        return end.value.code, *capsys.readouterr()

    return run


def build(printed: str) -> SwinTransformerV2:
    """The backbone of the config that was printed, its weights loaded."""
    scope: dict[str, Any] = {}
    exec(re.search(r"^backbone=dict\(\n.*?^\)$", printed, re.MULTILINE | re.DOTALL)[0], scope)
    backbone = MODELS.build(scope["backbone"])
    backbone.init_weights()
    return backbone


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Bit for bit, names included."""
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        (dict(arch=TINY, window_size=7), "window_size=7"),
        (dict(arch=TINY, window_size=(12, 12, 12, 6)), "window_size=(12, 12, 12, 6)"),
        (dict(arch=TINY, window_size=(8, 4)), "window_size=(8, 4)"),
        (dict(arch=TINY, window_size=((8, 4), 7, 7, 7)), "window_size=((8, 4), 7, 7, 7)"),
        (dict(arch=TINY, in_channels=1, patch_size=2), "in_channels=1,\n    patch_size=2"),
        (
            dict(arch=TWO_STAGES, window_size=((8, 8), (4, 4)), out_indices=(0, 1)),
            "out_indices=(0, 1),\n    window_size=((8, 8), (4, 4))",  # (8, 4) would be one window, 8 high and 4 wide
        ),
    ],
)
def test_inspected_config_builds_and_loads_the_checkpoint(call: Call, settings: dict, written: str) -> None:
    """As it is printed, with nothing to add, whatever the size, the input and the windows."""
    model = random_backbone(**settings)
    torch.save({"state_dict": {f"backbone.{name}": value for name, value in model.state_dict().items()}}, "a.pth")
    status, printed, _ = call("inspect_checkpoint.py", "a.pth")
    assert not status
    assert f"    {written},\n" in printed
    built = build(printed)
    assert_same(built.state_dict(), model.state_dict())
    assert built.window_sizes == model.window_sizes


def test_inspected_config_leaves_gaps_for_windows_that_nothing_tells(call: Call) -> None:
    """A guess would give a wrong position bias without an error: the config as printed is refused instead."""
    torch.save(official_state(random_backbone()), "a.pth")
    status, printed, _ = call("inspect_checkpoint.py", "a.pth")
    assert not status
    assert re.search(r"pretrained window +not told", printed)
    assert "Nothing tells the windows" in printed
    with pytest.raises(ValueError, match=r"window_size must be .*, got Ellipsis"):
        build(printed)


def test_prefix_chooses_one_of_several_backbones(call: Call) -> None:
    """Refused without, and kept in the printed config."""
    teacher, student = random_backbone(), random_backbone()
    states = {"teacher": teacher.state_dict(), "student": student.state_dict()}
    torch.save({f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}, "a.pth")
    status, _, message = call("inspect_checkpoint.py", "a.pth")
    assert status == 2
    assert "prefix='student.' or prefix='teacher.'" in message
    status, printed, _ = call("inspect_checkpoint.py", "a.pth", "--prefix", "student.")
    assert not status
    assert_same(build(printed).state_dict(), student.state_dict())
    status, _, _ = call("convert_checkpoint.py", "a.pth", "b.pth", "--to", "native", "--prefix", "teacher.")
    assert not status
    assert_same(torch.load("b.pth")["state_dict"], teacher.state_dict())


@pytest.mark.parametrize(
    ("form", "name"),
    [("official", "b.pth"), ("timm", "b.safetensors"), ("timm", "b.pth"), ("hf", "b.safetensors"), ("native", "b.pth")],
)
def test_conversion_says_what_is_lost_and_loses_nothing_else(call: Call, form: str, name: str) -> None:
    """All tensors and the windows come back from the file; the norms of inner levels do but from this project's."""
    model = random_backbone(pretrained_window_sizes=(8, 8, 8, 4))
    torch.save(model.state_dict(), "a.pth")
    status, printed, _ = call("convert_checkpoint.py", "a.pth", name, "--to", form)
    assert not status
    inner = [f"norm{level}.{part}" for level in range(3) for part in ("weight", "bias")]
    lost = [] if form == "native" else inner
    assert re.search(rf"{form} cannot hold +{', '.join(lost) or 'nothing'} *\n", printed)
    converted = open_checkpoint(name)
    assert converted.weights.form == form
    assert converted.windows.pretrained == square(8, 8, 8, 4)
    weights = {key: value for key, value in converted.weights.state.items() if key != "pretrained_window_sizes"}
    kept = {key: value for key, value in model.state_dict().items() if key not in (*lost, "pretrained_window_sizes")}
    assert_same(weights, kept)


def write_bad_files() -> None:
    """A file for each fault, beside a good one."""
    good = random_backbone().state_dict()
    torch.save(good, "good.pth")
    Path("cut.pth").write_bytes(Path("good.pth").read_bytes()[:-1000])
    Path("folder").mkdir()
    torch.save(torch.nn.Linear(2, 2).state_dict(), "linear.pth")
    v1 = {"layers.0.blocks.0.attn.relative_position_bias_table": torch.zeros(225, 3)}
    torch.save(v1, "v1.pth")
    torch.save({name: value for name, value in good.items() if name != "layers.1.blocks.0.attn.v_bias"}, "lacking.pth")
    torch.save(good | {"norm3.bias": torch.full((128,), torch.nan)}, "nan.pth")
    torch.save(good | {"patch_embed.proj.weight": torch.zeros(16)}, "misshaped.pth")


BAD = {
    "missing.pth": "There is no checkpoint file {cwd}/missing.pth",
    "cut.pth": "cut.pth: damaged",
    "folder": "folder is a folder",
    "linear.pth": "linear.pth: no SwinV2 backbone, but 2 tensors: weight, bias",
    "v1.pth": "v1.pth: a checkpoint of Swin Transformer V1",
    "lacking.pth": "layers.1.blocks.0.attn.v_bias",
    "nan.pth": "norm3.bias",
    "misshaped.pth": "patch_embed.proj.weight (16,) for (16, 3, 4, 4)",
}


@pytest.mark.parametrize("source", BAD)
def test_bad_checkpoints_are_refused_by_both_tools(call: Call, tmp_path: Path, source: str) -> None:
    """A message with the file and the fault, status 2, no traceback; nothing is written."""
    write_bad_files()
    conversion = ("convert_checkpoint.py", source, "b.pth", "--to", "timm")
    for tool, *arguments in (("inspect_checkpoint.py", source, "--plot", "b.png"), conversion):
        status, _, message = call(tool, *arguments)
        assert status == 2
        assert message.startswith(f"{said_by(tool)}: ")
        assert source in message
        assert BAD[source].format(cwd=tmp_path) in message
    assert not list(tmp_path.glob("b.*"))


@pytest.mark.parametrize(
    ("destination", "form", "expected"),
    [
        ("good.pth", "timm", "good.pth is there already"),
        ("b.bin", "timm", "b.bin: the form timm is written to .pth or .safetensors"),
        ("b.pth", "hf", "b.pth: the form hf is written to .safetensors"),
        ("nowhere/b.pth", "timm", "nowhere/b.pth: there is no folder nowhere"),
    ],
)
def test_destination_is_checked_before_the_source_is_read(
    call: Call, destination: str, form: str, expected: str
) -> None:
    """The source may be a long download: here it does not exist, and the message is of the destination."""
    Path("good.pth").write_bytes(b"kept")
    status, _, message = call("convert_checkpoint.py", "missing.pth", destination, "--to", form)
    assert status == 2
    assert expected in message
    assert Path("good.pth").read_bytes() == b"kept"


def test_source_is_not_written_over(call: Call) -> None:
    """Whatever name the same file is given."""
    torch.save(random_backbone().state_dict(), "a.pth")
    before = Path("a.pth").read_bytes()
    for name in ("a.pth", "./a.pth"):
        status, _, message = call("convert_checkpoint.py", "a.pth", name, "--to", "timm")
        assert status == 2
        assert f"{name} is there already" in message
    assert Path("a.pth").read_bytes() == before


@pytest.mark.parametrize(
    ("picture", "expected"), [("b.jpg", "the picture is a PNG"), ("nowhere/b.png", "there is no folder nowhere")]
)
def test_picture_is_checked_before_the_checkpoint_is_read(call: Call, picture: str, expected: str) -> None:
    status, _, message = call("inspect_checkpoint.py", "missing.pth", "--plot", picture)
    assert status == 2
    assert f"--plot {picture}: {expected}" in message


# The page


def blocks(language: str) -> list[str]:
    """The page's fenced blocks of a language; those without one are what was printed."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [block for of_language, block in fenced if of_language == language]


@pytest.fixture(scope="module")
def release() -> SwinTransformerV2:
    """The weights of the page's file."""
    torch.manual_seed(0)
    return random_backbone("tiny")


@pytest.fixture(scope="module")
def checkout(release: SwinTransformerV2, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the repository's, with the page's checkpoints and its configs under the names it gives."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "tools").symlink_to(ROOT / "tools")
    (folder / ".venv").symlink_to(sys.prefix)
    for block in blocks("python"):
        config = re.match(r"# (configs/\S+\.py)\n", block)
        if config:
            (folder / config[1]).write_text(block)
    (folder / "checkpoints").mkdir()
    state = official_state(release, square(8, 8, 8, 8))
    del state["layers.3.blocks.1.attn_mask"]  # its window covers the map and is not shifted
    state |= {"head.weight": torch.zeros(10, 768), "head.bias": torch.zeros(10)}
    torch.save({"model": state}, folder / RELEASE)
    torch.save({"model": state, "run": Path("run")}, folder / "checkpoints/refused.pth")
    save_file(convert(open_checkpoint(str(folder / RELEASE)), "timm").state, folder / "checkpoints/model.safetensors")
    return folder


@pytest.fixture(scope="module")
def printed(checkout: Path) -> list[str]:
    """What the page's shell blocks printed, all run at the same time."""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    env = {**environment(checkout), "COLUMNS": "120"}
    started = [
        subprocess.Popen(f"set -e\n{block}", shell=True, cwd=checkout, env=env, **pipes) for block in blocks("bash")
    ]
    outputs = [process.communicate()[0] for process in started]
    for process, output in zip(started, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]
    return outputs


@pytest.mark.full
def test_page_shows_what_inspection_prints(printed: list[str]) -> None:
    (shown,) = [block for block in blocks("") if "Position bias: " in block]
    lines = [line.rstrip() for line in printed[0].splitlines()]
    assert lines == shown.splitlines()


@pytest.mark.full
def test_pages_picture_is_drawn(checkout: Path, printed: list[str]) -> None:
    picture = Image.open(checkout / "bias.png")
    assert picture.width > 1000
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 100


@pytest.mark.full
def test_pages_conversions_keep_the_weights(checkout: Path, printed: list[str]) -> None:
    """There and back through timm's form."""
    source, result = (open_checkpoint(str(checkout / name)) for name in (RELEASE, "swinv2_native.pth"))
    weights = {name: value for name, value in result.weights.state.items() if name != "pretrained_window_sizes"}
    assert_same(weights, source.weights.state)
    assert result.windows.pretrained == source.windows.pretrained


@pytest.mark.full
def test_pages_converted_file_loads_in_timm(
    checkout: Path, release: SwinTransformerV2, printed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no name missing or unknown."""
    monkeypatch.chdir(checkout)
    (block,) = [block for block in blocks("python") if block.startswith("import timm")]
    scope: dict[str, Any] = {}
    exec(block, scope)
    for ours, theirs in (("layers.0.downsample", "layers.1.downsample"), ("norm3", "norm")):
        assert_same(release.get_submodule(ours).state_dict(), scope["model"].get_submodule(theirs).state_dict())


def test_page_shows_the_report_of_a_load(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = [block for block in blocks("") if block.startswith("Backbone weights from ")]
    monkeypatch.chdir(checkout)
    assert str(load_pretrained(SwinTransformerV2("tiny", window_size=16), RELEASE)) == shown.rstrip()


@pytest.mark.parametrize("config", ["my_mask-rcnn", "my_renamed-weights"])
def test_pages_configs_load_the_weights(
    checkout: Path, release: SwinTransformerV2, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    """At window 16, the position bias in the unit of window 8."""
    monkeypatch.chdir(checkout)
    backbone = MODELS.build(Config.fromfile(f"configs/{config}.py").model.backbone)
    backbone.init_weights()
    assert backbone.window_sizes == square(16, 16, 16, 16)
    assert backbone.pretrained_window_sizes.tolist() == [[8, 8]] * 4
    expected = release.state_dict()["layers.2.blocks.5.attn.cpb_mlp.2.weight"]
    assert torch.equal(backbone.state_dict()["layers.2.blocks.5.attn.cpb_mlp.2.weight"], expected)


def test_page_says_when_pretrained_windows_are_needed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its renamed file is refused without them."""
    monkeypatch.chdir(checkout)
    with pytest.raises(CheckpointError, match="set pretrained_window_sizes"):
        load_pretrained(SwinTransformerV2("tiny"), "checkpoints/model.safetensors")


def test_pages_way_to_reduce_a_refused_file(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    with pytest.raises(CheckpointError, match=r"refused\.pth: refused, because it refers to pathlib"):
        open_checkpoint("checkpoints/refused.pth")
    (block,) = [block for block in blocks("python") if "weights_only=False" in block]
    exec(block, {})
    assert_same(open_checkpoint("checkpoints/weights.pth").weights.state, open_checkpoint(RELEASE).weights.state)


def test_page_lists_every_form() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \|.*\|.*\|.*\|$", PAGE, re.MULTILINE)
    assert listed[: len(FORMS)] == sorted((form.name for form in FORMS), key=listed.index)
