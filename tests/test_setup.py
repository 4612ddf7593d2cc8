"""`make setup` on a copy of the Makefile, with an interpreter that notes what it is asked to install.

The environment that these tests run in proves what the steps install. The tests look at the order of the steps, at
what is missing before the first, and at which of them run again.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .support import ROOT

# Stands for python3: of a given version, running make's checks for real. Its venv holds another that only takes notes.
INTERPRETER = """#!/bin/sh
case "$1" in
  --version) echo "Python {version}" ;;
  -c) exec {python} -c "import sys, sysconfig; sys.version_info = ({version_info})
{prelude}
$2" ;;
  -m) mkdir -p "$3/bin" && cp "{folder}/notes" "$3/bin/python" ;;
esac
"""
NOTES = """#!/bin/sh
echo "$*" >> "{folder}/log"
case "$*" in *"$(cat "{folder}/interrupt")"*) exit 1 ;; esac
"""
# The steps, each by a piece of its command.
STEPS = ["install torch===", "--no-build-isolation onedl-mmcv==", "-e .[onedl,dev]", "-m mmswinv2 doctor"]


class Checkout:
    """A folder with the Makefile, the files it looks at and a PATH with nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "setup.py", "mmswinv2/__init__.py", "mmswinv2/cli/doctor.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        (folder / "bin").mkdir()
        for tool in ("sh", "mkdir", "cp", "cat", "touch"):
            (folder / "bin" / tool).symlink_to(shutil.which(tool))
        self.script("bin/g++", "#!/bin/sh\n")
        self.script("notes", NOTES.format(folder=folder))
        self.interpreter("3.11.7")
        self.interrupt_at("nothing")

    def script(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def interpreter(self, version: str, prelude: str = "") -> None:
        version_info = version.replace(".", ", ")
        names = dict(version=version, version_info=version_info, prelude=prelude, folder=self.folder)
        self.script("bin/python3", INTERPRETER.format(python=sys.executable, **names))

    def interrupt_at(self, step: str) -> None:
        (self.folder / "interrupt").write_text(step)

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        env = {"PATH": str(self.folder / "bin")}  # above all no MAKEFLAGS of a `make test` around this test
        command = [shutil.which("make"), *arguments]
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)

    def steps_of(self, *arguments: str) -> list[str]:
        """Runs make and returns the steps that it went through."""
        log = self.folder / "log"
        log.write_text("")
        self.make(*arguments)
        return [next(step for step in STEPS if step in line) for line in log.read_text().splitlines()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def assert_refused(checkout: Checkout, message: str, *arguments: str) -> None:
    """In one sentence, before anything is built."""
    done = checkout.make("setup", *arguments)
    assert done.returncode != 0
    assert done.stdout.splitlines() == [message]
    assert "Traceback" not in done.stderr
    assert not (checkout.folder / ".venv").exists()


@pytest.mark.parametrize("version", ["2.7.18", "3.9.18", "3.14.0"])
def test_a_wrong_python_version_is_refused(checkout: Checkout, version: str) -> None:
    checkout.interpreter(version)
    message = f"Python 3.10 to 3.13 is needed, python3 is Python {version}: make setup PYTHON=python3.11"
    assert_refused(checkout, message)


def test_a_missing_python_is_named(checkout: Checkout) -> None:
    message = "Python 3.10 to 3.13 is needed, python3.10 is missing: make setup PYTHON=python3.11"
    assert_refused(checkout, message, "PYTHON=python3.10")


def test_a_missing_venv_module_is_named(checkout: Checkout) -> None:
    checkout.interpreter("3.11.7", "sys.modules['ensurepip'] = None")
    message = "python3 has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"
    assert_refused(checkout, message)


def test_a_missing_compiler_is_named(checkout: Checkout) -> None:
    (checkout.folder / "bin/g++").unlink()
    message = "A C++ compiler is needed to build mmcv's ops: install g++ (Debian, Ubuntu: apt install g++)"
    assert_refused(checkout, message)


def test_missing_headers_are_named(checkout: Checkout) -> None:
    """Told now: mmcv's build would stop over them after a download of gigabytes."""
    checkout.interpreter("3.11.7", "sysconfig.get_path = lambda name: '/nowhere'")
    message = (
        "python3 has no headers, needed to build mmcv's ops: install them (Debian, Ubuntu: apt install python3-dev)"
    )
    assert_refused(checkout, message)


@pytest.mark.parametrize("version", ["3.10.0", "3.11.7", "3.12.1", "3.13.0"])
def test_goes_through_all_steps_in_order(checkout: Checkout, version: str) -> None:
    """torch before mmcv, which is built against it; the check of the whole at the end."""
    checkout.interpreter(version)
    assert checkout.steps_of("setup") == STEPS


def test_a_finished_setup_is_left_alone(checkout: Checkout) -> None:
    checkout.make("setup")
    assert checkout.steps_of("setup") == []
    assert checkout.make("-q", "setup").returncode == 0


@pytest.mark.parametrize("step", STEPS)
def test_goes_on_where_it_was_interrupted(checkout: Checkout, step: str) -> None:
    """Above all without building mmcv a second time."""
    checkout.interrupt_at(step)
    assert checkout.steps_of("setup") == STEPS[: STEPS.index(step) + 1]
    assert checkout.make("setup").returncode != 0
    checkout.interrupt_at("nothing")
    assert checkout.steps_of("setup") == STEPS[STEPS.index(step) :]
    assert checkout.steps_of("setup") == []


@pytest.mark.parametrize(
    ("changed", "steps"),
    [("setup.py", STEPS[2:]), ("mmswinv2/__init__.py", STEPS[2:]), ("mmswinv2/cli/doctor.py", STEPS[3:])],
)
def test_a_changed_file_repeats_only_what_depends_on_it(checkout: Checkout, changed: str, steps: list[str]) -> None:
    checkout.make("setup")
    later = time.time() + 1  # the clock of files is too coarse to tell moments apart
    os.utime(checkout.folder / changed, (later, later))
    assert checkout.steps_of("setup") == steps


@pytest.mark.parametrize(("version", "steps"), [("MMCV=9.9.9", STEPS[1:]), ("TORCH=9.9.9", STEPS)])
def test_another_version_is_installed_and_what_was_built_on_it(
    checkout: Checkout, version: str, steps: list[str]
) -> None:
    checkout.make("setup")
    assert checkout.steps_of("setup", version) == steps


@pytest.mark.parametrize("target", ["demo", "demo-pretrain", "test", "test-full", "lint"])
def test_every_target_sets_up_first_and_then_does_its_job(checkout: Checkout, target: str) -> None:
    """On a fresh machine `make demo` and `make test` are the only commands."""
    fresh = checkout.make("-n", target).stdout
    positions = [fresh.find(step.replace("-e .[onedl,dev]", "-e '.[onedl,dev]'")) for step in STEPS]
    assert positions == sorted(positions)
    assert positions[0] > 0
    checkout.make("setup")
    job = checkout.make("-n", target).stdout
    assert ".venv/bin/" in job
    assert fresh.endswith(job)
