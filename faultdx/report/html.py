"""Diagnosis -> one HTML file that needs nothing else: no script, no font, no picture from anywhere.

Everything from outside (file names, classes, units, warnings, what a model says of itself) goes through `parts.safe`:
`show`, a length limit, `html.escape`. The page forbids itself the rest by its content security policy. It holds
no date and no duration of the run, so the same diagnosis gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.report import (
    agreement,
    baseline,
    bearing,
    gears,
    impulses,
    legible,
    levels,
    missing,
    opening,
    origin,
    parts,
    past,
    recording,
    text,
    votes,
    why,
)
from faultdx.report.document import flat, plain
from faultdx.report.words import language, say

# Of the evidence, what has a section of its own.
_SHOWN = ("levels", "witness", "agreement", "gears", "severity", "why", "baseline", "speed")


def render(diagnosis: Diagnosis, *, model_info: Mapping[str, Any], trend: bool = False) -> str:
    """Return the report of one diagnosis as a whole HTML page, well under 400 kB.

    model_info : what is known of the model, any of: name, digest, version, classes, healthy, sampling_rate_hz,
        segment_samples, temperature, split {method, level, leakage, notes}, trained_on {records, segments, specimens,
        digest}, envelope {rms: [low, high], rpm: [low, high]}, scores, network {name, parameters}

    trend : leave a mark, `past.HERE`, where whoever has the history puts the section of the trend

    Any status, and a diagnosis without a record, gives a page; what is missing is left out or said to be missing.
    """
    d, info = legible.for_reading(diagnosis), legible.info_for_reading(model_info)
    evidence = flat(plain({key: value for key, value in d.evidence.items() if key not in _SHOWN}))
    # One line a section, in the order of the page; a section that has nothing to say is "".
    sections = [
        opening.verdict(d),
        opening.header(d),
        votes.probabilities(d, info),
        votes.over_time(d),
        past.HERE.strip() if trend else "",
        *recording.signal_sections(d),
        levels.section(d),
        agreement.section(d),
        bearing.section(d),
        gears.section(d),
        baseline.section(d),
        impulses.section(d),
        why.section(d, info),
        parts.table_section(say("page.evidence"), evidence),
        recording.quality(d),
        missing.section(d, model_info=info),
        parts.table_section(say("page.familiarity"), text.familiarity_rows(d, model_info=info)),
        parts.section(say("page.limits"), parts.listing(text.limits(d, model_info=info))),
        origin.section(d, info),
    ]
    title = say("page.title", word=text.headline(d)[1], file=parts.shown(d.file))
    return parts.page(title, sections, language=language())
