"""Fixtures that more than one room needs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from helpers import TINY, TRAINER, Trained, faultdx
from hypothesis import settings

# The same examples in every run, whatever the machine's load; HYPOTHESIS_PROFILE=default searches for others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

HERE = Path(__file__).resolve().parent
# What faultdx remembers of a user is remembered for this session alone, in its processes too.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="faultdx-tests-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings: FAULTDX_REAL_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))
    if not (folder / "cwru" / "105.mat").is_file():
        pytest.skip(f"no real recordings in {folder} (set FAULTDX_REAL_DATA to the folder that holds cwru/)")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The whole chain, once a session, by the command line: simulate, prepare, train; and specimens never seen."""
    folder = tmp_path_factory.mktemp("chain")
    rig, prepared, run, unseen = (folder / name for name in ("rig", "rig.h5", "run", "unseen"))
    commands: dict[str, tuple[str | Path, ...]] = {
        "simulate": ("simulate", "bearing", "--specimens", "3", "--seconds", "1", "--out", rig),
        "unseen": (
            "simulate",
            "bearing",
            "--specimens",
            "1",
            "--first-specimen",
            "3",
            "--seconds",
            "1",
            "--out",
            unseen,
        ),
        "prepare": ("prepare", rig, "--split", "specimen", "--out", prepared),
        "train": ("train", prepared, *TINY, "--out", run),
    }
    said = {}
    for name, command in commands.items():
        ran = faultdx(*command, command=TRAINER)
        assert ran.code == 0, (name, ran.err)
        said[name] = (ran.out, ran.err)
    return Trained(rig, prepared, run, unseen, said)


@pytest.fixture
def good(trained: Trained, tmp_path: Path) -> Path:
    """A folder with one readable recording, a.mat."""
    shutil.copy(trained.unseen / "501.mat", tmp_path / "a.mat")
    return tmp_path
