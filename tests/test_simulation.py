"""Simulated machines: the physics of their signals, what a specimen is, and the files they become."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import scipy.io
import scipy.signal
import scipy.stats

from faultdx.errors import ConfigError, OutputError, RecordError
from faultdx.records.record import Record
from faultdx.signals.kinematics import SKF_6205
from faultdx.simulation import bearing, gearbox
from faultdx.simulation.bearing import Condition
from faultdx.simulation.rig import RIGS, simulate, simulate_one
from faultdx.simulation.writing import write_rig

Array = npt.NDArray[np.float64]
ORDERS = SKF_6205.orders()
LOAD1 = bearing.CONDITIONS[1]


def envelope_spectrum(record: Record, low_hz: float = 1800.0, high_hz: float = 5000.0) -> tuple[Array, Array]:
    """Orders and squared-envelope spectrum, by scipy: an oracle that shares nothing with the simulation."""
    fs = record.sampling_rate_hz
    sos = scipy.signal.butter(4, [low_hz, high_hz], "bandpass", fs=fs, output="sos")
    e = np.abs(scipy.signal.hilbert(scipy.signal.sosfiltfilt(sos, record.signal[0].astype(float)))) ** 2
    spectrum = np.abs(np.fft.rfft((e - e.mean()) * np.hanning(e.size))) ** 2
    assert record.rpm is not None
    return np.arange(spectrum.size) * fs / e.size / (record.rpm / 60.0), spectrum


def line_db(orders: Array, spectrum: Array, order: float, tolerance: float = 0.02) -> float:
    """The strongest line within `tolerance` of `order`, against the median around it, dB."""
    near = np.abs(orders / order - 1.0)
    return 10.0 * float(np.log10(spectrum[near < tolerance].max() / np.median(spectrum[near < 0.15])))


def fault_lines(record: Record) -> dict[str, float]:
    orders, spectrum = envelope_spectrum(record)
    return {name: line_db(orders, spectrum, ORDERS[name]) for name in ("bpfi", "bpfo", "2bsf")}


@pytest.fixture(scope="module")
def bearings() -> list[Record]:
    """Ten seconds of eight bearings of every class."""
    return list(simulate("bearing", specimens=8, conditions=[LOAD1], seed=5))


@pytest.fixture(scope="module")
def many() -> dict[str, list[Record]]:
    """Short records of many specimens of both rigs, for the statistics of levels."""
    return {
        kind: list(simulate(kind, specimens=40, conditions=RIGS[kind].conditions[1:2], seconds=1.5, seed=3))
        for kind in RIGS
    }


# ---- what a record is


@pytest.mark.parametrize("kind", list(RIGS))
def test_every_class_specimen_and_condition_comes_once_with_its_facts(kind: str) -> None:
    records = list(simulate(kind, specimens=2, seconds=0.2))
    rig = RIGS[kind]
    assert len({r.path for r in records}) == len(records) == len(rig.classes) * 2 * len(rig.conditions)
    assert len({r.sha256 for r in records}) == len(records)
    nominal = {c.name: c.rpm for c in rig.conditions}
    for r in records:
        assert r.signal.shape == (1, round(0.2 * rig.sampling_rate_hz))
        assert r.signal.dtype == np.float32
        assert np.isfinite(r.signal).all()
        assert r.unit == "g"
        assert r.asset
        assert r.specimen is not None
        assert r.label is not None
        assert r.specimen.startswith(r.label)
        assert r.rpm == pytest.approx(nominal[r.condition or ""], rel=0.004)
        assert 0 <= float(r.details["severity"]) < 1
        assert (r.details["fault"] == "none") == (r.label == "healthy")


def test_a_record_depends_on_nothing_but_what_it_is() -> None:
    everything = {r.path: r for r in simulate("gearbox", specimens=2, seconds=0.3, seed=9)}
    c = gearbox.CONDITIONS[4]
    alone = simulate_one("gearbox", "gear_pitting", 1, c, seconds=0.3, seed=9)
    np.testing.assert_array_equal(alone.signal, everything[alone.path].signal)
    (later,) = simulate(
        "gearbox", specimens=1, first_specimen=1, conditions=[c], classes=["gear_pitting"], seconds=0.3, seed=9
    )
    assert later.sha256 == alone.sha256
    other = simulate_one("gearbox", "gear_pitting", 1, c, seconds=0.3, seed=10)
    assert other.sha256 != alone.sha256


def test_records_come_one_at_a_time() -> None:
    assert isinstance(simulate(specimens=10_000, seconds=600), Iterator)


def test_a_specimen_keeps_its_nature_over_conditions_and_differs_from_the_others() -> None:
    def fingerprint(r: Record) -> Array:
        _, p = scipy.signal.welch(r.signal[0], r.sampling_rate_hz, nperseg=512)
        return np.log(p)

    prints = np.array([[fingerprint(r) for r in group] for group in _by_specimen("inner_race")])
    within = prints.std(axis=1).mean()
    between = prints.mean(axis=1).std(axis=0).mean()
    assert between > 3 * within


def _by_specimen(label: str) -> Iterator[list[Record]]:
    for number in range(6):
        yield [simulate_one("bearing", label, number, c, seconds=4, seed=2) for c in bearing.CONDITIONS]


def test_severities_of_four_specimens_cover_the_range() -> None:
    for label in ("ball", "inner_race", "outer_race"):
        s = [float(simulate_one("bearing", label, i, LOAD1, seconds=0.1).details["severity"]) for i in range(4)]
        assert min(s) < 0.4
        assert max(s) > 0.6


# ---- bearings


def test_the_envelope_shows_the_fault_and_no_other(bearings: list[Record]) -> None:
    own = {"inner_race": "bpfi", "outer_race": "bpfo", "ball": "2bsf"}
    seen = []
    false = []
    for r in bearings:
        lines = fault_lines(r)
        if r.label == "healthy":
            false.append(max(lines.values()) > 15.0)
        else:
            seen.append(lines[own[r.label or ""]] > 15.0)
    assert np.mean(seen) >= 0.9
    assert np.mean(false) <= 0.15


def test_load_zone_gives_shaft_sidebands_to_the_inner_race_and_cage_sidebands_to_the_ball(
    bearings: list[Record],
) -> None:
    def sidebands(label: str, line: float, spacing: float) -> float:
        found = []
        for r in bearings:
            if r.label != label:
                continue
            orders, spectrum = envelope_spectrum(r)
            near = (orders > line * 0.985) & (orders < line * 1.015)
            centre = orders[near][spectrum[near].argmax()]
            floor = np.median(spectrum[np.abs(orders - line) < 0.15 * line])
            for side in (centre - spacing, centre + spacing):
                found.append(10 * np.log10(spectrum[np.abs(orders - side) < 0.03].max() / floor))
        return float(np.median(found))

    assert sidebands("inner_race", ORDERS["bpfi"], 1.0) > 20.0
    assert sidebands("ball", ORDERS["2bsf"], ORDERS["ftf"]) > 20.0
    # An outer race stands still: what unbalance there is modulates it much less than the inner race.
    assert sidebands("outer_race", ORDERS["bpfo"], 1.0) < 14.0


def test_stribeck_load_zone() -> None:
    angle = np.linspace(-0.5, 0.5, 1001)
    q = bearing.load_zone(angle, extent=0.5, floor=0.0)
    assert q.argmax() == 500
    assert q[500] == 1.0
    np.testing.assert_allclose(q, q[::-1])
    np.testing.assert_allclose(q[np.abs(angle) > 0.2501], 0.0)  # zero clearance: half the ring carries
    np.testing.assert_allclose(q, np.maximum(np.cos(2 * np.pi * angle), 0) ** 1.5, atol=1e-12)
    assert bearing.load_zone(angle, extent=0.3, floor=0.1).min() == pytest.approx(0.1)


def _steady(rpm: float = 1800.0, seconds: float = 60.0, fs: float = 12_000.0) -> bearing.Motion:
    times = np.arange(round(seconds * fs)) / fs
    return bearing.Motion(times, rpm / 60.0 * times, fs)


def test_slip_is_a_random_walk_of_the_strikes_round_their_order() -> None:
    rng = np.random.default_rng(0)
    at = bearing.strikes(3.58, jitter=0.01, motion=_steady(seconds=120), rng=rng)
    gaps = np.diff(at) * 3.58
    assert gaps.mean() == pytest.approx(1.0, abs=5e-4)
    assert gaps.std() == pytest.approx(0.01, rel=0.05)
    for lag in (10, 100):  # variance in proportion to the number of intervals: no clock to come back to
        assert np.std(at[lag:] - at[:-lag]) * 3.58 == pytest.approx(0.01 * np.sqrt(lag), rel=0.2)


def test_slip_and_tolerance_stay_within_two_percent() -> None:
    rng = np.random.default_rng(1)
    orders = [bearing.draw_defect("ball", 0.5, rng).orders for _ in range(300)]
    for name, nominal in ORDERS.items():
        share = np.array([o[name] for o in orders]) / nominal - 1.0
        assert np.abs(share).max() < 0.02
        assert share.std() > 1e-4
        assert (share.mean() > 0) == (name == "bpfi")  # a cage that lags passes the inner race oftener


def test_impulses_between_samples_are_where_they_should_be() -> None:
    fs, n = 1000.0, 512
    for at in (0.2, 0.2003, 0.2005, 0.20077):
        force = bearing.place((np.array([at]), np.array([2.0])), n, fs)
        f = np.fft.rfftfreq(n, 1 / fs)
        ideal = 2.0 * np.exp(-2j * np.pi * f * at)
        low = f < 0.3 * fs
        assert np.abs(np.fft.rfft(force) - ideal)[low].max() < 0.1
    outside = bearing.place((np.array([-1.0, 9.0]), np.ones(2)), n, fs)
    assert not outside.any()


def test_structure_rings_at_its_resonances_with_unit_energy() -> None:
    rng = np.random.default_rng(4)
    machine = bearing.draw_machine((900.0, 2400.0, 9000.0), (1.0, 1.0, 1.0), rng)
    h = bearing.impulse_response(machine, machine.impact_gains, 12_000.0)
    assert h @ h == pytest.approx(1.0)
    spectrum = np.abs(np.fft.rfft(h, 12_000))
    peaks, _ = scipy.signal.find_peaks(spectrum, prominence=spectrum.max() / 5)
    np.testing.assert_allclose(peaks, machine.frequencies_hz[:2], rtol=0.02)  # the third is beyond Nyquist
    assert np.abs(h[-20:]).max() < 0.02 * np.abs(h).max()


def test_strength_is_the_power_of_the_fault_over_the_rumble() -> None:
    rng = np.random.default_rng(6)
    defect = bearing.draw_defect("outer_race", 0.2, rng)
    motion = _steady(rpm=1750.0)
    times, amplitudes = bearing.defect_impulses(defect, Condition("half", 1750.0, 0.5), motion, rng)
    machine = bearing.draw_machine((900.0, 2400.0), (1.0, 1.0), rng)
    h = bearing.impulse_response(machine, machine.impact_gains, 12_000.0)
    ringing = np.convolve(bearing.place((times, amplitudes), motion.times_s.size, 12_000.0), h)
    assert ringing.std() == pytest.approx(defect.strength, rel=0.2)


def test_a_healthy_machine_is_not_silent_and_not_white(bearings: list[Record]) -> None:
    for r in (r for r in bearings if r.label == "healthy"):
        assert r.rpm is not None
        f, p = scipy.signal.welch(r.signal[0], r.sampling_rate_hz, nperseg=1 << 15)
        flatness = np.exp(np.log(p[10:]).mean()) / p[10:].mean()
        assert flatness < 0.5
        for hz, width in ((r.rpm / 60.0, 0.4), (bearing.MAINS_HZ, 0.4)):
            line = p[np.abs(f - hz) < width].max()
            assert line > 5 * np.median(p[np.abs(f - hz) < 8])
        # Nothing that a check of signal quality should object to.
        x = r.signal[0]
        assert abs(x.mean()) < 0.05 * x.std()
        assert p[f < 5].sum() < 0.02 * p.sum()
        assert np.abs(x).max() < 20 * scipy.stats.median_abs_deviation(x, scale="normal")


# ---- gearboxes


def test_mesh_lines_stand_at_the_teeth_and_have_shaft_sidebands() -> None:
    rng = np.random.default_rng(7)
    motion = _steady(rpm=1800.0, seconds=20.0, fs=12_800.0)
    force = gearbox.mesh_force(gearbox.draw_mesh(rng), Condition("c", 1800.0, 0.5), motion)
    spectrum = np.abs(np.fft.rfft(force * np.hanning(force.size))) ** 2
    orders = np.arange(spectrum.size) / 20.0 / 30.0
    teeth = gearbox.GEARS.pinion_teeth
    assert orders[spectrum.argmax()] == pytest.approx(teeth, abs=0.01)
    near = np.zeros(spectrum.size, dtype=bool)
    for k in range(1, gearbox.HARMONICS + 1):
        for side in range(-3, 4):
            near |= np.abs(orders - k * teeth - side) < 0.35  # with the gear shaft's sidebands, 0.305 away
    assert spectrum[near].sum() > 0.9999 * spectrum.sum()
    for side in (-1, 1):
        assert line_db(orders, spectrum, teeth + side, 0.001) > 40.0


@pytest.mark.parametrize("rpm", [1200.0, 2400.0, 6000.0])
def test_mesh_harmonics_do_not_fold_back(rpm: float) -> None:
    motion = _steady(rpm=rpm, seconds=5.0, fs=12_800.0)
    force = gearbox.mesh_force(gearbox.draw_mesh(np.random.default_rng(8)), Condition("c", rpm, 1.0), motion)
    spectrum = np.abs(np.fft.rfft(force * np.hanning(force.size))) ** 2
    orders = np.arange(spectrum.size) / 5.0 / (rpm / 60.0)
    off = np.abs((orders + 14.5) % 29.0 - 14.5) > 8
    assert spectrum[off].sum() < 1e-5 * spectrum.sum()


def test_a_root_crack_dips_and_delays_the_mesh_at_its_tooth() -> None:
    """McFadden's demodulation: the analytic signal round a mesh harmonic, averaged over turns, shows the tooth."""
    rng = np.random.default_rng(9)
    mesh, fault = gearbox.draw_mesh(rng), gearbox.draw_tooth_fault("gear_root_crack", 0.6, rng)
    motion = _steady(rpm=1200.0, seconds=10.0, fs=12_800.0)
    c = Condition("c", 1200.0, 0.5)
    sound, cracked = (gearbox.mesh_force(mesh, c, motion, fault=f) for f in (None, fault))

    def demodulated(x: Array) -> npt.NDArray[np.complex128]:
        z = scipy.signal.hilbert(x) * np.exp(-2j * np.pi * 29 * motion.turns)
        sos = scipy.signal.butter(3, 14 * 20.0, fs=12_800.0, output="sos")
        smooth = scipy.signal.sosfiltfilt(sos, z.real) + 1j * scipy.signal.sosfiltfilt(sos, z.imag)
        return smooth[12_800:115_200].reshape(-1, 640).mean(axis=0)

    change = demodulated(cracked) / demodulated(sound)
    where = np.arange(640) / 640
    assert where[np.abs(change).argmin()] == pytest.approx(fault.tooth, abs=0.02)
    assert 1 - np.abs(change).min() == pytest.approx(fault.dip, abs=0.3)
    assert np.abs(change).min() < 0.8
    at = np.argmin(np.abs(where - fault.tooth))
    assert np.angle(change[at]) < -0.3  # later, for the tooth gives way
    far = np.abs((where - fault.tooth + 0.5) % 1 - 0.5) > 0.2
    np.testing.assert_allclose(np.abs(change[far]), 1.0, atol=0.03)


@pytest.mark.parametrize("label", ["gear_broken_tooth", "gear_missing_tooth", "gear_pitting", "gear_root_crack"])
def test_a_tooth_fault_comes_back_once_a_turn_in_the_residual(label: str) -> None:
    """Take the sound pair's lines out of the record: what is left of a tooth fault repeats with the pinion."""

    def once_a_turn(name: str, number: int) -> float:
        r = simulate_one("gearbox", name, number, gearbox.CONDITIONS[5], seed=4)
        assert r.rpm is not None
        spectrum = np.fft.rfft(r.signal[0].astype(float))
        orders = np.arange(spectrum.size) / 10.0 / (r.rpm / 60.0)
        from_mesh = np.abs((orders + 14.5) % 29.0 - 14.5)
        spectrum[(from_mesh < 1.5) | (orders < 10)] = 0.0
        residual = r.with_(signal=np.fft.irfft(spectrum, r.signal.shape[1]))
        envelope_orders, envelope = envelope_spectrum(residual, 700.0, 6000.0)
        return float(np.mean([line_db(envelope_orders, envelope, k, 0.01) for k in (2, 3, 4, 5)]))

    faulty = [once_a_turn(label, i) for i in range(4)]
    healthy = [once_a_turn("healthy", i) for i in range(4)]
    assert np.mean(faulty) > np.mean(healthy) + 4.0
    assert np.median(faulty) > 10.0


def test_a_missing_tooth_strikes_twice_and_loses_the_mesh() -> None:
    rng = np.random.default_rng(10)
    missing = gearbox.draw_tooth_fault("gear_missing_tooth", 0.5, rng)
    broken = gearbox.draw_tooth_fault("gear_broken_tooth", 0.5, rng)
    motion = _steady(rpm=1800.0, seconds=10.0, fs=12_800.0)
    c = Condition("c", 1800.0, 0.5)
    turns = round(float(motion.turns[-1]))
    for fault, count in ((missing, 2), (broken, 1)):
        times, _ = gearbox.tooth_impulses(fault, c, motion, rng)
        assert times.size == pytest.approx(count * turns, abs=2)
        phase = (times * 30.0 - fault.tooth + 0.5) % 1.0 - 0.5
        assert np.abs(phase).max() < 2.0 / 29  # teeth do not slip
    force = gearbox.mesh_force(gearbox.draw_mesh(rng), c, motion, fault=missing)
    at = np.abs((motion.turns - missing.tooth + 0.5) % 1.0 - 0.5) < 0.2 / 29
    assert force[at].std() < 0.25 * force.std()


def test_bearing_faults_show_in_a_gearbox_too() -> None:
    for label, line in (("inner_race", "bpfi"), ("outer_race", "bpfo"), ("ball", "2bsf")):
        shown = [
            fault_lines(simulate_one("gearbox", f"bearing_{label}", i, gearbox.CONDITIONS[4], seed=1))[line] > 15.0
            for i in range(5)
        ]
        assert np.mean(shown) >= 0.8


# ---- what would be too easy


def _leave_one_out(feature: Array, labels: list[str]) -> float:
    """Accuracy of the nearest class mean of one feature, each record (one a specimen) judged by the others."""
    names = sorted(set(labels))
    one_hot = np.array([[label == name for name in names] for label in labels], dtype=float)
    sums, counts = feature @ one_hot, one_hot.sum(axis=0)
    means = (sums - feature[:, None] * one_hot) / (counts - one_hot)
    guess = np.abs(feature[:, None] - means).argmin(axis=1)
    return float(one_hot[np.arange(feature.size), guess].mean())


@pytest.mark.parametrize(("kind", "limit"), [("bearing", 0.45), ("gearbox", 0.25)])
def test_level_alone_does_not_tell_the_class(many: dict[str, list[Record]], kind: str, limit: float) -> None:
    records = many[kind]
    labels = [r.label or "" for r in records]
    level = np.array([np.log(r.signal.std()) for r in records])
    assert _leave_one_out(level, labels) < limit  # chance: 1/4 and 1/8
    sound = np.array([label == "healthy" for label in labels])
    best = max((np.mean(level[sound] < t) + np.mean(level[~sound] >= t)) / 2 for t in level)
    assert best < 0.75  # the best single threshold, chosen on the very records it is judged by


def test_weak_faults_are_no_more_impulsive_than_some_healthy_machines(many: dict[str, list[Record]]) -> None:
    records = many["bearing"]
    kurtosis = np.array([scipy.stats.kurtosis(r.signal[0], fisher=False) for r in records])
    sound = np.array([r.label == "healthy" for r in records])
    weak = ~sound & (np.array([float(r.details["severity"]) for r in records]) < 0.25)
    assert np.quantile(kurtosis[weak], 0.25) < np.quantile(kurtosis[sound], 0.95)
    assert np.median(kurtosis[~sound & ~weak]) > np.quantile(kurtosis[sound], 0.75)


# ---- asked for nonsense


def test_nonsense_is_refused_at_once_with_every_problem() -> None:
    with pytest.raises(ConfigError, match="choose one of bearing, gearbox"):
        simulate("turbine")
    with pytest.raises(ConfigError, match=r"specimens.*seconds.*sampling_rate_hz.*seed.*classes.*conditions"):
        simulate(specimens=0, seconds=0.0, sampling_rate_hz=100.0, seed=-1, classes=["gear_pitting"], conditions=[])
    with pytest.raises(ConfigError, match="rpm must be"):
        simulate(conditions=[Condition("still", 0.0, 0.0)])
    with pytest.raises(ConfigError, match="seconds is nan"):
        simulate(seconds=float("nan"))


@pytest.mark.parametrize("fs", [8_000.0, 25_600.0, 51_200.0])
def test_other_sampling_rates_keep_the_physics(fs: float) -> None:
    r = simulate_one("bearing", "outer_race", 0, LOAD1, sampling_rate_hz=fs, seed=5, seconds=6)
    orders, spectrum = envelope_spectrum(r, 1800.0, 3800.0)
    assert line_db(orders, spectrum, ORDERS["bpfo"]) > 15.0


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, faultdx.simulation.rig, faultdx.simulation.writing\n"
        "heavy = {'scipy', 'h5py', 'pandas', 'torch', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- files


def _few(kind: str) -> list[Record]:
    rig = RIGS[kind]
    return list(simulate(kind, specimens=1, conditions=rig.conditions[:1], seconds=0.5, classes=rig.classes[:2]))


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "records.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("kind", list(RIGS))
@pytest.mark.parametrize("mat_format", ["5", "7.3"])
def test_files_hold_the_records_as_matlab_would(tmp_path: Path, kind: str, mat_format: str) -> None:
    records = _few(kind)
    folder = write_rig(iter(records), tmp_path / "rig", mat_format=mat_format)
    rows = _table(folder)
    assert [row["path"] for row in rows] == ["501.mat", "502.mat"]
    for record, row in zip(records, rows, strict=True):
        for key in ("label", "unit", "specimen", "condition", "asset"):
            assert row[key] == getattr(record, key)
        assert float(row["sampling_rate_hz"]) == record.sampling_rate_hz
        assert float(row["rpm"]) == record.rpm
        for key, value in record.details.items():
            assert row[key] == value
        number = row["path"][:3]
        names = ("vibration", "rpm") if kind == "gearbox" else (f"X{number}_DE_time", f"X{number}RPM")
        if mat_format == "5":
            found = scipy.io.loadmat(folder / row["path"])
            arrays = {name: found[name] for name in (*names, "sampling_rate_hz")}
            assert set(found) == {"__header__", "__version__", "__globals__", *arrays}
        else:
            data = (folder / row["path"]).read_bytes()
            assert data.startswith(b"MATLAB 7.3 MAT-file")
            assert data[124:128] == b"\x00\x02IM"
            with h5py.File(folder / row["path"], "r") as file:
                assert file.userblock_size == 512
                arrays = {name: file[name][()].T for name in file}
                classes = {name: file[name].attrs["MATLAB_class"] for name in file}
            assert set(arrays) == {*names, "sampling_rate_hz"}
            assert classes[names[0]] == b"double"
            assert classes[names[1]] == b"uint16"
        assert arrays[names[0]].shape == (record.signal.shape[1], 1)
        assert arrays[names[0]].dtype == np.float64
        np.testing.assert_array_equal(arrays[names[0]][:, 0].astype(np.float32), record.signal[0])
        assert arrays[names[1]].item() == record.rpm
        assert arrays["sampling_rate_hz"].item() == record.sampling_rate_hz


@pytest.mark.parametrize("mat_format", ["5", "7.3"])
def test_the_same_records_give_the_same_bytes(tmp_path: Path, mat_format: str) -> None:
    first, second = (write_rig(_few("bearing"), tmp_path / n, mat_format=mat_format) for n in ("a", "b"))
    names = sorted(p.name for p in first.iterdir())
    assert names == ["501.mat", "502.mat", "records.csv"]
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_one_record_is_written_before_the_next_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "rig"

    def records() -> Iterator[Record]:
        for i, record in enumerate(_few("bearing")):
            assert len(list(folder.glob("*.mat"))) == i
            yield record

    write_rig(records(), folder)


def test_a_folder_in_use_is_refused_and_kept(tmp_path: Path) -> None:
    write_rig(_few("bearing"), tmp_path)  # an empty folder is fine
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="--overwrite"):
        write_rig(_few("gearbox"), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    write_rig(_few("gearbox"), tmp_path, overwrite=True)
    assert _table(tmp_path)[0]["asset"] == "simulated gearbox rig"
    with pytest.raises(OutputError, match="is a file"):
        write_rig([], tmp_path / "501.mat")
    with pytest.raises(OutputError):
        write_rig([], tmp_path / "501.mat" / "below")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"choose one of 5, 7\.3"):
        write_rig([], tmp_path, mat_format="6")
    stereo = _few("bearing")[0]
    with pytest.raises(RecordError, match="2 channels"):
        write_rig([stereo.with_(signal=np.zeros((2, 100)), channels=("a", "b"))], tmp_path / "x")
    assert not (tmp_path / "x" / "records.csv").exists()  # an unfinished rig has no table
