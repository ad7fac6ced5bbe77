"""The list of a run's reports, the trend on a page, and pages as Markdown and PDF."""

from __future__ import annotations

import html as escapes
import os
import re
import shutil
import stat
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Trained
from helpers import faultdx_here as faultdx
from test_report import CLASSES, HOSTILE, INFO, STATUSES, Page, a_diagnosis, a_record, nothing_found
from test_report_words import bearing_diagnosis

from faultdx.cli.reports import Reports, formats_of
from faultdx.diagnosis import Check, Diagnosis
from faultdx.errors import ConfigError, OutputError
from faultdx.records import Item
from faultdx.report import action, html, impulses, index, markdown, missing, orders, past, pdf
from faultdx.report.naming import report_names
from faultdx.report.row import Row
from faultdx.signals.witness import Picture

UNCHANGED = {"baseline": {"verdict": "unchanged"}}
DAY = "2026-03-{:02d}T08:00:00.000Z"


def a_row(day: int, level: float, **changes: Any) -> Row:
    facts: dict[str, Any] = {
        "file": "a.mat", "asset": "pump 7", "point": "DE", "time": DAY.format(day), "time_from": "stated",
        "status": "diagnosed", "verdict": "normal", "fault": False, "confidence": 0.9, "agreement": 1.0,
        "fault_probability": 0.1, "segments": 9, "sampling_rate_hz": 12e3, "rpm": 1797.0, "level_rms": level,
        "level_peak": 1.0, "crest_factor": 3.0, "kurtosis": 3.0, "unit": "g", "notes": "", "sha256": f"{day}",
        "model_digest": "m", "model_name": "n", "diagnosed_at": DAY.format(28), "elapsed_s": 0.1, "asked": "",
        "content": f"{day}-{level}",
    }  # fmt: skip
    return Row(**(facts | changes))


# ---- the advice of the first screen


def zone(letter: str | None, why: str = "") -> dict[str, Any]:
    return {"severity": {"zone": letter, "why_no_zone": why, "machine": {"by": "ISO 20816-3"}}}


@pytest.mark.parametrize(
    ("diagnosis", "severity", "words"),
    [
        (a_diagnosis(evidence=zone("D")), "danger", "stop the machine"),
        (a_diagnosis(evidence=zone("C")), "alarm", "plan the repair"),
        (a_diagnosis(evidence=zone("A")), "monitor", "confirm it"),
        (a_diagnosis(evidence=zone("B"), verdict="normal", fault=False), "good", "Nothing to do"),
        (a_diagnosis(evidence=zone("D"), verdict="normal", fault=False), "danger", "stop the machine"),
        (a_diagnosis(evidence=zone(None, "its power is not known")), "", "confirm it"),
        (a_diagnosis(), "", "confirm it"),
        (a_diagnosis(evidence={"witness": {"with_the_network": "disagree"}}), "", "Take nothing apart"),
        (a_diagnosis(verdict="normal", fault=False), "", "Nothing to do"),
        (a_diagnosis(fault=None), "", "not declared"),
        (STATUSES["undecided"], "", "longer"),
        (STATUSES["unfamiliar"], "", "mounting"),
        (STATUSES["unusable"], "", "Put right what"),
        (STATUSES["error"], "", "the message says"),
        (STATUSES["future"], "", "Update"),
        (a_diagnosis(status="undecided", verdict=None, fault=True), "", "confirm it"),
        (a_diagnosis(evidence=zone("D"), status="unusable"), "", "Put right what"),
        (a_diagnosis(evidence={"baseline": {"verdict": "changed", "fault": True}}), "alarm", "plan the repair"),
        (a_diagnosis(fault=None, evidence={"baseline": {"verdict": "changed"}}), "monitor", "another cause"),
        (
            a_diagnosis(fault=None, verdict="unchanged", evidence={"baseline": {"verdict": "unchanged"}}),
            "good",
            "as its",
        ),
        (a_diagnosis(evidence={"baseline": {"verdict": "not_compared", "obstacle": "x"}}), "", "confirm it"),
    ],
)
def test_severity_and_step_follow_the_rules(diagnosis: Diagnosis, severity: str, words: str) -> None:
    found = action.advice(diagnosis)
    assert found.severity == severity and words in found.step and found.when.endswith(".")
    if not severity:
        assert found.word == "not assessed" and found.basis
    page = Page(html.render(diagnosis, model_info=INFO)).text
    assert page.index(found.step) < page.index("Recording") and found.word in page


def test_a_severity_that_is_not_assessed_says_what_is_missing() -> None:
    assert "its power is not known" in action.advice(a_diagnosis(evidence=zone(None, "its power is not known"))).basis
    assert (
        "baseline" in action.advice(a_diagnosis()).basis
        and "class of the machine" in action.advice(a_diagnosis()).basis
    )


def test_the_second_best_is_the_likeliest_that_is_not_the_verdict() -> None:
    d = a_diagnosis(probabilities=dict(zip(CLASSES, (0.2, 0.25, 0.5, 0.05), strict=True)))
    assert action.second_best(d) == "inner_race, 25.0 %"
    assert action.second_best(replace(d, verdict="normal")) == "outer_race, 50.0 %"
    places = [{"place": "ball", "score": 0.4}, {"place": "outer_race", "score": 2.0}, {"place": "cage", "score": 9.0}]
    spectrum = replace(d, probabilities={}, evidence={"witness": {"hypotheses": places, "place": "outer_race"}})
    assert action.second_best(spectrum) == "rolling element, score 0.4 against 2"
    nothing = replace(d, probabilities={}, evidence={"witness": {"hypotheses": places, "place": None}})
    assert action.second_best(nothing) == ""  # no second without a first


def test_where_the_speed_is_in_doubt_nothing_that_hangs_on_it_is_said() -> None:
    doubt = Check("speed", 0.5, 0.01, "warn", "the spectrum shows another shaft")
    d = a_diagnosis(quality=(doubt,), evidence=zone("A"))
    said = action.advice(d)
    assert said.severity == "" and "in doubt" in said.basis and "stated speed" in said.step
    put_right = replace(d, evidence={**zone("A"), "witness": {"verdict": "located", "place": "outer_race"}})
    assert "in doubt" not in action.advice(put_right).basis


@pytest.mark.parametrize("name", missing.CHECKS)
def test_each_check_says_what_to_measure(name: str) -> None:
    d = a_diagnosis(quality=(Check(name, 1.0, 0.5, "warn", f"it is {name}"),))
    found = dict(missing.rows(d, model_info=INFO))
    general = dict(missing.rows(replace(d, quality=(Check("new", 1, 1, "warn", "it is new"),)), model_info=INFO))
    assert len(found[f"it is {name}"]) > 20 and found[f"it is {name}"] != general["it is new"]


def test_what_is_missing_is_named_with_its_cure() -> None:
    bare = a_diagnosis(rpm=None, record=a_record(rpm=None, unit=None, asset=None), quality=())
    said = " ".join(" ".join(row) for row in missing.rows(bare, model_info=INFO))
    for words in ("--rpm", "--unit", "--bearing", "--asset", "vibration zone"):
        assert words in said
    whole = replace(a_diagnosis(quality=()), evidence={"witness": {}, **zone("A")})
    said = " ".join(" ".join(row) for row in missing.rows(whole, model_info={}))
    for words in ("--rpm", "--unit", "--bearing", "--asset"):
        assert words not in said
    short = a_diagnosis(record=a_record(1.0), rpm=1797.0)
    assert any("turns" in row[0] for row in missing.rows(short, model_info=INFO))
    assert missing.rows(STATUSES["error"], model_info={}) == [
        ("a file that can be read", "a.mat: cut short; copy it again")
    ]


# ---- the trend


def test_the_past_is_what_came_before_at_this_point_in_this_unit() -> None:
    now = a_row(10, 2.0)
    rows = [a_row(3, 1.0), a_row(1, 1.1), a_row(12, 9.0), a_row(4, 1.0, unit=""), a_row(5, 1.0, point="FE"),
            a_row(6, 1.0, asset="pump 8"), replace(now, time=DAY.format(2)), a_row(7, 1.0, level_rms=None)]  # fmt: skip
    assert [r.time for r in past.earlier_of([*rows, *rows], now).rows] == [DAY.format(1), DAY.format(3)]
    many = [
        replace(a_row(1, 1.0), time=f"2025-01-01T00:{i // 60:02d}:{i % 60:02d}.000Z", content=str(i))
        for i in range(300)
    ]
    assert len(past.earlier_of(many, now).rows) == past.MOST


def test_the_limit_is_the_highest_of_the_earlier_without_a_fault() -> None:
    rows = [a_row(1, 1.0), a_row(2, 1.3), a_row(3, 1.2), a_row(4, 5.0, fault=True), a_row(5, 4.0, fault=None)]
    assert past.limit_of(rows) == (1.3, 3) and past.limit_of(rows[1:]) is None
    twice = [*rows, replace(rows[1], fault=True, model_digest="other")]  # another model saw a fault in it
    assert past.limit_of(twice) is None
    said = Page(past.section(a_row(9, 1.4), past.Earlier(tuple(rows)))).text
    assert "above the limit" in said and "25 %" in said and "1.3 g RMS" in said
    assert "at or below the limit" in Page(past.section(a_row(9, 1.3), past.Earlier(tuple(rows)))).text


def test_the_chance_that_is_stated_of_the_limit_is_right() -> None:
    rng = np.random.default_rng(4)
    above = 0
    for _ in range(4000):
        levels = rng.lognormal(size=5)
        limit = past.limit_of([a_row(i + 1, float(x)) for i, x in enumerate(levels[:4])])
        assert limit is not None
        above += levels[4] > limit[0]
    assert abs(above / 4000 - 1 / 5) < 0.02


def test_a_trend_is_the_same_bytes_and_says_what_it_lacks() -> None:
    rows = past.Earlier(tuple(a_row(day, 1 + day / 10) for day in range(1, 8)))
    assert past.section(a_row(9, 1.4), rows) == past.section(a_row(9, 1.4), replace(rows))
    assert "not named" in past.section(a_row(9, 1.4, asset=""), rows)
    assert "first recording" in past.section(a_row(9, 1.4), past.Earlier())
    assert past.section(a_row(9, 1.4, level_rms=None), rows) == ""
    assert "recorded_at" in past.section(a_row(9, 1.4, time_from="file"), rows)
    for name in HOSTILE:
        Page(
            past.section(
                a_row(9, 1.4, asset=name or "x", point=name, unit=name),
                past.Earlier((a_row(1, 1.0, asset=name, unit=name),)),
            )
        )


# ---- pictures


def a_picture(tolerance: float = 0.02) -> Picture:
    axis = np.arange(0, 18, 1 / 64)
    lines = {"outer_race": 3.585, "inner_race": 5.415, "ball": 4.714, "cage": 0.398}
    depth = 0.02 + np.isin(np.arange(axis.size), [round(5.415 * k * 64) for k in (1, 2, 3)])
    return Picture("1000-2000 Hz", axis, depth, np.full(axis.size, 0.02), lines, tolerance)


def boxes(svg: str) -> list[tuple[str, float, float, float, float]]:
    """Each text of a picture with the box it takes, by a width of 0.56 of its size a letter."""
    found = []
    for style, rest, said in re.findall(r'<text style="([^"]*)"([^>]*)>([^<]*)</text>', svg):
        size = float((re.search(r"([\d.]+)px", style) or [0, "9"])[1])
        move = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", rest)
        x = float((re.search(r'\bx="([-\d.]+)"', rest) or [0, "0"])[1]) if move is None else float(move[1])
        y = float((re.search(r'\by="([-\d.]+)"', rest) or [0, "0"])[1]) if move is None else float(move[2])
        if "rotate(-90" in rest:
            continue
        width = 0.56 * size * len(said)
        x -= {"middle": width / 2, "end": width}.get((re.search(r"anchor: (\w+)", style) or [0, ""])[1], 0)
        found.append((said, x, y - 0.75 * size, x + width, y))
    return found


@pytest.mark.parametrize("place", ["outer_race", "inner_race", "ball", None])
@pytest.mark.parametrize("tolerance", [0.018, 0.068])
def test_no_label_of_the_envelope_spectrum_falls_on_another(place: str | None, tolerance: float) -> None:
    svg = orders.annotated(a_picture(tolerance), place=place)
    found = boxes(svg)
    assert {"BPFO", "BPFI", "2BSF", "FTF"} <= {said for said, *_ in found}
    assert (sum("×" in said for said, *_ in found) == 3) is (place is not None)
    for i, (one, x0, y0, x1, y1) in enumerate(found):
        for other, u0, v0, u1, v1 in found[i + 1 :]:
            assert x1 <= u0 or u1 <= x0 or y1 <= v0 or v1 <= y0, (one, other)
    assert svg == orders.annotated(a_picture(tolerance), place=place)


def test_sidebands_are_the_shafts_for_the_inner_race_and_the_cages_for_the_ball() -> None:
    assert orders.sidebands("inner_race", cage=0.4) == 1.0 and orders.sidebands("ball", cage=0.4) == 0.4
    assert orders.sidebands("outer_race", cage=0.4) is None and orders.sidebands("ball", cage=None) is None
    dotted = {
        place: orders.annotated(a_picture(), place=place).count("stroke-dasharray: 0.7")
        for place in ("outer_race", "inner_race", "ball")
    }
    assert dotted["outer_race"] == 0 and dotted["inner_race"] >= 10 and dotted["ball"] == 12


def test_the_kurtogram_names_the_band_that_rings() -> None:
    rng = np.random.default_rng(1)
    signal = rng.standard_normal(48_000)
    ring = np.exp(-np.arange(120) / 30) * np.sin(2 * np.pi * 3400 * np.arange(120) / 12_000)
    for at in range(100, 47_800, 400):
        signal[at : at + 120] += 8 * ring
    said = Page(impulses.section(a_diagnosis(record=a_record().with_(signal=signal[None].astype(np.float32))))).text
    low, high = map(float, re.search(r"is (\d+)-(\d+) Hz", said).groups())  # type: ignore[union-attr]
    assert low < 3400 < high and high - low <= 3000
    assert impulses.section(a_diagnosis(record=a_record().with_(signal=np.ones((1, 5000), np.float32)))) == ""


def test_a_page_with_all_that_it_can_have_is_below_400_kb() -> None:
    physics = bearing_diagnosis()
    rng = np.random.default_rng(0)
    record = a_record(60, rows=5)
    d = a_diagnosis(record=record, witness=physics.witness, warnings=tuple("w" * 900 for _ in range(99)),
                    evidence={**physics.evidence, **{f"e{i}": "e" * 900 for i in range(99)}},
                    segment_probabilities=rng.random((3000, 4)), segment_starts_s=np.arange(3000.0))  # fmt: skip
    page = html.render(d, model_info=INFO, trend=True)
    assert page.count(past.HERE) == 1
    page = page.replace(
        past.HERE, past.section(a_row(28, 1.0), past.Earlier(tuple(a_row(i % 27 + 1, 1 + i / 99) for i in range(200))))
    )
    for title in ("Trend", "The bearing in the spectrum", "The band of the envelope", "What is missing"):
        assert title in Page(page).text
    assert len(page.encode()) < 400_000


# ---- the list


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs)["href"] or "")


def test_the_worst_comes_first() -> None:
    listing = index.Index()
    danger = a_diagnosis(evidence=zone("D"), verdict="normal", fault=False)
    given = {
        "healthy": STATUSES["healthy"], "error": STATUSES["error"], "weak": a_diagnosis(confidence=0.6),
        "unusable": STATUSES["unusable"], "strong": a_diagnosis(confidence=0.99), "open": a_diagnosis(fault=None),
        "undecided": STATUSES["undecided"], "danger": danger, "unfamiliar": STATUSES["unfamiliar"],
        "monitor": a_diagnosis(confidence=0.5, evidence=zone("A")),
    }  # fmt: skip
    for name, diagnosis in given.items():
        listing.add(index.listed(diagnosis), link=f"{name}.html")
    order = [link.removesuffix(".html") for link in Links(listing.page()).found]
    assert order == [
        "danger",
        "monitor",
        "strong",
        "weak",
        "undecided",
        "unfamiliar",
        "unusable",
        "error",
        "open",
        "healthy",
    ]
    page = Page(listing.page()).text
    assert "10 recordings" in page and "3 fault" in page and "cut short" in page and "motor 3" in page


def test_ten_thousand_records_give_a_page_and_a_memory_that_are_bounded() -> None:
    rows = [index.listed(d) for d in (STATUSES["healthy"], a_diagnosis(file="f" * 9000), STATUSES["unusable"])]
    listing = index.Index()
    tracemalloc.start()
    for i in range(2000):
        listing.add(replace(rows[i % 3], weight=i / 10_000), link=f"{i}.html")
    before = tracemalloc.get_traced_memory()[0]
    for i in range(2000, 10_000):
        listing.add(replace(rows[i % 3], weight=i / 10_000), link=f"{i}.html")
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    page = listing.page()
    assert grown < 200_000 and len(page.encode()) < 600_000
    links = Links(page).found
    assert len(links) == index.MOST and links[0] == "9997.html"  # the surest fault
    assert "The worst 1000 of 10000" in page and "3333" in page


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_in_the_list_is_harmless(name: str) -> None:
    record = a_record(0.1, asset=name)
    listing = index.Index()
    for d in (
        a_diagnosis(file=name, verdict=name, record=record),
        nothing_found("error", error={"kind": "x", "message": name}),
    ):
        listing.add(index.listed(replace(d, file=name)), link="a.html")
    source = listing.page()
    page = Page(source)
    allowed = {"html", "head", "body", "meta", "title", "style", "h1", "div", "span", "b", "p"}
    assert {tag for tag, _ in page.tags} <= allowed | {"table", "tr", "th", "td", "a", "wbr"}
    assert Links(source).found == ["a.html", "a.html"] and "://" not in source and "\u202e" not in source


def test_the_list_is_the_same_bytes() -> None:
    pages = []
    for _ in range(2):
        listing = index.Index()
        for name in ("fault", "healthy", "error", "undecided"):
            listing.add(index.listed(replace(STATUSES[name], elapsed_s=np.random.default_rng().random())), link=name)
        pages.append(listing.page(passed_over=3))
    assert pages[0] == pages[1] and "3 recordings that the history had" in pages[0]


# ---- Markdown


def unescaped(said: str) -> str:
    return re.sub(r"\\(.)", r"\1", said)


@pytest.mark.parametrize("name", list(STATUSES))
def test_markdown_says_all_that_the_page_says(name: str) -> None:
    source = html.render(STATUSES[name], model_info=INFO)
    said = markdown.from_page(source)
    words = unescaped(said)
    body = re.sub(r"<svg.*?</svg>|<style>.*?</style>|<title>.*?</title>", "", source, flags=re.DOTALL)
    for piece in re.findall(r">([^<]+)<", body):
        for word in escapes.unescape(piece).split():
            assert word in words, word
    assert said.count("\n## ") == source.count("<h2>") and said.count("\n# ") + said.startswith("# ") == 1
    assert said.count("*Picture: ") == source.count("aria-label=")


def test_a_table_of_markdown_is_rectangular() -> None:
    said = markdown.from_page(html.render(a_diagnosis(), model_info=INFO))
    for block in said.split("\n\n"):
        if block.startswith("|"):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize(
    "name", [*HOSTILE, "# x", "- x", "1. x", "a|b", "[x](http://e.org)", "www.e.org", "***", "`x`", "---"]
)
def test_no_name_is_markup_in_markdown(name: str) -> None:
    from markdown_it import MarkdownIt

    said = markdown.escaped(name)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(
        f"a {said} z\n\n{said or 'x'}\n\n| {said} |\n| --- |\n| {said} |\n"
    )
    kinds = [token.type for token in tokens if not token.type.endswith("_close")]
    expected = ["paragraph_open", "inline"] * 2
    expected += [
        "table_open",
        "thead_open",
        "tr_open",
        "th_open",
        "inline",
        "tbody_open",
        "tr_open",
        "td_open",
        "inline",
    ]
    assert kinds == expected
    for token in tokens:
        assert all(child.type in {"text", "text_special"} for child in token.children or []), token
    d = a_diagnosis(file=name, verdict=name, probabilities={name: 1.0}, warnings=(name,), record=None)
    whole = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(
        markdown.from_page(html.render(d, model_info={}))
    )
    assert not [t for t in whole if t.type in {"html_block", "code_block", "fence", "hr", "blockquote_open"}]


# ---- PDF


def test_a_pdf_has_no_date_and_keeps_its_length() -> None:
    blob = b"%PDF-1.4 /CreationDate (D:20261122173312+00'00')\n/ModDate (D:20261122173312+00'00')>> "
    blob += b"/ID [<0AbC><9>] /ID (node01)"
    other = blob.replace(b"20261122173312", b"20270101000001").replace(b"0AbC", b"1111")
    assert pdf.undated(blob) == pdf.undated(other) and len(pdf.undated(blob)) == len(blob)
    assert b"D:20000101000000+00'00'" in pdf.undated(blob) and b"/ID (node01)" in pdf.undated(blob)


def test_without_a_browser_the_error_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(pdf.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"Chromium.*FAULTDX_BROWSER"):
        pdf.find_browser()
    with pytest.raises(ConfigError, match="Chromium"):
        Reports(tmp_path / "r", [Item("a")], overwrite=False, formats=("pdf",))
    assert not (tmp_path / "r").exists()
    monkeypatch.setenv(pdf.VARIABLE, "nobody")
    with pytest.raises(ConfigError, match="nobody"):
        pdf.find_browser()


def a_browser(folder: Path, script: str) -> str:
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_browser_that_fails_is_an_error_of_one_line(tmp_path: Path) -> None:
    for script in (
        "exit 3",
        "echo no display >&2",
        'for a; do case $a in --print-to-pdf=*) echo x > "${a#*=}";; esac; done',
    ):
        with pytest.raises(OutputError, match="printed no PDF") as caught:
            pdf.to_pdf(b"<html></html>", browser=a_browser(tmp_path, script))
        assert "\n" not in str(caught.value)
    with pytest.raises(OutputError, match="could not print"):
        pdf.to_pdf(b"", browser=str(tmp_path / "gone"))


@pytest.mark.skipif(not any(map(shutil.which, pdf.BROWSERS)), reason="no browser is installed")
def test_a_page_prints_and_the_same_page_prints_the_same() -> None:
    page = html.render(STATUSES["unusable"], model_info=INFO).encode()
    first = pdf.to_pdf(page, browser=pdf.find_browser())
    assert first.startswith(b"%PDF-") and first == pdf.to_pdf(page, browser=pdf.find_browser())


# ---- the command


def test_formats_are_names_with_commas_or_repeated() -> None:
    assert formats_of(None) == ("html",) and formats_of(["pdf,html"]) == ("html", "pdf")
    assert formats_of(["markdown", " html , markdown"]) == ("html", "markdown")
    for wrong in (["htm"], ["html,doc"], [""], [","]):
        with pytest.raises(ConfigError, match="html, markdown, pdf"):
            formats_of(wrong)


def test_no_report_takes_the_name_of_the_list() -> None:
    names = report_names([Item("x/index"), Item("b.mat")])
    assert names[1] == "b.mat.html" and re.fullmatch(r"index-[0-9a-f]{8}\.html", names[0])


def test_a_folder_gets_a_list_and_a_trend(trained: Trained, good: Path) -> None:
    shutil.copy(good / "a.mat", good / "b.mat")
    data = bytearray((good / "b.mat").read_bytes())
    data[-4:-2] = b"\x00\x00"
    (good / "b.mat").write_bytes(data)
    (good / "c.mat").write_bytes(b"MATLAB no")
    for name, day in (("a", 1), ("b", 2)):
        os.utime(good / f"{name}.mat", (1_700_000_000 + day * 86_400,) * 2)
    command = ("diagnose", "a.mat", "b.mat", "c.mat", "--model", trained.run, "--report", "r", "--asset", "pump 7")
    command += ("--history", "h.sqlite", "--report-format", "html,markdown", "--min-confidence", "0")
    ran = faultdx(*command, cwd=good)
    assert ran.code == 4 and ran.err.splitlines()[-1] == "3 reports in r"
    assert sorted(p.name for p in (good / "r").iterdir()) == sorted(
        f"{n}{s}" for n in ("a.mat", "b.mat", "c.mat", "index") for s in (".html", ".md")
    )
    listing = (good / "r" / "index.html").read_text("utf-8")
    assert Links(listing).found[-1] in {"a.mat.html", "b.mat.html"} and "c.mat.html" in Links(listing).found
    assert "first recording of pump 7" in (good / "r" / "a.mat.html").read_text("utf-8")
    assert "median of the earlier" in (good / "r" / "b.mat.html").read_text("utf-8")
    assert (good / "r" / "b.mat.md").read_text("utf-8").count("## Trend") == 1
    kept = {p: p.read_bytes() for p in (good / "r").iterdir()}
    assert faultdx(*command, cwd=good).code == 4  # the same recordings, and a history that has them: the same bytes
    assert {p: p.read_bytes() for p in (good / "r").iterdir()} == kept


def test_a_list_of_an_earlier_run_is_replaced_and_a_strangers_file_is_not(tmp_path: Path) -> None:
    items = [Item("a.mat"), Item("b.mat")]
    page, row = html.render(STATUSES["error"], model_info={}).encode(), index.listed(STATUSES["error"])
    for many in (1, 2):
        reports = Reports(tmp_path, items, overwrite=False, formats=("html", "markdown"))
        for number in range(many):
            reports.write(number, page, listed=row)
        assert reports.finish()
        assert f"{many} recording{'s' * (many > 1)}," in (tmp_path / "index.html").read_text("utf-8")
        assert f"# {many} recording{'s' * (many > 1)}," in (tmp_path / "index.md").read_text("utf-8")
    (tmp_path / "index.html").write_text("mine", "utf-8")
    for overwrite in (False, True):
        reports = Reports(tmp_path, items, overwrite=overwrite)
        reports.write(0, page, listed=row)
        assert reports.finish() is overwrite
        assert ((tmp_path / "index.html").read_text("utf-8") == "mine") is not overwrite
    alone = Reports(tmp_path / "one", items[:1], overwrite=False)
    alone.write(0, page, listed=row)
    assert alone.finish() and [p.name for p in (tmp_path / "one").iterdir()] == ["a.mat.html"]


def test_a_format_without_a_folder_is_a_mistake(trained: Trained, good: Path) -> None:
    ran = faultdx("diagnose", "a.mat", "--model", trained.run, "--report-format", "html", cwd=good)
    assert ran.code == 2 and "--report DIR" in ran.err
    ran = faultdx("diagnose", "a.mat", "--model", trained.run, "--report", "r", "--report-format", "doc", cwd=good)
    assert ran.code == 2 and "html, markdown, pdf" in ran.err and not (good / "r").exists()
