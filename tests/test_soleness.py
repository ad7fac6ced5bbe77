"""One run at a time into one place: two processes, two threads, killed ones, and file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import TINY, Trained, beyond_a_gateway, environment, faultdx_here

from faultdx import leftovers, soleness
from faultdx.errors import OutputError
from faultdx.soleness import sole

# A process that holds a target until it is told to end, or is killed.
HOLDER = """
import sys
from faultdx.soleness import sole
with sole(sys.argv[1], folder=sys.argv[2] == "folder"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(target: Path, *, folder: bool) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(target), "folder" if folder else "file"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("folder", [True, False])
def test_the_second_is_refused_until_the_first_has_ended(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "x"
    with holder(target, folder=folder) as other:
        with pytest.raises(OutputError, match=r"x: another run is writing there; wait"), sole(target, folder=folder):
            raise AssertionError
        with sole(tmp_path / "y", folder=folder):  # another target is another matter
            pass
        assert other.stdin is not None
        other.stdin.close()
        other.wait(30)
    with sole(target, folder=folder):
        pass
    assert names(tmp_path) == []  # no lock file, no empty folder


@pytest.mark.parametrize("folder", [True, False])
def test_a_killed_holder_is_in_nobodys_way(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "x"
    with holder(target, folder=folder) as other:
        other.send_signal(signal.SIGKILL)
        other.wait(30)
    assert len(names(tmp_path)) == 1  # the folder, or the lock file under a name that is swept
    with sole(target, folder=folder):
        pass
    assert names(tmp_path) == (["x"] if folder else [])


@pytest.mark.parametrize("folder", [True, False])
def test_two_threads_are_two_runs(tmp_path: Path, folder: bool) -> None:
    said: list[str] = []

    def second() -> None:
        try:
            with sole(tmp_path / "x", folder=folder):
                said.append("in")
        except OutputError as error:
            said.append(str(error))

    with sole(tmp_path / "x", folder=folder):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(said) == 1 and "another run is writing there" in said[0]


def test_many_at_once_are_never_two(tmp_path: Path) -> None:
    """The lock file comes and goes: nobody may hold one that has lost its name."""
    inside, most, entered = 0, 0, 0
    guard = threading.Lock()

    def enter() -> None:
        nonlocal inside, most, entered
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            try:
                with sole(tmp_path / "x"):
                    with guard:
                        inside, entered = inside + 1, entered + 1
                        most = max(most, inside)
                    time.sleep(0.0005)
                    with guard:
                        inside -= 1
            except OutputError:
                pass

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and entered > 20 and names(tmp_path) == []


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_without_locks_the_run_goes_on_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, folder: bool
) -> None:
    def flock(_fd: int, _how: int) -> None:
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    said: list[str] = []
    with sole(tmp_path / "x", folder=folder, note=said.append):
        (tmp_path / "x" / "a" if folder else tmp_path / "x").write_text("made")
    assert len(said) == 1 and "has no locks" in said[0] and names(tmp_path) == ["x"]


def test_what_cannot_be_locked_is_left_to_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target, folder in ((tmp_path / "file" / "x", False), (tmp_path / "file", True), (tmp_path / "a\0b", False)):
        with sole(target, folder=folder):
            pass
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_somebody_put_in_place_of_the_lock_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, kind: str
) -> None:
    place = tmp_path / f".x{leftovers.LOCK_SUFFIX}"
    if kind == "link":
        place.symlink_to(tmp_path / "victim")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    with sole(tmp_path / "x"):
        pass
    assert names(tmp_path) == [place.name]


def test_folders_that_were_made_for_nothing_go_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), sole(tmp_path / "a" / "b" / "c", folder=True):
        assert (tmp_path / "a" / "b" / "c").is_dir()
        raise KeyError
    assert names(tmp_path) == []
    with sole(tmp_path / "a" / "b", folder=True):
        (tmp_path / "a" / "b" / "result").touch()
    assert (tmp_path / "a" / "b" / "result").exists()


def test_the_lock_of_a_run_of_days_is_not_swept(tmp_path: Path) -> None:
    with sole(tmp_path / "x"):
        (lock,) = tmp_path.iterdir()
        os.utime(lock, (1, 1))
        leftovers.swept.clear()
        leftovers.sweep(tmp_path)
        assert names(tmp_path) == [lock.name]
    lock.touch()
    os.utime(lock, (1, 1))
    leftovers.swept.clear()
    leftovers.sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_name_that_is_as_long_as_names_get(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 127)
    with sole(target), pytest.raises(OutputError), sole(target):
        raise AssertionError


def test_long_names_that_differ_at_their_ends_are_two(tmp_path: Path) -> None:
    one, two = (tmp_path / ("x" * 200 + end) for end in "ab")
    with sole(one), sole(two):
        assert len(names(tmp_path)) == 2
        with pytest.raises(OutputError), sole(one):
            raise AssertionError
    assert names(tmp_path) == []


def test_the_lock_file_is_for_others_to_see(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with sole(tmp_path / "x"):
            (lock,) = tmp_path.iterdir()
            assert lock.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_the_lock_file_of_another_user_is_read_or_it_is_said_that_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file may only be read, or where nobody but its owner may open it to write (a sticky folder)."""
    opened = os.open
    readable = True

    def of_another(path: object, flags: int, *mode: int, **how: int) -> int:
        if str(path).endswith(leftovers.LOCK_SUFFIX) and (flags & os.O_RDWR or not readable):
            raise PermissionError(errno.EACCES, "not yours", str(path))
        return opened(path, flags, *mode, **how)  # type: ignore[arg-type]

    said: list[str] = []
    with holder(tmp_path / "x", folder=False):
        monkeypatch.setattr(soleness.os, "open", of_another)
        with pytest.raises(OutputError, match="another run is writing there"), sole(tmp_path / "x", note=said.append):
            raise AssertionError
        assert said == []
        readable = False
        with sole(tmp_path / "x", note=said.append):
            pass
        assert len(said) == 1 and "may not be opened" in said[0]
        said.clear()
        readable = True
        with sole(tmp_path / "y", note=said.append):  # none is there, and none may be made: the run says what is wrong
            pass
        assert said == []


@beyond_a_gateway
def test_learned_witnesses_are_trained_one_at_a_time(tmp_path: Path) -> None:
    with sole(tmp_path / "learned", folder=True):
        ran = faultdx_here("train", "--universal", "--scenes", "3", "--out", tmp_path / "learned", cwd=tmp_path)
        assert ran.code == 5 and "another run is writing there" in ran.err and ran.out == ""
        assert names(tmp_path / "learned") == []


# ---- the commands


def _train(world: Trained, out: Path) -> Sequence[str | Path]:
    return ("train", world.prepared, *TINY, "--out", out)


def _evaluate(world: Trained, out: Path) -> Sequence[str | Path]:
    return ("evaluate", world.run, world.prepared, "--no-noise", "--spoilt", "0", "--out", out)


def _prepare(world: Trained, out: Path) -> Sequence[str | Path]:
    return ("prepare", world.rig, "--out", out)


def _baseline(world: Trained, out: Path) -> Sequence[str | Path]:
    return ("baseline", world.unseen / "501.mat", "--out", out)


def _simulate(_world: Trained, out: Path) -> Sequence[str | Path]:
    return ("simulate", "bearing", "--specimens", "1", "--seconds", "0.1", "--out", out)


def _export(world: Trained, out: Path) -> Sequence[str | Path]:
    return ("export", world.run, "--out", out.with_suffix(".onnx"))


@beyond_a_gateway
@pytest.mark.parametrize("again", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    ("words", "folder"),
    [(_train, True), (_evaluate, True), (_simulate, True), (_prepare, False), (_baseline, False), (_export, False)],
)
def test_a_command_is_refused_where_another_writes(
    trained: Trained, tmp_path: Path, words: object, folder: bool, again: tuple[str, ...]
) -> None:
    assert callable(words)
    out = tmp_path / "out"
    target = out.with_suffix(".onnx") if words is _export else out
    with sole(target, folder=folder):
        before = names(tmp_path)
        ran = faultdx_here(*words(trained, out), *again, cwd=tmp_path)
        assert ran.code == 5 and ran.out == "", ran
        assert ran.err == f"faultdx: error: {target}: another run is writing there; wait for it to end, or name " \
            "another --out\n"  # fmt: skip
        assert names(tmp_path) == before


@beyond_a_gateway
def test_of_two_processes_one_prepares_and_one_is_refused(trained: Trained, tmp_path: Path) -> None:
    """Until both have started within the same moment, which takes a few tries at most."""
    for number in range(5):
        out = tmp_path / f"{number}.h5"
        command = [sys.executable, "-m", "faultdx", "prepare", str(trained.rig), "--out", str(out), "--quiet"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        both = [subprocess.Popen(command, text=True, env=environment(), **pipes) for _ in range(2)]  # type: ignore[call-overload]
        said = [process.communicate(timeout=60) for process in both]
        assert sorted(process.returncode for process in both) == [0, 5], said
        refusal = next(err for process, (_, err) in zip(both, said, strict=True) if process.returncode == 5)
        assert refusal.count("\n") == 1
        if "another run is writing there" in refusal:
            break
        assert "exists already" in refusal or "was written by another run" in refusal
    else:
        raise AssertionError(said)
    assert not [name for name in names(tmp_path) if leftovers.is_temporary(name)]


def test_benchmarks_go_on_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faultdx.benchmark import runner
    from faultdx.plans import find_plan, shipped_plans

    plan = find_plan(next(iter(shipped_plans())))
    with runner._folder(plan, tmp_path / "b", overwrite=False):  # noqa: SIM117 - the second within the first
        with pytest.raises(OutputError, match="another benchmark is running in this folder"):
            with runner._folder(plan, tmp_path / "b", overwrite=False):
                raise AssertionError
    monkeypatch.setattr(runner.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "none")))
    with runner._folder(plan, tmp_path / "b", overwrite=False):
        pass
    from faultdx.benchmark import sources

    with sources.locked(tmp_path / "b" / "cell.lock"):  # what its cells share
        pass


def test_one_try_is_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soleness, "_is_at", lambda *_: False)  # whoever has it takes it away, again and again
    with sole(tmp_path / "x"):
        pass


def test_a_lock_file_that_may_not_be_looked_at_goes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lstat(path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, "not even to be looked at", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", lstat)
        with sole(tmp_path / "x"), pytest.raises(OutputError, match="another run"), sole(tmp_path / "x"):
            raise AssertionError
    assert names(tmp_path) == []
