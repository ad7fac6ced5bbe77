"""The readers of text tables, WAV and NumPy files agree with numpy, scipy and plain Python."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.wavfile
from test_formats import NUMBERS, contents, numbers, same

from faultdx.errors import RecordError

TABLE = np.random.default_rng(0).normal(size=(50, 3))


def text_of(rows: np.ndarray, delimiter: str = ",", **options: Any) -> bytes:
    out = io.BytesIO()
    np.savetxt(out, rows, delimiter=delimiter, fmt="%.17g", **options)
    return out.getvalue()


# ---- text


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
        (b"a,b,c\n1,2\n3,4\n", "line 1 has 3 names"),
        (b"dear all,\nthe pump is loud\n", "without a table"),
        (b"# nothing\n", "without a line of numbers"),
        (b'"', "0 columns"),
        (b"1," * 2000 + b"1\n", "2001 columns"),
        (b"1\n" + b"2" * 2_000_000, "over a million characters"),
    ],
)
def test_text_refusals(data: bytes, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        contents(data)


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


def test_wav_extensible_and_refused_codecs() -> None:
    def riff(code: int, extra: bytes = b"", mark: bytes = b"RIFF") -> bytes:
        fmt = struct.pack("<HHIIHH", code, 1, 8000, 16000, 2, 16) + extra
        body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST\x03\0\0\0abc\0data\x04\0\0\0\0\x40\0\xc0"
        return mark + struct.pack("<I", len(body)) + body

    guid = struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    assert numbers(riff(0xFFFE, guid))["channel_1"].tolist() == [0.5, -0.5]
    for data, what in ((riff(0x11), "IMA ADPCM"), (riff(0x55), "MP3"), (riff(1, mark=b"RF64"), "RF64")):
        with pytest.raises(RecordError, match=what):
            contents(data)


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
