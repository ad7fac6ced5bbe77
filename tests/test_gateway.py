"""An installation that has what `diagnose` needs and no more: what it can do, and what it says of what it cannot.

`make gateway` builds it and sets FAULTDX_COMMAND; without it there is nothing to test here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from helpers import FAULTDX, TRAINER, Trained, faultdx

pytestmark = pytest.mark.skipif(FAULTDX == TRAINER, reason="no gateway: make gateway builds one and tests it")
PYTHON = str(Path(FAULTDX[0]).parent / "python")
MISSING = ("torch", "scipy", "pandas", "matplotlib", "onnx", "onnxscript", "safetensors", "pooch", "distributed")
LARGEST_MB = 300


def gateway(code: str) -> str:
    """Run a line of Python in the gateway."""
    done = subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True, cwd="/")
    return done.stdout.strip()


def test_it_has_no_more_than_it_needs() -> None:
    for name in MISSING:
        assert gateway(f"import importlib.util as u; print(u.find_spec({name!r}))") == "None", name
    site = Path(gateway("import numpy; print(numpy.__path__[0])")).parent
    size = sum(f.lstat().st_size for f in site.rglob("*") if f.is_file())
    assert size / 1e6 < LARGEST_MB


def test_it_is_what_was_built_and_not_the_checkout() -> None:
    where = Path(gateway("import faultdx; print(faultdx.__file__)"))
    assert where.is_relative_to(Path(PYTHON).parent.parent)
    assert "site-packages" in where.parts


@pytest.fixture
def spool(trained: Trained, tmp_path: Path) -> Path:
    """One signal in every format that needs no extra, and a file that is none."""
    folder = tmp_path / "spool"
    folder.mkdir()
    shutil.copy(trained.unseen / "501.mat", folder / "a.mat")
    mat = scipy.io.loadmat(folder / "a.mat")
    signal = next(v for k, v in mat.items() if k.endswith("_time")).ravel()
    with h5py.File(folder / "b.h5", "w") as file:
        file["vibration"] = signal
    np.savetxt(folder / "c.csv", signal, header="vibration", comments="")
    np.save(folder / "d.npy", signal)
    shutil.make_archive(str(folder / "e"), "zip", folder, "a.mat")
    (folder / "f.mat").write_bytes(b"not a recording, in any format")
    return folder


def test_it_diagnoses_as_the_machine_does_that_trained(trained: Trained, spool: Path) -> None:
    options = ("--model", trained.run, "--sampling-rate", "12000", "--json")
    files = [*sorted(spool.glob("[bcd].*")), spool / "f.mat"]
    stated = ("diagnose", spool / "a.mat", spool / "e.zip", "--model", trained.run, "--json")
    for words in (("diagnose", *files, *options), stated):
        here, there = (faultdx(*words, command=command) for command in (TRAINER, FAULTDX))
        assert here.code == there.code == (4 if files[0] in words else 0), there.err
        results = [[{k: v for k, v in one.items() if k != "elapsed_s"} for one in ran.objects] for ran in (here, there)]
        assert len(results[0]) == len(words) - (6 if files[0] in words else 4)
        assert json.dumps(results[0]) == json.dumps(results[1])


def test_it_keeps_a_history_a_table_and_metrics(trained: Trained, spool: Path, tmp_path: Path) -> None:
    outputs = ("--history", tmp_path / "h.sqlite", "--csv", tmp_path / "t.csv", "--metrics-file", tmp_path / "m.prom")
    ran = faultdx("diagnose", spool / "a.mat", "--model", trained.run, *outputs)
    assert ran.code == 0, ran.err
    shown = faultdx("history", tmp_path / "h.sqlite", "--json")
    assert shown.code == 0
    assert len(shown.objects) >= 1
    assert (tmp_path / "t.csv").stat().st_size > 0
    assert (tmp_path / "m.prom").stat().st_size > 0


def test_it_inspects(spool: Path) -> None:
    ran = faultdx("inspect", spool / "a.mat")
    assert ran.code == 0, ran.err
    assert "12000" in ran.out


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("train", ("train", "x.h5", "--out", "run")),
        ("train", ("simulate", "bearing", "--out", "rig")),
        ("download", ("download", "cwru", "--to", "cwru")),
    ],
)
def test_what_it_cannot_do_names_the_extra(extra: str, words: tuple[str, ...], tmp_path: Path) -> None:
    ran = faultdx(*words, cwd=tmp_path)
    assert ran.code == 2, ran.err
    assert f"pip install 'faultdx[{extra}]'" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert ran.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_drawn_is_refused_before_the_first_record(
    trained: Trained, spool: Path, tmp_path: Path
) -> None:
    ran = faultdx("diagnose", spool / "a.mat", "--model", trained.run, "--report", tmp_path / "reports")
    assert ran.code == 2
    assert ran.out == ""
    assert "pip install 'faultdx[report]'" in ran.err
    assert not (tmp_path / "reports").exists()


def test_every_command_has_its_help() -> None:
    for name in ("prepare", "train", "diagnose", "inspect", "simulate", "networks", "download", "history"):
        assert faultdx(name, "-h").code == 0, name
