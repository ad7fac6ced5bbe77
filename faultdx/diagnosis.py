"""What a diagnosis is: what was found in one recording, or why nothing could be; and what a run of them comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError, UnusableError
from faultdx.files import show
from faultdx.records.objections import unusable_check
from faultdx.records.record import Record
from faultdx.records.source import Item
from faultdx.signals.quality import Check
from faultdx.signals.spectra import Level, level

if TYPE_CHECKING:
    from faultdx.explanation import Explanation
    from faultdx.signals.gears import GearWitness
    from faultdx.signals.witness import Witness

SCHEMA = "faultdx.diagnosis/1"
PHYSICS = "faultdx bearing physics"  # the name of what stands in for a model, see `faultdx.untrained`


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was found in one recording, or why nothing could be.

    status : "diagnosed" | "undecided" | "unfamiliar" | "unusable" | "error"
    verdict : the class, or None where there is none; fault : is it a fault, None where that is not known; True without
        a verdict where the spectrum shows damage of a bearing that was named, and the network cannot say
    confidence : of the verdict, 0..1; where the spectrum was heard too and that was calibrated in training, with it
        weighed in: `evidence["agreement"]` has the network's own. agreement : share of segments that vote for the
        verdict
    probabilities : class -> probability, in the model's class order
    familiarity : how far from the training records, see `faultdx.familiarity.Assessment`; None where not assessed
    conformal_set : the classes that a set with a stated coverage holds; None where the model has none
    segment_probabilities : shape (segments, classes); segment_starts_s : shape (segments,), s. For the report
    record : the recording as read, its channel chosen, before resampling; for the report; None after an error
    witness : what the spectrum says of the bearing, where one was named; for the report, `evidence` has it as JSON
    gears : what the record says of the gears, where their teeth were named; likewise
    explanation : what the verdict rests on, see `Model.explained`; likewise
    """

    file: str
    sha256: str
    status: str
    verdict: str | None = None
    fault: bool | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    segments: int = 0
    agreement: float | None = None
    sampling_rate_hz: float | None = None
    rpm: float | None = None
    quality: tuple[Check, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    model: Mapping[str, str] = field(default_factory=dict)
    elapsed_s: float = 0.0
    error: Mapping[str, str] | None = None
    familiarity: Mapping[str, Any] | None = None
    conformal_set: tuple[str, ...] | None = None
    segment_probabilities: npt.NDArray[np.float64] | None = None
    segment_starts_s: npt.NDArray[np.float64] | None = None
    record: Record | None = None
    witness: Witness | None = None
    gears: GearWitness | None = None
    explanation: Explanation | None = None


def unread(item: Item, error: RecordError, *, model: Mapping[str, str]) -> Diagnosis:
    """Return the Diagnosis of a recording that could not be read, or that was read and holds no signal."""
    if isinstance(error, UnusableError):
        return Diagnosis(
            item.path,
            error.sha256,
            "unusable",
            quality=(unusable_check(error),),
            evidence={"channels": list(error.channels)},
            model=model,
        )
    return Diagnosis(item.path, "", "error", model=model, error={"kind": error.kind, "message": str(error)})


def levels_of(record: Record) -> list[dict[str, Any]]:
    """Return RMS, peak, crest factor and kurtosis of each channel."""
    out = []
    for name, x in zip(record.channels, record.signal, strict=True):
        try:
            found = level(x)
        except RecordError:  # it is not finite
            found = Level(*[np.nan] * 4)
        out.append(
            {
                "channel": show(name),
                "rms": found.rms,
                "peak": found.peak,
                "crest_factor": found.crest_factor,
                "kurtosis": found.kurtosis,
            }
        )
    return out


def outcome(diagnoses: Sequence[Diagnosis], fail_on: Sequence[str]) -> int:
    """Return the exit code of a run: 3 where a result in `fail_on` was reached, else 4 for any input unfit, else 0.

    fail_on : "fault", a class, "undecided", "unfamiliar"; "never" matches nothing
    """
    wanted = set(fail_on) - {"never"}
    if any(reached(d, wanted) for d in diagnoses):
        return 3
    return 4 if any(d.status in ("error", "unusable") for d in diagnoses) else 0


def reached(diagnosis: Diagnosis, wanted: set[str]) -> bool:
    """Whether a diagnosis is one that the user wants to fail on."""
    return bool(
        ("fault" in wanted and diagnosis.fault)
        or diagnosis.status in wanted & {"undecided", "unfamiliar"}
        or (diagnosis.verdict is not None and diagnosis.verdict in wanted)
    )
