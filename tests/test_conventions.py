"""Which variables are the channels, and what a file states: the rules for files of all makers."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from faultdx.errors import RecordError
from faultdx.records import read_record
from faultdx.records.contents import Contents, Variable
from faultdx.records.conventions import Meaning, choose, common_unit, load_signal, meaning_of
from faultdx.records.formats import open_contents
from faultdx.records.statements import is_ramp, rate_of_ramp, time_scale

NOISE = np.random.default_rng(0).normal(size=(16, 400))


def var(name: str, value: object) -> Variable:
    array = np.asarray(value)
    return Variable(name, array.shape, "number", lambda: array)


def contents(*variables: Variable, rate_hz: float | None = None) -> Contents:
    return Contents("fake", variables, rate_hz)


def meaning(*variables: Variable, **options: str) -> Meaning:
    return meaning_of(contents(*variables), name="f", **options)  # type: ignore[arg-type]


def names(m: Meaning) -> list[str]:
    return [c.name for c in m.channels]


def test_vectors_of_one_length_are_the_channels() -> None:
    m = meaning(var("acc", NOISE[0][:, None]), var("vel", NOISE[1][None]), var("gain", 3.0), var("w", [1, 2, 3]))
    assert names(m) == ["acc", "vel"] == list(m.default)
    np.testing.assert_array_equal(load_signal(m.channels, name="f"), NOISE[:2].astype(np.float32))


@pytest.mark.parametrize("shape", [(400, 3), (3, 400), (1, 3, 400), (400, 1, 3)])
def test_the_long_axis_of_a_matrix_is_time(shape: tuple[int, ...]) -> None:
    stored = NOISE[:3] if shape[-1] == 400 else NOISE[:3].T
    for order in "CF":
        m = meaning(var("v", np.array(stored.reshape(shape), order=order)))  # type: ignore[call-overload]
        assert names(m) == ["v_1", "v_2", "v_3"]
        np.testing.assert_array_equal(load_signal(m.channels, name="f"), NOISE[:3].astype(np.float32))


def test_what_is_no_signal_is_named() -> None:
    with pytest.raises(RecordError, match=r"holds no signal.*m \(20 x 20\)"):
        meaning(var("m", np.ones((20, 20))))
    with pytest.raises(RecordError, match="is no signal"):
        meaning(var("m", np.ones((20, 20))), variable="m")
    with pytest.raises(RecordError, match="holds no variables"):
        meaning()
    with pytest.raises(RecordError, match="not real numbers"):
        meaning(Variable("z", (400, 1), "other", lambda: NOISE))


@pytest.mark.parametrize("shape", [(5, 3, 200), (5, 200, 3), (5, 1, 200), (5, 200, 1)])
def test_three_dimensions_are_records(shape: tuple[int, ...]) -> None:
    """As in the inter-shaft data of the Harbin Institute of Technology: n x 8 x 20480."""
    records = np.random.default_rng(1).normal(size=shape)
    fact = var("rpm", np.arange(1000.0, 1005).reshape(5, 1, 1))
    channels = 3 if 3 in shape else 1
    with pytest.raises(
        RecordError, match=r"data1 holds 5 records of .*200 samples.*--variable 'data1\(1\)' to 'data1\(5\)'"
    ):
        meaning(var("data1", records), fact)
    with pytest.raises(RecordError, match="holds 5 records"):
        meaning(var("data1", records), variable="data1")
    for wanted in ("data1(0)", "data1(6)"):
        with pytest.raises(RecordError, match="holds 5 records"):
            meaning(var("data1", records), variable=wanted)
    with pytest.raises(RecordError, match=r"no variable data2\(1\)"):
        meaning(var("data1", records), variable="data2(1)")
    m = meaning(var("data1", records), fact, variable="data1(3)")
    expected = records[2].reshape([n for n in shape[1:] if n > 1])
    expected = np.atleast_2d(expected if expected.shape[-1] == 200 else expected.T)
    np.testing.assert_array_equal(load_signal(m.channels, name="f"), expected.astype(np.float32))
    assert len(m.channels) == channels and m.channels[0].name.startswith("data1(3)")
    assert [s.value for s in m.rpms] == [1002]  # of this record


def test_a_matrix_of_many_vectors_is_records() -> None:
    rows = np.random.default_rng(2).normal(size=(20, 300))
    for matrix in (rows, rows.T):
        with pytest.raises(RecordError, match=r"m holds 20 records of 300 samples"):
            meaning(var("m", matrix))
        m = meaning(var("m", matrix), variable="m(20)")
        np.testing.assert_array_equal(load_signal(m.channels, name="f")[0], rows[19].astype(np.float32))


def test_facts_of_many_records_are_no_channel() -> None:
    records = np.random.default_rng(3).normal(size=(30, 1, 200))
    with pytest.raises(RecordError, match="variable w holds 30 records"):
        meaning(var("id", np.arange(30.0).reshape(30, 1, 1)), var("w", records))
    assert names(meaning(var("id", np.arange(30.0).reshape(30, 1, 1)))) == ["id"]  # without records: a vector


def test_two_lengths_ask_for_a_variable() -> None:
    two = (var("vibration", NOISE[0]), var("current", NOISE[1][:300]))
    with pytest.raises(
        RecordError, match=r"vibration: 400 samples, current: 300 samples\); choose one with --variable"
    ):
        meaning(*two)
    assert names(meaning(*two, variable="current")) == ["current"]
    assert names(meaning(*two, variable="CURRENT")) == ["current"]
    with pytest.raises(RecordError, match=r"no variable torque; choose with --variable one of: vibration \(400\)"):
        meaning(*two, variable="torque")


@pytest.mark.parametrize(
    "name", ["sampling_rate", "fs", "Fs", "SampleFrequency", "sr", "bearing.sr", "sampling_rate_hz", "fs [Hz]"]
)
def test_a_stated_rate_is_taken(name: str) -> None:
    m = meaning(var("x", NOISE[0]), var(name, np.array([[25600]], dtype=np.uint16)))
    assert [(s.value, name in s.by) for s in m.rates] == [(25600, True)]
    assert names(m) == ["x"]


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, [], [[1, 2]], 1j])
def test_a_senseless_statement_states_nothing(value: object) -> None:
    m = meaning(var("x", NOISE[0]), var("fs", value), var("rpm", value))
    assert (m.rates, m.rpms) == ((), ())


def test_a_broken_statement_does_not_cost_the_signal() -> None:
    def broken() -> np.ndarray:
        raise RecordError("f: damaged")

    m = meaning(var("x", NOISE[0]), Variable("fs", (1, 1), "number", broken))
    assert names(m) == ["x"] and m.rates == ()


@pytest.mark.parametrize(
    ("name", "value", "rate"),
    [
        ("fs [kHz]", 12.8, 12_800), ("fs (S/s)", 12.8, 12.8), ("fs [furlong]", 12.8, None), ("dt", 1 / 12_800, None),
        ("dt [s]", 1 / 12_800, 12_800), ("dt [ms]", 0.5, 2000), ("dt [s]", 0.0, None), ("dt [s]", 1e-300, None),
    ],
)  # fmt: skip
def test_the_unit_of_a_statement_counts(name: str, value: float, rate: float | None) -> None:
    m = meaning(var("x", NOISE[0]), var(name, value))
    assert [s.value for s in m.rates] == ([] if rate is None else [pytest.approx(rate, rel=1e-12)])


def test_a_speed_in_hz_is_no_rpm() -> None:
    assert [s.value for s in meaning(var("x", NOISE[0]), var("rpm [Hz]", 25)).rpms] == [1500]
    assert [s.value for s in meaning(var("x", NOISE[0]), var("rpm [1/min]", 25)).rpms] == [25]


def test_variables_with_rates_of_their_own() -> None:
    def rated(name: str, size: int, rate: float | None, unit: str | None = None) -> Variable:
        return replace(var(name, np.resize(NOISE[0], size)), sampling_rate_hz=rate, unit=unit)

    fast, slow = rated("g.acc", 400, 12_800, "g"), rated("g.temp", 400, 10, "C")
    with pytest.raises(
        RecordError, match=r"different rates.*g.acc: 400 samples at 12800 Hz, g.temp: 400 samples at 10 Hz"
    ):
        meaning(fast, slow)
    m = meaning(fast, slow, variable="g.temp")
    assert ([(s.value, s.by) for s in m.rates], m.unit) == ([(10, "variable g.temp")], "C")
    both = meaning(fast, rated("g.vel", 400, 12_800, "mm/s"))
    assert ([s.value for s in both.rates], both.unit, names(both)) == ([12_800], None, ["g.acc", "g.vel"])
    assert common_unit(choose(both, ("vel",), name="f")) == "mm/s"  # the last part of a name is enough
    with pytest.raises(RecordError, match=r"different rates.*at an unknown rate"):
        meaning(fast, rated("g.other", 400, None))


def test_a_chosen_variable_keeps_its_time_column() -> None:
    m = meaning(var("time [s]", np.arange(400) / 5000), var("a", NOISE[0]), var("b", NOISE[1]), variable="b")
    assert names(m) == ["b"] and [s.value for s in m.rates] == [5000]


@pytest.mark.parametrize("wanted", ["run.data", "run/data", "/run/data", "/RUN/Data"])
def test_a_path_finds_a_dotted_name(wanted: str) -> None:
    assert names(meaning(var("run.data", NOISE[0]), var("other", NOISE[1][:99]), variable=wanted)) == ["run.data"]


# ---- published data sets, in files as scipy writes them


def opened(**variables: object) -> Contents:
    out = io.BytesIO()
    scipy.io.savemat(out, variables, do_compression=True)
    return open_contents(out.getvalue(), name="f.mat")


def structs(*elements: dict[str, object]) -> np.ndarray:
    array = np.zeros((1, len(elements)), dtype=[(key, object) for key in elements[0]])
    for i, element in enumerate(elements):
        for key, value in element.items():
            array[0, i][key] = value
    return array


def test_mfpt_rate_is_the_speed_of_the_shaft() -> None:
    gs = NOISE[0][:, None]
    m = meaning_of(opened(bearing={"sr": 97656, "gs": gs, "load": 270, "rate": 25}), name="f")
    assert (m.convention, m.unit, names(m)) == ("MFPT", "g", ["bearing.gs"])
    assert [s.value for s in m.rates] == [97656] and [s.value for s in m.rpms] == [1500]
    assert "270" in m.notes[0]
    np.testing.assert_array_equal(load_signal(m.channels, name="f")[0], NOISE[0].astype(np.float32))
    assert meaning_of(opened(bearing={"sr": 97656, "gs": gs}), name="f").rpms == ()


def paderborn(
    *, host: np.ndarray | None = None, speed: np.ndarray | None = None, name: str = "N09_M07_F10_K001_1"
) -> Contents:
    fast, slow = np.random.default_rng(4).normal(size=(3, 6400)), np.random.default_rng(5).normal(size=(3, 401))
    slow[1] = 900 + 0.1 * slow[1] if speed is None else speed
    host = np.arange(6400) / 64_000 if host is None else host
    axes = {"Mech_4kHz": np.arange(401) / 4000, "HostService": host, "Temp_1Hz": np.arange(5.0)}
    signals = {
        "force": (slow[0], "Mech_4kHz"), "phase_current_1": (fast[0], "HostService"),
        "phase_current_2": (fast[1], "HostService"), "speed": (slow[1], "Mech_4kHz"),
        "temp_2_bearing_module": (np.full(5, 40.0), "Temp_1Hz"), "torque": (slow[2], "Mech_4kHz"),
        "vibration_1": (fast[2], "HostService"),
    }  # fmt: skip
    x = [{"Name": "", "Type": 4, "Data": v, "Unit": "", "Raster": k} for k, v in axes.items()]
    y = [
        {"Name": k, "Type": 4, "Data": v, "Unit": "", "Raster": r, "Device": "Platform", "XIndex": 1, "Path": "Model"}
        for k, (v, r) in signals.items()
    ]
    nest = {
        "Info": {"RevisionMajor": 2}, "X": structs(*x), "Y": structs(*y),
        "Description": {"General": {"User": "a"}, "Measurement": {"Length": 4.0}},
    }  # fmt: skip
    return opened(**{name: nest})


def test_paderborn_takes_the_vibration_and_its_time_axis() -> None:
    m = meaning_of(paderborn(), name="f")
    assert (m.convention, m.default) == ("Paderborn", ("vibration_1",))
    assert names(m) == ["phase_current_1", "phase_current_2", "vibration_1"]
    assert [(s.value, s.by) for s in m.rates] == [(64_000, "time axis of raster HostService")]
    assert m.rpms[0].value == pytest.approx(900, abs=0.1) and "mean" in m.rpms[0].by
    expected = np.random.default_rng(4).normal(size=(3, 6400))[2].astype(np.float32)
    np.testing.assert_array_equal(load_signal(choose(m, (), name="f"), name="f")[0], expected)
    for wanted in ("torque", "Torque", "N09_M07_F10_K001_1.Y(6).Data"):
        torque = meaning_of(paderborn(), name="f", variable=wanted)
        assert (torque.default, [s.value for s in torque.rates]) == (("torque",), [4000])
        assert choose(torque, (), name="f")[0].samples == 401


def test_paderborn_states_no_more_than_it_holds() -> None:
    uneven = np.cumsum(np.random.default_rng(6).uniform(0, 2, 6400)) / 64_000
    assert meaning_of(paderborn(host=uneven), name="f").rates == ()
    assert meaning_of(paderborn(speed=np.zeros(401)), name="f").rpms == ()
    varying = meaning_of(paderborn(speed=np.linspace(600, 1200, 401)), name="f")
    assert varying.rpms[0].value == pytest.approx(900) and "600 to 1200 rpm" in " ".join(varying.notes)
    assert meaning_of(paderborn(name="renamed"), name="f").convention == "Paderborn"  # by content


def test_seu_asks_for_its_rate() -> None:
    columns = [var(f"column_{i}", NOISE[i]) for i in range(8)]
    m = meaning_of(Contents("text", (*columns, var("Frequency Limit", 2000.0))), name="f")
    assert (m.convention, len(m.channels), m.rates) == ("SEU", 8, ())
    assert "5120" in m.notes[0] and "declare" in m.notes[0]


def test_one_variable_of_any_name_is_the_signal() -> None:
    m = meaning(var("anything", NOISE[0]))
    assert (m.convention, names(m)) == ("single variable", ["anything"])


def test_the_header_states_a_rate_and_a_column_a_speed() -> None:
    m = meaning_of(contents(var("a", NOISE[0]), var("rpm", np.full(400, 1480)), rate_hz=8000), name="f")
    assert [(s.value, s.by) for s in m.rates] == [(8000, "fake header")]
    assert [s.value for s in m.rpms] == [1480]
    assert names(m) == ["a"]


@given(
    rate_hz=st.integers(100, 200_000),
    decimals=st.integers(7, 12),
    start=st.floats(-10, 10),
)
def test_a_printed_time_column_gives_its_rate(rate_hz: int, decimals: int, start: float) -> None:
    times = np.round(start + np.arange(2000) / rate_hz, decimals)
    m = meaning(var("time [s]", times), var("a", np.resize(NOISE[0], 2000)))
    assert names(m) == ["a"]
    # The two ends are off by half a unit of the last decimal at most, over the whole length.
    tolerance = 1e-5 + 10.0**-decimals * rate_hz / 1999
    assert abs(m.rates[0].value / rate_hz - 1) < tolerance
    assert m.rates[0].by == "time column time [s]"


def test_time_axes_that_state_no_rate() -> None:
    t = np.arange(400) / 1000
    jump = t.copy()
    jump[200:] += 0.01
    steps = np.arange(400)
    for name, values in (
        ("time [s]", jump),
        ("time [s]", steps),
        ("timestamp", t),
        ("time [s]", t[::-1]),
        ("t [h]", t),
    ):
        m = meaning(var(name, values), var("a", NOISE[0]))
        assert (names(m), m.rates) == (["a"], ()), name
    unitless = meaning(var("time", t), var("a", NOISE[0]))  # milliseconds as often as seconds: nobody said
    assert unitless.rates == () and "were it seconds: 1000 Hz" in unitless.why_no_rate
    assert "does not grow evenly" in meaning(var("time [s]", jump), var("a", NOISE[0])).why_no_rate
    assert [s.value for s in meaning(var("t (ms)", t * 1e3), var("a", NOISE[0])).rates] == [1000]


def test_an_unnamed_ramp_in_the_first_column_is_no_channel() -> None:
    ramp = np.arange(400) * 0.25
    m = meaning(var("column_1", ramp), var("column_2", NOISE[0]))
    assert names(m) == ["column_2"] and m.rates == () and "column_1" in m.notes[0]
    assert names(meaning(var("data", np.stack([ramp, NOISE[0]])))) == ["data_2"]
    assert names(meaning(var("column_1", NOISE[0]), var("column_2", ramp))) == ["column_1", "column_2"]


@pytest.mark.parametrize(
    ("name", "scale"),
    [("time", 0.0), ("T", 0.0), ("Time [s]", 1.0), ("t [min]", 60.0),
     ("waveform(2)", None), ("t_ms", 1e-3), ("time (us)", 1e-6), ("timestamp", 0.0), ("a", None),
     ("time [h]", 0.0), ("temperature", None), ("time_domain", None)],
)  # fmt: skip
def test_time_scale(name: str, scale: float | None) -> None:
    assert time_scale(name) == scale


def test_a_ramp_of_strange_numbers_is_none() -> None:
    for values in ([0, np.inf] * 20, [np.nan] * 20, [1e308, -1e308] * 20, [5e-324 * i for i in range(20)]):
        array = np.array(values, dtype=np.float64)
        assert rate_of_ramp(array, 1.0) is None
    assert not is_ramp(np.zeros(100)) and not is_ramp(np.arange(3.0))


def test_units_in_all_headings_are_the_unit() -> None:
    assert meaning(var("x [g]", NOISE[0]), var("y [g]", NOISE[1])).unit == "g"
    assert meaning(var("x [g]", NOISE[0]), var("y [V]", NOISE[1])).unit is None
    assert meaning(var("x", NOISE[0])).unit is None
    assert [c.name for c in choose(meaning(var("x [g]", NOISE[0]), var("y [g]", NOISE[1])), ("Y",), name="f")] == [
        "y [g]"
    ]


def test_channels_by_name_variable_or_number() -> None:
    m = meaning(var("a1", NOISE[0]), var("A1", NOISE[1]), var("2", NOISE[2]))
    pick = [c.name for c in choose(m, ("A1", "1", "2", "a1"), name="f")]
    assert pick == ["A1", "a1", "2"]  # the name "2" stands above the number, and nothing is taken twice
    for word in ("0", "4", "b", "-1", "²", ""):
        with pytest.raises(RecordError, match="choose with --channel one of: 1 a1, 2 A1, 3 2"):
            choose(m, (word,), name="f")


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (np.where(np.arange(400) == 7, np.nan, NOISE[0]), r"1 of 400 samples.*NaN\) at sample 7"),
        (np.where(np.arange(400) == 9, -np.inf, NOISE[0]), r"infinite.*at sample 9"),
        (NOISE[0] * 1e300, "infinite"),
        (np.full(400, 2.5), r"constant \(2.5\)"),
        (NOISE[0] + 1j, "complex"),
        (np.array(["a"] * 400), "of type"),
    ],
)
def test_unfit_samples_are_refused(value: np.ndarray, cause: str) -> None:
    m = meaning(var("x", value))
    with pytest.raises(RecordError, match=f"f: channel x .*{cause}.*; "):
        load_signal(m.channels, name="f")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int64", "float32", "float64", ">f4", "bool"])
def test_any_stored_type_becomes_float32(dtype: str) -> None:
    stored = (NOISE[0] > 0).astype(dtype) if dtype == "bool" else (NOISE[0] * 20 + 60).astype(dtype)
    signal = load_signal(meaning(var("x", stored)).channels, name="f")
    assert signal.dtype == np.float32 and signal.flags.c_contiguous
    np.testing.assert_array_equal(signal[0], stored.astype(np.float32))


def test_messages_are_one_line_and_printable() -> None:
    nasty = "a\nb\x1b[31m\u202e"
    with pytest.raises(RecordError) as caught:
        meaning_of(contents(var(nasty, NOISE[0]), var("b", NOISE[0][:50])), name=f"d[/b]{nasty}.mat")
    text = str(caught.value)
    assert text.isprintable() and "d[/b]a\\x0ab" in text


@pytest.mark.real_data
def test_uestc_states_its_rate_and_no_speed(real_data: Path) -> None:
    record = read_record(real_data / "uestc" / "N_800_1.mat")
    assert (record.sampling_rate_hz, record.rpm, record.channels) == (20000, None, ("Data",))
    assert record.known_from["sampling_rate_hz"] == "variable SampleFrequency"
    assert record.signal.shape == (1, 262144)


@pytest.mark.real_data
def test_the_gearbox_needs_a_declared_rate(real_data: Path) -> None:
    path = real_data / "gearbox_gfd" / "b30hz0.csv"
    with pytest.raises(RecordError, match=r"--sampling-rate, or in the column sampling_rate_hz"):
        read_record(path)
    record = read_record(path, sampling_rate_hz=12800, unit="g", rpm=1800)
    assert record.channels == ("a1", "a2", "a3", "a4") and record.signal.shape == (4, 88320)
    assert record.known_from["sampling_rate_hz"] == "--sampling-rate"
    assert (record.unit, record.rpm, record.known_from["unit"]) == ("g", 1800, "--unit")
    assert read_record(path, sampling_rate_hz=12800, channels=("A3",)).channels == ("a3",)
