"""What the workers of tests/test_fleet.py are given to do. They import it from here, and nothing heavy with it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from faultdx.errors import ModelError, RecordError


def square(n: int) -> int:
    return n * n


def slow_first(n: int) -> int:
    time.sleep(0.5 if n == 0 else 0)
    return n


def deadly(n: int, scratch: str) -> tuple[int, int]:
    """Die of 3 whenever it comes, of 7 the first time, and count."""
    tries = Path(scratch) / f"{n}-{os.getpid()}-{time.monotonic_ns()}"
    tries.touch()
    if n == 3 or (n == 7 and len(list(Path(scratch).glob("7-*"))) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return n, os.getpid()


def half_said(n: int) -> bytes:
    """Be killed in the middle of a long answer, when its first part is in the pipe."""
    if n == 2:
        subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -9 {os.getpid()}"])
        time.sleep(0.2)
        return bytes(200 << 20)
    return b"short"


def refuses(n: int) -> int:
    if n == 4:
        raise RecordError("four: is no good", "four")
    return n


class Unready:
    def begin(self) -> None:
        raise ModelError("m: is no model")

    def __call__(self, n: int) -> int:
        return n


class Stillborn(Unready):
    def begin(self) -> None:
        os._exit(3)
