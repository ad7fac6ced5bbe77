"""The section of the gears: the spectrum about the mesh, the average of each gear over one turn, and the indicators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import gear_pictures, parts
from faultdx.report.text import percent
from faultdx.report.words import say


def section(d: Diagnosis) -> str:
    """Return the section of what the record says of the gears, where their teeth were named."""
    found = d.evidence.get("gears")
    if not found:
        return ""
    reasons = [show(str(reason)) for reason in found.get("reasons") or []]
    said = "".join(f"<p>{parts.safe(_sentence(reason))}</p>\n" for reason in reasons[:3])
    return parts.section(say("gears.section"), said + _pictures(d) + parts.table(rows(found)))


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."


def _pictures(d: Diagnosis) -> str:
    witness = d.gears
    if witness is None or witness.spectrum is None:
        return ""
    unit = d.record.unit if d.record is not None else None
    out = ""
    harmonic = gear_pictures.strongest(witness)
    if harmonic:
        picture = gear_pictures.mesh_spectrum(witness, harmonic, unit=unit)
        out += parts.figure(picture, say("gears.mesh_caption", harmonic=harmonic))
    for gear in witness.gears:
        if gear.average is None or gear.parts is None:
            continue
        name = say(f"gears.{gear.name}")
        caption = say(
            "gears.average_caption", name=name[:1].upper() + name[1:], teeth=gear.teeth, turns=gear.average.turns
        )
        out += parts.figure(gear_pictures.one_turn(gear, unit=unit), caption)
    return out


def rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (name, value) of what was looked for and what was found, from the evidence's `gears`."""
    out = [(say("gears.channel"), show(str(found.get("channel", ""))))]
    if found.get("mesh_hz"):
        mesh = say(
            "gears.mesh_value",
            order=_short(found.get("mesh_order")),
            hz=_short(found["mesh_hz"], 5),
            certain=percent(found.get("mesh_certainty")),
            rpm=_short(60 * (found.get("speed_hz") or 0.0), 5),
            shift=f"{100 * (found.get('speed_shift') or 0.0):+.2f}",
        )
        out.append((say("gears.mesh"), mesh))
        out.append((say("gears.angle"), say(f"gears.angle_{found.get('angle_from') or 'speed'}")))
    harmonics = []
    for k, line in enumerate(found.get("mesh") or [], 1):
        key = "gears.harmonic_value" if line.get("seen") else "gears.harmonic_unseen"
        amplitude, level = _short(line.get("amplitude")), _short(line.get("level_db"), 2)
        harmonics.append(say(key, harmonic=k, amplitude=amplitude, level=level))
    out.append((say("gears.harmonics"), "; ".join(harmonics)))
    shafts: dict[str, list[str]] = {}
    for side in found.get("sidebands") or []:
        share, count = _short(side.get("share"), 2), len(side.get("seen_orders") or [])
        said = shafts.setdefault(str(side.get("shaft")), [])
        if count:
            said.append(say("gears.sideband_value", harmonic=side.get("harmonic"), share=share, count=count, places=6))
    none = say("gears.sideband_none")
    out += [(say("gears.sidebands", shaft=_name(name)), "; ".join(said) or none) for name, said in shafts.items()]
    for gear in found.get("gears") or []:
        out += _gear_rows(gear, found.get("limits") or {})
    return out


def _gear_rows(gear: Mapping[str, Any], limits: Mapping[str, Any]) -> list[tuple[str, str]]:
    name, teeth = _name(str(gear.get("name"))), gear.get("teeth")
    head = say("gears.gear", name=name, teeth=teeth)
    values = gear.get("indicators")
    if not values:
        return [(head, say("gears.gear_not", why=show(str(gear.get("why_not", "")))))]
    said = say(
        "gears.gear_value",
        verdict=say(f"gears.verdict_{gear.get('verdict')}"),
        share=_short(100 * (gear.get("synchronous_share") or 0.0), 2),
        over=_short(gear.get("over_noise"), 2),
        turns=gear.get("turns_averaged"),
        repeats=_short(gear.get("repeats"), 2),
    )
    out = [(head, f"{said}; {show(str(gear['why_not']))}" if gear.get("why_not") else said)]
    pairs = {"m6a": "m8a", "sideband_index": "sideband_level_factor"}
    for key in ("fm0", "fm4", "m6a", "na4", "nb4", "energy_ratio", "sideband_index"):
        other = _short(values.get(pairs.get(key, "")))
        text = say(f"gears.{key}", value=_short(values.get(key)), other=other, limit=_short(limits.get("fm4")))
        out.append((say("gears.indicators", name=name) if key == "fm0" else " ", text))
    return out


def _name(shaft: str) -> str:
    return say(f"gears.{shaft}") if shaft in {"first gear", "second gear"} else show(shaft)


def _short(value: Any, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if isinstance(value, int | float) else "-"
