"""A part of the matrix of names, locales, terminals, descriptors and limits; the whole of it is torture/matrix.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers import Trained, beyond_a_gateway, faultdx
from torture import matrix

BY_NAME = {c.name: c for c in matrix.CONDITIONS}
# Each stands for a family, with a command that is quick.
CELLS = (
    ("networks", "PYTHONIOENCODING=ascii:strict LC_ALL=C"),
    ("inspect", "working folder deleted"),
    ("inspect", "PYTHONWARNINGS=error"),
    ("bearing", "PYTHONUTF8=0 LC_ALL=C PYTHONCOERCECLOCALE=0"),
    ("bearing", "PYTHONOPTIMIZE=2"),
    ("diagnose", "64 descriptors"),
    ("prepare", "OMP_NUM_THREADS=garbage"),
    ("history", "stdout full"),
)
FEW = (b"\x1b[31m\n<b>$(touch pwned)\xff.mat", b"y" * 246 + b".mat")
ROLES = ("inspect file", "csv", "missing model")


@pytest.fixture(scope="module")
def made(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matrix")
    shutil.copytree(trained.rig, folder / "rig")
    shutil.copy(trained.prepared, folder / "rig.h5")
    shutil.copytree(trained.run, folder / "run")
    ran = faultdx("diagnose", "rig/501.mat", "--model", "run", "--history", "h.sqlite", cwd=folder)
    assert ran.code == 0
    ran = faultdx("baseline", "rig/501.mat", "--out", "b.json", cwd=folder)
    assert ran.code == 0, ran.err
    return folder


@beyond_a_gateway
@pytest.mark.parametrize(("command", "condition"), CELLS)
def test_a_command_survives(made: Path, command: str, condition: str) -> None:
    ((cell, said),) = matrix.conditions(made, (command,), (BY_NAME[condition],))
    assert said is None, (cell, said)


@beyond_a_gateway
@pytest.mark.parametrize("name", FEW, ids=["control", "long"])
def test_a_name_is_a_name_in_every_role(made: Path, name: bytes) -> None:
    cells = dict(matrix.names(made, ROLES, (name,)))
    assert len(cells) == len(ROLES) and [c for c in cells.items() if c[1] is not None] == []


def test_what_is_wrong_is_found() -> None:
    line = b"faultdx: error: x: no such file\n"
    assert matrix.wrong_with(matrix.Ended(2, b"", line), 2) is None
    for code, err in (
        (0, line), (2, b"Traceback (most recent call last)"), (2, b""), (2, line * 2), (2, b"\x1b[31m" + line),
        (-11, b""), (2, b"x\n"), (1, b"faultdx: internal error: x\n"),
    ):  # fmt: skip
        assert matrix.wrong_with(matrix.Ended(code, b"", err), 2) is not None, (code, err)
