"""Archives of recordings: read member by member, without extracting, bounded, and checked."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from faultdx.errors import ConfigError, RecordError
from faultdx.records import Declared, Item, find_records, read_item, read_record
from faultdx.records import archives as archives_module
from faultdx.records.archives import most_unpacked_bytes, open_archive
from faultdx.records.handles import locate
from faultdx.records.opening import fetch, is_standard_input, read_bytes
from faultdx.records.source import list_archive
from faultdx.records.streams import Gunzip, Held

MIB = 1024 * 1024
RATE = Declared(sampling_rate_hz=1000)
RNG = np.random.default_rng(0)


def csv(seed: int = 0) -> bytes:
    values = np.random.default_rng(seed).normal(size=(60, 2))
    return ("a,b\n" + "".join(f"{a:.5f},{b:.5f}\n" for a, b in values)).encode()


def npy(samples: int, seed: int = 0) -> bytes:
    """A recording as from a 12-bit converter: it shrinks to about a third."""
    target = io.BytesIO()
    np.save(target, np.round(np.random.default_rng(seed).normal(size=samples) * 400) / 2048)
    return target.getvalue()


MEMBERS = {
    "run2/r10.csv": csv(1), "run2/r9.csv": csv(2), "run1/a.mat.csv": csv(3), "README.md": b"# words",
    "run1/p.png": b"x",
    "top.csv": csv(4), ".hidden/x.csv": csv(5), "__MACOSX/run1/a.csv": b"\0\5", "run1/prepared.h5": b"x",
}  # fmt: skip
EXPECTED = ["run1/a.mat.csv", "run2/r9.csv", "run2/r10.csv", "top.csv"]


def as_zip(path: Path, members: Mapping[str, bytes], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", **{"compression": zipfile.ZIP_DEFLATED, **options}) as archive:  # type: ignore[arg-type]
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def stored_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    return as_zip(path, members, compression=zipfile.ZIP_STORED)


class Pipe(io.RawIOBase):
    """A target that cannot seek, so that zipfile writes sizes behind the data."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def streamed_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, data in members.items():
            archive.writestr(name, data)
    path.write_bytes(pipe.data)
    return path


def as_tar(path: Path, members: Mapping[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def as_tgz(path: Path, members: Mapping[str, bytes]) -> Path:
    path.write_bytes(gzip.compress(as_tar(path, members).read_bytes(), 1))
    return path


def gnu_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    return as_tar(path, members, form=tarfile.GNU_FORMAT)


MAKERS: dict[str, Callable[[Path, Mapping[str, bytes]], Path]] = {
    "deflated.zip": as_zip, "stored.zip": stored_zip, "streamed.zip": streamed_zip, "pax.tar": as_tar,
    "gnu.tar": gnu_tar, "spool.tar.gz": as_tgz, "spool.tgz": as_tgz, "no_suffix": as_tgz,
}  # fmt: skip


def inside(path: Path, **options: object) -> list[str]:
    """The members that are found, without the name of the archive."""
    found = [item.path for item in find_records([str(path)], **options)]  # type: ignore[arg-type]
    return [name.removeprefix(f"{path}:") for name in found]


def refusal(path: Path | str) -> str:
    with pytest.raises(RecordError) as caught:
        read_item(Item(str(path), flags=RATE))
    assert caught.value.path == str(path)
    assert str(caught.value).isprintable() and "; " in str(caught.value)
    return str(caught.value)


# What is in an archive


@pytest.mark.parametrize("name", MAKERS)
def test_each_recording_is_an_item_with_the_bytes_of_the_member(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name, MEMBERS)
    before = sorted(tmp_path.rglob("*"))
    items = find_records([str(path)], flags=RATE)
    assert [item.path for item in items] == [f"{path}:{member}" for member in EXPECTED]
    for item, member in zip(items, EXPECTED, strict=True):
        record = read_item(pickle.loads(pickle.dumps(item)))  # items go to worker processes
        assert record.sha256 == hashlib.sha256(MEMBERS[member]).hexdigest()
        assert record.path == item.path and record.signal.shape == (2, 60)
        assert record.details["archive"] == name
        assert read_bytes(item.path) == fetch(item.path).data == MEMBERS[member]
    assert items[0].declared.details["folder"] == "run1" and items[-1].declared.label is None
    assert sorted(tmp_path.rglob("*")) == before  # nothing was written anywhere


def test_a_gzipped_file_is_an_archive_of_one(tmp_path: Path) -> None:
    path = tmp_path / "rec.csv.gz"
    path.write_bytes(gzip.compress(csv()[:500]) + gzip.compress(csv()[500:]) + b"\0" * 1000)  # two streams, padding
    assert inside(path) == ["rec.csv"]
    for name in (f"{path}:rec.csv", str(path)):
        record = read_record(name, sampling_rate_hz=1000)
        assert (record.path, record.sha256) == (name, hashlib.sha256(csv()).hexdigest())
    whole = path.read_bytes()
    for size in (0, 1, 2, 9, 10, 11, 200, 500):
        path.write_bytes(whole[:size])
        assert inside(path) in (["rec.csv"], [str(path)])
        assert size < 3 or "cut short" in refusal(f"{path}:rec.csv")
    path.write_bytes(gzip.compress(csv())[:-8] + b"\1" * 8)
    assert "is damaged: incorrect data check" in refusal(path)


def test_archives_are_told_by_their_bytes_and_documents_are_none(tmp_path: Path) -> None:
    assert inside(as_zip(tmp_path / "x.mat", {"a.csv": csv()})) == ["a.csv"]
    (tmp_path / "text.zip").write_bytes(csv())
    assert inside(tmp_path / "text.zip") == [str(tmp_path / "text.zip")]
    np.savez(tmp_path / "arrays.npz", x=RNG.normal(size=100))
    np.savez(tmp_path / "y", x=RNG.normal(size=100))
    (tmp_path / "y.npz").rename(tmp_path / "arrays")
    as_zip(tmp_path / "sheet.xlsx", {"[Content_Types].xml": b"<x/>", "xl/a.csv": csv()})
    for name in ("arrays.npz", "arrays"):
        assert inside(tmp_path / name) == [str(tmp_path / name)]
        assert read_record(tmp_path / name, sampling_rate_hz=1000).format == "npz"
    assert inside(tmp_path / "sheet.xlsx") == [str(tmp_path / "sheet.xlsx")]
    # a folder of arrays that somebody packed; and an .npz as a member
    path = as_zip(tmp_path / "arrays.zip", {"a.npy": npy(50), "b.npy": npy(60)})
    assert inside(path) == ["a.npy", "b.npy"]
    path = as_zip(tmp_path / "s.zip", {"a.npz": (tmp_path / "arrays.npz").read_bytes()})
    assert read_record(f"{path}:a.npz", sampling_rate_hz=1000).format == "npz"


def test_archives_are_found_where_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = tmp_path / "spool"
    a = as_zip(spool / "a.zip", {"x10.csv": csv(1), "x9.csv": csv(2)})
    b = as_tgz(spool / "deep" / "b.tgz", {"y.csv": csv(3)})
    (spool / "c.csv.gz").write_bytes(gzip.compress(csv(4)))
    as_zip(spool / "pictures.zip", {"p.png": b"x", "README": b"x"})
    wanted = [f"{a}:x9.csv", f"{a}:x10.csv", f"{spool}/c.csv.gz:c.csv", f"{b}:y.csv"]
    assert [i.path for i in find_records([str(spool)])] == wanted
    assert [i.path for i in find_records([f"{spool}/*.zip"])] == [*wanted[:2]]
    (tmp_path / "t.csv").write_text(
        "path,label,rpm\nspool/a.zip,ball,5\nspool/a.zip:x9.csv,inner,6\nspool/c.csv.gz,,7\n"
    )
    for items in (find_records([str(tmp_path / "t.csv")]), find_records([], table=str(tmp_path / "t.csv"))):
        told = [(i.path, i.declared.label, i.declared.rpm) for i in items]
        assert told == [(wanted[1], "ball", 5), (wanted[0], "inner", 6), (wanted[2], None, 7)]
    items = find_records([str(spool)], table=str(tmp_path / "t.csv"))
    assert [(i.path, i.declared.rpm) for i in items] == [
        (w, rpm) for w, rpm in zip(wanted, (6, 5, 7, None), strict=True)
    ]
    for data, names in ((a.read_bytes(), ["-:x9.csv", "-:x10.csv"]), (gzip.compress(csv()), ["-:data"])):
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(data)})())
        items = find_records(["-"], flags=RATE)
        assert [item.path for item in items] == names and all(is_standard_input(n) for n in names)
        assert read_item(items[-1]).signal.shape == read_item(items[0]).signal.shape == (2, 60)
        if len(names) > 1:
            with pytest.raises(
                RecordError, match=r"standard input: is an archive \(zip\) of 2 files; name one of -:x10"
            ):
                read_record("-")
    assert not is_standard_input(str(a))


def test_class_folders_inside_label_as_on_the_disk(tmp_path: Path) -> None:
    def labels(path: Path) -> list[str | None]:
        return [item.declared.label for item in find_records([str(path)])]

    classes = {"normal/1.csv": csv(), "ball/1.csv": csv(), "ball/2.csv": csv()}
    assert labels(as_zip(tmp_path / "a.zip", classes)) == ["ball", "ball", "normal"]
    wrapped = as_zip(tmp_path / "b.zip", {f"./rig/{k}": v for k, v in classes.items()} | {"rig/stray.csv": csv()})
    assert labels(wrapped) == ["ball", "ball", "normal", None]
    assert labels(as_zip(tmp_path / "c.zip", {"ball/1.csv": csv()})) == [None]
    assert labels(as_zip(tmp_path / "d.zip", {"1/ball/1.csv": csv(), "2/normal/1.csv": csv()})) == [None, None]
    record = read_item(find_records([str(wrapped)], flags=RATE)[0])
    assert (record.label, record.known_from["label"]) == ("ball", "folder name")
    # archives in class folders, and classes that are spread over archives, are as if they were unpacked there
    as_zip(tmp_path / "e" / "normal" / "x.zip", {"1.csv": csv()})
    as_zip(tmp_path / "e" / "ball" / "y.zip", {"1.csv": csv()})
    assert labels(tmp_path / "e") == ["ball", "normal"]
    as_zip(tmp_path / "f" / "x.zip", {"normal/1.csv": csv()})
    as_zip(tmp_path / "f" / "y.zip", {"ball/1.csv": csv(), "normal/1.csv": csv()})
    assert labels(tmp_path / "f") == ["normal", "ball", "normal"]
    (tmp_path / "t.csv").write_text("path,rpm\na.zip,5\n")
    declared = [item.declared for item in find_records([str(tmp_path / "t.csv")])]
    assert (declared[0].label, declared[0].rpm, declared[0].said_by) == ("ball", 5, "t.csv line 2, folder name")


def test_a_table_inside_speaks_for_its_folder(tmp_path: Path) -> None:
    table = b"path,label,scale,channel\nr9.csv,ball,2,a\n../top.csv,normal,,\n/etc/passwd,x,,\n../../up.csv,y,,\n"
    path = as_zip(tmp_path / "a.zip", {**MEMBERS, "run2/records.csv": table})
    (tmp_path / "up.csv").write_bytes(csv())
    items = find_records([str(path)], flags=RATE)
    assert [item.path.removeprefix(f"{path}:") for item in items] == [
        "run1/a.mat.csv", "run2/r9.csv", "top.csv", "etc/passwd", "../up.csv", "top.csv",
    ]  # fmt: skip
    record = read_item(items[1])
    assert (record.label, record.channels, record.known_from["scale"]) == ("ball", ("a",), "records.csv line 2")
    np.testing.assert_array_equal(record.signal, 2 * read_record(f"{path}:run2/r9.csv", sampling_rate_hz=1).signal[:1])
    for item in items[3:5]:
        assert "no member" in refusal(item.path)
    outer = as_zip(tmp_path / "o.zip", {**MEMBERS, "run2/records.csv": table, "records.csv": b"path\nrun2/r10.csv\n"})
    assert inside(outer) == ["run2/r10.csv"]
    bad = as_zip(tmp_path / "b.zip", {"a.csv": csv(), "records.csv": b"file,label\na.csv,ball\n"})
    with pytest.raises(ConfigError, match=r"b.zip:records.csv: no column path .*: rename file to path"):
        find_records([str(bad)])
    (tmp_path / "t.csv").write_text("path,rpm\na.zip,5\n")
    told = {i.path.rpartition(":")[2]: i.declared for i in find_records([str(tmp_path / "t.csv")])}
    assert (told["run2/r9.csv"].label, told["run2/r9.csv"].rpm) == ("ball", 5)


# FILE:INSIDE


def test_what_is_inside_is_named_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", one=RNG.normal(size=100), two=RNG.normal(size=200))
    as_zip(
        Path("a.zip"), {"b.npz": Path("x.npz").read_bytes(), "10:30.csv": csv(1), "d/1.csv": csv(2), "d/e/2.csv": csv()}
    )
    assert read_record("x.npz:two", sampling_rate_hz=1000).signal.shape == (1, 200)
    assert read_record("x.npz:one", sampling_rate_hz=1000, variable="two").signal.shape == (1, 100)
    assert read_record("a.zip:b.npz:two", sampling_rate_hz=1000).path == "a.zip:b.npz:two"
    assert read_record("a.zip:10:30.csv", sampling_rate_hz=1000).sha256 == hashlib.sha256(csv(1)).hexdigest()
    assert read_record("a.zip:10:30.csv:b", sampling_rate_hz=1000).channels == ("b",)
    assert [i.path for i in find_records(["a.zip:b.npz:one", "x.npz:two"])] == ["a.zip:b.npz:one", "x.npz:two"]
    assert [i.path for i in find_records(["a.zip:d"])] == ["a.zip:d/1.csv", "a.zip:d/e/2.csv"]
    assert [i.path for i in find_records(["a.zip:d/*.csv"])] == ["a.zip:d/1.csv"]
    assert "no variable three" in refusal("x.npz:three") and "no variable three" in refusal("a.zip:b.npz:three")
    assert "a.zip: no member z; name one of a.zip:b.npz, a.zip:10:30.csv" in refusal("a.zip:z")
    assert "several variables" in refusal("x.npz")
    # a file of exactly this name is this file
    Path("a.zip:d").write_bytes(csv(7))
    assert locate("a.zip:d").inside is None
    assert read_record("a.zip:d", sampling_rate_hz=1000).sha256 == hashlib.sha256(csv(7)).hexdigest()
    Path("c:x.csv").write_bytes(csv(8))
    assert locate("c:x.csv:b").file == "c:x.csv"
    Path("C").write_bytes(csv())
    for name in ("C:\\spool\\a.mat", "C:/spool/a.mat", "https://host/a.mat", "nowhere.zip:a", "d:x", ":x"):
        Path("d").mkdir(exist_ok=True)
        assert "no such file" in refusal(name)


def test_a_dataset_may_be_named_as_a_path(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["run/a"], file["run/b"] = RNG.normal(size=100), RNG.normal(size=200)
    for name in ("x.h5:run/b", "x.h5:/run/b", "x.h5:run.b"):
        assert read_record(tmp_path / name, sampling_rate_hz=1000).signal.shape == (1, 200)
    path = as_zip(tmp_path / "a.zip", {"x.h5": (tmp_path / "x.h5").read_bytes()})
    assert read_record(f"{path}:x.h5:run/b", sampling_rate_hz=1000).signal.shape == (1, 200)


# What is hostile, odd, or broken


def test_members_that_are_no_plain_files_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    kinds = {
        "link.csv": (tarfile.SYMTYPE, "is a link"), "hard.csv": (tarfile.LNKTYPE, "is a link"),
        "null.csv": (tarfile.CHRTYPE, "is a device"), "disk.csv": (tarfile.BLKTYPE, "is a device"),
        "pipe.csv": (tarfile.FIFOTYPE, "is a FIFO"), "cont.csv": (tarfile.CONTTYPE, ""),
        "odd.csv": (b"Q", "is of an unknown kind"), "holes.csv": (tarfile.GNUTYPE_SPARSE, "is stored with holes"),
    }  # fmt: skip
    with tarfile.open(path, "w") as archive:
        for name, (kind, _) in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            if kind in (tarfile.CONTTYPE, b"Q"):
                info.size = len(csv())
            archive.addfile(info, io.BytesIO(csv()) if info.size else None)
        archive.addfile(tarfile.TarInfo("folder.csv/"))
        info = tarfile.TarInfo("good.csv")
        info.size = len(csv())
        archive.addfile(info, io.BytesIO(csv()))
    assert set(inside(path)) == {*kinds, "good.csv"}
    for name, (_, cause) in kinds.items():
        if cause:
            assert f"{path}:{name}: {cause}" in refusal(f"{path}:{name}")
    for name in ("good.csv", "cont.csv"):
        assert read_bytes(f"{path}:{name}") == csv()

    zipped = tmp_path / "a.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        link = zipfile.ZipInfo("link.csv")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        for method, name in (
            (zipfile.ZIP_BZIP2, "b.csv"),
            (zipfile.ZIP_LZMA, "l.csv"),
            (zipfile.ZIP_STORED, "good.csv"),
        ):
            archive.writestr(name, csv(), compress_type=method)
        archive.writestr("secret.csv", csv())
        archive.writestr("inner.zip", b"x")
        archive.writestr("inner.csv", gzip.compress(b"x" * 100))
        archive.writestr("empty.csv", b"")
    data = bytearray(zipped.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):  # the flag of an encrypted member
        place = -1
        while (place := data.find(mark, place + 1)) >= 0:
            if data.startswith(b"secret.csv", place + (46 if offset == 8 else 30)):
                data[place + offset] |= 1
    zipped.write_bytes(data)
    for name, cause in (
        ("link.csv", "is a link"), ("b.csv", "with bzip2"), ("l.csv", "with LZMA"), ("secret.csv", "is encrypted"),
        ("inner.zip", "is an archive inside an archive; unpack it first"),
        ("inner.csv", "is an archive inside an archive; unpack it first"), ("empty.csv", "is empty"),
    ):  # fmt: skip
        assert name in inside(zipped) and cause in refusal(f"{zipped}:{name}")
    assert read_bytes(f"{zipped}:good.csv") == csv()


@pytest.mark.parametrize("make", [as_zip, as_tgz, gnu_tar])
def test_names_lead_nowhere(tmp_path: Path, make: Callable[[Path, Mapping[str, bytes]], Path]) -> None:
    members = {
        "../../up.csv": csv(1), "/etc/shadow.csv": csv(2), "new\nline\x1b[31m.csv": csv(3), "a//./b.csv": csv(4),
        "x" * 300 + "/y.csv": csv(5), "\u202egnp.csv": csv(6), "9" * 5000 + ".csv": csv(7), "ü.csv": csv(8),
        "=1+1.csv": csv(9),
    }  # fmt: skip
    path = make(tmp_path / "in" / "a", members)
    items = find_records([str(path)], flags=RATE)
    assert {read_item(item).sha256 for item in items} == {hashlib.sha256(m).hexdigest() for m in members.values()}
    names = {item.path.removeprefix(f"{path}:") for item in items}
    assert {"../../up.csv", "etc/shadow.csv", "a/b.csv"} <= names
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "a"]
    with pytest.raises(RecordError) as caught:
        read_item(Item(f"{path}:new\nline\x1b[31m.csv"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_as_tarfile_reads_it(tmp_path: Path, form: int) -> None:
    long = "/".join("n" * 60 for _ in range(3))
    members = {f"{long}/{i}.csv": csv(i)[: 100 + 137 * i] for i in range(4)} | {"\udcff.csv": csv(9)}
    path = as_tar(tmp_path / "a.tar", members, form=form)
    with tarfile.open(path) as archive:
        expected = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]
    archive_ = open_archive(str(path))
    assert archive_ is not None and {m.name: archive_.read(m) for m in archive_.members} == expected == members


def test_odd_headers_of_tar(tmp_path: Path) -> None:
    def changed(place: int, text: bytes, block: bytes) -> bytes:
        block = block[:place] + text + block[place + len(text) :]
        total = sum(block[:148]) + 256 + sum(block[156:512])
        return block[:148] + b"%06o\0 " % total + block[156:]

    whole = as_tar(tmp_path / "a.tar", {"a.csv": csv(), "b.csv": csv(1)}, form=tarfile.GNU_FORMAT).read_bytes()
    path = tmp_path / "b.tar"
    path.write_bytes(changed(124, b"\x80" + len(csv()).to_bytes(11, "big"), whole[:512]) + whole[512:])
    assert read_bytes(f"{path}:a.csv") == csv()  # a size in base 256
    for text in (b"\x80" + b"\xff" * 11, b"\xff" * 12, b"99999999999\0", b"-0000000001\0"):  # huge, negative, none
        path.write_bytes(changed(124, text, whole[:512]) + whole[512:])
        assert inside(path) == [str(path)]
        assert "cut short" in refusal(path) or "is damaged" in refusal(path)
    info = tarfile.TarInfo("GNUSparseFile.1/h.csv")
    info.size, info.pax_headers = len(csv()), {"GNU.sparse.major": "1", "GNU.sparse.name": "h.csv"}
    with tarfile.open(path, "w") as archive:
        archive.addfile(info, io.BytesIO(csv()))
    assert "h.csv: is stored with holes" in refusal(f"{path}:h.csv")
    for remark in (b"99 path=x\n", b"x path=y\n", b"0 a=b\n", b"12 size=-10\n", b"30 size=" + b"9" * 21 + b"\n"):
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("x")
            info.type, info.size = tarfile.XHDTYPE, len(remark)
            archive.addfile(info, io.BytesIO(remark))
        path.write_bytes(path.read_bytes().rstrip(b"\0").ljust(1024, b"\0") + whole)
        assert "is damaged: a" in refusal(path)


def test_names_of_other_systems(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", {"run1_a.csv": csv(1), "caf\u00e9.csv": csv(2)})
    data = path.read_bytes().replace(b"run1_a.csv", b"run1\\a.csv")
    data = data.replace("caf\u00e9.csv".encode(), b"caf\x82x.csv")  # the DOS code page
    data = bytearray(data)
    place = -1
    while (place := data.find(b"PK\x01\x02", place + 1)) >= 0:
        data[place + 5] = 0  # made on MS-DOS
        data[place + 9] &= ~8  # not said to be UTF-8
    path.write_bytes(data)
    assert inside(path) == ["caf\u00e9x.csv", "run1/a.csv"]
    assert read_bytes(f"{path}:run1/a.csv") == csv(1)


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    for path, add in ((tmp_path / "a.zip", "zip"), (tmp_path / "a.tar", "tar")):
        if add == "zip":
            with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
                for name in ("x.csv", "x.csv", "y.csv"):
                    archive.writestr(name, csv())
        else:
            as_tar(path, {"x.csv": csv(1), "./x.csv": csv(2), "y.csv": csv(3)})
        assert inside(path) == ["x.csv", "y.csv"]
        assert "stands 2 times in the archive" in refusal(f"{path}:x.csv")
        read_bytes(f"{path}:y.csv")


@pytest.mark.parametrize("name", [n for n in MAKERS if n != "no_suffix"])
def test_truncation_at_every_byte(tmp_path: Path, name: str) -> None:
    """What is whole is given, what is not is an error, and nothing else ever happens."""
    small = {"a.csv": csv(1)[:300], "b/c.csv": csv(2)[:200], "d.csv": csv(3)[:100]}
    whole = MAKERS[name](tmp_path / name, small).read_bytes()
    path, most = tmp_path / ("cut" + "".join(Path(name).suffixes)), 0
    end = len(whole) if "tar" not in name or name.endswith("gz") else -(-len(whole.rstrip(b"\0")) // 512 + 1) * 512
    steps = range(0, len(whole), 1 if len(whole) < 3000 else 61)
    for size in steps:
        path.write_bytes(whole[:size])
        good, errors, raw = 0, 0, 0
        for item in find_records([str(path)], flags=RATE):
            try:
                member = item.path.removeprefix(f"{path}:")
                assert fetch(item.path).data == small.get(member, whole[:size])
                good, raw = good + (member in small), raw + (member == str(path))
            except RecordError as error:
                errors += 1
                assert str(error).isprintable()
        assert errors or raw or (good == 3 and size >= end)
        assert good >= most or size < 600  # what was whole stays whole
        most = max(most, good)
        if most and size > 600 and size < end:
            assert "cut short" in refusal(path)
    # Behind gzip the last is believed only where the checksum is there, which a flipped bit may hide.
    assert most == (2 if name.endswith("gz") else 3)


@pytest.mark.parametrize("name", ["deflated.zip", "stored.zip", "spool.tgz", "gnu.tar"])
def test_a_flipped_bit_is_an_error_or_nothing(tmp_path: Path, name: str) -> None:
    members = {"a.csv": csv(1), "b.csv": csv(2)}
    whole = MAKERS[name](tmp_path / name, members).read_bytes()
    path, seen = tmp_path / f"bad_{name}", set()
    chosen = random.Random(0).sample(range(len(whole)), 300)
    for place in chosen:
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        for item in find_records([str(path)], flags=RATE):
            try:
                got = fetch(item.path).data
            except RecordError as error:
                seen.add(str(error).rpartition(": ")[2])
                continue
            # a plain tar has no checksum of the data; everywhere else what comes out is what went in
            assert name == "gnu.tar" or got in members.values() or item.path == str(path)
    assert seen


def test_bombs_are_refused_by_size(tmp_path: Path) -> None:
    zeros = bytes(40 * MIB)
    for make, name in ((as_zip, "a.zip"), (as_tgz, "a.tgz")):
        path = make(tmp_path / name, {"big.csv": zeros, "good.csv": csv()})
        limit = most_unpacked_bytes(path.stat().st_size)
        assert 24 * MIB < limit < 26 * MIB
        tracemalloc.start()
        assert f"is larger than {limit // MIB} MiB unpacked; unpack it first" in refusal(f"{path}:big.csv")
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        tracemalloc.stop()
        assert read_bytes(f"{path}:good.csv") == csv()
    path = tmp_path / "b.csv.gz"
    path.write_bytes(gzip.compress(zeros))
    assert "is larger than 24 MiB unpacked" in refusal(path)
    # more in all than any archive of recordings of this size
    for make, name in ((as_zip, "c.zip"), (as_tgz, "c.tgz")):
        path = make(tmp_path / name, {f"{i}.csv": zeros for i in range(3)})
        assert inside(path) == [str(path)] and "too much for its size" in refusal(path)
    # a size that lies: the data are stopped at what is stated
    path = as_zip(tmp_path / "d.zip", {"x.csv": zeros})
    data = path.read_bytes().replace(struct.pack("<I", len(zeros)), struct.pack("<I", 1000))
    path.write_bytes(data)
    assert "more than the 1000 bytes that are stated are there" in refusal(f"{path}:x.csv")


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", {"a.csv": csv(1), "b.csv": csv(2)})
    data = bytearray(path.read_bytes())
    second = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 10)
    path.write_bytes(data)
    assert "its members share their bytes" in refusal(path)


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faultdx.records import tars, zips

    for module in (tars, zips):
        monkeypatch.setattr(module, "MOST_MEMBERS", 50)
    for make in (as_zip, as_tgz, streamed_zip):
        path = make(tmp_path / "a", {f"{i}.csv": b"1\n" for i in range(50)})
        assert len(inside(path)) == 50
        path = make(tmp_path / "b", {f"{i}.csv": b"1\n" for i in range(51)})
        assert "has more than 50 members" in refusal(path)


def test_a_directory_that_lies(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", {"a.csv": csv(1), "b.csv": csv(2)})
    whole = path.read_bytes()
    end = whole.rfind(b"PK\x05\x06")
    for count in (0xFFFE, 3):
        path.write_bytes(whole[: end + 8] + struct.pack("<HH", count, count) + whole[end + 12 :])
        assert (
            "more than 10000 members" in refusal(path)
            if count > 3
            else "lists 3 members and ends after 2" in refusal(path)
        )
    for offset, value in ((12, 1 << 30), (16, 1 << 31), (4, 1)):
        path.write_bytes(whole[: end + offset] + struct.pack("<I", value) + whole[end + offset + 4 :])
        refusal(path)
    path.write_bytes(whole.replace(struct.pack("<I", zlib.crc32(csv(1))), b"\1\2\3\4"))
    assert "checksum (CRC-32) does not match" in refusal(f"{path}:a.csv")
    assert read_bytes(f"{path}:b.csv") == csv(2)


def test_zip64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    path = as_zip(tmp_path / "a.zip", MEMBERS)
    assert b"PK\x06\x06" in path.read_bytes()
    assert inside(path) == EXPECTED and read_bytes(f"{path}:top.csv") == MEMBERS["top.csv"]
    path.write_bytes(path.read_bytes()[:-22])
    assert inside(path) == [*EXPECTED, str(path)] and read_bytes(f"{path}:top.csv") == MEMBERS["top.csv"]


def test_an_archive_that_grows_is_noticed(tmp_path: Path) -> None:
    path = as_tar(tmp_path / "a.tar", {"a.csv": csv(1)})
    (item,) = find_records([str(path)], flags=RATE)
    assert read_item(item).signal.size
    as_tar(path, {"a.csv": csv(2), "b.csv": csv(3)})
    assert read_bytes(item.path) == csv(2) and len(inside(path)) == 2
    archive = open_archive(str(path))
    assert archive is not None
    with path.open("ab") as stream:
        stream.write(b"\0" * 512)
    with pytest.raises(RecordError, match="changed while it was read"):
        archive.read(archive.members[0])
    path.unlink()
    os.mkfifo(path)
    started = time.monotonic()
    assert "is a FIFO" in refusal(item.path) and time.monotonic() - started < 1
    path.unlink()
    assert "no such file" in refusal(item.path)


# What it costs


def test_gunzip_goes_anywhere_as_gzip_does() -> None:
    rng = random.Random(0)
    plain = RNG.normal(size=2_000_000).round(2).tobytes() + bytes(3 * MIB) + RNG.bytes(2 * MIB)
    packed = gzip.compress(plain[: 7 * MIB], 1) + gzip.compress(plain[7 * MIB :], 1)
    stream = Gunzip(Held(packed), limit=len(plain))
    for _ in range(60):
        place, count = rng.randrange(len(plain)), rng.randrange(200_000)
        stream.go(place)
        assert stream.read(count) == plain[place : place + count]
    stream.finish()
    assert stream.read(1) == b""


def test_random_order_does_not_inflate_all_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members in the order of the disk are read in natural order; the work is about that of reading them once."""
    names = [f"r{i}.npy" for i in range(40)]
    random.Random(1).shuffle(names)
    path = as_tgz(tmp_path / "a.tar.gz", {name: npy(60_000, seed=i) for i, name in enumerate(names)})
    items = find_records([str(path)], flags=RATE)
    assert len(items) == 40
    out = 0
    some = Gunzip._some

    def counted(self: Gunzip, most: int) -> bytes:
        nonlocal out
        piece = some(self, most)
        out += len(piece)
        return piece

    monkeypatch.setattr(Gunzip, "_some", counted)
    for item in items:
        assert read_item(item).signal.shape == (1, 60_000)
    assert out < 4 * 40 * 480_000  # to start anew each time would be 20 x


def test_a_worker_opens_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_tgz(tmp_path / "a.tgz", {f"{i}.csv": csv(i) for i in range(20)})
    monkeypatch.setattr(archives_module, "_last", None)
    times = 0
    indexed = archives_module._indexed

    def counted(*args: object) -> object:
        nonlocal times
        times += 1
        return indexed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(archives_module, "_indexed", counted)
    for item in find_records([str(path)], flags=RATE) * 2:
        read_item(item)
    assert times == 1


def test_memory_is_flat(tmp_path: Path) -> None:
    path = as_tgz(tmp_path / "a.tgz", {f"{i}.npy": npy(130_000, seed=i) for i in range(30)})
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from faultdx.records import Declared, find_records, read_item\n"
        # not getrusage: its peak may be that of the process which started this one
        "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024\n"
        "before = peak()\n"
        "for _ in range(2):\n"
        "    for item in find_records([sys.argv[1]], flags=Declared(sampling_rate_hz=1000)): read_item(item)\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 16  # MiB; the members are 30 MiB together


def test_what_a_bomb_inside_a_member_may_take_is_bounded_by_the_archive(tmp_path: Path) -> None:
    """A member may itself be compressed, and bytes become float32: both count, a thousand times over."""
    target = io.BytesIO()
    np.savez_compressed(target, x=np.ones(56 * MIB, np.uint8))
    path = as_zip(tmp_path / "a.zip", {"x.npz": target.getvalue()})
    assert "to 56.0 MiB and the limit for this file is" in refusal(f"{path}:x.npz")
    counts = np.zeros(20 * MIB, np.int8)
    counts[::1000] = 1
    target = io.BytesIO()
    np.save(target, counts)
    path = as_zip(tmp_path / "b.zip", {"x.npy": target.getvalue()})
    assert "its 20971520 samples would take too much memory for the size of the archive" in refusal(f"{path}:x.npy")


# For the eyes


def test_listing(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", MEMBERS)
    listing = list_archive(str(path))
    assert listing is not None and (listing.kind, listing.size_bytes) == ("zip", path.stat().st_size)
    assert {m.name: m.size_bytes for m in listing.members} == {k: len(v) for k, v in MEMBERS.items()}
    assert [m.name for m in listing.members][-3:] == ["run2/r9.csv", "run2/r10.csv", "top.csv"]
    (tmp_path / "b.csv").write_bytes(csv())
    assert list_archive(str(tmp_path / "b.csv")) is None
    with pytest.raises(RecordError, match="no such file"):
        list_archive(str(tmp_path / "none.zip"))
    assert f"is an archive (zip) of {len(MEMBERS)} files; name one of {path}:run2/r10.csv, " in refusal(path)
    empty = as_zip(tmp_path / "e.zip", {"folder/": b""})
    assert "an archive without a recording" in refusal(empty)


@pytest.mark.real_data
def test_real_recordings_are_known_in_an_archive(real_data: Path, tmp_path: Path) -> None:
    names = ("97", "105", "118")
    files = {f"{name}.mat": (real_data / "cwru" / f"{name}.mat").read_bytes() for name in names}
    path = as_tgz(tmp_path / "a.tgz", files)
    for name, item in zip(names, find_records([str(path)]), strict=True):
        record, alone = read_item(item), read_record(real_data / "cwru" / f"{name}.mat")
        assert (record.label, record.sha256, record.sampling_rate_hz) == (
            alone.label, alone.sha256, alone.sampling_rate_hz,
        )  # fmt: skip
        np.testing.assert_array_equal(record.signal, alone.signal)


def test_a_gzip_file_whose_name_is_all_dots(tmp_path: Path) -> None:
    (tmp_path / "..gz").write_bytes(gzip.compress(b"a\n" + b"\n".join(b"%d" % (i * i % 97) for i in range(50))))
    (item,) = find_records([str(tmp_path / "..gz")], flags=Declared(sampling_rate_hz=100.0))
    assert read_item(item).signal.shape == (1, 50)
    assert read_record(f"{tmp_path}/..gz:a", sampling_rate_hz=100.0).signal.shape == (1, 50)
