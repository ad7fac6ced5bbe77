"""The ways out to the disk: the whole of a file or none of it, and names that cannot forge a message."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faultdx import files
from faultdx.errors import ConfigError, OutputError
from faultdx.files import atomic_write, check_space, check_target, output_error, replacing, show

as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# Names in messages


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.mat", "plain.mat"),
        ("Lager 3/Prüfstand ö 軸受.mat", "Lager 3/Prüfstand ö 軸受.mat"),
        ("two\nlines", "two\\x0alines"),
        ("bell\x07 escape\x1b[31m red", "bell\\x07 escape\\x1b[31m red"),
        ("right\u202eto left", "right\\u202eto left"),
        ("mark\u200f, isolate\u2066", "mark\\u200f, isolate\\u2066"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("line\u2028paragraph\u2029next\x85", "line\\u2028paragraph\\u2029next\\x85"),
        (os.fsdecode(b"caf\xe9.mat"), "caf\\xe9.mat"),
        ("lone\ud800", "lone\\ud800"),
        ("", ""),
    ],
)
def test_a_name_is_shown_on_one_line_as_it_is_or_spelled_out(name: str, shown: str) -> None:
    assert show(name) == shown


def test_a_path_is_shown_as_its_text() -> None:
    assert show(Path("a") / "b.mat") == "a/b.mat"


@settings(deadline=None)
@given(st.text())
def test_whatever_the_name_what_is_shown_can_be_printed(name: str) -> None:
    shown = show(name)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert show(shown) == shown


# Writing


def test_text_and_bytes_are_written_whole(tmp_path: Path) -> None:
    atomic_write(tmp_path / "new folder" / "a.txt", "größer ≥ 3\n")
    assert (tmp_path / "new folder" / "a.txt").read_bytes() == "größer ≥ 3\n".encode()
    atomic_write(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    atomic_write(tmp_path / "c", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "c").read_bytes() == b"caf\\udce9"
    assert names(tmp_path) == ["b", "c", "new folder"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "result"
    target.write_text("old")
    with target.open() as reader:
        atomic_write(target, "new")
        assert reader.read() == "old"  # who has it open goes on reading the old one
    target.write_text("old")
    with replacing(target) as temporary:
        temporary.write_text("ne")
        assert target.read_text() == "old"
        assert temporary.parent == tmp_path  # a rename across file systems would not be atomic
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "x"), ValueError("bug"), KeyboardInterrupt(), SystemExit(3)])
def test_what_fails_inside_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "result"
    target.write_text("old")
    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), replacing(target) as temporary:
        temporary.write_text("half of it")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("module_call", ["os.open", "os.fsync", "os.fdopen", "pathlib.Path.replace"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_whichever_call_fails_there_is_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module_call: str, nth: int
) -> None:
    target = tmp_path / "result"
    target.write_text("old")
    owner: Any = Path if module_call.startswith("pathlib") else os
    name = module_call.rpartition(".")[2]
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(errno.ENOSPC, "no space")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing)
        try:
            atomic_write(target, "new")
            failed = False
        except OutputError as error:
            failed = True
            assert str(error) == (
                f"{target}: cannot be written: no space left on device; free some space or write elsewhere"
            )
    assert failed == (calls >= nth)
    assert target.read_text() in (("old", "new") if failed else ("new",))
    assert names(tmp_path) == ["result"]


def test_a_leftover_of_a_killed_process_of_the_same_number_is_no_obstacle_and_goes_after_a_day(tmp_path: Path) -> None:
    young, old = (tmp_path / f".{name}.{os.getpid()}.faultdx-tmp" for name in ("young", "old"))
    for path, hours in ((young, 23), (old, 25)):
        path.write_text("half")
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    atomic_write(tmp_path / "result", "whole")
    assert (tmp_path / "result").read_text() == "whole"
    assert names(tmp_path) == [young.name, "result"]


def test_overwriting_can_be_refused(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "1", overwrite=False)
    with pytest.raises(OutputError, match=r"a: exists already; --overwrite replaces it"):
        atomic_write(tmp_path / "a", "2", overwrite=False)
    assert (tmp_path / "a").read_text() == "1"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["n" * 255, "軸" * 85, "ö" * 127, os.fsdecode(b"\xe9" * 255)])
def test_the_longest_names_that_a_disk_takes_can_be_written(tmp_path: Path, name: str) -> None:
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    atomic_write(tmp_path / name, "x")
    assert (tmp_path / name).read_text() == "x"


def test_a_folder_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken: is a folder; name a file"):
        atomic_write(tmp_path / "taken", "x")
    assert names(tmp_path) == ["taken"]


# Finding out before the long work


def test_a_free_target_is_fit_and_its_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "deep" / "out.h5"
    assert check_target(os.fspath(target), overwrite=False) == target
    assert names(target.parent) == []


def test_a_taken_target_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError) as caught:
        check_target(tmp_path / "out", overwrite=False)
    assert str(caught.value) == f"{tmp_path}/out: exists already; --overwrite replaces it"
    with pytest.raises(OutputError, match="--resume continues it, --overwrite replaces it"):
        check_target(tmp_path / "out", overwrite=False, resume_hint=True)
    assert check_target(tmp_path / "out", overwrite=True) == tmp_path / "out"
    assert (tmp_path / "out").read_text() == "mine"
    assert names(tmp_path) == ["out"]


def test_a_link_that_leads_nowhere_is_found_out_before_the_work(tmp_path: Path) -> None:
    """It holds nothing, and yet its name cannot be given to a new file."""
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    said = f"{tmp_path}/out: is a link that leads nowhere; remove it, or choose another name"
    for attempt in (
        lambda: check_target(tmp_path / "out", overwrite=False),
        lambda: check_target(tmp_path / "out", overwrite=False, folder_too=True),
        lambda: atomic_write(tmp_path / "out", "x", overwrite=False),
        lambda: files.write_together({tmp_path / "out": "x"}, overwrite=False),
    ):
        with pytest.raises(OutputError) as caught:
            attempt()
        assert str(caught.value) == said
    assert names(tmp_path) == ["out"] and (tmp_path / "out").is_symlink()


def test_a_file_for_a_folder_and_a_name_too_long_are_found_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for overwrite in (True, False):
        with pytest.raises(OutputError, match="cannot be written") as caught:
            check_target(tmp_path / "file" / "out", overwrite=overwrite)
        assert "a folder" in str(caught.value) or "check the path" in str(caught.value)
    with pytest.raises(OutputError, match="file name too long; choose a shorter name"):
        check_target(tmp_path / ("x" * 300), overwrite=False)


@as_root
def test_a_folder_that_may_not_be_written_is_found_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission denied; choose a folder that you may write to"):
            check_target(tmp_path / "out", overwrite=False)
        with pytest.raises(OutputError, match="permission denied"):
            atomic_write(tmp_path / "out", "x")
    finally:
        tmp_path.chmod(0o700)


def test_a_name_in_an_output_error_is_spelled_out() -> None:
    text = str(output_error("a\nb\u202e", OSError(errno.EROFS, "x")))
    assert text == ("a\\x0ab\\u202e: cannot be written: read-only file system; choose a folder that is not read-only")
    assert str(output_error("x", OSError("odd"))) == "x: cannot be written: odd; check the path and the disk"


def test_too_little_room_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_space(tmp_path / "out", 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(OutputError, match="needs 5 MB and the disk has 1 MB free; free some space or write elsewhere"):
        check_space(tmp_path / "out", 5_000_000)
    monkeypatch.undo()
    with pytest.raises(OutputError, match="no such file or directory"):
        check_space(tmp_path / "missing" / "out", 1)


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    dead, alive = done.pid, os.getppid()
    stale = f".a.h5.{dead}.faultdx-tmp"
    others = {f".a.h5.{alive}.faultdx-tmp", f".a.h5.{dead}.tmp", f"a.h5.{dead}.faultdx-tmp", ".a.h5.x.faultdx-tmp"}
    for name in {stale, *others}:
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (time.time() - 7200,) * 2)
    (tmp_path / f".b.h5.{dead}.faultdx-tmp").write_text("just made")
    atomic_write(tmp_path / "a.h5", "whole")
    assert {p.name for p in tmp_path.iterdir()} == {*others, f".b.h5.{dead}.faultdx-tmp", "a.h5"}


# ---- what an output must not be


def test_outputs_are_files_of_their_own(tmp_path: Path) -> None:
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    files.check_distinct({"--csv": a, "--history": b, "--metrics-file": None}, [tmp_path / "c.mat", "-", "no\0name"])
    with pytest.raises(ConfigError, match=r"--history and --csv are one file"):
        files.check_distinct({"--csv": a, "--history": tmp_path / "x" / ".." / "a.csv"}, [])
    a.write_bytes(b"a")
    b.hardlink_to(a)
    with pytest.raises(ConfigError, match="are one file"):
        files.check_distinct({"--csv": a, "--history": b}, [])
    (tmp_path / "link").symlink_to(a)
    with pytest.raises(ConfigError, match=r"--csv: .*link is read by this very command"):
        files.check_distinct({"--csv": a}, [tmp_path / "link"])


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to("/dev/null")
    for attempt in (lambda: files.check_target(target, overwrite=True), lambda: files.atomic_write(target, b"x")):
        with pytest.raises(OutputError, match=r"out: is a (folder|pipe|device)"):
            attempt()
    assert not target.is_file()


def test_of_two_runs_into_one_new_file_one_is_told(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(OutputError, match="another run"), files.replacing(target, overwrite=False) as temporary:
        temporary.write_bytes(b"mine")
        files.atomic_write(target, b"theirs", overwrite=False)
    assert target.read_bytes() == b"theirs" and [p.name for p in tmp_path.iterdir()] == ["out"]
