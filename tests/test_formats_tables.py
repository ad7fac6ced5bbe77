"""The readers of text tables, WAV and NumPy files agree with numpy, scipy and plain Python."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.wavfile
from test_formats import NUMBERS, contents, numbers, same

from faultdx.errors import RecordError
from faultdx.records import conventions
from faultdx.records.formats import open_contents
from faultdx.records.statements import stated_rates, stated_rpms

TABLE = np.random.default_rng(0).normal(size=(50, 3))


def text_of(rows: np.ndarray, delimiter: str = ",", **options: Any) -> bytes:
    out = io.BytesIO()
    np.savetxt(out, rows, delimiter=delimiter, fmt="%.17g", **options)
    return out.getvalue()


# ---- text


@pytest.mark.parametrize("char", '([ .-_"#=:;1')
def test_headings_of_half_a_megabyte_take_no_time(char: str) -> None:
    start = time.perf_counter()
    with contextlib.suppress(RecordError):
        data = ("a" + char * 500_000 + "b,c\n" + text_of(TABLE[:, :2]).decode()).encode()
        conventions.meaning_of(contents(data), name="f")
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
@pytest.mark.parametrize("header", ["", "a{0}b{0}c"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_text_dialects(delimiter: str, header: str, newline: str) -> None:
    data = text_of(TABLE, delimiter, header=header.format(delimiter), comments="", newline=newline)
    found = numbers(data)
    assert list(found) == (["a", "b", "c"] if header else ["column_1", "column_2", "column_3"])
    for column, array in zip(TABLE.T, found.values(), strict=True):
        same(array, column)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_encodings(encoding: str) -> None:
    text = "größe,b,c\n" + text_of(TABLE).decode()
    assert list(numbers(text.encode(encoding))) == ["größe", "b", "c"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_text_decimal_comma(delimiter: str) -> None:
    data = (f"x{delimiter}y\n" + text_of(TABLE[:, :2], delimiter).decode().replace(".", ",")).encode()
    np.testing.assert_array_equal(np.column_stack(list(numbers(data).values())), TABLE[:, :2])


def test_text_units_comments_quotes_and_trailing_delimiter() -> None:
    found = numbers(b'# rig 4\n"time","acc, x"\nms,g\n0,1\n# pause\n\n1,"2"\n')
    assert {n: a.tolist() for n, a in found.items()} == {"time [ms]": [0, 1], "acc, x [g]": [1, 2]}
    assert list(numbers(text_of(TABLE, header="a,b,c"))) == ["a", "b", "c"]  # numpy's "# a,b,c"
    assert {n: a.tolist() for n, a in numbers(b"1,2,\n3,4,\n").items()} == {"column_1": [1, 3], "column_2": [2, 4]}
    assert list(numbers(b"a,a,\n1,2,3\n")) == ["a", "a_2", "column_3"]


def test_text_missing_damaged_and_wordy_cells() -> None:
    found = {v.name: v for v in contents(b"t,a,b,c\nx,1,,1\ny,nan,2,oops\nz,3,3,3\n").variables}
    assert found["t"].kind == "text"
    np.testing.assert_array_equal(found["a"].load(), [1, np.nan, 3])
    np.testing.assert_array_equal(found["b"].load(), [np.nan, 2, 3])
    with pytest.raises(RecordError, match="variable c is damaged: line 3 has 'oops'"):  # not silently left out
        found["c"].load()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n1,2\n3\n4,5\n", "line 3 has 1 columns and the table has 2"),
        (b"a,b\n1,2\n3,4\n5,6,7\n", "line 4 has 3 columns and the table has 2"),
        (b"when,a\n10:00,2\n10:01,3\n10:02,6,7\n10:03,4\n", "line 4 has 3 columns and the table has 2"),
        (b"0,125,-3,052\n-1,5,0,75\n" * 20, "decimal commas, and commas between"),
        (b"1,2\n" * 100 + b"1,2,3\n" * 200, "line 1 has 2 columns and the table has 3"),
        (b"a,b,c\n1,2\n3,4\n", "line 1 has 3 names"),
        (b"dear all,\nthe pump is loud\n", "without a table"),
        (b"# nothing\n", "without a line of numbers"),
        (b'"', "without a table"),
        (b"\n".join([b"1," * 2000 + b"1"] * 20), "over 1024 columns"),
        (b"1\n" + b"2" * 2_000_000, "over a million characters"),
        (b"word " * 400_000, "over a million characters"),
        (b"a title\n" * 201 + b"1.5,2.5\n" * 99, "first 200 lines"),
    ],
)
def test_text_refusals(data: bytes, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        contents(data)


def table(rows: np.ndarray, delimiter: str = "\t", *, end: str = "\n", comma: bool = False) -> str:
    text = "".join(delimiter.join(f"{x:.6f}" for x in row) + end for row in rows)
    return text.replace(".", ",") if comma else text


def rates(data: str | bytes) -> list[float]:
    return [s.value for s in stated_rates(contents(data.encode() if isinstance(data, str) else data))]


SEU = """Title\tDrivetrain test
Data file\thealth
Date\t2017/5/1
Time\t10:11:12
Frequency Limit\t2000
Spectral Lines\t1600
Window\tHanning

Channel 1\tmotor
Channel 2\tplanetary x
Data
"""


def test_text_behind_a_preamble_of_titles() -> None:
    rows = np.random.default_rng(1).normal(size=(80, 8)).round(6)
    tabs = SEU + table(rows, end="\t\n")
    spreadsheet = "".join(",".join((line.split("\t") + [""] * 9)[:9]) + "\n" for line in SEU.split("\n"))
    for text in (tabs, spreadsheet + table(rows, ",", end=",\n"), tabs.replace("\n", "\r\n")):
        found = numbers(text.encode())
        assert list(found) == [*(f"column_{i}" for i in range(1, 9)), "Frequency Limit"]
        np.testing.assert_array_equal(np.column_stack(list(found.values())[:8]), rows)
        assert found["Frequency Limit"] == 2000
        assert rates(text) == []  # never 2.56 times a limit


LVM = """LabVIEW Measurement\t
Writer_Version\t2
Separator\tTab
Decimal_Separator\t.
X_Columns\tOne
Time\t10:00:00.123
***End_of_Header***\t
\t
Channels\t2\t\t
Samples\t90\t90\t
Y_Unit_Label\tg\tg\t
X_Dimension\tTime\tTime\t
X0\t0.0000000000000000E+0\t0.0000000000000000E+0\t
Delta_X\t7.812500E-5\t7.812500E-5\t
***End_of_Header***\t\t\t
X_Value\tacc x\tacc y\tComment
"""


def test_text_of_labview() -> None:
    rows = np.random.default_rng(2).normal(size=(90, 2)).round(6)
    timed = np.column_stack([np.arange(90) / 12_800, rows])
    for text in (
        LVM + table(timed),
        LVM.replace("X_Columns\tOne", "X_Columns\tNo") + "\t" + table(rows, end="\n\t")[:-1],
    ):
        found = contents(text.encode())
        assert [v.name for v in found.variables] == ["X_Value", "acc x", "acc y", "Delta_X [s]"]
        assert [v.unit for v in found.variables] == [None, "g", "g", None]
        np.testing.assert_array_equal(np.column_stack([v.load() for v in found.variables[1:3]]), rows)
        assert [s.value for s in stated_rates(found)] == [12_800]
    assert rates((LVM + table(timed)).replace("X_Dimension\tTime\tTime", "X_Dimension\tFrequency\tFrequency")) == []


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        ("Sampling rate;12800", 12_800),
        ("fs = 12800 Hz", 12_800),
        ("fs=12800", 12_800),
        ("Sample Rate [kHz]: 12,8", 12_800),
        ("Sampling frequency: 12,8 kHz", 12_800),
        ("Abtastrate;12800,0;Hz", 12_800),
        ("# fs: 12800", 12_800),
        ("sample interval; 78,125 us", 12_800),
        ("dt = 7,8125e-5 s", 12_800),
        ("dt = 7,8125e-5", None),  # of what?
        ("fs = 12.800 Hz", None),  # twelve thousand, or twelve?
        ("fs = 12800 MHz", None),
        ("fs = fast", None),
        ("fs = 12800 25600", None),
        ("channels: 4", None),
        ("rate; 25", None),
    ],
)
def test_text_with_settings_over_the_table(line: str, rate: float | None) -> None:
    rows = np.random.default_rng(3).normal(size=(60, 2)).round(6)
    for head in ("", "acc x;acc y\n", "acc x;acc y\ng;g\n"):
        text = f"{line}\nSerial no: 17\nDrehzahl = 1480,5 1/min\n{head}" + table(rows, ";", comma=True)
        found = contents(text.encode())
        assert [s.value for s in stated_rates(found)] == ([rate] if rate else []), text
        assert [s.value for s in stated_rpms(found)] == [1480.5]
        np.testing.assert_array_equal(np.column_stack([v.load() for v in found.variables[:2]]), rows)
        if head:
            assert found.variables[0].name == ("acc x" if head.count("\n") == 1 else "acc x [g]")


def test_text_whose_header_numbers_the_columns() -> None:
    rows = table(np.random.default_rng(4).normal(size=(50, 2)).round(6), ",")
    for header in ("0,1\n", "1,2\n"):  # as tables without names are exported
        assert {n: v.size for n, v in numbers((header + rows).encode()).items()} == {"column_1": 50, "column_2": 50}
    indexed = ",0,1\n" + "".join(f"{i},{line}\n" for i, line in enumerate(rows.split()))
    assert [v.shape for v in contents(indexed.encode()).variables] == [(50,)] * 3
    assert list(numbers(("time,0\n" + rows).encode())) == ["time", "column_2"]
    assert numbers(("3,7\n" + rows).encode())["column_1"].size == 51  # no numbering
    assert numbers(b"1,2\n5,6\n7,9\n3,4\n")["column_1"].tolist() == [1, 5, 7, 3]  # a sample, for all we know
    assert numbers(b"1\n0.5\n0.25\n")["column_1"].tolist() == [1, 0.5, 0.25]


WAVE = np.random.default_rng(5).normal(size=(3, 40)).round(4)


@pytest.mark.parametrize("outer", [",", ";", "\t"])
@pytest.mark.parametrize("inner", [";", ",", " ", "|", ", "])
@pytest.mark.parametrize("brackets", ["{}", "[{}]", "{{{}}}"])
@pytest.mark.parametrize("header", [True, False])
def test_text_with_waveforms_in_cells(outer: str, inner: str, brackets: str, header: bool) -> None:
    quote = '"' if inner.strip() == outer else ""
    names = outer.join(("id", "taken", "rpm", "acc")) + "\n" if header else ""
    rows = [
        outer.join(
            (str(i), "2024-05-01T10:00", str(1480 + i), quote + brackets.format(inner.join(map(str, w))) + quote)
        )
        for i, w in enumerate(WAVE)
    ]
    name = "acc" if header else "waveform"
    one = numbers((names + rows[0] + "\n").encode())
    np.testing.assert_array_equal(one[name], WAVE[0])
    assert one["rpm" if header else "column_3"].tolist() == [1480]
    many = numbers((names + "\n".join(rows)).encode())
    np.testing.assert_array_equal(many[name], WAVE[:, None])
    assert many["rpm" if header else "column_3"].shape == (3, 1, 1)


def test_text_with_uneven_damaged_and_comma_waveforms() -> None:
    cells = [";".join(map(str, WAVE[i, : 30 + i])) for i in range(3)]
    found = numbers(("fs: 5000\nid,w\n" + "".join(f"{i},{c}\n" for i, c in enumerate(cells))).encode())
    assert {n: v.size for n, v in found.items()} == {"id": 3, "w(1)": 30, "w(2)": 31, "w(3)": 32, "fs": 1}
    comma = numbers(("id\tw\n1\t" + cells[0].replace(".", ",") + "\n").encode())
    np.testing.assert_array_equal(comma["w"], WAVE[0, :30])
    with pytest.raises(RecordError, match=r"line 3 has a waveform .*no number"):
        contents(f"id,w\n1,{cells[0]}\n2,{cells[1][:-1]}x\n3,{cells[2]}\n".encode())
    with pytest.raises(RecordError, match="line 3 has 3 columns"):
        contents(f"id,w\n1,{cells[0]}\n2,7,{cells[1]}\n3,{cells[2]}\n".encode())


def test_text_of_a_few_long_lines() -> None:
    rows = np.random.default_rng(6).normal(size=(4, 20_000)).round(4)
    plain = "\n".join(",".join(map(str, row)) for row in rows)
    assert list(numbers(plain.encode())) == ["row_1", "row_2", "row_3", "row_4"]
    named = "\n".join(f"ch{i};" + ";".join(map(str, row)) for i, row in enumerate(rows)).replace(".", ",")
    found = numbers(named.encode())
    assert list(found) == ["ch0", "ch1", "ch2", "ch3"]
    np.testing.assert_array_equal(np.stack(list(found.values())), rows)
    np.testing.assert_array_equal(numbers(" ".join(map(str, rows[0])).encode())["row_1"], rows[0])


def test_text_columns_of_words_beside_numbers() -> None:
    rows = "".join(f"2024-05-01T10:00:{i:02},{i}.5,ok,{-i}.25\n" for i in range(60))
    found = {v.name: v for v in contents(("when,a,state,b\n" + rows).encode()).variables}
    assert [v.kind for v in found.values()] == ["text", "number", "text", "number"]
    np.testing.assert_array_equal(found["b"].load(), [float(f"{-i}.25") for i in range(60)])


# ---- WAV and NumPy


@pytest.mark.parametrize(("bits", "dtype"), [(8, "u1"), (16, "i2"), (24, "i4"), (32, "i4")])
def test_wav_pcm(bits: int, dtype: str) -> None:
    steps = np.random.default_rng(3).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (40, 2))
    raw = (steps + 128 if bits == 8 else steps).astype("<" + dtype)
    frames = raw.view("u1").reshape(40, 2, 4)[:, :, :3].tobytes() if bits == 24 else raw.tobytes()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((2, bits // 8, 12_800, 40, "NONE", ""))
        file.writeframes(frames)
    found = contents(out.getvalue())
    assert found.sampling_rate_hz == 12_800
    assert [v.shape for v in found.variables] == [(40,), (40,)]
    for column, array in zip(steps.T, numbers(out.getvalue()).values(), strict=True):
        np.testing.assert_array_equal(array, column / 2.0 ** (bits - 1))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_wav_float_as_scipy_writes_it(dtype: str) -> None:
    out = io.BytesIO()
    scipy.io.wavfile.write(out, 48_000, TABLE.astype(dtype))
    for column, array in zip(TABLE.T.astype(dtype), numbers(out.getvalue()).values(), strict=True):
        same(array, column)


def riff(
    code: int, samples: bytes, *, bits: int = 16, extra: bytes = b"", mark: bytes = b"RIFF", ds64: bytes | None = None
) -> bytes:
    """A file by hand, of one channel at 8 kHz; `ds64` goes first, and the sizes then say to look there."""
    order = ">" if mark == b"RIFX" else "<"

    def chunk(kind: bytes, body: bytes, size: int | None = None) -> bytes:
        size = len(body) if size is None else size
        return kind + struct.pack(order + "I", size) + body + b"\0" * (len(body) & 1)

    fmt = struct.pack(order + "HHIIHH", code, 1, 8000, 1000 * bits, bits // 8, bits) + extra
    first = b"" if ds64 is None else chunk(b"ds64", ds64)
    data = chunk(b"data", samples, None if ds64 is None else 0xFFFFFFFF)
    body = b"WAVE" + first + chunk(b"fmt ", fmt) + chunk(b"LIST", b"abc") + data
    return mark + struct.pack(order + "I", len(body) if ds64 is None else 0xFFFFFFFF) + body


def test_wav_extensible_and_refused_codecs() -> None:
    guid = struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    assert numbers(riff(0xFFFE, b"\0\x40\0\xc0", extra=guid))["channel_1"].tolist() == [0.5, -0.5]
    for data, what in ((riff(0x11, b"\0" * 4), "IMA ADPCM"), (riff(0x55, b"\0" * 4), "MP3")):
        with pytest.raises(RecordError, match=what):
            contents(data)


@pytest.mark.parametrize(
    ("code", "bits", "dtype"), [(1, 8, "u1"), (1, 16, "i2"), (1, 24, "i3"), (1, 32, "i4"), (3, 32, "f4"), (3, 64, "f8")]
)
@pytest.mark.parametrize("mark", [b"RIFX", b"RF64", b"BW64"])
def test_wav_relatives_hold_the_same_samples(mark: bytes, code: int, bits: int, dtype: str) -> None:
    steps = np.random.default_rng(7).integers(-100, 100, 61)
    order: Any = "big" if mark == b"RIFX" else "little"

    def stored(order: Any) -> bytes:
        if dtype == "i3":
            return b"".join(int(s).to_bytes(3, order, signed=True) for s in steps)
        return (steps + 128 * (bits == 8)).astype((">" if order == "big" else "<") + dtype).tobytes()

    samples = stored(order)
    ds64 = None if mark == b"RIFX" else struct.pack("<QQQI", 0, len(samples), steps.size, 0)
    data = riff(code, samples, bits=bits, mark=mark, ds64=ds64)
    same(numbers(data)["channel_1"], numbers(riff(code, stored("little"), bits=bits))["channel_1"])
    assert contents(data).sampling_rate_hz == 8000
    for damaged in (data[: -1 - (len(samples) & 1)], data[:60]):
        with pytest.raises(RecordError, match=r"cut short|ds64"):
            contents(damaged)


def test_wav_of_64_bit_sizes_needs_them() -> None:
    for ds64, what in ((b"\0" * 8, "ds64"), (struct.pack("<QQQI", 0, 1 << 40, 0, 0), "states 1099511627776 bytes")):
        with pytest.raises(RecordError, match=what):
            contents(riff(1, b"\0" * 40, mark=b"RF64", ds64=ds64))
    with pytest.raises(RecordError, match=r"RF64.*ds64"):
        contents(riff(1, b"\0" * 40, mark=b"RF64"))


@pytest.mark.parametrize("dtype", [*NUMBERS, ">f8", ">i2", "f2"])
@pytest.mark.parametrize("order", "CF")
def test_npy_and_npz(dtype: str, order: Any) -> None:
    values = np.asarray((TABLE * 40).astype(dtype), order=order)
    one, many = io.BytesIO(), io.BytesIO()
    np.save(one, values)
    np.savez(many, left=values, right=values[:, 0])
    same(numbers(one.getvalue())["data"], values.astype(values.dtype.newbyteorder("=")))
    assert list(numbers(many.getvalue())) == ["left", "right"]
    np.testing.assert_array_equal(numbers(many.getvalue())["right"], values[:, 0])


@pytest.mark.parametrize(
    "values", [np.array([1, "a"], object), np.array([1j]), np.array(["a"]), np.zeros(2, [("a", "f8")])]
)
def test_npy_what_is_not_numbers(values: np.ndarray) -> None:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=True)
    (variable,) = contents(out.getvalue()).variables
    assert variable.kind in ("text", "other")
    with pytest.raises(RecordError, match="variable data"):
        variable.load()


@pytest.mark.real_data
def test_real_csv_files_as_python_reads_them(real_data: Path) -> None:
    files = [*sorted((real_data / "gearbox_gfd").glob("*.csv")), *sorted((real_data / "cwru_odd").glob("*.csv"))]
    assert files
    for path in files:
        header, body = path.read_text().split("\n", 1)
        expected = np.array([float(cell) for cell in body.replace("\n", ",").split(",") if cell])
        found = numbers(path.read_bytes())
        assert list(found) == header.split(",")
        np.testing.assert_array_equal(np.column_stack(list(found.values())).ravel(), expected)


# ---- what European table programs write


READINGS = np.random.default_rng(3).normal(size=300)
ONE_COLUMN = "\n".join(f"{v:.4f}".replace(".", ",") for v in READINGS)


@pytest.mark.parametrize("above", ["", "Beschleunigung\n", "Abtastrate: 12800 Hz\nBeschleunigung\n"])
def test_one_column_of_decimal_commas_is_one_channel(above: str) -> None:
    variables = open_contents((above + ONE_COLUMN).encode(), name="f.csv").variables
    (column,) = [v for v in variables if v.shape == (300,)]
    np.testing.assert_allclose(column.load(), np.round(READINGS, 4))


def test_decimal_commas_with_exponents_or_one_digit_are_not_two_channels() -> None:
    scientific = "\n".join(f"{v:.4E}".replace(".", ",") for v in np.abs(READINGS))
    (column,) = open_contents(scientific.encode(), name="f.csv").variables
    np.testing.assert_allclose(column.load(), np.abs(READINGS), rtol=1e-4)
    one_digit = "\n".join(f"{v:.1f}".replace(".", ",") for v in READINGS)
    with pytest.raises(RecordError, match="one column with decimal commas, or two of whole numbers"):
        open_contents(one_digit.encode(), name="f.csv")
    (named,) = open_contents(("a\n" + one_digit).encode(), name="f.csv").variables
    np.testing.assert_allclose(named.load(), np.round(READINGS, 1), atol=1e-9)
    counts = "\n".join(f"{int(100 * v)},{i % 2}" for i, v in enumerate(READINGS))
    assert len(open_contents(counts.encode(), name="f.csv").variables) == 2  # a count and a flag


@pytest.mark.parametrize("cell", ["#DIV/0!", "#NV", "#N/A", "#WERT!"])
def test_a_cell_that_says_it_has_no_number_costs_no_sample_in_silence(cell: str) -> None:
    rows = [f"{v:.3f}" for v in READINGS]
    rows[50] = cell
    (column,) = open_contents(("a\n" + "\n".join(rows)).encode(), name="f.csv").variables
    with pytest.raises(RecordError, match="line 52"):
        column.load()


def test_german_dates_and_the_line_for_excel() -> None:
    commas = "\n".join(f"01.02.2024 12:00:00;{v:.3f}"[:20] + f"{v:.3f}".replace(".", ",") for v in READINGS)
    for text in (commas, "sep=;\nZeit;a\n" + commas):
        numbers = [v for v in open_contents(text.encode(), name="f.csv").variables if v.kind == "number"]
        np.testing.assert_allclose(numbers[0].load(), np.round(READINGS, 3))
