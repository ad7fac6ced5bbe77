"""Velocity from acceleration, and the zones of ISO 20816-3."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import assert_refused, diagnosis_schema, faultdx, validate
from scipy import integrate
from scipy import signal as scipy_signal

from faultdx.errors import ConfigError, RecordError
from faultdx.records.record import Record
from faultdx.report import levels
from faultdx.report.document import to_dict
from faultdx.severity import LIMITS, machine_class, severity, severity_evidence
from faultdx.signals.velocity import STANDARD_G, quantity_of, velocity_rms, velocity_spectrum
from faultdx.untrained import Untrained

Array = npt.NDArray[np.float64]
RATE = 12_000.0


def sine(hz: float, amplitude: float = 1.0, *, seconds: float = 5.0, rate: float = RATE) -> Array:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate + 0.3)


def rms(x: Array, unit: str, *, rate: float = RATE, **changes: Any) -> float:
    quantity = quantity_of(unit)
    assert quantity is not None
    return velocity_rms(x, sampling_rate_hz=rate, quantity=quantity, **changes).rms


def expected(hz: float, metres: float) -> float:
    return 1000 * metres / (2 * math.pi * hz) / math.sqrt(2)


# Velocity


@pytest.mark.parametrize(
    ("unit", "metres"), [("g", STANDARD_G), ("m/s2", 1.0), ("mm/s²", 1e-3), ("mg", STANDARD_G / 1000)]
)
@pytest.mark.parametrize("hz", [12.3, 50.0, 333.3, 990.0])
def test_a_sine_has_the_velocity_of_its_integral(unit: str, metres: float, hz: float) -> None:
    assert rms(sine(hz, 0.7), unit) == pytest.approx(expected(hz, 0.7 * metres), rel=0.002)


def test_a_velocity_stays_one() -> None:
    assert rms(sine(50, 3.0), "mm/s") == pytest.approx(3 / math.sqrt(2), rel=1e-3)
    assert rms(sine(50, 0.1), "in/s") == pytest.approx(2.54 / math.sqrt(2), rel=1e-3)


def test_powers_add() -> None:
    both = rms(sine(20) + sine(400, 5.0), "m/s2")
    assert both == pytest.approx(math.hypot(rms(sine(20), "m/s2"), rms(sine(400, 5.0), "m/s2")), rel=1e-3)


@pytest.mark.parametrize("hz", [2.0, 8.0, 1050.0, 4000.0])
def test_what_is_outside_the_band_does_not_count(hz: float) -> None:
    assert rms(sine(hz), "m/s2") < 0.02 * expected(hz, 1.0)


def test_neither_offset_nor_drift_blows_up() -> None:
    clean = sine(50)
    t = np.arange(clean.size) / RATE
    assert rms(clean + 100 + 2 * t, "m/s2") == pytest.approx(rms(clean, "m/s2"), rel=1e-3)


def test_noise_agrees_with_integrating_in_time() -> None:
    sos = scipy_signal.butter(4, (50.0, 600.0), "bandpass", fs=RATE, output="sos")
    x = scipy_signal.sosfilt(sos, np.random.default_rng(1).standard_normal(round(30 * RATE)))
    velocity = scipy_signal.detrend(integrate.cumulative_trapezoid(x, dx=1 / RATE))
    assert rms(x, "m/s2") == pytest.approx(1000 * float(np.std(velocity)), rel=0.02)


def test_the_spectrum_reads_peaks_in_mm_a_second() -> None:
    quantity = quantity_of("g")
    assert quantity is not None
    f, a = velocity_spectrum(sine(50, 0.5), sampling_rate_hz=RATE, quantity=quantity)
    assert a.max() == pytest.approx(expected(50, 0.5 * STANDARD_G) * math.sqrt(2), rel=1e-6)
    assert f[a.argmax()] == pytest.approx(50) and not a[f < 9].any()


def test_too_short_and_too_slow_say_so() -> None:
    with pytest.raises(RecordError, match="too short"):
        rms(sine(50, seconds=0.9), "g")
    with pytest.raises(RecordError, match="record faster"):
        rms(sine(5, rate=20.0), "g", rate=20.0)
    quantity = quantity_of("g")
    assert quantity is not None
    slow = velocity_rms(sine(50, rate=1000.0), sampling_rate_hz=1000.0, quantity=quantity)
    assert not slow.whole and slow.top_hz == 450
    assert slow.rms == pytest.approx(expected(50, STANDARD_G), rel=1e-3)
    for bad in (np.zeros((2, 99)), np.full(99_999, np.nan)):
        with pytest.raises(RecordError):
            rms(bad, "g")
    with pytest.raises(RecordError, match="sampling rate"):
        rms(sine(50), "g", rate=math.nan)


@pytest.mark.parametrize("unit", ["g", " G ", "m/s2", "m/s^2", "m/s²", "m / s**2", "mm/s2", "mm/s", "in/s", "ips"])
def test_units_that_are_known(unit: str) -> None:
    assert quantity_of(unit) is not None


@pytest.mark.parametrize("unit", [None, "", "V", "m", "mils", "g RMS", "counts", "Pa"])
def test_units_that_are_not(unit: str | None) -> None:
    assert quantity_of(unit) is None


# Zones


def a_record(mm_s: float = 2.0, **changes: Any) -> Record:
    facts: dict[str, Any] = {
        "rpm": 1500.0,
        "unit": "mm/s",
        "details": {"machine_class": "group2-rigid", "power_kw": "75"},
    }
    facts["signal"] = sine(50, mm_s * math.sqrt(2)).astype(np.float32)
    return Record(sampling_rate_hz=RATE, **(facts | changes))


def test_limits_are_those_of_the_standard() -> None:
    assert LIMITS["group1-rigid"] == LIMITS["group2-flexible"] == (2.3, 4.5, 7.1)
    assert LIMITS["group1-flexible"] == (3.5, 7.1, 11.0) and LIMITS["group2-rigid"] == (1.4, 2.8, 4.5)


@pytest.mark.parametrize(
    ("mm_s", "zone"), [(1.39, "A"), (1.41, "B"), (2.79, "B"), (2.81, "C"), (4.49, "C"), (4.51, "D"), (40.0, "D")]
)
def test_zones(mm_s: float, zone: str) -> None:
    assert severity(a_record(mm_s)).zone == zone
    known = machine_class("Group2_Rigid", power_kw=75)
    assert known is not None and known.zone(1.4) == "A" and known.zone(4.5) == "C"


def test_the_worst_channel_decides() -> None:
    rows = np.stack([sine(50, 1.0), sine(50, 10.0)]).astype(np.float32)
    assert severity(replace(a_record(), signal=rows, channels=("x", "y"))).zone == "D"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"details": {}}, "--machine-class"),
        ({"details": {"machine_class": "group2-rigid"}}, "power is not known"),
        ({"details": {"machine_class": "group2-rigid", "power_kw": "1.5"}}, "out of scope"),
        ({"details": {"machine_class": "group2-rigid", "power_kw": "15"}}, "above 15 kW"),
        ({"details": {"machine_class": "group2-rigid", "power_kw": "400"}}, "group2 ends at 300 kW"),
        ({"details": {"machine_class": "group1-rigid", "power_kw": "60000"}}, "group1 ends at 50000 kW"),
        ({"details": {"machine_class": "group3", "power_kw": "75"}}, "group3"),
        ({"details": {"machine_class": "group2-rigid", "power_kw": "much"}}, "much"),
        ({"rpm": None}, "speed is not known"),
        ({"rpm": 100.0}, "120 to 30000"),
        ({"rpm": 31_000.0}, "120 to 30000"),
        ({"unit": None}, "no unit is declared"),
        ({"unit": "V"}, "no unit of acceleration"),
        ({"sampling_rate_hz": 1500.0}, "reaches 675 Hz"),
        ({"signal": np.zeros((1, 20_000), np.float32)}, "flat"),
        ({"signal": np.ones((1, 200), np.float32)}, "too short"),
    ],
)
def test_no_zone_without_all_that_it_takes(changes: dict[str, Any], words: str) -> None:
    found = severity(replace(a_record(), **changes))
    assert found.zone is None and words in found.why_no_zone
    json.dumps(found.to_dict(), allow_nan=False)


def test_nothing_is_said_by_default() -> None:
    assert severity_evidence(a_record(unit=None, details={})) == {}
    assert severity_evidence(a_record(details={})) == {}  # a velocity costs a third of a diagnosis
    said = severity_evidence(a_record(details={"machine_class": "group1-rigid"}))["severity"]
    assert said["zone"] is None and said["channels"][0]["rms_mm_s"] == pytest.approx(2.0, rel=1e-3)


def test_limits_of_ones_own() -> None:
    found = severity(a_record(2.0, rpm=None, details={"zones": "1;3/9"}))
    assert found.zone == "B" and found.machine is not None and found.machine.standard == "limits as given"
    for bad in ("1,2", "3,2,1", "a,b,c", "0,1,2", "1,2,inf", "nan,1,2"):
        with pytest.raises(ConfigError):
            machine_class(None, zones=bad)
    with pytest.raises(ConfigError, match="exclude"):
        machine_class("group1-rigid", zones="1,2,3")
    assert machine_class(None) is None


# Diagnosis, page, command


def test_evidence_and_page() -> None:
    g = a_record(unit="g", signal=sine(50, 0.2).astype(np.float32))
    record = replace(g, details={**g.details, "teeth": "20"})
    found = Untrained().diagnose(record, quality="off")
    assert found.evidence["severity"]["zone"] == "C"  # 4.41 mm/s, and D begins at 4.5
    validate(to_dict(found), diagnosis_schema(), diagnosis_schema())
    page = levels.section(found)
    assert "plan the repair" in page and 'aria-label="velocity spectrum"' in page
    assert "4.41 mm/s RMS, 10 to 1000 Hz" in page
    without = replace(found, record=replace(record, unit=None))
    assert "no unit is declared" in levels.section(without) and "<svg" not in levels.section(without)
    assert levels.section(replace(found, status="unusable")) == "" == levels.section(replace(found, record=None))
    hostile = replace(found, record=replace(record, unit="<b>", channels=("<i>",)))
    assert "<b>" not in levels.section(hostile) and "<i>" not in levels.section(hostile)


def test_an_unfit_record_has_no_zone() -> None:
    record = replace(a_record(), signal=np.zeros((1, 60_000), np.float32))
    found = Untrained().diagnose(replace(record, details={**record.details, "teeth": "20"}))
    assert found.status == "unusable" and "severity" not in found.evidence


def test_the_command(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    np.save(
        tmp_path / "a.npy", (sine(500, 0.2) + sine(30, 0.05) + 0.1 * rng.standard_normal(60_000)).astype(np.float32)
    )
    words = ("diagnose", tmp_path / "a.npy", "--gear", "20", "--rpm", "1500", "--sampling-rate", "12000", "--json")
    ran = faultdx(*words, "--unit", "g", "--machine-class", "group2-rigid", "--power", "22")
    assert ran.code == 0, ran.err
    said = ran.objects[0]["evidence"]["severity"]
    assert said["zone"] == "B" and said["machine"]["limits_mm_s"] == [1.4, 2.8, 4.5]
    table = "path,sampling_rate_hz,rpm,unit,teeth,zones\na.npy,12000,1500,g,20,0.1/0.2/0.3\n"
    (tmp_path / "records.csv").write_text(table)
    assert faultdx("diagnose", tmp_path, "--json").objects[0]["evidence"]["severity"]["zone"] == "D"
    for bad in (("--machine-class", "III"), ("--power", "nan")):
        assert_refused(faultdx(*words, *bad), 2, bad[1].lstrip("-"))
