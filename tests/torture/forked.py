"""A warm interpreter that runs the command line in a child, forked, for each line that it reads.

A start of Python with torch takes two seconds; a fork of one takes ten milliseconds. The child ends as any process of
the command line does, with all that runs at the exit of the interpreter. Started by `faults.Server`.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
from typing import Any

_LIGHT = (
    *("faultdx.cli.prepare", "faultdx.cli.diagnose", "faultdx.cli.simulate", "faultdx.cli.history", "faultdx.answers"),
    *("faultdx.preparation", "faultdx.diagnosis", "faultdx.recorder", "faultdx.metrics", "faultdx.report.html"),
    *("faultdx.cli.baseline", "faultdx.baseline_file", "faultdx.cli.inspect", "faultdx.downloads", "pooch"),
    *("faultdx.assessment", "faultdx.report.evaluation", "h5py", "scipy.io", "sqlite3"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
)
_HEAVY = ("faultdx.runs", "torch.onnx", "onnx.checker", "onnxscript")


def _warm(heavy: bool) -> None:
    for name in _LIGHT:
        importlib.import_module(name)
    if not heavy:
        return
    for name in _HEAVY:
        importlib.import_module(name)
    import torch

    from faultdx.export import to_onnx
    from faultdx.networks.architecture import architecture
    from faultdx.networks.drsn import build

    torch.set_num_threads(1)
    to_onnx(build(architecture("convnet", classes=2, channels=1, samples=512)).eval())


def _child(job: dict[str, Any]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number, name in ((0, None), (1, job["out"]), (2, job["err"])):
        fd = null if name is None else os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(fd, number)
        if fd != null:
            os.close(fd)
    os.close(null)
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    tempfile.tempdir = None  # TMPDIR is another one
    if job.get("file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"],) * 2)
    signal.alarm(job["seconds"])  # what hangs is ended by a signal, which is a finding
    begin = getattr(ctypes.CDLL(None), "faults_begin", None)
    if begin is not None:
        begin()
    from faultdx.cli import main

    if job["argv"][0] == "download":
        _catalogue(job["served"])
    sys.argv = ["faultdx", *job["argv"]]
    main()


def _catalogue(served: list[list[Any]]) -> None:
    """Let `download` know files (number, set, git blob id) of this machine's own server, and no others."""
    from dataclasses import replace

    from faultdx import downloads

    one = downloads.catalogue()[0]
    known = tuple(
        replace(one, number=n, set=s, git_blob=blob, samples=6000, variables=("X_DE_time",)) for n, s, blob in served
    )
    downloads.catalogue = lambda: known  # type: ignore[assignment]


def main() -> None:
    """Answer each line of standard input, a job as JSON, with a line: how its child ended."""
    _warm("--heavy" in sys.argv)
    gc.freeze()  # a child need not look through, and so copy, what it has from here
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line))
            return  # to the end of the interpreter
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        answers.write(f"{status}\n")
        answers.flush()


if __name__ == "__main__":
    main()
