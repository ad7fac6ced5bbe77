"""What is no recording at all, archives of recordings, and Parquet tables."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import matfiles as mat
import numpy as np
from corpus_base import Made, bad, either, flipped, good, signal
from corpus_numpy import npz_file, saved, stored_as_deflated
from corpus_tables import lines, wav_file


def foreign(rng: np.random.Generator, *, outside: Path) -> Iterator[Made]:
    noise, high = rng.bytes(5000), bytes(rng.integers(128, 256, 5000, dtype=np.uint8))
    html = b"<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>\n"
    office = npz_file([("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")])
    files: dict[str, bytes] = {
        "empty": b"", "zero": b"\0", "zeros": bytes(4096), "ones": b"\xff" * 4096, "noise": noise, "noise_high": high,
        "space": b" ", "newline": b"\n", "digit": b"7", "letter": b"a",
        "html": html, "html_upper": html.upper(), "html_space": b"\n\n  " + html, "html_bom": b"\xef\xbb\xbf" + html,
        "xml": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file://%s">]><x>&e;</x>'
        % bytes(outside / "canary.txt"),
        "laughs": b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "' + b"&a;" * 999 + b'">]><l>&b;</l>',
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "json": json.dumps({"x": [1.5] * 400}).encode(), "json_list": json.dumps([[1, 2]] * 400).encode(),
        "json_deep": b"[" * 100_000, "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        "ps": b"%!PS-Adobe-3.0\nshowpage\n",
        "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + noise, "png": b"\x89PNG\r\n\x1a\n" + noise, "gif": b"GIF89a" + noise,
        "tiff": b"II*\0" + noise, "bmp": b"BM" + noise, "mp3": b"ID3\x04\0" + noise, "ogg": b"OggS\0" + noise,
        "flac": b"fLaC\0" + noise, "mp4": b"\0\0\0\x18ftypmp42" + noise, "elf": b"\x7fELF\x02\x01\x01" + noise,
        "exe": b"MZ\x90\0" + noise, "class": b"\xca\xfe\xba\xbe" + noise, "pyc": b"\xa7\r\r\n" + noise,
        "bz2": bz2.compress(noise), "xz": lzma.compress(noise), "7z": b"7z\xbc\xaf\x27\x1c" + noise,
        "rar": b"Rar!\x1a\x07" + noise,
        "zstd": b"\x28\xb5\x2f\xfd" + noise, "lz4": b"\x04\x22\x4d\x18" + noise, "xlsx": office,
        "doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + noise,
        "sqlite": database(), "arrow": b"ARROW1\0\0" + noise, "orc": b"ORC" + noise, "avro": b"Obj\x01" + noise,
        "tdms": b"TDSm" + noise, "uff": b"    -1\n    58\n" + b"x" * 80 + b"\n", "script": b"#!/bin/sh\nrm -rf /\n",
        "pickle": pickle.dumps(np.arange(400.0)), "torch": b"PK\x03\x04" + noise,
        "git_lfs": b"version https://git-lfs.github.com/spec/v1\n",
        "base64": b"AAAA" * 800, "yaml": b"a: 1\nb: 2\n" * 50, "toml": b"[a]\nb = 1\n" * 50, "ini": b"[a]\nb=1\n",
        "email": b"From: a@b\nTo: c@d\nSubject: 1\n\nhello\n", "diff": b"--- a\n+++ b\n@@ -1 +1 @@\n-1\n+2\n",
        "words_16": "the pump is fine\n".encode("utf-16") * 3, "mat_words": b"MATLAB 5.0 MAT-file",
        "mat_header": b"MATLAB 5.0 MAT-file".ljust(128),
        "gzip_noise": b"\x1f\x8b\x08" + noise, "zip_end": b"PK\x05\x06" + bytes(18),
    }  # fmt: skip
    for name, data in files.items():
        # "a: 1" line after line is a table of words and numbers, if not one of vibration.
        make = either if name == "yaml" else bad
        yield make(f"{name}.mat", data, what=f"{name}, called .mat")
    for i in range(6):
        yield bad(f"noise_{i}.csv", rng.bytes(300 + 200 * i), "noise, called .csv")
    # The suffix says one thing, the bytes another: the bytes are believed.
    s = signal(rng)
    yield good("text.mat", lines(s).encode(), s, "a table that is called .mat")
    yield good("wav.csv", wav_file(s.astype("<f4").tobytes(), code=3, bits=32), s, "a WAV that is called .csv")
    yield good("npy.wav", saved(s[0]), s, "an .npy that is called .wav")
    yield good("mat.txt", mat.mat5(mat.numeric("x", s[0])), s, "a MATLAB file that is called .txt")
    yield good("npz.mat", npz_file([("x.npy", saved(s[0]))]), s, "an .npz that is called .mat")


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table x (a real)")
    connection.commit()
    return connection.serialize()


def zip_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    return npz_file(members, method=method)


def tar_of(members: Sequence[tuple[str | tarfile.TarInfo, bytes]], *, mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            about = tarfile.TarInfo(name) if isinstance(name, str) else name
            about.size = len(data) if about.isreg() else about.size
            archive.addfile(about, io.BytesIO(data))
    return out.getvalue()


def archives(rng: np.random.Generator) -> Iterator[Made]:
    """Archives: what a reading of their one recording must give, where it is read."""
    s = signal(rng)
    one, table = mat.mat5(mat.numeric("x", s[0])), lines(s).encode()
    yield good("one.zip", zip_of(("a.mat", one)), s)
    yield good("stored.zip", zip_of(("a.mat", one), method=zipfile.ZIP_STORED), s)
    yield good("one.tar.gz", tar_of([("a.mat", one)]), s)
    yield good("one.tar", tar_of([("a.mat", one)], mode="w"), s)
    yield good("folder.zip", zip_of(("run/", b""), ("run/a.csv", table)), s)
    yield good("rec.csv.gz", gzip.compress(table), s, "one file, packed by gzip")
    yield either("parent.zip", zip_of(("../../a.mat", one)), s)
    yield either("absolute.zip", zip_of(("/etc/a.mat", one)), s)
    yield either("absolute.tar.gz", tar_of([("/etc/a.mat", one)]), s)
    yield either("odd_name.zip", zip_of(("\x1b[31m\n.mat", one)), s)
    for method, name in ((zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "lzma")):
        yield either(f"{name}.zip", zip_of(("a.mat", one), method=method), s)
    for name, kind, target in (
        ("symlink", tarfile.SYMTYPE, "/etc/passwd"), ("hard_link", tarfile.LNKTYPE, "../outside/canary.bin"),
        ("fifo", tarfile.FIFOTYPE, ""), ("device", tarfile.CHRTYPE, ""), ("folder", tarfile.DIRTYPE, ""),
    ):  # fmt: skip
        about = tarfile.TarInfo("a.mat")
        about.type, about.linkname = kind, target
        yield bad(f"{name}.tar.gz", tar_of([(about, b"")]), f"a {name} for a recording")
    size = 1 << 30
    body = mat.zeros_packed(b"", size)[2:-4]
    yield bad("bomb.zip", stored_as_deflated("a.csv", body, size, 0), "a GiB of zeros")
    yield bad("bomb_secret.zip", stored_as_deflated("a.csv", body, 5000, 0), "5000 bytes, and a GiB behind them")
    yield bad("bomb.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + body + struct.pack("<II", 0, size), "a GiB of zeros")
    tar_head = tar_of([("a.mat", one)], mode="w")[:512]
    packer = zlib.compressobj(9, wbits=31)
    yield bad(
        "bomb.tar.gz",
        packer.compress(lying_tar(tar_head, 1 << 33)) + packer.flush(),
        "a member of 8 GiB that is not there",
    )
    yield bad("nested.zip", zip_of(("b.zip", zip_of(("a.mat", one)))), "an archive in an archive")
    yield bad("empty.zip", zip_of(), "no member")
    yield bad("empty.tar.gz", tar_of([]), "no member")
    yield bad("zeros.tar", bytes(10240), "no member")
    yield bad("nothing.gz", gzip.compress(b""))
    yield bad("pictures.zip", zip_of(("a.png", b"\x89PNG"), ("readme.txt", b"hello")))
    whole_zip, whole_tar, whole_gz = zip_of(("a.mat", one)), tar_of([("a.mat", one)]), gzip.compress(table)
    encrypted = bytearray(whole_zip)
    encrypted[whole_zip.rfind(b"PK\x01\x02") + 8] |= 1
    yield bad("encrypted.zip", bytes(encrypted))
    crc = bytearray(whole_zip)
    crc[whole_zip.rfind(b"PK\x01\x02") + 16] ^= 1
    yield bad("crc.zip", bytes(crc), "a wrong checksum")
    yield bad("crc.csv.gz", whole_gz[:-8] + bytes(4) + whole_gz[-4:], "a wrong checksum")
    for name, whole in (("zip", whole_zip), ("tar.gz", whole_tar), ("csv.gz", whole_gz)):
        for share in (0.1, 0.5, 0.9):
            yield either(f"cut_{share}.{name}", whole[: int(len(whole) * share)], s)
        for i in range(5):
            yield either(f"flip_{i}.{name}", flipped(rng, whole), s)
    yield either(
        "twice.zip", zip_of(("a.mat", one), ("b.mat", one)).replace(b"b.mat", b"a.mat"), s, "two members of one name"
    )
    yield either("many.zip", zip_of(*((f"{i}.txt", b"") for i in range(2500))), None, "2500 empty members")
    yield either("two.gz", gzip.compress(table) + gzip.compress(table), np.hstack([s, s]), "two gzip streams in a row")


def lying_tar(head: bytes, size: int) -> bytes:
    """A tar header that states `size` bytes, with its checksum right, and a little of what it states."""
    changed = bytearray(head)
    changed[124:136] = b"\x80" + size.to_bytes(11, "big")
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed) + bytes(4096)


def parquet(rng: np.random.Generator) -> Iterator[Made]:
    """Tables in Parquet, where pyarrow can write them."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return
    s = signal(rng, 2)

    def written(columns: dict[str, object], **options: object) -> bytes:
        out = io.BytesIO()
        pq.write_table(pa.table(columns), out, **options)
        return out.getvalue()

    both = {"a": s[0], "b": s[1]}
    whole = written(both)
    for name, options in {
        "plain": {"compression": "none", "use_dictionary": False}, "snappy": {"compression": "snappy"},
        "gzip": {"compression": "gzip"},
        "groups": {"row_group_size": 50}, "checked": {"write_page_checksum": True}, "v2": {"data_page_version": "2.0"},
    }.items():  # fmt: skip
        yield good(f"{name}.parquet", written(both, **options), s, needs="pyarrow")
    yield good("single.parquet", written({"a": s[0].astype("f4")}), s[:1], needs="pyarrow")
    yield good("words.parquet", written({"a": s[0], "note": ["pump"] * 320}), s[:1], needs="pyarrow")
    yield bad("only_words.parquet", written({"note": ["pump"] * 320}))
    yield bad("none.parquet", written({"a": pa.nulls(320, pa.float64())}))
    yield bad("some_none.parquet", written({"a": [None, *map(float, s[0])]}))
    yield bad("empty.parquet", written({"a": pa.array([], pa.float64())}))
    yield bad("no_columns.parquet", written({}))
    yield either("lists.parquet", written({"a": [list(map(float, s[0]))]}), s[:1], "a waveform in one cell")
    yield bad("structs.parquet", written({"a": [{"x": 1.0}] * 320}))
    yield bad("bomb.parquet", written({"a": np.zeros(40 << 17)}, compression="gzip"), "40 MiB of zeros")
    yield bad("bomb_dictionary.parquet", written({"a": pa.array(["x" * 100_000] * 300).dictionary_encode()}))
    yield bad("twice.parquet", written({"a": s[0], "b": s[1]}).replace(b"\x01b", b"\x01a"), "two columns of one name")
    for share in (0.01, 0.5, 0.9, 0.999):
        yield bad(f"cut_{share}.parquet", whole[: int(len(whole) * share)])
    for i in range(8):
        yield either(f"flip_{i}.parquet", flipped(rng, whole, bits=1 + i % 3))
    yield bad("mark.parquet", b"PAR1")
    yield bad("marks.parquet", b"PAR1" + bytes(100) + b"PAR1")
    yield bad("length.parquet", whole[:-8] + b"\xff\xff\xff\x7fPAR1", "states a footer of 2 GiB")
    yield bad("footer_noise.parquet", b"PAR1" + rng.bytes(500) + struct.pack("<I", 400) + b"PAR1")
