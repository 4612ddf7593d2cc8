"""``--cfg-options`` are MMEngine's, and what it cannot read is named."""

import argparse

import pytest

from mmswinv2.cli.cfg_options import add_cfg_options


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    return parser


def test_values_are_read_as_by_mmengine(parser: argparse.ArgumentParser) -> None:
    options = ["a.b=1", "c=2e-3", "d=[(1,2),(3,x)]", "e=y,z", "f=None", "g=x=y", "a.b=2"]
    read = parser.parse_args(["--cfg-options", *options, "--cfg-options", "h=true"]).cfg_options
    assert read == {"a.b": 2, "c": 2e-3, "d": [(1, 2), (3, "x")], "e": ["y", "z"], "f": None, "g": "x=y", "h": True}
    assert parser.parse_args([]).cfg_options is None


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("lr", "'lr' is not of the form key=value"),
        ("size=[(1,2]", "the value of size cannot be read: [(1,2]\n"),
        ("size=(1,2),(3,4)", "the value of size cannot be read: (1,2),(3,4)\n"),
        (
            "model.loss=dict(type='DiceLoss',weight=1)",
            "the value of model.loss cannot be read: dict(type='DiceLoss',weight=1); "
            "set the keys of a dict one by one, as in model.loss.type=NAME\n",
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    option: str, sentence: str, parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dict, or brackets that do not match, would otherwise recurse without end."""
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--cfg-options", "a=1", option])
    assert stop.value.code == 2
    assert f"argument --cfg-options: {sentence}" in capsys.readouterr().err
