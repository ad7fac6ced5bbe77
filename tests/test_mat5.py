"""MATLAB files made by hand: streams read in pieces, structs loaded in any order, bombs, and what fuzzing found."""

from __future__ import annotations

import io
import itertools
import tracemalloc
import zlib
from typing import Any

import matfiles as mat
import numpy as np
import pytest
import scipy.io
from corpus_matlab import nested, paderborn

from faultdx.errors import RecordError
from faultdx.records import mat5, mat5_stream
from faultdx.records.contents import Contents
from faultdx.records.formats import open_contents

MIB = 1 << 20
RNG = np.random.default_rng(3)
WAVE = RNG.normal(size=(40, 1))


def opened(data: bytes, *, budget_bytes: int | None = None) -> Contents:
    return open_contents(data, name="x.mat", budget_bytes=budget_bytes)


def arrays(contents: Contents) -> dict[str, np.ndarray]:
    return {v.name: v.load() for v in contents.variables if v.kind == "number"}


class Counting:
    """Stands for zlib, and counts what is inflated."""

    error = zlib.error

    def __init__(self) -> None:
        self.total = 0

    def decompressobj(self) -> Any:
        return _Counted(self, zlib.decompressobj())


class _Counted:
    def __init__(self, counter: Counting, inflater: Any) -> None:
        self.counter, self.inflater = counter, inflater

    def decompress(self, data: Any, most: int) -> bytes:
        out: bytes = self.inflater.decompress(data, most)
        self.counter.total += len(out)
        return out

    def copy(self) -> _Counted:
        return _Counted(self.counter, self.inflater.copy())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inflater, name)


@pytest.fixture
def inflated(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counter = Counting()
    monkeypatch.setattr(mat5_stream, "zlib", counter)
    return counter


# ---- structs


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_nest_as_of_paderborn_is_admitted(order: str, is_packed: bool) -> None:
    element, vibration = paderborn(RNG, order)
    data = mat.mat5(mat.packed(element, order) if is_packed else element, order=order)
    found = arrays(opened(data))
    (name,) = (v for v in scipy.io.whosmat(io.BytesIO(data)))
    theirs = scipy.io.loadmat(io.BytesIO(data))[name[0]][0, 0]
    assert sum(".Y(" in n for n in found) == 7 * 9  # Data and eight numbers of each
    for i in range(7):
        np.testing.assert_array_equal(found[f"{name[0]}.Y({i + 1}).Data"], theirs["Y"][0, i]["Data"])
    np.testing.assert_array_equal(found[f"{name[0]}.Y(7).Data"].ravel(), vibration)


def big_struct(fields: int, samples: int) -> tuple[bytes, dict[str, np.ndarray]]:
    truth = {f"f{i}": RNG.integers(-9, 9, (samples, 1)).astype("f8") for i in range(fields)}
    return mat.structure("s", {k: mat.numeric("", v) for k, v in truth.items()}), truth


def test_the_fields_of_a_packed_struct_cost_one_pass(inflated: Counting) -> None:
    element, truth = big_struct(40, 60_000)
    contents = opened(mat.mat5(mat.packed(element, level=1)), budget_bytes=64 * MIB)
    assert inflated.total < len(element) + MIB  # to list them
    inflated.total = 0
    for name, array in arrays(contents).items():
        np.testing.assert_array_equal(array, truth[name[2:]])
    # Once for the samples, once for the checksum, and less than the way from one mark to the next for each field.
    assert inflated.total < 2 * len(element) + 40 * (mat5._MARK_EVERY + 60_000 * 8)


@pytest.mark.parametrize("mark_every", [1, 64, 1000, MIB])
@pytest.mark.parametrize("one_shot", [1, 7, 300, MIB])
def test_fields_in_any_order_and_pieces_of_any_size(
    monkeypatch: pytest.MonkeyPatch, mark_every: int, one_shot: int
) -> None:
    monkeypatch.setattr(mat5, "_MARK_EVERY", mark_every)
    monkeypatch.setattr(mat5_stream, "_ONE_SHOT", one_shot)
    monkeypatch.setattr(mat5_stream, "_BLOCK", one_shot + 3)
    fields = {f"f{i}": RNG.normal(size=(i * i, 1)) for i in range(12)}
    inner = mat.structure("", {"deep": mat.numeric("", WAVE)})
    element = mat.structure("s", {**{k: mat.numeric("", v) for k, v in fields.items()}, "t": inner})
    variables = {v.name: v for v in opened(mat.mat5(mat.packed(element))).variables if v.kind == "number"}
    assert set(variables) == {f"s.{name}" for name in fields} | {"s.t.deep"}
    for name in RNG.permutation([*variables, *variables]):
        expected = WAVE if name == "s.t.deep" else fields[name[2:]]
        np.testing.assert_array_equal(variables[name].load(), expected)


def test_a_wrong_checksum_of_a_struct_is_found_once_and_refuses_every_field(inflated: Counting) -> None:
    element, _ = big_struct(30, 60_000)
    packed = bytearray(mat.packed(element, level=1))
    packed[-1] ^= 1
    contents = opened(mat.mat5(bytes(packed)), budget_bytes=64 * MIB)
    inflated.total = 0
    for variable in contents.variables:
        with pytest.raises(RecordError, match=r"checksum|struct"):
            variable.load()
    assert inflated.total < 2 * len(element) + 30 * (mat5._MARK_EVERY + 60_000 * 8)


def test_damage_behind_a_header_leaves_the_header_listed() -> None:
    packed = zlib.compress(mat.numeric("x", RNG.normal(size=(90, 1))))
    for cut in (120, 200, 400, len(packed) - 1):
        data = mat.mat5(mat.tag(mat.COMPRESSED, cut) + packed[:cut])
        (variable,) = opened(data).variables
        assert (variable.name, variable.kind, variable.shape) == ("x", "number", (90, 1))
        with pytest.raises(RecordError, match=r"x\.mat: variable x is damaged: its compressed data"):
            variable.load()


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("kind", ["cells", "structs"])
def test_five_thousand_levels_are_not_descended(kind: str, is_packed: bool) -> None:
    def level(inside: bytes) -> bytes:
        return mat.structure("", {"a": inside}) if kind == "structs" else mat.cell("", [inside], shape=(1, 1))

    deep = mat.structure("s", {"a": nested(5000, level)})
    data = mat.mat5(mat.packed(deep) if is_packed else deep, mat.numeric("x", WAVE))
    contents = opened(data)
    assert len(contents.variables) < 8
    np.testing.assert_array_equal(contents.variables[-1].load(), WAVE)


# ---- bombs


@pytest.mark.parametrize("honest", [True, False])
def test_bombs_take_no_memory(honest: bool) -> None:
    data = mat.bomb(2048 * MIB, honest=honest)
    assert len(data) < 4 * MIB
    tracemalloc.start()
    try:
        (variable,) = opened(data).variables
        with pytest.raises(RecordError, match="limit for this file" if honest else "hold more than they state"):
            variable.load()
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_an_array_takes_little_more_than_itself() -> None:
    size = 16 * MIB
    contents = opened(mat.bomb(size), budget_bytes=size)
    tracemalloc.start()
    try:
        assert contents.variables[0].load().nbytes == size
        assert tracemalloc.get_traced_memory()[1] < size + 3 * mat5_stream._ONE_SHOT
    finally:
        tracemalloc.stop()


# ---- what fuzzing found


def test_v4_name_with_a_nul_in_a_file_that_is_cut_short() -> None:
    data = mat.mat4("words", np.arange(4.0))[:26]  # the name is stated longer than the file
    data = data[:16] + (39).to_bytes(4, "little") + b"wo\0rds"
    with pytest.raises(RecordError) as caught:
        opened(data)
    assert str(caught.value).isprintable()


def test_agreement_with_scipy_on_random_files() -> None:
    kinds = ("f8", "f4", *(f"{sign}{size}" for sign, size in itertools.product("iu", (1, 2, 4, 8))))
    for round_ in range(60):
        order = "<>"[round_ % 2]
        elements, expected = [], []
        for i in range(int(RNG.integers(1, 5))):
            shape = tuple(int(n) for n in RNG.integers(0, 6, int(RNG.integers(2, 4))))
            values = RNG.integers(0, 100, shape).astype(str(RNG.choice(kinds)))
            element = mat.numeric(f"v{i}", values, order=order, stored=str(RNG.choice(["u1", "i4", "f8"])))
            elements.append(mat.packed(element, order) if RNG.random() < 0.5 else element)
            expected.append(values)
        data = mat.mat5(*elements, order=order)
        theirs = scipy.io.loadmat(io.BytesIO(data))
        for i, (values, ours) in enumerate(zip(expected, arrays(opened(data)).values(), strict=True)):
            np.testing.assert_array_equal(ours, values)
            np.testing.assert_array_equal(ours, theirs[f"v{i}"])
            assert ours.dtype == values.dtype
