"""``python -m mmswinv2`` is the command ``mmswinv2``."""

from .cli import main

main()
