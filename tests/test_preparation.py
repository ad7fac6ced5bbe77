"""Records -> prepared file: what stands in it, what is left out, and what happens when it breaks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import scipy.io

from faultdx import __version__, dataset, passes
from faultdx.config import PrepareConfig
from faultdx.dataset import NUMBER_COLUMNS, SCHEMA, TEXT_COLUMNS, Writer, open_prepared
from faultdx.errors import ConfigError, DatasetError, OutputError, RecordError
from faultdx.preparation import Summary, prepare
from faultdx.records import Declared, Item, find_records
from faultdx.signals.resampling import resample

RATE = 12_000.0
SEGMENT = 64
SAMPLES = 2000
Make = Callable[..., Item]


def counting(samples: int, record: int) -> npt.NDArray[np.float64]:
    """Two channels of sample numbers, a myriad more for each record; of alternating sign, unlike a column of times."""
    n = np.arange(samples)
    x = (n + 10_000.0 * record) * (-1.0) ** n
    return np.stack([x, -x])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a recording that counts its samples, and declare it: see `counting`."""
    (tmp_path / "in").mkdir()
    count = 0

    def write(
        label: str | None,
        *,
        samples: int = SAMPLES,
        channels: int = 1,
        signal: Any = None,
        rate: float = RATE,
        **more: Any,
    ) -> Item:
        nonlocal count
        count += 1
        if signal is None:
            signal = counting(samples, count)[:channels].T
        path = tmp_path / "in" / f"{count}.npy"
        np.save(path, np.asarray(signal, np.float32))
        facts = {"sampling_rate_hz": rate, "said_by": "table", "label": label} | more
        return Item(str(path), Declared(**facts))

    return write


@pytest.fixture
def two(make: Make) -> list[Item]:
    return [make("normal"), make("worn")]


def run(items: Sequence[Item], out: Path, **options: Any) -> Summary:
    config = PrepareConfig(**({"segment": SEGMENT} | options))
    return prepare(items, out, config=config)


def files_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_file())


# What stands in the file


def test_the_schema_is_as_documented_and_readable_with_plain_h5py(make: Make, tmp_path: Path) -> None:
    items = [
        make("worn", channels=2, rpm=1797.0, specimen="b7", condition="2hp", asset="pump 3", unit="g", bearing="6205"),
        make("normal", channels=2),
    ]
    summary = run(items, tmp_path / "out.h5", hop=32, noise=("pink",), snr_db=(-4.0, 3.0), seed=9, split="time")
    with h5py.File(tmp_path / "out.h5") as file:
        n = sum(summary.segments.values())
        assert {k: (d.dtype.str, d.shape) for k, d in file.items() if k != "records"} == {
            "segments": ("<f4", (n, 2, SEGMENT)),
            "label": ("<i8", (n,)),
            "record": ("<i8", (n,)),
            "start": ("<i8", (n,)),
            "split": ("|i1", (n,)),
            "snr_db": ("<f4", (n,)),
            "noise": ("|i1", (n,)),
        }
        assert file["segments"].chunks is not None
        assert file["segments"].fletcher32
        a = dict(file.attrs)
        assert a["schema"] == SCHEMA == "faultdx.prepared/1"
        assert a["version"] == __version__
        stored = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(a["config"]).items()}
        assert PrepareConfig(**stored) == PrepareConfig(
            SEGMENT, 32, noise=("pink",), snr_db=(-4, 3), seed=9, split="time"
        )
        assert list(a["classes"]) == ["normal", "worn"]  # the healthy ones first
        assert list(a["healthy"]) == ["normal"]
        assert list(a["channels"]) == list(summary_channels(file))
        assert list(a["noise_kinds"]) == ["gaussian", "pink", "laplacian"]
        assert (a["sampling_rate_hz"], a["segment"], a["seed"], a["leakage"]) == (RATE, SEGMENT, 9, False)
        assert (a["split_method"], a["split_level"]) == ("time", summary.plan.level)
        assert len(a["digest"]) == len(a["data_digest"]) == 64
        table = file["records"]
        assert set(table) == {*TEXT_COLUMNS, *NUMBER_COLUMNS}
        first = {k: (d.asstr()[0] if k in TEXT_COLUMNS else d[0]) for k, d in table.items()}
        assert first | {"sha256": "", "rms": 0} == {
            "path": items[0].path, "sha256": "", "label": "worn", "specimen": "b7", "condition": "2hp",
            "asset": "pump 3", "unit": "g", "bearing": "6205", "rpm": 1797.0, "source_rate_hz": RATE,
            "samples": SAMPLES, "rms": 0,
        }  # fmt: skip
        assert np.isnan(table["rpm"][1])
        np.testing.assert_array_equal(file["label"][:], 1 - file["record"][:])
        assert set(zip(file["noise"][:].tolist(), file["snr_db"][:].tolist(), strict=True)) == {(1, -4.0), (1, 3.0)}


def summary_channels(file: h5py.File) -> npt.NDArray[np.object_]:
    channels: npt.NDArray[np.object_] = file.attrs["channels"]
    assert len(channels) == file["segments"].shape[1]
    return channels


def test_every_segment_is_where_the_columns_say(make: Make, tmp_path: Path) -> None:
    items = [make(label, channels=2, samples=s) for label, s in (("normal", 2000), ("worn", 1777), ("worn", 4001))]
    summary = run(items, tmp_path / "out.h5", hop=24)
    with open_prepared(tmp_path / "out.h5") as data:
        x = data.segments(np.arange(len(data.label)))
        for k, (record, start) in enumerate(zip(data.record, data.start, strict=True)):
            np.testing.assert_array_equal(x[k], counting(5000, record + 1)[:, start : start + SEGMENT])
        assert np.all(np.isinf(data.snr_db))
        assert np.all(data.noise == -1)
        assert not data.has_noise
        counts = {side: len(data.rows(side)) for side in ("train", "val", "test")}
        assert counts == summary.segments
        for record, samples in enumerate((2000, 1777, 4001)):
            first = {}
            last = {}
            for side, name in enumerate(("train", "val", "test")):
                starts = data.start[(data.record == record) & (data.side == side)]
                assert len(starts) > 0
                first[name], last[name] = starts.min(), starts.max() + SEGMENT
            assert first["val"] - last["train"] >= SEGMENT
            assert first["test"] - last["val"] >= SEGMENT
            assert first["test"] == round(0.8 * samples)
            assert last["test"] <= samples


def test_order_of_the_sources_changes_only_the_order(make: Make, tmp_path: Path) -> None:
    items = [make(label) for label in ("worn", "normal", "worn", "broken")]
    found = []
    for i, order in enumerate((items, items[::-1])):
        run(order, tmp_path / f"{i}.h5", hop=16)
        with open_prepared(tmp_path / f"{i}.h5") as data:
            sha256 = data.records()["sha256"][data.record]
            label = [data.classes[k] for k in data.label]
            x = data.segments(np.arange(len(data.label)))
            keys = zip(sha256, data.start.tolist(), data.side.tolist(), label, strict=True)
            found.append({key: row.tobytes() for key, row in zip(keys, x, strict=True)})
    assert found[0] == found[1]


def test_normalisation_by_segment_and_by_record(make: Make, tmp_path: Path) -> None:
    items = [make("normal", channels=2), make("worn", channels=2)]
    run(items, tmp_path / "z.h5", normalize="zscore")
    run(items, tmp_path / "r.h5", normalize="record")
    with open_prepared(tmp_path / "z.h5") as data:
        x = data.segments(np.arange(len(data.label)))
        np.testing.assert_allclose(x.mean(axis=-1), 0, atol=1e-5)
        np.testing.assert_allclose(x.std(axis=-1), 1, atol=1e-5)
    with open_prepared(tmp_path / "r.h5") as data:
        for row in data.rows("test"):
            whole = counting(SAMPLES, data.record[row] + 1)
            part = whole[:, data.start[row] : data.start[row] + SEGMENT]
            oracle = (part - whole.mean(axis=1, keepdims=True)) / whole.std(axis=1, keepdims=True)
            np.testing.assert_allclose(data.segments(np.array([row]))[0], oracle, atol=1e-5)


def test_mixed_rates_meet_at_the_lowest_and_a_note_says_so(make: Make, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1, 20_001)).astype(np.float32)
    items = [make("normal", signal=x.T, rate=48_000), make("worn")]
    summary = run(items, tmp_path / "out.h5")
    assert summary.skipped == ()
    assert summary.sampling_rate_hz == RATE
    assert "1 record resampled from 48000 to 12000 Hz, with an anti-aliasing filter" in summary.notes
    y = resample(x, from_hz=48_000, to_hz=RATE)
    with open_prepared(tmp_path / "out.h5") as data:
        assert data.sampling_rate_hz == RATE
        assert data.records()["source_rate_hz"].tolist() == [48_000, RATE]
        rows = np.flatnonzero(data.record == 0)
        oracle = np.stack([y[:, s : s + SEGMENT] for s in data.start[rows]])
        np.testing.assert_array_equal(data.segments(rows), oracle)
        assert data.start[rows].max() + SEGMENT <= y.shape[1] == 5001


def test_records_at_odd_rates_are_used(make: Make, tmp_path: Path) -> None:
    items = [make("normal", rate=12_005), make("worn"), make("worn", rate=37_699.1)]
    summary = run(items, tmp_path / "out.h5")
    assert (summary.records, summary.skipped, summary.sampling_rate_hz) == (3, (), RATE)
    assert "1 record resampled from 12005 to 12000 Hz, with an anti-aliasing filter" in summary.notes
    with open_prepared(tmp_path / "out.h5") as data:
        for record, rate in enumerate((12_005, RATE, 37_699.1)):
            y = resample(counting(SAMPLES, record + 1)[:1].astype(np.float32), from_hz=rate, to_hz=RATE)
            rows = np.flatnonzero(data.record == record)
            np.testing.assert_array_equal(
                data.segments(rows), np.stack([y[:, s : s + SEGMENT] for s in data.start[rows]])
            )


def test_records_that_cannot_be_resampled_are_left_out_one_by_one(make: Make, two: list[Item], tmp_path: Path) -> None:
    slow, absurd = make("worn", rate=8_000), make("normal", rate=5e7)
    summary = run([slow, two[0], absurd, two[1]], tmp_path / "out.h5", resample_hz=RATE)
    assert (summary.records, summary.sampling_rate_hz) == (2, RATE)
    assert [e.path for e in summary.skipped] == [slow.path, absurd.path]
    below, far = reasons(summary).splitlines()
    assert below.startswith(f"{slow.path}: is sampled at 8000 Hz, below the common 12000 Hz: the upper part of the ")
    assert far == f"{absurd.path}: cannot resample from 5e+07 Hz to 12000 Hz: the rates are too far apart"
    assert not any("resampled" in note for note in summary.notes)
    with open_prepared(tmp_path / "out.h5") as data:
        assert data.records()["path"].tolist() == [i.path for i in two]
    with pytest.raises(DatasetError, match=r"no record can be used; the first reason: .*below the common 24000 Hz"):
        run(two, tmp_path / "up.h5", resample_hz=24_000)


def test_a_random_split_is_refused_and_if_forced_marked_as_leaking(two: list[Item], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allow-leakage"):
        run(two, tmp_path / "out.h5", split="random")
    assert files_in(tmp_path) == []
    summary = run(two, tmp_path / "out.h5", split="random", allow_leakage=True, hop=16)
    with open_prepared(tmp_path / "out.h5") as data:
        assert data.split["leakage"] is True
        assert data.split["level"].startswith("LEAKING")
        share = {side: n / len(data.label) for side, n in summary.segments.items()}
        assert share == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2}, abs=0.1)
        assert all(len(data.rows(side)) == n for side, n in summary.segments.items())


def test_a_split_by_specimen_keeps_records_whole(make: Make, tmp_path: Path) -> None:
    items = [make(c, specimen=f"{c}{i}") for c in ("normal", "worn") for i in range(4) for _ in range(2)]
    summary = run(items, tmp_path / "out.h5")
    assert summary.plan.method == "specimen"
    with open_prepared(tmp_path / "out.h5") as data:
        specimen = data.records()["specimen"][data.record]
        for name in set(specimen):
            assert len(set(data.side[specimen == name])) == 1
        for label in (0, 1):
            assert set(data.side[data.label == label]) == {0, 1, 2}


def test_names_that_are_not_text_are_spelled_out(make: Make, tmp_path: Path) -> None:
    strange = os.fsdecode(b"gro\xdf\n")
    for name in ("ok", strange):
        (tmp_path / "classes" / name).mkdir(parents=True)
        np.save(tmp_path / "classes" / name / "a.npy", np.arange(SAMPLES) + float(len(name)))
    items = find_records([str(tmp_path / "classes")], flags=Declared(sampling_rate_hz=RATE))
    run(items, tmp_path / "out.h5")
    with open_prepared(tmp_path / "out.h5") as data:
        assert data.classes == ("ok", "gro\\xdf\\x0a")
        assert data.healthy == ("ok",)
        assert data.records()["label"].tolist() == ["gro\\xdf\\x0a", "ok"]
        data.verify()


# Gluing


@pytest.mark.parametrize("hop", [SEGMENT, 16, 48, 63, 1])
@pytest.mark.parametrize("normalization", ["none", "record"])
def test_stretches_are_the_signal_as_it_was(make: Make, tmp_path: Path, hop: int, normalization: str) -> None:
    x = np.random.default_rng(3).normal(size=(2, 3, 900)).astype(np.float32)
    run([make(c, signal=s.T) for c, s in zip(("normal", "worn"), x, strict=True)], tmp_path / "out.h5",
        hop=hop, normalize=normalization)  # fmt: skip
    if normalization == "record":
        x = (x - x.mean(axis=-1, keepdims=True, dtype=float)) / x.std(axis=-1, keepdims=True, dtype=float)
    with open_prepared(tmp_path / "out.h5") as data:
        for side in ("train", "val", "test"):
            stretches = data.stretches(side)
            assert [(s.record, s.label) for s in stretches] == [(0, 0), (1, 1)]
            for s in stretches:
                starts = data.start[data.rows(side)][data.record[data.rows(side)] == s.record]
                np.testing.assert_allclose(
                    s.signal, x[s.record][:, starts[0] : starts[-1] + SEGMENT], rtol=0, atol=1e-6
                )


def test_what_cannot_be_glued_stays_apart(two: list[Item], tmp_path: Path) -> None:
    for options in ({"hop": 65}, {"normalize": "zscore"}, {"noise": ("pink",), "snr_db": (0.0,)}):
        run(two, tmp_path / "out.h5", **options)
        with open_prepared(tmp_path / "out.h5") as data:
            rows = data.rows("train")
            glued = np.stack([s.signal for s in data.stretches("train")])
            np.testing.assert_array_equal(glued, data.segments(rows))
        (tmp_path / "out.h5").unlink()
    run(two, tmp_path / "out.h5", split="random", allow_leakage=True)
    with open_prepared(tmp_path / "out.h5") as data:
        for s in data.stretches("train"):  # neighbours may be on another side
            np.testing.assert_array_equal(np.diff(np.abs(s.signal[0])), 1)


# What is left out


def reasons(summary: Summary) -> str:
    assert all(isinstance(e, RecordError) and e.path for e in summary.skipped)
    return "\n".join(str(e) for e in summary.skipped)


def test_what_cannot_be_used_is_left_out_and_reported(make: Make, two: list[Item], tmp_path: Path) -> None:
    (tmp_path / "junk.npy").write_bytes(b"\x93NUMPY junk")
    out = [
        make(None),
        make("worn", samples=SEGMENT - 1),
        Item(str(tmp_path / "junk.npy"), Declared(label="worn", sampling_rate_hz=RATE)),
        Item(str(tmp_path / "missing.npy"), Declared(label="worn", sampling_rate_hz=RATE)),
        make("worn", sampling_rate_hz=None),
    ]
    summary = run([out[0], *two, *out[1:]], tmp_path / "out.h5")
    assert summary.records == 2
    assert [e.path for e in summary.skipped] == [out[i].path for i in (0, 2, 3, 4, 1)]
    text = reasons(summary)
    assert "1.npy: is shorter" not in text
    assert "no label is known for this record: give it in the column `label` of a records table" in text
    assert f"is shorter ({SEGMENT - 1} samples at 12000 Hz) than a segment of {SEGMENT}: choose a shorter" in text
    assert "missing.npy: no such file" in text
    assert "its sampling rate is not known" in text
    with open_prepared(tmp_path / "out.h5") as data:
        assert data.records()["path"].tolist() == [i.path for i in two]


def test_copies_are_left_out_and_contradictions_refused(make: Make, two: list[Item], tmp_path: Path) -> None:
    copy = tmp_path / "copy.npy"
    copy.write_bytes(Path(two[1].path).read_bytes())
    same = Item(str(copy), two[1].declared)
    other = Item(str(copy), two[0].declared)
    summary = run([*two, same], tmp_path / "same.h5")
    assert (summary.records, summary.skipped) == (2, ())
    assert f"{copy}: left out, the same samples as {two[1].path}" in summary.notes
    summary = run([*two, other], tmp_path / "other.h5")
    assert summary.records == 2
    said = f"{copy}: has the same samples as {two[1].path} and another label (normal, worn): correct"
    assert said in reasons(summary)


def test_a_copy_is_known_by_its_samples_whatever_file_they_are_in(two: list[Item], tmp_path: Path) -> None:
    signal = np.load(two[1].path)
    scipy.io.savemat(tmp_path / "again.mat", {"vibration": signal})
    summary = run([*two, Item(str(tmp_path / "again.mat"), two[1].declared)], tmp_path / "out.h5")
    assert (summary.records, summary.skipped) == (2, ())
    assert f"{tmp_path}/again.mat: left out, the same samples as {two[1].path}" in summary.notes


def test_two_variables_of_one_file_are_two_records_with_their_own_noise(two: list[Item], tmp_path: Path) -> None:
    x = np.random.default_rng(5).normal(size=(2, SAMPLES, 1))
    x /= x.std(axis=1, keepdims=True)
    scipy.io.savemat(tmp_path / "both.mat", {"left": x[0], "right": x[1]})
    items = [
        Item(str(tmp_path / "both.mat"), replace(two[1].declared, variable=variable)) for variable in ("left", "right")
    ]
    noise = {"noise": ("gaussian",), "snr_db": (0.0,)}
    summary = run([two[0], *items], tmp_path / "noisy.h5", **noise)
    assert (summary.records, summary.skipped) == (3, ())
    assert not any("same samples" in note for note in summary.notes)
    run([two[0], *items], tmp_path / "clean.h5")
    with open_prepared(tmp_path / "noisy.h5") as a, open_prepared(tmp_path / "clean.h5") as b:
        rows = np.arange(len(a.label))
        np.testing.assert_array_equal(a.start, b.start)
        added = a.segments(rows) - b.segments(rows)
        left, right = (added[a.record == r].ravel() for r in (1, 2))
        assert abs(np.corrcoef(left, right)[0, 1]) < 0.15  # from the same generator it would be 1
    # the noise belongs to the samples: from another file they get the same
    np.save(tmp_path / "right.npy", x[1].astype(np.float32))
    run([two[0], Item(str(tmp_path / "right.npy"), two[1].declared)], tmp_path / "moved.h5", **noise)
    with open_prepared(tmp_path / "noisy.h5") as a, open_prepared(tmp_path / "moved.h5") as c:
        np.testing.assert_array_equal(
            a.segments(np.flatnonzero(a.record == 2)), c.segments(np.flatnonzero(c.record == 1))
        )


def test_labels_from_another_column(make: Make, tmp_path: Path) -> None:
    items = [make(None, details={"fault": f"kind {i}"}) for i in range(2)]
    assert run(items, tmp_path / "a.h5", labels="fault").classes == ("kind 0", "kind 1")
    summary = run([*items, make("x")], tmp_path / "b.h5", labels="fault")
    assert "no fault is known for this record: its columns are label" in reasons(summary)
    items = [make(None, condition=f"{i}hp") for i in range(2)]
    assert run(items, tmp_path / "c.h5", labels="condition").classes == ("0hp", "1hp")


def test_healthy_classes(make: Make, tmp_path: Path) -> None:
    items = [make("Normal"), make("as new"), make("worn")]
    summary = run(items, tmp_path / "a.h5")
    assert (summary.classes, summary.healthy) == (("Normal", "as new", "worn"), ("Normal",))
    summary = run(items, tmp_path / "b.h5", healthy=("as new",))
    assert (summary.classes, summary.healthy) == (("as new", "Normal", "worn"), ("as new",))
    summary = run(items[1:], tmp_path / "c.h5")
    assert summary.healthy == ()
    assert any("no class is known to be healthy" in note for note in summary.notes)
    with open_prepared(tmp_path / "c.h5") as data:
        assert data.healthy == ()
    with pytest.raises(DatasetError, match=r"--healthy 'good': no record has this class; there are Normal, as new"):
        run(items, tmp_path / "d.h5", healthy=("good",))


def test_sets_that_teach_nothing_are_refused(make: Make, two: list[Item], tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    with pytest.raises(DatasetError, match="no records found"):
        run([], out)
    with pytest.raises(DatasetError, match=r"no record can be used; the first reason: .*missing.npy: no such file"):
        run([Item(str(tmp_path / "missing.npy"))], out)
    with pytest.raises(DatasetError, match=r"no record can be used; the first reason: .*shorter \(2000 samples"):
        run(two, out, segment=4096)
    with pytest.raises(DatasetError, match=r"a single class \(worn\): a network needs two or more"):
        run([make("worn"), make("worn")], out)
    with pytest.raises(DatasetError, match=r"has 1 channel .* and .* has 2 .*: choose the same with --channel"):
        run([*two, make("worn", channels=2)], out)
    with pytest.raises(DatasetError, match="no segment of class normal is left to train on"):
        run(two, out, segment=1024)
    assert files_in(tmp_path) == []


def test_signals_at_the_edge_give_finite_segments_or_are_left_out(make: Make, two: list[Item], tmp_path: Path) -> None:
    sign = (-1.0) ** np.arange(SAMPLES)[:, None]
    half_silent = np.where(np.arange(SAMPLES)[:, None] < SAMPLES // 2, 0.0, sign)
    for i, level in enumerate((1e-38, 1e29, 1e31, 3e38)):
        for options in ({"normalize": "zscore"}, {"normalize": "record"}, {"noise": ("pink",), "snr_db": (-60.0,)}):
            for signal in (level * sign, level * half_silent):
                summary = run([*two, make("edge", signal=signal)], tmp_path / f"{i}.h5", quality="off", **options)
                assert (summary.records == 2) == (level > 1e30)
                assert all("which no sensor gives" in str(e) for e in summary.skipped)
                with open_prepared(tmp_path / f"{i}.h5") as data:
                    assert np.all(np.isfinite(data.segments(np.arange(len(data.label)))))
                (tmp_path / f"{i}.h5").unlink()


# When it breaks


def test_a_target_that_exists_is_refused_before_anything_is_read(two: list[Item], tmp_path: Path) -> None:
    (tmp_path / "out.h5").write_text("mine")
    never = Item(str(tmp_path / "never read"))
    with pytest.raises(OutputError, match="exists already; --overwrite replaces it"):
        run([never], tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "mine"
    prepare(two, tmp_path / "out.h5", config=PrepareConfig(segment=SEGMENT), overwrite=True)
    with open_prepared(tmp_path / "out.h5") as data:
        data.verify()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder: is a folder; name a file"):
        prepare([never], tmp_path / "folder", config=PrepareConfig(segment=SEGMENT), overwrite=True)


@pytest.mark.parametrize("method", ["append", "finish"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "full"), OutputError),
        (RuntimeError("h5py says: write failed"), OutputError),
        (RecordError("x: unreadable"), RecordError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_nothing_is_left_when_writing_fails_in_the_middle(
    two: list[Item],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: BaseException,
    expected: type[BaseException],
) -> None:
    real = getattr(Writer, method)

    def failing(self: Writer, first: Any, second: Any) -> None:
        real(self, first, second)
        if method == "finish" or first == 1:
            raise error

    for old in (None, b"the old file"):
        if old:
            (tmp_path / "out.h5").write_bytes(old)
        with monkeypatch.context() as patch:
            patch.setattr(Writer, method, failing)
            with pytest.raises(expected):
                prepare(two, tmp_path / "out.h5", config=PrepareConfig(segment=SEGMENT), overwrite=True)
        kept = [".out.h5.journal.0.faultdx-tmp"] if expected is KeyboardInterrupt else []  # for the same command again
        assert files_in(tmp_path) == kept + (["out.h5"] if old else [])
    assert (tmp_path / "out.h5").read_bytes() == b"the old file"


def test_too_little_room_is_found_out_before_writing(
    two: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("no room")

    monkeypatch.setattr(dataset, "check_space", full)
    with pytest.raises(OutputError, match="no room"):
        run(two, tmp_path / "out.h5")
    assert files_in(tmp_path) == []


def test_a_record_that_changes_between_the_passes_is_noticed(two: list[Item], tmp_path: Path) -> None:
    def meddle(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("reading", total):
            np.save(two[1].path, np.arange(SAMPLES) * 2.0)

    with pytest.raises(DatasetError, match="changed while it was prepared: run prepare again"):
        prepare(two, tmp_path / "out.h5", config=PrepareConfig(segment=SEGMENT), progress=meddle)
    assert files_in(tmp_path) == []


def test_progress_counts_both_passes(two: list[Item], tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    config = PrepareConfig(segment=SEGMENT)
    prepare(two, tmp_path / "out.h5", config=config, progress=lambda *step: seen.append(step))
    assert seen == [("reading", 1, 2), ("reading", 2, 2), ("cutting", 1, 2), ("cutting", 2, 2)]


def test_a_worker_that_is_killed_is_told_in_a_line() -> None:
    with pytest.raises(DatasetError, match=r"a worker process was killed.*use fewer --workers"):
        list(passes.in_order(os._exit, [(9,), (9,)], 2))


MEMORY = """
import re, sys
from pathlib import Path
import numpy as np
from faultdx.config import PrepareConfig
from faultdx.preparation import prepare
from faultdx.records import Declared, Item

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e3

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
for count in (10, 60):
    items = []
    for i in range(count):
        path = folder / f"{i}.npy"
        np.save(path, rng.standard_normal(200_000, dtype=np.float32))
        items.append(Item(str(path), Declared(label="ab"[i % 2], sampling_rate_hz=12000.0, said_by="table")))
    prepare(items, folder / f"{count}.h5", config=PrepareConfig(segment=2048, quality="warn"))
    print(peak_mb())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_records(tmp_path: Path) -> None:
    """Fifty records more are 40 MB more to read and 40 MB more to write."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    ten, sixty = map(float, done.stdout.split())
    assert sixty - ten < 8


# Opening what is no prepared file, or no longer one


@pytest.fixture
def prepared(two: list[Item], tmp_path: Path) -> Path:
    run(two, tmp_path / "good.h5", hop=16)
    return tmp_path / "good.h5"


def read_all(path: Path) -> None:
    with open_prepared(path) as data:
        data.verify()
        data.records()


def test_a_good_file_passes_and_has_the_same_digest_each_time(two: list[Item], prepared: Path, tmp_path: Path) -> None:
    read_all(prepared)
    run(two, tmp_path / "again.h5", hop=16)
    assert (tmp_path / "again.h5").read_bytes() == prepared.read_bytes()
    run(two, tmp_path / "other.h5", hop=17)
    with open_prepared(prepared) as a, open_prepared(tmp_path / "other.h5") as b:
        assert a.digest != b.digest


@pytest.mark.parametrize("column", ["segments", "label", "record", "start", "split", "snr_db", "noise"])
def test_a_flipped_byte_is_found(prepared: Path, column: str) -> None:
    with h5py.File(prepared) as file:
        stored = file[column]
        at = stored.id.get_chunk_info(0).byte_offset if column == "segments" else stored.id.get_offset()
        size = stored.id.get_chunk_info(0).size if column == "segments" else stored.id.get_storage_size()
    good = prepared.read_bytes()
    for offset in {0, size // 2, size - 1}:
        bad = bytearray(good)
        bad[at + offset] ^= 0x40
        prepared.write_bytes(bad)
        with pytest.raises(DatasetError, match=r"good.h5: is damaged"):
            read_all(prepared)


def test_a_truncated_file_is_refused(prepared: Path) -> None:
    good = prepared.read_bytes()
    for size in sorted({*range(0, len(good), len(good) // 40), 1, 8, len(good) - 1}):
        prepared.write_bytes(good[:size])
        with pytest.raises(DatasetError, match=r"is not a prepared file|is damaged"):
            read_all(prepared)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    (tmp_path / "text.h5").write_text("hello")
    h5py.File(tmp_path / "foreign.h5", "w").close()
    for name, message in (
        ("missing.h5", r"missing.h5: no such file; `faultdx prepare SOURCE --out .*missing.h5` makes one"),
        ("a folder", "is a folder, not a prepared file"),
        ("text.h5", "is not a prepared file"),
        ("foreign.h5", "is HDF5, but not a prepared file; this version reads faultdx.prepared/1"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_all(tmp_path / name)


def put(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.attrs.__setitem__("schema", "faultdx.prepared/2"),
            "has the schema 'faultdx.prepared/2'; this ver",
        ),
        (lambda f: f.attrs.__setitem__("schema", [1, 2]), "is HDF5, but not a prepared file"),
        (lambda f: f.attrs.__setitem__("schema", np.bytes_(SCHEMA)), "is HDF5, but not a prepared file"),
        (lambda f: f.attrs.__delitem__("classes"), "is damaged or incomplete"),
        (lambda f: f.attrs.__setitem__("classes", ["one"]), "labels outside the classes"),
        (lambda f: f.attrs.__setitem__("config", "{"), "is damaged or incomplete"),
        (lambda f: f.attrs.__setitem__("segment", 65), "shapes that do not fit"),
        (lambda f: f.attrs.__setitem__("segment", np.inf), "is damaged or incomplete"),
        (lambda f: f.attrs.__setitem__("segment", "x"), "is damaged or incomplete"),
        (lambda f: f.attrs.__setitem__("config", "{}"), "is damaged or incomplete"),
        (lambda f: f.attrs.__delitem__("data_digest"), "is damaged or incomplete"),
        (put("records", [1, 2]), "is damaged .its records table."),
        (put("label", None), "is damaged or incomplete"),
        (put("label", [0, 1]), "shapes that do not fit"),
        (put("segments", 3.0), "is damaged or incomplete"),
        (put("segments", None), "is damaged or incomplete"),
        (lambda f: (f.__delitem__("segments"), f.create_group("segments")), "is damaged or incomplete"),
        (lambda f: (f.__delitem__("start"), f.create_group("start")), "is damaged or incomplete"),
    ],
)
def test_a_file_that_somebody_edited(prepared: Path, change: Callable[[h5py.File], None], message: str) -> None:
    with h5py.File(prepared, "a") as file:
        change(file)
    with pytest.raises(DatasetError, match=message):
        read_all(prepared)


# Real records


@pytest.mark.real_data
def test_the_cwru_set_becomes_ten_classes_at_one_rate(real_data: Path, tmp_path: Path) -> None:
    items = find_records([str(real_data / "cwru")])
    assert len(items) == 37
    summary = prepare(items, tmp_path / "cwru.h5", config=PrepareConfig(segment=2048))
    assert (summary.records, len(summary.classes), summary.skipped) == (37, 10, ())
    assert (summary.sampling_rate_hz, summary.healthy) == (12_000.0, ("normal",))
    assert any(note.startswith("1 record resampled from 48000 to 12000 Hz") for note in summary.notes)
    with open_prepared(tmp_path / "cwru.h5") as data:
        data.verify()
        table = data.records()
        lengths = np.ceil(table["samples"] * RATE / table["source_rate_hz"])
        for record, samples in enumerate(lengths):
            mine = data.record == record
            assert data.start[mine & (data.side == 0)].max() + 2 * 2048 <= 0.6 * samples + 1
            assert data.start[mine & (data.side == 2)].min() >= np.floor(0.8 * samples)
            assert data.start[mine].max() + 2048 <= samples
