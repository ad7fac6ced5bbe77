"""A disk that fails, the fast part: `python -m tests.torture.faults` fails every call of every command.

And the walk through the source: there is no way out to the disk but those of `faultdx.files`.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import Trained, beyond_a_gateway, environment, faultdx
from torture.disk import SHORT, compiled
from torture.ways_out import EXCEPTIONS, ways_out

import faultdx as package
from faultdx import files, leftovers
from faultdx.dataset import created, open_prepared
from faultdx.errors import DatasetError, OutputError
from faultdx.files import atomic_write, check_folder, write_together
from faultdx.sink import Sink
from faultdx.transfer import Partial

PACKAGE = Path(package.__file__).parent


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# ---- one way out


def test_every_output_goes_through_the_one_way_out() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}:{line}: {what}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, what in ways_out(path.read_text("utf-8"))
        if str(path.relative_to(PACKAGE)) not in EXCEPTIONS
    }
    assert not found, "write through faultdx.files, or say in EXCEPTIONS why not:\n" + "\n".join(sorted(found))


def test_each_exception_is_one() -> None:
    idle = {name for name in EXCEPTIONS if not (PACKAGE / name).is_file()}
    assert not idle


@pytest.mark.parametrize(
    "line",
    [
        "open('a', 'w')", "open('a', mode='ab')", "Path('a').open('x')", "Path('a').write_text('b')", "np.save('a', b)",
        "h5py.File('a', 'w')", "torch.save(a, 'b')", "os.rename('a', 'b')", "os.replace('a', 'b')", "frame.to_csv('a')",
        "sqlite3.connect('a')", "os.open('a', os.O_WRONLY | os.O_CREAT)", "figure.savefig('a.png')", "a.rename(b)",
        "safetensors.torch.save_file(a, 'b')",
    ],
)  # fmt: skip
def test_the_walk_sees_each_way_out(line: str) -> None:
    assert list(ways_out(line))


@pytest.mark.parametrize("line", ["open('a')", "Path('a').open('rb')", "h5py.File('a', 'r')", "text.replace('a', 'b')"])
def test_the_walk_lets_readers_pass(line: str) -> None:
    assert not list(ways_out(line))


# ---- files that stand for one result


def _failing(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, nth: int) -> Callable[[], int]:
    real, calls = getattr(owner, name), 0

    def failing(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(errno.EIO, "broken")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    return lambda: calls


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(("owner", "name"), [(os, "open"), (os, "fsync"), (os, "fdopen"), (Path, "rename")])
@pytest.mark.parametrize("nth", range(1, 9))
def test_whichever_call_fails_all_are_old_or_all_are_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool, owner: object, name: str, nth: int
) -> None:
    kinds = ("a.csv", "b.html", "c.json")
    for kind in kinds if old else ():
        (tmp_path / kind).write_text("old")
    (tmp_path / "stale").write_text("of the old one")
    before = {p.name: p.read_text() for p in tmp_path.iterdir()}
    after = dict.fromkeys(kinds, "new")
    with monkeypatch.context() as patch:
        calls = _failing(patch, owner, name, nth)
        failed = False
        try:
            write_together({tmp_path / kind: "new" for kind in kinds}, without=[tmp_path / "stale"])
        except OutputError as error:
            failed = True
            assert str(tmp_path) in str(error) and "input/output error" in str(error)
    found = {p.name: p.read_text() for p in tmp_path.iterdir()}
    last_sync = (name, nth) == ("fsync", len(kinds) + 1) or (name, nth) == ("open", len(kinds) + 1)
    assert failed == (calls() >= nth)
    assert found == (after if not failed or last_sync else before)


@pytest.mark.parametrize("first", range(1, 7))
def test_what_may_not_be_looked_at_any_more_is_not_taken_for_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    kinds = ("a.csv", "b.html", "c.json")
    for kind in kinds:
        (tmp_path / kind).write_text("old")
    real, calls = os.stat, 0

    def failing(path: str, **how: bool) -> os.stat_result:
        nonlocal calls
        calls += str(tmp_path) in str(path) and str(path) != str(tmp_path)
        if calls >= first:
            raise PermissionError(errno.EACCES, "not even to be looked at", path)
        return real(path, **how)

    monkeypatch.setattr(os, "stat", failing)
    monkeypatch.setattr(os, "lstat", failing)
    with pytest.raises(OutputError):
        write_together({tmp_path / kind: "new" for kind in kinds})
    monkeypatch.undo()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == dict.fromkeys(kinds, "old")


@pytest.mark.parametrize("last", [1, 2, 3])
def test_where_no_name_can_be_changed_back_the_old_contents_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    (tmp_path / "model.onnx").write_text("old")
    (tmp_path / "model.json").write_text("old")
    real, calls = Path.rename, 0

    def failing(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > last:
            raise OSError(errno.EIO, "broken for good")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError):
        write_together({tmp_path / "model.onnx": "new", tmp_path / "model.json": "new"})
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"model.onnx": "old", "model.json": "old"}


def test_what_can_neither_be_renamed_nor_written_leaves_nothing_that_vouches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_text("old")
    (tmp_path / "model.json").write_text("old")
    real, calls = Path.rename, 0

    def failing(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(errno.EIO, "broken for good")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    monkeypatch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "and this")))
    with pytest.raises(OutputError):
        write_together({tmp_path / "model.onnx": "new", tmp_path / "model.json": "new"})
    monkeypatch.undo()
    assert not (tmp_path / "model.json").exists()
    # under names that are swept when they are old
    assert sorted(p.read_text() for p in tmp_path.iterdir() if leftovers.is_temporary(p.name)) == ["old", "old"]


def test_they_can_be_refused_before_any_is_touched(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")
    with pytest.raises(OutputError, match="b: exists already"):
        write_together({tmp_path / "a": "new", tmp_path / "b": "new"}, overwrite=False)
    assert names(tmp_path) == ["b"]


# ---- found out before the long work


def test_a_disk_that_takes_no_byte_is_found_out_before_the_work(tmp_path: Path) -> None:
    """An empty file can still be made there, and under a limit on file sizes, which is how it is tested here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OutputError, match="file too large; the system limits the size of files"):
            check_folder(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOTSUP])
def test_a_folder_that_cannot_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112 - a name of the kernel
            raise OSError(error, "not here")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    atomic_write(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def test_two_that_write_one_file_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "a") as first, files.replacing(tmp_path / "a") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a").read_text() == "first" and names(tmp_path) == ["a"]


# ---- HDF5


def test_a_sink_reads_back_what_the_disk_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink(tmp_path / "x")
    sink.write(b"0123456789")
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    for at, data in ((5, b"abcdefgh"), (2, b"XY")):
        sink.seek(at)
        assert sink.write(data) == len(data)
    sink.seek(0)
    assert sink.read() == b"01XY4abcdefgh"
    with pytest.raises(OSError, match="full"):
        sink.check()
    sink.close()
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_prepared_file_on_a_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with (
        pytest.raises(OutputError, match=r"p\.h5: cannot be written: no space left"),
        created(tmp_path / "p.h5", total=0, channels=1, samples=8, labels=[], overwrite=False) as writer,
    ):
        writer.finish({}, {"classes": ["a"]})
    assert names(tmp_path) == []


def test_a_prepared_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a descriptor has no name of its own."""
    (tmp_path / "p.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for owner, call in ((os, "pread"), (mmap, "mmap")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, call, lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
            said = r"p\.h5: cannot be read: input/output error; check the disk"
            with pytest.raises(DatasetError, match=said), open_prepared(tmp_path / "p.h5"):
                raise AssertionError


def test_what_only_the_close_of_a_download_says_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"x\.part\.faultdx-tmp: cannot be written"),
        Partial(tmp_path / "x") as partial,
    ):
        partial.append(b"data")
        os.close(partial._fd)


# ---- what goes by way of scratch files


@beyond_a_gateway
def test_no_room_to_quantise_in_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faultdx import quantization

    def full(**_: object) -> object:
        raise OSError(errno.ENOSPC, "full", str(tmp_path))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(OutputError, match="cannot be written: no space left on device"):
        quantization.quantize(b"", np.zeros((4, 1, 8), np.float32))


@beyond_a_gateway
def test_scratch_files_that_may_not_be_removed_are_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tempfile tries again and again, until Python has no stack left."""
    from onnxruntime import quantization as library

    from faultdx import portable, quantization

    def endless(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(library, "quantize_static", endless)
    onnx = portable.packages_for_export()
    monkeypatch.setattr(onnx, "load_from_string", lambda _: onnx.ModelProto())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(OutputError, match="scratch files cannot be removed"):
        quantization.quantize(b"", np.zeros((4, 1, 8), np.float32))
    assert names(tmp_path) == []


def test_a_scratch_folder_takes_what_libraries_leave_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with leftovers.scratch() as folder:
        (folder / "ours").touch()
        left = Path(tempfile.mkdtemp())
        (left / "theirs").touch()
        assert left.parent == folder and folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
    assert names(tmp_path) == [] and tempfile.tempdir == str(tmp_path)


# ---- the command line, on a disk that fails


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = compiled(tmp_path_factory.mktemp("shim"))
    if found is None:
        pytest.skip("no C compiler (cc) to build the failing disk with")
    return found


def failing_disk(library: Path, out: Path, kind: str, at: int, error: int, *, sticky: bool = False) -> dict[str, str]:
    state = out.parent / "state"
    state.write_bytes(bytes(16))
    return environment(
        LD_PRELOAD=str(library), FAULTS_ROOT=str(out.resolve()), FAULTS_KIND=kind, FAULTS_AT=str(at),
        FAULTS_ERRNO=str(error), FAULTS_STICKY=str(int(sticky)), FAULTS_STATE=str(state),
    )  # fmt: skip


def failed_calls(out: Path) -> int:
    return int.from_bytes((out.parent / "state").read_bytes()[8:], sys.byteorder)


@beyond_a_gateway
@pytest.mark.parametrize(
    ("kind", "at", "error", "sticky"),
    [("write", 3, errno.ENOSPC, True), ("write", 6, errno.ENOSPC, True), ("rename", 1, errno.EIO, False),
     ("sync", 1, errno.EIO, False), ("size", 1, errno.ENOSPC, True)],
)  # fmt: skip
def test_prepare_keeps_the_old_file_and_ends_without_a_signal(
    trained: Trained, library: Path, tmp_path: Path, kind: str, at: int, error: int, sticky: bool
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "p.h5").write_bytes(b"old")
    env = failing_disk(library, out, kind, at, error, sticky=sticky)
    ran = faultdx("prepare", trained.rig, "--out", out / "p.h5", "--overwrite", "--quiet", env=env)
    assert failed_calls(out) and ran.code == 5, ran
    assert f"{out}/p.h5: cannot be written" in ran.err and ran.err.count("\n") == 1
    assert (out / "p.h5").read_bytes() == b"old" and names(out) == ["p.h5"]


def test_a_disk_that_takes_half_a_write_gets_the_other_half(trained: Trained, library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    env = failing_disk(library, out, "write", 3, SHORT)
    ran = faultdx("prepare", trained.rig, "--split", "specimen", "--out", out / "p.h5", "--quiet", env=env)
    assert ran.code == 0 and failed_calls(out) == 1
    assert (out / "p.h5").read_bytes() == trained.prepared.read_bytes()


@pytest.mark.parametrize(("kind", "at"), [("write", 2), ("write", 9), ("sync", 3), ("open", 4)])
def test_diagnose_on_a_full_disk_says_its_verdict_and_keeps_its_history(
    trained: Trained, library: Path, tmp_path: Path, kind: str, at: int
) -> None:
    import contextlib
    import sqlite3

    out, recording = tmp_path / "out", trained.unseen / "501.mat"
    out.mkdir()
    argv = ("diagnose", recording, "--model", trained.run, "--history", out / "h.sqlite", "--csv", out / "t.csv")
    env = failing_disk(library, out, kind, at, errno.ENOSPC, sticky=True)
    ran = faultdx(*argv, "--quiet", env=env)
    assert failed_calls(out) and ran.code == 5, ran
    assert str(out) in ran.err and "t.csv" not in names(out)
    again = faultdx(*argv, "--quiet")
    assert again.code == 0, again
    with contextlib.closing(sqlite3.connect(out / "h.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM diagnosis").fetchone() == (1,)


def test_the_failing_disk_fails_what_it_should_and_nothing_else(library: Path, tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    code = "import sys; open(sys.argv[2] + '/a', 'wb').write(b'x'); open(sys.argv[1] + '/a', 'wb').write(b'x')"
    env = failing_disk(library, inside, "open", 1, errno.EACCES)
    done = subprocess.run(
        [sys.executable, "-c", code, inside, outside], env=env, capture_output=True, text=True, check=False
    )
    assert "PermissionError" in done.stderr and failed_calls(inside) == 1
    assert (outside / "a").read_bytes() == b"x" and names(inside) == []
