"""Cut, mutated, inflated and foreign files: RecordError or the right data, never another exception or much memory."""

from __future__ import annotations

import io
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.io.wavfile
from hypothesis import given, settings
from hypothesis import strategies as st

from faultdx.errors import RecordError
from faultdx.records import npy
from faultdx.records.contents import Contents
from faultdx.records.formats import default_budget_bytes, open_contents

MIB = 1024 * 1024
RNG = np.random.default_rng(7)
SIGNAL = RNG.normal(size=(24, 1))


def written(writer: Any, *args: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    writer(out, *args, **options)
    return out.getvalue()


def hdf(**options: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("x", data=SIGNAL, **options).attrs["MATLAB_class"] = np.bytes_("double")
    return out.getvalue()


STRUCT = {"x": SIGNAL, "s": {"rpm": 1797.0, "words": "pump"}, "n": np.array([[5]], "u2")}
SEEDS = {
    "v5": written(scipy.io.savemat, STRUCT),
    "v5 compressed": written(scipy.io.savemat, STRUCT, do_compression=True),
    "v4": written(scipy.io.savemat, {"x": SIGNAL, "words": "pump", "n": np.array([[5.0]])}, format="4"),
    "wav": written(scipy.io.wavfile.write, 8000, (SIGNAL * 9000).astype("i2")),
    "npy": written(np.save, SIGNAL),
    "npz": written(np.savez_compressed, x=SIGNAL, n=np.arange(3)),
    "csv": written(np.savetxt, np.hstack([SIGNAL, SIGNAL]), delimiter=",", header="a,b", comments="", fmt="%.17g"),
}


def read(data: bytes, *, budget_bytes: int | None = None) -> dict[str, np.ndarray]:
    """Open and load all that claims to be numbers; what else is raised is the test's failure."""
    found: dict[str, np.ndarray] = {}
    try:
        contents = open_contents(data, name="bad.bin", budget_bytes=budget_bytes)
    except RecordError as error:
        well_said(error)
        return found
    for variable in contents.variables:
        try:
            found[variable.name] = variable.load()
            assert found[variable.name].shape == variable.shape
        except RecordError as error:
            well_said(error)
    return found


def well_said(error: RecordError) -> None:
    text = str(error)
    assert text.startswith("bad.bin: ")
    assert "\n" not in text
    assert "; " in text  # the cure
    assert error.path == "bad.bin"


def opened(data: bytes) -> Contents:
    return open_contents(data, name="bad.bin")


@pytest.mark.parametrize("kind", SEEDS)
def test_cut_at_every_byte(kind: str) -> None:
    whole = read(SEEDS[kind])
    assert whole
    for end in range(len(SEEDS[kind])):
        for name, array in read(SEEDS[kind][:end]).items():
            if kind == "csv":  # the last number may be cut and still be a number; the rows before it are right
                if name == "b":
                    rows = len(array) - 1
                    np.testing.assert_array_equal(array[:rows], whole["b"][:rows])
            else:
                np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize("kind", SEEDS)
def test_one_byte_mutations(kind: str) -> None:
    rng = np.random.default_rng(11)
    seed = SEEDS[kind]
    for round_ in range(1200):
        data = bytearray(seed)
        where = int(rng.integers(len(data)) if rng.random() < 0.5 else rng.integers(min(len(data), 400)))
        data[where] = int(rng.integers(256) if rng.random() < 0.7 else rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
        if round_ == 1000:  # to trace them all would take three times as long
            tracemalloc.start()
        for array in read(bytes(data)).values():
            assert array.dtype.kind in "iuf"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < default_budget_bytes(len(seed)) + 8 * MIB


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from([b"", *(seed[:n] for seed in SEEDS.values() for n in (8, 20, 60, 136, 176))]),
    tail=st.binary(max_size=300),
)
def test_noise_behind_a_good_beginning(head: bytes, tail: bytes) -> None:
    read(head + tail)


# ---- bombs


def peak_of(data: bytes, **options: Any) -> float:
    tracemalloc.start()
    try:
        found = read(data, **options)
        assert not found
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def bomb_v5(size: int) -> bytes:
    shape = struct.pack("<II2i", 5, 8, size // 8, 1)
    body = struct.pack("<4I", 6, 8, 6, 0) + shape + struct.pack("<HH4s", 1, 1, b"x") + struct.pack("<II", 9, size)
    packer = zlib.compressobj(9)
    packed = packer.compress(struct.pack("<II", 14, len(body) + size) + body)
    packed += b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()
    head = b"MATLAB 5.0 MAT-file, a bomb".ljust(124) + b"\x00\x01IM"
    return head + struct.pack("<II", 15, len(packed)) + packed


def test_v5_bomb_is_refused_before_it_inflates() -> None:
    data = bomb_v5(128 * MIB)
    assert len(data) < MIB
    assert [v.shape for v in opened(data).variables] == [(16 * MIB, 1)]
    assert peak_of(data) < 1
    (variable,) = opened(data).variables
    with pytest.raises(RecordError, match=r"would take the decoded size to 128\.0 MiB"):
        variable.load()
    assert open_contents(data, name="x", budget_bytes=200 * MIB).variables[0].load().size == 16 * MIB


def test_v5_bombs_one_by_one_spend_one_budget() -> None:
    data = bomb_v5(48 * MIB)
    packed = zlib.decompress(data[136:]).replace(struct.pack("<HH4s", 1, 1, b"x"), struct.pack("<HH4s", 1, 1, b"y"), 1)
    again = zlib.compress(packed, 9)
    contents = open_contents(data + struct.pack("<II", 15, len(again)) + again, name="x", budget_bytes=64 * MIB)
    one, two = contents.variables
    one.load()
    one.load()  # the same again is free
    with pytest.raises(RecordError, match="decoded size to 96"):
        two.load()


def test_v5_statement_of_more_than_deflate_can_hold() -> None:
    data = bytearray(bomb_v5(MIB))
    inner = zlib.decompress(bytes(data[136:]))
    packed = zlib.compress(struct.pack("<II", 14, 1 << 30) + inner[8:400])
    data[132:] = struct.pack("<I", len(packed)) + packed
    with pytest.raises(RecordError, match="state more than they can hold"):
        opened(bytes(data))


def test_v5_struct_bombs_are_bounded_too() -> None:
    data = written(scipy.io.savemat, {"s": {"a": np.zeros(12 * MIB)}, "x": SIGNAL}, do_compression=True)
    contents = opened(data)
    with pytest.raises(RecordError, match=r"too much in it"):
        next(v for v in contents.variables if v.name == "s.unreadable").load()
    np.testing.assert_array_equal(contents.variables[-1].load(), SIGNAL)


def test_npz_and_npy_bombs() -> None:
    data = written(np.savez_compressed, x=np.zeros(16 * MIB))
    assert len(data) < MIB
    assert peak_of(data) < 1
    liar = written(np.save, SIGNAL).replace(b"(24, 1)", b"(99999999, 1)".ljust(7))
    assert peak_of(liar) < 1


def test_hdf5_bombs() -> None:
    def with_file(**options: Any) -> bytes:
        out = io.BytesIO()
        with h5py.File(out, "w") as file:
            file.create_dataset("x", dtype="f8", **options)
        return out.getvalue()

    for options in (
        {"shape": (1 << 40,), "chunks": (1 << 10,)},
        {"shape": (1 << 20,), "chunks": (1 << 27,), "maxshape": (None,)},
        {"shape": (1 << 20,), "chunks": (1 << 10,)},  # chunks that were never written
        {"shape": (1 << 20,)},
    ):
        (variable,) = opened(with_file(**options)).variables
        with pytest.raises(RecordError):
            variable.load()


def test_default_budget() -> None:
    assert default_budget_bytes(0) == 24 * MIB
    assert default_budget_bytes(3 * MIB) == 36 * MIB
    assert default_budget_bytes(1 << 40) == 256 * MIB


def test_text_keeps_to_its_budget() -> None:
    with pytest.raises(RecordError, match="limit for this file"):
        open_contents(b"1,2\n" * 1000, name="x", budget_bytes=8000)


def test_struct_array_of_no_fields_takes_no_time() -> None:
    part = (
        struct.pack("<4I", 6, 8, 2, 0) + struct.pack("<II2i", 5, 8, 1 << 24, 1 << 24) + struct.pack("<HH4s", 1, 1, b"s")
    )
    part += struct.pack("<HHi", 5, 4, 8) + struct.pack("<II", 1, 0)
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 14, len(part)) + part
    assert [v.name for v in opened(data).variables] == ["s"]


# ---- HDF5 that points elsewhere


def test_hdf5_reads_nothing_from_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = SIGNAL
    (tmp_path / "raw.bin").write_bytes(bytes(192))
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["good"] = SIGNAL
        file["soft"] = h5py.SoftLink("/good")
        file["external"] = h5py.ExternalLink(str(secret), "/x")
        file.create_dataset("raw", (24,), "f8", external=[(str(tmp_path / "raw.bin"), 0, 192)])
        layout = h5py.VirtualLayout((24, 1), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "x", (24, 1))
        file.create_virtual_dataset("virtual", layout)
        file["four"] = np.zeros((2, 2, 2, 2))
        file.create_dataset("lzf", data=SIGNAL, compression="lzf")
        file.create_dataset("scaled", data=np.arange(24), scaleoffset=0)
        file["pairs"] = np.zeros(2, [("a", "f8")])
        file["words"] = "pump"
        file["link"] = file["good"].ref
        file["nothing"] = h5py.Empty("f8")
    found = read(out.getvalue())
    assert list(found) == ["good"]
    np.testing.assert_array_equal(found["good"], SIGNAL)


def test_hdf5_chunk_that_decodes_to_fewer_bytes_is_refused() -> None:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        dataset = file.create_dataset("x", (24,), "f8", chunks=(24,), compression="gzip")
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(80)))
    (variable,) = opened(out.getvalue()).variables
    with pytest.raises(RecordError, match="does not decode to its size"):
        variable.load()


# ---- zip archives


def archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("_", "."), data)
    return out.getvalue()


def test_npz_is_a_zip_of_npy_files_alone() -> None:
    npy_file = SEEDS["npy"]
    assert npy.matches_npz(SEEDS["npz"])
    assert npy.matches_npz(archive(a_npy=npy_file))
    for other in (archive(word_xml=b"<a/>"), archive(a_npy=npy_file, b_csv=b"1"), archive(), npy_file, b"PK\x03\x04"):
        assert not npy.matches_npz(other)
    whole = archive(a_npy=npy_file, b_npy=npy_file)
    for cut in range(60, len(whole)):  # without its directory, the first member says what it was
        assert npy.matches_npz(whole[:cut])
    longer = bytearray(whole)
    at = whole.rfind(b"PK\x05\x06")
    for field, size in ((12, 4), (8, 2), (16, 4)):  # a directory of a size, number or place that is not its own
        longer[at + field : at + field + size] = b"\xff" * size
        npy.matches_npz(bytes(longer))
        assert read(bytes(longer)) == {}


def test_npz_odd_members() -> None:
    data = archive(good_npy=SEEDS["npy"], junk_npy=b"not an array", object_npy=written(np.save, np.array([{}], object)))
    assert list(read(data)) == ["good"]


def npy_of(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize("descr", ["<<f8", ">>i2", "<>f4", "|=u1", "f16", "f8,f8", "<f8\\x00", "", "<V8", "O", "<U0"])
def test_npy_types_that_numpy_does_not_know(descr: str) -> None:
    assert read(npy_of(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}", bytes(8))) == {}


@pytest.mark.parametrize("digits", [25, 60, 5000])
def test_npy_shape_is_parsed_in_no_time(digits: int) -> None:
    start = time.process_time()
    for shape in ("1" * digits + "x", "1 " * (digits // 2) + "x", "1, " * (digits // 3) + "x", " " * digits + "x"):
        assert read(npy_of(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}", bytes(8))) == {}
    assert time.process_time() - start < 1


def test_npz_with_a_wrong_checksum() -> None:
    data = bytearray(archive(x_npy=SEEDS["npy"]))
    at = data.rfind(b"PK\x01\x02") + 16
    data[at] ^= 1
    assert read(bytes(data)) == {}


# ---- foreign


FOREIGN = {
    "empty": (b"", "is empty"),
    "zeros": (bytes(4096), "only zero bytes"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(range(200)), "JPEG"),
    "PDF": (b"%PDF-1.7\n1 2 3\n", "PDF"),
    "ELF": (b"\x7fELF\x02" + bytes(100), "ELF"),
    "zip": (b"PK\x05\x06" + bytes(18), "zip"),
    "pickle": (pickle.dumps(SIGNAL), "pickle"),
    "HTML": (b"<!DOCTYPE html><p>404", "HTML"),
    "JSON": (b' {"a": [1, 2]}', "JSON"),
    "JSON list": (b"[[1, 2],\n[3, 4]]", "JSON"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "gzip"),
    "TDMS": (b"TDSm" + bytes(30), "cut short"),
    "noise": (bytes(RNG.integers(0, 256, 5000, dtype=np.uint8)), "no format"),
    "high noise": (bytes(RNG.integers(128, 256, 5000, dtype=np.uint8)), "neither text"),
    "v5 header alone, cut": (b"MATLAB 5.0 MAT-file, Platform", "incomplete header"),
    "v7.3 cut": (b"MATLAB 7.3 MAT-file, Platform".ljust(512), "cut short"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_files_are_called_by_their_name(what: str) -> None:
    data, message = FOREIGN[what]
    with pytest.raises(RecordError, match=message) as caught:
        opened(data)
    well_said(caught.value)


def test_a_table_may_begin_like_something_else() -> None:
    for name in ("MZ", "ID3", "BZh", "[g]", "MATLAB"):
        (variable,) = opened(name.encode() + b"\n" + b"1.5\n2.5\n" * 40).variables
        assert (variable.name, variable.load().size) == (name, 80)


def test_names_in_messages_are_one_printable_line() -> None:
    with pytest.raises(RecordError) as caught:
        open_contents(b"", name="a\n\u202eb.mat")
    assert str(caught.value).startswith("a\\x0a\\u202eb.mat: is empty;")
