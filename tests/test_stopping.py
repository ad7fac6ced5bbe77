"""Signals in the middle of an import: obeyed after it, and never an exception out of the import itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import environment

import faultdx

TREE = Path(faultdx.__file__).parents[1]
# A module whose import sends itself a signal, and says whether it was let come to its end; then the work goes on.
PROGRAM = """
import sys, time
from faultdx.cli import console
def app():
    import slow
    print("imported", flush=True)
    time.sleep(20)
    print("not stopped", flush=True)
console.run(app)
"""


def ended(folder: Path, module: str, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    (folder / "slow.py").write_text(module)
    env = environment(PYTHONPATH=f"{folder}:{TREE}")
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_signal_waits_for_the_end_of_the_import(tmp_path: Path, name: str, code: int) -> None:
    module = f"""
import os, signal, time
os.kill(os.getpid(), signal.{name})
until = time.monotonic() + 0.3
while time.monotonic() < until: pass
print("to its end", flush=True)
"""
    began = time.monotonic()
    ran = ended(tmp_path, module)
    assert (ran.returncode, ran.stderr) == (code, "") and time.monotonic() - began < 10
    assert ran.stdout in ("to its end\n", "to its end\nimported\n")


def test_an_import_within_an_import_is_waited_for_too(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nfor _ in range(9): 1\n"
    )
    ran = ended(tmp_path, "import inner\nimport time\ntime.sleep(0.2)\nprint('to its end', flush=True)\n")
    assert ran.returncode == 143 and ran.stdout.startswith("to its end") and ran.stderr == ""


def test_an_import_without_end_is_ended_within_ten_seconds(tmp_path: Path) -> None:
    program = PROGRAM.replace("console.run(app)", "console._LONGEST_IMPORT_S = 0.5\nconsole.run(app)")
    module = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\nwhile True: time.sleep(0.01)\n"
    began = time.monotonic()
    ran = ended(tmp_path, module, program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (143, "", "") and time.monotonic() - began < 10


def test_outside_of_imports_it_is_obeyed_at_once(tmp_path: Path) -> None:
    program = PROGRAM.replace("    import slow\n", "    import os, signal; os.kill(os.getpid(), signal.SIGTERM)\n")
    ran = ended(tmp_path, "", program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (143, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_after_the_end_changes_nothing(tmp_path: Path, number: int) -> None:
    """What libraries tidy up when the process ends is not disturbed, and the exit code stands."""
    program = f"""
import atexit, os
from faultdx.cli import console
from faultdx.errors import OutputError
atexit.register(lambda: (os.kill(os.getpid(), {int(number)}), print("tidied up")))
def app(): raise OutputError("x: cannot be written")
console.run(app)
"""
    ran = ended(tmp_path, "", program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (5, "tidied up\n", "faultdx: error: x: cannot be written\n")


def test_two_signals_in_a_row_are_one_end(tmp_path: Path) -> None:
    program = """
import os, signal
from faultdx.cli import console
def app():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass
console.run(app)
"""
    ran = ended(tmp_path, "", program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (143, "", "")


def test_a_signal_while_an_error_is_said_is_an_end_without_a_traceback(tmp_path: Path) -> None:
    program = """
import os, signal
from faultdx.cli import console
from faultdx.errors import OutputError
def say(text):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000): pass
console.say = say
def app(): raise OutputError("x: cannot be written")
console.run(app)
"""
    ran = ended(tmp_path, "", program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (143, "", "")
