"""Gears: the synchronous average, the indicators, the witness, and `diagnose --gear`."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import assert_refused, diagnosis_schema, faultdx, validate
from scipy import signal as scipy_signal
from scipy import stats

from faultdx.diagnosis import Diagnosis
from faultdx.errors import ConfigError, RecordError
from faultdx.gearing import SUSPECTED, KnownGears, hear_gears, known_gears, with_gears
from faultdx.records import read_record
from faultdx.records.record import Record
from faultdx.report import gears, text
from faultdx.report.document import to_dict
from faultdx.report.html import render
from faultdx.signals.gears import GearWitness, assess_gears
from faultdx.signals.indicators import Indicators, indicators, mesh_envelope, moment, parts_of
from faultdx.signals.mesh import find_mesh, order_spectrum
from faultdx.signals.synchronous import Angle, mesh_angle, steady_angle, synchronous_average
from faultdx.simulation.rig import RIGS, simulate_one
from faultdx.untrained import Untrained

Array = npt.NDArray[np.float64]
RATE, SAMPLES = 12_800.0, 1024
TURN = np.arange(SAMPLES) / SAMPLES
PINION, WHEEL = 29, 95


def line(order: float, amplitude: float = 1.0, phase: float = 0.3, u: Array = TURN) -> Array:
    return amplitude * np.cos(2 * np.pi * order * u + phase)


def of(average: Array, teeth: int = 20, **changes: Any) -> Indicators:
    return indicators(parts_of(average, teeth=teeth), teeth=teeth, **changes)


@pytest.fixture(scope="module")
def broken() -> Record:
    return simulate_one("gearbox", "gear_broken_tooth", 1, RIGS["gearbox"].conditions[4], seconds=4, seed=8)


@pytest.fixture(scope="module")
def sound() -> Record:
    return simulate_one("gearbox", "healthy", 1, RIGS["gearbox"].conditions[4], seconds=4, seed=8)


def ask(record: Record, *, teeth: int = PINION, other: int | None = WHEEL, rpm: float | None = None) -> GearWitness:
    return assess_gears(
        record.signal[0],
        sampling_rate_hz=record.sampling_rate_hz,
        rpm=rpm or record.rpm or 0.0,
        teeth=teeth,
        other_teeth=other,
    )


# The indicators, by closed forms


def test_a_pure_mesh_leaves_nothing() -> None:
    parts = parts_of(line(20, 2.0) + line(40, 0.5), teeth=20)
    assert parts.mesh[:2] == pytest.approx([2.0, 0.5])
    assert np.abs(parts.residual).max() < 1e-9
    found = of(line(20, 2.0))
    assert found.fm0 == pytest.approx(2.0, rel=1e-3)  # peak to peak 2 A over A
    assert found.energy_ratio < 1e-9 and found.sideband_index < 1e-9


def test_one_foreign_line_has_the_moments_of_a_sine() -> None:
    found = of(line(20, 2.0) + line(7, 0.5))
    assert found.fm4 == pytest.approx(1.5)  # 3/8 over 1/4
    assert found.m6a == pytest.approx(2.5)  # 5/16 over 1/8
    assert found.m8a == pytest.approx(4.375)  # 35/128 over 1/16
    assert found.energy_ratio == pytest.approx(0.25)
    assert found.na4 == pytest.approx(1.5)


def test_amplitude_modulation_is_in_the_sidebands_alone() -> None:
    depth = 0.3
    x = 2.0 * (1 + depth * np.cos(2 * np.pi * TURN)) * np.cos(2 * np.pi * 20 * TURN)
    found, parts = of(x), parts_of(x, teeth=20)
    assert parts.sidebands[0] == pytest.approx([depth, depth])  # A m / 2
    assert found.sideband_index == pytest.approx(depth)
    assert found.sideband_level_factor == pytest.approx(2 * depth / math.sqrt(np.mean(x**2)))
    assert np.abs(parts.difference).max() < 1e-9 < np.abs(parts.residual).max()
    envelope = mesh_envelope(x, teeth=20, harmonic=1)
    assert envelope == pytest.approx(2.0 * (1 + depth * np.cos(2 * np.pi * TURN)))
    assert found.nb4 == pytest.approx(1.5)


def test_the_parts_add_up() -> None:
    x = np.random.default_rng(1).standard_normal(SAMPLES)
    parts = parts_of(x, teeth=17)
    assert parts.regular + parts.difference == pytest.approx(x - x.mean())
    orders = np.abs(np.fft.rfft(parts.difference))
    for order in (0, 1, 2, 16, 17, 18, 33, 34, 35):
        assert orders[order] < 1e-9
    assert orders[15] > 1e-3 and np.abs(np.fft.rfft(parts.residual))[16] > 1e-3


@pytest.mark.parametrize("order", [4, 6, 8])
def test_moments_agree_with_scipy(order: int) -> None:
    x = np.random.default_rng(order).gamma(2.0, size=4000)
    assert moment(x, order) == pytest.approx(stats.moment(x, order) / np.var(x) ** (order // 2))
    noise = np.random.default_rng(order).standard_normal(1 << 20)
    assert moment(noise, order) == pytest.approx({4: 3, 6: 15, 8: 105}[order], rel=0.1)


def test_fm4_is_the_kurtosis_of_the_difference() -> None:
    x = line(20, 3.0) + np.random.default_rng(2).standard_normal(SAMPLES)
    parts = parts_of(x, teeth=20)
    assert of(x).fm4 == pytest.approx(float(stats.kurtosis(parts.difference, fisher=False)))
    assert of(x).na4 == pytest.approx(float(stats.kurtosis(parts.residual, fisher=False)))


def test_na4_grows_with_the_power_of_the_residual() -> None:
    early, late = line(20) + line(24, 0.1), line(20) + line(24, 0.3)
    before = of(early)
    after = of(late, earlier=[(before.residual_power, before.envelope_power)])
    # kurtosis of a sine, times (9 / mean of 1 and 9) squared
    assert after.na4 == pytest.approx(1.5 * (9 / 5) ** 2)
    assert after.na4_earlier == 1
    assert after.nb4 == pytest.approx(
        of(late).nb4 * (after.envelope_power / np.mean([before.envelope_power, after.envelope_power])) ** 2
    )
    same = of(early, earlier=[(before.residual_power, before.envelope_power)] * 3)
    assert same.na4 == pytest.approx(1.5)


def test_what_is_no_average_is_refused() -> None:
    for bad in (np.zeros((2, 8)), np.full(64, np.nan), np.zeros(4)):
        with pytest.raises(RecordError):
            parts_of(bad, teeth=20)
    with pytest.raises(RecordError, match="record faster"):
        parts_of(TURN, teeth=20, up_to_order=15)
    with pytest.raises(ConfigError):
        parts_of(TURN, teeth=4)
    flat = of(np.zeros(SAMPLES))
    assert math.isnan(flat.fm4) and math.isnan(flat.fm0) and math.isnan(flat.energy_ratio)


# The synchronous average


def even(turns: float, rate_hz: float = 25.0) -> Angle:
    return steady_angle(round(turns / rate_hz * RATE), sampling_rate_hz=RATE, rate_hz=rate_hz)


def test_the_average_is_the_periodic_part() -> None:
    angle = even(100.2, 25.13)  # no whole number of samples a turn
    truth = line(7, 1.0, u=angle.turns) + line(40, 0.5, u=angle.turns)
    noise = np.random.default_rng(3).standard_normal(truth.size)
    found = synchronous_average(truth + noise, angle, teeth=20)
    u = np.arange(found.mean.size) / found.mean.size
    left = found.mean - line(7, 1.0, u=u) - line(40, 0.5, u=u)
    assert found.turns == 98
    assert found.error == pytest.approx(1 / math.sqrt(98), rel=0.15)  # interpolating takes a little of white noise
    assert left.std() == pytest.approx(1 / math.sqrt(98), rel=0.2)
    assert found.share == pytest.approx(0.625 / 1.625, rel=0.1)
    alone = synchronous_average(truth, angle, teeth=20)
    assert alone.mean == pytest.approx(line(7, u=u) + line(40, 0.5, u=u), abs=0.01)
    assert alone.share > 0.999


def test_the_other_shaft_vanishes_over_its_own_turns() -> None:
    angle = even(101.0)
    x = line(3, u=angle.turns * 0.4)  # a shaft at 2/5: back in place after 5 turns
    assert np.abs(synchronous_average(x, angle, teeth=20, multiple=5).mean).max() < 1e-3
    assert np.abs(synchronous_average(x, angle, teeth=20, multiple=1).mean).max() > 1e-3
    wheel = synchronous_average(x, angle, ratio=0.4, teeth=50)
    u = np.arange(wheel.mean.size) / wheel.mean.size
    assert wheel.mean == pytest.approx(line(3, u=u), abs=0.01)


def test_an_average_needs_turns() -> None:
    angle = even(4.5)
    with pytest.raises(RecordError, match="whole turns"):
        synchronous_average(np.zeros(angle.turns.size), angle, teeth=20)
    with pytest.raises(RecordError):
        synchronous_average(np.zeros(angle.turns.size - 1), angle, teeth=20)
    with pytest.raises(ConfigError):
        synchronous_average(np.zeros(angle.turns.size), angle, ratio=0.0, teeth=20)


def test_the_phase_of_the_mesh_is_the_angle() -> None:
    t = np.arange(round(6 * RATE)) / RATE
    turns = 25 * t + 0.03 * np.sin(2 * np.pi * 0.4 * t) + 0.005 * t**2  # a speed that wanders by 0.5 %
    x = line(20, u=turns) + 0.3 * line(20.4, u=turns) + 0.5 * np.random.default_rng(4).standard_normal(t.size)
    coarse = steady_angle(t.size, sampling_rate_hz=RATE, rate_hz=float(turns[-1] - turns[0]) / t[-1])
    found = mesh_angle(x, coarse, teeth=20, slowest=0.4, sampling_rate_hz=RATE)
    inside = slice(round(0.1 * RATE), -round(0.1 * RATE))
    error = (found.turns - turns - np.mean(found.turns - turns))[inside]
    assert found.source == "mesh" and found.harmonic == 1
    assert np.abs(error).max() < 0.002 < np.abs((coarse.turns - turns)[inside]).max()
    assert found.wander == pytest.approx(np.std(turns - coarse.turns), rel=0.1)


def test_without_a_mesh_the_angle_stays_as_it_was() -> None:
    noise = np.random.default_rng(5).standard_normal(round(4 * RATE))
    coarse = steady_angle(noise.size, sampling_rate_hz=RATE, rate_hz=25.0)
    assert mesh_angle(noise, coarse, teeth=20, slowest=0.4, sampling_rate_hz=RATE) is coarse


def test_the_order_spectrum_reads_amplitudes() -> None:
    angle = even(200.0)
    x = line(20, 2.0, u=angle.turns) + line(20.4, 0.2, u=angle.turns)
    x += 0.1 * np.random.default_rng(6).standard_normal(x.size)
    spectrum = order_spectrum(x, angle, up_to_order=60)
    assert spectrum.line(20).amplitude == pytest.approx(2.0, rel=0.03)
    assert spectrum.line(20.4).amplitude == pytest.approx(0.2, rel=0.15)  # up to 1.4 dB between two bins
    assert spectrum.line(20).seen and spectrum.line(20.4).seen and not spectrum.line(21).seen
    assert math.isnan(spectrum.line(1000).amplitude)
    frequency, power = scipy_signal.welch(x, RATE, "hann", nperseg=round(32 * RATE / 25), scaling="spectrum")
    at = int(np.abs(frequency - 500).argmin())
    assert spectrum.line(20).amplitude == pytest.approx(math.sqrt(2 * power[at - 1 : at + 2].max()), rel=0.03)


@pytest.mark.parametrize("off", [0.0, 0.03, -0.045])
def test_the_mesh_is_found_beside_a_wrong_speed(sound: Record, off: float) -> None:
    x = sound.signal[0].astype(np.float64)
    assert sound.rpm is not None
    found = find_mesh(x, sampling_rate_hz=RATE, rate_hz=sound.rpm * (1 + off) / 60, teeth=PINION)
    assert found.certainty > 0.95
    assert found.rpm / PINION == pytest.approx(sound.rpm, rel=1e-3)


# The witness


@pytest.mark.parametrize("label", ["gear_broken_tooth", "gear_missing_tooth"])
@pytest.mark.parametrize("condition", [0, 8])
def test_a_tooth_that_is_gone_is_suspected(label: str, condition: int) -> None:
    record = simulate_one("gearbox", label, 3, RIGS["gearbox"].conditions[condition], seconds=4, seed=9)
    found = ask(record)
    assert found.verdict == SUSPECTED
    assert [gear.verdict for gear in found.gears] == [SUSPECTED, "no_evidence"]
    assert "first gear" in found.reasons[0]


@pytest.mark.parametrize("label", ["healthy", "bearing_inner_race", "bearing_outer_race", "bearing_ball"])
def test_sound_gears_are_not(label: str) -> None:
    for specimen, condition in enumerate((1, 4, 6)):
        record = simulate_one("gearbox", label, specimen, RIGS["gearbox"].conditions[condition], seconds=4, seed=9)
        found = ask(record)
        assert found.verdict == "no_evidence", found.reasons
        assert found.angle is not None and found.angle.source == "mesh"


def test_the_words_do_not_depend_on_gain_and_sign(broken: Record) -> None:
    found = ask(broken).to_dict()
    other = ask(broken.with_(signal=-1000.0 * broken.signal)).to_dict()
    for one in (found, other):
        for entry in one["mesh"]:
            entry.pop("amplitude")
        for gear in one["gears"]:
            for key in ("sideband_index", "residual_power", "envelope_power"):
                gear["indicators"].pop(key)
    assert json.dumps(found) == json.dumps(other)


def test_speed_and_mesh_are_what_they_are(broken: Record) -> None:
    assert broken.rpm is not None
    found = ask(broken, rpm=broken.rpm * 1.04)
    assert found.speed_hz * 60 == pytest.approx(broken.rpm, rel=1e-3)
    assert found.shift == pytest.approx(1 / 1.04 - 1, abs=1e-3)
    assert found.mesh_hz == pytest.approx(PINION * found.speed_hz)
    assert found.mesh[0].seen and found.verdict == SUSPECTED


def modulated(wheel_tooth: float | None, *, pinion_tooth: float | None = None, seconds: float = 12.0) -> Array:
    """Two gears in mesh at 1500 rpm, one tooth of either that carries less."""
    t = np.arange(round(seconds * RATE)) / RATE
    turns = 25.0 * t + 0.01 * np.sin(2 * np.pi * 0.5 * t)
    gain = np.ones(t.size)
    for tooth, teeth, ratio in ((pinion_tooth, PINION, 1.0), (wheel_tooth, WHEEL, PINION / WHEEL)):
        if tooth is not None:
            away = (((turns * ratio) % 1.0) * teeth - tooth + teeth / 2) % teeth - teeth / 2
            gain -= 0.6 * np.exp(-(away**2))
    x = gain * sum(line(k * PINION, 1 / k, k, u=turns) for k in (1, 2, 3))
    return np.asarray(x + 0.3 * np.random.default_rng(7).standard_normal(t.size))


def witness(x: Array, **changes: Any) -> GearWitness:
    known: dict[str, Any] = {"sampling_rate_hz": RATE, "rpm": 1500.0, "teeth": PINION, "other_teeth": WHEEL}
    return assess_gears(x, **(known | changes))


def test_the_gear_that_has_the_fault_is_named() -> None:
    found = witness(modulated(40.0))
    assert [gear.verdict for gear in found.gears] == ["no_evidence", SUSPECTED]
    assert "second gear" in found.reasons[0]


@pytest.mark.parametrize("tooth", [3.0, 17.0])
def test_the_difference_shows_the_tooth(tooth: float) -> None:
    gear = witness(modulated(None, pinion_tooth=tooth)).gears[0]
    assert gear.parts is not None
    d = gear.parts.difference**2
    place = float(np.angle(np.sum(d * np.exp(2j * np.pi * np.arange(d.size) / d.size))) / (2 * np.pi)) % 1 * PINION
    assert place == pytest.approx(tooth, abs=1.0)


def test_sidebands_go_to_the_shaft_that_makes_them() -> None:
    t = np.arange(round(8 * RATE)) / RATE
    ratio = PINION / WHEEL
    x = (1 + 0.2 * np.cos(2 * np.pi * 25 * ratio * t)) * sum(line(k * PINION, u=25 * t) for k in (1, 2, 3))
    x += 0.05 * np.random.default_rng(8).standard_normal(t.size)
    sides = {s.shaft: s for s in witness(x).sidebands if s.harmonic == 1}
    assert [entry.seen for entry in sides["second gear"].lines] == [True, True, False, False, False, False]
    assert sides["second gear"].share == pytest.approx(0.2 / math.sqrt(2), rel=0.1)  # two lines of 0.1
    assert sides["first gear"].share == 0.0


def test_stray_blows_are_no_tooth() -> None:
    x = modulated(None)
    rng = np.random.default_rng(9)
    x[rng.integers(0, x.size, 12)] += 40.0
    assert witness(x).verdict == "no_evidence"


@pytest.mark.parametrize(
    ("x", "changes", "words"),
    [
        (np.random.default_rng(1).standard_normal(round(0.5 * RATE)), {}, "too short"),
        (np.zeros(round(4 * RATE)), {}, "flat"),
        (np.random.default_rng(1).standard_normal(round(4 * RATE)), {}, "no comb of mesh lines"),
        (np.random.default_rng(1).standard_normal(round(4 * RATE)), {"sampling_rate_hz": 1400.0}, "too slowly"),
        (modulated(None, seconds=4), {"rpm": 1700.0}, "no comb of mesh lines"),
    ],
)
def test_what_cannot_be_assessed_says_why(x: Array, changes: dict[str, Any], words: str) -> None:
    found = witness(x, **changes)
    assert found.verdict == "not_assessable" and words in found.reasons[0]
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_short_record_assesses_the_fast_gear_alone() -> None:
    found = witness(modulated(None, seconds=1.5))
    assert [gear.verdict for gear in found.gears] == ["no_evidence", "not_assessable"]
    assert "too short" in found.gears[1].why_not


@pytest.mark.parametrize(
    "changes", [{"teeth": 3}, {"other_teeth": 0}, {"rpm": 0.0}, {"rpm": math.nan}, {"search": 0.5}]
)
def test_impossible_questions_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        witness(np.zeros(4000), **changes)


@pytest.mark.parametrize("x", [np.zeros((2, 400)), np.full(4000, np.nan), np.zeros(4000, complex)])
def test_what_is_no_channel_is_refused(x: Array) -> None:
    with pytest.raises(RecordError):
        witness(x)


# Records, diagnoses, pages


@pytest.mark.parametrize("words", ["32,80", "32:80", " 32 / 80 ", "32;80"])
def test_teeth_are_read(words: str) -> None:
    assert known_gears(words) == KnownGears(32, 80)
    assert known_gears("32") == KnownGears(32)


@pytest.mark.parametrize("words", ["", "a", "32,", "32,80,17", "3", "32,4", "-32", "32.5", "1001", "9999999999", "٣٢"])
def test_other_teeth_are_refused(words: str) -> None:
    with pytest.raises(ConfigError):
        known_gears(words)


def named(record: Record, **details: str) -> Record:
    return replace(record, details={**record.details, "teeth": f"{PINION}:{WHEEL}", **details})


def test_a_record_without_teeth_is_not_asked(sound: Record) -> None:
    sound = replace(sound, details={k: v for k, v in sound.details.items() if k != "teeth"})
    assert hear_gears(sound) is None
    before = Diagnosis("x", "", "diagnosed", verdict="normal", fault=False)
    assert with_gears(before, sound) is before


def test_gears_alone_give_a_word_and_never_a_fault(broken: Record, sound: Record) -> None:
    for record, verdict in ((broken, SUSPECTED), (sound, "no_evidence")):
        found = Untrained().diagnose(named(record))
        assert (found.status, found.verdict, found.fault) == ("diagnosed", verdict, None)
        assert found.evidence["gears"]["verdict"] == verdict
        validate(to_dict(found), diagnosis_schema(), diagnosis_schema())
        json.dumps(to_dict(found), allow_nan=False)
    assert "bearing" not in text.one_line(found)


def test_gears_that_cannot_be_looked_at(sound: Record) -> None:
    no_speed = Untrained().diagnose(replace(named(sound), rpm=None))
    assert no_speed.status == "unusable" and "--rpm" in no_speed.quality[-1].message
    nonsense = Untrained().diagnose(named(sound, teeth="many"))
    assert nonsense.status == "unusable" and "many" in nonsense.quality[-1].message
    elsewhere = Untrained().diagnose(replace(named(sound), rpm=2500.0))
    assert elsewhere.status == "undecided" and elsewhere.verdict is None
    for found in (no_speed, nonsense, elsewhere):
        assert text.sentence(found) and text.one_line(found) and gears.section(found) is not None


def test_beside_a_bearing_the_gears_are_evidence(broken: Record, sound: Record) -> None:
    alone = Untrained().diagnose(replace(sound, details={"bearing": "6205-2RS JEM"}))
    both = Untrained().diagnose(named(sound, bearing="6205-2RS JEM"))
    assert (alone.status, alone.verdict, alone.fault) == (both.status, both.verdict, both.fault)
    assert "gears" in both.evidence and "gears" not in alone.evidence
    hit = Untrained().diagnose(named(broken, bearing="6205-2RS JEM"))
    assert hit.evidence["gears"]["verdict"] == SUSPECTED
    assert hit.fault is None or hit.verdict != SUSPECTED  # of the bearing, if at all
    assert "tooth" in text.one_line(hit)


def test_an_all_clear_beside_a_suspected_tooth_is_none(broken: Record, sound: Record) -> None:
    clear = Diagnosis("x", "", "diagnosed", verdict="normal", fault=False, confidence=0.99)
    found = with_gears(clear, named(broken))
    assert (found.status, found.verdict, found.fault) == ("undecided", None, None)
    assert any("a tooth may be damaged" in warning for warning in found.warnings)
    assert with_gears(clear, named(broken), insists=True).verdict == "normal"
    assert with_gears(clear, named(sound)).verdict == "normal"
    faulty = replace(clear, verdict="outer_race", fault=True)
    assert with_gears(faulty, named(broken)).verdict == "outer_race"


def test_a_doubted_speed_suspects_nothing(broken: Record) -> None:
    from faultdx.signals.quality import Check

    doubt = Check("speed", 1.0, 0.0, "warn", "the spectrum shows another speed")
    heard = hear_gears(named(broken), checks=[doubt])
    assert heard is not None and heard.verdict == "not_assessable" and "in doubt" in heard.warning


def test_the_page_shows_mesh_and_teeth(broken: Record) -> None:
    found = Untrained().diagnose(named(broken))
    page = render(found, model_info=Untrained().info)
    assert gears.section(found) in page and gears.section(found) == gears.section(found)
    assert "The gears" in page and "tooth, from where the recording begins" in page
    assert page.count('aria-label="synchronous average over one turn"') == 2
    assert page.count('aria-label="mesh amplitude over orders"') == 1
    assert len(page.encode()) < 400_000
    assert "FM4" in page and "evidence.gears" not in page
    hostile = replace(
        found, evidence={"gears": {"reasons": ["<script>"], "channel": "<b>", "verdict": "<i>"}}, gears=None
    )
    assert "<script>" not in gears.section(hostile) and "<b>" not in gears.section(hostile)


# The command


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory, broken: Record, sound: Record) -> Path:
    folder = tmp_path_factory.mktemp("gears")
    np.save(folder / "broken.npy", broken.signal[0])
    np.save(folder / "sound.npy", sound.signal[0])
    (folder / "records.csv").write_text(
        "path,sampling_rate_hz,rpm,teeth\nbroken.npy,12800,1800,29/95\nsound.npy,12800,1800,29/95\n"
    )
    return folder


def test_the_command_without_a_model(spool: Path, tmp_path: Path) -> None:
    words = ("diagnose", spool / "broken.npy", "--gear", "29,95", "--rpm", "1800", "--sampling-rate", "12800")
    ran = faultdx(*words, "--json", "--fail-on", "fault")
    assert ran.code == 0, ran.err
    assert ran.objects[0]["verdict"] == SUSPECTED and ran.objects[0]["fault"] is None
    assert faultdx(*words, "--fail-on", SUSPECTED, "--report", tmp_path / "pages").code == 3
    assert "The gears" in next((tmp_path / "pages").glob("*.html")).read_text("utf-8")


def test_the_table_names_the_teeth(spool: Path) -> None:
    ran = faultdx("diagnose", spool, "--json", "--jobs", "2")
    assert ran.code == 0, ran.err
    assert [one["verdict"] for one in ran.objects] == [SUSPECTED, "no_evidence"]


@pytest.mark.parametrize(
    ("words", "said"), [(("--gear", "29,x"), "29,x"), (("--gear", "2"), "5 or more"), ((), "--gear")]
)
def test_nonsense_is_refused_before_any_work(spool: Path, words: tuple[str, ...], said: str) -> None:
    assert_refused(faultdx("diagnose", spool / "sound.npy", *words), 2, said)


def test_without_a_speed_it_is_said(spool: Path, tmp_path: Path) -> None:
    shutil.copy(spool / "sound.npy", tmp_path)
    ran = faultdx("diagnose", tmp_path / "sound.npy", "--gear", "29", "--sampling-rate", "12800")
    assert ran.code == 4 and "--rpm" in ran.out + ran.err


@pytest.mark.real_data
def test_the_mesh_of_a_real_gearbox_and_no_false_alarm(real_data: Path) -> None:
    for name in ("h30hz0.csv", "b30hz80.csv"):
        record = read_record(real_data / "gearbox_gfd" / name, sampling_rate_hz=12_800.0, rpm=1800.0, channels=("a2",))
        found = ask(record, teeth=32, other=80)
        assert found.mesh_hz == pytest.approx(950, abs=3) and found.certainty > 0.95
        assert found.angle is not None and found.angle.source == "mesh"
        assert found.verdict == "no_evidence"  # of the broken tooth, too: docs/gears.md
        assert found.mesh[0].level_db > 15
