"""A configuration out of a pipe, as shells give it: <(command). Bounded in bytes and in time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from helpers import assert_refused, faultdx_here

from faultdx.config import PrepareConfig, load
from faultdx.errors import ConfigError
from faultdx.intake import read_file


def piped(tmp_path: Path, *parts: bytes, pause_s: float = 0.0) -> Path:
    """A FIFO, and a writer in a thread that takes its time."""
    path = tmp_path / "fifo"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for part in parts:
                time.sleep(pause_s)
                try:
                    pipe.write(part)
                except BrokenPipeError:
                    return
            time.sleep(pause_s)

    threading.Thread(target=write, daemon=True).start()
    return path


def test_a_configuration_comes_out_of_a_pipe(tmp_path: Path) -> None:
    path = piped(tmp_path, b"[prepare]\nseg", b"ment = 1024\n", pause_s=0.05)
    assert load(PrepareConfig, section="prepare", file=path).segment == 1024


def test_descriptors_of_the_shell_are_taken() -> None:
    out, into = os.pipe()
    try:
        os.write(into, b"[prepare]\nhop = 7\n")
        os.close(into)
        assert load(PrepareConfig, section="prepare", file=f"/dev/fd/{out}").hop == 7
    finally:
        os.close(out)


def test_a_pipe_without_an_end_is_left(tmp_path: Path) -> None:
    path = piped(tmp_path, *[b"x" * 4096] * 1000)
    with pytest.raises(ConfigError, match="larger than any such file"):
        read_file(path, limit_bytes=1 << 16, kind=ConfigError, cure="x", wait_s=10.0)
    began = time.monotonic()
    path.unlink()
    path = piped(tmp_path, b"a", b"b", pause_s=5.0)
    with pytest.raises(ConfigError, match=r"did not end within 0\.2 s"):
        read_file(path, limit_bytes=1 << 16, kind=ConfigError, cure="x", wait_s=0.2)
    assert time.monotonic() - began < 4.0


def test_a_pipe_that_nobody_writes_to_is_not_waited_for_long(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="did not end"):
        read_file(tmp_path / "fifo", limit_bytes=10, kind=ConfigError, cure="x", wait_s=0.1)
    with pytest.raises(ConfigError, match="no regular file"):  # everything else takes no pipes
        read_file(tmp_path / "fifo", limit_bytes=10, kind=ConfigError, cure="x")
    with pytest.raises(ConfigError, match="no regular file"):
        read_file("/dev/null", limit_bytes=10, kind=ConfigError, cure="x", wait_s=0.1)


def test_what_a_pipe_says_is_checked_like_a_file(tmp_path: Path) -> None:
    path = piped(tmp_path, b"[prepare]\nsegmant = 1024\n")
    assert_refused(faultdx_here("prepare", "x", "--out", "y.h5", "--config", path, cwd=tmp_path), 2, "segmant")
