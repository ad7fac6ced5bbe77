"""What a person reads on a page: names, provenance, the trend and its limits, and what the files are called."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import Trained
from helpers import faultdx_here as faultdx
from test_report import INFO, Page, a_diagnosis, a_record
from test_report_index import a_row

from faultdx.baseline import fit, with_baseline
from faultdx.diagnosis import PHYSICS
from faultdx.records import Declared, Item
from faultdx.records.record import Record
from faultdx.report import html, index, legible, markdown, origin, parts, past, text
from faultdx.report.document import to_dict
from faultdx.report.naming import MOST_BYTES, report_names, safe_name
from faultdx.simulation.rig import simulate

# ---- names as a person reads them


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("inner_race", "inner race"),
        ("ball_007", "ball 007"),
        ("a__b", "a b"),
        ("_x_", "_x_"),
        ("DE", "DE"),
        ("ä_ö", "ä ö"),
    ],
)
def test_a_name_is_read_without_the_spelling_of_code(name: str, said: str) -> None:
    assert legible.spoken(name) == said


def test_names_that_would_be_read_alike_keep_their_spelling() -> None:
    assert legible.names_of(["a_b", "a b", "c_d"]) == {"a_b": "a_b", "a b": "a b", "c_d": "c d"}


def test_a_page_reads_and_the_json_does_not() -> None:
    found = a_diagnosis(
        verdict="outer_race", probabilities={"outer_race": 0.9, "inner_race": 0.1}, warnings=("like inner_race",),
        conformal_set=("outer_race",), familiarity={"nearest": "inner_race", "reason": "near inner_race."},
    )  # fmt: skip
    page = Page(html.render(found, model_info=INFO | {"classes": ["outer_race", "inner_race"]})).text
    assert "outer race" in page and not re.search(r"(outer|inner)_race", page)
    assert index.listed(found).what == "outer race"
    assert to_dict(found)["verdict"] == "outer_race" and "outer_race" in text.one_line(found)  # scripts match these


def test_a_path_in_a_sentence_keeps_its_spelling() -> None:
    names = {"inner_race": "inner race"}
    said = "inner_race: rig/inner_race/1.mat, inner_race.mat and (inner_race)"
    assert legible.in_text(said, names) == "inner race: rig/inner_race/1.mat, inner_race.mat and (inner race)"


# ---- provenance


def test_provenance_is_words_with_every_digest_and_no_keys() -> None:
    info = {
        **INFO, "classes": ["normal", "outer_race"], "healthy": ["normal"], "channels": ["DE"], "best_epoch": 8,
        "normalization": "none", "min_confidence": 0.5, "noise": {"kinds": ["gaussian", "pink"], "snr_db": [-10, 10]},
    }  # fmt: skip
    baseline = {"verdict": "unchanged", "digest": "be" * 32, "records": 1}
    page = html.render(a_diagnosis(evidence={"baseline": baseline}), model_info=info)
    said = Page(page[page.index("<h2>Provenance") :].partition("</section>")[0]).text
    for words in ("ab" * 32, "cd" * 32, "be" * 32 + " (1 healthy recording)", "gaussian, pink, -10 to 10 dB SNR",
                  "1720 to 1797 rpm", "50.0 % at least", "normal, outer race; healthy: normal"):  # fmt: skip
        assert words in re.sub(r" +", " ", said), words
    assert "_" not in said and "snr db" not in said and "hz" not in said.lower().replace("hz,", "")


def test_provenance_of_physics_alone_and_of_nothing_is_short() -> None:
    found = a_diagnosis(model={"name": PHYSICS}, evidence={})
    said = Page(origin.section(found, {})).text
    assert "no network" in said and "temperature" not in said
    assert "faultdx version" in Page(origin.section(a_diagnosis(model={}, sha256=""), {})).text


def test_a_refused_baseline_is_not_no_baseline() -> None:
    record = simulate("bearing", specimens=1, seconds=2.0, classes=("healthy",))
    one, other = list(record)[:2]
    baseline, _ = fit([one])
    found = with_baseline(a_diagnosis(record=other, evidence={}), replace(other, rpm=900.0), baseline)
    page = Page(html.render(found, model_info=INFO)).text
    assert (
        page.count("refused") >= 2
        and page.count("it runs at 900 rpm") >= 3
        and "no baseline of this machine" not in page
    )
    assert "no baseline of this machine was given" in Page(html.render(a_diagnosis(), model_info=INFO)).text


# ---- the trend


def copied(number: int, level: float, **changes: Any) -> Any:
    """A recording whose file was copied together with the others: a millisecond apart."""
    facts = {"time": f"2026-03-01T08:00:00.{number:03d}Z", "time_from": "file", "file": f"spool/run{number}.mat"}
    return a_row(1, level, content=str(number), sha256=str(number), **(facts | changes))


def test_files_that_were_copied_together_are_ordered_by_their_names() -> None:
    rows = [copied(n, 1 + n / 10) for n in (2, 10, 1, 9, 11)]
    now = copied(10, 2.0)
    found = past.earlier_of(rows, now)
    assert found.by_name and [r.file for r in found.rows] == [f"spool/run{n}.mat" for n in (1, 2, 9)]
    said = Page(past.section(now, found)).text
    assert "in the order of their names" in said and "from run1.mat on" in said and "UTC" not in said
    # one that was copied first and recorded last
    last = copied(10, 2.0, time="2026-03-01T08:00:00.000Z")
    assert [r.file for r in past.earlier_of(rows, last).rows] == [r.file for r in found.rows]


def test_a_time_that_is_known_counts() -> None:
    rows = [a_row(day, 1.0, time_from="file", file=f"{9 - day}.mat") for day in (1, 2, 3)]
    found = past.earlier_of(rows, a_row(4, 1.0, time_from="file"))
    assert not found.by_name and [r.time for r in found.rows] == [r.time for r in rows]
    stated = [copied(n, 1.0, time_from="stated") for n in (2, 1)]
    found = past.earlier_of(stated, copied(9, 1.0, time_from="stated"))
    assert not found.by_name and [r.content for r in found.rows] == ["1", "2"]


def test_a_history_is_asked_for_what_was_copied_after_it_and_no_other() -> None:
    assert past.asked_before(copied(1, 1.0)).time == "2026-03-02T08:00:00.001Z"
    assert past.asked_before(a_row(1, 1.0)) == a_row(1, 1.0)
    odd = a_row(1, 1.0, time="yesterday", time_from="file")
    assert past.asked_before(odd) == odd


def test_the_limit_of_a_baseline_stands_in_the_trend() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((4, 1, 24_000)).astype(np.float32)
    healthy = [Record(x, 12e3, 1800.0, ("DE",), sha256=str(i)) for i, x in enumerate(noise)]
    baseline, _ = fit(healthy[:3])
    found = with_baseline(a_diagnosis(evidence={}), healthy[3], baseline)
    document = json.dumps(to_dict(found))
    rms = float(healthy[3].signal.std())
    own = past.own_limit(document, a_row(9, rms))
    assert own is not None and own.records == 3 and 1.05 * rms < own.level < 4 * rms
    loud = replace(healthy[3], signal=10 * healthy[3].signal)  # the limit is the machine's, whatever is compared
    louder = with_baseline(a_diagnosis(evidence={}), loud, baseline)
    again = past.own_limit(json.dumps(to_dict(louder)), a_row(9, 10 * rms))
    assert again is not None and again.level == pytest.approx(own.level, rel=1e-3)
    earlier = past.Earlier((a_row(1, rms, fault=None),))
    said = Page(past.section(a_row(9, 10 * rms), earlier, own=again)).text
    assert "3 healthy recordings allow" in said and "above the limit" in said and "none: it takes" not in said
    assert "or a baseline" in Page(past.section(a_row(9, rms), earlier)).text
    for broken in (
        "",
        "{}",
        "[]",
        '{"evidence": {"baseline": {"deviations": []}}}',
        json.dumps(to_dict(a_diagnosis())),
    ):
        assert past.own_limit(broken, a_row(9, 1.0)) is None


# ---- what the files are called


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("насос-7.mat", "насос-7.mat"),
        ("ポンプ_7番.mat", "ポンプ_7番.mat"),
        ("नमस्ते.mat", "नमस्ते.mat"),
        ("e\u0301.mat", "\u00e9.mat"),
        ("a b?c*<d>|e:f.mat", "a_b_c__d__e_f.mat"),
        ("x\u202egpj.exe\x00\x1b[31m", "x_gpj.exe___31m"),
        ("\udcff\udc80.mat", "__.mat"),
        ("CON.mat", "_CON.mat"),
        ("lpt1", "_lpt1"),
        (".hidden", "_hidden"),
        ("-rf", "_rf"),
        ("..", "_"),
        ("", "record"),
    ],
)
def test_a_name_keeps_its_letters_and_nothing_that_bites(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_long_name_is_cut_between_letters() -> None:
    for name in ("ü" * 200, "नी" * 100, "x" + "नी" * 100, "e\u0323\u0302" * 120, "x" * 500):
        cut = safe_name(name)
        assert MOST_BYTES - 12 <= len(cut.encode()) <= MOST_BYTES
        assert unicodedata.normalize("NFC", name).startswith(cut)
        assert unicodedata.category(unicodedata.normalize("NFC", name)[len(cut)])[0] != "M"


def test_names_that_a_file_system_may_take_for_one_are_told_apart() -> None:
    names = report_names([Item(p) for p in ("A.mat", "a.mat", "\u00e9.mat", "e\u0301.mat", "INDEX", "b.mat")])
    assert len({unicodedata.normalize("NFD", n).casefold() for n in names}) == 6
    assert names[-1] == "b.mat.html" and re.fullmatch(r"INDEX-[0-9a-f]{8}\.html", names[4])
    assert len(set(report_names([Item("a.mat", Declared(channels=(c,))) for c in ("DE", "FE")]))) == 2


# ---- the list, and parts


def test_a_long_name_breaks_at_its_separators_in_a_list_and_not_in_markdown() -> None:
    listing = index.Index()
    listing.add(index.listed(a_diagnosis(file="hall/Motor_DE-2.mat")), link="a.html")
    page = listing.page()
    assert "hall/<wbr>Motor_<wbr>DE-<wbr>2.<wbr>mat</a>" in page
    assert r"[hall/Motor\_DE-2.mat](a.html)" in markdown.from_page(page)
    assert parts.breakable('a"<b>/c') == "a&quot;&lt;b&gt;/<wbr>c"


def test_a_list_says_what_is_wrong_with_a_file_once() -> None:
    from test_report import STATUSES

    row = index.listed(STATUSES["error"])
    assert row.note == "cut short; copy it again"


# ---- from a shell


def test_an_unknown_language_is_said_in_one_line(
    trained: Trained, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = next(iter(trained.rig.glob("*.mat")))
    monkeypatch.setenv("FAULTDX_LANGUAGE", "xx")
    ran = faultdx("diagnose", record, "--model", trained.run, cwd=tmp_path)
    assert ran.code == 0 and [line for line in ran.err.splitlines() if "FAULTDX_LANGUAGE=xx" in line]
    assert "FAULTDX" not in faultdx("diagnose", record, "--model", trained.run, "--quiet", cwd=tmp_path).err
    monkeypatch.setenv("FAULTDX_LANGUAGE", "en")
    assert "FAULTDX" not in faultdx("diagnose", record, "--model", trained.run, cwd=tmp_path).err


def test_the_table_of_a_simulated_gearbox_names_its_teeth() -> None:
    (record,) = list(simulate("gearbox", specimens=1, seconds=0.2, classes=("healthy",)))[:1]
    assert record.details["teeth"] == "29:95"
    from faultdx.gearing import known_gears

    assert (known_gears(record.details["teeth"]).teeth, known_gears("29:95").other_teeth) == (29, 95)


def test_a_page_of_a_record_without_a_label_is_as_before() -> None:
    assert "declared class" not in Page(html.render(a_diagnosis(record=a_record(label=None)), model_info=INFO)).text


def test_an_all_clear_that_is_held_back_is_not_called_a_doubt_between_classes() -> None:
    held = "it looks normal, but it is no record to compare (speed): no all-clear"
    found = a_diagnosis(status="undecided", verdict=None, fault=None, warnings=(held,))
    assert held in text.sentence(found) and "holds back" in text.headline(found)[2]
    plain = replace(found, warnings=("another matter",))
    assert "no class stands out" in text.sentence(plain) and "cannot tell" in text.headline(plain)[2]
