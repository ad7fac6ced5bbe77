"""The NumPy part of the corpus: .npy, .npz and pickles."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from corpus_base import CANARY_WORDS, Made, bad, either, flipped, good, signal


class _Canary:
    """What a pickle would do if anybody loaded it: write a file, or say so."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({'canary-of-a-pickle'!r}, 'w').write({CANARY_WORDS!r})",)


def npy_file(header: str, data: bytes, *, version: int = 1, length: int | None = None) -> bytes:
    size = struct.pack("<H" if version == 1 else "<I", len(header) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode("latin-1") + data


def saved(array: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


def npz_file(members: Sequence[tuple[str, bytes]], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def npy(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng, 2)
    whole = np.round(s * 40)
    for kind in ("<f8", ">f8", "<f4", ">f4", "<i2", ">i2", "<i4", "<i8", "|i1"):
        values = whole if "i" in kind else s
        values = values // 4 if kind == "|i1" else values
        yield good(f"{kind[1:]}-{'<>|'.index(kind[0])}.npy", saved(values[0].astype(kind)), values[:1])
    for kind in ("u1", "u2", "u4", "u8"):
        yield good(f"{kind}.npy", saved(np.abs(whole[0]).astype(kind)), np.abs(whole[:1]))
    yield good("matrix.npy", saved(s), s)
    yield good("fortran.npy", saved(np.asfortranarray(s)), s)
    yield good("column.npy", saved(s[:1].T), s[:1])
    about = "{'descr': '<f8', 'fortran_order': False, 'shape': (320,), }\n"
    raw = s[0].tobytes()
    for version in (1, 2, 3):
        yield good(f"version_{version}.npy", npy_file(about, raw, version=version), s[:1])
    yield bad("version_9.npy", npy_file(about, raw, version=9))
    yield good("other_order.npy", npy_file("{'shape': (320,), 'descr': '<f8', 'fortran_order': False}", raw), s[:1])
    for name, shape in {
        "more": "(321,)", "fewer": "(319,)", "negative": "(-320,)", "huge": "(99999999999999,)",
        "overflow": "(4294967296, 4294967296)",
        "none": "()", "list": "[320]", "code": "(__import__('os').system('id'),)", "digits": "(" + "1" * 60 + "x)",
        "deep": "(" * 900,
        "ones": "(" + "1," * 900 + "320)", "zero": "(0,)", "float": "(320.0,)",
    }.items():  # fmt: skip
        yield bad(f"shape_{name}.npy", npy_file(about.replace("(320,)", shape), raw))
    for name, descr in {
        "object": "'|O'", "twice": "'<<f8'", "complex": "'<c8'", "words": "'<U2'", "bytes": "'|S8'",
        "time": "'<m8[s]'", "date": "'<M8[s]'",
        "void": "'|V8'", "long_double": "'<f16'", "pair": "[('a', '<f8')]", "nested": "[" * 900, "none": "None",
        "other": "'<f8\\n'",
    }.items():  # fmt: skip
        yield bad(f"descr_{name}.npy", npy_file(about.replace("'<f8'", descr), raw))
    for length in (0, 1, 65535):
        yield bad(f"length_{length}.npy", npy_file(about, raw, length=length))
    yield bad("length_huge.npy", npy_file(about, raw, version=2, length=0xFFFFFFFF))
    yield bad("header_twice.npy", npy_file(about.replace("}", "'shape': (1,)}"), raw))
    yield bad("pickle.npy", saved(np.array([_Canary()], object), allow_pickle=True), "a pickle that would run code")
    yield bad("objects.npy", saved(np.array([{}, [1]], object), allow_pickle=True))
    yield bad("structure.npy", saved(np.zeros(320, [("a", "f8")])))
    yield bad("nan.npy", saved(np.full(320, np.nan)))
    whole_file = saved(s[0])
    for share in (0.001, 0.01, 0.03, 0.5, 0.999):
        yield bad(f"cut_{share}.npy", whole_file[: int(len(whole_file) * share) + 1])
    for i in range(10):
        yield either(f"flip_{i}.npy", flipped(rng, whole_file[:128]) + whole_file[128:])
    yield from _npz(rng, s)
    for protocol in (0, 2, 4, 5):
        yield bad(f"protocol_{protocol}.pkl", pickle.dumps(_Canary(), protocol))


def _npz(rng: np.random.Generator, s: np.ndarray) -> Iterator[Made]:
    one, two = saved(s[0]), saved(s[1])
    out = io.BytesIO()
    np.savez(out, x=s[0], y=s[1])
    yield good("stored.npz", out.getvalue(), s)
    plain = npz_file([("x.npy", one)])
    yield good("packed.npz", plain, s[:1])
    yield good("matrix.npz", npz_file([("x.npy", saved(s))]), s)
    yield good("parent.npz", npz_file([("../../x.npy", one)]), s[:1], "a name that points out of the folder")
    yield good(
        "beside_object.npz",
        npz_file([("x.npy", one), ("o.npy", saved(np.array([_Canary()], object), allow_pickle=True))]),
        s[:1],
    )
    yield either("odd_names.npz", npz_file([("a\nb.npy", one), ("\x1b[31m.npy", two)]), s)
    yield bad("lengths.npz", npz_file([("x.npy", one), ("y.npy", saved(s[1, :200]))]))
    yield bad("junk.npz", npz_file([("x.npy", b"no array")]))
    yield bad("object.npz", npz_file([("x.npy", saved(np.array([_Canary()], object), allow_pickle=True))]))
    yield bad("bzip2.npz", npz_file([("x.npy", one)], method=zipfile.ZIP_BZIP2))
    yield bad("lzma.npz", npz_file([("x.npy", one)], method=zipfile.ZIP_LZMA))
    entry, end = plain.rfind(b"PK\x01\x02"), plain.rfind(b"PK\x05\x06")

    def patched(at: int, *values: int) -> bytes:
        return plain[:at] + bytes(values) + plain[at + len(values) :]

    yield bad("crc.npz", patched(entry + 16, 1, 2, 3, 4), "a wrong checksum")
    yield bad("encrypted.npz", patched(entry + 8, 1))
    yield bad("size_less.npz", patched(entry + 24, 9, 0, 0, 0))
    yield bad("size_more.npz", patched(entry + 24, 255, 255, 255, 127))
    yield bad("packed_size.npz", patched(entry + 20, 9, 0, 0, 0))
    yield bad("offset.npz", patched(entry + 42, 99, 0, 0, 0))
    yield bad("method.npz", patched(entry + 10, 99))
    yield either("version.npz", patched(entry + 6, 255), s[:1])
    for field, width in ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)):
        yield either(f"end_{field}.npz", patched(end + field, *[255] * width), s[:1])
    members = npz_file([("x.npy", one), ("y.npy", two)])
    yield bad("twice.npz", members.replace(b"y.npy", b"x.npy"), "two members of one name")
    zeros = saved(np.zeros(1))[:-8].replace(b"(1,), }      ", b"(16777216,), }")
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(zeros + bytes(128 << 20)) + bomb.flush()
    yield bad(
        "bomb.npz", stored_as_deflated("x.npy", packed, len(zeros) + (128 << 20), zlib.crc32(zeros + bytes(128 << 20)))
    )
    yield bad("bomb_secret.npz", stored_as_deflated("x.npy", packed, len(one), zlib.crc32(one)))
    yield bad("many.npz", npz_file([(f"{i}.npy", one[:9]) for i in range(2000)]))
    for share in (0.1, 0.5, 0.9, 0.99):
        yield bad(f"cut_{share}.npz", plain[: int(len(plain) * share)])
    for i in range(10):
        yield either(f"flip_{i}.npz", flipped(rng, plain), s[:1])


def stored_as_deflated(name: str, packed: bytes, size: int, crc: int) -> bytes:
    """A zip archive of one member that is `packed` already, with the size and the checksum that are said."""
    about = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + about + name.encode() + packed
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + about + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    return local + entry + end
