"""Record + trained model -> Diagnosis: the vote of the segments, its confidence, and what the reader should know."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from faultdx.diagnosis import Diagnosis, levels_of, unread
from faultdx.errors import ConfigError, ModelError, RecordError
from faultdx.familiarity import Assessment, from_dict
from faultdx.files import show
from faultdx.inference import Network
from faultdx.records.conventions import HIGHEST
from faultdx.records.objections import objections
from faultdx.records.reading import open_item, record_of, understand
from faultdx.records.record import Record
from faultdx.records.source import Item
from faultdx.signals.quality import PLAUSIBLE_HZ, PLAUSIBLE_RPM, Check
from faultdx.signals.resampling import ratio, resample
from faultdx.signals.segments import cut, normalize, segment_starts
from faultdx.voting import pool

if TYPE_CHECKING:
    from faultdx.agreement import Calibration
    from faultdx.baseline import Baseline
    from faultdx.testimony import KnownBearing

# A record whose level is beyond this many times the training range is named: another sensor, gain or machine.
LEVEL_FACTOR = 3.0
# Names that say where a sensor sits: drive end, fan end, base. Other names are as often a logger's as a place's.
# The network takes the mean off every segment: an offset says something of the sensor, nothing of the verdict.
_HARMLESS = {"offset"}
_SENSOR_PLACES = {"DE", "FE", "BA"}


class Model:
    """A trained model that diagnoses records; `load_model` opens one.

    info : what model.json says; classes : in the order of the probabilities
    hears : the spectrum is heard as a second witness, of `bearing`, or where that is None of each record's own
    baseline : healthy recordings of the machine, see `faultdx.baseline`; None until somebody sets it
    """

    def __init__(self, network: Network, *, bearing: KnownBearing | None = None, hears: bool = False) -> None:
        self._network = network
        self.baseline: Baseline | None = None
        self._bearing, self.hears = bearing, hears or bearing is not None
        self.info = network.info
        self.classes = network.classes
        self.digest = network.digest
        self._familiar = from_dict(
            network.info.get("familiarity"),
            classes=network.classes,
            channels=len(network.channels),
            sampling_rate_hz=network.sampling_rate_hz,
            width=network.width,
            where=network.where,
        )
        self._together = _calibration(network.info.get("agreement"), where=network.where)

    @property
    def summary(self) -> dict[str, str]:
        """Digest, name and version, as they stand in every diagnosis."""
        return {
            "digest": self.digest,
            "name": show(str(self.info.get("name", ""))),
            "version": show(str(self.info.get("version", ""))),
        }

    @property
    def familiar(self) -> bool:
        """Whether it can tell how like its training records a record is."""
        return self._familiar is not None

    def probabilities(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Segments (n, channels, samples) at the model's rate -> probabilities (n, classes)."""
        return self._network.probabilities(segments)

    def read(self, item: Item) -> Record:
        """Read a recording, by the channels that the model was trained on where the file has them.

        Raises RecordError.
        """
        item.check()
        opened = open_item(item.path)
        meaning = understand(opened, item)
        if not (item.flags.channels or item.declared.channels):
            there = {c.name.lower() for c in meaning.channels}
            if {c.lower() for c in self._network.channels} <= there:
                item = replace(item, flags=replace(item.flags, channels=self._network.channels))
        return record_of(opened, item, meaning=meaning)

    def diagnose(self, record: Record, *, min_confidence: float | None = None, quality: str = "refuse") -> Diagnosis:
        """Return what the model finds in a record. Never raises for a record; an unfit one is "unusable".

        min_confidence : below it the status is "undecided"; None takes the model's own. Undecided too: a healthy
        verdict where fewer than half of the segments agree, or on a record whose level, speed or sensor is not that of
        the training, or whose signal a check warns of. 0 gives a verdict whatever the doubts, and to an unfamiliar
        record too
        quality : "refuse": a signal that fails a check is unusable; "warn": it is diagnosed with a warning; "off"
        """
        began = time.perf_counter()
        unfit = self._unfit(record)
        checks = () if unfit else objections(record, policy=quality)
        if unfit or any(c.severity == "refuse" for c in checks):
            checks = (unfit,) if unfit else checks
            found = Diagnosis(record.path, record.sha256, "unusable", quality=checks, **self._facts(record))
        else:
            enough = self.info["min_confidence"] if min_confidence is None else min_confidence
            found = self._vote(record, enough, checks)
            if self.hears and (self._bearing is not None or record.details.get("bearing")):
                found = self._heard(found, record, enough)
            if record.details.get("teeth"):
                from faultdx.gearing import with_gears

                found = with_gears(found, record, insists=enough == 0)
            if self.baseline is not None:
                from faultdx.baseline import with_baseline

                found = with_baseline(found, record, self.baseline, insists=enough == 0)
                if "agreement" in found.evidence:
                    from faultdx.fusion import with_change

                    found = with_change(found, healthy=self.info["healthy"], enough=enough)
        return replace(found, elapsed_s=time.perf_counter() - began)

    def diagnose_item(self, item: Item, *, min_confidence: float | None = None, quality: str = "refuse") -> Diagnosis:
        """Read and diagnose; a file that cannot be read gives a Diagnosis with status "error"."""
        began = time.perf_counter()
        try:
            found = self.diagnose(self.read(item), min_confidence=min_confidence, quality=quality)
        except RecordError as error:
            found = unread(item, error, model=self.summary)
        return replace(found, elapsed_s=time.perf_counter() - began)

    def _facts(self, record: Record) -> dict[str, Any]:
        return {
            "sampling_rate_hz": record.sampling_rate_hz,
            "rpm": record.rpm,
            "model": self.summary,
            "warnings": record.notes,
            "evidence": {"levels": levels_of(record)},
            "record": record,
        }

    def _unfit(self, record: Record) -> Check | None:
        """Return the reason why the network must not be asked about this record, if there is one."""
        net = self._network
        rate, wanted = record.sampling_rate_hz, len(net.channels)
        if record.signal.shape[0] != wanted:
            message = (
                f"its channels are {record.signal.shape[0]} ({', '.join(record.channels[:8])}) and the model takes "
                f"{wanted} ({', '.join(net.channels[:8])}): choose with --channel"
            )
            return Check("channels", record.signal.shape[0], wanted, "refuse", message)
        if impossible := _impossible(record):
            return impossible
        try:
            ratio(rate, net.sampling_rate_hz)
        except ConfigError as error:
            return Check("sampling_rate", rate, net.sampling_rate_hz, "refuse", str(error))
        if rate < net.sampling_rate_hz * (1 - 1e-4):
            message = (
                f"it is sampled at {rate:g} Hz and the model needs {net.sampling_rate_hz:g} Hz: the upper part of the "
                "spectrum is not in it; record faster, or train a model at this rate"
            )
            return Check("sampling_rate", rate, net.sampling_rate_hz, "refuse", message)
        need = int(np.ceil(net.segment * rate / net.sampling_rate_hz))
        if record.signal.shape[1] < need:
            message = f"it has {record.signal.shape[1]} samples and one segment needs {need}: record longer"
            return Check("too_short", record.signal.shape[1], need, "refuse", message)
        return None

    def explained(self, found: Diagnosis) -> Diagnosis:
        """Return a diagnosis of this model with what it rests on: `explanation`, and `evidence["why"]` as JSON.

        About the network's most probable class, believed or not. A diagnosis without a vote comes back as it
        is. Takes a fraction of a second (`faultdx.explanation`), so that it is for reports; never raises for a record.
        """
        if found.record is None or not found.probabilities:
            return found
        from faultdx.explanation import Explanation, explain
        from faultdx.shrinkage import from_dict as healthy_of

        net, info = self._network, self.info
        about = max(found.probabilities, key=lambda name: found.probabilities[name])  # also where it is not believed
        starts, segments = self._segments(found.record)
        network = info.get("network")
        known = network.get("multiply_adds") if isinstance(network, Mapping) else None
        whole = info["normalization"] == "zscore"  # of a changed segment it is another
        try:
            why = explain(
                net,
                segments,
                about=about,
                which=self.classes.index(about),
                sampling_rate_hz=net.sampling_rate_hz,
                starts_s=starts / net.sampling_rate_hz,
                digest=found.sha256,
                multiply_adds=float(known) if isinstance(known, int) else 1e7,
                healthy=healthy_of(info.get("shrinkage")),
                renormalize=(lambda changed: normalize(changed, method="zscore")) if whole else lambda changed: changed,
            )
        except ModelError:
            why = Explanation(about, missing=("not_finite",))
        return replace(found, explanation=why, evidence={**found.evidence, "why": why.to_dict()})

    def _resampled(self, record: Record) -> bool:
        return abs(record.sampling_rate_hz - self._network.sampling_rate_hz) > 1e-4 * self._network.sampling_rate_hz

    def _segments(self, record: Record) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the first samples of the segments that vote and the segments, as the network takes them."""
        net, signal = self._network, record.signal
        if self._resampled(record):
            signal = resample(signal, from_hz=record.sampling_rate_hz, to_hz=net.sampling_rate_hz)
        starts = segment_starts(0, signal.shape[1], length=net.segment, hop=net.segment)
        if len(signal) == 1:  # they stand one behind the other as it is, and nobody writes into them
            segments = signal[:, : len(starts) * net.segment].reshape(-1, 1, net.segment)
        else:
            segments = cut(signal, starts, length=net.segment)
        return starts, normalize(segments, method=self.info["normalization"], record=signal)

    def _vote(self, record: Record, min_confidence: float, checks: tuple[Check, ...]) -> Diagnosis:
        net, info = self._network, self.info
        facts = self._facts(record)
        if record.details.get("machine_class") or record.details.get("zones"):
            from faultdx.severity import severity_evidence

            facts["evidence"] |= severity_evidence(record)
        warnings, quality = [*record.notes, *(c.message for c in checks)], list(checks)
        if self._resampled(record):
            warnings.append(f"resampled from {record.sampling_rate_hz:g} to {net.sampling_rate_hz:g} Hz for the model")
        doubts = [c.name for c in checks if c.name not in _HARMLESS]
        places = {c.upper() for c in record.channels} | {c.upper() for c in net.channels}
        if [c.lower() for c in record.channels] != [c.lower() for c in net.channels]:
            doubts += ["channel"] if places <= _SENSOR_PLACES else []
            warnings.append(
                f"its channel is {', '.join(record.channels[:8])} and the model was trained on "
                f"{', '.join(net.channels[:8])}: another sensor or place is another machine to a network"
            )
        checked = self._level_check(facts["evidence"]["levels"])
        quality += checked
        warnings += [c.message for c in checked]
        speed = self._speed_note(record)
        warnings += speed
        doubts += [c.name for c in checked] + ["speed"] * len(speed)
        if info.get("split", {}).get("leakage"):
            warnings.append("the model's scores are from a leaking split: they say nothing of new recordings")
        starts, segments = self._segments(record)
        by_segment, features = net.outputs(segments) if self._familiar else (net.probabilities(segments), None)
        named = [c.name for c in checks]
        known = self._familiar.assess(segments, features, checks=named) if self._familiar else None
        pooled = pool(by_segment)
        best = int(pooled.argmax())
        verdict = self.classes[best]
        healthy = set(info["healthy"])
        agreement = float(np.mean(by_segment.argmax(axis=1) == best))
        doubts += ["agreement"] if agreement < 0.5 else []
        if known is not None and known.unusual:
            warnings.append(f"no training record raises this check of the signal: {', '.join(known.unusual)}")
        doubts += ["offset"] if known is not None and known.strange_offset else []
        unfamiliar = known is not None and known.unfamiliar and min_confidence > 0
        if known is not None and known.unfamiliar and not unfamiliar:
            warnings.append(f"it is unlike the training records: {known.reason}")
        decided = bool(pooled[best] >= min_confidence) and not unfamiliar
        if decided and verdict in healthy and doubts and min_confidence > 0:
            # a false alarm is looked into; a false all-clear is not
            decided = False
            warnings.append(f"it looks {verdict}, but it is no record to compare ({', '.join(doubts)}): no all-clear")
        facts |= {"warnings": tuple(warnings)}
        probabilities = dict(zip(self.classes, pooled.tolist(), strict=True))
        return Diagnosis(
            record.path,
            record.sha256,
            "diagnosed" if decided else "unfamiliar" if unfamiliar else "undecided",
            verdict=verdict if decided else None,
            fault=(verdict not in healthy) if decided and healthy else None,
            confidence=float(pooled[best]),
            probabilities=probabilities,
            segments=len(starts),
            agreement=agreement,
            quality=tuple(quality),
            familiarity=None if known is None else known.to_dict(),
            conformal_set=self._conformal_set(probabilities, known),
            segment_probabilities=by_segment,
            segment_starts_s=starts / net.sampling_rate_hz,
            **facts,
        )

    def _heard(self, found: Diagnosis, record: Record, enough: float) -> Diagnosis:
        """Return the network's diagnosis with the testimony of the spectrum weighed in: `faultdx.fusion`."""
        from faultdx.agreement import why_not
        from faultdx.fusion import with_spectrum
        from faultdx.testimony import hear

        heard = hear(record, self._bearing, checks=found.quality)
        if heard.witness is None:
            why = "it says nothing" if heard.obstacle is None else heard.obstacle.message
            found = replace(found, evidence={**found.evidence, **({"speed": heard.offer} if heard.offer else {})})
            return replace(found, warnings=(*found.warnings, f"the bearing was not looked at: {why}"))
        why = why_not(self.info.get("agreement"))
        healthy = self.info["healthy"]
        return with_spectrum(found, heard, healthy=healthy, calibration=self._together, why=why, enough=enough)

    def _conformal_set(self, probabilities: Mapping[str, float], known: Assessment | None) -> tuple[str, ...] | None:
        """Return the classes of the record's set; it covers nothing on a record that is unlike those it was set on."""
        if self._familiar is None or known is None or known.unfamiliar:
            return None
        found = self._familiar.conformal_set(probabilities)
        return None if found is None else tuple(found)

    def _level_check(self, levels: Sequence[Mapping[str, Any]]) -> list[Check]:
        low, high = self.info["envelope"]["rms"]
        rms = math.sqrt(sum(found["rms"] ** 2 for found in levels) / len(levels))  # as `rms_of`
        if low / LEVEL_FACTOR <= rms <= high * LEVEL_FACTOR:
            return []
        limit = low / LEVEL_FACTOR if rms < low else high * LEVEL_FACTOR
        message = (
            f"its level (RMS {rms:.3g}) is far outside the training records' ({low:.3g} to {high:.3g}): "
            "another sensor, unit, gain or machine?"
        )
        return [Check("level", rms, limit, "warn", message)]

    def _speed_note(self, record: Record) -> list[str]:
        known = self.info["envelope"].get("rpm")
        if not known or record.rpm is None or 0.9 * known[0] <= record.rpm <= 1.1 * known[1]:
            return []
        return [f"its speed ({record.rpm:g} rpm) is outside the training records' ({known[0]:g} to {known[1]:g} rpm)"]


def _impossible(record: Record) -> Check | None:
    """Return what no recording of a machine has, of a record that did not come through a reader."""
    rate, rpm = record.sampling_rate_hz, record.rpm
    if not PLAUSIBLE_HZ[0] <= rate <= PLAUSIBLE_HZ[1]:
        return Check("sampling_rate", rate, PLAUSIBLE_HZ[1], "refuse", f"a sampling rate of {rate:g} Hz is impossible")
    if rpm is not None and not PLAUSIBLE_RPM[0] <= rpm <= PLAUSIBLE_RPM[1]:
        return Check("speed", rpm, PLAUSIBLE_RPM[1], "refuse", f"a speed of {rpm:g} rpm is impossible")
    low, high = (float(bound(initial=0.0)) for bound in (record.signal.min, record.signal.max))
    peak = max(-low, high) if low <= high else math.nan  # NaN is both
    if not peak <= HIGHEST:  # NaN too
        message = f"its values reach {peak:.3g}, which no sensor gives: check its format and byte order"
        return Check("level", peak, HIGHEST, "refuse", message)
    return None


def _calibration(entry: Any, *, where: str) -> Calibration | None:
    if entry is None or (isinstance(entry, Mapping) and entry.get("calibrated") is False):
        return None
    from faultdx.agreement import from_dict as agreement_of

    return agreement_of(entry, where=where)


def load_model(
    path: str | Path, *, threads: int = 1, bearing: KnownBearing | None = None, hears: bool = False
) -> Model:
    """Open a run folder or its model/ for diagnosis; no torch. Raises ModelError.

    bearing, hears : see `Model`, and `faultdx.testimony`
    """
    return Model(Network.open(path, threads=threads), bearing=bearing, hears=hears)
