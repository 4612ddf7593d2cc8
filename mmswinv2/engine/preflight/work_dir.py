"""Can the work dir be written?"""

import os
import tempfile

from .errors import ConfigError


def check_work_dir(path: str) -> None:
    """Makes the folder and writes a file of no name in it.

    Raises:
        ConfigError: Names the folder and what stands in the way.
    """
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(
            f"The work dir {os.path.abspath(path)} cannot be written ({error.strerror}): "
            "choose another with --work-dir, or mend work_dir in the config"
        ) from error
