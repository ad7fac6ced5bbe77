"""The commands that the torture runs, on data so small that each takes a fraction of a second, and how to tell whether
what they left is whole."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .disk import Ended, Server

TINY = ("--network", "convnet", "--epochs", "1", "--batch", "16", "--set", "epoch_steps=2", "--threads", "1",
        "--device", "cpu", "--noise", "none")  # fmt: skip
PLAN = """
description = "one small cell"
networks = ["convnet"]
seeds = [0]
[[data]]
name = "rig"
source = "in"
prepare = { segment = 512 }
[[data.variant]]
name = "time"
split = "time"
[[recipe]]
name = "short"
recipe = "default"
set = { epochs = 1, epoch_steps = 2, batch = 16 }
[test]
noise = ["gaussian"]
snr = [0]
by = ["condition"]
"""


@dataclass(frozen=True)
class Command:
    """A command line that writes below `out` of its working folder.

    argv : given the folder of inputs; old : the command whose outputs are there before, None for none
    code : of the run that nothing disturbs; heavy : needs torch; together : its files stand for one result
    may_vanish : what a run that fails may have taken away, because it gives the old result up when it starts
    """

    name: str
    argv: Callable[[Path], tuple[str, ...]]
    old: Callable[[Path], tuple[str, ...]] | None = None
    code: int = 0
    heavy: bool = False
    may_vanish: tuple[str, ...] = ()
    reads: bool = False


def make_inputs(server: Server, base: Path) -> None:
    """Make recordings, prepared files, runs and a history in `base`, by the command line itself."""
    base.mkdir()
    for argv in (
        ("simulate", "bearing", "--specimens", "1", "--seconds", "0.7", "--out", "rig"),
        ("simulate", "bearing", "--specimens", "1", "--seconds", "0.7", "--mat", "7.3", "--out", "rig73"),
    ):
        _must(server.run(argv, cwd=base))
    for source, target, names in (("rig", "in", (501, 502, 505, 506)), ("rig73", "in73", (503, 507))):
        (base / target).mkdir()
        for name in names:
            shutil.copy(base / source / f"{name}.mat", base / target)
        lines = (base / source / "records.csv").read_text().splitlines(keepends=True)
        table = "".join(line for line in lines if line.startswith(("path", *map(str, names))))
        (base / target / "records.csv").write_text(table)
    (base / "plan.toml").write_text(PLAN)
    (base / "one").mkdir()
    shutil.copy(base / "in" / "505.mat", base / "one")
    for argv in (
        ("prepare", "in", "--segment", "512", "--out", "p.h5"),
        ("train", "p.h5", *TINY, "--out", "run"),
        ("train", "p.h5", *TINY, "--seed", "5", "--out", "other"),
        ("baseline", "in/501.mat", "--out", "b.json"),
    ):
        _must(server.run(argv, cwd=base))


def _must(ended: Ended) -> None:
    if ended.code:
        raise RuntimeError(f"the inputs could not be made: {ended}")


def _diagnose(base: Path, *, files: str, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    return ("diagnose", *(str(p) for p in sorted((base / files).glob("*.mat"))), "--model", str(base / "run"),
            "--history", "out/h.sqlite", "--csv", "out/t.csv", "--metrics-file", "out/x.prom", "--report", "out/pages",
            "--asset", "pump 7", "--overwrite", *more)  # fmt: skip


def _train(base: Path, *more: str) -> tuple[str, ...]:
    return ("train", str(base / "p.h5"), *TINY, "--out", "out/run", "--overwrite", *more)


# What `download` fetches here: recordings of the simulated rig, by set. See `forked` and `disk.serving`.
SERVED = {501: "normal", 502: "normal", 505: "12k_drive_end"}
_RUN_MAY_VANISH = ("run/model/model.json", "run/config.toml", "run/last.pt", "run/metrics.jsonl", "run/curves.png")

COMMANDS = (
    Command(
        "simulate",
        lambda _: ("simulate", "bearing", "--specimens", "1", "--seconds", "0.1", "--out", "out/rig", "--overwrite"),
        lambda _: ("simulate", "bearing", "--specimens", "1", "--seconds", "0.1", "--seed", "9", "--out", "out/rig"),
        may_vanish=("rig/records.csv",),
    ),
    Command(
        "simulate --mat 7.3",
        lambda _: ("simulate", "gearbox", "--specimens", "1", "--seconds", "0.1", "--mat", "7.3", "--out", "out/rig"),
    ),
    Command(
        "prepare",
        lambda base: ("prepare", str(base / "in"), "--segment", "512", "--out", "out/p.h5", "--overwrite"),
        lambda base: ("prepare", str(base / "in"), "--segment", "256", "--out", "out/p.h5"),
        reads=True,
    ),
    Command(
        "prepare, new",
        lambda base: ("prepare", str(base / "in73"), "--segment", "128", "--hop", "16", "--out", "out/new/p.h5"),
        reads=True,
    ),
    Command(
        "diagnose",
        lambda base: _diagnose(base, files="one"),
        lambda base: _diagnose(base, files="in73"),
        reads=True,
    ),
    Command("diagnose, new", lambda base: _diagnose(base, files="one")),
    Command(
        "diagnose --baseline",
        lambda base: (
            "diagnose",
            str(base / "one" / "505.mat"),
            "--bearing",
            "6205",
            "--baseline",
            str(base / "b.json"),
            "--csv",
            "out/t.csv",
            "--overwrite",
        ),
        lambda base: ("diagnose", str(base / "in" / "501.mat"), "--bearing", "6205", "--csv", "out/t.csv"),
        reads=True,
    ),
    Command(
        "baseline",
        lambda base: ("baseline", str(base / "in"), "--asset", "pump 7", "--out", "out/b.json", "--overwrite"),
        lambda base: ("baseline", str(base / "in73"), "--out", "out/b.json"),
        reads=True,
    ),
    Command("baseline, new", lambda base: ("baseline", str(base / "one"), "--out", "out/new/b.json")),
    Command("inspect", lambda base: ("inspect", str(base / "in"), "--json"), reads=True),
    Command("networks", lambda _: ("networks", "--json")),
    Command("completion", lambda _: ("completion", "bash")),
    Command(
        "download",
        lambda base: (
            "download",
            "cwru",
            "--set",
            "normal",
            "--to",
            "out/cwru",
            "--base-url",
            (base / "url").read_text(),
        ),
        lambda base: (
            "download",
            "cwru",
            "--set",
            "12k-drive-end",
            "--to",
            "out/cwru",
            "--base-url",
            (base / "url").read_text(),
        ),
    ),
    Command(
        "history --plot",
        lambda _: ("history", "out/h.sqlite", "--plot", "out/trend.png", "--overwrite"),
        lambda base: _diagnose(base, files="in"),
    ),
    Command(
        "evaluate",
        lambda base: ("evaluate", str(base / "run"), str(base / "p.h5"), "--snr", "0", "--out", "out/e", "--overwrite"),
        lambda base: ("evaluate", str(base / "other"), str(base / "p.h5"), "--no-noise", "--out", "out/e"),
        reads=True,
    ),
    Command(
        "export",
        lambda base: ("export", str(base / "run"), "--out", "out/m.onnx", "--overwrite"),
        lambda base: ("export", str(base / "other"), "--out", "out/m.onnx"),
        heavy=True,
        reads=True,
    ),
    Command(
        "export --int8, a folder",
        lambda base: (
            "export",
            str(base / "run"),
            "--int8",
            "--calibrate",
            str(base / "p.h5"),
            "--out",
            "out/m",
            "--overwrite",
        ),
        lambda base: ("export", str(base / "other"), "--int8", "--calibrate", str(base / "p.h5"), "--out", "out/m"),
        heavy=True,
    ),
    Command(
        "export --int8, a file",
        lambda base: ("export", str(base / "run"), "--int8", "--calibrate", str(base / "p.h5"), "--out", "out/m.onnx"),
        heavy=True,
    ),
    Command("train", _train, lambda base: _train(base, "--seed", "7"), heavy=True, may_vanish=_RUN_MAY_VANISH),
    Command("train, new", _train, heavy=True, reads=True),
    Command(
        "benchmark",
        lambda base: ("benchmark", str(base / "plan.toml"), "--data", str(base), "--out", "out/b", "--jobs", "1"),
        heavy=True,
    ),
)


# ---- what is whole

_TIMES = re.compile(
    rb'("(?:elapsed_s|duration_s|seconds|started|ended|diagnosed_at|pid|created|made|wall_s)": )[^,}\n]*'
    rb"|(?m:^faultdx_(?:\w*time\w*|\w*seconds\w*|\w*last\w*)(?:\{[^}]*\})? .*$)"
    rb"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|\+00:00| UTC)?"
)


def canonical(path: Path) -> object:
    """Return what a file says, but for times. Raises where it is not whole."""
    data = path.read_bytes()
    if path.suffix == ".pt":
        head, _, body = data.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() not in head:
            raise ValueError("a checkpoint that fails its digest")
        return body[8 + int.from_bytes(body[:8], "little") :]  # its header holds times
    if path.suffix in (".sqlite",):
        return sorted(history_rows(path).items())
    if path.suffix == ".jsonl":
        return [_without_times(json.loads(line)) for line in data.splitlines()]
    if path.suffix == ".json":
        said = _without_times(json.loads(data))
        if isinstance(said, dict) and said.get("precision") == "int8":  # its speed is measured, and in its digest
            said = sorted(said)
        return said
    if path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        drop = {i for i, name in enumerate(rows[0]) if re.search("elapsed|diagnosed|seconds|_s$", name)}
        if len({len(row) for row in rows}) != 1:
            raise ValueError("a table with rows of different lengths")
        return [[cell for i, cell in enumerate(row) if i not in drop] for row in rows]
    if path.suffix == ".html" and not data.rstrip().endswith(b"</html>"):
        raise ValueError("a page without its end")
    data = _TIMES.sub(rb"\1", data)
    # figures of speed, and the drawing of them
    return len(data.split(b"\n")) if path.name in ("MODEL_CARD.md", "results.md", "benchmark.html") else data


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        times = re.compile("elapsed|duration|second|started|ended|diagnosed_at|^pid$|resumed|_s$|memory|bytes_per")
        return {k: _without_times(v) for k, v in value.items() if not times.search(k)}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def history_rows(path: Path) -> dict[str, int]:
    """Return how often each file is in a history. Raises where SQLite finds it damaged."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db:
        (said,) = db.execute("PRAGMA integrity_check").fetchone()
        if said != "ok":
            raise ValueError(f"integrity_check: {said}")
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return {}
        return dict(db.execute("SELECT file, count(*) FROM diagnosis GROUP BY file").fetchall())
