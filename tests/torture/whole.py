"""A small world of every kind of file that faultdx writes, and whether a file on the disk is whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

FAULTDX = (sys.executable, "-m", "faultdx")
TINY = (
    *("--network", "wdcnn", "--epochs", "3", "--batch", "16", "--set", "epoch_steps=8", "--noise", "gaussian"),
    *("--snr", "0:10", "--threads", "1", "--device", "cpu", "--seed", "1"),
)
PLAN = """
description = "as small as can be"
networks = ["wdcnn"]
seeds = [0, 1]
[[data]]
name = "rig"
source = "rig"
prepare = { segment = 1024, split = "time" }
[[recipe]]
name = "short"
recipe = "default"
set = { epochs = 1, epoch_steps = 4, batch = 16 }
[test]
noise = ["gaussian"]
snr = [0]
"""
TEMPORARY = ".faultdx-tmp"


@dataclass(frozen=True)
class World:
    """A simulated rig, its prepared file, a trained run, and a plan."""

    rig: Path
    prepared: Path
    run: Path
    plan: Path


def environment(**changes: str) -> dict[str, str]:
    """One thread a process, UTF-8, and the tree that this file is of."""
    tree = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (tree, os.environ.get("PYTHONPATH", "")) if p)
    kept = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "LC_ALL": "C.UTF-8", **changes}


def run(
    words: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; the words begin after `faultdx`."""
    return subprocess.run(
        [*FAULTDX, *words],
        cwd=cwd,
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        errors="surrogateescape",
        timeout=300,
        check=False,
    )


def done(words: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command that has to end well; return its stdout."""
    ran = run(words, cwd=cwd, env=env)
    if ran.returncode:
        raise AssertionError((ran.returncode, [str(w) for w in words], ran.stderr))
    return ran.stdout


def world(folder: Path) -> World:
    """Make a world in `folder`: some ten seconds."""
    found = World(folder / "rig", folder / "rig.h5", folder / "run", folder / "tiny.toml")
    done(("simulate", "bearing", "--specimens", "3", "--seconds", "1", "--out", "rig"), cwd=folder)
    done(("prepare", "rig", "--out", "rig.h5"), cwd=folder)
    done(("train", "rig.h5", *TINY, "--out", "run"), cwd=folder)
    found.plan.write_text(PLAN, "utf-8")
    return found


def wrong_with(path: Path) -> str | None:
    """Return what is wrong with a file under a final name, None where it is whole. Locks and journals are neither."""
    try:
        _CHECKS.get(path.suffix, lambda _: None)(path)
    except Exception as error:  # whatever a half file leads its reader to
        return f"{path}: {type(error).__name__}: {error}"
    return None


def wrong_in(folder: Path) -> list[str]:
    """Return what is wrong with the files of a folder and of those in it; temporary ones may be anything."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(TEMPORARY))
    found = [said for said in map(wrong_with, files) if said is not None]
    return found + [said for p in files if p.name == "model.json" and (said := _wrong_model(p.parent)) is not None]


def rows_of(history: Path) -> list[str]:
    """Return the digests of the records in a history, one a row."""
    with closing(sqlite3.connect(history)) as connection:
        return sorted(str(sha) for (sha,) in connection.execute("SELECT sha256 FROM diagnosis"))


def _wrong_model(folder: Path) -> str | None:
    from faultdx.errors import FaultdxError
    from faultdx.inference import Network

    try:
        Network.open(folder)
    except FaultdxError as error:
        return str(error)
    return None


def _prepared(path: Path) -> None:
    from faultdx.dataset import open_prepared

    with open_prepared(path) as prepared:
        prepared.verify()


def _json(path: Path) -> None:
    json.loads(path.read_text("utf-8"))


def _lines(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text == "" or text.endswith("\n"), "cut"
    for line in text.splitlines():
        json.loads(line)


def _csv(path: Path) -> None:
    text = path.read_bytes().decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert text.endswith("\n") and len({len(row) for row in rows}) == 1, "cut"


def _page(path: Path) -> None:
    assert path.read_text("utf-8").rstrip().endswith("</html>"), "cut"


def _history(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'diagnosis'").fetchall():
            rows = rows_of(path)
            assert len(rows) == len(set(rows)), "a row twice"


def _checkpoint(path: Path) -> None:
    head, _, body = path.read_bytes().partition(b"\n")
    if head != b"faultdx.checkpoint/1 " + hashlib.sha256(body).hexdigest().encode():
        raise ValueError("another digest")


def _safetensors(path: Path) -> None:
    from safetensors.numpy import load

    load(path.read_bytes())


def _picture(path: Path) -> None:
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), "cut"


def _ended(path: Path) -> None:
    assert path.read_bytes().endswith(b"\n"), "cut"


def _toml(path: Path) -> None:
    tomllib.loads(path.read_text("utf-8"))


_CHECKS = {
    ".h5": _prepared, ".json": _json, ".jsonl": _lines, ".csv": _csv, ".html": _page, ".sqlite": _history,
    ".pt": _checkpoint, ".safetensors": _safetensors, ".png": _picture, ".prom": _ended, ".md": _ended, ".toml": _toml,
}  # fmt: skip
