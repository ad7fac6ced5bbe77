"""Metrics for the node_exporter, read back by a strict parser of the exposition format."""

from __future__ import annotations

import math
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import MODEL, broken, row

from faultdx.errors import OutputError
from faultdx.metrics import to_metrics, write_metrics
from faultdx.report.row import Row

SUMMARY = {"digest": MODEL, "name": "pumps", "version": "0.1.0"}
Sample = tuple[str, tuple[tuple[str, str], ...]]
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')


def parse(text: str) -> dict[Sample, float]:
    """Prometheus, "Exposition formats", text format 0.0.4; and what the textfile collector asks beyond it.

    One HELP and one TYPE a family, before its samples, the samples of a family together; label values escaped; no
    timestamps; no sample twice; the last line ended by a line feed.
    """
    assert text.endswith("\n") and "\r" not in text
    found: dict[Sample, float] = {}
    helped: set[str] = set()
    typed: set[str] = set()
    family = ""
    for line in text[:-1].split("\n"):
        if comment := re.fullmatch(rf"# HELP ({NAME}) ((?:[^\\\n]|\\\\|\\n)*)", line):
            assert comment[1] not in helped
            helped.add(comment[1])
            family = comment[1]
        elif comment := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram|summary|untyped)", line):
            assert comment[1] not in typed and comment[1] == family
            typed.add(comment[1])
        else:
            sample = re.fullmatch(rf"({NAME})(?:\{{(.*)\}})? (\S+)", line)
            assert sample, line
            assert sample[1] == family and family in typed, line
            labels, rest = [], sample[2] or ""
            while rest:
                label = LABEL.match(rest)
                assert label, (line, rest)
                value = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], label[2])
                labels.append((label[1], value))
                rest = rest[label.end() :]
            assert len({name for name, _ in labels}) == len(labels)
            key = (sample[1], tuple(sorted(labels)))
            assert key not in found, line
            found[key] = float(sample[3])
    return found


def metrics(rows: list[Row], **more: object) -> dict[Sample, float]:
    how = {"model": SUMMARY, "version": "0.1.0", "ended": 1_700_000_000.25, "duration_s": 1.5, **more}
    return parse(to_metrics(rows, **how))  # type: ignore[arg-type]


def key(name: str, /, **labels: str) -> Sample:
    return name, tuple(sorted(labels.items()))


def test_a_run_is_told_in_numbers() -> None:
    found = metrics([row(1, fault=True, verdict="inner_race", fault_probability=0.93), row(2), broken(3)], skipped=4)
    one = {"file": "1.mat", "asset": "pump 7", "point": "DE"}
    assert found[key("faultdx_record_fault", **one)] == 1
    assert found[key("faultdx_record_fault_probability", **one)] == 0.93
    assert found[key("faultdx_record_status", **one, status="diagnosed", verdict="inner_race")] == 1
    assert found[key("faultdx_record_level_rms", **one, unit="g")] == 0.25
    assert found[key("faultdx_record_time_seconds", **one)] == 1_704_196_800  # 2024-01-02T12:00:00Z
    two = {**one, "file": "2.mat"}
    assert found[key("faultdx_record_fault", **two)] == 0
    three = {**one, "file": "3.mat"}
    assert found[key("faultdx_record_status", **three, status="error", verdict="")] == 1
    assert key("faultdx_record_fault", **three) not in found  # nobody knows
    counts = {dict(labels)["status"]: n for (name, labels), n in found.items() if name == "faultdx_run_records"}
    assert counts == {"diagnosed": 2, "undecided": 0, "unfamiliar": 0, "unusable": 0, "error": 1}
    assert found[key("faultdx_run_records_skipped")] == 4
    assert found[key("faultdx_run_timestamp_seconds")] == 1_700_000_000.25
    assert found[key("faultdx_run_duration_seconds")] == 1.5
    assert found[key("faultdx_model_info", **SUMMARY)] == 1
    assert found[key("faultdx_build_info", version="0.1.0")] == 1


def test_a_fault_found_before_stays_while_a_run_has_nothing_new() -> None:
    standing = [row(1, fault=True, verdict="ball")]
    found = metrics([], standing=standing)
    assert found[key("faultdx_record_fault", file="1.mat", asset="pump 7", point="DE")] == 1
    assert found[key("faultdx_run_records", status="diagnosed")] == 0
    # the file was written anew, and this run has looked at it
    found = metrics([row(1)], standing=standing)
    assert found[key("faultdx_record_fault", file="1.mat", asset="pump 7", point="DE")] == 0
    assert not [name for name, labels in found if dict(labels).get("verdict") == "ball"]


def test_records_that_look_the_same_are_one_sample() -> None:
    found = metrics([row(1, level_rms=1.0), row(1, level_rms=2.0, status="undecided", verdict=None)])
    assert [v for (name, _), v in found.items() if name == "faultdx_record_level_rms"] == [2.0]
    assert found[key("faultdx_run_records", status="undecided")] == 1


def test_numbers_that_are_none_are_left_out() -> None:
    found = metrics([row(1, level_rms=math.inf, confidence=math.nan, time="yesterday")])
    names = {name for name, _ in found}
    assert names.isdisjoint({"faultdx_record_level_rms", "faultdx_record_confidence", "faultdx_record_time_seconds"})


@given(st.text(max_size=40), st.text(max_size=20), st.floats(allow_nan=True, allow_infinity=True))
def test_no_name_and_no_number_breaks_the_format(file: str, asset: str, level: float) -> None:
    found = metrics([row(1, file=file, asset=asset, level_rms=level, unit=asset)])
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("name", ['a"b.mat', "a\\b.mat", "a\\", "{x}.mat", "a,b=c.mat", "é単.mat", "# HELP x"])
def test_a_label_comes_back_as_it_was(name: str) -> None:
    found = metrics([row(1, file=name)])
    assert {dict(labels)["file"] for key_, labels in found if key_ == "faultdx_record_fault"} == {name}


def test_the_file_is_replaced_whole_and_anybody_may_read_it(tmp_path: Path) -> None:
    target = tmp_path / "faultdx.prom"
    write_metrics(target, "a 1\n")
    write_metrics(target, "a 2\n")
    assert target.read_text() == "a 2\n" and [p.name for p in tmp_path.iterdir()] == ["faultdx.prom"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o044  # the node_exporter is another user
    with pytest.raises(OutputError, match=r"gone/x\.prom: cannot be written"):
        (tmp_path / "gone").write_text("")
        write_metrics(tmp_path / "gone" / "x.prom", "a 1\n")


def test_the_parser_is_strict() -> None:
    good = '# HELP a x\n# TYPE a gauge\na{b="c"} 1\n'
    assert parse(good) == {("a", (("b", "c"),)): 1.0}
    bad = (
        good[:-1], good + 'a{b="c"} 2\n', 'a{b="c"} 1\n', good.replace('"c"', '"\\c"'), good.replace('"c"', '"c'),
        good.replace("} 1", "} 1 1700000000"), good + "# TYPE a gauge\n", good.replace("# TYPE a", "# TYPE b"),
    )  # fmt: skip
    for text in bad:
        with pytest.raises((AssertionError, ValueError)):
            parse(text)
