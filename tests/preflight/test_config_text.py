"""The config in a checkpoint is read as text, and whatever it says, nothing of it runs."""

from pathlib import Path

import pytest
from mmengine.config import Config
from torch import nn

from mmswinv2.preflight.config_text import leaves, parse_config

REFUSED = {
    "import": "import os",
    "call": "a = __import__('os').system('touch ran')",
    "call inside": "a = dict(b=[open('ran', 'w')])",
    "comprehension": "a = [x for x in (1, 2)]",
    "f-string": 'a = f\'{open("ran", "w")}\'',
    "lambda": "a = lambda: 1",
    "unpacked dict": "a = dict(**{'b': 1})",
    "starred list": "a = [*range(10**9)]",
    "power": "a = 9 ** 9 ** 9",
    "attribute set": "a.b = 1",
    "list as key": "a = {[1]: 2}",
    "statement": "while True: pass",
    "no Python": "a = (",
    "zero byte": "a = 1\0",
    "deep brackets": "a = " + "(" * 5000,
    "deep signs": "a = " + "-" * 200_000 + "1",
    "deep attributes": "a = " + "a." * 200_000 + "b",
    "deep sums": "a = " + "1+" * 200_000 + "1",
    "long number": "a = " + "9" * 10_000,
    "long": "a = 1\n" * 2**20,
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_setting_is_refused_and_not_run(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError):
        parse_config(REFUSED[case])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("formatted", [False, True])
def test_settings_of_every_kind_come_back(formatted: bool) -> None:
    """As MMEngine writes them into a checkpoint, its formatter included."""
    settings = {
        "texts": ["it's", 'say "so"', "a\nb\\d", "übung", ""],
        "numbers": dict(a=-1, b=1e-20, c=-2.5, d=True, e=None),
        "nested": [dict(a=(1, (2, 3)), b=[]), dict(c={"x.y": dict(z=1), "1": {}})],
        "classes": dict(type=nn.ReLU, kind=int),
        "limits": [float("inf"), -float("inf"), float("nan")],
    }
    config = Config(settings, format_python_code=formatted)
    assert dict(leaves(parse_config(config.pretty_text))) == dict(leaves(config.to_dict()))
