"""Which variables are the channels, and what a file states: the rules for files of all makers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultdx.errors import RecordError
from faultdx.records import read_record
from faultdx.records.contents import Contents, Variable
from faultdx.records.conventions import Meaning, choose, load_signal, meaning_of
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


def test_a_matrix_of_many_rows_and_columns_is_no_signal() -> None:
    with pytest.raises(RecordError, match=r"holds no signal.*m \(20 x 30\)"):
        meaning(var("m", np.ones((20, 30))))
    with pytest.raises(RecordError, match="is no signal"):
        meaning(var("m", np.ones((20, 30))), variable="m")
    with pytest.raises(RecordError, match="holds no variables"):
        meaning()
    with pytest.raises(RecordError, match="not real numbers"):
        meaning(Variable("z", (400, 1), "other", lambda: NOISE))


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
    m = meaning(var("time", times), var("a", np.resize(NOISE[0], 2000)))
    assert names(m) == ["a"]
    # The two ends are off by half a unit of the last decimal at most, over the whole length.
    tolerance = 1e-5 + 10.0**-decimals * rate_hz / 1999
    assert abs(m.rates[0].value / rate_hz - 1) < tolerance
    assert m.rates[0].by == "time column time"


def test_time_axes_that_state_no_rate() -> None:
    t = np.arange(400) / 1000
    jump = t.copy()
    jump[200:] += 0.01
    for name, values in (("time", jump), ("time", np.arange(400)), ("timestamp", t), ("time", t[::-1]), ("t [min]", t)):
        m = meaning(var(name, values), var("a", NOISE[0]))
        assert (names(m), m.rates) == (["a"], ()), name
    assert [s.value for s in meaning(var("t (ms)", t * 1e3), var("a", NOISE[0])).rates] == [1000]


def test_an_unnamed_ramp_in_the_first_column_is_no_channel() -> None:
    ramp = np.arange(400) * 0.25
    m = meaning(var("column_1", ramp), var("column_2", NOISE[0]))
    assert names(m) == ["column_2"] and m.rates == () and "column_1" in m.notes[0]
    assert names(meaning(var("data", np.stack([ramp, NOISE[0]])))) == ["data_2"]
    assert names(meaning(var("column_1", NOISE[0]), var("column_2", ramp))) == ["column_1", "column_2"]


@pytest.mark.parametrize(
    ("name", "scale"),
    [("time", 1.0), ("T", 1.0), ("Time [s]", 1.0), ("t_ms", 1e-3), ("time (us)", 1e-6), ("timestamp", 0.0), ("a", None),
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
