"""The physics in the pictures of a page: what is marked stands where the machine puts it, and says on what scale."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from faultdx.diagnosis import Diagnosis
from faultdx.records.record import Record
from faultdx.report import action, curves, levels, orders, recording, turning
from faultdx.report.html import render
from faultdx.signals.bearings import bearing
from faultdx.signals.witness import Picture
from faultdx.testimony import known_bearing
from faultdx.untrained import Untrained

RATE, RPM = 12_000.0, 1500.0
SKF_6205 = bearing("6205-2RS JEM").geometry
Array = npt.NDArray[np.float64]


class Canvas:
    """Axes that remember what was drawn."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self.lines: list[float] = []
        self.texts: dict[str, float] = {}

    def axvspan(self, low: float, high: float, **_: Any) -> None:
        self.spans.append((low, high))

    def axvline(self, at: float, **_: Any) -> None:
        self.lines.append(at)

    def annotate(self, text: str, xy: tuple[float, float], **_: Any) -> None:
        self.texts[text] = xy[0]


def a_record(signal: Array, **facts: Any) -> Record:
    rows = np.atleast_2d(signal).astype(np.float32)
    names = tuple(f"c{i}" for i in range(len(rows)))
    known: dict[str, Any] = {"rpm": RPM, "unit": "g", "channels": names} | facts
    return Record(rows, RATE, path="a.npy", sha256="0" * 64, format="npy", **known)


def outer(order: float = SKF_6205.bpfo, *, seconds: float = 5.0) -> Array:
    """A shaft with four multiples, and a resonance at 3 kHz that rings `order` times a turn from 0.02 s on."""
    t = np.arange(round(seconds * RATE)) / RATE
    x = 0.02 * np.random.default_rng(5).standard_normal(t.size)
    x += sum(0.1 * np.sin(2 * np.pi * k * RPM / 60 * t + k) for k in range(1, 11))
    ring = np.exp(-np.arange(60) / 10) * np.sin(2 * np.pi * 3000 * np.arange(60) / RATE)
    for at in np.arange(0.02, seconds - 0.05, 60 / (RPM * order)):
        x[round(at * RATE) : round(at * RATE) + 60] += 2 * ring
    return np.asarray(x)


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    d = Untrained(known_bearing("6205-2RS JEM")).diagnose(a_record(outer(1.006 * SKF_6205.bpfo)), quality="off")
    assert d.verdict == "outer_race"
    return d


# ---- the envelope spectrum over orders


def a_picture(slip: float) -> Picture:
    axis = np.arange(0, 18, 1 / 64)
    due = {"outer_race": 3.585, "inner_race": 5.415, "ball": 4.714, "cage": 0.398}
    lines = {name: order * (1 + slip) for name, order in due.items()}
    return Picture("1000-2000 Hz", axis, np.full(axis.size, 0.1), np.full(axis.size, 0.02), lines, 0.018, due)


def test_bands_stand_where_lines_are_due_and_the_line_found_is_marked_in_them() -> None:
    canvas = Canvas()
    orders._mark(canvas, "inner_race", a_picture(0.012), end=18.0)  # type: ignore[arg-type]
    for k, (low, high) in enumerate(canvas.spans, 1):
        assert (low + high) / 2 == pytest.approx(5.415 * k)
        assert high - low == pytest.approx(2 * 0.018 * 5.415 * k)
        assert canvas.texts[f"{k}×"] == pytest.approx(1.012 * 5.415 * k) and low < canvas.texts[f"{k}×"] < high
    assert len(canvas.spans) == 3


def test_sidebands_to_the_second_stand_beside_the_line_found_and_are_numbered() -> None:
    canvas = Canvas()
    orders._mark(canvas, "inner_race", a_picture(0.012), end=18.0)  # type: ignore[arg-type]
    for text, side in (("−2", -2), ("−1", -1), ("+1", 1), ("+2", 2)):
        assert canvas.texts[text] == pytest.approx(1.012 * 5.415 + side)
        assert any(line == pytest.approx(2 * 1.012 * 5.415 + side) for line in canvas.lines)
    ball = Canvas()
    orders._mark(ball, "ball", a_picture(0.0), end=18.0)  # type: ignore[arg-type]
    assert any(line == pytest.approx(4.714 - 2 * 0.398) for line in ball.lines)
    assert set(ball.texts) == {"1×", "2×", "3×"}  # the cage's are too close for numbers


def test_the_witness_says_where_lines_are_due_and_where_they_were_found(found: Diagnosis) -> None:
    assert found.witness is not None and found.witness.picture is not None
    shown = found.witness.picture
    assert shown.expected["outer_race"] == pytest.approx(SKF_6205.bpfo)
    assert shown.lines["outer_race"] == pytest.approx(1.006 * SKF_6205.bpfo, rel=0.003)
    assert abs(shown.lines["outer_race"] / shown.expected["outer_race"] - 1) <= shown.tolerance


# ---- scales


def heights(svg: str) -> list[str]:
    return re.findall(r">([^<>]*amplitude[^<>]*|peak \([^<>]*)<", svg)


def test_the_axis_of_a_spectrum_says_that_its_amplitudes_are_peaks() -> None:
    t = np.arange(120_000) / RATE
    one = (0.5 * np.sin(2 * np.pi * 1000 * t))[None].astype(np.float32)
    svg = curves.spectrum(one, sampling_rate_hz=RATE, unit="g", resolution_hz=1.0)
    assert heights(svg) == ["peak amplitude (g)"]
    two = curves.spectrum(np.repeat(one, 2, axis=0), sampling_rate_hz=RATE, unit="g", resolution_hz=1.0)
    assert heights(two) == ["peak (g)", "peak (g)"]
    from faultdx.signals.spectra import averaged_spectrum

    f, a = averaged_spectrum(one[0], sampling_rate_hz=RATE, resolution_hz=1.0)
    assert a.max() == pytest.approx(0.5, rel=1e-3) and f[a.argmax()] == 1000


def test_channels_are_called_by_their_names() -> None:
    signal = np.random.default_rng(0).standard_normal((3, 4000)).astype(np.float32)
    svg = curves.waveform(signal, sampling_rate_hz=RATE, unit="g", names=("DE", "", "$x^2$ <b>"))
    assert ">DE<" in svg and ">channel 2<" in svg and ">$x^2$ &lt;b&gt;<" in svg and "channel 1" not in svg
    assert ">channel 3<" in curves.waveform(signal, sampling_rate_hz=RATE, unit="g")


@pytest.mark.parametrize(("kurtosis", "word"), [(1.5, "low"), (2.9, "low"), (3.1, "moderate"), (5.9, "moderate"), (6.1, "strong")])  # fmt: skip  # noqa: E501
def test_the_words_for_kurtosis_have_one_limit_each_and_are_called_screening(kurtosis: float, word: str) -> None:
    share, heights_tried = 0.02, np.linspace(1.0, 6.0, 20_000)  # of samples that are higher, and how high
    power, fourth = (1 - share + share * heights_tried**k for k in (2, 4))
    high = float(heights_tried[np.abs(fourth / power**2 - kurtosis).argmin()])
    number = np.arange(10_000)
    x = np.where(number < share * number.size, high, 1.0) * np.where(number % 2, 1.0, -1.0)
    said = recording._levels(a_record(x))
    assert f"({word})" in said and "not limits of a standard" in said


# ---- turns and lines of the shaft


def test_the_slow_end_of_the_spectrum_marks_the_shaft_where_it_turns(
    found: Diagnosis, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: dict[str, float] = {}
    monkeypatch.setattr(curves, "label", lambda ax, name, place, *, row: marked.setdefault(name, place))
    said = turning.harmonics(found)
    assert marked == {f"{k}×": pytest.approx(k * RPM / 60, rel=2e-3) for k in range(1, 11)}
    assert "peak amplitude (g)" in said and "as the spectrum shows" in said
    assert turning.harmonics(Untrained().diagnose(a_record(outer(), rpm=None))) == ""


def test_the_stretch_holds_the_largest_sample_and_blows_recur_with_the_marked_period(
    found: Diagnosis, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def catch(x: Array, start: int, peak: int, rate_hz: float, **facts: Any) -> str:
        seen.update(x=x, start=start, peak=peak, **facts)
        return "<svg></svg>"

    monkeypatch.setattr(turning, "_stretch", catch)
    said = turning.moment(found)
    assert found.record is not None
    assert seen["peak"] == int(np.abs(found.record.signal[0] - found.record.signal[0].mean()).argmax())
    assert seen["x"].size / RATE == pytest.approx(3 * 60 / RPM, rel=0.01) and seen["turn_s"] == pytest.approx(
        0.04, rel=1e-3
    )
    assert seen["period_s"] == pytest.approx(60 / (RPM * 1.006 * SKF_6205.bpfo), rel=3e-3)
    assert seen["label"].startswith("BPFO") and "BPFO" in said
    t = (seen["start"] + np.arange(seen["x"].size)) / RATE
    marks = np.array(turning._marks(t, seen["peak"] / RATE, seen["period_s"]))
    blows = t[np.abs(seen["x"]) > 0.7 * np.abs(seen["x"]).max()]
    assert len(marks) == pytest.approx(3 * SKF_6205.bpfo, abs=1.5)
    assert max(np.abs(marks - blow).min() for blow in blows) < 0.0012


def test_without_a_speed_no_turn_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    d = Untrained(known_bearing("6205-2RS JEM")).diagnose(a_record(outer(), rpm=None), quality="off")
    said = turning.moment(d)
    assert "0.2 s" in said and "stroke-dasharray" not in said
    assert turning.shaft_hz(d) == (0.0, "")
    follows = action.advice(d)
    assert "--rpm" in follows.step and follows.severity == ""


@pytest.mark.parametrize("at", [0, 59_999])
def test_an_impact_at_the_end_of_a_record_is_drawn_whole(at: int) -> None:
    x = 0.01 * np.random.default_rng(1).standard_normal(60_000)
    x[at] = 5.0
    assert "3 turns" in turning.moment(Untrained().diagnose(a_record(x), quality="off"))
    assert turning.moment(Untrained().diagnose(a_record(x[:100]), quality="off")) == ""


# ---- severity that is not assessable


def test_where_no_velocity_is_assessable_the_page_says_what_the_zones_take() -> None:
    d = Untrained(known_bearing("6205-2RS JEM")).diagnose(a_record(outer(), unit=None), quality="off")
    said = levels.section(d)
    assert "none can be given" in said and "neither good nor bad" in said and "mm/s RMS from 10 to 1000 Hz" in said
    assert "above 15 kW" in said and re.search(r"zone</th><td>[ABCD]:", said) is None


def test_a_page_with_all_of_it_is_below_400_kb_and_the_same_bytes_again(found: Diagnosis) -> None:
    page = render(found, model_info={})
    assert len(page) < 400_000 and page == render(found, model_info={})
    for text in ("turns of the shaft", "slow end of the spectrum", "peak amplitude (g)", "not limits of a standard"):
        assert text in page
