"""The same command gives the same bytes: by more workers, with another hash seed, folder, zone, locale and umask."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import Trained, beyond_a_gateway
from torture import same

EVERY = same.Way("all at once", {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}, 0o077, elsewhere=True)


@pytest.fixture
def beside(trained: Trained, tmp_path: Path) -> Path:
    """The chain under the names that the commands use."""
    for name, target in (("rig", trained.rig), ("rig.h5", trained.prepared), ("run", trained.run)):
        (tmp_path / name).symlink_to(target)
    return tmp_path


def command(name: str) -> same.Command:
    return next(c for c in same.COMMANDS if c.name == name)


@beyond_a_gateway
@pytest.mark.parametrize("name", ["simulate", "prepare", "diagnose"])
def test_a_command_gives_the_same_bytes_whoever_runs_it(beside: Path, name: str) -> None:
    asked = command(name)
    plain = same.outcome(asked, beside, "plain", same.Way("plain", {}))
    other = same.outcome(asked, beside, "other", EVERY, *asked.more)
    assert len(plain) >= 2 and same.different(plain, other) == []


def test_what_differs_is_found() -> None:
    assert same.different({"a": b"x", "b": b"y"}, {"a": b"x", "b": b"z"}) == ["b differs at 0: b'y' b'z'"]
    assert same.different({"a": b"x"}, {}) == ["a differs at 0: b'x' b''"]
    times = b'{"elapsed_s": 0.25, "confidence": 0.5}'
    assert same.untimed("-", times) != same.untimed("-", times.replace(b"0.5", b"0.6"))
    assert same.untimed("-", times) == same.untimed("-", times.replace(b"0.25", b"0.26"))
    assert same.untimed("model.onnx", times) == times
