"""A network is tried once on a machine, and what remembers that is believed only where nobody else can write."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from helpers import Trained

from faultdx import inference, trials
from faultdx.errors import ModelError
from faultdx.trials import remember, trial_of, was_tried

SHAPE = (64, 1, 2048)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "faultdx" / "tried"


def test_a_trial_is_of_these_bytes_run_like_this() -> None:
    names = {
        trial_of(b"a", SHAPE, 3),
        trial_of(b"b", SHAPE, 3),
        trial_of(b"a", (64, 1, 1024), 3),
        trial_of(b"a", SHAPE, 4),
    }
    assert len(names) == 4
    assert trial_of(b"a", SHAPE, 3) in names


def test_what_was_remembered_is_known(cache: Path) -> None:
    assert not was_tried("ab" * 32)
    remember("ab" * 32)
    assert was_tried("ab" * 32) and not was_tried("cd" * 32)
    assert [p.name for p in cache.iterdir()] == ["ab" * 32]
    assert cache.stat().st_mode & 0o077 == 0


def test_what_others_may_write_is_not_believed(cache: Path) -> None:
    remember("ab" * 32)
    for path in (cache, cache / ("ab" * 32)):
        mode = path.stat().st_mode
        for open_to in (0o020, 0o002):
            path.chmod(mode | open_to)
            assert not was_tried("ab" * 32)
        path.chmod(mode)
    assert was_tried("ab" * 32)
    (cache / ("cd" * 32)).symlink_to(cache / ("ab" * 32))
    assert not was_tried("cd" * 32)
    moved = cache.with_name("elsewhere")
    cache.rename(moved)
    cache.symlink_to(moved)
    assert not was_tried("ab" * 32)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_any_umask(cache: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        remember("ab" * 32)
    finally:
        os.umask(before)
    assert was_tried("ab" * 32)


def test_nowhere_to_remember_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (str(tmp_path / "file"), "/proc/nowhere", "relative", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
        remember("ab" * 32)
        assert not was_tried("ab" * 32)


def test_the_oldest_are_forgotten(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_MOST", 8)
    for k in range(9):
        remember(f"{k:064d}")
        os.utime(cache / f"{k:064d}", (k, k))
    assert [k for k in range(9) if was_tried(f"{k:064d}")] == [4, 5, 6, 7, 8]


def test_a_network_is_tried_once_and_a_changed_one_again(
    trained: Trained, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def counted(onnx: bytes, shape: tuple[int, int, int], classes: int) -> None:
        tries.append(len(onnx))

    monkeypatch.setattr(inference, "tried", counted)
    for _ in range(3):
        inference.Network.open(trained.run)
    assert len(tries) == 1
    folder = tmp_path / "model"
    shutil.copytree(trained.run / "model", folder)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1])
    with pytest.raises(ModelError, match="another digest"):
        inference.Network.open(folder)
    monkeypatch.setattr(trials, "_RULES", 2)
    inference.Network.open(trained.run)
    assert len(tries) == 2


def test_one_that_failed_is_not_remembered(trained: Trained, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(onnx: bytes, shape: tuple[int, int, int], classes: int) -> None:
        raise inference.RefusedError("does not end")

    monkeypatch.setattr(inference, "tried", refused)
    for _ in range(2):
        with pytest.raises(ModelError, match="does not end"):
            inference.Network.open(trained.run)
    assert not cache.exists()


def test_what_another_user_owns_is_not_believed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember("ab" * 32)
    mine = os.geteuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: mine + 1)
        assert not was_tried("ab" * 32)
    assert was_tried("ab" * 32)


@pytest.mark.parametrize("place", ["tried", "faultdx", "cache"])
def test_nothing_is_remembered_where_others_may_write(cache: Path, place: str) -> None:
    """It would not be believed; and what they put there is not swept away in their place."""
    remember("ab" * 32)
    folder = {"tried": cache, "faultdx": cache.parent, "cache": cache.parent.parent}[place]
    folder.chmod(0o777)
    remember("cd" * 32)
    folder.chmod(0o700)
    assert was_tried("ab" * 32) and not was_tried("cd" * 32)


def test_another_version_of_what_runs_it_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = trial_of(b"a", SHAPE, 3)

    class Other:
        __version__ = "0.0.1"

    monkeypatch.setattr(trials, "onnx_runtime", lambda: Other)
    assert trial_of(b"a", SHAPE, 3) != before
    monkeypatch.undo()
    monkeypatch.setattr(trials, "_RULES", trials._RULES + 1)
    assert trial_of(b"a", SHAPE, 3) != before
