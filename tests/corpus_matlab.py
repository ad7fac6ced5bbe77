"""The MATLAB v4 and v5 part of the corpus."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator

import matfiles as mat
import numpy as np
from corpus_base import RATE_HZ, Made, bad, either, flipped, good, signal

INTEGERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
END = {"<": "le", ">": "be"}


def plain(rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """A good v5 file of one variable, and its samples."""
    s = signal(rng)
    return mat.mat5(mat.numeric("x", s[0])), s


def paderborn(rng: np.random.Generator, order: str) -> tuple[bytes, np.ndarray]:
    """The nest of the Paderborn bearing files: Info, X, Y (seven measured quantities) and Description."""

    def words(text: str) -> bytes:
        return mat.text("", text, order=order)

    def number(value: object) -> bytes:
        return mat.numeric("", np.atleast_1d(value), order=order)

    vibration = signal(rng, samples=1280)[0]
    names = ("force", "phase_current_1", "phase_current_2", "speed", "temp_2_bearing_module", "torque", "vibration_1")
    rows = []
    for i, name in enumerate(names):
        raster = "HostService" if "current" in name or name == "vibration_1" else f"Slow_{i}"
        data = vibration if name == "vibration_1" else signal(rng, samples=1280 if "current" in name else 80 + i)[0]
        about = {"Name": words(name), "Type": words("double"), "Data": number(data[None]), "Raster": words(raster)}
        more = {
            f"Field{j}": number(float(j))
            for j in range(8)  # the real ones hold up to a hundred fields in all
        }
        rows.append(about | more)
    axes = [{"Raster": words("HostService"), "Data": number(np.arange(1280.0)[None] / RATE_HZ)}]
    nest = {
        "Info": mat.structure("", {"Hardware": words("test rig"), "Index": number([1.0])}, order=order),
        "X": mat.structure("", axes, order=order),
        "Y": mat.structure("", rows, order=order),
        "Description": mat.structure("", {"General": words("K001"), "Measurement": words("N15")}, order=order),
    }
    return mat.structure("N15_M07_F10_K001_1", nest, order=order), vibration


def v5_good(rng: np.random.Generator) -> Iterator[Made]:
    for order, is_packed in itertools.product("<>", (False, True)):
        s = signal(rng, 2)
        whole = np.round(s * 40)
        x = mat.numeric("x", s[0], order=order)

        def one(element: bytes, order: str = order, is_packed: bool = is_packed) -> bytes:
            return mat.packed(element, order) if is_packed else element

        def number(name: str, value: float, order: str = order) -> bytes:
            return mat.numeric(name, np.array([[value]]), order=order)

        files: dict[str, tuple[list[bytes], np.ndarray]] = {
            "column": ([x], s[:1]),
            "row": ([mat.numeric("x", s[:1], order=order)], s[:1]),
            "two_columns": ([mat.numeric("x", s.T, order=order)], s),
            "two_rows": ([mat.numeric("x", s, order=order)], s),
            "two_variables": ([x, mat.numeric("y", s[1], order=order)], s),
            "stored_i2": ([mat.numeric("x", whole[0], order=order, stored="i2")], whole[:1]),
            "stored_u1": ([mat.numeric("x", np.abs(whole[0]), order=order, stored="u1")], np.abs(whole[:1])),
            "single": ([mat.numeric("x", s[0].astype("f4"), order=order)], s[:1]),
            "single_stored_i1": ([mat.numeric("x", whole[0].astype("f4") // 4, order=order, stored="i1")],
            whole[:1] // 4),
            "long_name": ([mat.numeric("x" * 63, s[0], order=order)], s[:1]),
            "settings": ([mat.text("note", "pump 7", order=order), number("rpm", 1797), x], s[:1]),
            "rate_inside": ([x, number("fs", 12000)], s[:1]),
            "empties": ([mat.numeric("none", np.zeros((0, 0)), order=order), mat.text("t", "", order=order), x], s[:1]),
            "cwru": (
                [
                    mat.numeric("X105_DE_time", s[0], order=order),
                    mat.numeric("X105_FE_time", s[1], order=order),
                    mat.numeric("X105RPM", np.array([[1797]], "u2"), order=order),
                ],
                s[:1],
            ),
            "mfpt": (
                [
                    mat.structure(
                        "bearing",
                        {
                            "sr": number("", 12000),
                            "rate": number("", 25),
                            "load": number("", 270),
                            "gs": mat.numeric("", s[0], order=order),
                        },
                        order=order,
                    )
                ],
                s[:1],
            ),
            "beside_cell": ([mat.cell("c", [mat.numeric("", s[1], order=order)], order=order), x], s[:1]),
            "beside_object": ([mat.structure("o", {"a": mat.text("", "b", order=order)}, order=order, class_name="k"),
                x], s[:1]),
            "beside_function": ([mat.matrix("f", mat.FUNCTION, (1, 1), mat.text("", "sin", order=order), order=order),
                x], s[:1]),
            "beside_sparse": ([mat.matrix("s", mat.SPARSE, (9, 9), order=order), x], s[:1]),
            "beside_logical": ([mat.numeric("l", np.eye(3, dtype="u1"), order=order, flags=mat.LOGICAL), x], s[:1]),
            "beside_complex": (
                [mat.matrix("z", 6, (1, 1), mat.part(9, bytes(8), order), mat.part(9, bytes(8), order), order=order,
                    flags=mat.COMPLEX), x],
                s[:1],
            ),
            "beside_nests": ([mat.structure("s", {"t": mat.structure("", {"u": number("", 3)}, order=order)},
                order=order), x], s[:1]),
        }  # fmt: skip
        for kind in INTEGERS:
            values = np.abs(whole[0]) if kind[0] == "u" else whole[0]
            files[f"class_{kind}"] = ([mat.numeric("x", (values // 2).astype(kind), order=order)], values[None] // 2)
        nest, vibration = paderborn(rng, order)
        for name, (elements, truth) in files.items():
            data = mat.mat5(*map(one, elements), order=order)
            yield good(f"{name}-{END[order]}{'-z' * is_packed}.mat", data, truth)
        yield good(f"paderborn-{END[order]}{'-z' * is_packed}.mat", mat.mat5(one(nest), order=order), vibration)
    longer = signal(rng, samples=200_000)
    yield good("longer.mat", mat.mat5(mat.packed(mat.numeric("x", longer[0]))), longer)
    half = mat.packed(mat.numeric("x", s[0]))
    yield good("other_words.mat", mat.mat5(half, words=b"written by a data logger"), s[:1], "other words in the header")
    yield good(
        "level_0.mat", mat.mat5(mat.packed(mat.numeric("x", s[0]), level=0)), s[:1], "packed without compression"
    )


def nested(depth: int, kind: Callable[[bytes], bytes]) -> bytes:
    """An element inside `depth` others, without the cost of copying it as often: headers first, sizes last."""
    heads = []
    core = mat.numeric("", np.arange(3.0))
    for _ in range(depth):
        heads.append(kind(b"")[8:])  # the body before what it holds
    size, out = len(core), [core]
    for head in heads:
        size += len(head)
        out.append(mat.tag(mat.MATRIX, size) + head)
        size += 8
    return b"".join(reversed(out))


def v5_bad(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng, 2)
    for order, is_packed in (("<", False), (">", True)):
        mark = f"{END[order]}{'-z' * is_packed}.mat"

        def file(*elements: bytes, order: str = order, is_packed: bool = is_packed) -> bytes:
            return mat.mat5(*((mat.packed(e, order) if is_packed else e) for e in elements), order=order)

        x = mat.numeric("x", s[0], order=order)
        whole = file(x)
        for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            yield bad(f"cut_{share}-{mark}", whole[: int(len(whole) * share)], "cut short")
        yield bad(f"cut_1-{mark}", whole[:-1], "a byte is missing at its end")
        for i in range(8):
            truth = s[:1] if is_packed else None
            yield either(f"flip_{i}-{mark}", flipped(rng, whole), truth, "a bit is turned over")
        for i in range(6):
            yield either(
                f"flips_{i}-{mark}", flipped(rng, whole[:200], bits=5) + whole[200:], None, "5 bits turned over"
            )
        data = mat.part(9, s[0].astype(order + "f8").tobytes(), order)
        for name, shape in {
            "negative": (-320, -1), "negative_1": (-320, 1), "huge": (2**31 - 1, 2**31 - 1), "huge_1": (2**31 - 1, 1),
            "more": (321, 1), "fewer": (319, 1), "none": (0, 0), "one": (320,), "many": (1,) * 31 + (320, 1, 1),
            "overflow": (1 << 16, 1 << 16, 1 << 16, 1 << 16), "no": (), "minimum": (-(2**31), 1),
        }.items():  # fmt: skip
            yield bad(f"shape_{name}-{mark}", file(mat.matrix("x", 6, shape, data, order=order)), f"states {shape}")
        for kind in (0, 8, 10, 11, 14, 15, 16, 17, 19, 255, 0x7FFF):
            raw = mat.tag(kind, 2560, order) + data[8:]
            yield bad(
                f"type_{kind}-{mark}", file(mat.matrix("x", 6, (320, 1), raw, order=order)), "data of no such type"
            )
        for size in (0, 8, 2552, 2568, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF8):
            raw = mat.tag(9, size, order) + data[8:]
            yield bad(
                f"size_{size}-{mark}", file(mat.matrix("x", 6, (320, 1), raw, order=order)), "data of another size"
            )
        for mx in (0, 1, 2, 3, 4, 5, 16, 17, 18, 99, 255):
            yield bad(
                f"class_{mx}-{mark}", file(mat.matrix("x", mx, (320, 1), data, order=order)), "numbers in no array"
            )
        values = dict.fromkeys(("nan", "inf", "constant"), s[0])
        for name, value in (("nan", np.nan), ("inf", np.inf)):
            values[name] = s[0].copy()
            values[name][7] = value
        values["constant"] = np.full(320, 1.5)
        values["short"] = s[0, :15]
        values["huge_values"] = s[0] * 1e300
        for name, numbers in values.items():
            yield bad(f"{name}-{mark}", file(mat.numeric("x", numbers, order=order)))
        yield bad(f"complex-{mark}", file(mat.matrix("x", 6, (320, 1), data, data, order=order, flags=mat.COMPLEX)))
        yield bad(f"twice-{mark}", file(x, x), "two variables of one name")
        yield bad(f"lengths-{mark}", file(x, mat.numeric("y", s[1, :200], order=order)), "two candidates")
        for name, title in {
            "none": "",
            "escape": "\x1b[31mx",
            "nul": "a\0b",
            "latin": "\xe9",
            "newline": "a\nb",
        }.items():
            yield either(f"name_{name}-{mark}", file(mat.numeric(title, s[0], order=order)), s[:1])
        yield either(f"name_long-{mark}", file(mat.numeric("x" * 5000, s[0], order=order)), s[:1])
        yield bad(f"only_words-{mark}", file(mat.text("x", "no signal at all", order=order)))
        yield bad(f"only_cell-{mark}", file(mat.cell("x", [x], order=order)))
        yield bad(f"nothing-{mark}", mat.mat5(order=order), "a header and no variable")
        yield bad(f"tail-{mark}", whole + b"tail", "four more bytes")
        yield bad(f"no_element-{mark}", whole + mat.tag(99, 0, order), "an element of no such type")
        other = mat.mat5(order="<" if order == ">" else ">")[:128] + whole[128:]
        yield bad(f"other_order-{mark}", other, "the mark says the other byte order")
        many = mat.numeric("", np.zeros((0, 0)), order=order)
        yield bad(f"many_nameless-{mark}", file(*[many] * 500))
        empty_struct = mat.matrix(
            "s", mat.STRUCT, (1 << 24, 1 << 24), mat.part(5, struct.pack(order + "i", 8), order), mat.tag(1, 0, order),
            order=order,
        )  # fmt: skip
        yield bad(f"struct_without_fields-{mark}", file(empty_struct))
    yield from _bombs(rng, s)
    yield from _broken_streams(s)
    cells, structs = (
        nested(5000, lambda e: mat.cell("", [e], shape=(1, 1))),
        nested(5000, lambda e: mat.structure("", {"a": e})),
    )
    for name, deep in (("cells", cells), ("structs", structs)):
        yield bad(f"deep_{name}.mat", mat.mat5(deep), "5000 inside each other")
        beside = mat.mat5(mat.cell("c", [deep]), mat.numeric("x", s[0]))
        yield good(f"deep_{name}_beside.mat", beside, s[:1], "5000 inside each other, beside a signal")
        yield good(
            f"deep_{name}_packed.mat", mat.mat5(mat.packed(mat.cell("c", [deep])), mat.numeric("x", s[0])), s[:1]
        )
    yield bad("ten_thousand.mat", mat.mat5(*[mat.numeric(f"v{i}", [1.0]) for i in range(10_050)]))
    yield either(
        "nine_thousand.mat",
        mat.mat5(mat.numeric("x", s[0]), *[mat.numeric(f"v{i}", [1.0]) for i in range(9000)]),
        s[:1],
    )


def _bombs(rng: np.random.Generator, s: np.ndarray) -> Iterator[Made]:
    for mib in (100, 1024, 4000):
        yield bad(f"bomb_{mib}.mat", mat.bomb(mib << 20), f"{mib} MiB of zeros")
        yield bad(f"bomb_secret_{mib}.mat", mat.bomb(mib << 20, honest=False), f"64 numbers, and {mib} MiB behind them")
    x = mat.numeric("x", s[0])
    big = mat.bomb(512 << 20, name="big")[128:]
    yield either("bomb_beside.mat", mat.mat5(big, x), s[:1], "a bomb beside a signal")
    fields = 400
    zeros = mat.numeric("", np.zeros(1 << 17))
    bomb = mat.packed(mat.structure("s", [{"fs": zeros}] * 60), level=9)
    yield either("bomb_fields.mat", mat.mat5(bomb, x), s[:1], "60 statements of the rate, each of a MiB of zeros")
    small = {f"a{i}": mat.numeric("", np.full(9, 12000.0)) for i in range(fields)}
    first = {"a": mat.numeric("", np.zeros(20 << 17)), **small}
    yield either(
        "bomb_first.mat", mat.mat5(mat.packed(mat.structure("s", first), level=9), x), s[:1], "400 behind 20 MiB"
    )
    rates = [{"pad": mat.numeric("", np.zeros(2 << 17)), "fs": mat.numeric("", [12000.0])}] * 10
    yield either("struct_rates.mat", mat.mat5(mat.packed(mat.structure("s", rates)), x), s[:1])
    text = mat.matrix("t", mat.CHAR, (1, 32 << 20), mat.part(2, bytes(32 << 20)))
    yield good("bomb_text.mat", mat.mat5(mat.packed(text, level=9), x), s[:1], "32 MiB of text beside a signal")
    noise = rng.integers(0, 256, 1 << 16, dtype=np.uint8).tobytes()
    yield bad("packed_noise.mat", mat.mat5(mat.tag(mat.COMPRESSED, len(noise)) + noise), "noise for a zlib stream")


def _broken_streams(s: np.ndarray) -> Iterator[Made]:
    x = mat.numeric("x", s[0])

    def streamed(data: bytes) -> bytes:
        return mat.mat5(mat.tag(mat.COMPRESSED, len(data)) + data)

    whole = zlib.compress(x)
    yield bad("adler.mat", streamed(whole[:-1] + bytes([whole[-1] ^ 1])), "a wrong checksum")
    yield bad("adler_none.mat", streamed(whole[:-4]), "no checksum")
    yield bad("zlib_header.mat", streamed(b"\x79" + whole[1:]))
    yield bad("zlib_raw.mat", streamed(whole[2:-4]), "deflate without zlib")
    yield bad("zlib_gzip.mat", streamed(zlib.compressobj(wbits=31).compress(x)))
    yield bad("zlib_twice.mat", streamed(zlib.compress(mat.packed(x))), "packed twice")
    yield bad("zlib_two.mat", streamed(zlib.compress(x + mat.numeric("y", s[1]))), "two arrays in one stream")
    yield either("zlib_tail.mat", streamed(whole + b"tail"), s[:1], "bytes behind the stream")
    yield bad("zlib_short.mat", streamed(zlib.compress(x[:-8])), "a stream that ends early")
    yield bad("zlib_empty.mat", streamed(zlib.compress(b"")))
    yield bad("zlib_nothing.mat", streamed(b""))
    dictionary = zlib.compressobj(zdict=b"abc" * 9)
    yield bad("zlib_dictionary.mat", streamed(dictionary.compress(x) + dictionary.flush()))


def v4(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng, 2)
    whole_numbers = np.round(s * 40)
    for order in "<>":
        mark = f"{END[order]}.mat"
        x = mat.mat4("x", s[0], order=order)
        n = mat.mat4("rpm", np.array([[1797.0]]), order=order)
        words = mat.mat4("note", np.frombuffer(b"pump", "u1").astype("f8")[None], order=order, form=1)
        yield good(f"column-{mark}", x, s[:1])
        yield good(f"row-{mark}", mat.mat4("x", s[:1], order=order), s[:1])
        yield good(f"matrix-{mark}", mat.mat4("x", s.T, order=order), s)
        yield good(f"settings-{mark}", n + words + x, s[:1])
        for kind in ("f4", "i4", "i2", "u2", "u1"):
            values = s[0].astype("f4") if kind == "f4" else np.abs(whole_numbers[0]).astype(kind)
            yield good(f"class_{kind}-{mark}", mat.mat4("x", values, order=order), values)
        for i in range(8):
            yield either(f"flip_{i}-{mark}", flipped(rng, x[:30]) + x[30:])
        for share in (0.005, 0.01, 0.3, 0.6, 0.999):
            yield bad(f"cut_{share}-{mark}", x[: int(len(x) * share) + 1])
        for name, shape in {
            "negative": (-320, 1),
            "huge": (2**31 - 1, 2**31 - 1),
            "more": (321, 1),
            "none": (0, 0),
        }.items():
            yield bad(f"shape_{name}-{mark}", mat.mat4("x", s[0], order=order, shape=shape))
        for machine in (2, 3, 4):
            yield bad(f"machine_{machine}-{mark}", mat.mat4("x", s[0], order=order, machine=machine))
        yield bad(f"complex-{mark}", mat.mat4("x", s[0], order=order, imaginary=True))
        yield bad(f"sparse-{mark}", mat.mat4("x", s[0], order=order, form=2))
        yield bad(f"twice-{mark}", x + x)
        yield bad(f"tail-{mark}", x + b"tail")
        yield bad(f"words-{mark}", words)
        yield bad(f"nan-{mark}", mat.mat4("x", np.where(np.arange(320) == 9, np.nan, s[0]), order=order))
        for size in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
            yield bad(
                f"name_{size}-{mark}", x[:16] + struct.pack(order + "I", size) + x[20:], "a name of another length"
            )
    yield bad("many.mat", b"".join(mat.mat4(f"v{i}", [1.0]) for i in range(10_050)))
