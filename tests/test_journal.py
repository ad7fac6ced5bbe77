"""What a killed `prepare` or `evaluate` had finished is taken up, whatever else lies in its journal is not."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Trained, beyond_a_gateway, faultdx_here

from faultdx import files, journal, leftovers, passes, recollection
from faultdx.assessment import Question, evaluate
from faultdx.cli.console import Stopped
from faultdx.config import PrepareConfig
from faultdx.errors import DatasetError
from faultdx.inference import Network
from faultdx.journal import Journal, journal_path, kept, spare
from faultdx.mapping import Lost
from faultdx.preparation import Summary, prepare
from faultdx.records import Declared, Item
from faultdx.resumption import KeptRecords

COUNT = 6
CONFIG = PrepareConfig(segment=64, noise=("gaussian", "pink"), snr_db=(-4.0,), split="time", resample_hz=6000.0)
LEARN, CUT = passes.learn, passes.cut_item


class Killed(BaseException):
    """What nobody sees coming."""


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    (tmp_path / "in").mkdir()
    rng, found = np.random.default_rng(0), []
    for i in range(COUNT):
        path = tmp_path / "in" / f"{i}.npy"
        np.save(path, rng.standard_normal((2, 2000)).T.astype(np.float32))
        facts = Declared(label="ab"[i % 2], sampling_rate_hz=12_000.0, rpm=1750.1 + i, said_by="table")
        found.append(Item(str(path), facts))
    return found


@pytest.fixture
def whole(items: list[Item], tmp_path: Path) -> bytes:
    """The file of a run that nothing disturbs."""
    prepare(items, tmp_path / "whole.h5", config=CONFIG)
    return (tmp_path / "whole.h5").read_bytes()


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each pass is asked to do in this process: "learn", "cut"."""
    done: list[str] = []
    for name in ("learn", "cut_item"):
        real = getattr(passes, name)

        def counting(*args: Any, _real: Any = real, _name: str = name, **how: Any) -> Any:
            done.append(_name.removesuffix("_item"))
            return _real(*args, **how)

        monkeypatch.setattr(passes, name, counting)
    return done


def at(stage: str, number: int, act: Callable[[], object]) -> Callable[[str, int, int], None]:
    return lambda what, done, _total: act() and None if (what, done) == (stage, number) else None  # type: ignore[func-returns-value]


def in_a_fork(work: Callable[[], object]) -> int:
    """Do it in a child, which ends without a word; return how."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(items: list[Item], out: Path, stage: str, number: int, **how: Any) -> None:
    """kill -9, after the `number`-th record of a stage."""
    die = at(stage, number, lambda: os.kill(os.getpid(), signal.SIGKILL))

    def work() -> None:
        passes.learn, passes.cut_item = LEARN, CUT  # what is counted does not pickle
        prepare(items, out, config=CONFIG, progress=die, **how)

    assert in_a_fork(work) == -signal.SIGKILL


def again(items: list[Item], out: Path, config: PrepareConfig = CONFIG, **how: Any) -> Summary:
    return prepare(items, out, config=config, **how)


def taken(summary: Summary) -> str:
    return "".join(n for n in summary.notes if "taken up" in n)


# ---- prepare, killed


@pytest.mark.parametrize(
    ("stage", "number", "left"), [("reading", 1, (5, 6)), ("reading", 6, (0, 6)), ("cutting", 4, (0, 2))]
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_prepare_loses_what_was_in_hand_and_ends_with_the_same_bytes(
    items: list[Item], whole: bytes, tmp_path: Path, worked: list[str], stage: str, number: int,
    left: tuple[int, int], workers: int,
) -> None:  # fmt: skip
    out = tmp_path / "out.h5"
    killed(items, out, stage, number, workers=workers)
    assert not out.exists() and journal_path(out).is_file()
    said = taken(again(items, out))
    assert out.read_bytes() == whole
    assert (worked.count("learn"), worked.count("cut")) == left
    assert said.startswith(f"{6 - left[0]} of 6 records are taken up")
    assert not journal_path(out).exists()


def test_killed_again_and_again_each_record_is_done_once(
    items: list[Item], whole: bytes, tmp_path: Path, worked: list[str]
) -> None:
    out = tmp_path / "out.h5"

    def stop() -> None:
        raise Killed

    for stage, number in (("reading", 2), ("reading", 4), ("cutting", 1), ("cutting", 3), ("cutting", 5)):
        with pytest.raises(Killed) as raised:
            prepare(items, out, config=CONFIG, progress=at(stage, number, stop))
        assert str(journal_path(out)) in raised.value.__notes__[0]
    again(items, out)
    assert (worked.count("learn"), worked.count("cut"), out.read_bytes()) == (6, 6, whole)


def test_a_finished_file_that_is_overwritten_is_made_anew(
    items: list[Item], whole: bytes, tmp_path: Path, worked: list[str]
) -> None:
    worked.clear()
    summary = again(items, tmp_path / "whole.h5", overwrite=True)
    assert taken(summary) == "" and len(worked) == 12 and (tmp_path / "whole.h5").read_bytes() == whole


# ---- what is not believed


def change(items: list[Item]) -> None:
    path = Path(items[3].path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # as long as it was
    path.write_bytes(data)


@pytest.mark.parametrize("stage", ["reading", "cutting"])
def test_a_file_that_has_changed_is_read_again(
    items: list[Item], whole: bytes, tmp_path: Path, worked: list[str], stage: str
) -> None:
    out = tmp_path / "out.h5"
    killed(items, out, stage, 5)
    change(items)
    again(items, out)
    learned, cut = (2, 6) if stage == "reading" else (1, 2)
    assert (worked.count("learn"), worked.count("cut")) == (learned, cut)
    assert out.read_bytes() != whole
    prepare(items, tmp_path / "new.h5", config=CONFIG)
    assert out.read_bytes() == (tmp_path / "new.h5").read_bytes()


def test_a_file_that_changes_between_the_passes_is_still_noticed(items: list[Item], tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    killed(items, out, "cutting", 5)
    with pytest.raises(DatasetError, match="changed while it was prepared"):
        prepare(items, out, config=CONFIG, progress=at("reading", 6, lambda: change(items)))
    assert not journal_path(out).exists()  # the same command would meet it again


def test_another_question_other_code_and_other_facts_take_nothing_up(
    items: list[Item], tmp_path: Path, worked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.h5"
    others = [replace(item, declared=replace(item.declared, rpm=900.0)) for item in items]
    monkeypatch.setattr(journal, "_code", lambda: "before")
    for what in ("seed", "code", "packages", "facts"):
        killed(items, out, "cutting", 5)
        worked.clear()
        with monkeypatch.context() as patch:
            if what == "code":
                patch.setattr(journal, "_code", lambda: "after")
            if what == "packages":
                patch.setattr(journal, "_installed", lambda: {"site-packages": 1})
            config = replace(CONFIG, seed=1) if what == "seed" else CONFIG
            summary = again(others if what == "facts" else items, out, config)
        # the segments rest on the samples and the plan alone
        assert (
            taken(summary) == "" and worked.count("learn") == 6 and worked.count("cut") == (1 if what == "facts" else 6)
        )
        out.unlink()


def test_a_lying_journal_changes_nothing(items: list[Item], whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    killed(items, out, "cutting", 5)
    good = journal_path(out).read_bytes()
    rng = np.random.default_rng(1)
    lies = [good[:n] for n in rng.integers(0, len(good), 12)] + [b"", b"\0" * 4096, good[:84] + b"fdxj" + b"\xff" * 80]
    for where in [*rng.integers(84, 3000, 20), *rng.integers(84, len(good), 12)]:
        flipped = bytearray(good)
        flipped[where] ^= 1 << rng.integers(8)
        lies.append(bytes(flipped))
    for lie in lies:
        journal_path(out).write_bytes(lie)
        again(items, out)
        assert out.read_bytes() == whole and not journal_path(out).exists()
        out.unlink()


def test_what_has_its_digest_and_not_the_right_shape_is_not_believed(
    items: list[Item], whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worked: list[str]
) -> None:
    """As an error of ours, or somebody who may write our files, would leave it."""
    out = tmp_path / "out.h5"

    def rows(data: bytes) -> int:
        return len(data) // (8 + 1 + 4 + 1 + 4 * 2 * 64)

    def told(**changes: Any) -> Callable[[bytes], bytes]:
        return lambda data: json.dumps(json.loads(data) | changes).encode()

    facts = [
        told(samples=-1), told(samples=True), told(path="other"), told(channels=[1]), told(channels=4), told(rpm="x"),
        told(seen={}), told(seen=None), told(more=1), lambda _: b"[" * 100_000, lambda _: b"\xff", lambda _: b"7",
    ]  # fmt: skip
    blocks: list[Callable[[bytes], bytes]] = [
        lambda data: data[:-4], lambda data: data + b"\0", lambda _: b"",
        lambda data: b"\1" + data[1:],  # the first start is 1
        lambda data: data[: 8 * rows(data)] + b"\7" * rows(data) + data[9 * rows(data) :],  # the sides
        lambda data: data[: 9 * rows(data)] + b"\2" * 4 * rows(data) + data[13 * rows(data) :],  # the SNRs
        lambda data: data[: 13 * rows(data)] + b"\2" * rows(data) + data[14 * rows(data) :],  # the kinds of noise
    ]  # fmt: skip
    real = Journal.put
    for kind, lies in (("learn", facts), ("cut", blocks)):
        for lie in lies:

            def lying(self: Journal, name: str, *parts: Any, _kind: str = kind, _lie: Any = lie) -> None:
                data = b"".join(bytes(memoryview(p).cast("B")) for p in parts)
                real(self, name, _lie(data) if name.startswith(f'["{_kind}') else data)

            with monkeypatch.context() as patch:
                patch.setattr(Journal, "put", lying)
                killed(items, out, "cutting", 5)
            worked.clear()
            again(items, out)
            assert worked.count(kind) == 6, lie
            assert out.read_bytes() == whole
            out.unlink()


# ---- when it is there, and when not


def test_it_is_gone_after_a_refusal_and_stays_when_a_worker_is_lost(
    items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.h5"
    with pytest.raises(DatasetError, match="single class"):
        again(items[::2], out)
    assert not journal_path(out).exists()

    def losing(*_: Any, **__: Any) -> Iterator[Any]:
        yield passes.learn(items[0], labels="label", quality="refuse")
        yield Lost("killed by signal 9")

    with monkeypatch.context() as patch:
        patch.setattr(passes, "mapped", losing)
        with pytest.raises(DatasetError, match="use fewer --workers") as raised:
            again(items, out)
    assert raised.value.__notes__ and journal_path(out).exists()
    assert taken(again(items, out)).startswith("1 of 6")


def test_two_at_once_do_not_meet(items: list[Item], whole: bytes, tmp_path: Path) -> None:
    """In one process, in two, and when the first has just taken its journal away."""
    out, seen = tmp_path / "out.h5", []

    def other() -> None:
        seen.append((again(items, out).path, out.read_bytes() == whole, journal_path(out).exists()))
        out.unlink()

    def in_a_child() -> None:
        seen.append((in_a_fork(lambda: again(items, out) and os._exit(0)), journal_path(out).exists()))

    prepare(items, out, config=CONFIG, progress=at("cutting", 2, other))
    assert out.read_bytes() == whole
    out.unlink()
    prepare(items, out, config=CONFIG, progress=at("cutting", 2, in_a_child), overwrite=True)
    assert seen == [(str(out), True, True), (0, True)] and out.read_bytes() == whole and not journal_path(out).exists()
    first, second = (Journal(tmp_path / "j", "x") for _ in range(2))
    assert first.active and not second.active
    second.put("a", b"1")
    second.remove()
    assert first.path.exists() and second.get("a", most=9) is None
    first.remove()
    third = Journal(tmp_path / "j", "x")
    assert third.active
    third.remove()


def test_a_full_disk_costs_the_journal_and_nothing_else(
    items: list[Item], whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real, count, seen = tmp_path / "out.h5", journal._write, 0, []

    def full(fd: int, data: memoryview, at: int) -> int:
        nonlocal count
        count += 1
        if count > 7:
            real(fd, data[: len(data) // 2], at)
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data, at)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write", full)
        prepare(items, out, config=CONFIG, progress=at("cutting", 1, lambda: seen.append(journal_path(out).exists())))
    assert out.read_bytes() == whole and seen == [False]


def test_without_room_for_segments_twice_only_facts_are_kept(
    items: list[Item], whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worked: list[str]
) -> None:
    out = tmp_path / "out.h5"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 30, 0, 9 << 20))
        killed(items, out, "cutting", 5)
    summary = again(items, out)
    assert (worked.count("learn"), worked.count("cut")) == (0, 6) and out.read_bytes() == whole
    assert not any("no room" in note for note in summary.notes)
    with monkeypatch.context() as patch:  # not even for the output, beside what is kept
        killed(items, tmp_path / "b.h5", "cutting", 5)
        free = iter((1 << 20, 1 << 30))  # after it was emptied
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 30, 0, next(free)))
        note = at("cutting", 1, lambda: sizes.append(journal_path(tmp_path / "b.h5").stat().st_size))
        sizes: list[int] = []
        summary = again(items, tmp_path / "b.h5", progress=note)
    assert any("no room" in note for note in summary.notes) and sizes == [journal._START]
    assert (tmp_path / "b.h5").read_bytes() == whole


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder", "dangling"])
def test_what_somebody_put_in_its_place_is_left_alone(
    items: list[Item], whole: bytes, tmp_path: Path, kind: str
) -> None:
    out, victim = tmp_path / "out.h5", tmp_path / "thesis.tex"
    victim.write_text("mine")
    place = journal_path(out)
    {
        "link": lambda: place.symlink_to(victim), "hard link": lambda: place.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(place), "folder": place.mkdir,
        "dangling": lambda: place.symlink_to(tmp_path / "nowhere"),
    }[kind]()  # fmt: skip
    again(items, out)
    assert out.read_bytes() == whole and victim.read_text() == "mine" and os.path.lexists(place)
    assert not (tmp_path / "nowhere").exists()


def test_it_is_swept_a_day_after_the_last_entry_unless_the_command_comes_back(tmp_path: Path) -> None:
    out = tmp_path / ("é" * 120 + ".h5")  # the longest name that there is
    with pytest.raises(Killed), kept(out, "x") as mine:
        mine.put("a", b"1")
        raise Killed
    for age, stays in ((20 * 3600, True), (30 * 3600, False)):
        os.utime(journal_path(out), (time.time() - age,) * 2)
        leftovers.swept.clear()
        if not stays:
            spare(out)
        files.check_folder(tmp_path)
        assert journal_path(out).exists()
    os.utime(journal_path(out), (time.time() - 30 * 3600,) * 2)
    leftovers.swept.clear()
    files.check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
    spare(out)  # nothing is made
    assert list(tmp_path.iterdir()) == []


def test_a_prepare_that_comes_back_after_days_is_taken_up(items: list[Item], whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    killed(items, out, "reading", 4)
    os.utime(journal_path(out), (time.time() - 5 * 86400,) * 2)
    leftovers.swept.clear()
    assert taken(again(items, out)).startswith("4 of 6") and out.read_bytes() == whole


# ---- the journal itself


def test_each_byte_of_a_journal_is_covered(tmp_path: Path) -> None:
    """Whatever bit is flipped: an entry is what was put in, or is not there; and more can be put after it."""
    path, contents = tmp_path / "j", {"a": b"first", "b": b"", "c": bytes(range(40))}
    mine = Journal(path, {"x": 1})
    for name, content in contents.items():
        mine.put(name, content[:3], memoryview(content)[3:])
    mine.close()
    good = path.read_bytes()
    lost = 0
    for where in range(len(good)):
        lie = bytearray(good)
        lie[where] ^= 1 << where % 8
        path.write_bytes(lie)
        found = Journal(path, {"x": 1})
        got = {name: found.get(name, most=99) for name in contents}
        assert all(value in (None, contents[name]) for name, value in got.items()), where
        lost += None in got.values()
        found.put("d", b"more")
        found.close()
        found = Journal(path, {"x": 1})
        assert found.get("d", most=4) == b"more" and found.get("d", most=3) is None
        found.close()
    assert lost == len(good)
    tags = [good.index(b"fdxj", at) + 12 for at in (0, good.index(b"fdxj") + 1)]
    swapped = bytearray(good)
    for here, there in (tags, tags[::-1]):
        swapped[here : here + 32] = good[there : there + 32]
    path.write_bytes(swapped)
    found = Journal(path, {"x": 1})
    assert [found.get(name, most=99) for name in contents] == [None, None, contents["c"]]
    found.close()
    path.write_bytes(good)
    assert Journal(path, {"x": 2}).count == 0


def test_entries_may_come_again(tmp_path: Path) -> None:
    mine = Journal(tmp_path / "j", None)
    mine.put("a", b"old")
    mine.put("a", b"new")
    assert (mine.get("a", most=9), mine.count, "a" in mine, "b" in mine) == (b"new", 1, True, False)
    mine.close()
    assert mine.get("a", most=9) is None and not mine.active
    mine.put("a", b"x")
    mine.remove()
    assert (tmp_path / "j").exists()  # left to the next run


def test_records_without_a_file_to_compare_are_not_kept(items: list[Item], tmp_path: Path) -> None:
    mine = Journal(tmp_path / "j", None)
    keep, known = KeptRecords(mine, CONFIG), passes.learn(items[0], labels="label", quality="refuse")
    assert not isinstance(known, Exception)
    keep.learned(items[0], replace(known, seen=replace(known.seen, state=())))
    assert mine.count == 0
    keep.learned(items[0], known)
    assert keep.known(items[0]) == known
    mine.remove()


# ---- evaluate

SHORT = Question(noise=("gaussian", "pink"), snr_db=(0.0, 6.0), seed=3, spoilt=1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many segments the network is asked about, call by call."""
    seen: list[int] = []
    real = Network._run

    def counting(self: Network, segments: Any, names: Any) -> Any:
        seen.append(len(segments))
        return real(self, segments, names)

    monkeypatch.setattr(Network, "_run", counting)
    return seen


@contextmanager
def stopped_after(monkeypatch: pytest.MonkeyPatch, entries: int, error: BaseException) -> Iterator[None]:
    real, count = Journal.put, 0

    def put(self: Journal, name: str, *parts: Any) -> None:
        nonlocal count
        real(self, name, *parts)
        count += 1
        if count == entries:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "put", put)
        yield


@beyond_a_gateway
def test_an_interrupted_evaluation_is_taken_up(
    trained: Trained, tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = json.dumps(evaluate(trained.run, question=SHORT))
    calls, segments = len(asked), sum(asked)
    with kept(tmp_path / "whole", 1) as mine:
        assert json.dumps(evaluate(trained.run, question=SHORT, journal=mine)) == plain
        entries = mine.count
    assert len(asked) == 2 * calls and entries > 10
    done = 0
    for stop in (1, entries // 2, 3):
        asked.clear()
        with pytest.raises(Killed), stopped_after(monkeypatch, stop, Killed()), kept(tmp_path / "e", 1) as mine:
            evaluate(trained.run, question=SHORT, journal=mine)
        done += sum(asked)
    asked.clear()
    with kept(tmp_path / "e", 1) as mine:
        assert json.dumps(evaluate(trained.run, question=SHORT, journal=mine)) == plain
        assert mine.taken == 1 + entries // 2 + 3
    assert sum(asked) + done == segments  # nothing twice
    assert not journal_path(tmp_path / "e").exists()


@beyond_a_gateway
def test_an_evaluation_takes_up_nothing_of_another_seed_or_model_and_no_lies(
    trained: Trained, tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    question = replace(SHORT, spoilt=0)
    plain = json.dumps(evaluate(trained.run, question=question))
    other = json.dumps(evaluate(trained.run, question=replace(question, seed=4)))
    out = tmp_path / "e"

    def leave(**how: Any) -> None:
        with pytest.raises(Killed), kept(out, 1) as mine:
            evaluate(trained.run, question=question, journal=mine, **how)
            raise Killed

    leave()
    with kept(out, 1) as mine:
        assert json.dumps(evaluate(trained.run, question=replace(question, seed=4), journal=mine)) == other
    real = Journal.put
    for lie in (b"7", b""):  # JSON of another kind, and too short; neither JSON nor numbers, and of the right length

        def lying(self: Journal, name: str, *parts: Any, _lie: bytes = lie) -> None:
            real(self, name, _lie or b"\xff" * sum(memoryview(part).nbytes for part in parts))

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "put", lying)
            leave()
        asked.clear()
        with kept(out, 1) as mine:
            assert json.dumps(evaluate(trained.run, question=question, journal=mine)) == plain
        assert len(asked) > 5
    leave()
    monkeypatch.setattr(recollection.Journal, "room", lambda *_: False)
    with kept(out, 1) as mine:
        assert json.dumps(evaluate(trained.run, question=question, journal=mine)) == plain and mine.taken == 0


@beyond_a_gateway
def test_the_command_says_that_it_kept_and_that_it_took_up(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("evaluate", trained.run, "--no-noise", "--spoilt", "0", "--out")
    plain = faultdx_here(*words, "plain", cwd=tmp_path)
    with stopped_after(monkeypatch, 5, Stopped(signal.SIGTERM)):
        ran = faultdx_here(*words, "e", cwd=tmp_path)
    assert (ran.code, ran.out) == (143, "")
    assert (
        ran.err == f"faultdx: what was finished is kept in {journal_path('e/evaluation')}: the same command goes on "
        "from there\n"
    )
    assert [p.name for p in (tmp_path / "e").iterdir()] == [journal_path("evaluation").name]
    ran = faultdx_here(*words, "e", cwd=tmp_path)
    assert ran.code == 0 and "note: 5 batches and records were taken up" in ran.err
    assert "taken up" not in plain.err
    assert {p.name: p.read_bytes() for p in (tmp_path / "e").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "plain").iterdir()
    }
    words = ("prepare", trained.rig, "--out", "p.h5")
    with stopped_after(monkeypatch, 5, Stopped(signal.SIGHUP)):
        ran = faultdx_here(*words, cwd=tmp_path)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (129, "", 1) and "goes on from there" in ran.err
    ran = faultdx_here(*words, cwd=tmp_path)
    assert ran.code == 0 and "note: 5 of 48 records are taken up" in ran.err
    assert not list(tmp_path.glob(".p*"))


def test_what_another_user_owns_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may write it decides what was finished: its digests are no secret."""
    with suppress(KeyboardInterrupt), kept(tmp_path / "x", ["a"]) as book:
        book.put("one", b"1")
        raise KeyboardInterrupt
    before, mine = journal_path(tmp_path / "x").read_bytes(), os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with kept(tmp_path / "x", ["a"]) as book:
        assert not book.active and book.get("one", most=9) is None
        book.put("two", b"2")
    assert journal_path(tmp_path / "x").read_bytes() == before
    monkeypatch.undo()
    with kept(tmp_path / "x", ["a"]) as book:
        assert book.get("one", most=9) == b"1"
