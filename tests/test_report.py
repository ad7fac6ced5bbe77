"""A report says what was found and no more, survives any name, loads nothing, and is the same bytes each time."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import diagnosis_schema, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from faultdx.diagnosis import Check, Diagnosis
from faultdx.records.record import Record
from faultdx.report import card, curves, document, html, text

RATE = 12_000.0
CLASSES = ["normal", "inner_race", "outer_race", "ball"]
HOSTILE = [
    "<b>x.mat",
    "d[/bold].mat",
    "=1+1.mat",
    "a\nb.mat",
    "\u202egpj.mat",
    "\udcff\udc80.mat",
    '"><script>alert(1)</script>',
    "x' onload='alert(1)",
    "$\\frac{1}{$.mat",
    "]]>--><!--",
    "&lt;b&gt;",
    "\x00\x1b[31m",
    "单位 µ",
    "x" * 5000,
]
INFO: dict[str, Any] = {
    "name": "pump-hall",
    "digest": "cd" * 32,
    "version": "3",
    "classes": CLASSES,
    "healthy": ["normal"],
    "sampling_rate_hz": RATE,
    "segment_samples": 1024,
    "temperature": 1.3,
    "split": {
        "method": "specimen",
        "level": "across specimens: the test part is specimens never trained on",
        "leakage": False,
        "notes": ["class normal has a single specimen: it is split in time within each record"],
    },
    "trained_on": {"records": 33, "segments": 20_481, "digest": "ef" * 32},
    "envelope": {"rms": [0.05, 0.9], "rpm": [1720, 1797]},
    "scores": {"test": {"records": 0.96, "segments": 0.91}},
    "network": {"name": "drsn-cw", "parameters": 912_345},
}


def a_record(seconds: float = 2.0, rows: int = 1, **changes: Any) -> Record:
    t = np.arange(round(RATE * seconds)) / RATE
    rng = np.random.default_rng(5)
    signal = np.sin(2 * np.pi * 157 * t) + 0.1 * rng.standard_normal((rows, t.size))
    facts: dict[str, Any] = {
        "rpm": 1797.0,
        "unit": "m/s²",
        "asset": "motor 3",
        "condition": "0 HP",
        "format": "MATLAB v5",
    }
    return Record(signal=signal.astype(np.float32), sampling_rate_hz=RATE, **(facts | changes))


def a_diagnosis(**changes: Any) -> Diagnosis:
    p = np.random.default_rng(3).dirichlet([0.4, 1, 9, 0.6], size=23)
    mean = p.mean(axis=0)
    facts: dict[str, Any] = {
        "file": "/spool/130.mat",
        "sha256": "ab" * 32,
        "status": "diagnosed",
        "verdict": "outer_race",
        "fault": True,
        "confidence": float(mean[2]),
        "probabilities": dict(zip(CLASSES, mean, strict=True)),
        "segments": 23,
        "agreement": 22 / 23,
        "sampling_rate_hz": RATE,
        "rpm": 1797.0,
        "quality": (Check("clipped", 0.002, 0.001, "warn", "0.2 % of the samples are clipped"),),
        "warnings": ("the level is high",),
        "evidence": {"bpfo": {"hz": np.float32(107.36), "order": 3.58}, "band_hz": np.array([2000.0, 4500.0])},
        "model": {"digest": "cd" * 32, "name": "pump-hall", "version": "3"},
        "elapsed_s": 0.31234567,
        "segment_probabilities": p,
        "segment_starts_s": np.arange(23) * 1024 / RATE,
        "record": a_record(),
    }
    return Diagnosis(**(facts | changes))


def nothing_found(status: str, **changes: Any) -> Diagnosis:
    return a_diagnosis(
        status=status,
        verdict=None,
        fault=None,
        confidence=None,
        agreement=None,
        segments=0,
        probabilities={},
        segment_probabilities=None,
        segment_starts_s=None,
        **changes,
    )


def every_status() -> dict[str, Diagnosis]:
    return {
        "fault": a_diagnosis(),
        "healthy": a_diagnosis(verdict="normal", fault=False),
        "undeclared": a_diagnosis(fault=None),
        "undecided": a_diagnosis(status="undecided", verdict=None, fault=None),
        "unfamiliar": a_diagnosis(status="unfamiliar", verdict=None, fault=None),
        "unusable": nothing_found("unusable", quality=(Check("flat", 1, 0.5, "refuse", "the signal is flat"),)),
        "error": Diagnosis(
            file="a.mat",
            sha256="",
            status="error",
            error={"kind": "record", "message": "a.mat: cut short; copy it again"},
        ),
        "future": nothing_found("postponed"),
        "bare": Diagnosis(file="", sha256="", status="diagnosed"),
    }


STATUSES = every_status()


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text; unbalanced tags are an error."""

    VOID = ("meta", "br", "link", "img", "input", "hr", "wbr")

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def assert_harmless(source: str) -> Page:
    page = Page(source)
    allowed = {
        "html",
        "head",
        "body",
        "meta",
        "title",
        "style",
        "section",
        "h1",
        "h2",
        "p",
        "div",
        "span",
        "b",
        "i",
        "ul",
    }
    allowed |= {"li", "table", "tr", "th", "td", "figure", "figcaption", "code", "wbr"}
    allowed |= {"svg", "g", "path", "defs", "use", "text", "tspan", "clippath", "rect"}
    assert {tag for tag, _ in page.tags} <= allowed
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on") and name not in {"src", "href", "action", "srcset"}, (tag, name)
            if name == "xlink:href":
                assert value is not None and value.startswith("#")
    assert "://" not in source and "@import" not in source
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", source))
    assert "\x00" not in source and "\x1b" not in source and "\u202e" not in source
    source.encode("utf-8")
    return page


# ---- JSON


def test_json_has_the_keys_of_the_contract_in_their_order() -> None:
    keys = "schema file sha256 status verdict fault confidence probabilities segments agreement sampling_rate_hz rpm "
    keys += "quality evidence warnings model elapsed_s"
    assert list(document.to_dict(a_diagnosis())) == keys.split()
    assert list(document.to_dict(STATUSES["error"])) == [*keys.split(), "error"]


@pytest.mark.parametrize("name", [name for name in STATUSES if name != "future"])
def test_json_follows_the_schema_that_is_shipped(name: str) -> None:
    schema = diagnosis_schema()
    line = document.to_json(STATUSES[name])
    assert "\n" not in line
    validate(json.loads(line), schema, schema)
    with pytest.raises(AssertionError):
        validate(json.loads(line) | {"confidence": 2}, schema, schema)


def test_json_keeps_numbers_and_rounds_them() -> None:
    d = a_diagnosis(confidence=0.123456789, elapsed_s=0.31234567, sampling_rate_hz=25641.0256410256)
    found = document.to_dict(d)
    assert found["confidence"] == 0.123457 and found["elapsed_s"] == 0.312
    assert found["sampling_rate_hz"] == pytest.approx(25641.0256410256, rel=1e-11)
    assert found["evidence"] == {"bpfo": {"hz": 107.36, "order": 3.58}, "band_hz": [2000.0, 4500.0]}
    assert list(found["probabilities"]) == CLASSES


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_json_has_no_number_that_json_has_not(bad: float) -> None:
    d = a_diagnosis(
        confidence=bad, agreement=bad, rpm=bad, elapsed_s=bad, evidence={"a": [bad, {"b": np.array([bad])}]},
        probabilities={"x": bad}, quality=(Check("c", bad, bad, "warn", "m"),),
    )  # fmt: skip
    found = json.loads(document.to_json(d))
    assert found["confidence"] is None and found["evidence"] == {"a": [None, {"b": [None]}]}
    html.render(d, model_info=INFO)
    text.one_line(d), text.sentence(d), text.table_rows([d])


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_one_line_of_utf8_json(name: str) -> None:
    d = a_diagnosis(
        file=name, verdict=name, probabilities={name: 1.0}, warnings=(name,), model={"name": name},
        evidence={name: {name: [name, Path(name.replace("\x00", ""))]}}, error={"kind": "record", "message": name},
        quality=(Check(name, 1, 2, "warn", name),),
    )  # fmt: skip
    line = document.to_json(d)
    assert len(line.encode("utf-8").splitlines()) == 1 and line.isprintable()
    json.loads(line)


def test_evidence_of_any_kind_comes_out_as_json() -> None:
    deep: Any = "end"
    for _ in range(50):
        deep = [deep]
    evidence = {"deep": deep, 3: {1, 2}, "bytes": b"\xff", "none": None, "yes": np.bool_(True), "object": object}
    found = json.loads(document.to_json(a_diagnosis(evidence=evidence)))["evidence"]
    assert found["yes"] is True and found["none"] is None and sorted(found["3"]) == [1, 2]


# ---- text


@given(st.floats(0, 1))
def test_a_percentage_is_near_its_share_and_never_rounds_to_certainty(share: float) -> None:
    said = text.percent(share)
    assert said not in {"100.0 %", "0.0 %", "100 %", "0 %"}
    assert abs(float(said.strip("<> %")) / 100 - share) <= 0.00101


def test_percent_of_counts_and_of_nothing() -> None:
    assert text.percent(1.0, exact=True) == "100 %" and text.percent(0.0, exact=True) == "0 %"
    assert text.percent(0.9999, exact=True) == ">99.9 %"
    assert text.percent(None) == text.percent(math.nan) == "-"


def test_one_line_says_what_was_found() -> None:
    line = text.one_line(a_diagnosis(confidence=0.931))
    assert line.startswith("/spool/130.mat: fault: outer_race, confidence 93.1 %, 22 of 23 segments agree")
    assert "the level is high" in line
    assert "cut short" in text.one_line(STATUSES["error"]) and "flat" in text.one_line(STATUSES["unusable"])


@pytest.mark.parametrize("name", HOSTILE)
def test_text_is_printable_whatever_the_name(name: str) -> None:
    d = a_diagnosis(file=name, verdict=name, probabilities={name: 1.0}, warnings=(name,), rpm=None)
    header, rows = text.table_rows([d, replace(d, status="undecided"), replace(d, status="error")])
    assert all(len(row) == len(header) for row in rows)
    info = {"classes": [name], "split": {"method": name, "leakage": True}}
    words = text.split_words({"method": name, "level": name, "notes": [name, name]})
    said = [text.one_line(d), text.sentence(d), words, *rows[0], *rows[1]]
    for line in [*said, *text.limits(d, model_info=info)]:
        assert line.isprintable() and line.encode("utf-8")


def test_table_has_a_row_for_each() -> None:
    header, rows = text.table_rows(STATUSES.values())
    assert header == ["file", "verdict", "confidence", "agreement", "segments", "status", "notes"]
    assert [row[5] for row in rows[:7]] == [
        "fault", "no fault found", "diagnosed", "undecided", "unfamiliar", "unusable", "not read",
    ]  # fmt: skip
    assert rows[6][1:5] == ["-"] * 4 and "cut short" in rows[6][6]


@pytest.mark.parametrize("name", list(STATUSES))
def test_the_sentence_is_one_and_does_not_overclaim(name: str) -> None:
    said = text.sentence(STATUSES[name])
    assert said.endswith(".") and ". " not in said
    if name in {"fault", "healthy"}:
        assert "the network's own confidence" in said
    assert "not assessed" in text.sentence(STATUSES["fault"]) and "not trained on" in text.sentence(STATUSES["healthy"])
    if STATUSES[name].status != "diagnosed":
        assert said.startswith("No verdict")


def test_limits_name_what_was_not_known() -> None:
    unknown = a_diagnosis(rpm=None, record=a_record(rpm=None, unit=None))
    said = " ".join(text.limits(unknown, model_info={"classes": CLASSES, "split": {"leakage": True}}))
    for words in ("speed is not known", "No unit is", "outer_race", "leaks", "not calibrated", "damage has gone"):
        assert words in said
    said = " ".join(text.limits(a_diagnosis(rpm=900.0), model_info=INFO))
    assert "900 rpm" in said and "leaks" not in said and "not calibrated" not in said


@pytest.mark.parametrize(
    ("flag", "leaks"), [(True, True), (False, False), (None, False), ("none", False), ("overlap", True)]
)
def test_a_leak_is_known_by_any_spelling(flag: object, leaks: bool) -> None:
    assert text.split_leaks({"leakage": flag}) is leaks
    assert ("LEAKING" in text.split_words({"method": "segment", "leakage": flag})) is leaks
    assert not text.split_leaks(None) and not text.split_leaks("segment")


# ---- HTML


@pytest.mark.parametrize("name", list(STATUSES))
def test_every_status_has_a_page_that_needs_nothing_else(name: str) -> None:
    source = html.render(STATUSES[name], model_info=INFO)
    page = assert_harmless(source)
    assert len(source.encode()) < 300_000
    policy = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert text.headline(STATUSES[name])[1] in page.text and "What this report does not say" in page.text
    assert "pump-hall" in page.text and "specimen" in page.text


def test_the_page_is_in_order_and_says_what_it_knows() -> None:
    page = assert_harmless(html.render(a_diagnosis(), model_info=INFO)).text
    order = ["outer race", "Recording", "Class probabilities", "The segments over time", "Waveform", "Spectrum"]
    order += ["Quality checks and warnings", "What this report does not say", "Provenance", "faultdx version"]
    places = [page.index(words) for words in order]
    assert places == sorted(places)
    for words in ("motor 3", "0 HP", "1797 rpm", "12000 Hz", "2 s (24000 samples)", "m/s²", "ab" * 32, "cd" * 32,
                  "107.36", "frequency (Hz)", "time (s)", "amplitude (m/s²)", "samples are clipped",
                  "the level is high", "912345", "20481", "22 of 23 segments"):  # fmt: skip
        assert words in page, words


def test_the_same_diagnosis_gives_the_same_bytes_however_long_it_took() -> None:
    first = html.render(a_diagnosis(elapsed_s=0.1), model_info=INFO)
    assert html.render(a_diagnosis(elapsed_s=9.9), model_info=INFO) == first


def test_pictures_share_no_id() -> None:
    ids = re.findall(r'\bid="([^"]*)"', html.render(a_diagnosis(record=a_record(rows=3)), model_info=INFO))
    assert ids and len(ids) == len(set(ids))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_anywhere_is_harmless(name: str) -> None:
    record = a_record(
        0.1, 1, unit=name, asset=name, specimen=name, condition=name, label=name, path=name, format=name,
        channels=(name,), notes=(name,), known_from={"rpm": name, "unit": name, "sampling_rate_hz": name},
    )  # fmt: skip
    d = a_diagnosis(
        file=name, sha256=name, verdict=name, probabilities={name: 0.7, "b" + name: 0.3}, warnings=(name,),
        record=record, segment_probabilities=np.full((4, 2), 0.5), segment_starts_s=np.arange(4.0),
        model={name: name}, evidence={name: [name, {name: name}]}, quality=(Check(name, 1, 2, "refuse", name),),
    )  # fmt: skip
    info: dict[str, Any] = {key: name for key in INFO if key not in {"classes", "healthy"}}
    info |= {
        "classes": [name],
        "healthy": [name],
        "split": {"method": name, "level": name, "notes": [name], "leakage": name},
    }
    for status, shown in (("diagnosed", record), ("unusable", None), (name, None)):
        error = {"kind": name, "message": name}
        source = html.render(replace(d, status=status, error=error, record=shown), model_info=info)
        assert_harmless(source)
        assert len(source.encode()) < 300_000


def test_a_page_stays_small_whatever_comes() -> None:
    rng = np.random.default_rng(0)
    many = {f"class {i}": 1 / 500 for i in range(500)}
    d = a_diagnosis(
        probabilities=many, segment_probabilities=rng.random((3000, 500)), segment_starts_s=np.arange(3000.0),
        segments=3000, warnings=tuple("w" * 2000 for _ in range(500)),
        evidence={str(i): "e" * 5000 for i in range(500)},
        record=a_record(60, rows=5),
    )  # fmt: skip
    source = html.render(
        d, model_info=INFO | {"classes": list(many), "scores": {str(i): "s" * 3000 for i in range(500)}}
    )
    page = assert_harmless(source)
    assert len(source.encode()) < 400_000
    assert "488 other classes" in page.text and "and 460 more" in page.text and "the first 3 of 5 channels" in page.text


@pytest.mark.parametrize(
    "record",
    [
        a_record().with_(signal=np.zeros((1, 0))),
        a_record().with_(signal=np.zeros((0, 5))),
        a_record().with_(signal=np.ones((1, 3))),
        a_record().with_(signal=np.ones((2, 5000))),
        a_record().with_(signal=np.vstack([np.zeros(500), np.arange(500)])),
        a_record().with_(signal=np.array([[np.nan] * 50])),
        a_record().with_(signal=np.linspace(-3e38, 3e38, 500)),
        a_record().with_(signal=np.linspace(0, 1e-40, 500)),
        a_record().with_(sampling_rate_hz=0.0),
        a_record().with_(sampling_rate_hz=math.nan),
        a_record().with_(sampling_rate_hz=1e-3),
        a_record().with_(sampling_rate_hz=1e12),
        a_record().with_(rpm=1e9),
        a_record().with_(signal=np.arange(16.0)),
    ],
)
def test_a_recording_that_cannot_be_drawn_still_has_a_page(record: Record) -> None:
    assert_harmless(html.render(nothing_found("unusable", record=record), model_info={}))


def test_segments_that_do_not_match_their_classes_are_left_out() -> None:
    for odd in (np.zeros((0, 4)), np.zeros((3, 2)), np.zeros(4)):
        assert (
            "over time"
            not in Page(html.render(a_diagnosis(segment_probabilities=odd, record=None), model_info=INFO)).text
        )
    page = Page(html.render(a_diagnosis(segment_starts_s=None, record=None), model_info=INFO)).text
    assert "first segment" in page


def test_a_leaking_model_is_named_in_its_report() -> None:
    split = {"method": "segment", "level": "segments at random", "leakage": True, "notes": ["random"]}
    page = Page(html.render(a_diagnosis(record=None), model_info=INFO | {"split": split})).text
    assert "leaking split" in page and "LEAKING" in page


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
@settings(max_examples=15, deadline=None)
def test_no_text_becomes_markup(name: str, other: str) -> None:
    d = a_diagnosis(file=name, verdict=other, probabilities={other: 1.0}, record=None, warnings=(name,))
    expected = html.render(
        a_diagnosis(file="n", verdict="o", probabilities={"o": 1.0}, record=None, warnings=("n",)), model_info={}
    )
    source = html.render(d, model_info={})
    assert [tag for tag, _ in Page(source).tags] == [tag for tag, _ in Page(expected).tags]


# ---- pictures


def peaks_of(svg: str) -> list[float]:
    """The y of the longest path, in SVG units: small is high."""
    longest = max(re.findall(r' d="([^"]*)"', svg), key=len)
    return [float(y) for _, y in re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", longest)]


def test_a_single_spike_survives_the_thinning() -> None:
    signal = np.zeros((1, 1_000_000), dtype=np.float32)
    signal[0, 123_457] = 1.0
    heights = peaks_of(curves.waveform(signal, sampling_rate_hz=RATE, unit=None))
    assert len(heights) < 2 * curves.POINTS
    assert max(heights) - min(heights) > 80  # of about 110 units of height


def test_a_line_survives_the_thinning_of_a_spectrum() -> None:
    t = np.arange(480_000) / 48_000
    signal = np.sin(2 * np.pi * 7123 * t)[None].astype(np.float32)
    heights = peaks_of(curves.spectrum(signal, sampling_rate_hz=48_000, unit="g", resolution_hz=1))
    assert max(heights) - min(heights) > 80


def test_the_shaft_is_marked_where_the_speed_is_known() -> None:
    signal = a_record().signal
    marked = curves.envelope_spectrum(signal, sampling_rate_hz=RATE, unit="g", rpm=1800)
    assert marked.count("stroke-dasharray") == 3 and ">2×<" in marked
    assert "stroke-dasharray" not in curves.envelope_spectrum(signal, sampling_rate_hz=RATE, unit="g", rpm=None)


def test_training_curves_are_a_png_without_a_date() -> None:
    rows = [
        {
            "epoch": i,
            "train_loss": 2.0 * 0.7**i,
            "val_loss": 2.1 * 0.8**i,
            "val_accuracy": 1 - 0.9**i,
            "learning_rate": 1e-3,
        }
        for i in range(1, 20)
    ]
    blob = curves.training_curves(rows)
    assert blob == curves.training_curves(rows) and blob[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(blob):
        size, kind = struct.unpack(">I4s", blob[at : at + 8])
        chunks.append(kind)
        at += 12 + size
    assert not {b"tIME", b"tEXt", b"iTXt"} & set(chunks)
    assert blob != curves.training_curves(rows[:-1])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{}],
        [{"epoch": 1, "train_loss": math.nan}],
        [{"epoch": None, "val_loss": "bad", "val_accuracy": True}, {"train_loss": -1}],
    ],
)
def test_training_curves_of_little_or_nothing(rows: list[dict[str, Any]]) -> None:
    assert curves.training_curves(rows).startswith(b"\x89PNG")


def test_the_users_matplotlib_is_left_alone() -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 31, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        styled = html.render(a_diagnosis(), model_info=INFO)
        assert dict(matplotlib.rcParams) == before
    assert styled == html.render(a_diagnosis(), model_info=INFO)


# ---- card


def scored(segments: int, least: float) -> dict[str, Any]:
    """The scores of one condition, in the shape of `evaluation.score`."""
    recall = dict(zip(CLASSES, (1.0, least, 0.999, 1.0), strict=True))
    shares = {"segment_accuracy": 0.994, "record_accuracy": 1.0, "macro_f1": 0.992}
    return {"segments": segments, "records": 16, **shares, "recall": recall}


# the keys and the shapes that a training writes into model.json
MODEL: dict[str, Any] = {
    "schema": "faultdx.model/1",
    "name": "pump-hall",
    "version": "0.1.0",
    "classes": CLASSES,
    "healthy": ["normal"],
    "sampling_rate_hz": RATE,
    "segment_samples": 2048,
    "channels": ["DE"],
    "normalization": "zscore",
    "temperature": 0.8259179798356177,
    "min_confidence": 0.5,
    "familiarity": None,
    "envelope": {"rms": [0.012427390158602912, 0.5459775147065493], "rpm": [1728.0, 1799.0]},
    "network": {
        "name": "drsn-wide",
        "parameters": 81_908,
        "multiply_adds": 1_439_488,
        "architecture": {"gate": "channel-wise", "stem_kernel": 64, "widths": [16, 32, 64], "standardize": True},
    },
    "noise": {"kinds": ["gaussian", "pink", "laplacian"], "snr_db": [-10.0, 10.0]},
    "split": INFO["split"],
    "trained_on": {"records": 64, "segments": 1856, "specimens": 16, "digest": "bc" * 32},
    "best_epoch": 8,
    "scores": {
        "val": {"clean": scored(464, 0.9979)},
        "test": {"clean": scored(465, 0.9828), "gaussian -4 dB": scored(465, 0.7069)},
    },
    "faultdx_version": "0.1.0",
    "weights": {"onnx_sha256": "7d" * 32, "safetensors_sha256": "43" * 32},
}
ROWS = {
    "version": "0.1.0",
    "network, name": "drsn-wide",
    "network, parameters": "81908",
    "network, multiply adds": "1439488",
    "network, architecture": "gate channel-wise; stem kernel 64; widths 16, 32, 64; standardize yes",
    "temperature": "0.825918 (fitted on validation segments, those with added noise included)",
    "min confidence": "0.5",
    "sampling rate hz": "12000",
    "segment samples": "2048",
    "channels": "DE",
    "normalization": "zscore",
    "data, records": "64",
    "data, segments": "1856",
    "data, specimens": "16",
    "data, digest": "bc" * 32,
    "added noise, kinds": "gaussian, pink, laplacian",
    "added noise, snr db": "-10 to 10",
    "range, rms": "0.0124274 to 0.545978",
    "range, rpm": "1728 to 1799",
    "best epoch": "8",
    "faultdx version": "0.1.0",
    "schema": "faultdx.model/1",
    "weights, onnx sha256": "7d" * 32,
    "weights, safetensors sha256": "43" * 32,
}


def test_a_card_says_all_that_a_model_json_holds() -> None:
    said = card.model_card(MODEL)
    rows = dict(re.findall(r"^\| ([^|]+) \| `([^`]*)` \|$", said, flags=re.MULTILINE))
    assert rows == ROWS
    assert said.startswith("# Model card: pump-hall\n") and "- `normal` (healthy)\n- `inner_race`\n" in said
    assert "| val | clean | 464 | 16 | 99.4 | 100.0 | 99.2 | inner\\_race 99.8 |" in said
    assert "| test | gaussian -4 dB | 465 | 16 |" in said and "inner\\_race 70.7 |" in said
    assert "specimens never trained on; class normal has a single specimen: it is split in time" in said
    assert "LEAKING" not in said and "not calibrated" not in said and "None" not in said


def test_a_card_says_that_there_was_no_noise_and_no_validation() -> None:
    scores = MODEL["scores"] | {"val": {}}
    noise = {"kinds": [], "snr_db": None}
    said = card.model_card(MODEL | {"scores": scores, "noise": noise, "temperature": 1.0})
    assert "| added noise | `none` |" in said and "not calibrated" in said
    assert "| temperature | `1 (not fitted: there were no validation segments)` |" in said
    assert "| temperature | `1.2 (fitted on validation segments)` |" in card.model_card(
        MODEL | {"noise": noise, "temperature": 1.2}
    )


def test_the_notes_of_a_split_reach_the_report() -> None:
    notes = [f"class c{i} has a single specimen: it is split in time within each record" for i in range(11)]
    page = assert_harmless(
        html.render(a_diagnosis(), model_info=MODEL | {"split": MODEL["split"] | {"notes": notes}})
    ).text
    assert all(note in page for note in notes) and MODEL["split"]["level"] in page
    assert "As read, before any resampling" in page and "As diagnosed" not in page


def test_a_split_says_its_level_and_all_its_notes() -> None:
    split = {"method": "condition", "level": "across conditions.", "leakage": False, "notes": ["one.", "", "two"]}
    assert text.split_words(split) == "condition (across conditions; one; two)"
    assert text.split_words({"method": "specimen"}) == "specimen (the test parts were never trained on)"
    leaking = {"method": "random", "level": "LEAKING: segments on both sides", "leakage": True, "notes": []}
    assert text.split_words(leaking) == "random (LEAKING: segments on both sides)"


def test_a_leaking_split_is_the_first_thing_a_card_says() -> None:
    said = card.model_card(INFO | {"split": {"method": "segment", "leakage": True, "notes": ["random"]}})
    assert "LEAKING" in said.split("\n\n")[1]


@pytest.mark.parametrize("missing", [*MODEL, None])
def test_a_card_leaves_out_what_is_missing(missing: str | None) -> None:
    said = card.model_card({key: value for key, value in MODEL.items() if missing not in {key, None}})
    assert "None" not in said and "## Intended use" in said


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_in_a_card_is_only_text(name: str) -> None:
    model: dict[str, Any] = dict.fromkeys(MODEL, name)
    model |= {"classes": [name, "a`b|c"], "healthy": [name], "split": {"method": name, "notes": [name]}}
    model |= {"scores": {name: {"a|b": scored(1, 0.5) | {"recall": {name: 0.5}}, name: name}, "val": name}}
    model |= {"network": {"name": name, "architecture": {name: [name]}}, "noise": {"kinds": [name]}}
    said = card.model_card(model)
    assert said.encode("utf-8") and all(line.isprintable() for line in said.splitlines())
    outside_code = re.sub(r"`[^`\n]*`", "", said)
    assert not re.search(r"(?<!\\)<", outside_code)
    assert card.model_card(dict.fromkeys(MODEL, 3))


# ---- the layer


def test_importing_the_report_imports_nothing_heavy() -> None:
    heavy = "{'matplotlib', 'scipy', 'pandas', 'torch', 'h5py', 'rich', 'typer'}"
    code = (
        f"import sys; from faultdx.report import card, curves, document, html, text; print({heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
