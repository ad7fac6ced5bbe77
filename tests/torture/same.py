"""The same command twice gives the same bytes, whoever runs it and where.

    python -m tests.torture.same [--only prepare,train,...]

Each command is run as it is, and again: another PYTHONHASHSEED, another working folder, time zone, locale and umask,
with more workers. Compared byte by byte, but for the times (elapsed_s, started, seconds, ...), which are taken out.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .whole import TINY, done, world

# What a clock or a process decides. Everything else has to be equal.
_TIMES = {
    "json": r'"(?:elapsed_s|seconds|duration_s|pid)": ?[0-9.e+-]+',
    "started": r'"(?:started|diagnosed_at|time)": ?"[^"]*"',
    "metrics": r"(?m)^(faultdx_run_(?:duration_seconds|timestamp_seconds|last\w*)\b.*?) [0-9.e+-]+$",
}


@dataclass(frozen=True)
class Command:
    """A command that writes to its working folder; the world is beside it, as ../NAME."""

    name: str
    words: tuple[str, ...]
    more: tuple[str, ...] = ()  # what the second run has besides, which must change nothing


@dataclass(frozen=True)
class Way:
    """A way in which two runs may differ without a difference: environment, umask, working folder."""

    name: str
    env: Mapping[str, str]
    umask: int = 0o022
    elsewhere: bool = False  # the world is in another folder, by the same relative names


COMMANDS = (
    Command("simulate", ("simulate", "bearing", "--specimens", "1", "--seconds", "0.3", "--out", "rig")),
    Command("simulate 7.3", ("simulate", "gearbox", "--specimens", "1", "--seconds", "0.2", "--mat", "7.3",
                             "--out", "gear")),
    Command("prepare", ("prepare", "../rig", "--noise", "pink", "--snr", "0", "--out", "out.h5"), ("--workers", "4")),
    Command("train", ("train", "../rig.h5", *TINY, "--out", "run")),
    Command("evaluate", ("evaluate", "../run", "--snr", "0", "--out", "ev")),
    Command("diagnose", ("diagnose", "../rig/501.mat", "../rig/502.mat", "--model", "../run", "--json",
                         "--csv", "t.csv", "--metrics-file", "x.prom"), ("--jobs", "2")),
    Command("diagnose --report", ("diagnose", "../rig/501.mat", "--model", "../run", "--report", "rep")),
    Command("diagnose --bearing", ("diagnose", "../rig/501.mat", "../rig/503.mat", "--bearing", "6205", "--json")),
    Command("baseline", ("baseline", "../rig", "--asset", "pump 7", "--out", "b.json")),
    Command("export", ("export", "../run", "--out", "one.onnx")),
    Command("export --int8", ("export", "../run", "--int8", "--calibrate", "../rig.h5", "--out", "small")),
    Command("inspect", ("inspect", "../rig", "--json")),
)  # fmt: skip
WAYS = (
    Way("twice", {}),
    Way("hash seed", {"PYTHONHASHSEED": "4711"}),
    Way("time zone", {"TZ": "Pacific/Kiritimati"}),
    Way("locale", {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"}),
    Way("umask", {}, 0o077),
    Way("folder", {"PYTHONHASHSEED": "1"}, elsewhere=True),
)


def outcome(command: Command, beside: Path, place: str, way: Way, *more: str) -> dict[str, bytes]:
    """Run a command in a new folder beside the world; return its stdout ("-") and its files, without their times."""
    if way.elsewhere:
        there = beside / f"elsewhere-{place}"
        there.mkdir()
        for name in ("rig", "rig.h5", "run"):
            (there / name).symlink_to(beside / name)
        beside = there
    where = beside / place
    where.mkdir()
    old = os.umask(way.umask)
    try:
        said = done([*command.words, *more], cwd=where, env={"PYTHONHASHSEED": "0", "TZ": "UTC", **way.env})
    finally:
        os.umask(old)
    files = {str(p.relative_to(where)): p.read_bytes() for p in sorted(where.rglob("*")) if p.is_file()}
    files["-"] = said.encode("utf-8", "surrogateescape")
    return {name: untimed(name, data) for name, data in files.items()}


def untimed(name: str, data: bytes) -> bytes:
    """Return a file without what a clock or a process decides; pictures and networks as they are."""
    if Path(name).suffix not in (".json", ".jsonl", ".toml", ".prom", ".csv", ".html", ".md", "") and name != "-":
        return b"" if name.endswith("last.pt") else data  # the checkpoint holds the seconds of the epochs
    text = data.decode("utf-8")
    for pattern in _TIMES.values():
        text = re.sub(pattern, "", text)
    if name.endswith(".csv"):
        text = _without_times(text)
    if name.endswith("MODEL_CARD.md"):  # of int8: what it takes, beside what it answers
        times = re.compile(r"latency, ms|the time of float32")
        text = "".join(line for line in text.splitlines(True) if not times.search(line))
    if name.endswith("config.toml"):  # the one file that says where the dataset lies, for whoever moves the run
        text = re.sub(r"(?m)^dataset = .*$", "", text)
    if name.endswith("run.json"):
        text = json.dumps({k: v for k, v in json.loads(data).items() if k in ("config", "versions", "seed", "status")})
    return text.encode()


def _without_times(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    keep = [i for i, n in enumerate(rows[0]) if n not in ("elapsed_s", "diagnosed_at") and "seconds" not in n]
    return "\n".join("\x1f".join(row[i] for i in keep) for row in rows)


def different(a: Mapping[str, bytes], b: Mapping[str, bytes]) -> list[str]:
    """Return the names whose bytes differ, each with the place."""
    found = []
    for name in sorted(a | b):
        x, y = a.get(name), b.get(name)
        if x != y:
            at = (
                0
                if x is None or y is None
                else next((i for i, p in enumerate(zip(x, y, strict=False)) if p[0] != p[1]), 0)
            )
            here = (x or b"")[max(0, at - 40) : at + 40], (y or b"")[max(0, at - 40) : at + 40]
            found.append(f"{name} differs at {at}: {here[0]!r} {here[1]!r}")
    return found


def compare(command: Command, beside: Path, ways: Sequence[Way] = WAYS) -> tuple[int, list[str]]:
    """Run a command once as it is, once each way, and once with its `more`, in new folders beside the world `beside`.

    Returns how many outputs it has, and what differs.
    """
    place = f"c{COMMANDS.index(command)}"
    base = outcome(command, beside, place, Way("base", {}))
    found = []
    for i, way in enumerate(ways):
        other = outcome(command, beside, f"{place}-{i}", way)
        found += [f"{command.name}, {way.name}: {text}" for text in different(base, other)]
    if command.more:
        other = outcome(command, beside, f"{place}-more", Way("more", {}), *command.more)
        found += [f"{command.name} {' '.join(command.more)}: {text}" for text in different(base, other)]
    return len(base), found


def main() -> int:
    """Print a line a command; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        world(Path(name))
        for command in COMMANDS:
            if only and command.name not in only.split(","):
                continue
            outputs, found = compare(command, Path(name))
            wrong += len(found)
            runs = 1 + len(WAYS) + bool(command.more)
            sys.stdout.write(f"{command.name:<20} {runs} runs, {outputs} outputs each, {len(found)} differences\n")
            for text in found:
                sys.stdout.write(f"    {text[:500]}\n")
            sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
