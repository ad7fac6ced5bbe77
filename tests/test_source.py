"""From what was named on the command line to bytes, items and records; and inspection."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from faultdx.errors import ConfigError, RecordError
from faultdx.records import Declared, Item, find_records, inspect_file, read_item, read_record, record_from_bytes
from faultdx.records.opening import blob_id, read_bytes, sha256_of

NOISE = np.random.default_rng(0).normal(size=(2, 400))
CSV = "a,b\n" + "".join(f"{a:.6f},{b:.6f}\n" for a, b in NOISE.T)


def put(path: Path, text: str = CSV) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(*sources: object, **options: object) -> list[str]:
    return [item.path for item in find_records([str(s) for s in sources], **options)]  # type: ignore[arg-type]


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


# Opening


def test_digests_agree_with_git_and_hashlib() -> None:
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object, in every git tutorial
    assert sha256_of(b"hello\n") == hashlib.sha256(b"hello\n").hexdigest()


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    started = time.monotonic()
    with pytest.raises(RecordError, match="is a FIFO, not a file"):
        read_bytes(tmp_path / "fifo")
    assert time.monotonic() - started < 1
    for path, cause in (
        ("/dev/zero", "a character device"),
        (str(tmp_path), "is a folder"),
        ("nowhere", "no such file"),
    ):
        with pytest.raises(RecordError, match=cause):
            read_bytes(path)
    with pytest.raises(RecordError, match="cannot be read"):
        read_bytes("a\0b")
    with pytest.raises(RecordError, match="cannot be read"):
        read_bytes("x" * 300)
    with pytest.raises(RecordError, match="no file matches this pattern"):
        read_bytes(tmp_path / "*.mat")


def test_size_limits(tmp_path: Path) -> None:
    for size in (0, 1, 999, 1000, 1001):
        (tmp_path / "f").write_bytes(b"x" * size)
        if 0 < size <= 1000:
            assert read_bytes(tmp_path / "f", limit_bytes=1000) == b"x" * size
        else:
            with pytest.raises(RecordError, match="empty" if not size else "larger than the limit"):
                read_bytes(tmp_path / "f", limit_bytes=1000)


def test_a_refused_pipe_stays_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left in the pipe is no recording."""
    monkeypatch.setattr(sys, "stdin", Stdin(b"x" * 3_000_000))
    for _ in range(2):
        with pytest.raises(RecordError, match="standard input: is larger"):
            read_bytes("-", limit_bytes=2_500_000)


def test_no_permission(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("runs as root, whom permissions do not stop")
    with pytest.raises(RecordError, match="no permission"):
        read_bytes(path)


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"x" * size))
    assert len(read_bytes("-")) == size
    monkeypatch.setattr(sys, "stdin", Stdin(b"x" * size))
    if size > 1:
        with pytest.raises(RecordError, match="standard input: is larger"):
            read_bytes("-", limit_bytes=size - 1)
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    with pytest.raises(RecordError, match="standard input: is empty"):
        read_bytes("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(RecordError, match="is closed"):
        read_bytes("-")


# Files, folders, globs


def test_a_folder_is_searched_in_natural_order(tmp_path: Path) -> None:
    for name in ("r10.csv", "r9.csv", "sub/r1.csv", ".hidden.csv", ".git/x.csv", "README", "README.md", "LICENSE.txt",
                 "a.json", "p.png", "x.py", "prepared.h5", "index.html"):  # fmt: skip
        put(tmp_path / name)
    expected = ["r9.csv", "r10.csv", "sub/r1.csv"]
    assert found(tmp_path) == [str(tmp_path / name) for name in expected]
    assert found(tmp_path / "sub" / "r1.csv", tmp_path / "r9.csv") == [
        str(tmp_path / n) for n in ("sub/r1.csv", "r9.csv")
    ]
    assert found(tmp_path / "*.csv") == [str(tmp_path / n) for n in expected[:2]]
    assert found(tmp_path / "**" / "*.csv") == [str(tmp_path / n) for n in expected]
    assert found(tmp_path / "*.h5") == found(tmp_path / "prepared.h5") == [str(tmp_path / "prepared.h5")]
    items = find_records([str(tmp_path)])
    assert {item.declared.label for item in items} == {None}
    for name in ("r08.csv", "r007.csv"):
        put(tmp_path / name)
    names = ["r007.csv", "r08.csv", "r9.csv", "r10.csv", "sub/r1.csv"]
    assert found(tmp_path) == [str(tmp_path / name) for name in names]
    assert items[2].declared.details == {"folder": "sub"}


def test_one_bad_name_does_not_cost_the_others(tmp_path: Path) -> None:
    good = put(tmp_path / "a.csv")
    empty = tmp_path / "empty"
    empty.mkdir()
    items = find_records([str(tmp_path / "no.mat"), str(tmp_path / "*.wav"), str(empty), "a\0b", str(good)])
    assert len(items) == 5
    for item in items[:4]:
        with pytest.raises(RecordError) as caught:
            read_item(item)
        assert caught.value.path == item.path
    flags = Declared(sampling_rate_hz=1000)
    assert read_item(Item(items[4].path, flags=flags)).signal.shape == (2, 400)


def test_class_folders_label(tmp_path: Path) -> None:
    for name in ("normal/1.csv", "normal/2.csv", "inner race/1.csv"):
        put(tmp_path / "classes" / name)
    items = find_records([str(tmp_path / "classes")], flags=Declared(sampling_rate_hz=1000))
    assert [item.declared.label for item in items] == ["inner race", "normal", "normal"]
    record = read_item(items[0])
    assert (record.label, record.known_from["label"]) == ("inner race", "folder name")
    assert record.details["folder"] == "inner race"
    alone = find_records([str(tmp_path / "classes" / "normal")])
    assert len(alone) == 2 and alone[0].declared.label is None
    put(tmp_path / "classes" / "stray.csv")  # a file at the top has no label, and costs the others none
    labels = [(Path(i.path).name, i.declared.label) for i in find_records([str(tmp_path / "classes")])]
    assert sorted(label for name, label in labels if name != "stray.csv") == ["inner race", "normal", "normal"]
    assert ("stray.csv", None) in labels


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path / "a" / "x.csv")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    assert found(tmp_path) == [str(tmp_path / "a" / "x.csv")]


@pytest.mark.parametrize("name", ["d[/b].csv", "new\nline.csv", "\udcff\udcfe.csv", "=1+1.csv", "<b>x.csv", "-x.csv"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    put(path)
    assert found(path) == found(tmp_path) == [str(path)]
    record = read_record(path, sampling_rate_hz=1000)
    assert record.path == str(path)
    with pytest.raises(RecordError) as caught:
        read_record(path)
    assert "\n" not in str(caught.value) and str(caught.value).encode("utf-8")
    seen = inspect_file(path)
    assert json.dumps(seen.to_dict()).encode("utf-8") and seen.refused == str(caught.value)


def test_standard_input_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(CSV.encode()))
    (item,) = find_records(["-"], flags=Declared(sampling_rate_hz=1000))
    record = read_item(item)
    assert (record.path, record.sha256) == ("-", hashlib.sha256(CSV.encode()).hexdigest())
    with pytest.raises(ConfigError, match="once"):
        find_records(["-", "-"])


# Tables


def test_a_table_declares_each_file(tmp_path: Path) -> None:
    put(tmp_path / "data" / "x.csv")
    rows = (
        "path,label,sampling_rate_hz,rpm,channel,unit,specimen,condition,asset,bearing,shift\n"
        "data/x.csv,ball,12000,1797,b,g,s1,2 HP,pump 7,SKF 6205,night\n"
        '"data/x.csv",,25600,,a;B,,,,,,\n'
    )
    table = put(tmp_path / "list.csv", rows)
    first, second = find_records([str(table)])
    record = read_item(first)
    assert (record.label, record.sampling_rate_hz, record.rpm, record.channels) == ("ball", 12000, 1797, ("b",))
    assert (record.unit, record.specimen, record.condition, record.asset) == ("g", "s1", "2 HP", "pump 7")
    assert record.details == {"bearing": "SKF 6205", "shift": "night"}
    assert {record.known_from[k] for k in ("label", "sampling_rate_hz", "rpm", "channels", "unit")} == {
        "list.csv line 2"
    }
    np.testing.assert_array_equal(record.signal[0], np.round(NOISE[1], 6).astype(np.float32))
    assert read_item(second).channels == ("a", "b") and read_item(second).label is None
    assert found(table=str(table)) == [first.path, second.path]
    assert pickle.loads(pickle.dumps(first)) == first  # items go to worker processes


def test_records_csv_speaks_for_its_folder(tmp_path: Path) -> None:
    for name in ("x.csv", "y.csv", "sub/z.csv"):
        put(tmp_path / "d" / name)
    put(tmp_path / "d" / "records.csv", "path,label\ny.csv,ball\n")
    assert found(tmp_path / "d") == [str(tmp_path / "d" / "y.csv")]
    assert found(tmp_path) == [str(tmp_path / "d" / "y.csv")]


def test_a_table_beside_sources_describes_them(tmp_path: Path) -> None:
    for name in ("x.csv", "y.csv"):
        put(tmp_path / name)
    table = str(put(tmp_path / "t.csv", "path,label\ny.csv,ball\nelsewhere.csv,normal\n"))
    items = find_records([str(tmp_path / "x.csv"), str(tmp_path / "y.csv")], table=table)
    assert [item.declared.label for item in items] == [None, "ball"]
    assert found(tmp_path, table=table) == [str(tmp_path / "x.csv"), str(tmp_path / "y.csv")]
    with pytest.raises(ConfigError, match="describes none of the files"):
        find_records([str(tmp_path / "x.csv")], table=table)


@pytest.mark.parametrize("rows", ["gone.csv,a", '"gone.csv,a', "go\0ne.csv,a"])
def test_a_row_of_a_missing_file_costs_the_others_nothing(tmp_path: Path, rows: str) -> None:
    put(tmp_path / "x.csv")
    table = put(tmp_path / "t.csv", f"path,label\nx.csv,b\n{rows}\n")
    there, gone = find_records([str(table)], flags=Declared(sampling_rate_hz=1000))
    assert read_item(there).label == "b"
    with pytest.raises(RecordError, match=r"no such file|null byte"):
        read_item(gone)


def test_every_problem_of_a_table_is_told_at_once(tmp_path: Path) -> None:
    put(tmp_path / "x.csv")
    rows = "path,rpm,sampling_rate_hz\nx.csv,fast,-3\ngone.csv,,\n,,\nx.csv,1,nan\n,5,\n\nx.csv,1,2,3\n"
    with pytest.raises(ConfigError) as caught:
        find_records([str(put(tmp_path / "t.csv", rows))])
    text = str(caught.value)
    for part in (
        "line 2: rpm must be a positive number, not 'fast'",
        "line 2: sampling_rate_hz must be a positive number, not '-3'",
        "line 5: sampling_rate_hz must be a positive number, not 'nan'",
        "line 5: x.csv is listed already in line 2",
        "line 6: no path",
        "line 8: x.csv is listed already",
        "line 8: 4 cells under 3 columns",
    ):
        assert part in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ("path,label\n", "no rows"),
        ("path,label,label\nx.csv,a,b\n", "label stands there twice"),
        ("path,Path\nx.csv,a\n", "path stands there twice"),
        ("file,label\nx.csv,a\n", r"no column path \(it has file, label\)"),
    ],
)
def test_broken_tables(tmp_path: Path, rows: str, cause: str) -> None:
    put(tmp_path / "x.csv")
    table = put(tmp_path / "t.csv", rows)
    with pytest.raises(ConfigError, match=cause):
        find_records([], table=str(table))
    with pytest.raises(RecordError, match="no such file"):
        find_records([], table=str(tmp_path / "no.csv"))


def test_tables_as_spreadsheets_save_them(tmp_path: Path) -> None:
    put(tmp_path / "x.csv")
    (tmp_path / "t.csv").write_bytes("\ufeffPath;Label\r\nx.csv;läuft\r\n".encode())
    (item,) = find_records([str(tmp_path / "t.csv")])
    assert item.declared.label == "läuft"


def test_a_table_may_name_files_that_are_not_utf8(tmp_path: Path) -> None:
    put(tmp_path / "\udcff.csv")
    (tmp_path / "t.csv").write_bytes(b"path\n\xff.csv\n")
    assert found(tmp_path / "t.csv") == [str(tmp_path / "\udcff.csv")]


def test_parquet_tables(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    put(tmp_path / "x.csv")
    frame = pandas.DataFrame({"path": ["x.csv"], "rpm": [1500.0], "label": [None]})
    frame.to_parquet(tmp_path / "t.parquet")
    (item,) = find_records([str(tmp_path / "t.parquet")])
    assert (item.declared.rpm, item.declared.label) == (1500.0, None)
    frame.rename(columns={"path": "paths"}).to_parquet(tmp_path / "r.parquet")
    assert found(tmp_path / "r.parquet") == [str(tmp_path / "r.parquet")]  # a recording
    with pytest.raises(ConfigError, match=r"no column path .*rename paths to path"):
        find_records([], table=str(tmp_path / "r.parquet"))


def test_a_broken_parquet_table(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(ConfigError, match="Parquet"):
        find_records([], table=str(tmp_path / "t.parquet"))
    assert found(tmp_path / "t.parquet") == [str(tmp_path / "t.parquet")]  # a recording, for all that is known


@pytest.mark.parametrize(
    ("heading", "meant"),
    [("file", "file"), ("Filename", "Filename"), ("filepath", "filepath"), ("pth", "pth"), ("File Path", "File Path")],
)
def test_a_table_without_the_heading_path_says_which_to_rename(tmp_path: Path, heading: str, meant: str) -> None:
    put(tmp_path / "x.csv")
    rows = f"label,{heading}\nball,x.csv\nnormal,x.csv\n"
    for name in ("records.csv", "index.csv"):
        path = str(put(tmp_path / "d" / name, rows.replace("x.csv", "../x.csv")))
        for sources, table in (([path], None), ([], path)):
            with pytest.raises(
                ConfigError, match=rf"{name}: .*no column path \(it has label, .*rename {meant} to path"
            ):
                find_records(sources, table=table)
    with pytest.raises(ConfigError, match=f"records.csv: no column path .*rename {meant} to path"):
        find_records([str(tmp_path / "d")])
    # whatever the column is called, its cells name files that are there
    odd = put(tmp_path / "odd.csv", "label,what\nball,x.csv\nnormal,gone.csv\nball,x.csv\n")
    with pytest.raises(ConfigError, match="rename what to path"):
        find_records([str(odd)])


def test_a_recording_is_no_table_without_a_path(tmp_path: Path) -> None:
    put(tmp_path / "x.csv")
    put(tmp_path / "1.5", "a file of this name makes no number a name")
    for name, text in (
        ("records.csv", CSV), ("a.csv", CSV), ("b.csv", "time,acc\n1.5,1.5\n1.5,2\n"), ("c.csv", ""), ("d.csv", "\n"),
        ("e.csv", "g,state\n" + "".join(f"{i},{'x.csv' if i == 3 else 'on'}\n" for i in range(30))),
    ):  # fmt: skip
        path = put(tmp_path / name, text)
        assert found(path) == [str(path)]
    put(tmp_path / "d" / "records.csv")  # a recording of this name
    put(tmp_path / "d" / "y.csv")
    assert found(tmp_path / "d") == [str(tmp_path / "d" / "records.csv"), str(tmp_path / "d" / "y.csv")]


@pytest.mark.parametrize(
    ("heading", "cell", "meant"),
    [
        ("sampling_rate", "12000", "sampling_rate_hz (in samples a second)"),
        ("Fs", "12", "sampling_rate_hz"),
        ("sampling rate [Hz]", "12000", "sampling_rate_hz"),
        ("speed", "1797", "rpm (in turns a minute)"),
        ("lable", "ball", "label"),
        ("labels", "ball", "label"),
        ("units", "g", "unit"),
        ("channels", "DE", "channel"),
        ("Specimens", "s1", "specimen"),
        ("scale_factor", "0.1", "scale"),
    ],
)
def test_a_heading_that_is_nearly_known_is_refused(tmp_path: Path, heading: str, cell: str, meant: str) -> None:
    put(tmp_path / "x.csv")
    table = put(tmp_path / "t.csv", f"path,{heading}\nx.csv,{cell}\n")
    with pytest.raises(ConfigError) as caught:
        find_records([str(table)])
    assert f"line 1: the column {heading} is not known: rename it to {meant}" in str(caught.value)


def test_other_headings_are_details(tmp_path: Path) -> None:
    put(tmp_path / "x.csv")
    kept = {"fault": "ball", "load_hp": "2", "speed": "slow", "shift": "night", "bearing_id": "7", "rate": "high",
            "class": "b", "name": "pump", "specimen_maker": "SKF", "labels": "b;c", "Fs": "1"}  # fmt: skip
    head, row = ",".join(kept), ",".join(kept.values())
    # beside `label` and `sampling_rate_hz` themselves, `labels` and `Fs` are something else
    table = put(tmp_path / "t.csv", f"path,label,sampling_rate_hz,{head}\nx.csv,ball,1000,{row}\n")
    (item,) = find_records([str(table)])
    assert item.declared.details == kept and read_item(item).label == "ball"


# Scale


def test_a_scale_multiplies_the_samples_and_says_so(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", CSV.replace("a,b", "a [V],b [V]"))
    plain = read_record(path, sampling_rate_hz=1000)
    scaled = read_record(path, sampling_rate_hz=1000, scale=-9.81 / 0.1)
    exact = np.round(NOISE, 6) * (-9.81 / 0.1)
    np.testing.assert_array_equal(scaled.signal, exact.astype(np.float32))
    assert (plain.unit, scaled.unit) == ("V", None)  # volts they are no more
    assert read_record(path, sampling_rate_hz=1000, scale=2.0, unit="g").unit == "g"
    assert scaled.known_from["scale"] == "--scale"
    assert "its samples are multiplied by -98.1 (--scale)" in scaled.notes
    assert any(note.startswith("V, the unit in the file, is that before") for note in scaled.notes)
    assert "scale" not in plain.known_from and not plain.notes
    table = put(tmp_path / "t.csv", "path,scale,unit\nx.csv,1e-3,g\nx.csv:b [V],,\n")
    first, second = find_records([str(table)], flags=Declared(sampling_rate_hz=1000, scale=5.0))
    np.testing.assert_array_equal(read_item(first).signal, (np.round(NOISE, 6) * 1e-3).astype(np.float32))
    assert (read_item(first).unit, read_item(first).known_from["scale"]) == ("g", "t.csv line 2")
    np.testing.assert_array_equal(read_item(second).signal[0], (np.round(NOISE[1], 6) * 5).astype(np.float32))


def test_a_scale_keeps_the_digits_of_integers(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).integers(-(2**40), 2**40, 200_000)
    np.save(tmp_path / "x.npy", counts)
    record = read_record(tmp_path / "x.npy", sampling_rate_hz=1000, scale=2.0**-40)
    np.testing.assert_array_equal(record.signal[0], (counts * 2.0**-40).astype(np.float32))
    # a number of counts that float32 cannot hold is none after the scale
    np.save(tmp_path / "y.npy", counts * 1e30)
    assert np.abs(read_record(tmp_path / "y.npy", sampling_rate_hz=1, scale=1e-40).signal).max() < 200
    for scale in (1e300, 1e-60):
        with pytest.raises(RecordError, match=r"times 1e.*\(--scale\) is beyond what a float32 holds"):
            read_record(tmp_path / "x.npy", sampling_rate_hz=1, scale=scale)
    np.save(tmp_path / "nan.npy", np.where(np.arange(100) == 7, np.nan, counts[:100]))
    with pytest.raises(RecordError, match="not finite"):
        read_record(tmp_path / "nan.npy", sampling_rate_hz=1, scale=2.0)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_scale_must_be_a_number(tmp_path: Path, value: float) -> None:
    with pytest.raises(ConfigError, match="--scale: must be a number other than 0, not"):
        read_record("x", scale=value)
    put(tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="line 2: scale must be a number other than 0, not"):
        find_records([str(put(tmp_path / "t.csv", f"path,scale\nx.csv,{value}\n"))])


# Who is believed


def test_tables_stand_above_options_and_options_above_folders(tmp_path: Path) -> None:
    path = str(put(tmp_path / "x.csv"))
    flags = Declared(sampling_rate_hz=1000, label="flag", rpm=100)
    by_table = Declared(label="table", rpm=200, said_by="t.csv line 2")
    by_folder = Declared(label="folder", said_by="folder name")
    assert read_item(Item(path, by_table, flags)).label == "table"
    assert read_item(Item(path, by_table, flags)).rpm == 200
    assert read_item(Item(path, by_folder, flags)).label == "flag"
    assert read_item(Item(path, by_folder, Declared(sampling_rate_hz=1000))).label == "folder"
    assert read_item(Item(path, Declared(channels=("a",)), Declared(sampling_rate_hz=1, channels=("b",)))).channels == (
        "b",
    )


def test_two_stated_rates_ask_for_a_table() -> None:
    data = ("fs,sr,a\n" + "".join(f"1000,2000,{x:.6f}\n" for x in NOISE[0])).encode()
    with pytest.raises(RecordError, match="fs states 1000 Hz and variable sr 2000 Hz; declare it"):
        record_from_bytes(data, name="x")
    one = data.replace(b"1000,2000", b"1000,1000")
    assert record_from_bytes(one, name="x").sampling_rate_hz == 1000
    with pytest.raises(RecordError, match="1000 Hz and --sampling-rate 500 Hz"):
        record_from_bytes(one, name="x", flags=Declared(sampling_rate_hz=500))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_options_must_be_positive(value: float) -> None:
    with pytest.raises(ConfigError, match="--sampling-rate"):
        Declared(sampling_rate_hz=value)
    with pytest.raises(ConfigError, match="--rpm"):
        read_record("x", rpm=value)
    refused = inspect_file("x", rpm=value).refused
    assert refused is not None and "--rpm" in refused


# Inspection


def test_inspection_measures_what_scipy_measures(tmp_path: Path) -> None:
    seen = inspect_file(put(tmp_path / "x.csv"), sampling_rate_hz=1000, channels=("b",))
    assert seen.refused is None and seen.duration_s == 0.4 and seen.channels == ("a", "b")
    for level, x in zip(seen.levels, np.round(NOISE, 6), strict=True):
        np.testing.assert_allclose(level.rms, x.std(), rtol=1e-5)
        np.testing.assert_allclose(level.kurtosis, stats.kurtosis(x, fisher=False), rtol=1e-5)
        np.testing.assert_allclose(level.crest_factor * level.rms, np.abs(x - x.mean()).max(), rtol=1e-5)


def test_inspection_says_as_much_as_it_can(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", CSV + "nan,0\n")
    seen = inspect_file(path)
    assert seen.channels == ("a", "b") and [level.channel for level in seen.levels] == ["b"]
    assert seen.refused is not None and "sampling rate" in seen.refused
    seen = inspect_file(path, sampling_rate_hz=1000)
    assert seen.sampling_rate_hz == 1000 and seen.refused is not None and "not finite" in seen.refused
    for source in (b"", b"%PDF-1.7", b"\0" * 500, CSV.encode()[:1000] + b"\xff\0"):
        (tmp_path / "bad").write_bytes(source)
        assert inspect_file(tmp_path / "bad", sampling_rate_hz=1).refused
    assert inspect_file(tmp_path).refused
    for seen in (inspect_file(path), inspect_file("nowhere")):
        json.dumps(seen.to_dict(), allow_nan=False)


@pytest.mark.real_data
def test_inspection_of_a_real_record(real_data: Path) -> None:
    seen = inspect_file(real_data / "cwru" / "97.mat")
    assert (seen.catalogue, seen.sampling_rate_hz, seen.label, seen.refused) == ("CWRU 97", 48000, "normal", None)
    assert seen.known_from["sampling_rate_hz"] == "CWRU catalogue" and len(seen.levels) == 2
    assert json.loads(json.dumps(seen.to_dict()))["variables"][0] == {
        "name": "X097_DE_time", "shape": [243938, 1], "kind": "number",
    }  # fmt: skip


@pytest.mark.real_data
def test_real_class_folders_and_tables(real_data: Path, tmp_path: Path) -> None:
    for label, name in (("healthy", "h30hz0"), ("broken_tooth", "b30hz0")):
        (tmp_path / "g" / label).mkdir(parents=True)
        (tmp_path / "g" / label / f"{name}.csv").symlink_to(real_data / "gearbox_gfd" / f"{name}.csv")
    items = find_records([str(tmp_path / "g")], flags=Declared(sampling_rate_hz=12800))
    assert [read_item(item).label for item in items] == ["broken_tooth", "healthy"]
    put(tmp_path / "t.csv", f"path,label,sampling_rate_hz\n{real_data}/gearbox_gfd/h30hz0.csv,healthy,12800\n")
    record = read_item(find_records([str(tmp_path / "t.csv")])[0])
    assert (record.label, record.sampling_rate_hz, len(record.channels)) == ("healthy", 12800, 4)


@pytest.mark.real_data
def test_the_catalogue_stands_above_a_folder_name(real_data: Path, tmp_path: Path) -> None:
    for folder, number in (("one", 105), ("two", 118)):
        (tmp_path / "c" / folder).mkdir(parents=True)
        (tmp_path / "c" / folder / "x.mat").symlink_to(real_data / "cwru" / f"{number}.mat")
    records = [read_item(item) for item in find_records([str(tmp_path / "c")])]
    assert [r.label for r in records] == ["inner_race_007", "ball_007"]
    assert [r.details["folder"] for r in records] == ["one", "two"]


def test_import_is_light() -> None:
    code = "import sys, faultdx.records; print(sorted({m.split('.')[0] for m in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"scipy", "pandas", "h5py", "torch", "matplotlib", "typer"} & set(json.loads(out.replace("'", '"')))


# ---- a spool folder is not trusted


def test_a_table_that_was_found_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    spool = tmp_path / "spool"
    spool.mkdir()
    for path in ("../secret.csv", str(tmp_path / "secret.csv"), "x/../../secret.csv"):
        (spool / "records.csv").write_text(f"path,label\n{path},a\n")
        with pytest.raises(ConfigError, match="outside the folder of the table"):
            find_records([str(spool)])
        (item,) = find_records([str(spool / "records.csv")])  # named by the user: theirs to say
        assert os.path.realpath(item.path) == os.path.realpath(tmp_path / "secret.csv")


def test_a_parquet_table_is_read_apart_and_bounded(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": ["a.csv", "b.csv"], "rpm": [1500.0, None], "label": ["x", "y"]}), table)
    a, b = find_records([str(table)])
    assert (a.declared.rpm, a.declared.label, b.declared.rpm, b.declared.label) == (1500.0, "x", None, "y")
    bomb = pa.table({"path": pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000_000, np.int8)), pa.array(["a"]))})
    pq.write_table(bomb, table)
    assert table.stat().st_size < 100_000
    with pytest.raises(ConfigError, match="100000 rows"):
        find_records([str(table)])
    table.write_bytes(table.read_bytes()[:200] + table.read_bytes()[-200:])
    with pytest.raises((ConfigError, RecordError), match=r"Parquet|pyarrow"):
        [read_item(item) for item in find_records([str(table)])]


def test_one_broken_table_in_an_archive_costs_that_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.random.default_rng(0).normal(size=100))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "good.npy", "x.npy")
        archive.writestr("records.csv", "path,rpm\nx.npy,abc\n")
    items = find_records([str(tmp_path)], flags=Declared(sampling_rate_hz=1000.0))
    broken, good = items
    assert good.path.endswith("good.npy") and read_item(good).signal.shape == (1, 100)
    with pytest.raises(RecordError, match=r"a\.zip:records\.csv.*rpm must be"):
        read_item(broken)


def test_a_table_that_cannot_be_read_is_no_missing_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worn").mkdir()
    np.save(tmp_path / "worn" / "a.npy", np.zeros(64, np.float32))
    table = tmp_path / "records.csv"
    table.write_text("path,label\nworn/a.npy,healthy\n", encoding="utf-8")
    assert [item.declared.label for item in find_records([str(tmp_path)])] == ["healthy"]
    opened = Path.open

    def denied(self: Path, *args: object, **more: object) -> object:
        if self.name == "records.csv":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(RecordError, match=r"records\.csv: the records table cannot be read: permission denied"):
        find_records([str(tmp_path)])
