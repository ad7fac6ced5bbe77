"""What is decoded in a child process cannot hurt the parent: crashes, limits, nonsense, signals, threads."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from faultdx.errors import RecordError
from faultdx.records import child, isolation
from faultdx.records.child import LateError, Limits, run
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.formats import Format, Source, open_contents
from faultdx.records.room import ChildError, Room

MIB = 1024 * 1024
LIMITS = Limits(memory_bytes=64 * MIB, seconds=5)


def descriptors() -> set[str]:
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them has gone
            found.add(f"{path.name}:{path.readlink()}")
    return {entry for entry in found if "/proc/" not in entry}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No descriptor and no child, whatever the test did."""
    before = descriptors()
    yield
    assert descriptors() == before
    with pytest.raises(ChildProcessError):  # no child, running or zombie
        os.waitpid(-1, os.WNOHANG)


def ask(work: Callable[[], object], **limits: Any) -> object:
    return run(work, limits=replace(LIMITS, **limits))


def send(data: bytes) -> Callable[[], object]:
    """A child that writes these bytes to its pipe, and ends."""

    def work() -> object:
        os.write(3, data)
        os._exit(0)

    return work


# ---- answers


def test_an_answer_comes_back() -> None:
    said = {"a": [1, 2.5, None, True], "b": "größe \udc80\n"}
    assert ask(lambda: said) == said


def test_what_the_child_changes_stays_in_the_child() -> None:
    changed: list[int] = []
    assert ask(lambda: changed.append(1) or len(changed)) == 1  # type: ignore[func-returns-value]
    assert changed == []


def passed(make: Callable[[Room], NumberArray], shape: tuple[int, ...], limit: int = 4096) -> NumberArray:
    room = Room(limit)
    said = run(lambda: room.place(make(room)), limits=LIMITS, room=room)
    return room.take(said, shape, spend=lambda size: None)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_as_they_were(dtype: str, order: Any) -> None:
    values = np.arange(24).astype(dtype).reshape((4, 6), order=order)
    got = passed(lambda room: values, (4, 6))
    np.testing.assert_array_equal(got, values)
    assert got.dtype == values.dtype
    assert got.flags.owndata or got.base.flags.owndata  # and so may be kept, changed and forked


def test_an_array_decoded_into_the_room_is_not_copied() -> None:
    def make(room: Room, change: Callable[[NumberArray], NumberArray]) -> NumberArray:
        values = room.empty((4, 6), np.dtype("f8"))
        values[...] = np.arange(24.0).reshape(4, 6)
        assert not np.shares_memory(room.empty((4, 6), np.dtype("f8")), values)  # the second has to lie elsewhere
        return change(values)

    whole = np.arange(24.0).reshape(4, 6)
    for change in (lambda x: x, lambda x: x.T, lambda x: x.T[::-1], lambda x: x[1:], lambda x: x * 2, lambda x: x[:2]):
        expected = change(whole)
        np.testing.assert_array_equal(passed(lambda room, c=change: make(room, c), expected.shape), expected)
    room = Room(192)
    room.open()
    assert np.shares_memory(room.empty((24,), np.dtype("f8")), np.frombuffer(room._map, np.uint8))  # type: ignore[arg-type]


def test_an_empty_array() -> None:
    assert passed(lambda room: np.zeros((0, 3)), (0, 3), limit=0).shape == (0, 3)


@pytest.mark.parametrize(
    "said",
    [
        None, [], {}, {"dtype": "|O", "order": "C"}, {"dtype": ">f8", "order": "C"}, {"dtype": "<f8", "order": "K"},
        {"dtype": ["<f8"], "order": "C"}, {"dtype": "<f8"}, {"dtype": "<f8,<f8", "order": "C"},
    ],
)  # fmt: skip
def test_a_lie_about_an_array_is_not_believed(said: object) -> None:
    room = Room(800)
    run(lambda: None, limits=LIMITS, room=room)
    with pytest.raises(ChildError, match="no answer that makes sense"):
        room.take(said, (10,), spend=lambda size: None)
    for shape in ((101,), (1 << 40, 1 << 20)):
        with pytest.raises(ChildError, match="larger than it was to be"):
            room.take({"dtype": np.dtype("f8").str, "order": "C"}, shape, spend=lambda size: None)


def test_the_budget_is_asked_before_the_array_is_taken() -> None:
    room = Room(800)
    run(lambda: None, limits=LIMITS, room=room)

    def spend(size: int) -> None:
        raise RecordError(f"{size} is too much")

    with pytest.raises(RecordError, match=r"^80 is"):
        room.take({"dtype": np.dtype("f8").str, "order": "C"}, (10,), spend=spend)


# ---- ends


def crash() -> object:
    return ctypes.string_at(0)


def spin() -> object:
    while True:
        pass


def spin_untouched() -> object:
    """As C code does that never comes back to Python: with every signal blocked that can be."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    return spin()


def greedy() -> object:
    return len(bytearray(200 * MIB))


def grow() -> object:
    kept = []
    while True:
        kept.append("x" * 10_000)


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (crash, r"crashed on it \(SIGSEGV\)"),
        (os.abort, r"crashed on it \(SIGABRT\)"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed at it"),
        (lambda: os.kill(os.getpid(), signal.SIGXCPU), "took more than 5 s"),
        (lambda: os._exit(3), "without an answer"),
        (lambda: sys.exit(0), "without an answer"),
        (lambda: 1 / 0, "without an answer"),
        (object, "without an answer"),
        (greedy, "took more than the 64 MiB of memory"),
        (grow, "took more than the 64 MiB of memory"),
        (lambda: "x" * 3 * MIB, "more in it than can be listed"),
        (lambda: os.close(3), "without an answer"),
        (send(b""), "without an answer"),
        (send(b"\0\0\0"), "without an answer"),
        (send(b"\0\0\0\x09[1, 2"), "without an answer"),
        (send(b"\0\0\0\x05hello"), "no answer that makes sense"),
        (send(b"\0\0\0\x01[1, 2]"), "no answer that makes sense"),
        (send(b"\0\0\x40\0" + b"[" * 0x4000), "no answer that makes sense"),
        (send(b"\0\0\0\x02\xff\xff"), "no answer that makes sense"),
        (send(b"\0\0\x20\0" + b"9" * 0x2000), "no answer that makes sense"),
    ],
)
def test_each_end_has_its_words(work: Callable[[], object], why: str) -> None:
    with pytest.raises(ChildError, match=why):
        ask(work)
    assert ask(lambda: 1) == 1  # and the next one works


def test_an_answer_without_end_is_cut() -> None:
    def work() -> object:
        while True:
            os.write(3, b"\xff" * 65536)

    with pytest.raises(ChildError, match="more in it than can be listed"):
        ask(work)


@pytest.mark.parametrize("work", [spin, spin_untouched, lambda: time.sleep(60)])
def test_time_ends(work: Callable[[], object]) -> None:
    start = time.monotonic()
    with pytest.raises(LateError, match=r"took more than 0\.3 s"):
        ask(work, seconds=0.3)
    assert time.monotonic() - start < 2


def test_a_child_that_closes_its_pipe_and_goes_on_is_ended() -> None:
    def work() -> object:
        os.close(3)
        return spin_untouched()

    start = time.monotonic()
    with pytest.raises(ChildError, match="without an answer"):
        ask(work)
    assert time.monotonic() - start < 3


def test_a_child_outlives_its_parent_by_little(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to end the child: its own limits do."""
    code = (
        "import os, sys, time\n"
        "from faultdx.records.child import Limits, run\n"
        "def work():\n"
        "    os.kill(os.getppid(), 9)\n"
        "    time.sleep(60)\n"
        "print(os.getpid(), flush=True)\n"
        "run(work, limits=Limits(1 << 26, 0.5))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=20)
    assert done.returncode == -signal.SIGKILL
    group = int(done.stdout)
    until = time.monotonic() + 6
    while time.monotonic() < until and any(parent_gone(group)):
        time.sleep(0.1)
    assert not any(parent_gone(group))


def parent_gone(parent: int) -> Iterator[bool]:
    """True for each process that sleeps with the command line of a child of `parent`, which has ended."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (path / "cmdline").read_bytes()
            if b"os.kill(os.getppid(), 9)" in line and b"pytest" not in line:
                yield True


# ---- what a child can reach


def test_a_child_opens_no_file_and_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").write_bytes(b"secret")
    held = os.open(tmp_path / "there", os.O_RDWR)

    def work() -> object:
        found = {}
        for name, do in {
            "read": lambda: (tmp_path / "there").read_bytes().decode(),
            "create": lambda: (tmp_path / "new").write_bytes(b"x"),
            "pipe": os.pipe,
            "held": lambda: os.write(held, b"x"),
        }.items():
            try:
                found[name] = str(do())
            except OSError as error:
                found[name] = type(error).__name__
        os.write(1, b"to stdout")
        os.write(2, b"to stderr")
        print("said aloud", flush=True)  # noqa: T201
        print("said aloud", file=sys.stderr, flush=True)  # noqa: T201
        return found

    try:
        assert set(ask(work).values()) == {"OSError"}  # type: ignore[attr-defined]
    finally:
        os.close(held)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there"]
    assert (tmp_path / "there").read_bytes() == b"secret"
    assert capfd.readouterr() == ("", "")


def test_a_child_that_may_open_files_still_writes_none(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"words")

    def work() -> object:
        read = (tmp_path / "there").read_text()
        try:
            (tmp_path / "new").write_bytes(b"x")
        except OSError:
            return read
        return "written"

    assert ask(work, may_open_files=True) == "words"
    assert not (tmp_path / "new").exists() or (tmp_path / "new").stat().st_size == 0


def test_a_crash_says_nothing_on_the_streams_and_leaves_no_core(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ChildError):
        ask(crash)  # pytest has a fault handler, which would write a traceback
    with pytest.raises(ChildError):
        ask(os.abort)
    assert capfd.readouterr() == ("", "")
    import resource

    assert ask(lambda: list(resource.getrlimit(resource.RLIMIT_CORE))) == [0, 0]


def test_a_child_reaches_no_room_but_its_own() -> None:
    """One that writes where it should not must not reach an array of before, or one that is on its way."""
    first = passed(lambda room: np.arange(3.0), (3,))
    address = first.__array_interface__["data"][0]
    ask(lambda: ctypes.memset(address, 0xFF, 8) and None)
    np.testing.assert_array_equal(first, np.arange(3.0))
    room = Room(4096)
    said = run(lambda: room.place(np.arange(3.0)), limits=LIMITS, room=room)
    there = np.frombuffer(room._map, np.uint8).__array_interface__["data"][0]  # type: ignore[arg-type]
    with pytest.raises(ChildError, match="SIGSEGV"):
        ask(lambda: ctypes.memset(there, 0xFF, 8))
    np.testing.assert_array_equal(room.take(said, (3,), spend=lambda size: None), np.arange(3.0))


def test_a_large_array_never_takes_twice_its_size() -> None:
    size = 64 * MIB
    room = Room(size)
    said = run(lambda: room.place(np.ones(size, np.uint8)), limits=replace(LIMITS, memory_bytes=3 * size), room=room)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    array = room.take(said, (size,), spend=lambda _: None)
    assert array.all()
    assert resident() - before < size + 8 * MIB


# ---- signals, threads, processes


class StoppedError(BaseException):
    pass


def test_a_signal_in_the_parent_ends_the_child() -> None:
    def handler(number: int, frame: object) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(StoppedError):
            ask(lambda: time.sleep(60))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_handlers_of_the_parent_do_not_run_in_the_child() -> None:
    """Ctrl-C reaches every process of the terminal: a program that goes on must not take it for a crash."""
    seen: list[int] = []
    before = {s: signal.signal(s, lambda number, _: seen.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:

        def work() -> object:
            for number in before:
                os.kill(os.getpid(), number)
            return len(seen)

        assert ask(work) == 0
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def test_where_the_program_ignores_its_children() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert ask(lambda: 5) == 5
        with pytest.raises(ChildError, match="without an answer"):
            ask(crash)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_from_threads() -> None:
    """Forty children of eight threads, some of them slow: nobody waits for the pipe of another."""
    start = time.monotonic()

    def one(number: int) -> object:
        if number % 10 == 0:
            with pytest.raises(LateError):
                ask(lambda: time.sleep(60), seconds=0.5)
            return number
        return ask(lambda: number)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == list(range(40))
    assert time.monotonic() - start < 10
    assert threading.active_count() >= 1


def hdf() -> bytes:
    import io

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["x"] = np.arange(100.0)
    return out.getvalue()


def loaded(data: bytes) -> float:
    (variable,) = open_contents(data, name="x.h5").variables
    return float(variable.load().sum())


def test_in_spawned_workers() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(loaded, [hdf(), hdf()])) == [4950.0, 4950.0]
    with contextlib.suppress(ImportError, AttributeError):  # the helper that watches over spawned processes
        from multiprocessing import resource_tracker

        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.mark.parametrize("closed", ["", ">&-", "<&- >&- 2>&-"])
def test_with_torch_and_its_threads_and_without_streams(tmp_path: Path, closed: str) -> None:
    (tmp_path / "x.h5").write_bytes(hdf())
    code = (
        "import torch, pathlib, sys\n"
        "torch.set_num_threads(2)\n"
        "big = torch.ones(600, 600)\n"
        "(big @ big).sum()\n"
        "from faultdx.records.formats import open_contents\n"
        "data = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "for i in range(3):\n"
        "    total = open_contents(data, name='x').variables[0].load().sum()\n"
        "    (big @ big).sum()\n"
        "sys.exit(int(total) - 4900)\n"
    )
    command = ["bash", "-c", f'"$0" -c "$1" "$2" {closed}', sys.executable, code, str(tmp_path / "x.h5")]
    if not closed:
        assert subprocess.run(command, timeout=60, check=False).returncode == 50
        return
    code = code.replace("import torch, ", "import ").replace("torch.set_num_threads(2)\n", "")
    command[4] = "\n".join(line for line in code.splitlines() if "big" not in line)
    assert subprocess.run(command, timeout=60, check=False).returncode == 50


# ---- a whole reader in children


def number(name: str, values: NumberArray, **more: Any) -> Variable:
    return Variable(name, values.shape, "number", lambda: values, **more)


def refused(source: Source) -> Variable:
    return source.unreadable("odd", (3,), kind="other", cause="is a cell array", text=None)


def isolated(read: Callable[[Source], Contents], data: bytes = b"data", **options: Any) -> Contents:
    form = Format("ODD", lambda _: True, read, isolated=True, needs=("json",))
    return form.contents(Source(data, "rec.odd", 8 * MIB, **options))


def test_a_reader_gives_the_same_in_a_child() -> None:
    large, small = np.arange(300.0).reshape(3, 100), np.array([[48e3]])

    def read(source: Source) -> Contents:
        extra = {"sampling_rate_hz": 1e3, "unit": "m/s²"}
        words = Variable("words", (1, 4), "text", lambda: large, "pump")
        flags = Variable("on", (2,), "number", lambda: np.array([True, False]))
        swapped = number("swapped", np.arange(100.0).astype(">f4"))
        given = (number("a", large, **extra), number("fs", small), words, flags, refused(source), swapped)
        return Contents("ODD 2", given, 5e3)

    contents = isolated(read)
    assert (contents.format, contents.sampling_rate_hz) == ("ODD 2", 5e3)
    assert [(v.name, v.shape, v.kind) for v in contents.variables] == [
        ("a", (3, 100), "number"), ("fs", (1, 1), "number"), ("words", (1, 4), "text"), ("on", (2,), "number"),
        ("odd", (3,), "other"), ("swapped", (100,), "number"),
    ]  # fmt: skip
    a, fs, words, flags, odd, swapped = contents.variables
    assert (a.sampling_rate_hz, a.unit, fs.unit, words.text) == (1e3, "m/s²", None, "pump")
    np.testing.assert_array_equal(a.load(), large)
    np.testing.assert_array_equal(a.load(), large)
    np.testing.assert_array_equal(fs.load(), small)
    np.testing.assert_array_equal(flags.load(), np.array([1, 0], np.uint8))
    assert flags.load().dtype == np.uint8
    assert swapped.load().dtype == np.dtype("f4")
    with pytest.raises(RecordError, match=r"^rec\.odd: variable odd is a cell array; choose") as caught:
        odd.load()
    assert caught.value.path == "rec.odd"


def test_small_arrays_cost_no_second_child(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(64.0)
    contents = isolated(lambda _: Contents("ODD", (number("fs", values), number("x", np.arange(65.0)))))
    monkeypatch.setattr(isolation, "run", lambda *_, **__: pytest.fail("a second child"))
    np.testing.assert_array_equal(contents.variables[0].load(), values)
    with pytest.raises(pytest.fail.Exception):
        contents.variables[1].load()


def raising(error: BaseException) -> Callable[[Source], Contents]:
    def read(_: Source) -> Contents:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (lambda source: crash(), r"the ODD library crashed on it \(SIGSEGV\); it is damaged or hostile: copy"),
        (lambda source: spin(), r"the ODD library took more than 0\.4 s; it is"),
        (lambda source: len(bytearray(500 * MIB)), "the ODD library took more than the 20 MiB of memory"),
        (raising(ValueError("a\nb\x1b[31m")), r"the ODD reader cannot read it \(ValueError: a\\x0ab\\x1b\[31m\); copy"),
        (raising(RecordError("rec.odd: is odd; mend it")), "is odd; mend it"),
        (raising(RecursionError()), r"cannot read it \(RecursionError: \)"),
        (lambda source: None, r"cannot read it \(AttributeError"),
        (lambda source: Contents("ODD", (number("x" * 9000, np.zeros(2)),)), "over 8192 characters"),
        (lambda source: Contents("ODD", (Variable("x", (-1,), "number", crash),)), r"crashed|no answer that makes"),  # type: ignore[arg-type]
        (lambda source: Contents("ODD", (Variable("x", (1 << 50,), "number", crash),)), "no answer that makes"),  # type: ignore[arg-type]
        (lambda source: Contents("ODD", (Variable("x", (99,), "odd", crash),)), "no answer that makes"),  # type: ignore[arg-type]
        (lambda source: Contents("ODD", (number("x", np.zeros(99)),) * 2), "two variables called x"),
    ],
)
def test_the_end_of_a_reader_is_one_line(
    read: Callable[[Source], Contents], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "time_limit_s", lambda size: 0.4 if "0\\.4" in why else 5.0)
    with pytest.raises(RecordError, match=why) as caught:
        isolated(read)
    text = str(caught.value)
    assert text.startswith("rec.odd: ")
    assert text.isprintable()
    assert caught.value.path == "rec.odd"


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros(99), "was not expected"),
        (np.zeros(100, complex), "was not expected"),
        (np.array([None] * 100), "was not expected"),
        (np.zeros(100, np.longdouble), "was not expected"),
        (np.array(["a"] * 100), "was not expected"),
        (None, "was not expected"),
    ],
)
def test_an_array_that_is_not_what_was_listed(array: Any, why: str) -> None:
    (variable,) = isolated(lambda _: Contents("ODD", (Variable("x", (100,), "number", lambda: array),))).variables
    with pytest.raises(RecordError, match=why):
        variable.load()


def test_the_budget_holds_over_all_arrays() -> None:
    values = np.zeros(3 * MIB, np.uint8)
    contents = isolated(lambda _: Contents("ODD", tuple(number(name, values) for name in "abc")))
    a, b, c = contents.variables
    for variable in (a, b, a, b):  # the same again is free
        assert variable.load().size == 3 * MIB
    with pytest.raises(RecordError, match=r"c would take the decoded size to 9\.0 MiB and the limit .* 8\.0 MiB"):
        c.load()
    larger = isolated(lambda _: Contents("ODD", (number("x", np.zeros(2 * MIB)),)))
    with pytest.raises(RecordError, match=r"limit for this file is 8\.0 MiB|larger than it was to be"):
        larger.variables[0].load()


def test_the_time_is_that_of_the_file_and_not_of_each_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "time_limit_s", lambda size: 1.0)

    def slow() -> NumberArray:
        time.sleep(0.4)
        return np.zeros(99)

    contents = isolated(lambda _: Contents("ODD", tuple(Variable(n, (99,), "number", slow) for n in "abcdef")))
    start = time.monotonic()
    ends = []
    for variable in contents.variables:
        try:
            variable.load()
        except RecordError as error:
            ends.append(str(error))
    assert 2 <= len(ends) <= 5
    assert all("took more than 1 s" in end for end in ends)
    assert time.monotonic() - start < 2


def test_a_process_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(child, "_fork", no_fork)
    with pytest.raises(RecordError, match="has no process to run in \\(resource temporarily unavailable\\)"):
        isolated(lambda _: Contents("ODD", ()))


def test_what_is_said_on_the_pipe_is_plain_json() -> None:
    """No pickle: a hostile answer can be wrong, and cannot run."""
    source = Path(child.__file__).read_text("utf-8") + Path(isolation.__file__).read_text("utf-8")
    assert "pickle" not in source
    assert "json.loads" in source
    assert json.loads("1") == 1
