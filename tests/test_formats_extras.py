"""The readers that lean on a library, UFF 58, TDMS and Parquet, give what the library's own writer was given."""

from __future__ import annotations

import importlib
import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faultdx.errors import RecordError
from faultdx.records import marks, parquet, tdms, uff
from faultdx.records.contents import Contents
from faultdx.records.conventions import meaning_of
from faultdx.records.formats import FORMATS, Source, default_budget_bytes

pyuff = pytest.importorskip("pyuff")
nptdms = pytest.importorskip("nptdms")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=500)


def source(data: bytes) -> Source:
    return Source(data, "rec.bin", default_budget_bytes(len(data)))


def numbers(contents: Contents) -> dict[str, np.ndarray]:
    return {v.name: v.load() for v in contents.variables if v.kind == "number"}


# ---- UFF 58


def function(data: np.ndarray, *, rate: float = 12_800, even: int = 1, **options: Any) -> dict[str, Any]:
    start = {
        "func_type": 1, "rsp_node": 1, "rsp_dir": 1, "ref_dir": 1, "ref_node": 1, "id1": "acc DE", "binary": 0,
        "rsp_ent_name": "A", "ref_ent_name": "B", "abscissa_spec_data_type": 17, "ordinate_spec_data_type": 12,
        "orddenom_spec_data_type": 0, "ordinate_axis_units_lab": "g",
    }  # fmt: skip
    found: dict[str, Any] = pyuff.prepare_58(
        data=data, x=np.arange(len(data)) / rate, abscissa_spacing=even, **start | options
    )
    return found


def written(path: Path, *functions: dict[str, Any], double: bool = True) -> bytes:
    target = path / "x.uff"
    target.unlink(missing_ok=True)
    pyuff.UFF(str(target)).write_sets(list(functions), "add", force_double=double)
    return target.read_bytes()


pytestmark = pytest.mark.filterwarnings(  # pyuff leaves the files open that it writes
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.mark.parametrize("options", [{}, {"binary": 1}, {"even": 0}])
@pytest.mark.parametrize("length", [500, 499, 7])
def test_uff_as_pyuff_wrote_it(tmp_path: Path, options: dict[str, Any], length: int) -> None:
    data = written(tmp_path, function(SIGNAL[:length], **options), function(2 * SIGNAL, rate=44_100, **options))
    assert uff.matches(data)
    first, second = uff.open_uff(source(data)).variables
    assert [(v.name, v.shape, v.unit) for v in (first, second)] == [
        ("acc DE", (length,), "g"),
        ("acc DE_2", (500,), "g"),
    ]
    assert (first.sampling_rate_hz, second.sampling_rate_hz) == (12_800, 44_100)
    np.testing.assert_allclose(first.load(), SIGNAL[:length], rtol=0 if options.get("binary") else 1e-11)
    np.testing.assert_allclose(second.load(), 2 * SIGNAL, rtol=0 if options.get("binary") else 1e-11)


def test_uff_of_single_precision_and_of_odd_lines(tmp_path: Path) -> None:
    data = written(tmp_path, function(SIGNAL, ord_data_type=2), double=False)
    np.testing.assert_allclose(numbers(uff.open_uff(source(data)))["acc DE"], SIGNAL, rtol=1e-5)
    odd = data.split(b"\n")[:13]
    odd += [line + b" " * (i % 3) for i, line in enumerate(data.split(b"\n")[13:-2])]  # no two lines alike
    same = b"\n".join([*odd, b"    -1", b""])
    np.testing.assert_allclose(numbers(uff.open_uff(source(same)))["acc DE"], SIGNAL, rtol=1e-5)
    crlf = data.replace(b"\n", b"\r\n")
    np.testing.assert_allclose(numbers(uff.open_uff(source(crlf)))["acc DE"], SIGNAL, rtol=1e-5)


def test_uff_of_big_endian_samples(tmp_path: Path) -> None:
    data = written(tmp_path, function(SIGNAL, binary=1))
    big = data.replace(b"58b     1", b"58b     2", 1).replace(
        SIGNAL.astype("<f8").tobytes(), SIGNAL.astype(">f8").tobytes()
    )
    np.testing.assert_array_equal(numbers(uff.open_uff(source(big)))["acc DE"], SIGNAL)


def test_uff_lists_what_is_no_signal_over_time(tmp_path: Path) -> None:
    uneven = function(SIGNAL, even=0) | {"x": np.cumsum(RNG.uniform(0, 1, 500))}
    data = written(
        tmp_path,
        function(SIGNAL, func_type=4, abscissa_spec_data_type=18, id1="FRF"),
        function(SIGNAL, func_type=0, abscissa_spec_data_type=19, id1="over rpm"),
        function(SIGNAL + 1j, id1="complex"),
        function(SIGNAL, id1="NONE"),
        uneven | {"id1": "uneven"},
    )
    found = {v.name: v for v in uff.open_uff(source(data)).variables}
    assert {n: v.kind for n, v in found.items()} == {
        "FRF": "other", "over rpm": "other", "complex": "other", "dataset_4": "number", "uneven": "other",
    }  # fmt: skip
    for name, why in (
        ("FRF", "spectrum"),
        ("over rpm", "something else than time"),
        ("complex", "complex"),
        ("uneven", "uneven"),
    ):
        with pytest.raises(RecordError, match=f"variable {name} .*{why}"):
            found[name].load()
    unknown = written(tmp_path, function(SIGNAL, abscissa_axis_units_lab="fortnight"))
    assert uff.open_uff(source(unknown)).variables[0].sampling_rate_hz is None


def test_uff_that_is_damaged(tmp_path: Path) -> None:
    for binary in (0, 1):
        data = written(tmp_path, function(SIGNAL, binary=binary))
        for size in range(30, len(data) - 1, 41 if binary else 101):
            if not uff.matches(data[:size]):
                continue
            with pytest.raises(RecordError, match=r"rec\.bin"):
                numbers(uff.open_uff(source(data[:size])))
        for count in (b"       499", b"       501", b"1000000000", b"      -500"):
            lying = data.replace(b"       500", count, 1)
            with pytest.raises(RecordError, match="damaged"):
                [v.load() for v in uff.open_uff(source(lying)).variables]


@pytest.mark.parametrize(
    "text", ["    -1\n    58\n     3\n    -1\n", "-1\n58\n", "    -1\n    77\nx\n    -1\n", "    -1,    58\n", "-1.0\n"]
)
def test_uff_is_not_seen_in_a_table(text: str) -> None:
    assert not uff.matches(text.encode())


# ---- TDMS


def tdms_file(*segments: list[Any]) -> bytes:
    out = io.BytesIO()
    with nptdms.TdmsWriter(out) as writer:
        for objects in segments:
            writer.write_segment(objects)
    return out.getvalue()


def channel(name: str, values: Any, group: str = "Vib", **properties: Any) -> Any:
    return nptdms.ChannelObject(group, name, values, properties)


def test_tdms_as_nptdms_wrote_it() -> None:
    counts = (SIGNAL * 1000).astype("i2")
    scaled = {
        "NI_Number_Of_Scales": np.uint32(1), "NI_Scale[0]_Scale_Type": "Linear", "NI_Scale[0]_Linear_Slope": 0.5,
        "NI_Scale[0]_Linear_Y_Intercept": 1.0, "NI_Scale[0]_Linear_Input_Source": np.uint32(0xFFFFFFFF),
    }  # fmt: skip
    data = tdms_file(
        [
            nptdms.RootObject({"rpm": 1480.0, "author": "x"}),
            channel("ai0", SIGNAL, wf_increment=1 / 12_800, unit_string="g"),
            channel("Dev1/ai1", counts, wf_increment=0.1, wf_xunit_string="ms"),
            channel("ai2", counts, **scaled),
            channel("spectrum", SIGNAL, wf_increment=0.5, wf_xunit_string="Hz"),
            channel("note", ["a", "b"], "Text"),
        ],
        [channel("ai0", SIGNAL)],
    )
    assert marks.is_tdms(data)
    found = {v.name: v for v in tdms.open_tdms(source(data)).variables}
    assert found["Vib.ai0"].unit == "g" and found["Text.note"].kind == "text"
    rates = {n: v.sampling_rate_hz for n, v in found.items() if v.sampling_rate_hz}
    assert rates == {"Vib.ai0": 12_800, "Vib.Dev1/ai1": 10_000}
    np.testing.assert_array_equal(found["Vib.ai0"].load(), np.tile(SIGNAL, 2))
    assert found["Vib.Dev1/ai1"].load().dtype == np.int16
    np.testing.assert_array_equal(found["Vib.ai2"].load(), 0.5 * counts + 1)
    assert found["rpm"].load() == 1480 and "author" not in found


def test_tdms_channels_are_chosen_by_rate() -> None:
    data = tdms_file([channel("a", SIGNAL, wf_increment=1e-4), channel("temp", SIGNAL, "Slow", wf_increment=1.5)])
    contents = tdms.open_tdms(source(data))
    with pytest.raises(RecordError, match="different rates"):
        meaning_of(contents, name="f")
    meaning = meaning_of(contents, name="f", variable="/Vib/a")
    assert [s.value for s in meaning.rates] == [10_000]


def test_tdms_that_is_cut_short() -> None:
    data = tdms_file([channel("ai0", SIGNAL[:40])], [channel("ai0", SIGNAL[:40])])
    boundary = data.rindex(b"TDSm")
    for size in range(4, len(data)):
        if size == boundary:  # a whole file itself
            continue
        with pytest.raises(RecordError, match="cut short"):
            tdms.open_tdms(source(data[:size]))


def test_tdms_that_is_damaged_raises_one_type() -> None:
    data = tdms_file([channel("ai0", SIGNAL[:40], wf_increment=0.1), channel("i", np.arange(40, dtype="i2"))])
    for _ in range(600):
        damaged = bytearray(data)
        for position in RNG.integers(4, 300, 3):
            damaged[position] = RNG.integers(256)
        try:
            found = numbers(tdms.open_tdms(source(bytes(damaged))))
            assert sum(v.nbytes for v in found.values()) <= 8 * len(data)
        except RecordError as error:
            assert str(error).startswith("rec.bin: ") and "\n" not in str(error)


def test_tdms_warns_nobody(tmp_path: Path) -> None:
    """nptdms writes to stderr where it is left to itself: here about a name that is not UTF-8."""
    path = tmp_path / "x.tdms"
    path.write_bytes(tdms_file([channel("ai0", SIGNAL)]).replace(b"'ai0'", b"'a\xffi'"))
    code = (
        "import sys, pathlib; from faultdx.records import tdms; from faultdx.records.formats import Source; "
        "print(tdms.open_tdms(Source(pathlib.Path(sys.argv[1]).read_bytes(), 'x', 1 << 20)).variables[0].shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(500,)\n", "")


def test_parquet_and_tdms_need_no_more_than_is_imported_before() -> None:
    """In their child processes they can open no file, and so import nothing."""
    list_of_three = pa.array([[1.0, 2.0, 3.0], None], pa.list_(pa.float64(), 3))
    holes = {"x": pa.array([1, None]), "b": pa.array([True, None]), "w": pa.array([[1.0], None]), "f": list_of_three}
    for data in (parquet_file(holes), tdms_file([channel("ai0", SIGNAL)])):
        form = next(form for form in FORMATS if form.matches(data))
        found = {v.name: v.load() for v in form.contents(source(data)).variables if v.kind == "number"}
        if "b" in found:
            np.testing.assert_array_equal(found["b"].ravel(), [1, np.nan])
            assert [found[f"f({i})"].tolist() for i in (1, 2)] == [[1, 2, 3], []]


def test_tdms_states_no_more_than_it_holds() -> None:
    data = tdms_file([channel("ai0", SIGNAL[:40])])
    at = data.index(struct.pack("<Q", 40))
    with pytest.raises(RecordError, match=r"damaged|cut short"):
        numbers(tdms.open_tdms(source(data[:at] + struct.pack("<Q", 1 << 50) + data[at + 8 :])))
    with pytest.raises(RecordError, match="cut short"):
        tdms.open_tdms(source(data[:20] + struct.pack("<Q", 1 << 40) + data[28:]))


# ---- Parquet


def parquet_file(columns: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, out, **options)
    return out.getvalue()


@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u2", "i8", "bool"])
def test_parquet_columns_are_variables(dtype: str) -> None:
    values = (SIGNAL * 100).astype(dtype)
    data = parquet_file(
        {"a.b": values, "words": ["x"] * 500, "when": pa.array([0] * 500, pa.timestamp("s"))}, row_group_size=77
    )
    assert marks.is_parquet(data)
    found = {v.name: v for v in parquet.open_parquet(source(data)).variables}
    assert [v.kind for v in found.values()] == ["number", "text", "other"]
    np.testing.assert_array_equal(found["a.b"].load(), values)
    assert found["a.b"].load().dtype == (np.uint8 if dtype == "bool" else dtype)


def test_parquet_states_and_misses() -> None:
    schema = pa.schema(
        [pa.field("acc", pa.float64(), metadata={"unit": "g"}), pa.field("n", pa.int32())],
        metadata={"sampling_rate": "12800", "made by": "us"},
    )
    holes = [None if i == 7 else i for i in range(500)]
    data = parquet_file(pa.table([pa.array(SIGNAL), pa.array(holes, pa.int32())], schema=schema))
    contents = parquet.open_parquet(source(data))
    assert [(v.name, v.unit) for v in contents.variables] == [("acc", "g"), ("n", None), ("sampling_rate", None)]
    assert np.isnan(contents.variables[1].load()[7]) and contents.variables[1].load()[8] == 8
    assert [s.value for s in meaning_of(contents, name="f", variable="acc").rates] == [12_800]


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float64()), pa.list_(pa.float64(), 50)])
def test_parquet_lists_are_waveforms(kind: Any) -> None:
    waves = SIGNAL.reshape(10, 50)
    rpm = np.arange(1500.0, 1510)
    contents = parquet.open_parquet(
        source(parquet_file({"w": pa.array(list(waves), kind), "rpm": rpm}, row_group_size=3))
    )
    np.testing.assert_array_equal(numbers(contents)["w"], waves[:, None])
    meaning = meaning_of(contents, name="f", variable="w(4)")
    np.testing.assert_array_equal(meaning.channels[0].load(), waves[3])
    assert [s.value for s in meaning.rpms] == [1503]
    one = parquet.open_parquet(source(parquet_file({"w": pa.array(list(waves[:1]), kind), "rpm": rpm[:1]})))
    assert {n: v.shape for n, v in numbers(one).items()} == {"w": (50,), "rpm": (1,)}


def test_parquet_lists_of_several_lengths() -> None:
    contents = parquet.open_parquet(source(parquet_file({"w": [SIGNAL[:30], None, SIGNAL[:50]]})))
    assert {n: v.size for n, v in numbers(contents).items()} == {"w(1)": 30, "w(2)": 0, "w(3)": 50}
    np.testing.assert_array_equal(numbers(contents)["w(3)"], SIGNAL[:50])


def test_parquet_that_is_cut_short_or_over_the_budget() -> None:
    data = parquet_file({"a": SIGNAL, "w": [SIGNAL[:20]] * 500})
    for size in range(4, len(data), 37):
        with pytest.raises(RecordError, match="cut short"):
            parquet.open_parquet(source(data[:size]))
    bomb = parquet_file({"a": np.zeros(6_000_000)})  # 48 MB in a few thousand bytes
    assert len(bomb) < 50_000
    with pytest.raises(RecordError, match="the limit for this file"):
        numbers(parquet.open_parquet(source(bomb)))


# ---- all of them


@pytest.mark.parametrize(
    ("library", "cure", "reader", "data"),
    [
        ("pyuff", "uff", uff.open_uff, b"    -1\n    58\nx\n    -1\n"),
        ("nptdms", "tdms", tdms.open_tdms, tdms_file([channel("a", SIGNAL)])),
        ("pyarrow", "parquet", parquet.open_parquet, parquet_file({"a": SIGNAL})),
    ],
)
def test_a_missing_library_is_named(
    library: str, cure: str, reader: Callable[[Source], Contents], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(RecordError, match=rf"{library} is not installed; pip install 'faultdx\[{cure}\]'"):
        reader(source(data))


def test_lists_in_parquet_load_in_a_fresh_process_too(tmp_path: Path) -> None:
    """What pyarrow imports late, a child process cannot open any more."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    wave = np.random.default_rng(0).normal(size=3000).cumsum()
    pq.write_table(pa.table({"waveform": [wave.tolist()], "fs": [12_800.0]}), tmp_path / "l.parquet")
    code = (
        "import sys, faultdx; r = faultdx.read_record(sys.argv[1]); "
        "print(r.signal.shape, r.sampling_rate_hz, float(r.signal[0, 1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "l.parquet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(1,", "3000)", "12800.0", str(float(np.float32(wave[1])))]
