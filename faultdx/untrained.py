"""Record + bearing or gears -> Diagnosis, without a trained model: what `diagnose` asks where none is given.

It stands where a Model stands: the same Diagnosis, the same report, JSON and exit codes. What it says is the testimony
of the spectrum alone, and "no evidence" is not "healthy".
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from faultdx import __version__
from faultdx.baseline import Baseline, baseline_alone, with_baseline
from faultdx.diagnosis import PHYSICS as NAME
from faultdx.diagnosis import Diagnosis, levels_of, unread
from faultdx.errors import RecordError
from faultdx.gearing import SUSPECTED, gears_alone, named, with_gears
from faultdx.records.objections import objections
from faultdx.records.reading import read_item
from faultdx.records.record import Record
from faultdx.records.table import Item
from faultdx.severity import severity_evidence
from faultdx.signals import gears as gear_physics
from faultdx.signals import witness as physics
from faultdx.testimony import PLACES, KnownBearing, hear
from faultdx.universal import limits as learned

CLASSES = ("no_evidence", "damaged", *PLACES, SUSPECTED, "changed", "unchanged")


def _by_both(*args: Any, **kwargs: Any) -> physics.Witness:
    """Ask the physics and the trained network; the latter is imported where there is something to ask."""
    from faultdx.universal.joint import assess_both

    return assess_both(*args, **kwargs)


class Untrained:
    """Diagnoses the bearing of a record from its geometry and the shaft's speed.

    bearing : of every record; None: each record's own, from its table or the catalogue
    baseline : healthy recordings of the machine, see `faultdx.baseline`; None: there are none
    info, classes, digest, summary : as of a Model
    """

    classes = CLASSES

    def __init__(self, bearing: KnownBearing | None = None, *, baseline: Baseline | None = None) -> None:
        self.bearing, self.hears, self.baseline = bearing, True, baseline
        limits = {k: getattr(physics, k) for k in ("LOCATED", "DAMAGED", "CAGE_DAMAGED", "MARGIN", "OUTSHONE")}
        ours = ("SHA256", "LOCATED", "SCORE", "SECOND", "SOUND", "OPPOSED")
        limits |= {f"LEARNED_{k}": getattr(learned, k) for k in ours}
        limits |= {k: getattr(gear_physics, k) for k in ("FM4_LIMIT", "REPEATS")}
        known = None if bearing is None else bearing.to_dict()
        asked: dict[str, Any] = {"name": NAME, "limits": limits, "bearing": known}
        asked |= {} if baseline is None else {"baseline": baseline.digest}
        text = json.dumps(asked, sort_keys=True)
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self.info: Mapping[str, Any] = {
            "name": NAME,
            "version": __version__,
            "classes": list(CLASSES),
            "healthy": [],
            "min_confidence": 0.0,
        }

    @property
    def summary(self) -> dict[str, str]:
        """Digest, name and version, as they stand in every diagnosis."""
        return {"digest": self.digest, "name": NAME, "version": __version__}

    def diagnose_item(self, item: Item, *, min_confidence: float | None = None, quality: str = "refuse") -> Diagnosis:
        """Read and diagnose; a file that cannot be read gives a Diagnosis with status "error"."""
        began = time.perf_counter()
        try:
            found = self.diagnose(read_item(item), min_confidence=min_confidence, quality=quality)
        except RecordError as error:
            found = unread(item, error, model=self.summary)
        return replace(found, elapsed_s=time.perf_counter() - began)

    def diagnose(self, record: Record, *, min_confidence: float | None = None, quality: str = "refuse") -> Diagnosis:
        """Return what the spectrum of a record says of its bearing and its gears. Never raises for a record.

        quality : as in `Model.diagnose`; min_confidence is of no account here: there is no probability
        """
        began = time.perf_counter()
        checks = objections(record, policy=quality)
        facts: dict[str, Any] = {
            "sampling_rate_hz": record.sampling_rate_hz,
            "rpm": record.rpm,
            "model": self.summary,
            "evidence": {"levels": levels_of(record)},
            "record": record,
        }
        refused = any(c.severity == "refuse" for c in checks)
        if not refused:
            facts["evidence"] |= severity_evidence(record)
        if not refused and self.bearing is None and not record.details.get("bearing") and named(record):
            found = Diagnosis(record.path, record.sha256, "diagnosed", quality=checks, warnings=record.notes, **facts)
            found = with_baseline(gears_alone(found, record), record, self.baseline)
            return replace(found, elapsed_s=time.perf_counter() - began)
        heard = None if refused else hear(record, self.bearing, checks=checks, assess=_by_both)
        if heard is None or heard.witness is None:
            obstacle = None if heard is None else heard.obstacle
            notes = record.notes
            if heard is not None and heard.offer:
                facts["evidence"] |= {"speed": heard.offer}
            if self.baseline is not None and not refused:
                if obstacle is not None and (self.bearing is not None or record.details.get("bearing")):
                    notes = (*notes, f"the bearing was not looked at: {obstacle.message}")
                found = Diagnosis(record.path, record.sha256, "undecided", quality=checks, warnings=notes, **facts)
                found = baseline_alone(found, record, self.baseline)
                return replace(found, elapsed_s=time.perf_counter() - began)
            checks = checks if obstacle is None else (*checks, obstacle)
            found = Diagnosis(record.path, record.sha256, "unusable", quality=checks, warnings=notes, **facts)
            return replace(found, elapsed_s=time.perf_counter() - began)
        witness = heard.witness
        facts["evidence"] = {**facts["evidence"], "witness": heard.to_dict()}
        known = witness.verdict != "not_assessable"
        doubts = witness.reasons[1:]  # the first is the finding itself
        found = Diagnosis(
            record.path,
            record.sha256,
            "diagnosed" if known else "undecided",
            verdict=(witness.place or witness.verdict) if known else None,
            # what was not seen may be there: half of all ball faults have no comb
            fault=True if witness.verdict in ("located", "damaged") else None,
            quality=checks,
            warnings=(*record.notes, *(c.message for c in checks), *heard.notes, *doubts),
            witness=witness,
            **facts,
        )
        found = with_baseline(with_gears(found, record), record, self.baseline)
        return replace(found, elapsed_s=time.perf_counter() - began)
