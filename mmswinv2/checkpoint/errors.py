"""The one error of this package."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read or does not fit; the message tells the user which, why, and what to do."""
