"""HDF5 files in depth: groups, links that lead back or away, layouts that lie, and damage that a checksum sees."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from test_readers import outcomes, sound, well_said

from faultdx.errors import RecordError
from faultdx.records.contents import Contents
from faultdx.records.formats import FORMATS, Source, open_contents

MIB = 1024 * 1024
HDF5 = next(form for form in FORMATS if form.name == "HDF5")
SIGNAL = np.random.default_rng(1).normal(size=300)
NAME = "rec.bin"


def hdf(write: Callable[[h5py.File], object], **options: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w", **options) as file:
        write(file)
    return out.getvalue()


def opened(data: bytes, **options: Any) -> Contents:
    return open_contents(data, name=NAME, **options)


def kinds(contents: Contents) -> dict[str, str]:
    return {v.name: v.kind for v in contents.variables}


def refusal(contents: Contents, name: str) -> str:
    (variable,) = (v for v in contents.variables if v.name == name)
    with pytest.raises(RecordError) as caught:
        variable.load()
    well_said(caught.value)
    return str(caught.value)


# ---- groups and links


def test_groups_are_walked_to_eight_levels() -> None:
    path = "/".join("abcdefghij")

    def write(file: h5py.File) -> None:
        file[path] = SIGNAL
        file["a/b/x"] = SIGNAL + 1

    found = {v.name: v for v in opened(hdf(write)).variables}
    assert list(found) == ["a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "a.b.c.d.e.f", "a.b.c.d.e.f.g",
                           "a.b.c.d.e.f.g.h", "a.b.x"]  # fmt: skip
    assert {name for name, v in found.items() if v.kind == "number"} == {"a.b.x"}
    np.testing.assert_array_equal(found["a.b.x"].load(), SIGNAL + 1)
    eight = hdf(lambda file: file.create_dataset("/".join("abcdefgh"), data=SIGNAL))
    np.testing.assert_array_equal(opened(eight).variables[-1].load(), SIGNAL)


def test_hard_links_that_lead_back_are_not_followed() -> None:
    def write(file: h5py.File) -> None:
        file["a/b/x"] = SIGNAL
        file["a/b/up"] = file["a"]
        file["a/root"] = file["/"]
        file["a/b/self"] = file["a/b"]
        file["a/b/twin"] = file["a/b/x"]

    contents = opened(hdf(write))
    assert set(kinds(contents)) == {"a", "a.root", "a.b", "a.b.x", "a.b.up", "a.b.self", "a.b.twin"}
    assert "a link to another place, or back" in refusal(contents, "a.b.up")
    for v in contents.variables:
        if v.kind == "number":
            np.testing.assert_array_equal(v.load(), SIGNAL)


def test_groups_linked_into_each_other_many_times_end() -> None:
    """Eight groups, each of which holds the next one twenty times: 20^8 paths."""

    def write(file: h5py.File) -> None:
        above = file.create_group("g0")
        for level in range(1, 8):
            group = file.create_group(f"g{level}")
            for index in range(20):
                above[f"l{index}"] = group
            above = group

    start = time.monotonic()
    with pytest.raises(RecordError, match="holds more than 4096 variables and groups") as caught:
        opened(hdf(write))
    well_said(caught.value)
    assert time.monotonic() - start < 5


def test_four_thousand_variables_are_listed() -> None:
    def write(file: h5py.File) -> None:
        space, one = h5py.h5s.create(h5py.h5s.SCALAR), np.array(1.0)
        for index in range(4000):
            h5py.h5d.create(file.id, b"v%d" % index, h5py.h5t.IEEE_F64LE, space).write(h5py.h5s.ALL, h5py.h5s.ALL, one)

    data = hdf(write)
    contents = opened(data)
    assert len(contents.variables) == 4000
    assert contents.variables[3999].load() == 1.0
    with pytest.raises(RecordError, match="more than 4096"):
        opened(hdf(lambda file: [file.create_group(f"g{i}") for i in range(4097)]))


def test_a_name_with_a_slash_in_it_leads_nowhere(tmp_path: Path) -> None:
    """A hard link called `away/x` is a path through the external link `away` to anybody who asks the library."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = SIGNAL

    def write(file: h5py.File) -> None:
        file["away"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
        file["here"] = h5py.SoftLink("/good")
        file["away_x"] = np.zeros(3)
        file["here_x"] = np.zeros(3)
        file["good"] = np.ones(5)

    data = hdf(write).replace(b"away_x", b"away/.").replace(b"here_x", b"here/.")
    assert b"away/." in data
    for found in (HDF5.open(Source(data, NAME, MIB)), opened(data)):  # without and with a child that opens no file
        assert {name for name, kind in kinds(found).items() if kind == "number"} == {"good"}
        assert "link" in refusal(found, "away/.")
        assert "link" in refusal(found, "away")


def test_the_insides_of_a_sparse_matrix_are_no_variables() -> None:
    def write(file: h5py.File) -> None:
        file["s/data"] = SIGNAL
        file["s"].attrs["MATLAB_sparse"] = np.uint64(300)
        file["x"] = SIGNAL

    contents = opened(hdf(write))
    assert kinds(contents) == {"s": "other", "x": "number"}
    assert "is a sparse matrix" in refusal(contents, "s")


def test_two_paths_that_get_one_name_are_refused() -> None:
    def write(file: h5py.File) -> None:
        file["a/b"] = SIGNAL
        file["a.b"] = SIGNAL + 1

    with pytest.raises(RecordError, match=r"holds two variables called a\.b"):
        opened(hdf(write))


def test_an_entry_that_cannot_be_looked_at_does_not_hide_the_others() -> None:
    def write(file: h5py.File) -> None:
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"clock", h5py.h5t.UNIX_D32LE, space)
        file["pairs"] = np.zeros(2, [("a", "f8")])
        file["kind"] = np.dtype("f8")  # a type with a name
        file["x"] = SIGNAL

    contents = opened(hdf(write))
    assert kinds(contents) == {"clock": "other", "kind": "other", "pairs": "other", "x": "number"}
    assert "damaged, or of a type that is not read" in refusal(contents, "clock")
    np.testing.assert_array_equal(contents.variables[-1].load(), SIGNAL)


# ---- sizes


@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True}])
def test_chunks_that_would_take_too_much_memory_are_refused(options: dict[str, Any]) -> None:
    values = np.zeros(3 * MIB)  # 24 MiB
    data = hdf(lambda file: file.create_dataset("x", data=values, chunks=values.shape, **options))
    small = opened(data, budget_bytes=30 * MIB)
    if options:
        assert "chunks that are too large" in refusal(small, "x")
    assert opened(data, budget_bytes=100 * MIB).variables[0].load().size == 3 * MIB
    fine = hdf(lambda file: file.create_dataset("x", data=values, chunks=(1 << 16,), **options))
    np.testing.assert_array_equal(opened(fine, budget_bytes=25 * MIB).variables[0].load(), values)
    assert "24.0 MiB and the limit for this file is 20.0 MiB" in refusal(opened(fine, budget_bytes=20 * MIB), "x")


def test_integers_count_as_what_they_are() -> None:
    """int8 samples of 10 MB are 10 MB, not 80."""
    values = (np.arange(10_000_000) % 251).astype("u1")
    data = hdf(lambda file: file.create_dataset("x", data=values))
    np.testing.assert_array_equal(opened(data).variables[0].load(), values)


def test_matlab_arrays_come_without_a_copy_and_right() -> None:
    values = np.arange(60_000.0).reshape(3, 20_000)

    def write(file: h5py.File) -> None:
        file.create_dataset("x", data=values).attrs["MATLAB_class"] = np.bytes_("double")
        file.create_dataset("on", data=values[0] > 9).attrs["MATLAB_class"] = np.bytes_("logical")

    on, x = opened(b"MATLAB 7.3 MAT-file".ljust(512, b"\0") + hdf(write)).variables
    np.testing.assert_array_equal(x.load(), values.T)
    assert x.load().flags.f_contiguous
    np.testing.assert_array_equal(on.load(), (values[0] > 9).astype("u1"))


# ---- damage


def protected(file: h5py.File) -> None:
    """Datasets whose every chunk has a checksum, in the newer kind of file, whose metadata have one, too."""
    options: dict[str, Any] = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    file.create_dataset("a", data=SIGNAL, chunks=(60,), **options)
    file.create_dataset("run/b", data=SIGNAL[:120].reshape(40, 3), chunks=(7, 2), **options)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_has_checksums_is_right_or_refused(seed: int) -> None:
    data, rng = hdf(protected, libver="latest"), np.random.default_rng(seed)
    files = []
    for _ in range(200):
        changed = bytearray(data)
        for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
            where = int(rng.integers(len(data)))
            changed[where] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
        files.append(bytes(changed))
    expected = {"a": SIGNAL, "run.b": SIGNAL[:120].reshape(40, 3)}
    refused = 0
    for found in outcomes(HDF5, files):
        if "error" not in found:
            found.pop("run", None)
        sound(HDF5, found, expected)
        refused += any(isinstance(said, str) for said in found.values())
    assert refused > 100


def test_the_older_kind_of_file_ends_well_too() -> None:
    """Its metadata have no checksum, so a flipped bit may pass; but it ends, in an array or in one line."""

    def write(file: h5py.File) -> None:
        file.create_dataset("x", data=SIGNAL, chunks=(60,), compression="gzip", fletcher32=True)
        file["s/fs"] = [[48e3]]
        file["s"].attrs["MATLAB_class"] = np.bytes_("struct")
        file["words"] = np.frombuffer("pump A".encode("utf-16-le"), "u2")[:, None]
        file["words"].attrs["MATLAB_class"] = np.bytes_("char")

    data, rng = hdf(write), np.random.default_rng(5)
    used = [i for i, byte in enumerate(data) if byte]  # most of such a file is empty space
    files = []
    for _ in range(200):
        changed = bytearray(data)
        where = int(rng.choice(used)) + int(rng.integers(-2, 3))
        changed[max(0, min(where, len(data) - 1))] ^= 1 << int(rng.integers(8))
        files.append(bytes(changed))
    for found in outcomes(HDF5, files):
        for said in found.values():
            if isinstance(said, str):
                well_said(said)


def test_a_type_of_number_that_nobody_writes_is_refused() -> None:
    """One flipped bit in the description of a type would make other numbers of every sample."""
    plain = h5py.h5t.IEEE_F64LE.copy()
    plain.set_fields(63, 52, 8, 0, 52)  # an exponent of 8 bits, not 11
    twelve = h5py.h5t.STD_I16LE.copy()
    twelve.set_precision(12)

    def write(file: h5py.File) -> None:
        for name, kind in (("a", plain), ("b", twelve)):
            h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple((70,)))
        for name in ("f2", ">f4", "<f8", "i1", ">u2", "i8"):
            file[name] = np.arange(70).astype(name)

    contents = opened(hdf(write))
    for name in ("a", "b"):
        assert "of an unusual type of number" in refusal(contents, name)
    numbers = [v for v in contents.variables if v.kind == "number"]
    assert len(numbers) == 6
    for v in numbers:
        np.testing.assert_array_equal(v.load(), np.arange(70))


def test_a_shuffle_for_items_of_another_size_is_refused() -> None:
    """The checksum of a chunk says nothing about the settings of its filters."""
    options: dict[str, Any] = {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (60,)}
    data = hdf(lambda file: file.create_dataset("x", data=SIGNAL, **options))
    at = data.index(b"shuffle\0") + 8
    assert data[at : at + 4] == b"\x08\0\0\0"
    assert "shuffle filter" in refusal(opened(data[:at] + b"\x04" + data[at + 1 :]), "x")


def test_a_missing_chunk_is_no_zeros() -> None:
    def write(file: h5py.File) -> None:
        dataset = file.create_dataset("x", (300,), "f8", chunks=(60,), compression="gzip", fillvalue=math.pi)
        dataset[:120] = SIGNAL[:120]

    assert "some of its chunks are missing" in refusal(opened(hdf(write)), "x")


def test_the_end_of_a_chunk_that_is_cut_is_not_made_up() -> None:
    """A chunk without filters that is shorter than it should be: the library returns what was in memory behind it."""

    def write(file: h5py.File) -> None:
        dataset = file.create_dataset("x", (300,), "f8", chunks=(60,))
        for start in range(0, 300, 60):
            chunk = SIGNAL[start : start + 60].astype("f8").tobytes()
            dataset.id.write_direct_chunk((start,), chunk[:72] if start == 120 else chunk)

    assert "a chunk is not of its size" in refusal(opened(hdf(write)), "x")
