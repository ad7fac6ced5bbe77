"""The readers of MATLAB and HDF5 files agree with scipy and h5py wherever those read the same file."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faultdx.errors import RecordError
from faultdx.records.contents import Contents
from faultdx.records.formats import open_contents

NUMBERS = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
MI = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
MX = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}


def mat(**variables: Any) -> bytes:
    """A file as scipy writes it; options begin with `opt_`."""
    options = {k[4:]: variables.pop(k) for k in list(variables) if k.startswith("opt_")}
    out = io.BytesIO()
    scipy.io.savemat(out, variables, **options)
    return out.getvalue()


def part(order: str, kind: int, data: bytes) -> bytes:
    return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix5(name: str, values: np.ndarray, *, stored: str, mx: str = "f8", order: str = "<", flags: int = 0) -> bytes:
    """A miMATRIX element made by hand: byte order and storage type as scipy never writes them."""
    body = part(order, 6, struct.pack(order + "II", flags << 8 | MX[mx], 0))
    body += part(order, 5, struct.pack(f"{order}{values.ndim}i", *values.shape))
    body += part(order, 1, name.encode())
    body += part(order, MI[stored], values.astype(order + stored).tobytes(order="F"))
    return struct.pack(order + "II", 14, len(body)) + body


def file5(*elements: bytes, order: str = "<") -> bytes:
    header = b"MATLAB 5.0 MAT-file, by hand".ljust(116) + b"\0" * 8
    return header + struct.pack(order + "H", 0x0100) + (b"IM" if order == "<" else b"MI") + b"".join(elements)


def packed(element: bytes, order: str = "<") -> bytes:
    body = zlib.compress(element)
    return struct.pack(order + "II", 15, len(body)) + body


def matrix4(name: str, values: np.ndarray, *, order: str = "<", form: int = 0, imaginary: int = 0) -> bytes:
    digit = ["f8", "f4", "i4", "i2", "u2", "u1"].index(values.dtype.str[1:])
    mopt = (1000 if order == ">" else 0) + 10 * digit + form
    head = struct.pack(order + "5i", mopt, *values.shape, imaginary, len(name) + 1) + name.encode() + b"\0"
    return head + values.astype(values.dtype.newbyteorder(order)).tobytes(order="F") * (1 + imaginary)


def contents(data: bytes) -> Contents:
    return open_contents(data, name="rec.bin")


def numbers(data: bytes) -> dict[str, np.ndarray]:
    return {v.name: v.load() for v in contents(data).variables if v.kind == "number"}


def same(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.dtype.isnative


# ---- MATLAB v5 and v4


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_v5_numbers_as_scipy_reads_them(dtype: str, compressed: bool) -> None:
    rng = np.random.default_rng(1)
    arrays = {
        "column": (rng.normal(size=(37, 1)) * 50).astype(dtype),
        "matrix": (rng.normal(size=(5, 7)) * 50).astype(dtype),
        "cube": (rng.normal(size=(2, 3, 4)) * 50).astype(dtype),
        "scalar": np.array([[3]], dtype),
        "nothing": np.zeros((0, 3), dtype),
    }
    data = mat(**arrays, opt_do_compression=compressed)
    expected = scipy.io.loadmat(io.BytesIO(data), mat_dtype=True)
    found = numbers(data)
    assert list(found) == list(arrays)
    for name, array in found.items():
        same(array, expected[name])
    assert [v.shape for v in contents(data).variables] == [a.shape for a in arrays.values()]
    assert contents(data).format == "MATLAB v5"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(("stored", "mx"), [(s, "f8") for s in NUMBERS] + [("u1", "i4"), ("u2", "i2"), ("f8", "f4")])
def test_v5_storage_types_and_byte_orders(stored: str, mx: str, order: str, pack: bool) -> None:
    values = np.array([[1, 2], [100, 3], [0, 127]], float)
    element = matrix5("x", values, stored=stored, mx=mx, order=order)
    data = file5(packed(element, order) if pack else element, order=order)
    same(numbers(data)["x"], values.astype(mx))
    same(numbers(data)["x"], scipy.io.loadmat(io.BytesIO(data), mat_dtype=True)["x"].astype(mx))


def test_v5_doubles_stored_as_int16_do_not_overflow() -> None:
    x = numbers(file5(matrix5("x", np.array([[30000.0]]), stored="i2")))["x"]
    assert float(x[0, 0] ** 2) == 9e8


def test_v5_values_that_do_not_fit_their_class_are_refused() -> None:
    with pytest.raises(RecordError, match="do not fit int8"):
        numbers(file5(matrix5("x", np.array([[300.0]]), stored="i2", mx="i1")))


def test_v5_uncompressed_arrays_are_views_of_the_file() -> None:
    data = mat(x=np.arange(1000.0))
    x = numbers(data)["x"]
    assert np.shares_memory(x, np.frombuffer(data, np.uint8))
    assert not x.flags.writeable


@pytest.mark.parametrize("compressed", [False, True])
def test_v5_what_is_not_numbers_is_listed_and_refused(compressed: bool) -> None:
    data = mat(
        z=np.array([1 + 2j]),
        cell=np.array([1, "a"], object),
        sparse=scipy.sparse.csc_matrix(np.eye(3)),
        words="1797 rpm",
        flag=np.array([[True, False]]),
        good=np.arange(3.0),
        opt_do_compression=compressed,
    )
    found = {v.name: v for v in contents(data).variables}
    kinds = {"z": "other", "cell": "other", "sparse": "other", "words": "text", "flag": "number", "good": "number"}
    assert {n: v.kind for n, v in found.items()} == kinds
    assert found["words"].text == "1797 rpm"
    same(found["good"].load(), np.arange(3.0)[None])
    for name in ("z", "cell", "sparse", "words"):
        with pytest.raises(RecordError, match=rf"rec\.bin: variable {name} is .*; choose"):
            found[name].load()


@pytest.mark.parametrize("compressed", [False, True])
def test_v5_structs_give_dotted_names(compressed: bool) -> None:
    inner = {"gs": np.arange(100.0)[:, None], "sr": 97656.0, "note": "ok", "deep": {"load": np.array([[270.0]])}}
    array = np.zeros(2, [("Data", object)])
    array["Data"] = [np.arange(4.0), np.arange(5.0)]
    data = mat(bearing=inner, Y=array, after=np.ones(2), opt_do_compression=compressed)
    found = numbers(data)
    assert list(found) == ["bearing.gs", "bearing.sr", "bearing.deep.load", "Y(1).Data", "Y(2).Data", "after"]
    same(found["bearing.gs"], inner["gs"])
    same(found["Y(2).Data"], np.arange(5.0)[None])
    same(found["bearing.sr"], np.array([[97656.0]]))
    assert {v.name: v.text for v in contents(data).variables}["bearing.note"] == "ok"


def test_v5_structs_are_walked_to_a_bounded_depth() -> None:
    nest: Any = 1.0
    for _ in range(20):
        nest = {"a": nest}
    names = [v.name for v in contents(mat(s=nest)).variables]
    assert names == ["s", "s.a", "s.a.a", "s.a.a.a", "s.a.a.a.a"]


def test_v5_a_broken_variable_does_not_hide_a_good_one() -> None:
    good, bad = (matrix5(n, np.arange(6.0)[:, None], stored="f8") for n in ("good", "bad"))
    negative = bad.replace(struct.pack("<2i", 6, 1), struct.pack("<2i", -6, 1))
    more = bad.replace(struct.pack("<2i", 6, 1), struct.pack("<2i", 7, 1))
    nameless = bad.replace(b"bad\0", b"b\x01d\0")
    garbled = bytearray(packed(bad))
    garbled[-1] ^= 1  # its checksum
    for broken in (negative, more, nameless, bytes(garbled)):
        found = {v.name: v for v in contents(file5(broken, good)).variables}
        same(found.pop("good").load(), np.arange(6.0)[:, None])
        (other,) = found.values()
        with pytest.raises(RecordError, match="is damaged"):
            other.load()


def test_v5_two_variables_of_one_name_are_refused() -> None:
    one = matrix5("x", np.ones((2, 1)), stored="f8")
    with pytest.raises(RecordError, match="two variables called x"):
        contents(file5(one, one))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "i2", "u2", "u1"])
@pytest.mark.parametrize("order", "<>")
def test_v4_numbers_as_scipy_reads_them(dtype: str, order: str) -> None:
    values = np.arange(24).reshape(8, 3).astype(dtype)
    data = matrix4("first", values, order=order) + matrix4("second", values[:, :1] * 2, order=order)
    expected = scipy.io.loadmat(io.BytesIO(data))
    found = numbers(data)
    assert contents(data).format == "MATLAB v4"
    assert list(found) == ["first", "second"]
    for name, array in found.items():
        same(array, expected[name].astype(dtype))


def test_v4_from_scipy_and_what_is_not_numbers() -> None:
    data = mat(x=np.arange(5.0), words="hello", z=np.array([1j]), s=scipy.sparse.csc_matrix(np.eye(2)), opt_format="4")
    found = {v.name: v for v in contents(data).variables}
    assert {n: v.kind for n, v in found.items()} == {"x": "number", "words": "text", "z": "other", "s": "other"}
    same(found["x"].load(), scipy.io.loadmat(io.BytesIO(data))["x"])
    assert found["words"].text == "hello"
    for name in ("words", "z", "s"):
        with pytest.raises(RecordError, match=f"variable {name} is"):
            found[name].load()


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(np.dtype("f8"), hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=6)),
    form=st.sampled_from(["5", "5z", "npy", "npz"]),
)
def test_round_trip(values: np.ndarray, form: str) -> None:
    out = io.BytesIO()
    if form == "npy":
        np.save(out, values)
    elif form == "npz":
        np.savez_compressed(out, data=values)
    else:
        scipy.io.savemat(out, {"data": values}, do_compression=form == "5z")
    same(numbers(out.getvalue())["data"], values)


# ---- HDF5


def hdf(write: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return out.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (7, 2)},
        {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (7, 2)},
        {"compression": "gzip", "fletcher32": True},
        {"compression": "gzip", "chunks": (64, 8), "maxshape": (None, None)},
    ],
)
@pytest.mark.parametrize("dtype", ["f8", ">f4", "i2", "u8", "bool"])
def test_hdf5_layouts(options: dict[str, Any], dtype: str) -> None:
    values = (np.random.default_rng(2).normal(size=(20, 3)) * 9).astype(dtype)
    found = numbers(hdf(lambda f: f.create_dataset("run/x", data=values, **options)))
    np.testing.assert_array_equal(found["run.x"], values)
    assert found["run.x"].dtype.isnative


def test_v73_arrays_have_the_shape_of_matlab() -> None:
    def write(file: h5py.File) -> None:
        for name, data, mclass in [
            ("x", np.arange(6.0).reshape(1, 6), "double"),
            ("words", np.frombuffer("pump A".encode("utf-16-le"), "u2")[:, None], "char"),
            ("cell", np.zeros((1, 2)), "cell"),
            ("on", np.ones((1, 1), "u1"), "logical"),
            ("nothing", np.array([0, 5], "u8"), "double"),
        ]:
            file.create_dataset(name, data=data).attrs["MATLAB_class"] = np.bytes_(mclass)
        file["nothing"].attrs["MATLAB_empty"] = np.uint8(1)
        file.create_group("#refs#")["a"] = 1.0
        file.create_group("s").attrs["MATLAB_class"] = np.bytes_("struct")
        file["s"].create_dataset("fs", data=[[48e3]]).attrs["MATLAB_class"] = np.bytes_("double")

    data = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 384 + hdf(write)
    found = {v.name: v for v in contents(data).variables}
    assert contents(data).format == "MATLAB v7.3"
    same(found["x"].load(), np.arange(6.0)[:, None])
    assert found["x"].shape == (6, 1)
    assert (found["words"].kind, found["words"].text, found["words"].shape) == ("text", "pump A", (1, 6))
    assert found["nothing"].load().shape == found["nothing"].shape == (0, 5)
    same(found["s.fs"].load(), np.array([[48e3]]))
    assert (found["cell"].kind, found["on"].kind, found["s"].kind) == ("other", "number", "other")
    assert not any(name.startswith("#") for name in found)


# ---- the real recordings, and the promise about imports


@pytest.mark.real_data
def test_real_mat_files_as_scipy_reads_them(real_data: Path) -> None:
    files = sorted(p for folder in ("cwru", "cwru_odd", "uestc") for p in (real_data / folder).glob("*.mat"))
    assert len(files) >= 80
    for path in files:
        expected = scipy.io.loadmat(str(path), mat_dtype=True)
        found = contents(path.read_bytes()).variables
        assert [v.name for v in found] == [name for name in expected if not name.startswith("__")]
        for variable in found:
            if variable.kind == "number":
                same(variable.load(), expected[variable.name])
            else:
                assert (variable.name, variable.kind) == ("StartTime", "text")


def test_import_pulls_in_numpy_alone() -> None:
    code = (
        "import sys, faultdx.records.formats; "
        "sys.exit(any(m.split('.')[0] in {'scipy', 'pandas', 'h5py', 'torch', 'matplotlib'} for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
