"""The words and the table of a testimony: what the spectrum says of a bearing, with or without a network beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultdx.diagnosis import PHYSICS, Diagnosis
from faultdx.files import show

# (tone, word, what) of `text.headline`, where the spectrum alone speaks and names no place.
WORDS = {
    "damaged": ("bad", "fault", "bearing damaged, place not resolved"),
    "no_evidence": ("doubt", "no evidence", "no evidence of bearing damage, which is no all-clear"),
}
LIMITS = (
    "Only the bearing that was named was looked at, by its envelope spectrum: no gear, no unbalance, no misalignment, "
    "no lubrication.",
    "No evidence is no all-clear: of rolling elements about half of the faults, and worn or smeared races, show no "
    "lines at the bearing's rates.",
    "Which place is damaged is only as right as the geometry and the speed that were given.",
)
_PLACES = {"outer_race": "outer race", "inner_race": "inner race", "ball": "rolling element", "cage": "cage"}


def physical(diagnosis: Diagnosis) -> bool:
    """Tell whether no network was asked, whatever became of it."""
    return diagnosis.model.get("name") == PHYSICS


def by_spectrum(diagnosis: Diagnosis) -> bool:
    """Tell whether the diagnosis is the spectrum's alone: no network was asked."""
    return diagnosis.confidence is None and bool(diagnosis.evidence.get("witness"))


def testimony(diagnosis: Diagnosis) -> str:
    """Return what the spectrum says of the bearing, in a sentence; "" where it was not asked."""
    reasons = (diagnosis.evidence.get("witness") or {}).get("reasons") or []
    return show(str(reasons[0])).rstrip(".") if reasons else ""


def _name(d: Diagnosis) -> str:
    return show(str((d.evidence.get("witness") or {}).get("bearing", {}).get("name", "")))


def asked(diagnosis: Diagnosis) -> str:
    """Return the bearing that was asked about, " (6205-2RS)"."""
    name = _name(diagnosis)
    return f" ({name})" if name else ""


def place(diagnosis: Diagnosis) -> str:
    """Return what the spectrum names: "a fault of the inner race", "a damaged bearing"."""
    named = (diagnosis.evidence.get("witness") or {}).get("place")
    return f"a fault of the {_place(str(named))}" if named else "a damaged bearing"


def beside(diagnosis: Diagnosis) -> str:
    """Return how the spectrum goes with the network's verdict, as the end of a line; "" where it was not asked."""
    word = (diagnosis.evidence.get("witness") or {}).get("with_the_network")
    words = {
        "agree": "the spectrum agrees",
        "silent": "the spectrum shows nothing",
        "disagree": "the spectrum disagrees",
    }
    return f"; {words[word]}" if word in words else ""


def finding(d: Diagnosis) -> str:
    """Return the finding of the spectrum alone as one sentence or two, and what it cannot say."""
    said = testimony(d)
    if d.status == "undecided":
        return f"No verdict: {said}; the bearing was not assessed."
    if d.verdict == "no_evidence":
        return f"The envelope spectrum shows no damage of the bearing {_name(d)}: {said}. That is no all-clear."
    where = "a place that could not be told" if d.verdict == "damaged" else f"the {_place(str(d.verdict))}"
    return f"The envelope spectrum shows damage of {where}. {said[:1].upper()}{said[1:]}."


def _place(name: str) -> str:
    return _PLACES.get(name, show(name))


def rows(witness: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (name, value) of what was looked for and what was found, from the evidence's `witness`."""
    bearing = witness.get("bearing") or {}
    out = [
        ("channel", show(str(witness.get("channel", "")))),
        ("bearing", _geometry(bearing)),
        ("its numbers are from", show(str(bearing.get("source", "")))),
    ]
    hz = witness.get("speed_hz")
    if hz:
        certain = 100 * (witness.get("speed_certainty") or 0.0)
        shift = 100 * (witness.get("speed_shift") or 0.0)
        out.append(("shaft speed", f"{60 * hz:.5g} rpm, {shift:+.2f} % of the stated one, {certain:.4g} % certain"))
    turns = witness.get("turns")
    out.append(("length", f"{turns:.4g} turns" if turns else ""))
    for h in witness.get("hypotheses") or []:
        said = (
            f"score {_short(h.get('score'))}: depth {_short(h.get('depth'))}"
            f" at order {_short(h.get('found_order'), 5)} "
            f"(by geometry {_short(h.get('order'), 5)}), {_short(h.get('surrogate'))} by chance, in {h.get('band')}"
        )
        out.append((_place(str(h.get("place"))), show(said)))
    smallest = witness.get("smallest_depth_seen")
    if smallest:
        out.append(("smallest depth that would have been seen", f"{smallest:.3g}"))
    names = {"agree": "they agree", "disagree": "they disagree", "silent": "the spectrum adds nothing"}
    names["alone"] = "the network has no verdict: the spectrum speaks alone"
    out.append(("network and spectrum", names.get(str(witness.get("with_the_network")), "")))
    return out


def _short(value: Any, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if isinstance(value, int | float) else "-"


def _geometry(bearing: Mapping[str, Any]) -> str:
    try:
        n, d, pitch = bearing["elements"], bearing["element_diameter"], bearing["pitch_diameter"]
        orders = bearing["orders"]
        return (
            f"{bearing['name']}: {n} elements of {d:.5g} on {pitch:.5g}; outer race {orders['bpfo']:.4g}, inner race "
            f"{orders['bpfi']:.4g}, element {orders['2bsf']:.4g}, cage {orders['ftf']:.4g} times the shaft's rate"
        )
    except (KeyError, TypeError, ValueError):
        return ""
