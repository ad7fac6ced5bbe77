"""The prepared file: HDF5, schema faultdx.prepared/1, readable with plain h5py.

    /segments  float32 (N, channels, samples), in physical units unless normalised, chunked, each chunk checksummed
    /label     class index, into the attribute `classes`           /record  row of /records
    /start     first sample of the segment, at the common rate      /split   0 train, 1 val, 2 test
    /snr_db    SNR of the added noise, +inf where none was added    /noise   index into `noise_kinds`, -1 for none
    /records/  one dataset a column: path, sha256, label, specimen, condition, asset, rpm, ...
    attributes: schema, version, config and declared (JSON), classes, healthy, sampling_rate_hz, segment, channels,
                split_*, leakage, seed, noise_kinds, data_digest, digest

Numpy and h5py only; h5py is imported when a file is opened.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx import __version__
from faultdx.errors import DatasetError, OutputError
from faultdx.files import check_space, replacing, show
from faultdx.signals.noise import KINDS
from faultdx.sink import Sink
from faultdx.splits import NAMES
from faultdx.surveying import NUMBER_COLUMNS, ForeignError, Samples, Survey, digest_text, opened

SCHEMA = "faultdx.prepared/1"
_CHUNK_BYTES = 1 << 17  # small enough for a shuffled read of single segments, large enough to stream

# What attributes of another kind lead to: seen by flipping bytes all over a file.
_UNREADABLE = (LookupError, ArithmeticError, AttributeError, ValueError, TypeError, RecursionError)

TEXT_COLUMNS = ("path", "sha256", "label", "specimen", "condition", "asset", "unit", "bearing")


@dataclass(frozen=True, eq=False)
class Block:
    """The segments of one record, as they go into the file."""

    segments: npt.NDArray[np.float32]  # (n, channels, samples)
    start: npt.NDArray[np.int64]  # (n,)
    split: npt.NDArray[np.int8]  # (n,)
    snr_db: npt.NDArray[np.float32]  # (n,)
    noise: npt.NDArray[np.int8]  # (n,)


class Writer:
    """Takes the blocks of records in order and writes them; `created` gives one. Memory does not grow with N."""

    def __init__(
        self,
        file: Any,
        *,
        total: int,
        channels: int,
        samples: int,
        labels: Sequence[int],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        chunk = max(1, min(total, _CHUNK_BYTES // (4 * channels * samples)))
        self._file = file
        self._labels, self._check = labels, check
        self._at = 0
        self._hash = hashlib.sha256()
        self._segments = file.create_dataset(
            "segments", (total, channels, samples), "f4", chunks=(chunk, channels, samples), fletcher32=True
        )
        self._columns: dict[str, npt.NDArray[Any]] = {
            "label": np.zeros(total, np.int64),
            "record": np.zeros(total, np.int64),
            "start": np.zeros(total, np.int64),
            "split": np.zeros(total, np.int8),
            "snr_db": np.zeros(total, np.float32),
            "noise": np.zeros(total, np.int8),
        }

    def append(self, record: int, block: Block) -> None:
        """Write the segments of `record`."""
        n = len(block.start)
        at = slice(self._at, self._at + n)
        if n:
            self._segments[at] = block.segments
            self._hash.update(block.segments.tobytes())
        for name in ("start", "split", "snr_db", "noise"):
            self._columns[name][at] = getattr(block, name)
        self._columns["label"][at] = self._labels[record]
        self._columns["record"][at] = record
        self._at += n
        self._check()

    def finish(self, records: Mapping[str, Sequence[Any]], attributes: Mapping[str, Any]) -> None:
        """Write the columns, the records table and the attributes, the digest last."""
        if self._at != len(self._columns["label"]):
            raise DatasetError("the records changed while they were prepared: run prepare again")
        for name, column in self._columns.items():
            self._file.create_dataset(name, data=column)
            self._hash.update(column.tobytes())
        self._file.attrs["data_digest"] = self._hash.hexdigest()
        table = self._file.create_group("records")
        for name, values in records.items():
            if name in NUMBER_COLUMNS:
                table.create_dataset(name, data=np.array(values, dtype=np.float64))
            else:
                table.create_dataset(name, data=[show(v) for v in values], dtype=_text_type())
        for name, value in attributes.items():
            texts = [show(v) for v in value] if isinstance(value, list) else []  # a folder's name need not be UTF-8
            self._file.attrs[name] = np.array(texts, dtype=_text_type()) if isinstance(value, list) else value
        text = digest_text(self._file, NUMBER_COLUMNS)
        self._file.attrs["digest"] = hashlib.sha256(text.encode("ascii")).hexdigest()


def _text_type() -> Any:
    import h5py

    return h5py.string_dtype("utf-8")


@contextmanager
def created(
    path: Path, *, total: int, channels: int, samples: int, labels: Sequence[int], overwrite: bool
) -> Iterator[Writer]:
    """Give a Writer whose file appears under `path` whole, when the block ends well, or not at all.

    Raises OutputError, before anything is written where the disk has too little room.
    """
    import h5py

    check_space(path, total * channels * samples * 4 + (8 << 20))
    with replacing(path, overwrite=overwrite) as temporary, closing(Sink(temporary)) as sink:
        try:
            with h5py.File(sink, "w", libver=("earliest", "v110")) as file:
                file.attrs["schema"] = SCHEMA
                file.attrs["version"] = __version__
                yield Writer(file, total=total, channels=channels, samples=samples, labels=labels, check=sink.check)
        except (RuntimeError, ValueError) as error:  # how h5py reports some write errors
            sink.check()
            raise OutputError(f"{show(path)}: cannot be written: {error}") from error
        sink.close()
        sink.check()


@dataclass(frozen=True, eq=False)
class Stretch:
    """A run of samples of one record on one side of the split, glued from neighbouring segments."""

    record: int
    label: int
    signal: npt.NDArray[np.float32]  # (channels, samples)


class Prepared:
    """A prepared file, open for reading. Use as a context manager; `open_prepared` gives one."""

    def __init__(self, survey: Survey, samples: Samples, path: str) -> None:
        self._survey, self._samples = survey, samples
        self.path = path
        attrs = survey.attributes
        self.classes: tuple[str, ...] = tuple(str(c) for c in attrs["classes"])
        self.healthy: tuple[str, ...] = tuple(str(c) for c in attrs["healthy"])
        self.channels: tuple[str, ...] = tuple(str(c) for c in attrs["channels"])
        self.sampling_rate_hz = float(attrs["sampling_rate_hz"])
        self.segment = int(attrs["segment"])
        self.config: dict[str, Any] = dict(json.loads(attrs["config"]))
        self.digest = survey.stated
        self._data_digest = str(attrs["data_digest"])
        self.split = {
            "method": str(attrs["split_method"]),
            "level": str(attrs["split_level"]),
            "leakage": bool(attrs["leakage"]),
            "notes": [str(n) for n in attrs["split_notes"]],
        }
        columns = survey.columns
        self.label: npt.NDArray[np.int64] = columns["label"]
        self.record: npt.NDArray[np.int64] = columns["record"]
        self.start: npt.NDArray[np.int64] = columns["start"]
        self.side: npt.NDArray[np.int8] = columns["split"]
        self.snr_db: npt.NDArray[np.float32] = columns["snr_db"]
        self.noise: npt.NDArray[np.int8] = columns["noise"]
        self._check()

    def _check(self) -> None:
        """Raise KeyError for what does not go together: all of it is used as an index somewhere."""
        if self._survey.shape[1:] != (len(self.channels), self.segment):
            raise KeyError("shapes that do not fit each other")
        if "normalize" not in self.config or not 0 < self.sampling_rate_hz < math.inf:
            raise KeyError("segments or config of another kind")
        rows = {len(column) for column in self._survey.table.values()}
        missing = {*TEXT_COLUMNS, *NUMBER_COLUMNS} - {"bearing"} - set(self._survey.table)  # older files have none
        if missing or len(rows) != 1:
            raise KeyError("a records table of another kind")
        bounds: dict[str, tuple[npt.NDArray[Any], int, int]] = {
            "labels outside the classes": (self.label, 0, len(self.classes)),
            "records outside the table": (self.record, 0, min(rows)),
            "a split of another kind": (self.side, 0, len(NAMES)),
            "a noise of another kind": (self.noise, -1, len(KINDS)),
            "a start before its record": (self.start, 0, np.iinfo(np.int64).max),
        }
        for what, (column, low, end) in bounds.items():
            if column.size and (column.min() < low or column.max() >= end):
                raise KeyError(what)

    @property
    def has_noise(self) -> bool:
        """Whether noise was added when the file was made."""
        return bool(np.any(self.noise >= 0))

    def records(self) -> dict[str, npt.NDArray[Any]]:
        """Return the records table, column by column; text as str."""
        table = self._survey.table
        return {k: np.array(v, np.float64 if k in NUMBER_COLUMNS else object) for k, v in table.items()}

    def rows(self, side: str) -> npt.NDArray[np.int64]:
        """Return the segment numbers of "train", "val" or "test"."""
        return np.flatnonzero(self.side == NAMES.index(side))

    def segments(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return segments, shape (len(rows), channels, samples); `rows` ascending. Raises DatasetError if damaged."""
        if not rows.size:
            return np.empty((0, len(self.channels), self.segment), np.float32)
        return self._samples.take(rows)

    def stretches(self, side: str) -> list[Stretch]:
        """Glue the segments of one side back into unbroken stretches of signal, so that crops can start anywhere.

        For files without added noise and not normalised segment by segment; others get one stretch a segment.
        """
        rows = self.rows(side)
        data = self.segments(rows)
        apart = self.has_noise or self.config["normalize"] == "zscore"
        out: list[Stretch] = []
        first = 0
        for i in range(1, len(rows) + 1):
            if (
                i < len(rows)
                and not apart
                and self.record[rows[i]] == self.record[rows[i - 1]]
                and self.start[rows[i]] <= self.start[rows[i - 1]] + self.segment
            ):
                continue
            run = range(first, i)
            first = i
            head = [data[k][:, : self.start[rows[k + 1]] - self.start[rows[k]]] for k in run[:-1]]
            signal = np.concatenate([*head, data[run[-1]]], axis=1)
            out.append(Stretch(int(self.record[rows[run[0]]]), int(self.label[rows[run[0]]]), signal))
        return out

    def verify(self) -> None:
        """Read everything once against the digest in the file. Raises DatasetError where they differ."""
        digest = hashlib.sha256()
        step = max(1, (1 << 24) // (4 * len(self.channels) * self.segment))
        for at in range(0, len(self.label), step):
            rows = np.arange(at, min(at + step, len(self.label)))
            digest.update(self._samples.take(rows).reshape(-1).view(np.uint8).data)
        for column in (self.label, self.record, self.start, self.side, self.snr_db, self.noise):
            digest.update(column.tobytes())
        if digest.hexdigest() != self._data_digest or self._survey.digest != self.digest:
            raise DatasetError(f"{show(self.path)}: is damaged (its content fails its digest): prepare it again")

    def noise_copies(self) -> list[tuple[str, float, npt.NDArray[np.bool_]]]:
        """Return each kind and SNR of noise in the file with the mask of its segments; empty where there is none.

        A constant segment has no SNR and is in none of them.
        """
        level = np.nan_to_num(self.snr_db, nan=np.inf)
        kinds_and_levels = sorted(
            {(int(k), float(s)) for k, s in zip(self.noise, level, strict=True) if k >= 0 and np.isfinite(s)}
        )
        return [(KINDS[k], s, (self.noise == k) & (level == s)) for k, s in kinds_and_levels]

    def votes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return which record each of `rows` votes for: a copy with other noise votes as a record of its own."""
        out = self.record[rows].copy()
        for i, (_, _, mask) in enumerate(self.noise_copies()):
            out[mask[rows]] += i * (int(self.record.max()) + 1)
        return out


@contextmanager
def open_prepared(path: str | Path) -> Iterator[Prepared]:
    """Open a prepared file for reading. Raises DatasetError: missing, foreign, damaged, another schema version."""
    name = show(path)
    if Path(path).is_dir() or not Path(path).exists():
        what = "is a folder, not a prepared file" if Path(path).is_dir() else "no such file"
        making = f"{name} --out NAME.h5" if Path(path).is_dir() else f"SOURCE --out {name}"
        raise DatasetError(f"{name}: {what}; `faultdx prepare {making}` makes one")
    try:
        samples, survey = opened(path, SCHEMA)
    except ForeignError as error:
        if not error.hdf5:
            what = "is not a prepared file (not HDF5, or damaged)"
            raise DatasetError(f"{name}: {what}: `faultdx prepare SOURCE --out NAME.h5` makes one") from error
        what = "is HDF5, but not a prepared file" if error.schema is None else f"has the schema {error.schema!r}"
        raise DatasetError(f"{name}: {what}; this version reads {SCHEMA}: prepare it again") from error
    try:
        try:
            prepared = Prepared(survey, samples, str(path))
        except (*_UNREADABLE, MemoryError) as error:
            raise DatasetError(
                f"{name}: is damaged or incomplete ({show(str(error)[:200])}): prepare it again"
            ) from error
        if survey.digest != prepared.digest:
            raise DatasetError(f"{name}: is damaged (its content fails its digest): prepare it again")
        yield prepared
    finally:
        samples.close()
