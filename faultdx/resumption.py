"""What `prepare` keeps in its journal of each record, as bytes, and what is asked of that before it is believed.

What was learned of a record is taken up where its file is as it was (place, size, times), which the second pass asks
too; its segments where they have the shape, the starts and the sides that the plan gives them besides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from faultdx.config import PrepareConfig
from faultdx.cutting import Cutting, Known, Seen, resampled_length, starts_of, state_of
from faultdx.dataset import Block
from faultdx.intake import parse_json
from faultdx.journal import Journal
from faultdx.records.table import Item
from faultdx.signals.noise import KINDS
from faultdx.splits import Shares

_MOST_FACTS = 1 << 20  # bytes
_COLUMNS = (("start", np.int64), ("split", np.int8), ("snr_db", np.float32), ("noise", np.int8))
_FITS: dict[str, Callable[[Any], bool]] = {  # by the type that a field is declared with
    "Seen": lambda v: isinstance(v, Seen),
    "str": lambda v: isinstance(v, str),
    "str | None": lambda v: v is None or isinstance(v, str),
    "int": lambda v: type(v) is int,
    "float": lambda v: type(v) in (int, float),
    "float | None": lambda v: v is None or type(v) in (int, float),
    "tuple[str, ...]": lambda v: all(isinstance(x, str) for x in v),
    "tuple[int, ...]": lambda v: all(type(x) is int for x in v),
}


class KeptRecords:
    """The journal of a `prepare`: what the first pass learned of each record, and its segments."""

    def __init__(self, journal: Journal, config: PrepareConfig) -> None:
        self._journal, self._config = journal, config

    def known(self, item: Item) -> Known | None:
        """Return what an interrupted run learned of a recording; None where its file has changed or nothing is."""
        name = self._item(item)
        if name not in self._journal:
            return None
        state = state_of(item.path)
        found = self._journal.get(name, most=_MOST_FACTS) if state else None
        known = None if found is None else _known(found)
        return known if known is not None and (known.path, known.seen.state) == (item.path, state) else None

    def learned(self, item: Item, known: Known) -> None:
        """Keep what was learned of a recording, where it can be told later whether it has changed."""
        if known.seen.state:
            self._journal.put(self._item(item), json.dumps(asdict(known)).encode("ascii"))

    def has(self, known: Known, shares: Shares, plan: Cutting) -> bool:
        """Tell whether there are segments of this record; they may prove damaged."""
        return bool(known.seen.state) and _block_name(known, shares, plan) in self._journal

    def block(self, item: Item, known: Known, shares: Shares, plan: Cutting) -> Block | None:
        """Return the segments of a record, None where there are none that can be believed, or its file has changed."""
        if not known.seen.state or state_of(item.path) != known.seen.state:
            return None
        starts, sides = starts_of(
            resampled_length(known.samples, known.source_rate_hz, plan.rate_hz), shares, plan, known.key
        )
        copies = [(kind, snr) for kind in self._config.noise for snr in self._config.snr_db]
        shape = (len(starts) * max(1, len(copies)), len(known.channels), self._config.segment)
        sizes = [shape[0] * np.dtype(kind).itemsize for _, kind in _COLUMNS]
        most = sum(sizes) + 4 * math.prod(shape)
        found = self._journal.get(_block_name(known, shares, plan), most=most)
        if found is None or len(found) != most:
            return None
        columns, at = {}, 0
        for (name, kind), size in zip(_COLUMNS, sizes, strict=True):
            columns[name] = np.frombuffer(found, kind, shape[0], at)
            at += size
        block = Block(np.frombuffer(found, np.float32, offset=at).reshape(shape), **columns)
        times, none = max(1, len(copies)), np.full(len(starts), -1, np.int8)
        noise = np.repeat([KINDS.index(kind) for kind, _ in copies], len(starts)).astype(np.int8) if copies else none
        levels = np.repeat([snr for _, snr in copies] or [np.inf], len(starts)).astype(np.float32)
        fits = (
            np.array_equal(block.start, np.tile(starts, times))
            and np.array_equal(block.split, np.tile(sides, times))
            and np.array_equal(block.noise, noise)
            and np.array_equal(np.where(np.isnan(block.snr_db), levels, block.snr_db), levels)
        )
        return block if fits else None

    def cut(self, known: Known, shares: Shares, plan: Cutting, block: Block) -> None:
        """Keep the segments of a record."""
        if known.seen.state:
            columns = [np.ascontiguousarray(getattr(block, name), kind).data for name, kind in _COLUMNS]
            self._journal.put(_block_name(known, shares, plan), *columns, np.ascontiguousarray(block.segments).data)

    def _item(self, item: Item) -> str:
        return json.dumps(["learned", asdict(item), self._config.labels, self._config.quality], sort_keys=True)


def _block_name(known: Known, shares: Shares, plan: Cutting) -> str:
    return json.dumps(["cut", known.key, known.seen.rate_hz, list(shares), plan.rate_hz, plan.method])


def _known(data: bytes) -> Known | None:
    """Return what JSON says of a record, None where it is not of that kind."""
    try:
        told = parse_json(data)
        seen = told.pop("seen")
        told |= {name: tuple(told[name]) for name in ("channels", "notes")}
        seen["state"] = tuple(seen["state"])
        known = Known(seen=Seen(**seen), **told)
        fits = all(_FITS[str(f.type)](getattr(of, f.name)) for of in (known, known.seen) for f in fields(of))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return known if fits and known.samples > 0 and 0 < known.seen.rate_hz < math.inf else None
