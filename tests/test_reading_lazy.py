"""A file is read as far as it is needed, each byte once, and a reader is imported when a file of its format comes."""

from __future__ import annotations

import gc
import hashlib
import io
import itertools
import mmap
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matfiles as mat
import numpy as np
import pytest
import scipy.io

from faultdx.errors import RecordError, UnusableError
from faultdx.records import Declared, Item, mat4, mirror, opening, read_record, read_samples, record_from_bytes, uff
from faultdx.records import opened as opened_module
from faultdx.records.formats import FORMATS, Reader, open_contents
from faultdx.records.marks import is_mat4, is_surely_mat5, is_uff, may_be_archive
from faultdx.records.mirror import Mirror
from faultdx.records.npy import matches_npz
from faultdx.records.opened import Opened, open_item
from faultdx.records.opening import fetch
from faultdx.records.reading import read_item
from faultdx.records.tars import is_header

RNG = np.random.default_rng(7)
WAVES = {name: RNG.normal(size=90_000) for name in ("a", "b", "c")}  # 720 KB each: huge pages, where there are any
MIB = 1 << 20


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A v5 file of three variables, uncompressed."""
    path = tmp_path / "x.mat"
    path.write_bytes(mat.mat5(*(mat.numeric(name, wave) for name, wave in WAVES.items())))
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The spans, from and up to, that a Mirror reads, in their order."""
    spans: list[tuple[int, int]] = []
    preadv = os.preadv

    def listen(fd: int, buffers: list[memoryview], offset: int) -> int:
        count = preadv(fd, buffers, offset)
        spans.append((offset, offset + count))
        return count

    monkeypatch.setattr(mirror.os, "preadv", listen)
    return spans


def descriptors() -> int:
    gc.collect()  # an error that was caught keeps what it came through
    return len(list(Path("/proc/self/fd").iterdir()))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_of(opened: Opened) -> str:
    return opened.sha256


def arrays(opened: Opened) -> dict[str, np.ndarray]:
    return {v.name: v.load() for v in opened.contents.variables if v.kind == "number"}


# ---- what is read, and when


def test_only_what_is_needed_is_read_and_each_byte_once(whole: Path, asked: list[tuple[int, int]]) -> None:
    opened = open_item(str(whole))
    listed = sum(end - start for start, end in asked)
    assert [v.name for v in opened.contents.variables] == ["a", "b", "c"]
    assert listed <= 5 * 16_384
    np.testing.assert_array_equal(opened.contents.variables[1].load().ravel(), WAVES["b"])
    one = sum(end - start for start, end in asked)
    assert 720_000 - 16_384 <= one - listed <= 720_000 + 2 * 16_384
    opened.contents.variables[1].load()
    assert sum(end - start for start, end in asked) == one
    assert opened.sha256 == digest(whole)
    spans = sorted(asked)
    assert spans[0][0] == 0 and spans[-1][1] == whole.stat().st_size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))


def test_the_digest_is_that_of_the_file_whatever_was_read_before(whole: Path) -> None:
    for names in ("", "a", "c", "ab", "abc"):
        opened = open_item(str(whole))
        for name in names:
            next(v for v in opened.contents.variables if v.name == name).load()
        assert opened.sha256 == digest(whole) and opened.size_bytes == whole.stat().st_size
        for name, array in arrays(opened).items():
            np.testing.assert_array_equal(array.ravel(), WAVES[name])


def test_samples_alone_take_no_digest_and_no_rate(
    whole: Path, asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_module, "sha256_of", lambda _: pytest.fail("a digest"))
    monkeypatch.setattr(opened_module, "blob_id", lambda _: pytest.fail("a digest"))
    got = read_samples(whole, variable="b")
    assert got.shape == (1, 90_000) and got.dtype == np.float32 and got.flags.c_contiguous
    np.testing.assert_array_equal(got[0], WAVES["b"].astype(np.float32))
    assert sum(end - start for start, end in asked) < whole.stat().st_size / 2
    with pytest.raises(RecordError, match="sampling rate is not known"):
        read_record(whole, variable="b")
    named = [mat.numeric(f"X105_{place}_time", WAVES[name]) for place, name in (("FE", "a"), ("DE", "b"))]
    whole.write_bytes(mat.mat5(*named))  # which may be in the catalogue
    np.testing.assert_array_equal(read_samples(whole)[0], got[0])


def test_samples_are_those_of_the_record_in_every_format(tmp_path: Path) -> None:
    wave = np.round(RNG.normal(size=(300, 2)) * 1000) / 1024
    scipy.io.savemat(tmp_path / "a.mat", {"x": wave}, do_compression=True)
    scipy.io.savemat(tmp_path / "b.mat", {"x": wave}, format="4")
    np.save(tmp_path / "c.npy", wave)
    np.savetxt(tmp_path / "d.csv", wave, delimiter=",")
    for path in sorted(tmp_path.iterdir()):
        for channels in ((), ("2",)):
            record = read_record(path, sampling_rate_hz=1000, channels=channels, scale=0.5)
            np.testing.assert_array_equal(read_samples(path, channels=channels, scale=0.5), record.signal)


def test_samples_are_refused_as_a_record_is(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file") as missing:
        read_samples(tmp_path / "x.mat")
    assert missing.value.path == str(tmp_path / "x.mat")
    (tmp_path / "y.mat").write_bytes(mat.mat5(mat.numeric("x", np.full(99, 3.0))))
    with pytest.raises(UnusableError, match="constant"):
        read_samples(tmp_path / "y.mat")


def test_an_unusable_record_still_has_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    for bad in (np.full(400, 3.0), np.r_[np.nan, np.arange(400.0)], np.r_[np.arange(400.0), -np.inf]):
        path.write_bytes(mat.mat5(mat.numeric("x", bad), mat.numeric("y", WAVES["a"])))
        with pytest.raises(UnusableError) as caught:
            read_record(path, sampling_rate_hz=1000, variable="x")
        assert caught.value.sha256 == digest(path)


# ---- the same as from bytes in memory


@pytest.fixture(params=[16, 1 << 14])
def poisoned(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces, or large ones, and memory full of nonsense: a byte that was not asked for is wrong for sure."""
    monkeypatch.setattr(mirror, "_BLOCK", request.param)
    monkeypatch.setattr(mirror, "_memory", lambda size: np.full(size, 0xA5, np.uint8))


def good_files() -> Iterator[bytes]:
    wave = np.sin(np.arange(50.0))
    for order in "<>":
        plain = [
            mat.numeric("x", wave, order=order),
            mat.numeric("n", np.arange(40, dtype="i4"), stored="u1", order=order),
            mat.text("t", "words", order=order),
            mat.structure(
                "s", {"d": mat.numeric("", wave, order=order), "r": mat.numeric("", 12.5, order=order)}, order=order
            ),
            mat.cell("c", [mat.numeric("", wave, order=order)], order=order),
        ]
        yield mat.mat5(*plain, order=order)
        yield mat.mat5(*(mat.packed(e, order) for e in plain), order=order)
    yield mat.mat5(mat.packed(mat.numeric("x", np.zeros(300_000))), mat.numeric("y", WAVES["a"]))


def said(read: Callable[[], Opened]) -> object:
    """What a reading gives, errors and arrays, as something that can be compared."""
    try:
        opened = read()
    except RecordError as error:
        return str(error)
    found: list[object] = [opened.contents.format]
    for v in opened.contents.variables:
        try:
            array = v.load()
            found.append((v.name, v.kind, v.text, array.dtype.str, array.shape, array.tobytes()))
        except RecordError as error:
            found.append((v.name, v.kind, v.text, str(error)))
    return found


def both(path: Path, data: bytes) -> tuple[object, object]:
    path.write_bytes(data)
    return said(lambda: open_item(str(path))), said(lambda: opened_module.open_bytes(data, name=str(path)))


@pytest.mark.usefixtures("poisoned")
def test_a_file_reads_as_its_bytes_do(tmp_path: Path) -> None:
    mirrored = 0
    for data in good_files():
        lazy, eager = both(tmp_path / "x.mat", data)
        assert lazy == eager and isinstance(lazy, list)
        mirrored += fetch(str(tmp_path / "x.mat"), lazily=True).mirror is not None
    assert mirrored == 5


@pytest.mark.usefixtures("poisoned")
def test_a_file_cut_short_anywhere_is_refused_as_its_bytes_are(tmp_path: Path) -> None:
    plain, packed = list(good_files())[:2]
    for data in (plain, packed):
        for size in range(120, len(data), 4):
            lazy, eager = both(tmp_path / "x.mat", data[:size])
            assert lazy == eager, size


@pytest.mark.usefixtures("poisoned")
def test_a_damaged_file_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    draw = random.Random(3)
    for data in list(good_files())[:4]:
        for _ in range(100):
            spoilt = bytearray(data)
            for _ in range(draw.choice((1, 1, 2, 9))):
                spoilt[draw.randrange(100, len(data))] = draw.choice((0, 1, 14, 15, 127, 255, draw.randrange(256)))
            lazy, eager = both(tmp_path / "x.mat", bytes(spoilt))
            assert lazy == eager


def test_what_hdf5_claims_is_no_v5_file() -> None:
    head = mat.mat5().ljust(4096, b"\0")
    assert is_surely_mat5(head)
    for place in (512, 1024, 2048):
        claimed = head[:place] + b"\x89HDF\r\n\x1a\n" + head[place + 8 :]
        assert not is_surely_mat5(claimed)
        assert next(f.name for f in FORMATS if f.matches(claimed)) == "HDF5"


@pytest.mark.real_data
def test_real_records_are_those_of_their_bytes(real_data: Path) -> None:
    paths = [real_data / "cwru" / "97.mat", real_data / "cwru" / "105.mat", *(real_data / "cwru_odd").glob("*.mat")]
    for path in paths:
        flags = Declared(sampling_rate_hz=None)
        lazy = read_item(Item(str(path), flags=flags))
        eager = record_from_bytes(path.read_bytes(), name=str(path), flags=flags)
        np.testing.assert_array_equal(lazy.signal, eager.signal)
        for name in ("sampling_rate_hz", "rpm", "channels", "label", "sha256", "notes", "known_from", "details"):
            assert getattr(lazy, name) == getattr(eager, name), (path, name)
        np.testing.assert_array_equal(read_samples(path), eager.signal)


# ---- files that change


def changed_size(path: Path, by: int) -> None:
    os.truncate(path, path.stat().st_size + by)


@pytest.mark.parametrize("by", [-1, -2_000_000, 1, 100_000])
def test_a_file_that_is_cut_or_grows_while_it_is_read_is_refused(whole: Path, by: int) -> None:
    opened = open_item(str(whole))
    changed_size(whole, by)
    for _ in range(2):
        with pytest.raises(RecordError, match=r"its size changed while it was read .* try again") as caught:
            opened.contents.variables[-1].load()
        assert caught.value.path == str(whole) and "\n" not in str(caught.value)
        with pytest.raises(RecordError, match="its size changed"):
            _ = opened.sha256


def test_a_file_that_is_written_to_while_it_is_read_is_refused(whole: Path) -> None:
    opened = open_item(str(whole))
    with whole.open("r+b") as stream:
        stream.seek(900_000)
        stream.write(b"other")
    os.utime(whole, ns=(1, whole.stat().st_mtime_ns + 1))
    with pytest.raises(RecordError, match="it was written to while it was read"):
        opened.contents.variables[0].load()
    with pytest.raises(RecordError, match="it was written to"):
        read_item(Item(str(whole), flags=Declared(sampling_rate_hz=1e4, variable="a"))) and opened.sha256


def test_what_was_decoded_is_what_is_digested(whole: Path) -> None:
    """Whoever writes to the file between the two, and covers it up."""
    before, times = whole.read_bytes(), whole.stat()
    opened = open_item(str(whole))
    kept = [v.load().copy() for v in opened.contents.variables]
    with whole.open("r+b") as stream:
        stream.write(bytes(len(before)))
    os.utime(whole, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert opened.sha256 == hashlib.sha256(before).hexdigest()
    for array, v in zip(kept, opened.contents.variables, strict=True):
        np.testing.assert_array_equal(v.load(), array)


def test_a_file_that_is_replaced_or_removed_is_read_to_its_end(whole: Path, tmp_path: Path) -> None:
    expected = digest(whole)
    opened = open_item(str(whole))
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").replace(whole)
    assert opened.sha256 == expected
    np.testing.assert_array_equal(opened.contents.variables[0].load().ravel(), WAVES["a"])


def test_a_disk_that_fails_is_said(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_item(str(whole))

    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(mirror.os, "preadv", fails)
    with pytest.raises(RecordError, match=r"cannot be read: input/output error; check the name and the disk"):
        opened.contents.variables[0].load()
    monkeypatch.undo()
    with pytest.raises(RecordError, match="input/output error"):  # part of it may be there, and nobody knows which
        _ = opened.sha256


# ---- descriptors, memory, threads


def test_no_descriptor_is_left_open(whole: Path) -> None:
    before = descriptors()
    opened = open_item(str(whole))
    assert descriptors() == before + 1
    assert opened.sha256 and descriptors() == before  # every byte is there
    opened = open_item(str(whole))
    kept = opened.contents.variables[0].load()
    del opened
    assert descriptors() == before
    np.testing.assert_array_equal(kept.ravel(), WAVES["a"])
    whole.write_bytes(whole.read_bytes()[:-5])
    with pytest.raises(RecordError, match="cut short"):
        open_item(str(whole))
    assert descriptors() == before


def test_many_opened_files_do_not_use_up_the_descriptors(tmp_path: Path) -> None:
    for i in range(80):
        (tmp_path / f"{i}.mat").write_bytes(mat.mat5(mat.numeric("x", np.arange(5000.0) + i)))
    before = descriptors()
    held = [open_item(str(tmp_path / f"{i}.mat")) for i in range(80)]
    assert descriptors() <= before + 32
    for i, opened in enumerate(held):
        assert opened.contents.variables[0].load()[0, 0] == i
        assert opened.sha256 == digest(tmp_path / f"{i}.mat")
    assert descriptors() == before


def test_memory_that_is_used_again_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays stay what they were when their file is gone and others are read."""
    expected, kept = [], []
    for i in range(6):
        wave = RNG.normal(size=80_000)
        (tmp_path / f"{i}.mat").write_bytes(mat.mat5(mat.numeric("x", wave)))
        expected.append(wave)
        kept.append(open_item(str(tmp_path / f"{i}.mat")).contents.variables[0].load())
        assert not kept[-1].flags.writeable
    for array, wave in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(array.ravel(), wave)
    del array
    kept.clear()
    gc.collect()
    made: list[int] = []
    make = mmap.mmap
    monkeypatch.setattr(mirror.mmap, "mmap", lambda *a, **k: made.append(1) or make(*a, **k))
    for _ in range(4):
        part = open_item(str(tmp_path / "0.mat")).contents.variables[0].load()[5:10]  # a part keeps the whole
        before = len(made)
        other = open_item(str(tmp_path / "1.mat")).contents.variables[0].load()
        assert len(made) == before + 1 and not np.shares_memory(other, part)
        np.testing.assert_array_equal(part.ravel(), expected[0][5:10])
        np.testing.assert_array_equal(other.ravel(), expected[1])
        del part, other
    assert len(made) <= 5  # one for each `other`, and at most one at the start: it is used again


def test_no_more_than_one_piece_of_memory_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(mat.mat5(mat.numeric("x", np.zeros(1_300_000))))  # more than is kept
    big = open_item(str(path)).contents.variables[0].load()
    del big
    held = [open_item(str(path)) for _ in range(3)]
    del held
    gc.collect()
    assert sum(len(memory) for memory in mirror._spare) <= 8 * MIB


def test_without_huge_pages(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    mirror._spare.clear()
    assert open_item(str(whole)).sha256 == digest(whole)


def test_threads_may_share_an_opened_file(whole: Path, asked: list[tuple[int, int]]) -> None:
    for _ in range(5):
        asked.clear()
        opened = open_item(str(whole))
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda v: v.load().ravel(), opened.contents.variables * 2))
            digests = set(pool.map(digest_of, [opened] * 4))
        for array, wave in zip(found, [*WAVES.values()] * 2, strict=True):
            np.testing.assert_array_equal(array, wave)
        assert digests == {digest(whole)}
        assert sum(end - start for start, end in asked) == whole.stat().st_size


def test_a_mirror_refuses_nothing_of_an_empty_span(whole: Path) -> None:
    found = fetch(str(whole), lazily=True).mirror
    assert isinstance(found, Mirror)
    found.need(10, 10)
    found.need(found.size + 5, found.size + 9)
    assert bytes(found.whole()) == whole.read_bytes()
    found.finish()


def test_others_get_the_bytes(whole: Path) -> None:
    assert fetch(str(whole)).data == opening.read_bytes(whole) == whole.read_bytes()
    assert fetch(str(whole)).mirror is None


# ---- what is imported

OURS = (
    "archives", "cells", "child", "cwru", "dialect", "folders", "foreign", "hdf5", "headings", "inspection",
    "isolation", "joined", "mat4", "members", "npy", "parquet", "plugins", "preamble", "published", "room", "streams",
    "table_reading", "table_rows", "tars", "tdms", "text", "uff", "wav", "zips",
)  # fmt: skip
THEIRS = (
    "asyncio", "csv", "difflib", "email", "faulthandler", "glob", "http", "importlib.metadata", "inspect", "json",
    "logging", "multiprocessing", "pickle", "resource", "scipy", "select", "socket", "subprocess", "tempfile",
    "typing_extensions", "zipfile",
)  # fmt: skip
LOOK = """
import sys
import numpy
before = set(sys.modules)
from faultdx.records import Declared, find_records
from faultdx.records.reading import read_item
for item in find_records(sys.argv[1:], flags=Declared(sampling_rate_hz=1000.0)):
    read_item(item).sha256
print(*sorted(set(sys.modules) - before))
"""


def imported(*paths: Path) -> set[str]:
    """The modules that reading these files imports beyond numpy's own."""
    done = subprocess.run([sys.executable, "-c", LOOK, *paths], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_v5_file_imports_no_other_reader(whole: Path) -> None:
    scipy.io.savemat(whole.with_name("y.mat"), {"y": WAVES["a"]}, do_compression=True)
    (whole.with_name("z.mat")).write_bytes(mat.mat5(mat.numeric("z", WAVES["a"])))
    found = imported(whole.with_name("y.mat"), whole.with_name("z.mat"))
    assert "faultdx.records.mat5" in found
    assert not found & {f"faultdx.records.{name}" for name in OURS}
    assert not found & set(THEIRS)


@pytest.mark.parametrize("suffix", ["csv", "wav", "npy", "4.mat"])
def test_a_format_imports_its_own_reader(tmp_path: Path, suffix: str) -> None:
    wave = np.round(RNG.normal(size=400) * 100)
    path = tmp_path / f"x.{suffix}"
    if suffix == "csv":
        np.savetxt(path, wave)
    elif suffix == "npy":
        np.save(path, wave)
    elif suffix == "wav":
        scipy.io.wavfile.write(path, 1000, wave.astype("i2"))
    else:
        scipy.io.savemat(path, {"x": wave}, format="4")
    readers = {"csv": "text", "wav": "wav", "npy": "npy", "4.mat": "mat4"}
    found = imported(path)
    assert f"faultdx.records.{readers[suffix]}" in found
    others = {"hdf5", "mat5", "parquet", "tdms", "uff", "isolation", "child", "archives", "plugins", *readers.values()}
    assert not found & {f"faultdx.records.{name}" for name in others - {readers[suffix]}}


def test_every_registered_reader_is_there() -> None:
    for form in FORMATS:
        assert isinstance(form.open, Reader)
        assert callable(form.open.function()) and form.open.function().__name__ == form.open.name


def test_cheap_looks_agree_with_the_readers_own() -> None:
    """Random heads, and good ones with a few bytes changed."""
    draw = random.Random(5)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.csv"))
    seeds = [
        out.getvalue()[:512],
        b"\x80\x80" + bytes(510),  # its signed bytes and eight spaces add up to 0, which is what it states
        mat.mat4("x", np.arange(20.0)) + bytes(512),
        mat.mat4("x", np.arange(20.0), order=">") + bytes(512),
        mat.mat4("x", np.arange(20, dtype="u1"), order=">", form=2) + bytes(512),
        mat.mat4("x", np.arange(20, dtype="u1"), machine=4, form=2) + bytes(512),
        mat.mat5(mat.numeric("x", np.arange(90.0))),
        b"\n    -1\n    58\nname\n" + b" " * 600,
        b"    -1\r\n    15b   1\n    -1\n" * 30,
        bytes(512),
        b"1,2,3\n" * 100,
    ]
    yes = [0, 0, 0]
    for _ in range(4000):
        head = bytearray(draw.choice(seeds) if draw.random() < 0.9 else draw.randbytes(600))
        for _ in range(draw.choice((0, 0, 1, 2, 12))):
            head[draw.randrange(min(len(head), draw.choice((24, 160, 512))))] = draw.choice((0, 32, 48, 55, 128, 255))
        data = bytes(head)
        archive = data.startswith((b"PK\x03\x04", b"\x1f\x8b\x08"))
        for i, (light, full) in enumerate(
            (
                (may_be_archive(data[:512]), archive or is_header(data[:512])),
                (is_mat4(data), mat4.matches(data)),
                (is_uff(data), uff.matches(data)),
            )
        ):
            assert light == full, data
            yes[i] += full
    assert min(yes) > 100, yes  # or nothing was compared
    assert not matches_npz(b"PK\x03\x04")


# A child can open no file, so what its reader needs has to be imported before it begins: found in a process where
# nothing else has imported anything.
BARE = """
import sys, pathlib
from faultdx.records.formats import open_contents
from faultdx.errors import RecordError
for path in sys.argv[1:]:
    data = pathlib.Path(path).read_bytes()
    try:
        contents = open_contents(data, name="x")
        for v in contents.variables:
            v.load()
        print("read", contents.format)
    except RecordError as error:
        print(ascii(str(error)))
"""


@pytest.mark.parametrize("name", ["HDF5", "TDMS", "Parquet", "UFF 58"])
def test_isolated_readers_work_where_nothing_was_imported(tmp_path: Path, name: str) -> None:
    from test_readers import GOOD, signals

    pytest.importorskip(GOOD[name].module)
    data = GOOD[name].write(signals(300))
    paths = []
    for i, size in enumerate((len(data), len(data) - 1, len(data) // 2, 700, len(data))):
        paths.append(tmp_path / str(i))
        paths[-1].write_bytes(data[:size] if i < 4 else data[: len(data) // 2] + b"\xff" + data[len(data) // 2 + 1 :])
    done = subprocess.run([sys.executable, "-c", BARE, *paths], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"read {name.split(maxsplit=1)[0]}") and len(lines) == 5
    assert not [line for line in lines if "Errno" in line or "ImportError" in line or "ModuleNotFound" in line]


def test_two_variables_of_one_name_are_refused_in_a_child_too(tmp_path: Path) -> None:
    """The one that is there most often is named, whatever the order."""
    rows = [mat.numeric(name, np.arange(20.0)) for name in "abcbac"] + [mat.numeric("c", np.arange(20.0))]
    with pytest.raises(RecordError, match=r"holds two variables called c; save it again with one of each name"):
        open_contents(mat.mat5(*rows), name="x")
