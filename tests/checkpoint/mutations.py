"""Ways in which a checkpoint can be wrong: tensors, names, places, what tells its windows, bytes."""

import json
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

State = dict[Any, Any]
LARGE = 2**20  # elements
SIDES = (0, -1, 2**31, 2**63, 7.5, "8", None, True, [8], float("nan"), float("inf"), 10**400)


def _quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8)


def _nested(tensor: Tensor) -> Tensor:
    return torch.nested.nested_tensor([tensor.flatten(), tensor.flatten()[:1]])


TYPES: dict[str, Callable[[Tensor], Any]] = {
    **{
        str(dtype): lambda tensor, dtype=dtype: tensor.to(dtype)
        for dtype in (
            torch.bool,
            torch.uint8,
            torch.int8,
            torch.int64,
            torch.complex64,
            torch.float8_e4m3fn,
            torch.float8_e5m2,
        )
    },
    "quantised": _quantised,
    "sparse": lambda tensor: tensor.to_sparse(),
    "sparse rows": lambda tensor: tensor.reshape(1, -1).to_sparse_csr(),
    "nested": _nested,
    "meta": lambda tensor: tensor.to("meta"),
    "numpy": lambda tensor: tensor.numpy(),
    "list": lambda tensor: tensor.flatten()[:9].tolist(),
    "nothing": lambda tensor: None,
    "text": lambda tensor: "text",
    "dict": lambda tensor: {"weight": tensor},
}
PRECISIONS = (torch.float16, torch.bfloat16, torch.float64)
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "no dimension": lambda tensor: torch.ones(()),
    "empty": lambda tensor: tensor.flatten()[:0],
    "empty of many": lambda tensor: torch.empty(0, 2**40),
    "flat": lambda tensor: tensor.flatten()[None, None],
    "shorter": lambda tensor: tensor[:-1].clone() if tensor.dim() else torch.ones(2),
    "huge": lambda tensor: torch.zeros(1).expand(2**33),
    "huge of its dimensions": lambda tensor: torch.zeros(1).expand(*[2**16] * min(max(tensor.dim(), 1), 3)),
    "wide": lambda tensor: torch.zeros(1).expand(*tensor.shape, 3),
}


def change_type(state: State, name: Any, draw: random.Random) -> None:
    state[name] = TYPES[draw.choice(list(TYPES))](state[name])


def change_precision(state: State, name: Any, draw: random.Random) -> None:
    """As is allowed."""
    if state[name].is_floating_point():
        state[name] = state[name].to(draw.choice(PRECISIONS))


def change_shape(state: State, name: Any, draw: random.Random) -> None:
    state[name] = SHAPES[draw.choice(list(SHAPES))](state[name])


def change_value(state: State, name: Any, draw: random.Random) -> None:
    if state[name].is_floating_point() and state[name].numel():
        state[name] = state[name].clone()
        state[name].view(-1)[-1] = draw.choice([float("nan"), float("inf"), -float("inf")])


def drop(state: State, name: Any, draw: random.Random) -> None:
    del state[name]


def rename(state: State, name: Any, draw: random.Random) -> None:
    tensor, text = state.pop(name), str(name)
    number = draw.choice(["99999999999999", "1000", "00", "-1", "9" * 5000, "11", "\N{ARABIC-INDIC DIGIT THREE}"])
    numbers = [part for part in text.split(".") if part.isdigit()] or ["0"]
    names = [
        text.replace(f".{draw.choice(numbers)}.", f".{number}.", 1),
        f"{text}x",
        text.replace(".", "", 1),
        f"other.{text}",
        draw.choice(list(state)) if state else "x",
        7,
        (text,),
        None,
        b"bytes",
        f"{text}\ud800",
        f"{text}\n",
        "x" * 2000,
        "",
        "layers.99999999999999.blocks.0.norm1.weight",
    ]
    state[draw.choice(names)] = tensor


def duplicate(state: State, name: Any, draw: random.Random) -> None:
    """A number that nobody has for a second tensor."""
    state[str(name).replace(".0.", f".{draw.choice([5, 77, 999])}.", 1)] = state[name]


def tell_windows(state: State, name: Any, draw: random.Random) -> None:
    """The buffer of this project's files."""
    values = [
        torch.zeros(2, 2, dtype=torch.long),
        torch.full((2, 2), 2**31),
        torch.full((2, 2), -3),
        torch.full((2, 2), 8.0),
        torch.full((2, 2), True),
        torch.tensor(8),
        torch.ones(1, dtype=torch.long).expand(2**33),
        torch.empty(0, 2, dtype=torch.long),
        "8",
    ]
    state["pretrained_window_sizes"] = draw.choice(values)


CHANGES = (change_type, change_type, change_shape, change_shape, rename, rename, drop, change_value)
CHANGES = (*CHANGES, change_precision, duplicate, tell_windows)


def wrap(state: State, draw: random.Random) -> Any:
    """The state dict at one of the places where a file may have it, or should not."""
    depth = draw.choice([1, 3, 20, 300])
    nested: Any = state
    for _ in range(depth):
        nested = {draw.choice(["model", "state_dict", "x"]): nested}
    meta = {
        draw.choice(["pretrained_window_sizes", "window_size"]): draw.choice([[[draw.choice(SIDES)] * 2] * 2, 8, "[["])
    }
    return draw.choice(
        [
            state,
            state,
            state,
            state,
            OrderedDict(state),
            {"state_dict": state, "meta": {}},
            {"model": state, "meta": meta},
            {"model": state, "meta": 3, 5: 6},
            {"state_dict": list(state.items())},
            {"state_dict": 3, "model": state},
            {"module": {"student": state}},
            nested,
            list(state),
            {},
        ]
    )


def damage(content: bytes, draw: random.Random) -> bytes:
    """A file cut short, with some bits flipped, bytes lost or zeroed."""
    damaged = bytearray(content)
    at = draw.randrange(len(damaged))
    kind = draw.choice(["flip", "flip", "flip", "many", "cut", "lose", "zero"])
    if kind in ("flip", "many"):
        for _ in range(1 if kind == "flip" else 30):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del damaged[at:]
    elif kind == "lose":
        del damaged[at : at + draw.choice([1, 64, 5000])]
    else:
        damaged[at : at + 64] = bytes(len(damaged[at : at + 64]))
    return bytes(damaged)


def write(path: Path, content: Any) -> None:
    """Writes what the suffix stands for; ``.pt`` is torch's older format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of kinds of tensors that are no longer loved
        if path.suffix == ".safetensors":
            if any(tensor.numel() > LARGE for tensor in content.values()):
                raise ValueError("safetensors write all values of an expanded tensor")
            save_file({name: tensor.contiguous() for name, tensor in content.items()}, path)
        else:
            torch.save(content, path, _use_new_zipfile_serialization=path.suffix != ".pt")


def _is_changeable(value: Any) -> bool:
    is_plain = type(value) is Tensor and value.layout is torch.strided and not value.is_quantized and not value.is_meta
    return is_plain and value.numel() < LARGE


def write_mutant(folder: Path, state: dict[str, Tensor], draw: random.Random) -> tuple[Path, bool]:
    """Writes a file with one to three faults.

    Returns:
        The file, and whether a value may have changed with nothing to tell it: the format has no checksum.
    """
    mutant, kind = dict(state), draw.choice(["structure", "structure", "bytes", "config"])
    path = folder / draw.choice(["w.pth", "w.pth", "w.pt", "w.safetensors", "swinv2_tiny_window0_256.pth"])
    if kind == "structure":
        for _ in range(draw.randint(1, 3)):
            names = [name for name, value in mutant.items() if _is_changeable(value)]
            draw.choice(CHANGES)(mutant, draw.choice(names), draw)
    content = wrap(mutant, draw) if path.suffix != ".safetensors" and kind == "structure" else mutant
    try:
        write(path, content)
    except (SafetensorError, RuntimeError, TypeError, ValueError, AttributeError, KeyError):
        write(path, state)  # no library writes this one
    if kind == "bytes":
        path.write_bytes(damage(path.read_bytes(), draw))
    if kind == "config":
        config = {"model_type": draw.choice(["swinv2", "other"]), "window_size": draw.choice([8, *SIDES])}
        config |= {
            "image_size": draw.choice([64, *SIDES]),
            "pretrained_window_sizes": draw.choice([[0, 0], [*SIDES[:2]], 3]),
        }
        text = draw.choice([json.dumps(config), "[" * 100_000, "{", json.dumps([config]), "\x00"])
        path.with_name("config.json").write_text(text)
    return path, kind == "bytes" and path.suffix != ".pth"
