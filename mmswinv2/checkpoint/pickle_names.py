"""What a pickle refers to, told without loading it."""

import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PICKLES_BEFORE_DATA = 3  # in torch's older format: a magic number, the version of the format, facts of the machine


def referred_names(path: Path) -> list[str]:
    """Functions and classes that the pickle in a file refers to, as far as it can be read.

    Args:
        path: A file of ``torch.save``, in either of torch's formats, or a plain pickle.
    """
    names: list[str] = []
    with suppress(Exception):  # damaged, or no other pickle follows
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                record = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                with archive.open(record) as file:
                    names.extend(_names(file))
        else:
            with open(path, "rb") as file:
                for _ in range(PICKLES_BEFORE_DATA + 1):
                    names.extend(_names(file))
    return list(dict.fromkeys(names))


def _names(file: BinaryIO) -> Iterator[str]:
    strings: list[str] = []
    memo: dict[int, str | None] = {}
    latest = None
    for code, argument, _ in pickletools.genops(file):
        if code.name == "GLOBAL":
            yield argument.replace(" ", ".")
        elif code.name == "STACK_GLOBAL":  # takes its module and name from the stack
            yield ".".join(strings[-2:])
        if code.name == "MEMOIZE":
            memo[len(memo)] = latest
        elif code.name.endswith("PUT"):
            memo[argument] = latest
        else:
            latest = memo.get(argument) if code.name.endswith("GET") else argument
            if isinstance(latest, str):
                strings.append(latest)
