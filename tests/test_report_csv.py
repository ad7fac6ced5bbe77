"""Diagnoses as CSV: what a spreadsheet and a program make of it; and the row that it is made of."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import broken, row

from faultdx.diagnosis import Diagnosis
from faultdx.records import Declared, Item
from faultdx.records.record import Record
from faultdx.report.row import Row, asked_of, row_of, sha256_of
from faultdx.report.table import BOM, CSV_HEADER, cell, to_csv, to_csv_rows
from faultdx.signals.quality import Check

FORMULAS = ("=1+1.mat", "+1.mat", "-x.mat", "@SUM(A1).mat", "  =1+1", "\t=1", "\r=1", "＝1+1", '=cmd|" /C calc"!A0')


def read_back(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix(BOM), newline="")))


def test_every_field_has_its_column_and_the_header_is_the_contract() -> None:
    # `content` is how the history tells records apart, `asked` is its business too
    assert set(CSV_HEADER) == {f.name for f in fields(Row)} - {"content", "asked"}
    assert CSV_HEADER[:8] == ("file", "asset", "point", "time", "time_from", "status", "verdict", "fault")


def test_one_row_a_record_in_their_order_errors_included() -> None:
    rows = [row(2), broken(1), row(3, fault=True, verdict="ball", fault_probability=0.75)]
    found = read_back(to_csv(rows))
    assert [r["file"] for r in found] == ["2.mat", "1.mat", "3.mat"]
    assert [r["status"] for r in found] == ["diagnosed", "error", "diagnosed"]
    assert found[1]["confidence"] == found[1]["fault"] == "" and found[1]["notes"] == "1.mat: is empty"
    assert [r["fault"] for r in found] == ["no", "", "yes"]
    assert float(found[2]["fault_probability"]) == 0.75
    assert read_back(to_csv([])) == [] and to_csv_rows([]) == [list(CSV_HEADER)]


@pytest.mark.parametrize("name", FORMULAS)
def test_no_text_is_a_formula(name: str) -> None:
    found = read_back(to_csv([row(1, file=name, asset=name, notes=name, verdict=name, unit=name)]))[0]
    for column in ("file", "asset", "notes", "verdict", "unit"):
        assert found[column].startswith("'"), (column, found[column])


def test_numbers_stay_numbers() -> None:
    assert [cell(v) for v in (-0.5, 0, 12000.0, 1e-9, None, True, False)] == [
        "-0.5", "0", "12000.0", "1e-09", "", "yes", "no",
    ]  # fmt: skip
    assert cell("007") == "007" and cell("inner_race") == "inner_race" and cell("a-b") == "a-b"
    table = pd.read_csv(io.BytesIO(to_csv([row(1), broken(2)]).encode()))
    assert table["level_rms"].dtype == np.float64 and table.columns[0] == "file"


def test_it_is_utf_8_with_a_mark_and_one_line_a_record() -> None:
    data = to_csv([row(1, file="é単.mat"), row(2, file='a"b,c;d\ne.mat')]).encode()
    assert data.startswith(b"\xef\xbb\xbffile,asset,") and data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r\n") == 3
    found = read_back(data.decode())
    assert [r["file"] for r in found] == ["é単.mat", 'a"b,c;d\\x0ae.mat']


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_any_text_comes_back_in_its_cell(names: list[str]) -> None:
    text = to_csv([row(i, file=name, notes=name) for i, name in enumerate(names)])
    text.encode("utf-8")
    found = read_back(text)
    assert len(found) == len(names)
    for r in found:
        assert r["file"] == r["notes"] and r["file"].lstrip()[:1] not in set("=+-@\t\r")
        assert r["status"] == "diagnosed"


# ---- Diagnosis -> Row


def diagnosis(path: str = "a.mat", **changes: Any) -> Diagnosis:
    record = Record(
        np.zeros((2, 8)), 12000.0, channels=("DE", "FE"), unit="g", asset="pump 7", path=path, sha256="b" * 64
    )
    levels = [
        {"channel": "DE", "rms": 0.5, "peak": 1.0, "crest_factor": 2.0, "kurtosis": 3.0},
        {"channel": "FE", "rms": 0.7, "peak": 2.1, "crest_factor": 3.0, "kurtosis": 4.0},
    ]
    found = Diagnosis(
        path, "b" * 64, "diagnosed", verdict="ball", fault=True, confidence=0.6,
        probabilities={"healthy": 0.1, "ball": 0.6, "inner": 0.3}, segments=4, agreement=0.75,
        sampling_rate_hz=12000.0, evidence={"levels": levels}, warnings=("odd",),
        model={"digest": "c" * 64, "name": "m", "version": "1"}, record=record,
    )  # fmt: skip
    return replace(found, **changes)


def test_a_row_says_what_the_diagnosis_says() -> None:
    found = row_of(diagnosis(), Item("a.mat"), healthy=["healthy"])
    assert (found.asset, found.point, found.verdict, found.fault) == ("pump 7", "DE, FE", "ball", True)
    assert found.fault_probability == pytest.approx(0.9)
    assert (found.level_rms, found.level_peak, found.kurtosis, found.unit) == (0.7, 2.1, 4.0, "g")
    assert (found.sha256, found.content, found.model_digest) == ("b" * 64, "b" * 64, "c" * 64)
    assert found.notes == "odd" and found.asked == ""
    assert row_of(diagnosis(), Item("a.mat")).fault_probability is None  # no class is known to be healthy


def test_an_error_has_what_the_table_says_of_it() -> None:
    failed = Diagnosis("x.mat", "", "error", error={"kind": "record", "message": "x.mat: is empty"})
    item = Item("x.mat", Declared(asset="pump 8", channels=("DE",)))
    found = row_of(failed, item, healthy=["healthy"])
    assert (found.asset, found.point, found.status, found.notes) == ("pump 8", "DE", "error", "x.mat: is empty")
    assert found.content.startswith("unread:") and found.fault_probability is None and found.level_rms is None
    unusable = diagnosis(status="unusable", verdict=None, quality=(Check("flat", 0, 1, "refuse", "is dead"),))
    assert row_of(unusable, item).notes == "is dead"


@pytest.mark.parametrize(
    ("stated", "time"),
    [
        ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00.000Z"),
        ("2024-05-01 14:00:00.5+02:00", "2024-05-01T12:00:00.500Z"),
        ("2024-05-01 12:00", "2024-05-01T12:00:00.000Z"),  # no zone: UTC
        ("2024-05-01", "2024-05-01T00:00:00.000Z"),
    ],
)
def test_a_stated_time_is_that_of_the_recording(stated: str, time: str) -> None:
    for column in ("recorded_at", "time", "timestamp"):
        found = row_of(diagnosis(), Item("a.mat", Declared(details={column: stated})))
        assert (found.time, found.time_from) == (time, "stated")


@pytest.mark.parametrize("stated", ["", "01.05.2024", "1714564800", "2024-13-01", "0001-01-01T00:00:00+10:00", "soon"])
def test_without_one_it_is_the_file_s(tmp_path: Path, stated: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"x")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    item = Item(str(path), Declared(details={"time": stated}))
    found = row_of(diagnosis(str(path)), item)
    assert (found.time, found.time_from) == ("2023-11-14T22:13:20.000Z", "file")
    assert row_of(diagnosis(f"{path}:run/a"), Item(f"{path}:run/a")).time == found.time
    gone = row_of(diagnosis("-"), Item("-"))
    assert gone.time_from == "diagnosis" and gone.time == gone.diagnosed_at


def test_a_measuring_point_may_have_a_name() -> None:
    item = Item("a.mat", Declared(details={"point": "motor, drive end"}))
    assert row_of(diagnosis(), item).point == "motor, drive end"


def test_a_file_that_cannot_be_read_is_known_by_name_time_and_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"")
    item = Item(str(path))

    def content(message: str) -> str:
        return row_of(Diagnosis(str(path), "", "error", error={"kind": "record", "message": message}), item).content

    os.utime(path, (1, 1))
    first = content("is empty")
    assert content("is empty") == first != content("is damaged")
    os.utime(path, (2, 2))
    assert content("is empty") != first  # somebody wrote it again
    # an error may pass: the digest of the bytes is not what it is known by
    late = Diagnosis(str(path), "d" * 64, "error", error={"kind": "record", "message": "took too long"})
    assert row_of(late, item).content.startswith("unread:")


def test_what_was_asked_for_tells_two_diagnoses_of_one_file_apart() -> None:
    plain = asked_of(Item("a.mat", Declared(label="x", asset="pump", unit="g")))
    assert plain == ""
    asked = [
        asked_of(Item("a.mat", flags=Declared(variable="x"))),
        asked_of(Item("a.mat", Declared(channels=("DE",)))),
        asked_of(Item("a.mat", flags=Declared(sampling_rate_hz=12000.0))),
        asked_of(Item("a.mat", flags=Declared(rpm=1797.0))),
        asked_of(Item("a.mat", flags=Declared(scale=9.81))),
        asked_of(Item("a.mat"), min_confidence=0.0),
    ]
    assert len({*asked, plain}) == 7
    assert asked_of(Item("a.mat", Declared(variable="x"))) == asked[0]  # whoever says it


def test_a_variable_in_the_name_counts_and_a_member_is_its_bytes(tmp_path: Path) -> None:
    import zipfile

    inner, packed = tmp_path / "x.h5", tmp_path / "a.zip"
    with h5py.File(inner, "w") as file:
        file["run/a"], file["run/b"] = np.arange(9.0), np.ones(9)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(inner, "day/x.h5")
    a, b, whole = (asked_of(Item(name)) for name in (f"{inner}:run/a", f"{inner}:run/b", str(inner)))
    assert len({a, b, whole}) == 3 and whole == ""
    assert asked_of(Item(f"{packed}:day/x.h5:run/a")) == a and asked_of(Item(f"{packed}:day/x.h5")) == ""
    digest = hashlib.sha256(inner.read_bytes()).hexdigest()
    assert sha256_of(Item(str(inner))) == sha256_of(Item(f"{inner}:run/a")) == digest
    assert sha256_of(Item(f"{packed}:day/x.h5")) == digest
    assert sha256_of(Item(str(tmp_path / "missing"))) is None


def test_a_row_never_raises() -> None:
    for name in ("a\0b", "x" * 5000, "\udcff.mat", "", ":", "-:x"):
        found = row_of(diagnosis(name), Item(name))
        assert found.file.isprintable()
    odd = diagnosis(evidence={"levels": "none"}, probabilities={"healthy": float("nan")})
    found = row_of(odd, Item("a"), healthy=["x"])
    assert found.level_rms is None and found.fault_probability is None
