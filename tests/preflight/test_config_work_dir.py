"""A work dir that cannot be written is named before the run."""

from pathlib import Path

import pytest

from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_work_dir


def test_a_work_dir_below_a_file_is_refused(tmp_path: Path) -> None:
    """A work dir that cannot be made is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=rf"work dir {tmp_path}/file/run cannot be written \(Not a directory\)"):
        check_work_dir(str(tmp_path / "file/run"))


def test_work_dir_is_made_and_left_empty(tmp_path: Path) -> None:
    """The check leaves nothing behind."""
    check_work_dir(str(tmp_path / "a/b"))
    assert list((tmp_path / "a/b").iterdir()) == []
