"""The history: nothing twice, nothing lost, whoever kills, locks or spoils it; and what `faultdx history` shows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import Ran, assert_refused, faultdx, faultdx_here
from rows import MODEL, broken, row
from test_layers import HEAVY, loaded_by

from faultdx import database
from faultdx.changes import changes, compare
from faultdx.errors import ConfigError, OutputError
from faultdx.history import APPLICATION_ID, Entry, History
from faultdx.recorder import Recorder
from faultdx.records import Declared, Item
from faultdx.report.row import Row, asked_of, sha256_of
from faultdx.report.trend import MAX_NAMED, trend_picture


def append(path: Path, *rows: Row) -> int:
    with History.open(path) as history:
        return history.append([(r, "{}") for r in rows], version="0.1.0")[1]


def files(path: Path) -> list[str]:
    with History.read(path) as history:
        return [entry.row.file for entry in history.entries()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plant.sqlite"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.05)
    monkeypatch.setattr(database, "_ATTEMPT_S", 0.02)


# ---- what is in it


def test_a_row_comes_back_as_it_was(path: Path) -> None:
    rows = [
        row(1, asset="é 単", notes="a\\x0ab", fault=True),
        broken(2),
        row(3, rpm=None, fault=None, asked='{"rpm": 1}'),
    ]
    assert append(path, *rows) == 3
    with History.read(path) as history:
        assert {entry.row for entry in history.entries()} == set(rows)


def test_a_run_again_adds_nothing_and_leaves_no_trace(path: Path) -> None:
    rows = [row(1), broken(2), row(3, time="2024-05-01T00:00:00.000Z", time_from="stated")]
    assert append(path, *rows) == 3
    before = path.read_bytes()
    later = [r.__class__(**{**vars(r), "diagnosed_at": "2030-01-01T00:00:00.000Z", "elapsed_s": 9.0}) for r in rows]
    assert append(path, *later) == 0
    assert path.read_bytes() == before
    assert append(path, *later, row(4)) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"asset": "pump 8"},
        {"point": "FE"},
        {"content": "c" * 64, "sha256": "c" * 64},
        {"model_digest": "d" * 64},
        {"asked": '{"rpm": 1}'},
        {"time": "2024-05-01T00:00:00.000Z", "time_from": "stated"},
    ],
)
def test_another_asset_point_time_content_or_model_is_another_record(path: Path, other: dict[str, str]) -> None:
    assert append(path, row(1), row(1, **other)) == 2


def test_a_file_s_modification_is_no_key(path: Path) -> None:
    # copied without its time, it is the same recording
    assert append(path, row(1), row(1, file="copy.mat", time="2024-06-01T00:00:00.000Z")) == 1


def test_known_is_content_model_and_what_was_asked(path: Path) -> None:
    append(path, row(1), broken(2, sha256="e" * 64))
    with History.open(path) as history:
        assert history.known(row(1).sha256, MODEL)
        assert not history.known(row(9).sha256, MODEL)
        assert not history.known(row(1).sha256, "d" * 64)
        assert not history.known(row(1).sha256, MODEL, asked='{"rpm": 1}')
        assert not history.known("e" * 64, MODEL)  # an error is tried again


@pytest.mark.parametrize(
    "spelled",
    [
        ("SKF 6205-2RS JEM", "6205", "6205-2RS", "skf 6205", "6205-2rs jem", " SKF6205 "),
        ("9,7.94,39.04", "9, 7.940, 39.04", "9,7.94,39.04,0"),
        ("bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.3983", "bpfi=5.415, bpfo=3.585, bsf=2.357, ftf=0.3983"),
    ],
)
def test_a_bearing_has_one_name_however_it_is_spelled(spelled: tuple[str, ...]) -> None:
    by_flag = {asked_of(Item("a.mat", flags=Declared(bearing=name))) for name in spelled}
    by_table = {asked_of(Item("a.mat", Declared(bearing=name))) for name in spelled}
    assert len(by_flag) == 1 and by_flag == by_table
    others = {asked_of(Item("a.mat", Declared(bearing=name))) for name in ("6203-2RS", "9,7.94,39.05", "nobody's")}
    assert len(others | by_flag) == 4


def test_the_trend_is_in_the_order_of_time_whatever_the_order_of_the_runs(path: Path) -> None:
    with History.open(path) as history:
        for batch in ([5, 3], [1], [4, 2]):
            history.append([(row(i), "{}") for i in batch], version="1")
            history.append([(row(i, point="FE"), "{}") for i in batch], version="1")
        entries = list(history.entries())
        assert [(e.row.point, e.row.file) for e in entries] == [
            (point, f"{i}.mat") for point in ("DE", "FE") for i in range(1, 6)
        ]
        assert [e.row.file for e in history.entries(last=2)] == ["4.mat", "5.mat"] * 2
        assert list(history.entries(asset="nobody")) == []
        assert [r.file for r in history.newest()] == ["5.mat", "5.mat"]


def test_pages_join_up_where_many_have_one_time(path: Path) -> None:
    rows = [row(i, time="2024-05-01T00:00:00.000Z") for i in range(1203)]
    assert append(path, *rows) == 1203
    assert files(path) == [r.file for r in rows]


def test_a_reader_that_dawdles_holds_nobody_up(path: Path, impatient: None) -> None:
    append(path, *(row(i) for i in range(600)))
    with History.read(path) as history:
        entries = history.entries()
        next(entries)
        assert append(path, row(1000)) == 1
        assert sum(1 for _ in entries) in {599, 600}


# ---- a run that records as it goes


def test_a_recorder_commits_by_number_and_at_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, "EVERY_ROWS", 10)
    with History.open(path) as history, Recorder(history, version="1") as recorder:
        for i in range(25):
            recorder.add(row(i), "{}")
        assert len(files(path)) == 20
    assert len(files(path)) == 25 and recorder.added == 25
    with History.read(path) as history:
        assert {e.run for e in history.entries()} == {1}  # one run, however many commits


def test_a_recorder_commits_by_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, "EVERY_S", 0.0)
    with History.open(path) as history, Recorder(history, version="1") as recorder:
        recorder.add(row(1), "{}")
        assert files(path) == ["1.mat"]


def test_what_ends_a_run_does_not_lose_what_it_found(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), History.open(path) as history, Recorder(history, version="1") as recorder:
        recorder.add(row(1), "{}")
        raise KeyboardInterrupt
    assert files(path) == ["1.mat"]


def test_a_history_that_is_locked_costs_no_verdict(
    path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "EVERY_S", 0.0)
    with History.open(path) as history, contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder = Recorder(history, version="1")
        for i in range(3):
            recorder.add(row(i), "{}")
        with pytest.raises(OutputError, match=r"plant\.sqlite: is locked by another program"):
            recorder.close()
        other.rollback()
        recorder.close()
    assert len(files(path)) == 3


def test_new_only_knows_this_run_and_those_before(path: Path, tmp_path: Path) -> None:
    one, copy, two, gone = (Item(str(tmp_path / name)) for name in ("1.mat", "copy.mat", "2.mat", "gone.mat"))
    for item, data in ((one, b"one"), (copy, b"one"), (two, b"two")):
        Path(item.path).write_bytes(data)

    def found(item: Item) -> Row:
        digest = sha256_of(item) or ""
        return row(1, sha256=digest, content=digest, asked=asked_of(item))

    with History.open(path) as history, Recorder(history, version="1") as recorder:
        assert not recorder.known(one, MODEL)
        recorder.add(found(one), "{}")
        assert recorder.known(copy, MODEL)  # not committed yet
        assert not recorder.known(two, MODEL) and not recorder.known(gone, MODEL)
    with History.open(path) as history, Recorder(history, version="1") as recorder:
        assert recorder.known(one, MODEL) and recorder.skipped == 1
        assert not recorder.known(one, "d" * 64)
        assert not recorder.known(one, MODEL, min_confidence=0.9)
        assert not recorder.known(Item(one.path, flags=Declared(rpm=1000.0)), MODEL)


# ---- whatever happens to it

KILLED = """
import os, signal, sys, time
from faultdx.history import History
from rows import row
path, kills = sys.argv[1], int(sys.argv[2])
acknowledged = 0
for kill in range(kills):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with History.open(path) as history:
            i = 0
            while True:
                batch = [(row(kill * 100_000 + i + k), "x" * 5000) for k in range(40)]
                history.append(batch, version="1")
                os.write(write, b"+" * 40)
                i += 40
    os.close(write)
    time.sleep(0.003 * (1 + 7 * kill % 40))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        acknowledged += len(pipe.read())
    import sqlite3
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        count, tables = db.execute("SELECT (SELECT count(*) FROM sqlite_master WHERE name = 'diagnosis'), 0").fetchone()
        rows = db.execute("SELECT count(*) FROM diagnosis").fetchone()[0] if count else 0
        assert rows % 40 == 0, rows  # no half of a transaction
        assert rows >= acknowledged, (rows, acknowledged)  # what was said to be there, is
    db.close()
print(rows, acknowledged)
"""


def test_kill_9_at_any_moment_loses_nothing_that_was_committed(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), "25"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 100  # it did write in between
    assert len(files(path)) == int(done.stdout.split()[0])


APPENDS = """
import sys
from faultdx.history import History
from rows import row
path, number = sys.argv[1], int(sys.argv[2])
for i in range(12):
    with History.open(path) as history:
        own = row(1000 * number + i)
        history.append([(own, "{}"), (row(i, asset="shared"), "{}")], version="1")
"""


def test_runs_at_once_lose_nothing_and_add_nothing_twice(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    runs = [
        subprocess.Popen([sys.executable, "-c", APPENDS, str(path), str(number)], env=environment)
        for number in range(1, 4)
    ]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
    with History.read(path) as history:
        assets = [entry.row.asset for entry in history.entries()]
    assert (assets.count("shared"), len(assets)) == (12, 48)


def test_a_run_waits_for_its_turn(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_ATTEMPT_S", 0.02)
    append(path, row(1))
    with contextlib.closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        ends = threading.Timer(0.5, other.rollback)
        ends.start()
        began = time.monotonic()
        assert append(path, row(2)) == 1
        assert time.monotonic() - began > 0.3
        ends.join()
    with contextlib.closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM diagnosis").fetchone()  # a reader holds up the commit
        ends = threading.Timer(0.5, other.rollback)
        ends.start()
        assert append(path, row(3)) == 1
        ends.join()


def test_a_full_disk_is_one_line_and_the_file_stays_whole(path: Path) -> None:
    append(path, row(1))
    with History.open(path) as history:
        history._database.query("PRAGMA max_page_count = 20")
        with pytest.raises(OutputError, match=r"plant\.sqlite: the disk is full; free some space"):
            history.append([(row(i), "x" * 4000) for i in range(100)], version="1")
        assert history.append([(row(2), "{}")], version="1")[1] == 1  # there is still room for this
    assert files(path) == ["1.mat", "2.mat"]


def test_a_history_that_may_not_be_written_is_one_line(path: Path) -> None:
    append(path, row(1))
    with History.open(path) as history:
        history._database.query("PRAGMA query_only = ON")
        with pytest.raises(OutputError, match=r"plant\.sqlite: is read-only; make the file"):
            history.append([(row(2), "{}")], version="1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_may_not_be_written_is_found_before_the_work(path: Path) -> None:
    append(path, row(1))
    path.parent.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            History.open(path)
        assert files(path) == ["1.mat"]
    finally:
        path.parent.chmod(0o755)
    path.chmod(0o444)
    with pytest.raises(OutputError, match="is read-only"):
        History.open(path)
    assert files(path) == ["1.mat"]


def not_ours(path: Path) -> Iterator[tuple[str, str]]:
    """Files that are no history of ours, each with a word of the message."""
    path.write_bytes(b"file,verdict\n" + b"a.mat,healthy\n" * 500)
    yield "text", "is no SQLite database"
    path.write_bytes(b"x")
    yield "one byte", "is no SQLite database"
    for name, statement, word in (
        ("foreign", "CREATE TABLE pumps (id)", "another program"),
        ("foreign id", "PRAGMA application_id = 7", "another program"),
        ("newer", f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2", "version 2"),
    ):
        path.unlink()
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(statement + ";")
        yield name, word
    path.unlink()
    append(path, *(row(i) for i in range(200)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    yield "overwritten", "is damaged"


def test_what_is_no_history_is_refused_and_left_as_it_is(path: Path) -> None:
    tried = 0
    for name, word in not_ours(path):
        before = path.read_bytes()
        for work in (History.open, History.read):
            with pytest.raises(ConfigError, match=word) as caught, work(path) as history:
                list(history.entries())
            assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path)), name
        assert path.read_bytes() == before, name
        tried += 1
    assert tried == 6


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "below a file", "nul"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "x"
    if kind == "folder":
        target.mkdir()
    elif kind == "fifo":
        os.mkfifo(target)
    elif kind == "below a file":
        target.write_text("")
        target = target / "y"
    target = {"device": Path("/dev/null"), "nul": tmp_path / "a\0b"}.get(kind, target)
    for work in (History.open, History.read):
        with pytest.raises((ConfigError, OutputError)) as caught:
            work(target)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [":memory:", "a b?c#d%41.sqlite", "file:x", "é単", "-x", "n\udcff"])
def test_a_name_means_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert append(Path(name), row(1)) == 1
    assert os.listdir(tmp_path) == [name] and files(Path(name)) == ["1.mat"]  # noqa: PTH208


def test_an_empty_file_becomes_a_history_and_its_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert append(tmp_path / "empty", row(1)) == 1
    assert append(tmp_path / "deep" / "er" / "plant.sqlite", row(1)) == 1


def test_odd_values_in_a_history_are_shown_and_harmless(path: Path) -> None:
    append(path, *(row(i) for i in range(3)))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE diagnosis SET file = char(27) || '[31m' || char(10), time = x'ff00', level_rms = 'high'")
        db.execute("UPDATE diagnosis SET confidence = 9e999, segments = 'x', fault = 'maybe', verdict = 5")
    with History.read(path) as history:
        found = [e.row for e in history.entries()]
        assert len(found) == 3 and changes(history) == []
    assert found[0].file == "\\x1b[31m\\x0a" and found[0].verdict == "5" and found[0].time.isprintable()
    assert found[0].level_rms is found[0].confidence is found[0].fault is None and found[0].segments == 0
    assert trend_picture(found, title="x").startswith(b"\x89PNG")
    ran = faultdx_here("history", path, "--json", cwd=path.parent)
    assert ran.code == 0 and len(ran.objects) == 3


# ---- what changed


def entries(*rows: Row, run: int = 1) -> list[Entry]:
    return [Entry(i, run, f"2024-05-0{run}T00:00:00.000Z", r) for i, r in enumerate(rows)]


def fault(number: int, verdict: str = "ball", **more: object) -> Row:
    return row(number, verdict=verdict, fault=True, **more)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([row(1)], [row(2)], []),
        ([row(1)], [fault(2)], ["new fault: ball"]),
        ([fault(1)], [fault(2)], []),
        ([fault(1)], [row(2)], ["fault gone: ball"]),
        ([fault(1)], [fault(2, "inner")], ["new fault: inner", "fault gone: ball"]),
        ([fault(1), fault(2, "inner")], [fault(3)], ["fault gone: inner"]),
        # a record that says nothing clears nothing
        ([fault(1)], [broken(2)], ["status: diagnosed -> error"]),
        ([row(1)], [row(2, status="undecided", verdict=None, fault=None)], ["status: diagnosed -> undecided"]),
        ([row(1)], [row(2), broken(3)], ["status: diagnosed -> diagnosed, error"]),
        ([row(1)], [row(2, level_rms=0.75)], ["level RMS up by a factor of 3, from 0.25 to 0.75"]),
        ([row(1)], [row(2, level_rms=0.1)], ["level RMS down by a factor of 2.5, from 0.25 to 0.1"]),
        ([row(1)], [row(2, level_rms=0.45)], []),
        ([row(1)], [row(2), row(3, level_rms=9.0), row(4)], []),  # the median: one of three is no change
        ([row(1, level_rms=0.0)], [row(2)], []),
        ([], [row(1)], []),
        ([], [fault(1)], ["new fault: ball"]),
        ([], [broken(1)], ["status: none -> error"]),
    ],
)
def test_what_changed_between_two_runs(before: list[Row], after: list[Row], said: list[str]) -> None:
    assert [c.text for c in compare(entries(*before, run=1), entries(*after, run=2))] == said


def test_each_measuring_point_is_compared_with_its_own_run_before(path: Path) -> None:
    append(path, row(1), row(1, asset="fan"))
    append(path, row(2, asset="fan"))
    append(path, fault(3), row(4))  # the pump had no record in the second run
    with History.read(path) as history:
        found = changes(history)
        assert [(c.asset, c.text) for c in found] == [("pump 7", "new fault: ball")]
        assert changes(history, asset="fan") == []


# ---- the command


@pytest.fixture
def plant(path: Path) -> Path:
    append(path, row(1), row(1, asset="fan", point=""))
    append(path, row(2, level_rms=0.75), fault(3, fault_probability=0.98), broken(4, asset="", point=""))
    return path


def test_it_shows_a_line_a_record_and_a_change(plant: Path) -> None:
    ran = faultdx("history", plant)
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == [
        "2024-01-05T12:00:00.000Z no asset named: error (4.mat)",
        "2024-01-02T12:00:00.000Z fan: no fault found: healthy, confidence 90.0 %, fault probability 10.0 %, "
        "level RMS 0.25 g (1.mat)",
        "2024-01-02T12:00:00.000Z pump 7, DE: no fault found: healthy, confidence 90.0 %, fault probability 10.0 %, "
        "level RMS 0.25 g (1.mat)",
        "2024-01-03T12:00:00.000Z pump 7, DE: no fault found: healthy, confidence 90.0 %, fault probability 10.0 %, "
        "level RMS 0.75 g (2.mat)",
        "2024-01-04T12:00:00.000Z pump 7, DE: fault: ball, confidence 90.0 %, fault probability 98.0 %, "
        "level RMS 0.25 g (3.mat)",
        "changed: no asset named: status: none -> error (no run before)",
        *(line for line in ran.lines if line.startswith("changed: pump 7")),
    ]
    said = [line.partition(" (since 20")[0] for line in ran.lines[6:]]
    assert said == [
        "changed: pump 7, DE: new fault: ball",
        "changed: pump 7, DE: level RMS up by a factor of 2, from 0.25 to 0.5",
    ]


def test_its_json_is_an_object_a_line(plant: Path) -> None:
    ran = faultdx_here("history", plant, "--json", "--asset", "pump 7", "--last", "2", cwd=plant.parent)
    assert ran.code == 0
    assert {o["schema"] for o in ran.objects} == {"faultdx.history/1"}
    records = [o for o in ran.objects if o["type"] == "record"]
    assert [o["file"] for o in records] == ["2.mat", "3.mat"]
    assert records[1]["fault"] is True and records[1]["run"] == 2 and records[1]["level_rms"] == 0.25
    assert [o["kind"] for o in ran.objects if o["type"] == "change"] == ["new_fault", "level"]


def test_on_a_terminal_it_is_a_table(plant: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    ran = faultdx("history", plant, "--asset", "pump 7", env={"COLUMNS": "160", "TERM": "xterm"}, stdout=follower)
    os.close(follower)
    with open(leader, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        shown = io.BytesIO()
        with contextlib.suppress(OSError):
            while data := terminal.read(65536):
                shown.write(data)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue().decode()).splitlines()
    assert ran.code == 0 and lines[0].startswith("time (UTC)") and "fault: ball" in lines[3]
    assert lines[4].startswith("changed: pump 7, DE: new fault: ball")


def test_nothing_changed_is_said(path: Path) -> None:
    append(path, row(1))
    append(path, row(2))
    ran = faultdx_here("history", path, cwd=path.parent)
    assert ran.code == 0 and len(ran.lines) == 2 and ran.err == "nothing changed since the run before\n"
    assert faultdx_here("history", path, "--quiet", cwd=path.parent).err == ""


def refused(plant: Path, *args: str) -> Ran:
    return faultdx_here("history", *args, cwd=plant.parent)


def test_it_refuses_in_one_line(plant: Path) -> None:
    assert_refused(refused(plant, "gone.sqlite"), 2, "gone.sqlite", "no such file")
    assert not (plant.parent / "gone.sqlite").exists()
    assert_refused(refused(plant, plant.name, "--asset", "pomp"), 2, "has no asset pomp; it has", "fan, pump 7")
    assert_refused(refused(plant, plant.name, "--asset", "x\n[/b]"), 2, "x\\x0a[/b]")
    assert_refused(refused(plant, plant.name, "--plot", "x.pdf"), 2, "--plot x.pdf", ".png or .svg")
    History.open(plant.parent / "new.sqlite").close()
    assert_refused(refused(plant, "new.sqlite"), 2, "new.sqlite", "holds no diagnosis yet")
    (plant.parent / "text").write_text("hello " * 200)
    assert_refused(refused(plant, "text"), 2, "text: is no SQLite database")
    (plant.parent / "there.png").write_text("mine")
    assert_refused(refused(plant, plant.name, "--plot", "there.png"), 5, "there.png: exists already")
    assert (plant.parent / "there.png").read_text() == "mine"


def test_a_run_that_was_killed_half_way_is_rolled_back_by_the_reader(plant: Path, tmp_path: Path) -> None:
    """A journal beside the file, as a killed writer leaves it, with half a transaction in the file."""
    with contextlib.closing(sqlite3.connect(plant, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")  # spill to the disk before the commit
        db.execute("BEGIN")
        db.execute("UPDATE diagnosis SET file = 'spoilt', json = hex(randomblob(20000))")
        hot = tmp_path / "hot.sqlite"
        shutil.copy(plant, hot)
        shutil.copy(f"{plant}-journal", f"{hot}-journal")
        db.execute("ROLLBACK")
    assert b"spoilt" in hot.read_bytes()
    assert files(hot) == files(plant)


def test_it_loads_nothing_heavy(plant: Path, tmp_path: Path) -> None:
    loaded, code = loaded_by(tmp_path, "history", plant, "--json")
    assert code == 0 and loaded & set(HEAVY) == set()


# ---- the picture


def test_the_picture_is_written_and_repeatable(plant: Path) -> None:
    for suffix, magic in (("png", b"\x89PNG\r\n"), ("svg", b"<?xml")):
        target = plant.parent / f"trend.{suffix}"
        first = faultdx_here("history", plant, "--plot", target, cwd=plant.parent)
        assert first.code == 0 and f"picture in {target}" in first.err
        data = target.read_bytes()
        assert data.startswith(magic)
        assert faultdx_here("history", plant, "--plot", target, "--overwrite", cwd=plant.parent).code == 0
        assert target.read_bytes() == data


def test_the_picture_shows_what_is_there() -> None:
    rows = [row(i, asset="pump $x_1$", fault_probability=0.01 * i) for i in range(30)]
    rows += [fault(40, asset="pump $x_1$"), broken(41, asset="_fan"), row(42, asset="_fan", unit="mm/s")]
    text = trend_picture(rows, title="plant", format="svg").decode()
    assert "<svg" in text and "date" not in text.lower().split("</metadata>")[0]
    assert trend_picture(rows, title="plant", format="svg").decode() == text
    assert trend_picture([], title="nothing").startswith(b"\x89PNG")
    assert trend_picture(rows[:1], title="one").startswith(b"\x89PNG")


def test_a_fleet_names_its_faults_first() -> None:
    import matplotlib.figure

    rows = [row(i, asset=f"m{k}") for k in range(MAX_NAMED + 4) for i in range(5)] + [fault(1, asset="sick")]
    seen: list[str] = []
    original = matplotlib.figure.Figure.legend

    def legend(self: matplotlib.figure.Figure, *args: object, **more: object) -> object:
        seen.extend(str(label) for label in (args[1] if len(args) > 1 else ()))  # type: ignore[union-attr, attr-defined]
        return original(self, *args, **more)  # type: ignore[arg-type]

    matplotlib.figure.Figure.legend = legend  # type: ignore[assignment, method-assign]
    try:
        trend_picture(rows, title="fleet")
    finally:
        matplotlib.figure.Figure.legend = original  # type: ignore[method-assign]
    assert len(seen) == MAX_NAMED + 1 and "sick DE" in seen and seen[-1] == "5 more"


def test_json_in_the_database_is_the_diagnosis(path: Path) -> None:
    with History.open(path) as history:
        history.append([(row(1), json.dumps({"schema": "faultdx.diagnosis/1"}))], version="1")
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert json.loads(db.execute("SELECT json FROM diagnosis").fetchone()[0])["schema"] == "faultdx.diagnosis/1"
