"""ONE list of checks that every reader passes. A format is added by a line in FORMATS, and by a line in GOOD here."""

from __future__ import annotations

import gc
import io
import json
import tempfile
import warnings
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from faultdx.errors import ConfigError, RecordError
from faultdx.records.child import Limits, run
from faultdx.records.contents import Contents, NumberArray
from faultdx.records.formats import FORMATS, Format, Source, default_budget_bytes, open_contents
from faultdx.records.room import ChildError

MIB = 1024 * 1024
NAME = "rec.bin"
FEWEST = 16  # samples of a recording; fewer are a setting
Signals = dict[str, NumberArray]


def signals(samples: int) -> Signals:
    """Two channels that every format can hold exactly: multiples of 1/256, in [-1, 1)."""
    rng = np.random.default_rng(samples)
    return {name: rng.integers(-256, 256, samples) / 256 for name in ("a", "b")}


@dataclass(frozen=True)
class Good:
    """How a good file of a format is made, by a writer that is not ours.

    write : from two channels; names : what the reader calls them; column : as MATLAB's (samples, 1)
    joined : one array (samples, 2) holds both; module : the extra that is needed
    cut_inside : a file cut inside its last number is a shorter one, as in text
    """

    write: Callable[[Signals], bytes]
    names: tuple[str, ...] = ("a", "b")
    column: bool = False
    joined: bool = False
    module: str = "numpy"
    cut_inside: bool = False

    def expected(self, wanted: Signals) -> Signals:
        arrays = list(wanted.values())
        if self.joined:
            return {self.names[0]: np.stack(arrays, axis=1)}
        return {n: a[:, None] if self.column else a for n, a in zip(self.names, arrays, strict=True)}


def to_bytes(write: Callable[[Any], object]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def write_hdf5(wanted: Signals) -> bytes:
    def write(out: Any) -> None:
        with h5py.File(out, "w", libver="latest") as file:  # the small kind of file
            for name, values in wanted.items():
                packed = {"chunks": values.shape, "compression": "gzip"} if name == "b" else {}
                file.create_dataset(name, data=values, **packed)

    return to_bytes(write)


def write_wav(wanted: Signals) -> bytes:
    def write(out: Any) -> None:
        with wave.open(out, "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(12_000)
            file.writeframes((np.stack(list(wanted.values()), axis=1) * 2**15).astype("<i2").tobytes())

    return to_bytes(write)


def write_text(wanted: Signals) -> bytes:
    rows = zip(*(values.tolist() for values in wanted.values()), strict=True)
    return (",".join(wanted) + "\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows)).encode()


def write_tdms(wanted: Signals) -> bytes:
    from nptdms import ChannelObject, TdmsWriter

    def write(out: Any) -> None:
        with TdmsWriter(out) as file:
            file.write_segment([ChannelObject("run", name, values) for name, values in wanted.items()])

    return to_bytes(write)


def write_parquet(wanted: Signals) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(dict(wanted))
    options: dict[str, Any] = {"write_statistics": False, "store_schema": False, "use_dictionary": False}
    return to_bytes(lambda f: pyarrow.parquet.write_table(table, f, write_page_checksum=True, **options))


def write_uff(wanted: Signals) -> bytes:
    """pyuff writes to files alone: to one without a name."""
    import pyuff

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it leaves files to the garbage collector
        path = Path(folder) / "x.uff"
        for name, values in wanted.items():
            dataset = pyuff.prepare_58(
                binary=1 if name == "b" else 0,
                func_type=1,
                rsp_node=1,
                rsp_dir=3,
                ref_dir=3,
                ref_node=1,
                id1=name,
                data=values,
                x=np.arange(values.size) / 12800,
                abscissa_spacing=1,
                abscissa_spec_data_type=17,
                ordinate_spec_data_type=12,
                orddenom_spec_data_type=0,
            )
            pyuff.UFF(str(path)).write_sets(dataset, mode="add")
        gc.collect()
        return path.read_bytes()


def columns(wanted: Signals) -> Signals:
    return {name: values[:, None] for name, values in wanted.items()}


GOOD: dict[str, Good] = {
    "HDF5": Good(write_hdf5),
    "MATLAB v5": Good(lambda s: to_bytes(lambda f: scipy.io.savemat(f, columns(s))), column=True),
    "MATLAB v4": Good(lambda s: to_bytes(lambda f: scipy.io.savemat(f, columns(s), format="4")), column=True),
    "WAV": Good(write_wav, names=("channel_1", "channel_2")),
    "npy": Good(
        lambda s: to_bytes(lambda f: np.save(f, np.stack(list(s.values()), axis=1))), names=("data",), joined=True
    ),
    "npz": Good(lambda s: to_bytes(lambda f: np.savez_compressed(f, **s))),
    "TDMS": Good(write_tdms, names=("run.a", "run.b"), module="nptdms"),
    "Parquet": Good(write_parquet, module="pyarrow"),
    "UFF 58": Good(write_uff, module="pyuff"),
    "text": Good(write_text, cut_inside=True),
}


@pytest.fixture(params=FORMATS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Format:
    """Each registered format that can be read here."""
    found: Format = request.param
    if found.name not in GOOD:
        pytest.fail(f"the format {found.name} has no good file in GOOD: say there how one is made")
    pytest.importorskip(GOOD[found.name].module, reason=f"{GOOD[found.name].module} is not installed")
    return found


def made(form: Format, samples: int = 24) -> tuple[bytes, Signals]:
    """A good file, and the arrays that are in it."""
    wanted = signals(samples)
    return GOOD[form.name].write(wanted), GOOD[form.name].expected(wanted)


def opened(data: bytes, **options: Any) -> Contents:
    return open_contents(data, name=NAME, **options)


def numbers(contents: Contents) -> Signals:
    return {v.name: v.load() for v in contents.variables if v.kind == "number"}


def well_said(error: RecordError | str) -> None:
    text = str(error)
    assert text.startswith(f"{NAME}: "), text
    assert text.isprintable(), text
    assert "; " in text, text  # the cure
    assert isinstance(error, str) or error.path == NAME


# ---- many files of one format at little cost


def outcome(form: Format, data: bytes) -> dict[str, Any]:
    """What reading gives: {"error": text}, or for each variable its error or its type, shape and values."""
    if not form.matches(data):
        return {"error": f"{NAME}: is of another format; none"}
    source = Source(data, NAME, default_budget_bytes(len(data)))
    try:
        variables = form.open(source).variables
    except RecordError as error:
        return {"error": str(error)}
    found: dict[str, Any] = {}
    for variable in variables:
        try:
            array = variable.load()
            assert array.shape == variable.shape
            found[variable.name] = (array.dtype.str, array.tolist())
        except RecordError as error:
            found[variable.name] = str(error)
    return found


def outcomes(form: Format, files: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """What reading each file gives. For an isolated format they are read in a few children instead of one each; the
    file that ends such a child is read again by the front door, where its end has to be a RecordError."""
    if not form.isolated:
        yield from (outcome(form, data) for data in files)
        return
    numbers(opened(made(form)[0]))  # imports what is needed
    start, step = 0, 32
    while start < len(files):
        some = files[start : start + step]
        try:
            said = run(lambda some=some: [outcome(form, data) for data in some], limits=Limits(256 * MIB, 10))
        except ChildError:
            if step > 1:
                step = 1
                continue
            try:
                numbers(opened(some[0]))
                said = [{}]
            except RecordError as error:
                said = [{"error": str(error)}]
        assert isinstance(said, list)
        yield from said
        start, step = start + step, 32


# ---- the checks


def test_every_format_has_a_good_file_and_a_name_of_its_own() -> None:
    assert set(GOOD) == {form.name for form in FORMATS}
    assert len({form.name for form in FORMATS}) == len(FORMATS)


def test_a_good_file_gives_the_samples_it_was_made_from(form: Format) -> None:
    data, expected = made(form, 500)
    contents = opened(data)
    assert [v.name for v in contents.variables] == list(expected)
    for variable in contents.variables:
        np.testing.assert_array_equal(variable.load(), expected[variable.name])


def test_names_shapes_and_kinds_are_listed_before_anything_is_loaded(form: Format) -> None:
    data, expected = made(form, 500)
    contents = opened(data)
    assert [(v.name, v.shape, v.kind) for v in contents.variables] == [
        (name, array.shape, "number") for name, array in expected.items()
    ]
    assert contents.format.startswith(form.name)


def test_the_first_format_that_matches_is_the_right_one(form: Format) -> None:
    data, _ = made(form)
    assert next(f.name for f in FORMATS if f.matches(data)) == form.name


@pytest.mark.parametrize("name", ["x.mat", "x.csv", "x.h5", "x", "x.wav.gz", "-"])
def test_the_suffix_does_not_matter(form: Format, name: str) -> None:
    data, expected = made(form)
    assert list(numbers(open_contents(data, name=name))) == list(expected)


def test_loading_twice_gives_equal_arrays(form: Format) -> None:
    data, _ = made(form, 200)
    contents = opened(data)
    first, second = numbers(contents), numbers(contents)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        assert array.dtype == second[name].dtype


def test_the_order_of_loading_does_not_matter(form: Format) -> None:
    data, expected = made(form, 200)
    for variable in reversed(opened(data).variables):
        np.testing.assert_array_equal(variable.load(), expected[variable.name])


def test_arrays_are_real_numbers_in_native_byte_order(form: Format) -> None:
    for array in numbers(opened(made(form, 200)[0])).values():
        assert array.dtype.isnative
        assert array.dtype.kind in "iuf"
        assert type(array) is np.ndarray


def test_the_input_is_never_modified(form: Format) -> None:
    data, _ = made(form, 200)
    kept = bytes(bytearray(data))
    whole = np.frombuffer(data, np.uint8)
    for array in numbers(opened(data)).values():
        assert not (np.shares_memory(array, whole) and array.flags.writeable)
        if array.flags.writeable:
            array[...] = 0
    assert data == kept
    again = numbers(opened(data))
    assert all(array.any() for array in again.values())


def test_what_is_left_of_a_contents_does_not_hold_the_next(form: Format) -> None:
    """Arrays stay whole when the Contents that they are from is gone, and others are read."""
    data, expected = made(form, 3000)
    kept = [numbers(opened(data)) for _ in range(3)]
    for found in kept:
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("data", [b"", b"\0", b"\n", b"M", bytes(4096)])
def test_nothing_and_next_to_nothing(data: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        opened(data)
    well_said(caught.value)


def test_the_budget_is_kept(form: Format) -> None:
    """What is no view of the file is refused before it takes more than the budget."""
    data, _ = made(form, 5000)
    whole = np.frombuffer(data, np.uint8)
    try:
        contents = opened(data, budget_bytes=1000)
    except RecordError as error:
        well_said(error)
        return
    for variable in contents.variables:
        try:
            assert np.shares_memory(variable.load(), whole)
        except RecordError as error:
            well_said(error)
            assert "limit" in str(error)


def test_the_budget_is_one_for_all_variables(form: Format) -> None:
    data, expected = made(form, 5000)
    budget = int(1.5 * 5000 * 8)
    try:
        contents = opened(data, budget_bytes=budget)
        taken = sum(a.nbytes for a in numbers(contents).values() if not np.shares_memory(a, np.frombuffer(data, "u1")))
        assert taken <= budget
    except RecordError as error:
        well_said(error)
        assert expected


def test_the_budget_may_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTDX_DECODED_MIB", "0.5")
    assert default_budget_bytes(10 * MIB) == MIB // 2
    with pytest.raises(RecordError, match=r"limit for this file is 0\.5 MiB"):
        opened(write_text(signals(100_000)))
    monkeypatch.setenv("FAULTDX_DECODED_MIB", "1024")
    assert default_budget_bytes(0) == 1024 * MIB
    for wrong in ("0", "-5", "many", "nan", "inf", "1e30"):
        monkeypatch.setenv("FAULTDX_DECODED_MIB", wrong)
        with pytest.raises(ConfigError, match=f"FAULTDX_DECODED_MIB must be a number of MiB above 0, not '{wrong}'"):
            opened(b"1,2\n" * 30)
    monkeypatch.setenv("FAULTDX_DECODED_MIB", "")
    assert default_budget_bytes(0) == 24 * MIB


def sound(form: Format, found: dict[str, Any], expected: Signals) -> None:
    """An error in one line, or arrays that are a part of the right ones and nothing else."""
    if "error" in found:
        well_said(found["error"])
        return
    for name, said in found.items():
        if isinstance(said, str):
            well_said(said)
            continue
        assert name in expected, f"made up: {name}"
        array, whole = np.array(said[1], said[0]), expected[name]
        if GOOD[form.name].cut_inside:  # the last row may have lost digits
            assert len(array) <= len(whole)
            np.testing.assert_array_equal(array[:-1], whole[: max(len(array) - 1, 0)])
        else:
            np.testing.assert_array_equal(array, whole)


def test_cut_at_every_byte(form: Format) -> None:
    data, expected = made(form)
    ends = range(1, len(data))
    complete = 0
    for found in outcomes(form, [data[:end] for end in ends]):
        sound(form, found, expected)
        arrays = {name: said for name, said in found.items() if name != "error" and not isinstance(said, str)}
        complete += len(arrays) == len(expected)
    # A few bytes at the end may not matter (padding, a last newline); otherwise what is cut is not whole.
    assert complete <= 16 or GOOD[form.name].cut_inside


def test_cut_by_the_front_door(form: Format) -> None:
    """The same through open_contents, at a few of the places. A cut file may pass for another format, and then for
    a few numbers, but never for samples that are not there."""
    data, expected = made(form, 200)
    for end in range(1, len(data), max(1, len(data) // 25)):
        found: dict[str, Any] = {}
        try:
            contents = opened(data[:end])
            for variable in contents.variables:
                try:
                    array = variable.load()
                    if contents.format.startswith(form.name) or array.size >= FEWEST:
                        found[variable.name] = (array.dtype.str, array.tolist())
                except RecordError as error:
                    well_said(error)
        except RecordError as error:
            well_said(error)
            continue
        sound(form, found, expected)


def test_more_bytes_at_the_end(form: Format) -> None:
    """What a logger appends must not change what is there: refused, or read as without."""
    data, expected = made(form)
    for tail in (b"\0", b"\0" * 600, b"\n", b"x" * 50):
        (found,) = outcomes(form, [data + tail])
        if "error" in found or GOOD[form.name].cut_inside:
            continue
        for name, said in found.items():
            if name in expected and not isinstance(said, str):
                np.testing.assert_array_equal(np.array(said[1]), expected[name])


def test_random_byte_flips(form: Format) -> None:
    """Never another exception; and what comes has the type and the shape that were listed."""
    data, _ = made(form)
    rng = np.random.default_rng(3)
    files = []
    for _ in range(250):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            changed[place] = int(rng.integers(256))
        files.append(bytes(changed))
    read = 0
    for found in outcomes(form, files):
        if "error" in found:
            well_said(found["error"])
            continue
        for said in found.values():
            if isinstance(said, str):
                well_said(said)
            else:
                assert np.dtype(said[0]).kind in "iuf"
                read += 1
    assert read < 2 * len(files)


def test_blocks_that_are_zeroed_doubled_or_lost(form: Format) -> None:
    data, _ = made(form)
    rng = np.random.default_rng(4)
    files = []
    for _ in range(40):
        start, end = sorted(int(n) for n in rng.integers(0, len(data) + 1, 2))
        part = data[start:end]
        files += [
            data[:start] + bytes(len(part)) + data[end:],
            data[:start] + part + data[start:],
            data[:start] + data[end:],
        ]
    for found in outcomes(form, [file for file in files if file]):
        for said in found.values():
            if isinstance(said, str):
                well_said(said)


def test_an_isolated_reader_gives_what_it_gives_in_the_process(form: Format) -> None:
    data, _ = made(form, 300)
    here = numbers(replace(form, isolated=False).contents(Source(data, NAME, 8 * MIB)))
    there = numbers(replace(form, isolated=True).contents(Source(data, NAME, 8 * MIB)))
    assert list(here) == list(there)
    for name, array in here.items():
        np.testing.assert_array_equal(array, there[name])
        assert array.dtype == there[name].dtype


def test_outcomes_are_those_of_the_front_door(form: Format) -> None:
    """The short cut of these tests says what open_contents says."""
    data, _ = made(form)
    (found,) = outcomes(form, [data])
    front = {name: (a.dtype.str, a.tolist()) for name, a in numbers(opened(data)).items()}
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(front))
