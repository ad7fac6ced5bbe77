"""Runs of the command line on a disk that fails: the shared object, the warm server, and what is found afterwards."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import http.server
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
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
        return [
            line
            for line in self.err.splitlines()
            if "error:" in line or "cannot be" in line or line.startswith("left out: ")
        ]


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
        self.served: list[tuple[int, str, str]] = []  # of `download`: number, set, git blob id
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
            "file_bytes": file_bytes, "seconds": seconds, "served": self.served,
        }  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code = int(self._answer())
        texts = [path.read_bytes().decode("utf-8", "replace") for path in said]
        seen, failed = struct.unpack("qq", self._counts[:])
        return Ended(code, texts[0], texts[1], seen, failed)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(server: Server, base: Path, sets: Mapping[int, str]) -> Iterator[None]:
    """Serve the recordings base/in over HTTP for the block, and tell `download` of them; the address is in base/url."""
    handler = functools.partial(_Quiet, directory=str(base / "in"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        (base / "url").write_text(f"http://127.0.0.1:{web.server_port}")
        for number, name in sets.items():
            data = (base / "in" / f"{number}.mat").read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            server.served.append((number, name, blob))
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield
        web.shutdown()


@dataclass
class Tally:
    """What came of the runs of one command under one fault."""

    runs: int = 0
    failed: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
