"""Coverage-guided fuzzing of the MATLAB v4 and v5 decoders, by atheris (libFuzzer for Python).

    python fuzz/fuzz_mat.py -runs=10000000 -max_len=2048
    python fuzz/fuzz_mat.py -max_total_time=60 -seed=1 my_corpus/
    python fuzz/fuzz_mat.py crash-...                                  (one input again)

A finding is any exception but RecordError, an array that is not of the shape and the kind that were listed, memory
beyond the budget, or an input that takes more than 10 s. All options are libFuzzer's. Without a folder for the
corpus one is made, filled with tiny files of every kind, and removed at the end.
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import atheris
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]
WATCHED = ["faultdx.records." + name for name in ("mat4", "mat5", "mat5_stream", "formats", "contents")]

with atheris.instrument_imports(include=WATCHED):
    from faultdx.records import mat4, mat5
    from faultdx.records.formats import open_contents

import matfiles as mat  # noqa: E402 - in tests/; not to be instrumented

from faultdx.errors import RecordError  # noqa: E402

BUDGET = 8 << 20
MOST_INFLATED = 1 << 16
REPORT_EVERY = 100_000
HEADER = 128
count = {"runs": 0, "v5": 0, "v4": 0, "opened": 0, "loaded": 0}
last_run = 0  # of -runs=


def seeds() -> Iterator[bytes]:
    """Yield tiny files of both versions and byte orders, of every class, compressed and not."""
    wave = np.sin(np.arange(20.0))
    for order in "<>":
        numbers = [
            mat.numeric("x", wave, order=order),
            mat.numeric("X097RPM", np.array([[1796]], "u2"), order=order),
            mat.numeric("small", np.arange(9.0).reshape(3, 3), order=order, stored="u1"),
            mat.numeric("f", wave.astype("f4"), order=order),
        ]
        inner = mat.structure(
            "", {"gs": mat.numeric("", wave, order=order), "sr": mat.numeric("", np.array([9e4]), order=order)},
            order=order,
        )  # fmt: skip
        rows = [
            {"Name": mat.text("", "force", order=order), "Data": mat.numeric("", wave[:3] * i, order=order)}
            for i in (1, 2)
        ]
        nests = [
            mat.structure("bearing", {"in": inner, "load": mat.numeric("", [270.0], order=order)}, order=order),
            mat.structure("Y", rows, order=order),
            mat.cell("c", [mat.numeric("", wave[:2], order=order), mat.cell("", [], order=order)], order=order),
            mat.structure("o", {"a": mat.numeric("", wave[:2], order=order)}, order=order, class_name="thing"),
        ]
        words = mat.text("words", "pump", order=order)
        for elements in (numbers[:1], numbers, nests[:1], nests[1:2], [*nests, words], [words, numbers[1]]):
            yield mat.mat5(*elements, order=order)
            yield mat.mat5(*(mat.packed(e, order) for e in elements), order=order)
        yield mat.mat5(numbers[0], mat.packed(numbers[1], order), order=order)
        yield mat.mat4("x", wave, order=order) + mat.mat4("n", np.array([[5]], "i2"), order=order)
        yield mat.mat4("words", np.frombuffer(b"pump", "u1").reshape(1, -1), order=order, form=1)
        yield mat.mat4("c", wave[:4], order=order, imaginary=True) + mat.mat4("s", wave[:3], order=order, form=2)


def one_input(data: bytes) -> int:
    """Read `data` as far as it goes. Returns -1 (not for the corpus) for what neither decoder would be given."""
    count["runs"] += 1
    if count["runs"] % REPORT_EVERY == 0 or count["runs"] == last_run:
        sys.stderr.write("reached: " + ", ".join(f"{what} {times}" for what, times in count.items()) + "\n")
    if mat5.matches(data):
        count["v5"] += 1
    elif mat4.matches(data):
        count["v4"] += 1
    else:
        return -1
    try:
        contents = open_contents(data, name="x", budget_bytes=BUDGET)
    except RecordError as error:
        check_message(error)
        return 0
    count["opened"] += 1
    total = 0
    for variable in contents.variables:
        try:
            array = variable.load()
        except RecordError as error:
            check_message(error)
            continue
        count["loaded"] += 1
        assert variable.kind == "number" and array.shape == variable.shape and array.dtype.kind in "iuf"
        assert array.dtype.isnative
        total += array.nbytes
    assert total <= BUDGET + 8 * len(data)  # a number may be stored in one byte and be a double
    return 0


def check_message(error: RecordError) -> None:
    """One printable line: file, cause, cure."""
    text = str(error)
    assert text.startswith("x: ") and text.isprintable() and "; " in text and error.path == "x", text


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Mutate a file: anywhere, or inside one element, which is then packed again and given its right size.

    zlib would hide everything behind its checksum, and a size that is wrong ends the reading before it begins.
    """
    dice = random.Random(seed)
    elements = list(split(data))
    if not elements or dice.random() < 0.4:
        return atheris.Mutate(data, max_size)
    order = "<" if data[124:128] == b"\x00\x01IM" else ">"
    start, end, kind = dice.choice(elements)
    body, room = data[start + 8 : end], max_size - len(data) + end - start - 8
    if kind == mat.COMPRESSED:
        try:
            body = zlib.decompressobj().decompress(body, MOST_INFLATED)
        except zlib.error:
            return atheris.Mutate(data, max_size)
        inner = bytes(atheris.Mutate(body, max(room, 64)))
        if len(inner) >= 8 and dice.random() < 0.8:
            inner = inner[:4] + struct.pack(order + "I", len(inner) - 8) + inner[8:]
        body = zlib.compress(inner, 1)
    else:
        body = bytes(atheris.Mutate(body, max(room, 8)))
    return (data[:start] + mat.tag(kind, len(body), order) + body + data[end:])[:max_size]


def split(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, mi type) of the elements of a v5 file, as far as its sizes are right."""
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(data[124:128], "")
    position = HEADER
    while order and position + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, position)
        if position + 8 + size > len(data):
            return
        yield position, position + 8 + size, kind
        position += 8 + size


def main(arguments: list[str]) -> None:
    """Run libFuzzer with `arguments`, in a corpus of its own where they name none."""
    global last_run
    options = [a for a in arguments[1:] if a.startswith("-")]
    last_run = next((int(a.removeprefix("-runs=")) for a in options if a.startswith("-runs=")), 0)
    paths = [a for a in arguments[1:] if not a.startswith("-")]
    with tempfile.TemporaryDirectory(prefix="fuzz-mat-") as folder:
        if not paths:
            for number, seed in enumerate(seeds()):
                Path(folder, f"seed-{number:02}").write_bytes(seed)
            paths = [folder]
        defaults = ["-max_len=2048", "-timeout=10", "-rss_limit_mb=512", f"-artifact_prefix={tempfile.gettempdir()}/"]
        atheris.Setup([arguments[0], *defaults, *options, *paths], one_input, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
