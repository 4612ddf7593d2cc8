"""``python -m tests.engine.one_of_several FOLDER ...``: mmswinv2's command line as one process of several, on CPUs.

The arguments after FOLDER are the command line's. The process leaves its id in FOLDER.
"""

import os
import sys
from pathlib import Path

from mmswinv2.cli import main

if __name__ == "__main__":
    Path(sys.argv[1], f"process_{os.environ['RANK']}").write_text(str(os.getpid()))
    main(sys.argv[2:])
