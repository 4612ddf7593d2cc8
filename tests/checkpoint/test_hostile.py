"""Small files that ask for much are refused within seconds, in little memory, with a message that names the file."""

import re
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..support import ROOT
from .backbones import TABLE, TINY, random_backbone

SECONDS, MEGABYTES = 10, 400
READ = """
import resource, sys, time
from mmswinv2.checkpoint import CheckpointError, load_pretrained
from mmswinv2 import SwinTransformerV2
model = SwinTransformerV2(dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8)))
for path in sys.argv[1:]:
    memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        load_pretrained(model, path)
        answer = "loaded"
    except CheckpointError as error:
        answer = " ".join(str(error).split())
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    print(f"{time.process_time() - start:.1f} {taken // 1024} {answer}")
"""


def text(value: str) -> bytes:
    """The step that pushes a string."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def call(module: str, name: str, number: int) -> bytes:
    """The steps that call a function with a number."""
    return f"c{module}\n{name}\n".encode() + b"\x8a\x08" + struct.pack("<q", number) + b"\x85R"


def nested(depth: int) -> bytes:
    """A dict in a dict, and so on, as torch's reader takes it without recursion."""
    return b"\x80\x02}" + (text("model") + b"}") * depth + b"s" * depth + b"."


def doubled(times: int) -> bytes:
    """A key that is a pair of one pair twice, and so on: 2 ** times objects from a step each."""
    steps = b"".join(b"q" + bytes([index]) + b"h" + bytes([index]) + b"\x86" for index in range(times))
    return b"\x80\x02})" + steps + b"K\x01s."


PICKLES = {
    "nested": (
        nested(100_000),
        "refused, because it asks for over 1000000 objects, or containers nested over 100 deep",
    ),
    "nested less": (nested(60), "is a dict in a dict, and so on"),
    "doubled": (doubled(60), "refused, because it asks for over 1000000 objects"),
    "deep key": (b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s.", "containers nested over 100 deep"),
    "many": (b"\x80\x02](" + b"\x8f" * 2_000_000 + b"e.", "refused, because it asks for over 1000000 steps"),
    **{
        name: (b"\x80\x02}" + text("w") + call(module, name, 2**34) + b"s.", "memory for 17179869184 numbers")
        for module, name in (
            ("__builtin__", "bytearray"),
            ("builtins", "bytes"),
            ("torch", "Tensor"),
            ("torch", "FloatTensor"),
            ("torch.storage", "UntypedStorage"),
        )
    },
}
HUGE = torch.zeros(1).expand(2**33)
NORM = "layers.0.blocks.0.norm1.weight"
LARGER = r"weights cannot be larger than the data that they have in the file \(1\): "
CHANGES = {
    "stage": ({"layers.99999999999999.blocks.0.norm1.weight": torch.ones(1)}, "not in the model .*layers.9999999999"),
    "stage 999": ({"layers.999.blocks.0.norm1.weight": torch.ones(1)}, r"for want of layers\.4\..* and 9\d\d more"),
    "block": ({"layers.0.blocks.99999999999999.norm1.weight": torch.ones(1)}, "not in the model .*blocks.9999999999"),
    "block 999": (
        {"layers.0.blocks.999.norm1.weight": torch.ones(1)},
        r"no model has the size.*depths=\[1000, 2, 2, 2\]",
    ),
    "weight": ({NORM: HUGE}, LARGER + NORM),
    "table": ({f"layers.0.blocks.0.attn.{TABLE}": HUGE[: 2 * 9999**2].view(1, 9999, 9999, 2)}, LARGER + ".*" + TABLE),
    "buffer": (
        {"pretrained_window_sizes": torch.ones(1, dtype=torch.long).expand(2**33)},
        LARGER + "pretrained_window",
    ),
}


def write_hostile(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files by what is wrong with them, each with the message it has to give."""
    files = {}
    for name, (content, message) in PICKLES.items():
        files[name] = folder / f"{name}.pth", message
        with zipfile.ZipFile(files[name][0], "w") as archive:
            archive.writestr("archive/data.pkl", content)
            archive.writestr("archive/version", "3")
    files["older format"] = folder / "older.pth", PICKLES["nested"][1]
    files["older format"][0].write_bytes(nested(100_000))
    files["inflating"] = folder / "inflating.pth", "its records are compressed, which torch.save never does"
    with zipfile.ZipFile(files["inflating"][0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + text("x" * 120_000_000) + b".")
    state = random_backbone(TINY).state_dict()
    for name, (change, message) in CHANGES.items():
        files[f"{name} changed"] = folder / f"{name}_changed.pth", message
        torch.save({**state, **change}, files[f"{name} changed"][0])
    bare = {name: tensor for name, tensor in state.items() if name != "pretrained_window_sizes"}
    for name, windows in {"windows": str([[2**31] * 2] * 4), "deep windows": "[" * 100_000}.items():
        files[name] = folder / f"{name}.safetensors", r"is not a window \(h, w\) for each"
        save_file(bare, files[name][0], {"pretrained_window_sizes": windows})
    return files


def test_small_files_that_ask_for_much(tmp_path: Path) -> None:
    """All in one process, whose address space has no room for what they ask for."""
    files = write_hostile(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", READ, *(str(path) for path, _ in files.values())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30)),
    )
    assert run.returncode == 0, run.stderr
    for (name, (path, message)), line in zip(files.items(), run.stdout.splitlines(), strict=True):
        seconds, megabytes, answer = line.split(" ", 2)
        assert float(seconds) < SECONDS and int(megabytes) < MEGABYTES, (name, line)
        assert answer.startswith(str(path)), (name, line)
        assert re.search(message, answer), (name, line)
