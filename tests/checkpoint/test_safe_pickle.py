"""Nothing that a pickle holds is run, and what MMEngine and the releases write is read nevertheless."""

import argparse
import io
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmswinv2.checkpoint import read_checkpoint
from mmswinv2.checkpoint.safe_pickle import NUMBERS
from mmswinv2.errors import CheckpointError

from .payloads import Call, payloads, write_payload

FORMATS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}
KINDS = ("command", "code", "attribute")


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> dict[str, bool]:
    """Options of ``torch.save`` for each of its formats."""
    return FORMATS[request.param]


def read(path: Path, value: object, **options: bool) -> object:
    """``value`` written and read."""
    torch.save({"value": value}, path, **options)
    return read_checkpoint(str(path)).content["value"]


@pytest.mark.parametrize("kind", KINDS)
def test_payload_is_refused_by_name_and_not_run(kind: str, form: dict[str, bool], tmp_path: Path) -> None:
    """In both of torch's formats; the file and what it refers to are named."""
    marker = tmp_path / "marker"
    payload, name = payloads(marker)[kind]
    path = write_payload(tmp_path / "bad.pth", payload, **form)
    with pytest.raises(CheckpointError, match=f"bad.pth: refused, because it refers to {name}"):
        read_checkpoint(str(path))
    assert not marker.exists()


@pytest.mark.parametrize("kind", KINDS[:2])
def test_payloads_are_live(kind: str, tmp_path: Path) -> None:
    """Read unsafely they leave their mark, so that its absence elsewhere proves something."""
    marker = tmp_path / "marker"
    path = write_payload(tmp_path / "bad.pth", payloads(marker)[kind][0])
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_pickle_is_refused_by_name(protocol: int, tmp_path: Path) -> None:
    """Also of protocols that torch's reader does not know and cannot name anything in."""
    path = tmp_path / "bad.pth"
    path.write_bytes(pickle.dumps({"a": payloads(tmp_path / "marker")["command"][0]}, protocol))
    with pytest.raises(CheckpointError, match=r"bad\.pth: refused.* refers to posix\.system"):
        read_checkpoint(str(path))
    assert not (tmp_path / "marker").exists()


def test_whole_model_is_refused_by_its_class(tmp_path: Path) -> None:
    """The harmless case of the same: ``torch.save(model)``."""
    torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear.*save the state dict alone"):
        read_checkpoint(str(tmp_path / "model.pth"))


def test_a_bare_getattr_allowed_elsewhere_stays_outside(tmp_path: Path) -> None:
    """A common advice for MMEngine's files is to allow it for the whole process; that list comes back unchanged."""
    path = write_payload(tmp_path / "bad.pth", payloads(tmp_path / "marker")["attribute"][0])
    with torch.serialization.safe_globals([getattr, HistoryBuffer]):
        before = set(torch.serialization.get_safe_globals())
        with pytest.raises(CheckpointError, match=r"builtins\.getattr"):
            read_checkpoint(str(path))
        assert set(torch.serialization.get_safe_globals()) == before


def test_history_buffer_is_mmengine_s_own_again(form: dict[str, bool], tmp_path: Path) -> None:
    """With its numbers and methods, and nothing of ours in what is written from it."""
    buffer = HistoryBuffer()
    buffer.update(1.0)
    buffer.update(4.0, 3)
    found = read(tmp_path / "log.pth", buffer, **form)
    assert type(found) is HistoryBuffer
    assert found.statistics("mean") == 1.25 and found.statistics("max") == 4.0
    found.update(2.0)
    assert b"mmswinv2" not in pickle.dumps(found)


def test_history_buffer_cannot_replace_the_methods_of_all_others(tmp_path: Path) -> None:
    """MMEngine's own ``__setstate__`` puts what a file says into the class."""
    buffer = HistoryBuffer([1.0], [1])
    buffer._statistics_methods = {"mean": "poison"}
    assert buffer.__getstate__()["statistics_methods"] == {"mean": "poison"}
    before = dict(HistoryBuffer._statistics_methods)
    assert read(tmp_path / "log.pth", buffer).statistics("mean") == 1.0
    assert HistoryBuffer._statistics_methods == before


@pytest.mark.parametrize("code", NUMBERS)
def test_numpy_numbers(code: str, form: dict[str, bool], tmp_path: Path) -> None:
    """Arrays of any shape and order and scalars come back, equal and of the same type."""
    flat = np.arange(24).astype(code)
    for array in (flat, flat.reshape(2, 3, 4), np.asfortranarray(flat.reshape(4, 6)), flat[:0], flat[3].reshape(())):
        found = read(tmp_path / "array.pth", array, **form)
        assert np.array_equal(found, array) and found.dtype == array.dtype and found.shape == array.shape
        # Pickled again it needs nothing of ours, and equals what MMEngine compares it with.
        assert pickle.dumps(found) == pickle.dumps(array)
    scalar = read(tmp_path / "scalar.pth", flat[5], **form)
    assert scalar == flat[5] and type(scalar) is type(flat[5])


def test_numpy_bytes_of_another_order(tmp_path: Path) -> None:
    """Files from machines of the other byte order keep their values."""
    array = np.arange(5, dtype=">i4")
    assert np.array_equal(read(tmp_path / "array.pth", array), array)


def test_numpy_objects_are_refused(tmp_path: Path) -> None:
    """An array of objects is a list of pointers."""
    with pytest.raises(CheckpointError, match=r"refers to numpy\.dtype\('O8'\)"):
        read(tmp_path / "array.pth", np.array([None, 1], dtype=object))


def test_numpy_type_does_not_take_flags(tmp_path: Path) -> None:
    """numpy's own takes those that declare plain bytes to be pointers."""
    crafted = np.dtype("f8", False, True)
    crafted.__setstate__((3, "<", None, None, None, -1, -1, 63))
    assert crafted.hasobject
    found = read(tmp_path / "array.pth", Call(np.dtype, "f8", False, True))
    assert not found.dtype.hasobject
    found.__setstate__((3, "<", None, None, None, -1, -1, 63))
    assert not found.dtype.hasobject


@pytest.mark.parametrize("shape", [(-1,), (-2, -2), (3,)])
def test_numpy_shape_that_does_not_fit_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    """A negative shape would have numpy read outside its memory."""

    class Array:
        def __reduce_ex__(self, protocol: int) -> tuple:
            made, arguments, state = np.zeros(4).__reduce__()
            return made, arguments, (state[0], shape, *state[2:])

    with pytest.raises(CheckpointError):
        read(tmp_path / "array.pth", Array())


def test_official_config_is_read_without_yacs(
    form: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Official SimMIM and classification files keep their ``CfgNode``, a dict with four attributes."""

    class CfgNode(dict):
        def __init__(self, content: dict) -> None:
            super().__init__(
                {key: CfgNode(value) if isinstance(value, dict) else value for key, value in content.items()}
            )
            attributes = {"immutable": True, "deprecated_keys": {"OLD"}, "renamed_keys": {}, "new_allowed": False}
            self.__dict__.update({f"__{name}__": value for name, value in attributes.items()})

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    config = {"MODEL": {"SWINV2": {"WINDOW_SIZE": 16, "DEPTHS": [2, 2, 6, 2]}}, "AMP_OPT_LEVEL": ""}
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        context.setitem(sys.modules, "yacs.config", types.SimpleNamespace(CfgNode=CfgNode))
        torch.save({"model": {"w": torch.ones(2)}, "config": CfgNode(config)}, tmp_path / "simmim.pth", **form)
    content = read_checkpoint(str(tmp_path / "simmim.pth")).content
    assert content["config"] == config
    assert content["model"]["w"].tolist() == [1, 1]


def test_options_of_a_command_line_are_read(form: dict[str, bool], tmp_path: Path) -> None:
    """Training scripts keep their ``argparse.Namespace``."""
    options = argparse.Namespace(model="swinv2_tiny", lr=1e-3, size=[3, 256, 256])
    assert read(tmp_path / "timm.pth", options, **form) == options


def test_map_location_and_shared_weights_are_kept(tmp_path: Path) -> None:
    """As ``torch.load`` has them."""
    weight = torch.ones(3)
    torch.save({"a": weight, "b": weight}, tmp_path / "w.pth")
    content = read_checkpoint(str(tmp_path / "w.pth"), "meta").content
    assert content["a"].device.type == "meta"
    content = read_checkpoint(str(tmp_path / "w.pth")).content
    assert content["a"].data_ptr() == content["b"].data_ptr()


def test_torchscript_is_refused(tmp_path: Path) -> None:
    """An archive of code is no checkpoint."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Identity()), buffer)
    (tmp_path / "script.pt").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match=r"script\.pt: .*TorchScript"):
        read_checkpoint(str(tmp_path / "script.pt"))


def test_attributes_do_not_replace_methods(form: dict[str, bool], tmp_path: Path) -> None:
    """A pickle may give a dict or a tensor any attribute; whoever calls the method would get what the file says."""
    mapping, tensor = OrderedDict(w=torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    mapping._metadata, tensor.is_decayed = {"": {"version": 1}}, True
    assert read(tmp_path / "w.pth", {"a": mapping, "b": tensor}, **form)["a"]._metadata == {"": {"version": 1}}
    for value in (OrderedDict(w=torch.ones(1)), torch.nn.Parameter(torch.ones(1))):
        value.__dict__.update({"get": 5, "isfinite": 5})
        with pytest.raises(CheckpointError, match=r"w\.pth: refused, because its .* attributes in place of methods"):
            read(tmp_path / "w.pth", {"a": value}, **form)
