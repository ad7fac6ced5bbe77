"""The section of a bearing: its envelope spectrum with its lines marked, and what was found at them."""

from __future__ import annotations

from faultdx.diagnosis import Diagnosis
from faultdx.report import orders, parts, spectral
from faultdx.report.words import say


def section(d: Diagnosis) -> str:
    """Return the section of what the spectrum says of the bearing, where it was asked."""
    witness = d.evidence.get("witness")
    if not witness:
        return ""
    picture = ""
    shown = d.witness.picture if d.witness is not None else None
    if shown is not None:
        place = None if d.witness is None else d.witness.place
        caption = say("page.bearing_caption", band=shown.band, tolerance=100 * shown.tolerance)
        picture = parts.figure(orders.annotated(shown, place=place), caption)
        if place:
            picture += f'<p class="soft">{parts.safe(say("page.bearing_named"))}</p>\n'
    said = f"<p>{parts.safe(spectral.testimony(d))}.</p>\n"
    return parts.section(say("page.bearing"), said + picture + parts.table(spectral.rows(witness)))
