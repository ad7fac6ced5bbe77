"""The whole corpus of hostile, odd and good files, through the library and through the command line."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import re
import resource
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import CANARY_VALUE, CANARY_WORDS, RATE_HZ, Case, build, size_of
from helpers import FAULTDX, Trained, environment

import faultdx
from faultdx.files import show

MIB = 1024 * 1024
SHORT = ("names", "kinds", "archive", "foreign")  # families whose every file goes through all commands
HANG_S = 10.0
READER = Path(__file__).with_name("corpus_reader.py")
# By family: imported once, not for each file.
LIBRARIES = {"hdf5": ["h5py"], "heavy": ["h5py"], "parquet": ["pyarrow.parquet"]}
ACCESS, MODIFY, ATTRIB, OPEN, MOVED, CREATE, DELETE = 0x1, 0x2, 0x4, 0x20, 0xC0, 0x100, 0x200  # inotify(7)
ISDIR = 0x40000000


@dataclass(frozen=True)
class Read:
    """A case and what came of reading it."""

    case: Case
    answer: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.case.path.name!a} ({self.case.what})"

    @property
    def signals(self) -> list[np.ndarray]:
        return [
            np.frombuffer(base64.b64decode(record["samples"]), np.float32).reshape(record["shape"])
            for record in self.answer["records"]
        ]

    @property
    def errors(self) -> list[str]:
        return [text for text, _, _ in self.answer["errors"]]


@dataclass(frozen=True)
class Readings:
    """All that was read; what was opened among the canaries, and changed in the corpus, meanwhile.

    idle_kib : peak memory of a process and of its child that read a tiny file with the same libraries, by family: the
        pages of a library count when they are first used, whatever the file
    """

    reads: list[Read]
    idle_kib: dict[str, tuple[int, int]]
    touched: list[str]


class Watch:
    """What happens to the files of a folder, whoever does it and by whatever library."""

    def __init__(self, folder: Path, events: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), events) if self._fd >= 0 else -1
        if watch < 0:
            pytest.skip("inotify is not available here")
        self._folder = folder

    def events(self) -> list[str]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 16):
                at = 0
                while at < len(data):
                    _, mask, _, length = struct.unpack_from("iIII", data, at)
                    name = data[at + 16 : at + 16 + length].rstrip(b"\0")
                    if not (mask & ISDIR and mask & (OPEN | ACCESS)):  # to list a folder is not to read a file
                        found.append(f"{self._folder.name}/{name!a}: {mask:#x}")
                    at += 16 + length
        return found

    def close(self) -> None:
        os.close(self._fd)


@contextlib.contextmanager
def watching(folder: Path) -> Iterator[list[str]]:
    """Give a list that holds, at the end, what was opened among the canaries or changed in the corpus."""
    touched: list[str] = []
    watches = [
        Watch(folder / "outside", OPEN | ACCESS | MODIFY | CREATE | DELETE | MOVED),
        Watch(folder / "corpus", MODIFY | ATTRIB | CREATE | DELETE | MOVED),
        Watch(folder / "cwd", CREATE),
    ]
    try:
        yield touched
        touched += [event for watch in watches for event in watch.events()]
    finally:
        for watch in watches:
            watch.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "cwd").mkdir()
    return folder


@pytest.fixture(scope="module")
def cases(place: Path) -> list[Case]:
    return build(place, seed=1)


def read_all(place: Path, cases: list[Case], *, libraries: list[str], members: bool = False) -> list[dict[str, Any]]:
    request, answers = place / "request.json", place / "answers.jsonl"
    content = {"paths": [str(case.path) for case in cases], "rate_hz": RATE_HZ, "import": libraries, "members": members}
    request.write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, READER, request, answers],
        cwd=place / "cwd",
        env=environment(PYTHONPATH=str(Path(faultdx.__file__).parent.parent)),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return [json.loads(line) for line in answers.read_text().splitlines()]


@pytest.fixture(scope="module")
def readings(place: Path, cases: list[Case]) -> Readings:
    simplest = next(case for case in cases if case.family == "v4" and case.expect == "good")
    tiny = next(case for case in cases if case.family == "hdf5" and case.expect == "good")
    reads: list[Read] = []
    idle: dict[str, tuple[int, int]] = {}
    with watching(place) as touched:
        for family in dict.fromkeys(case.family for case in cases):
            chosen = [case for case in cases if case.family == family]
            how: dict[str, Any] = {"libraries": LIBRARIES.get(family, []), "members": family == "archive"}
            first, *answers = read_all(place, [tiny if "h5py" in how["libraries"] else simplest, *chosen], **how)
            idle[family] = (first["own_kib"], first["children_kib"])
            reads += [Read(case, answer) for case, answer in zip(chosen, answers, strict=True)]
    return Readings(reads, idle, touched)


def none(problems: list[str]) -> None:
    assert not problems, f"{len(problems)} files:\n" + "\n".join(problems)


def test_the_corpus_is_wide(cases: list[Case]) -> None:
    kinds, families = Counter(case.expect for case in cases), Counter(case.family for case in cases)
    assert sum(kinds.values()) >= 1000
    assert min(kinds.values()) >= 100
    assert min(families.values()) >= 15


def test_the_watch_sees_what_is_opened_and_changed(place: Path, cases: list[Case]) -> None:
    with watching(place) as touched:
        (place / "outside" / "canary.bin").read_bytes()
        cases[0].path.touch()
    assert any("canary.bin" in event for event in touched)
    assert any(cases[0].path.name in event for event in touched)


def test_no_crash_no_signal_no_hang(readings: Readings) -> None:
    none([f"{r.name}: signal {r.answer['signal']}" for r in readings.reads if "signal" in r.answer])
    none([f"{r.name}: {r.answer['crash']}" for r in readings.reads if "crash" in r.answer])
    none([f"{r.name}: {s:.1f} s" for r in readings.reads if (s := r.answer.get("seconds", np.inf)) > HANG_S])
    none([f"{r.name}: no answer" for r in readings.reads if not r.signals and not r.errors])


def test_good_files_are_read_and_the_samples_are_right(readings: Readings) -> None:
    problems = []
    for r in (r for r in readings.reads if r.case.expect == "good"):
        if r.errors or len(r.signals) != 1:
            problems.append(f"{r.name}: {r.errors or len(r.signals)}")
        elif r.case.truth is not None and not np.array_equal(r.signals[0], r.case.truth):
            problems.append(f"{r.name}: other samples, {r.signals[0].shape} for {r.case.truth.shape}")
        elif r.answer["records"][0]["rate_hz"] != RATE_HZ:
            problems.append(f"{r.name}: {r.answer['records'][0]['rate_hz']} Hz")
    none(problems)


def test_bad_files_are_refused(readings: Readings) -> None:
    none([f"{r.name}: {[s.shape for s in r.signals]}" for r in readings.reads if r.case.expect == "bad" and r.signals])


def test_odd_files_are_refused_or_read_soundly(readings: Readings) -> None:
    problems = []
    for r in (r for r in readings.reads if r.case.expect == "either"):
        for found in r.signals:
            if not np.isfinite(found).all() or found.shape[1] < 16:
                problems.append(f"{r.name}: {found.shape}, not finite")
            elif r.case.truth is not None and not np.array_equal(found, r.case.truth):
                problems.append(f"{r.name}: other samples, {found.shape} for {r.case.truth.shape}")
    none(problems)


def test_messages_are_one_line_with_file_cause_and_cure(readings: Readings) -> None:
    problems = []
    for r in readings.reads:
        for text, path, code in r.answer["errors"]:
            start = show(r.case.path)
            said = re.match(re.escape(start) + r"(:.*)?: .+; .+", text)
            if not said or not text.isprintable() or len(text) > 2000 or code != 4:
                problems.append(f"{r.name}: {text!r:.500}")
            if path is None or not path.startswith(str(r.case.path)):
                problems.append(f"{r.name}: its path is {path!r}")
    none(problems)


def test_nothing_outside_is_read_and_nothing_written(place: Path, readings: Readings) -> None:
    none(readings.touched)
    homes = (sys.prefix, sys.base_prefix, str(Path(faultdx.__file__).parent), "/proc/", "/sys/", "/usr/", "/etc/")
    problems = []
    for r in readings.reads:
        for word in r.answer.get("heard", []):
            verb, _, name = word.partition(" ")
            if name.startswith(
                "__editable__."
            ):  # a place on sys.path that is no file: how an editable install is found
                continue
            if verb != "reads" or (name != str(r.case.path) and not name.startswith(homes)):
                problems.append(f"{r.name}: {word}")
        for found in r.signals:
            if np.any(found == np.float32(CANARY_VALUE)):
                problems.append(f"{r.name}: the canary's samples")
        problems += [f"{r.name}: {text}" for text in r.errors if CANARY_WORDS in text]
    none(problems)
    assert not list((place / "cwd").iterdir())


def test_memory_stays_within_the_promise(readings: Readings) -> None:
    """Idle + 64 MiB + 8 x file size, the reader's child processes counted in."""
    problems = []
    for r in (r for r in readings.reads if "own_kib" in r.answer):  # what was killed is another test's finding
        own, children = r.answer["own_kib"], r.answer["children_kib"]
        idle, idle_child = readings.idle_kib[r.case.family]
        child = max(0, children - max(idle, idle_child))  # a fork starts with the memory of its parent
        # The parent takes what a child decoded when the child is gone; until then it holds the file and nothing else.
        size = size_of(r.case)
        peak, allowed = max(1024 * (own - idle), 1024 * child + size), 64 * MIB + 8 * size
        if peak > allowed:
            problems.append(f"{r.name}: {peak / MIB:.1f} MiB of {allowed / MIB:.1f}")
    none(problems)


# ---- the command line


def by_hand(cases: list[Case], command: str) -> list[Case]:
    """What a command is given: all but the largest; to diagnose, which reads as inspect does, every third of the rest
    and all odd names and kinds."""
    some = cases if command == "inspect" else [c for i, c in enumerate(cases) if not i % 3 or c.family in SHORT]
    return [case for case in some if case.family != "heavy"]


@pytest.fixture(scope="module")
def by_command(place: Path, cases: list[Case], trained: Trained) -> dict[str, tuple[int, list[dict[str, Any]], str]]:
    """(exit code, objects, standard error) of each command over the whole corpus."""
    names = {
        command: [os.fsencode(case.path.relative_to(place / "corpus")) for case in by_hand(cases, command)]
        for command in ("inspect", "diagnose")
    }
    commands = {
        "inspect": ("inspect", "--json", "--sampling-rate", str(RATE_HZ)),
        "diagnose": ("diagnose", "--json", "--model", trained.run, "--sampling-rate", str(RATE_HZ)),
    }
    said = {}
    with watching(place) as touched:
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [*FAULTDX, *command, "--", *names[name]],
                cwd=place / "corpus",
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=200,
                check=False,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            lines = done.stdout.decode().split("\n")
            assert lines[-1] == "", lines[-1][:300]
            said[name] = (done.returncode, [json.loads(line) for line in lines[:-1]], done.stderr.decode())
            assert after.ru_utime - before.ru_utime < 150
    none(touched)
    return said


@pytest.mark.parametrize("command", ["inspect", "diagnose"])
def test_the_command_line_answers_for_each_file(
    place: Path, cases: list[Case], by_command: dict[str, tuple[int, list[dict[str, Any]], str]], command: str
) -> None:
    code, objects, err = by_command[command]
    assert code == 4
    assert "Traceback" not in err and "internal error" not in err and "Warning" not in err
    none([ascii(line) for line in err.splitlines() if not line.isprintable()])
    told = Counter(str(o["file"]) for o in objects)
    missing, more = [], []
    for case in by_hand(cases, command):
        name = show(case.path.relative_to(place / "corpus"))  # the bytes of a member stand behind its archive's name
        about = [times for of, times in told.items() if of == name or of.startswith(name + ":")]
        if not about:
            missing.append(name)
        elif told[name] > 1:
            more.append(name)
    none(missing)
    none(more)
