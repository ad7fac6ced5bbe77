"""A trained network's scores on one side of a prepared file: at each noise and SNR, of all records and of groups.

The same scores as `evaluation.evaluate_side` gives; each noisy copy is drawn once, however many groups there are, and
the noise may be the recording of a machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.benchmark.sources import declared_items
from faultdx.dataset import Prepared
from faultdx.errors import ConfigError
from faultdx.evaluation import Classifier, score, with_noise
from faultdx.files import show
from faultdx.plans import Background
from faultdx.records.source import read_item
from faultdx.signals.noise import KINDS, segment_rng
from faultdx.signals.resampling import resample

_BATCH = 2048  # segments in memory at once
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Hum:
    """The signals of a background, each (channels, samples) at the rate of the segments that they are added to."""

    name: str
    signals: tuple[npt.NDArray[np.float32], ...]

    def over(
        self,
        segments: npt.NDArray[np.float32],
        *,
        snr_db: float,
        seed: int,
        record: npt.NDArray[np.int64],
        start: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float32]:
        """Return each segment with a stretch of the background over it at exactly `snr_db`, as noise would be.

        Which stretch is drawn from (seed, record, start). SNR as in `signals.noise`: powers about the means.
        """
        length = segments.shape[2]
        room = np.cumsum([s.shape[1] - length + 1 for s in self.signals])
        out = np.empty_like(segments)
        for i, (x, r, s) in enumerate(zip(segments, record, start, strict=True)):
            place = int(segment_rng(seed, str(r), int(s), f"background {self.name}", snr_db).integers(room[-1]))
            which = int(np.searchsorted(room, place, side="right"))
            at = place - (int(room[which - 1]) if which else 0)
            hum = self.signals[which][:, at : at + length].astype(np.float64)
            hum -= hum.mean(axis=1, keepdims=True)
            power = np.mean(np.square(hum), axis=1, keepdims=True)
            wanted = np.var(x, axis=1, keepdims=True, dtype=np.float64) * 10.0 ** (-snr_db / 10.0)
            gain = np.sqrt(np.divide(wanted, power, out=np.zeros_like(power), where=power > 0))
            out[i] = x + (gain * hum).astype(np.float32)
        return out


def open_background(background: Background, root: Path, prepared: Prepared) -> Hum:
    """Read a background for the segments of a prepared file. Raises ConfigError, RecordError."""
    signals = []
    for item in declared_items(background.sources, background.declared, root):
        record = read_item(item)
        if record.signal.shape[0] != len(prepared.channels):
            raise ConfigError(
                f"{show(item.path)}: background {background.name} has {record.signal.shape[0]} channels and the data "
                f"have {len(prepared.channels)}: choose the same with channel in background.declare"
            )
        if record.sampling_rate_hz < prepared.sampling_rate_hz * 0.999:
            raise ConfigError(
                f"{show(item.path)}: background {background.name} is sampled at {record.sampling_rate_hz:g} Hz, below "
                f"the {prepared.sampling_rate_hz:g} Hz of the data: its upper spectrum is missing; take another"
            )
        signal = resample(record.signal, from_hz=record.sampling_rate_hz, to_hz=prepared.sampling_rate_hz)
        if signal.shape[1] >= prepared.segment:
            signals.append(signal)
    if not signals:
        raise ConfigError(f"background {background.name}: no recording is as long as a segment")
    return Hum(background.name, tuple(signals))


def groups_of(prepared: Prepared, known: Sequence[Mapping[str, str]], by: Sequence[str], side: str) -> dict[str, Mask]:
    """Return the groups of a side's records to score apart, as masks over all segments: {"condition = 1 HP": ...}.

    A record that the split divides in time although it splits by what is grouped by (CWRU has one healthy bearing) is
    in every group, and makes none of its own; records of which a column says nothing are in none.
    """
    table = prepared.records()
    told = {(row["path"], row["sha256"]): row for row in known}
    rows = [told.get((p, s), {}) for p, s in zip(table["path"], table["sha256"], strict=True)]
    here = _have(prepared, side)
    divided = _have(prepared, "train") & _have(prepared, "test")
    out: dict[str, Mask] = {}
    for column in by:
        everywhere = divided if prepared.split["method"] == column else np.zeros_like(divided)
        values = np.array([row.get(column, "") for row in rows])
        for value in sorted(set(values[here & ~everywhere]) - {""}):
            out[f"{column} = {value}"] = ((values == value) | everywhere)[prepared.record]
    return out


def _have(prepared: Prepared, side: str) -> Mask:
    """Which records have segments on a side."""
    out = np.zeros(len(prepared.records()["path"]), dtype=bool)
    out[prepared.record[prepared.rows(side)]] = True
    return out


def scores_of(
    model: Classifier,
    prepared: Prepared,
    *,
    side: str,
    tests: Sequence[tuple[str, float | None]],
    groups: Mapping[str, Mask],
    backgrounds: Mapping[str, Hum],
    seed: int,
) -> list[dict[str, Any]]:
    """Return a row for each group, test, unit and metric: {group, noise, snr_db, unit, metric, value, n}.

    tests : (kind or background, SNR in dB); ("", None) is the segments as they are. A file that was prepared with
        noise is scored as it is, at its own
    groups : name -> mask over the segments of the file; all records are the group "all" in any case
    """
    rows = prepared.rows(side)
    if prepared.has_noise:
        copies = [(kind, snr, rows[mask[rows]]) for kind, snr, mask in prepared.noise_copies()]
    else:
        copies = [(kind, snr, rows) for kind, snr in tests]  # type: ignore[misc]
    out = []
    for kind, snr, mine in copies:
        if not mine.size:
            continue
        found = []
        for at in range(0, len(mine), _BATCH):
            some = mine[at : at + _BATCH]
            x = prepared.segments(some)
            place: dict[str, Any] = {"record": prepared.record[some], "start": prepared.start[some], "seed": seed}
            if not prepared.has_noise and kind in backgrounds:
                x = backgrounds[kind].over(x, snr_db=snr, **place)
            elif not prepared.has_noise and kind in KINDS:
                x = with_noise(x, kind=kind, snr_db=snr, **place)
            found.append(model.probabilities(x))
        p = np.concatenate(found)
        for group, mask in {"all": np.ones(len(prepared.label), dtype=bool), **groups}.items():
            if (inside := mask[mine]).any():
                told = {"side": side, "group": group, "noise": kind, "snr_db": snr}
                out += [told | row for row in _rows(p[inside], mine[inside], prepared)]
    return out


def _rows(p: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], prepared: Prepared) -> list[dict[str, Any]]:
    label, record = prepared.label[rows], prepared.record[rows]
    found = score(p, label, record, prepared.classes)
    n, records = int(found["segments"]), int(found["records"])
    out: list[tuple[str, str, float, int]] = [
        ("segment", "accuracy", found["segment_accuracy"], n),
        ("record", "accuracy", found["record_accuracy"], records),
        ("segment", "macro_f1", found["macro_f1"], n),
    ]
    healthy = np.array([c in prepared.healthy for c in prepared.classes])
    if healthy[label].any():
        alarms = ~healthy[p.argmax(axis=1)][healthy[label]]
        out.append(("segment", "false_alarms", float(alarms.mean()), int(alarms.size)))
    for name, value in found["recall"].items():
        out.append(("segment", f"recall {name}", value, int(np.sum(label == prepared.classes.index(name)))))
    return [{"unit": u, "metric": m, "value": float(v), "n": n} for u, m, v, n in out]
