"""The checks of the signal, where a user meets them: inspect, prepare, diagnose."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from helpers import Trained, diagnosis_schema, faultdx, faultdx_here, validate

from faultdx.signals.quality import LIMITS


def variables(file: Path) -> dict[str, Any]:
    return {k: v for k, v in scipy.io.loadmat(file).items() if not k.startswith("__")}


def altered(source: Path, target: Path, change: Any) -> Path:
    """Copy a recording with its signal changed."""
    found = variables(source)
    name = max(found, key=lambda key: np.size(found[key]))
    scipy.io.savemat(target, found | {name: change(found[name].astype(float))})
    return target


def clipped(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -0.5 * x.std(), 0.5 * x.std())


def holed(x: np.ndarray) -> np.ndarray:
    out = x.copy()
    out.flat[100:103] = np.nan
    return out


@pytest.fixture
def spoilt(trained: Trained, tmp_path: Path) -> Path:
    """Three recordings of one machine: as it was, clipped, and with a hole of NaN."""
    source = trained.unseen / "501.mat"
    altered(source, tmp_path / "good.mat", lambda x: x)
    altered(source, tmp_path / "clipped.mat", clipped)
    altered(source, tmp_path / "holed.mat", holed)
    return tmp_path


def test_inspect_gives_every_check_with_its_value_and_limit(spoilt: Path) -> None:
    ran = faultdx_here("inspect", "good.mat", "clipped.mat", "holed.mat", "--json", cwd=spoilt)
    good, bad, nothing = ran.objects
    assert ran.code == 4
    assert [c["name"] for c in good["quality"]] == list(LIMITS) == [c["name"] for c in bad["quality"]]
    assert all(set(c) == {"name", "value", "limit", "severity", "message"} for c in good["quality"])
    assert good["refused"] is None and {c["severity"] for c in good["quality"]} <= {"ok", None}
    assert all((c["value"] is None) == (c["severity"] is None) for c in good["quality"])
    (fired,) = [c for c in bad["quality"] if c["severity"] == "refuse"]
    assert fired["name"] == "clipped" and fired["value"] > 0.3 > fired["limit"] and "clipped.mat" in bad["refused"]
    assert "not finite" in nothing["refused"]
    said = faultdx_here("inspect", "clipped.mat", cwd=spoilt).out
    assert "check clipped" in said and "of 15 passed" in said


def test_a_spoilt_signal_is_unusable_and_never_gets_a_class(trained: Trained, spoilt: Path) -> None:
    names = ("good.mat", "clipped.mat", "holed.mat")
    ran = faultdx_here("diagnose", *names, "--model", trained.run, "--json", "--min-confidence", "0", cwd=spoilt)
    assert ran.code == 4
    schema = diagnosis_schema()
    for found, name, check in zip(ran.objects, names, ("", "clipped", "not_finite"), strict=True):
        validate(found, schema, schema)
        assert found["sha256"] == hashlib.sha256((spoilt / name).read_bytes()).hexdigest()
        assert [c["name"] for c in found["quality"] if c["severity"] == "refuse"] == [check] * bool(check)
        assert (found["status"], found["verdict"] is None) == (("unusable", True) if check else ("diagnosed", False))
        assert ("faultdx: " + name in ran.err) == bool(check)


@pytest.mark.parametrize(("policy", "fired"), [("warn", ["warn"]), ("off", [])])
def test_the_user_may_overrule_a_check(trained: Trained, spoilt: Path, policy: str, fired: list[str]) -> None:
    options = ("--model", trained.run, "--json", "--min-confidence", "0", "--quality", policy)
    ran = faultdx_here("diagnose", "clipped.mat", *options, cwd=spoilt)
    (found,) = ran.objects
    assert ran.code == 0 and found["verdict"] is not None
    assert [c["severity"] for c in found["quality"] if c["name"] == "clipped"] == fired
    assert any("end of the range" in w for w in found["warnings"]) == bool(fired)
    wrong = faultdx_here("diagnose", "clipped.mat", "--model", trained.run, "--quality", "perhaps", cwd=spoilt)
    assert wrong.code == 2 and "refuse, warn, off" in wrong.err


def test_prepare_leaves_a_refused_recording_out_and_says_so(trained: Trained, tmp_path: Path) -> None:
    for label, number in (("a", 1), ("b", 5)):
        (tmp_path / "rig" / label).mkdir(parents=True)
        for i, source in enumerate(sorted(trained.rig.glob("*.mat"))[number : number + 2]):
            altered(source, tmp_path / "rig" / label / f"{i}.mat", lambda x: x)
    altered(tmp_path / "rig" / "a" / "0.mat", tmp_path / "rig" / "a" / "spoilt.mat", clipped)
    options = ("--split", "time", "--segment", "1024")
    ran = faultdx_here("prepare", "rig", "--out", "p.h5", *options, cwd=tmp_path)
    (line,) = [line for line in ran.err.splitlines() if line.startswith("left out: ")]
    assert ran.code == 4 and "spoilt.mat" in line and "end of the range" in line and "--quality warn" in line
    taken = faultdx_here("prepare", "rig", "--out", "q.h5", *options, "--quality", "warn", cwd=tmp_path)
    assert taken.code == 0 and "left out" not in taken.err
    assert any("spoilt.mat" in line and "end of the range" in line for line in taken.err.splitlines())
    with h5py.File(tmp_path / "p.h5") as p, h5py.File(tmp_path / "q.h5") as q:
        assert (len(p["records/path"]), len(q["records/path"])) == (4, 5)
        assert json.loads(q.attrs["config"])["quality"] == "warn"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"fs": 2e12}, "a sampling rate of 2e+12 Hz (variable fs) is impossible"),
        ({"rpm": 1e-9}, "rpm is impossible"),
        ({"scale": 1e33}, "which no sensor gives"),
    ],
)
def test_one_impossible_file_costs_no_other(
    trained: Trained, tmp_path: Path, change: dict[str, float], cause: str
) -> None:
    signal = np.random.default_rng(1).normal(size=20_000).cumsum()
    signal -= np.convolve(signal, np.ones(200) / 200, mode="same")
    facts = {"fs": 12_000.0, "rpm": 1500.0} | {k: v for k, v in change.items() if k != "scale"}
    scipy.io.savemat(tmp_path / "bad.mat", {"x": signal * change.get("scale", 1.0), **facts})
    altered(trained.unseen / "501.mat", tmp_path / "good.mat", lambda x: x)
    ran = faultdx_here("diagnose", "bad.mat", "good.mat", "--model", trained.run, "--json", cwd=tmp_path)
    bad, good = ran.objects
    assert ran.code == 4 and good["status"] != "error" and good["probabilities"]
    assert bad["status"] == "error" and "bad.mat" in bad["error"]["message"] and cause in bad["error"]["message"]
    assert cause in faultdx_here("inspect", "bad.mat", "--json", cwd=tmp_path).objects[0]["refused"]


def test_inspect_shows_what_a_scale_makes_of_the_level(spoilt: Path) -> None:
    plain, scaled = (
        faultdx_here("inspect", "good.mat", *options, "--json", cwd=spoilt).objects[0]["levels"][0]["rms"]
        for options in ((), ("--scale", "10"))
    )
    assert scaled == pytest.approx(10 * plain, rel=1e-5)


def test_a_dead_sensor_stays_at_its_measuring_point(trained: Trained, spoilt: Path) -> None:
    ran = faultdx("diagnose", "holed.mat", "--model", trained.run, "--metrics-file", "m.prom", cwd=spoilt)
    assert ran.code == 4
    (line,) = [x for x in (spoilt / "m.prom").read_text().splitlines() if x.startswith("faultdx_record_status{")]
    assert 'point="DE"' in line and 'status="unusable"' in line


def test_what_was_not_checked_is_neither_passed_nor_failed(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.convolve(rng.normal(size=30_000), [1, 1.5, 0.7], "same"), "fs": 12e3})
    said = faultdx_here("inspect", "a.mat", cwd=tmp_path).out
    assert "13 of 15 passed, speed, few_turns not made" in said and "check speed" not in said and "None" not in said
