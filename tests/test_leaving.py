"""How the installed command ends: at once, with its code, and with everything done that wanted to be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

START = """
import atexit, sys, threading, time
import faultdx.__main__, faultdx.cli, faultdx.cli.leaving
class Witness:
    def __del__(self): print("taken apart")
witness = Witness()
"""


def left(
    body: str, *words: str, stdout: int = subprocess.PIPE, env: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, str, str]:
    """Run the installed command with `body` in place of what it does."""
    code = f"{START}\ndef run():\n    {body}\nfaultdx.cli.main = run\nfaultdx.__main__.main()"
    ran = subprocess.run(
        [sys.executable, *words, "-c", code],
        stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": "", **env},
    )  # fmt: skip
    return ran.returncode, ran.stdout or "", ran.stderr


@pytest.mark.parametrize(
    ("body", "code"),
    [("pass", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("raise SystemExit(141)", 141), ("sys.exit(-1)", 255)],
)
def test_it_ends_at_once_with_its_code(body: str, code: int) -> None:
    assert left(body) == (code, "", "")


def test_what_wants_to_be_told_is_told_and_nothing_written_is_lost() -> None:
    body = "atexit.register(lambda: print('tidied up')); sys.stdout.write('no line end'); sys.exit(4)"
    assert left(body) == (4, "no line endtidied up\n", "")


# What a command does with its result, within the command line.
RESULT = "from faultdx.cli import console; console.run(lambda: console.out('x' * 300_000))"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_that_takes_a_part_ends_it_with_5(tmp_path: Path, unbuffered: str) -> None:
    """Without its own buffer Python drops what a file or a pipe does not take at once, and says nothing."""
    said = {"env": {"PYTHONUNBUFFERED": unbuffered}}
    with (tmp_path / "out").open("wb") as out:
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        code, _, err = left(limit + RESULT, stdout=out.fileno(), **said)
    assert code == 5 and err.startswith("faultdx: error: standard output: cannot be written") and err.count("\n") == 1
    assert (tmp_path / "out").stat().st_size == 100_000
    read, write = os.pipe()
    try:
        os.set_blocking(write, False)
        code, _, err = left(RESULT, stdout=write, **said)
    finally:
        os.close(read)
        os.close(write)
    assert code == 5 and err.startswith("faultdx: error: standard output: cannot be written") and err.count("\n") == 1
    assert left(RESULT, **said) == (0, "x" * 300_000 + "\n", "")


def test_a_thread_that_is_to_be_waited_for_is_waited_for() -> None:
    work = "time.sleep(0.3); print('done')"
    code, out, _ = left(f"threading.Thread(target=lambda: exec({work!r})).start()")
    assert code == 0 and out.startswith("done\n")
    code, out, _ = left(f"threading.Thread(target=lambda: exec({work!r}), daemon=True).start(); sys.exit(3)")
    assert (code, out) == (3, "")


def test_a_message_for_a_code_is_left_to_python() -> None:
    code, out, err = left("sys.exit('no such thing')")
    assert (code, err) == (1, "no such thing\n") and out == "taken apart\n"


def test_an_exception_is_not_swallowed() -> None:
    code, _, err = left("raise ValueError('x')")
    assert code == 1 and err.endswith("ValueError: x\n")


def test_a_profiler_and_an_inspection_see_the_end() -> None:
    assert "taken apart" in left("pass", "-i")[1]
    watched = "sys.setprofile(lambda *_: None); faultdx.cli.leaving.leave(3); sys.setprofile(None); print('here')"
    assert left(watched)[:2] == (0, "here\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")  # noqa: PTH110
def test_a_stdout_that_takes_nothing_is_an_error() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        code, _, err = left("sys.stdout.write('lost')", stdout=full.fileno())
    assert code == 120 and "No space left" in err
