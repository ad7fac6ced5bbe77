"""Runs of the command line on a disk that fails: the shared object, the warm server, and what is found afterwards."""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
SHORT = 0  # for an errno: the write writes half of what it was given


@dataclass(frozen=True)
class Fault:
    """What fails: the kind of call (faults.c lists them), from which number on, with what."""

    kind: str
    at: int = 0
    error: int = errno.EIO
    sticky: bool = False

    @property
    def name(self) -> str:
        return ("half" if self.error == SHORT else errno.errorcode[self.error]) + (
            " from then on" if self.sticky else ""
        )


@dataclass(frozen=True)
class Ended:
    """A run that came to its end; a negative code is a signal."""

    code: int
    out: str
    err: str
    seen: int = 0
    failed: int = 0

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if "error:" in line or "cannot be" in line]


def compiled(folder: Path) -> Path | None:
    """Compile faults.c into `folder`; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    target = folder / "faults.so"
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", target, HERE / "faults.c", "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return target


class Server:
    """The warm interpreter of `forked`, under the shared object. A context."""

    def __init__(self, folder: Path, *, library: Path | None, heavy: bool = False, prefix: Sequence[str] = ()) -> None:
        self._folder = folder
        self._state = folder / "state"
        self._state.write_bytes(bytes(16))
        file = os.open(self._state, os.O_RDWR)
        self._counts = mmap.mmap(file, 16)
        os.close(file)
        meant = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING", "TERM", "FAULTDX_DEBUG", "LC_ALL")
        environment = {k: v for k, v in os.environ.items() if k not in meant} | {
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            **{"LC_ALL": "C.UTF-8", "PYTHONPATH": str(TREE), "PYTHONDONTWRITEBYTECODE": "1"},
        }
        if library is not None:
            environment["LD_PRELOAD"] = str(library)
        self._process = subprocess.Popen(
            [*prefix, sys.executable, HERE / "forked.py", *(["--heavy"] if heavy else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=TREE,
        )  # fmt: skip
        if self._answer() != "ready":
            raise RuntimeError("the warm interpreter did not start")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        fault: Fault | None = None,
        root: Path | None = None,
        environment: Mapping[str, str] | None = None,
        file_bytes: int = 0,
        seconds: int = 200,
    ) -> Ended:
        """Run `faultdx argv` in `cwd`, with `fault` for what lies below `root` (`cwd` without)."""
        self._counts[:] = bytes(16)
        what = {"FAULTS_ROOT": "", "FAULTS_KIND": "", "FAULTS_STATE": str(self._state), **(environment or {})}
        if fault is not None:
            what |= {"FAULTS_ROOT": os.fspath((root or cwd).resolve()), "FAULTS_KIND": fault.kind,
                     "FAULTS_AT": str(fault.at), "FAULTS_ERRNO": str(fault.error),
                     "FAULTS_STICKY": str(int(fault.sticky))}  # fmt: skip
        said = [self._folder / name for name in ("stdout", "stderr")]
        job = {
            "argv": list(argv), "cwd": os.fspath(cwd), "env": what, "out": str(said[0]), "err": str(said[1]),
            "file_bytes": file_bytes, "seconds": seconds,
        }  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code = int(self._answer())
        texts = [path.read_bytes().decode("utf-8", "replace") for path in said]
        seen, failed = struct.unpack("qq", self._counts[:])
        return Ended(code, texts[0], texts[1], seen, failed)


@dataclass
class Tally:
    """What came of the runs of one command under one fault."""

    runs: int = 0
    failed: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
