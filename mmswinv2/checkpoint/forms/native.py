"""This project's own form."""

import re
from collections.abc import Iterable

from .form import Form

PRETRAINED_WINDOWS = "pretrained_window_sizes"


class Native(Form):
    """Official names, but one norm per level, and the pretrained windows in a buffer."""

    name = "native"
    roots = (*Form.roots, PRETRAINED_WINDOWS)
    single_norm = False

    def recognises(self, names: Iterable[str]) -> bool:
        return any(name == PRETRAINED_WINDOWS or re.match(r"norm\d+\.", name) for name in names)
