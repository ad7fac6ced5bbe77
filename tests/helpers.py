"""What several test files share: the command line as a process, and a validator for the JSON that it writes."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from faultdx.cli import app, console

# The command that trains, and the one that is tested: FAULTDX_COMMAND names one that is installed elsewhere, as on a
# gateway without torch (make gateway).
TRAINER = (sys.executable, "-m", "faultdx")
FAULTDX = tuple(shlex.split(os.environ.get("FAULTDX_COMMAND", ""))) or TRAINER
# For tests of what a gateway has no packages for: training, pictures.
beyond_a_gateway = pytest.mark.skipif(FAULTDX != TRAINER, reason="needs what is not installed on a gateway")
# A tiny training that says nothing about accuracy: it only has to end, and soon.
TINY = (
    *("--epochs", "3", "--batch", "16", "--set", "epoch_steps=20", "--noise", "gaussian", "--snr", "0:10"),
    *("--threads", "1", "--device", "cpu", "--seed", "1"),
)


@dataclass(frozen=True)
class Trained:
    """A rig on paper, what was prepared and trained from it, specimens that the model has never seen, and the words
    (stdout, stderr) of the commands that made them."""

    rig: Path
    prepared: Path
    run: Path
    unseen: Path
    said: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Ran:
    """A command that came to its end. Bytes that are no UTF-8 are kept as surrogates."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Each line of stdout as the JSON object that it has to be."""
        return [json.loads(line) for line in self.out.split("\n")[:-1]]


def environment(**changes: str) -> dict[str, str]:
    """The environment of a plain terminal-less run: no colour forced or forbidden, UTF-8, no width."""
    meant = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING", "TERM", "FAULTDX_DEBUG", "LC_ALL")
    kept = {k: v for k, v in os.environ.items() if k not in meant}
    return {**kept, "LC_ALL": "C.UTF-8", **changes}


def faultdx(
    *args: str | bytes | Path,
    cwd: Path | None = None,
    stdin: bytes | int | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    command: Sequence[str] = FAULTDX,
) -> Ran:
    """Run the command line as a process of its own; stdin: bytes to pipe in, or a descriptor."""
    how: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin or subprocess.DEVNULL}
    done = subprocess.run(
        [*command, *args],
        cwd=cwd,
        env=environment(**(env or {})),
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
        **how,
    )
    ran = Ran(done.returncode, _text(done.stdout), _text(done.stderr))
    assert "Traceback" not in ran.err and "internal error" not in ran.err and "Warning:" not in ran.err, ran.err
    return ran


def faultdx_here(*args: str | Path, cwd: Path) -> Ran:
    """Run the command line in this process, which spares its start: for what it refuses, not for how it streams."""
    words = ["faultdx", *map(str, args)]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before, settings = (sys.argv, sys.stdout, sys.stderr), (console.Settings.quiet, console.Settings.verbose)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    try:
        sys.argv, sys.stdout, sys.stderr = words, out, err
        with contextlib.chdir(cwd):
            console.run(app)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.argv, sys.stdout, sys.stderr = before
        console.Settings.quiet, console.Settings.verbose = settings
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for stream in (out, err):
        stream.flush()
    ran = Ran(code, *(_text(stream.buffer.getvalue()) for stream in (out, err)))
    assert "Traceback" not in ran.err and "internal error" not in ran.err, ran.err
    return ran


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "surrogateescape")


def assert_refused(ran: Ran, code: int, *words: str) -> None:
    """The command said no: with this code, nothing on stdout, and one line that has all these words."""
    assert ran.code == code, ran
    assert ran.out == ""
    assert ran.err.startswith("faultdx: error: ") and ran.err.count("\n") == 1 and ran.err.endswith("\n"), ran.err
    assert ran.err[:-1].isprintable()
    for word in words:
        assert word in ran.err, (word, ran.err)


def model_with(run: Path, target: Path, **changes: Any) -> Path:
    """Copy the model of a run folder to `target`, with some entries of its model.json changed."""
    shutil.copytree(run / "model", target)
    file = target / "model.json"
    info = json.loads(file.read_text("utf-8")) | changes
    del info["content_sha256"]
    file.write_text(json.dumps(info), "utf-8")
    return target


def diagnosis_schema() -> dict[str, Any]:
    """The schema that the package ships."""
    found: dict[str, Any] = json.loads(
        resources.files("faultdx").joinpath("schema/diagnosis-1.json").read_text("utf-8")
    )
    return found


def validate(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> None:
    """The part of JSON Schema that diagnosis-1.json uses."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None)}
    kinds["boolean"] = bool
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(isinstance(value, kinds[kind]) for kind in types), (value, types)  # type: ignore[arg-type]
    assert "const" not in schema or value == schema["const"]
    assert "enum" not in schema or value in schema["enum"], value
    if isinstance(value, str) and "pattern" in schema:
        assert re.search(schema["pattern"], value)
    if isinstance(value, (int, float)):
        assert schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
    if isinstance(value, list):
        for item in value:
            validate(item, schema.get("items", {}), root)
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value)
        for key, item in value.items():
            more = schema.get("additionalProperties", True)
            validate(item, schema.get("properties", {}).get(key, more if isinstance(more, dict) else {}), root)
