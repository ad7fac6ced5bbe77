"""The HDF5 and MATLAB v7.3 part of the corpus."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from corpus_base import Made, bad, either, flipped, good, signal

ROOM = 512  # of the header that MATLAB puts before an HDF5 file


def written(fill: Callable[[h5py.File], Any], **options: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w", **options) as file:
        fill(file)
    return out.getvalue()


def matlab(fill: Callable[[h5py.File], Any]) -> bytes:
    """A v7.3 file: HDF5 behind MATLAB's header."""
    data = bytearray(written(fill, userblock_size=ROOM))
    data[:ROOM] = b"MATLAB 7.3 MAT-file, made by hand".ljust(124) + b"\x00\x02IM" + bytes(ROOM - 128)
    return bytes(data)


def with_class(file: h5py.Group, name: str, array: Any, mclass: str = "double", **options: Any) -> h5py.Dataset:
    dataset = file.create_dataset(name, data=np.asarray(array), **options)
    dataset.attrs["MATLAB_class"] = np.bytes_(mclass)
    return dataset


def cases(rng: np.random.Generator, *, outside: Path) -> Iterator[Made]:
    yield from _good(rng)
    yield from _elsewhere(rng, outside)
    yield from _chunks(rng)
    yield from _shapes(rng)
    yield from _damaged(rng)


def _good(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng, 2)
    whole = np.round(s * 40)

    def options(**how: Any) -> Callable[[h5py.File], Any]:
        return lambda file: file.create_dataset("x", data=s[0], **how)

    fills: dict[str, tuple[Callable[[h5py.File], Any], np.ndarray]] = {
        "plain": (options(), s[:1]),
        "gzip": (options(compression="gzip"), s[:1]),
        "chunked": (options(chunks=(64,)), s[:1]),
        "all_filters": (options(chunks=(100,), compression="gzip", shuffle=True, fletcher32=True), s[:1]),
        "single": (lambda f: f.create_dataset("x", data=s[0].astype("f4")), s[:1]),
        "int16": (lambda f: f.create_dataset("x", data=whole[0].astype("<i2")), whole[:1]),
        "big_endian": (lambda f: f.create_dataset("x", data=s[0].astype(">f8")), s[:1]),
        "matrix": (lambda f: f.create_dataset("x", data=s.T), s),
        "two": (lambda f: [f.create_dataset(n, data=v) for n, v in zip("xy", s, strict=True)], s),
        "in_group": (lambda f: f.create_dataset("run/x", data=s[0]), s[:1]),
        "with_rate": (lambda f: [f.create_dataset("x", data=s[0]), f.create_dataset("fs", data=12000.0)], s[:1]),
        "with_words": (lambda f: [f.create_dataset("x", data=s[0]), f.create_dataset("note", data="pump")], s[:1]),
        "hard_links": (lambda f: [f.create_dataset("run/x", data=s[0]), f.__setitem__("y", np.arange(3))], s[:1]),
    }
    for name, (fill, truth) in fills.items():
        yield good(f"{name}.h5", written(fill), truth)
    yield good("latest.h5", written(options(), libver="latest"), s[:1], "the newest layout of the library")
    m73: dict[str, tuple[Callable[[h5py.File], Any], np.ndarray]] = {
        "plain": (lambda f: with_class(f, "x", s[:1]), s[:1]),
        "gzip": (lambda f: with_class(f, "x", s[:1], compression="gzip", chunks=(1, 100)), s[:1]),
        "matrix": (lambda f: with_class(f, "x", s), s),
        "int16": (lambda f: with_class(f, "x", whole[:1].astype("i2"), "int16"), whole[:1]),
        "words": (
            lambda f: [with_class(f, "note", np.array([[112, 117]], "u2").T, "char"), with_class(f, "x", s[:1])],
            s[:1],
        ),
        "empty": (lambda f: [_empty(f), with_class(f, "x", s[:1])], s[:1]),
        "struct": (
            lambda f: [with_class(f.require_group("b"), "gs", s[:1]), with_class(f["b"], "sr", [[12e3]])],
            s[:1],
        ),
    }
    for name, (fill, truth) in m73.items():
        yield good(f"v73_{name}.mat", matlab(fill), truth)


def _empty(file: h5py.File) -> None:
    with_class(file, "e", np.array([0, 0], "u8")).attrs["MATLAB_empty"] = np.uint8(1)


def _elsewhere(rng: np.random.Generator, outside: Path) -> Iterator[Made]:
    """What points at other files, alone ("bad") and beside a good signal ("good" or "either")."""
    s = signal(rng)
    target, raw, fifo = (str(outside / name) for name in ("canary.h5", "canary.bin", "canary.fifo"))

    def virtual(file: h5py.File, of: str) -> None:
        layout = h5py.VirtualLayout((4096,), "f8")
        layout[:] = h5py.VirtualSource(of, "x", (4096,))
        file.create_virtual_dataset("v", layout)

    def external(file: h5py.File, *places: tuple[str, int, int]) -> None:
        file.create_dataset("e", (320,), "f8", external=list(places))

    def cycle(file: h5py.File) -> None:
        group = file.create_group("a").create_group("b")
        group["up"], group["root"] = file["a"], file["/"]

    fills: dict[str, Callable[[h5py.File], Any]] = {
        "external_link": lambda f: f.__setitem__("l", h5py.ExternalLink(target, "/x")),
        "external_link_fifo": lambda f: f.__setitem__("l", h5py.ExternalLink(fifo, "/x")),
        "external_link_relative": lambda f: f.__setitem__("l", h5py.ExternalLink("../outside/canary.h5", "/x")),
        "external_link_deep": lambda f: f.create_group("g").__setitem__("l", h5py.ExternalLink(target, "/x")),
        "external_storage": lambda f: external(f, (raw, 0, 2560)),
        "external_storage_fifo": lambda f: external(f, (fifo, 0, 2560)),
        "external_storage_zero": lambda f: external(f, ("/dev/zero", 0, 2560)),
        "external_storage_parts": lambda f: external(f, (raw, 0, 1280), (raw, 0, 1280)),
        "virtual": lambda f: virtual(f, target),
        "virtual_fifo": lambda f: virtual(f, fifo),
        "virtual_self": lambda f: virtual(f, "."),
        "soft_dangling": lambda f: f.__setitem__("l", h5py.SoftLink("/nowhere")),
        "soft_loop": lambda f: f.__setitem__("l", h5py.SoftLink("/l")),
        "soft_external": lambda f: [f.__setitem__("a", h5py.ExternalLink(target, "/")), f.__setitem__("l",
        h5py.SoftLink("/a/x"))],
        "cycle": cycle,
    }  # fmt: skip
    for name, fill in fills.items():
        yield bad(f"{name}.h5", written(fill))

        def beside(file: h5py.File, fill: Callable[[h5py.File], Any] = fill) -> None:
            file.create_dataset("x", data=s[0])
            fill(file)

        yield either(f"{name}_beside.h5", written(beside), s)


def _chunks(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng)[0]
    packed = zlib.compress(s[:160].tobytes())

    def raw_chunks(*chunks: bytes, **options: Any) -> bytes:
        def fill(file: h5py.File) -> None:
            dataset = file.create_dataset("x", (320,), "f8", chunks=(160,), **options)
            for i, chunk in enumerate(chunks):
                dataset.id.write_direct_chunk((160 * i,), chunk)

        return written(fill)

    gzip: dict[str, Any] = {"compression": "gzip"}
    yield bad("chunk_short.h5", raw_chunks(packed, zlib.compress(bytes(80)), **gzip), "a chunk of too few bytes")
    yield bad("chunk_long.h5", raw_chunks(packed, zlib.compress(bytes(9999)), **gzip), "a chunk of too many bytes")
    yield bad("chunk_bomb.h5", raw_chunks(packed, zlib.compress(bytes(64 << 20), 9), **gzip), "a chunk that is a bomb")
    yield bad("chunk_noise.h5", raw_chunks(packed, rng.bytes(500), **gzip))
    yield bad("chunk_missing.h5", raw_chunks(packed, **gzip), "one of two chunks is not there")
    yield bad("chunk_none.h5", raw_chunks(**gzip), "no chunk is there")
    yield bad("chunk_raw_short.h5", raw_chunks(s[:160].tobytes(), s[:9].tobytes()), "a chunk that is cut")
    yield bad(
        "chunk_fletcher.h5", raw_chunks(s[:160].tobytes() + bytes(4), s[160:].tobytes() + bytes(4), fletcher32=True)
    )
    for name, shape, chunks in (
        ("huge", (1 << 20,), (1 << 27,)), ("many", (1 << 22,), (1,)), ("petabyte", (1 << 47,), (1 << 20,)),
        ("terabyte_chunked", (1 << 40,), (1 << 10,)), ("gigabyte", (1 << 27,), (1 << 20,)),
    ):  # fmt: skip
        data = written(lambda f, sh=shape, c=chunks: f.create_dataset("x", sh, "f8", chunks=c, maxshape=(None,)))
        yield bad(f"chunks_{name}.h5", data)
    yield bad("terabyte.h5", written(lambda f: f.create_dataset("x", (1 << 37,), "f8")), "a TiB that was never written")
    zeros = written(
        lambda f: f.create_dataset(
            "x", data=np.zeros(32 << 17), chunks=(32 << 17,), compression="gzip", compression_opts=9
        )
    )
    yield bad("zeros.h5", zeros, "32 MiB of zeros")

    def filters(*numbers: int) -> bytes:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((320,))
        for number in numbers:
            if number == 1:
                plist.set_deflate(4)
            elif number == 2:
                plist.set_shuffle()
            elif number == 3:
                plist.set_fletcher32()
            else:
                plist.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1,))

        def fill(file: h5py.File) -> None:
            space = h5py.h5s.create_simple((320,))
            dataset = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, plist)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(s))

        return written(fill)

    yield bad("filter_twice.h5", filters(1, 1), "deflate twice")
    yield bad("filter_shuffle_twice.h5", filters(2, 2, 1))
    yield either("filter_other_order.h5", filters(3, 1, 2), s)
    yield bad("filter_lzf.h5", written(lambda f: f.create_dataset("x", data=s, compression="lzf")))
    yield bad("filter_scale.h5", written(lambda f: f.create_dataset("x", data=np.arange(320), scaleoffset=0)))
    for number in (307, 32001, 32015, 65000):
        data = filters(1).replace(
            b"\x01\x00\x00\x00\x01\x00\x01\x00", number.to_bytes(2, "little") + b"\x00\x00\x01\x00\x01\x00", 1
        )
        yield either(f"filter_{number}.h5", data, s)


def _shapes(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng, 2)

    def groups(file: h5py.File, *, depth: int) -> None:
        group: h5py.Group = file
        for _ in range(depth):
            group = group.create_group("g")
        group["x"] = s[0]

    def many(file: h5py.File) -> None:
        for i in range(5000):
            file.create_group(f"g{i}")

    fills: dict[str, Callable[[h5py.File], Any]] = {
        "rank_4": lambda f: f.create_dataset("x", data=np.zeros((2, 2, 2, 80))),
        "rank_32": lambda f: f.create_dataset("x", data=np.zeros((1,) * 31 + (320,))),
        "scalar": lambda f: f.create_dataset("x", data=3.0),
        "null": lambda f: f.__setitem__("x", h5py.Empty("f8")),
        "words": lambda f: f.create_dataset("x", data=["pump"] * 320, dtype=h5py.string_dtype()),
        "vlen": lambda f: f.create_dataset("x", (320,), h5py.vlen_dtype("f8")),
        "pairs": lambda f: f.create_dataset("x", data=np.zeros(320, [("a", "f8"), ("b", "i4")])),
        "complex": lambda f: f.create_dataset("x", data=s[0] + 1j),
        "bool": lambda f: f.create_dataset("x", data=np.zeros(320, bool)),
        "enum": lambda f: f.create_dataset("x", data=np.zeros(320, "i1"), dtype=h5py.enum_dtype({"a": 0}, "i1")),
        "references": lambda f: f.create_dataset("x", (320,), h5py.ref_dtype),
        "opaque": lambda f: f.create_dataset("x", data=np.zeros(320, "V8")),
        "array_type": lambda f: f.create_dataset("x", (320,), np.dtype(("f8", (2,)))),
        "empty": lambda f: None,
        "nan": lambda f: f.create_dataset("x", data=np.full(320, np.nan)),
        "named_type": lambda f: f.__setitem__("x", np.dtype("f8")),
        "deep_groups": lambda f: groups(f, depth=600),
        "many_groups": many,
        "lengths": lambda f: [f.create_dataset("x", data=s[0]), f.create_dataset("y", data=s[1, :200])],
    }
    for name, fill in fills.items():
        yield bad(f"shape_{name}.h5", written(fill))
    yield bad(
        "v73_lying_empty.mat",
        matlab(lambda f: with_class(f, "x", s[:1]).attrs.__setitem__("MATLAB_empty", np.uint8(1))),
    )
    yield bad("v73_char.mat", matlab(lambda f: with_class(f, "x", np.full((320, 1), 65, "u2"), "char")), "text as u2")
    yield bad("v73_class_cell.mat", matlab(lambda f: with_class(f, "x", s[:1], "cell")))
    yield either("v73_class_long.mat", matlab(lambda f: with_class(f, "x", s[:1], "d" * 5000)))
    yield either(
        "odd_names.h5", written(lambda f: [f.__setitem__(n, s[0]) for n in ("a\nb", "\x1b[31m", "\u202e", "=1+1")])
    )
    yield either("half.h5", written(lambda f: f.create_dataset("x", data=s[0].astype("f2"))))
    yield either("rank_3.h5", written(lambda f: f.create_dataset("x", data=s.reshape(1, 2, 320))), s)


def _damaged(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng)
    seeds = {
        "plain.h5": written(lambda f: f.create_dataset("x", data=s[0])),
        "gzip.h5": written(lambda f: f.create_dataset("x", data=s[0], chunks=(100,), compression="gzip", shuffle=True,
        fletcher32=True)),
        "v73.mat": matlab(lambda f: with_class(f, "x", s, compression="gzip")),
    }  # fmt: skip
    for name, seed in seeds.items():
        for share in (0.05, 0.3, 0.6, 0.9, 0.999):
            yield bad(f"cut_{share}_{name}", seed[: int(len(seed) * share)], "cut short")
        for i in range(8):
            yield either(f"flips_{i}_{name}", flipped(rng, seed, bits=1 + 3 * (i % 3)), None, "bits turned over")
        yield either(f"tail_{name}", seed + bytes(1000), s, "zeros behind it")
    yield bad("signature.h5", b"\x89HDF\r\n\x1a\n", "a signature alone")
    yield bad("signature_noise.h5", b"\x89HDF\r\n\x1a\n" + rng.bytes(4000))
    yield bad("signature_zeros.h5", b"\x89HDF\r\n\x1a\n" + bytes(4000))
    yield bad("words.mat", b"MATLAB 7.3 MAT-file".ljust(512), "MATLAB's words and no HDF5")
    yield bad("words_noise.mat", b"MATLAB 7.3 MAT-file".ljust(512) + rng.bytes(5000))
