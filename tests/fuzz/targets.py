"""What is given generated cases: the checkpoint reader, the converter, the config check, the backbone."""

import pickle
import random
import tempfile
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from mmswinv2 import SwinTransformerV2
from mmswinv2.checkpoint import TARGETS, convert, load_pretrained, open_checkpoint, read_checkpoint, save_converted
from mmswinv2.checkpoint.archive import save_sealed
from mmswinv2.preflight import check_settings

from ..checkpoint.mutations import SIDES, damage, write_mutant
from ..checkpoint.payloads import payloads
from ..checkpoint.states import STATES
from ..preflight.mistakes import BASES, base
from ..preflight.test_settings_total import holder, places

ARCH = {"embed_dims": 8, "depths": [1, 2], "num_heads": [1, 2]}


@cache
def original(form: str) -> dict[str, Tensor]:
    """The tensors of a form, each with memory of its own."""
    torch.manual_seed(0)
    return {name: tensor.detach().clone() for name, tensor in STATES[form](ARCH, 4).items()}


def _small_backbone() -> SwinTransformerV2:
    return SwinTransformerV2(ARCH, window_size=4, out_indices=(0, 1), pretrained_window_sizes=4)


def load(seed: int) -> None:
    """A file of any form with one to three faults goes into a backbone."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path, _ = write_mutant(Path(folder), original(draw.choice(list(STATES))), draw)
        load_pretrained(_small_backbone(), str(path))


@cache
def _run_checkpoint() -> bytes:
    """A checkpoint as a run writes it: weights, optimizer, schedule, log, config."""
    model = _small_backbone()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3, 32, 32))[0].sum().backward()
    optimizer.step()
    content = {
        "meta": {
            "iter": 3,
            "epoch": 0,
            "cfg": "model = dict(type='x')\n",
            "seed": 1,
            "dataset_meta": {"classes": "ab"},
        },
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "param_schedulers": [{"last_step": 3}],
        "message_hub": {"runtime_info": {"iter": 3}, "log_scalars": {}, "resumed_keys": {}},
    }
    with tempfile.TemporaryDirectory() as folder:
        save_sealed(content, Path(folder, "iter_3.pth"), 3, resumable=True)
        return Path(folder, "iter_3.pth").read_bytes()


def read(seed: int) -> None:
    """A checkpoint of a run is damaged in its bytes, nine times of ten; what loads is what it was."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "iter_3.pth")
        path.write_bytes(_run_checkpoint() if draw.random() < 0.1 else damage(_run_checkpoint(), draw))
        content = read_checkpoint(str(path)).content
    expected = _small_backbone().state_dict()
    if content["state_dict"].keys() != expected.keys() or content["meta"]["iter"] != 3:
        raise AssertionError("changed values were read")


def read_pickled(seed: int) -> None:
    """A pickle is changed in its steps, or holds what would run code."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path, marker = Path(folder, "w.pth"), Path(folder, "marker")
        payload = draw.choice([payload for payload, _ in payloads(marker).values()])
        content: Any = {"state_dict": {"w": torch.ones(2)}, "meta": draw.choice([{"x": payload}, {}, [1, (2, "x")]])}
        if draw.random() < 0.5:
            torch.save(content, path)
            data = bytearray(path.read_bytes())
            at = data.find(b"data.pkl") + 8
            data[draw.randrange(at, at + 300)] = draw.randrange(256)
        else:
            data = bytearray(pickle.dumps(content["meta"], protocol=draw.choice([2, 3, 4, 5])))
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        try:
            read_checkpoint(str(path))
        finally:
            if marker.exists():
                raise RuntimeError("code of the file ran")


def convert_to_any(seed: int) -> None:
    """A file of any form with faults is written in any other form."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path, _ = write_mutant(Path(folder), original(draw.choice(list(STATES))), draw)
        form = draw.choice(list(TARGETS))
        save_converted(convert(open_checkpoint(str(path)), form), f"{folder}/out.safetensors")


NONSENSE = (*SIDES, "", "tiny", -1, 0.5, 1e400, (), {}, {"a": 1}, object(), b"x", [None], [[1]], "3", (3, "x"), {1: 2})
ARCH_VALUES: dict[str, tuple[Any, ...]] = {
    "embed_dims": (8, 16, 24, 2**40, 10**400, *NONSENSE),
    "depths": ([1, 1], [2, 1], [1], [1, 1, 1], (10**9, 1), [0], [1, -1], *NONSENSE),
    "num_heads": ([1, 2], [1], [3, 1], (2, 2), [0, 1], *NONSENSE),
    "extra_norm_period": (None, 1, 6, *NONSENSE),
}
VALUES: dict[str, tuple[Any, ...]] = {
    "in_channels": (1, 3, 4, 2**40, *NONSENSE),
    "patch_size": (1, 2, 4, 7, 2**40, *NONSENSE),
    "window_size": (1, 4, 7, (2, 3), [4, (2, 5)], [[4, 4], [2, 2]], 2**40, *NONSENSE),
    "pretrained_window_sizes": (None, 4, (4, 8), [4, 8], *NONSENSE),
    "out_indices": ((0,), (1,), (0, 1), [0, 1], (1, 0), (0, 0), (5,), *NONSENSE),
    "drop_rate": (0, 0.1, 1, *NONSENSE),
    "attn_drop_rate": (0, 0.1, *NONSENSE),
    "drop_path_rate": (0, 0.9, *NONSENSE),
    "frozen_stages": (-1, 0, 1, 2, 9, *NONSENSE),
    "with_cp": (True, False, 1, [1, 1], [0, 9], *NONSENSE),
    "init_cfg": (None, {}, [], {"type": "Pretrained"}, {"type": "Pretrained", "checkpoint": "no.pth", "x": 1}),
    "window_sise": (4,),
    "embed_dims": (8,),
}


def _drawn_settings(draw: random.Random) -> dict[str, Any]:
    """Settings of a backbone, some of them nonsense."""
    arch: Any = {"embed_dims": 8, "depths": [1, 1], "num_heads": [1, 2]}
    for key in draw.sample(list(ARCH_VALUES), draw.choice([0, 0, 1, 2])):
        arch[key] = draw.choice(ARCH_VALUES[key])
    if draw.random() < 0.1:
        arch = draw.choice(["tiny", "t", "swinv2", *NONSENSE])
    settings = {"arch": arch, "window_size": 4, "out_indices": (0,)}
    for key in draw.sample(list(VALUES), draw.choice([0, 1, 1, 2])):
        settings[key] = draw.choice(VALUES[key])
    return settings


def construct(seed: int) -> None:
    """A backbone of drawn settings. Its weights take no memory."""
    with torch.device("meta"):
        SwinTransformerV2(**_drawn_settings(random.Random(seed)))


MEANINGFUL = ("1e-4", "-1", "mmdet.FPN", ".", "os.path", "auto", {"type": "FPN"}, {"type": 3}, [{"type": ""}], len, 1j)


def check_settings_of_mutant(seed: int) -> None:
    """A real config with one to three values replaced, taken out, renamed, wrapped or added."""
    draw = random.Random(seed)
    config = deepcopy(base(draw.choice(list(BASES))).to_dict())
    for _ in range(draw.randint(1, 3)):
        place = draw.choice(places(config))
        node, last = holder(config, place), place[-1]
        change = draw.choice(["replace", "replace", "remove", "rename", "list", "text", "add"])
        if change == "replace":
            node[last] = deepcopy(draw.choice((*NONSENSE, *MEANINGFUL)))
        elif change == "remove":
            del node[last]
        elif change == "list":
            node[last] = [node[last]]
        elif change == "text":
            node[last] = str(node[last])
        elif isinstance(node, dict):
            node[f"{last}"[:-1] or "x"] = node.pop(last) if change == "rename" else draw.choice(NONSENSE)
        if not places(config):
            break
    check_settings(Config(config))


def forward(seed: int) -> None:
    """A backbone of settings that are possible, on images that may not be; its outputs are what they should be."""
    draw = random.Random(seed)
    stages = draw.randint(1, 3)
    backbone = SwinTransformerV2(
        {"embed_dims": 8, "depths": [draw.randint(1, 2) for _ in range(stages)], "num_heads": [1, 2, 2][:stages]},
        in_channels=draw.choice([1, 3]),
        patch_size=draw.choice([1, 2, 4]),
        window_size=draw.choice([1, 3, 4, (2, 5), 16]),
        out_indices=tuple(range(stages)),
        with_cp=draw.choice([True, False]),
        drop_path_rate=draw.choice([0.0, 0.5]),
    ).train(draw.random() < 0.5)
    shape = [draw.choice([0, 1, 2]), draw.choice([1, 3, 3, 3]), draw.randint(0, 40), draw.randint(1, 40)]
    if draw.random() < 0.1:
        shape = shape[: draw.randint(0, 3)] + [1] * draw.choice([0, 2])
    image = torch.randn(shape) * draw.choice([1.0, 1e4])
    if draw.random() < 0.1:
        image = image.to(draw.choice([torch.int64, torch.uint8, torch.float64, torch.bool, torch.complex64]))
    outputs = backbone(image)
    if image.dtype is torch.float32 and not all(output.isfinite().all() for output in outputs):
        raise AssertionError("not finite")
    for level, output in enumerate(outputs):
        unit = backbone.patch_size * 2**level
        if output.shape != (shape[0], 8 * 2**level, *(-(-side // unit) for side in shape[2:])):
            raise AssertionError(f"level {level} has the shape {tuple(output.shape)}")


# Cases of each target in the whole suite: 20,000 in all.
TARGETS_AND_CASES: dict[str, tuple[Callable[[int], None], int]] = {
    "load": (load, 4000),
    "read": (read, 4000),
    "read pickled": (read_pickled, 3000),
    "convert": (convert_to_any, 2000),
    "config": (check_settings_of_mutant, 3000),
    "construct": (construct, 3000),
    "forward": (forward, 1000),
}
