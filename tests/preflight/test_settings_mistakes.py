"""The mistakes that people make in a config, each with the sentence that they read."""

import pytest

from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_settings

from .mistakes import BASES, TAKEN_OUT, Mistake, base, changed, read_mistakes

MISTAKES = list(read_mistakes())


def named(mistake: Mistake) -> str:
    value = "" if mistake.value is TAKEN_OUT else mistake.value
    return f"{mistake.base}: {mistake.key}={value}"


@pytest.mark.parametrize("name", BASES)
def test_the_bases_have_no_mistake(name: str) -> None:
    assert check_settings(base(name)) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=named)
def test_a_mistake_is_found_and_explained(mistake: Mistake) -> None:
    with pytest.raises(ConfigError) as error:
        check_settings(changed(mistake))
    assert mistake.sentence in str(error.value)
