"""Images that cannot be read: an error by default, counted where they are to be skipped."""

import logging

from mmengine.logging import print_log

NAMED = 5
COUNTED = 100  # after the first few, so often a line in the log


class UnreadableImageError(ValueError):
    """An image that is missing or does not decode; the message is its path and why."""


class SkippedImages:
    """The unreadable images that one process has met, for its log."""

    def __init__(self) -> None:
        self.faults: set[str] = set()

    def add(self, error: UnreadableImageError) -> None:
        """Counts an image, once however often it is met; the first few are named in the log, then some."""
        if str(error) in self.faults:
            return
        self.faults.add(str(error))
        count = len(self.faults)
        if count <= NAMED or count % COUNTED == 0:
            print_log(
                f"Skipped an unreadable image, number {count} of this process: {error}", "current", logging.WARNING
            )
