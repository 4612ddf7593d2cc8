"""What the checks of data find: kinds of faults, the single faults, and how they are told."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmengine.logging import print_log

from ..errors import DataError, list_some

ERROR = "error"  # a run stops: it would fail, or train on nonsense
WARNING = "warning"  # a run goes on without these entries, or with what stands there
NOTE = "note"  # the usual treatment of something usual
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: Its name in reports that programs read.
        severity: One of ``SEVERITIES``.
        what: What is so, after "3 of the 20", in the plural.
        advice: What follows from it and what to do.
    """

    name: str
    severity: str
    what: str
    advice: str = ""


@dataclass(frozen=True)
class Fault:
    """A single fault.

    Attributes:
        file: The file to mend.
        entry: What in it, such as an annotation's id; empty if it is the file as a whole.
        message: File or entry, and what is wrong with it, in one line.
    """

    file: str
    message: str
    entry: str = ""


@dataclass(frozen=True)
class Finding:
    """All faults of one kind in one data set.

    Attributes:
        kind: Their kind.
        key: Config key of the data set, with the path of its annotation file where the faults are in that; empty if
            it is about several.
        total: How many images, annotations or files were looked at; 0 if it is about the data set as a whole.
        faults: The faults, at least one.
    """

    kind: Kind
    key: str
    total: int
    faults: Sequence[Fault]

    def __str__(self) -> str:
        """Number, kind, the first few faults and the advice, as the log and errors tell them."""
        if not self.total:
            messages = [fault.message for fault in self.faults]
            return "\n".join(one if one.startswith(self.key) else f"{self.key}: {one}" for one in messages)
        head = f"{self.key}: {len(self.faults)} of the {self.total} {self.kind.what}:"
        shown = list_some(fault.message for fault in self.faults)
        return "\n".join([head, shown, *([self.kind.advice] if self.kind.advice else [])])


def found(kind: Kind, key: str, total: int, faults: Iterable[Fault]) -> list[Finding]:
    """Returns the finding in a list, which is empty if there is no fault."""
    faults = list(faults)
    return [Finding(kind, key, total, faults)] if faults else []


def refuse(findings: Sequence[Finding]) -> None:
    """Puts warnings and notes into the log, and stops at errors.

    Raises:
        DataError: Tells all errors among ``findings``.
    """
    for finding in findings:
        if finding.kind.severity != ERROR:
            level = logging.WARNING if finding.kind.severity == WARNING else logging.INFO
            print_log(str(finding), "current", level)
    errors = [str(finding) for finding in findings if finding.kind.severity == ERROR]
    if errors:
        raise DataError("\n".join([*errors, "'mmswinv2 check CONFIG' lists all faults of the data"]))
