"""The commands that write, as scenes to be disturbed: how each is done again, and what of it must then be the same."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .whole import TEMPORARY, TINY, World, rows_of


@dataclass(frozen=True)
class Scene:
    """A command, how it is done again after a kill, and what of its files must be as if it was never killed."""

    name: str
    words: Callable[[World], Sequence[str | Path]]
    again: Callable[[World, Path], Sequence[str | Path]]  # given the folder that it is in
    fingerprint: Callable[[Path], dict[str, object]]
    before: Callable[[World, Path], None] = lambda _world, _folder: None
    keeps: bool = False  # what is finished, in a journal: done again after a kill, it says that it took that up


def kept_in(folder: Path) -> int:
    """Return how many whole entries the journals below a folder hold; a cut one at the end is none."""
    found = 0
    for path in folder.rglob(f".*.journal.0{TEMPORARY}"):
        data, at = path.read_bytes(), len("faultdx.journal/1 ") + 65
        while data[at : at + 4] == b"fdxj" and (
            end := at + 76 + int.from_bytes(data[at + 4 : at + 12], "little")
        ) <= len(data):
            found, at = found + 1, end
    return found


def _plain(*names: str) -> Callable[[Path], dict[str, object]]:
    return lambda folder: {
        str(p.relative_to(folder)): p.read_bytes()
        for name in names
        for p in sorted(folder.glob(name))
        if p.is_file() and not p.name.endswith(TEMPORARY)
    }


def _or_overwrite(words: Sequence[str | Path], folder: Path, out: str) -> Sequence[str | Path]:
    there = folder / out
    used = there.is_file() or (there.is_dir() and any(not p.name.endswith(TEMPORARY) for p in there.iterdir()))
    return [*words, "--overwrite"] if used else words


def _prepare(world: World, *more: str) -> list[str | Path]:
    return ["prepare", world.rig, "--out", "out.h5", *more]


_EVALUATE = ("--noise", "gaussian", "--snr", "0", "--out", "ev")
_FILES = ("--history", "h.sqlite", "--csv", "t.csv", "--metrics-file", "x.prom", "--json", "--model")


def _diagnose(world: World, *more: str) -> list[str | Path]:
    return ["diagnose", world.rig, *_FILES, world.run, *more]


def _diagnose_with_pages(world: World, *more: str) -> list[str | Path]:
    files = [world.rig / f"{n}.mat" for n in (501, 502, 503)]
    return ["diagnose", *files, *_FILES, world.run, "--report", "rep", *more]


def _baseline(world: World) -> list[str | Path]:
    return ["baseline", world.rig, "--out", "b.json"]


def _train_again(world: World, folder: Path) -> Sequence[str | Path]:
    words = ["train", world.prepared, *TINY, "--out", "run"]
    return [*words, "--resume"] if (folder / "run" / "run.json").is_file() else words


def _trained(folder: Path) -> dict[str, object]:
    names = ("run/model/*", "run/config.toml", "run/curves.png")
    metrics = (
        (folder / "run" / "metrics.jsonl").read_text("utf-8") if (folder / "run" / "metrics.jsonl").exists() else ""
    )
    return {**_plain(*names)(folder), "metrics": re.sub(r'"seconds": [0-9.e-]+', "", metrics)}


def _table(folder: Path) -> dict[str, object]:
    """The benchmark's results without its last two columns, which are times."""
    text = (folder / "bm" / "results.csv").read_text("utf-8")
    return {"results.csv": [line.rsplit(",", 2)[0] for line in text.splitlines()]}


def _old_file(world: World, folder: Path) -> None:
    shutil.copy(world.prepared, folder / "out.h5")


SCENES = (
    Scene("prepare", _prepare, lambda w, f: _or_overwrite(_prepare(w), f, "out.h5"), _plain("out.h5"), keeps=True),
    Scene(
        "prepare --workers 2 --overwrite",
        lambda w: _prepare(w, "--workers", "2", "--overwrite", "--segment", "512"),
        lambda w, _: _prepare(w, "--overwrite", "--segment", "512"),
        _plain("out.h5"),
        _old_file,
        keeps=True,
    ),
    Scene(
        "diagnose",
        _diagnose,
        lambda w, _: _diagnose(w, "--new-only", "--overwrite"),
        lambda f: {"rows": rows_of(f / "h.sqlite")},
    ),
    Scene(
        "diagnose --report",
        _diagnose_with_pages,
        lambda w, _: _diagnose_with_pages(w, "--new-only", "--overwrite"),
        lambda f: {"rows": rows_of(f / "h.sqlite"), **_plain("rep/*")(f)},
    ),
    Scene(
        "evaluate",
        lambda w: ["evaluate", w.run, *_EVALUATE],
        lambda w, f: _or_overwrite(["evaluate", w.run, *_EVALUATE], f, "ev"),
        _plain("ev/*"),
        keeps=True,
    ),
    Scene(
        "baseline",
        _baseline,
        lambda w, f: _or_overwrite(_baseline(w), f, "b.json"),
        _plain("b.json"),
    ),
    Scene("train", lambda w: ["train", w.prepared, *TINY, "--out", "run"], _train_again, _trained),
    Scene(
        "benchmark",
        lambda w: ["benchmark", w.plan, "--data", w.rig.parent, "--out", "bm", "--jobs", "2"],
        lambda w, _: ["benchmark", w.plan, "--data", w.rig.parent, "--out", "bm", "--jobs", "2"],
        _table,
    ),
)
SHARES = {  # of the points
    "prepare": 0.16, "prepare --workers 2 --overwrite": 0.12, "diagnose": 0.18, "diagnose --report": 0.08,
    "evaluate": 0.12, "baseline": 0.08, "train": 0.18, "benchmark": 0.08,
}  # fmt: skip
