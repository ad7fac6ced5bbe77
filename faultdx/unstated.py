"""A record of which nobody stated the speed -> what its spectrum suggests, as an offer to whoever can check it.

`signals/candidates.py` has the physics. An estimated speed is never gone by: a wrong multiple of it would place a fault
in the wrong part of a bearing with full confidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.signals.candidates import RANGE_RPM, Estimate, speed_candidates
from faultdx.signals.kinematics import Orders

COLUMN = "rpm_range"  # of a records table; --rpm-range says the same
_CHANNELS = 3  # of a record that are asked
WORTH = 0.05  # share from which a candidate is named in a sentence
_LOWEST, _HIGHEST = 30.0, 120_000.0


def known_range(text: str) -> tuple[float, float]:
    """Return the speeds that "1000:3000" stands between, turns a minute. Raises ConfigError."""
    low, _, high = text.partition(":")
    try:
        found = (float(low), float(high))
    except ValueError:
        found = (0.0, 0.0)
    if not _LOWEST <= found[0] < found[1] <= _HIGHEST:
        raise ConfigError(
            f"speeds {show(text)[:40]!r}: give the lowest and the highest in rpm, {_LOWEST:g} to {_HIGHEST:g}, such as "
            f"1000:3000"
        )
    return found


def speed_offer(record: Record, bearing: Orders | None = None) -> dict[str, Any]:
    """Return what the spectrum of `record` suggests of its speed, as JSON values; {} where its speed is stated.

    bearing : on the shaft, where it is known: its lines then speak, too
    Of several channels the one that is surest, of the first three. Never raises for a record.
    """
    if record.rpm is not None:
        return {}
    text = record.details.get(COLUMN, "")
    try:
        span = known_range(text) if text else RANGE_RPM
    except ConfigError:
        span = RANGE_RPM
    best: tuple[Estimate, str] | None = None
    for name, row in zip(record.channels[:_CHANNELS], record.signal, strict=False):
        try:
            found = speed_candidates(row, sampling_rate_hz=record.sampling_rate_hz, range_rpm=span, bearing=bearing)
        except (RecordError, ConfigError):  # a channel that is dead, or too short for an envelope
            continue
        if best is None or found.certainty > best[0].certainty:
            best = (found, name)
    if best is None:
        return Estimate((), span).to_dict() | {"channel": None, "with_bearing": bearing is not None}
    return best[0].to_dict() | {"channel": show(best[1]), "with_bearing": bearing is not None}


def offered(found: Diagnosis) -> Diagnosis:
    """Return a diagnosis with what the spectrum suggests of its speed, `evidence["speed"]`, where nobody stated one.

    For the page, which has it of every record; the witness of a bearing asks for itself. As it is: without a record, or
    with one that is not fit.
    """
    if found.record is None or found.record.rpm is not None or found.status == "error":
        return found
    if any(c.severity == "refuse" and not math.isnan(c.value) for c in found.quality):  # NaN: something is not stated
        return found
    return replace(found, evidence={**found.evidence, "speed": speed_offer(found.record)})


def worth_naming(offer: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return (rpm, share) of the candidates of an offer that are worth a word, the likeliest first."""
    found = offer.get("candidates") or []
    return [(float(c["rpm"]), float(c["share"])) for i, c in enumerate(found) if i == 0 or c["share"] >= WORTH][:3]


def sentence(offer: Mapping[str, Any]) -> str:
    """Return what an offer comes to, as the end of a message: "the spectrum suggests 1797 rpm (72 %) ..."."""
    named = worth_naming(offer)
    if not named:
        low, high = offer.get("range_rpm") or RANGE_RPM
        return f"the spectrum shows no shaft from {low:g} to {high:g} rpm"
    said = ", ".join(f"{rpm:.4g} rpm ({_percent(share)})" for rpm, share in named)
    return f"the spectrum suggests {said}: run again with --rpm if one is right"


def _percent(share: float) -> str:
    return f"{min(max(round(100 * share), 1), 99)} %"
