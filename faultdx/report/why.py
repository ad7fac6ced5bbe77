"""The section of a report on what the network looked at: over frequency, over time, and what its units did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import parts, why_pictures
from faultdx.report.words import say

if TYPE_CHECKING:
    from faultdx.explanation import Explanation
    from faultdx.shrinkage import Thresholds

_MOST_BANDS = 3  # named in the sentence
_LOUD_DB = 0.5
_FLAT = "too_large", "not_finite"  # why there is no attribution


def section(d: Diagnosis, model_info: Mapping[str, Any]) -> str:
    """Return the section, "" where nothing was explained: no network was asked, or no report is made of it."""
    found = d.explanation
    if found is None:
        return ""
    parts_of = [f"<p>{parts.safe(_about(d, found))}</p>\n"]
    parts_of += [f"<p>{parts.safe(say(f'why.{key}'))}</p>\n" for key in found.missing if key in (*_FLAT, "too_few")]
    if found.frequency is not None:
        parts_of.append(_pictured(why_pictures.over_frequency(found), frequency_sentences(found)))
    if found.time is not None:
        parts_of.append(_pictured(why_pictures.over_time(found), time_sentences(found)))
    if found.thresholds is not None:
        said = threshold_sentences(found.thresholds, model_info)
        parts_of.append(_pictured(why_pictures.thresholds(found.thresholds), said))
    else:
        parts_of.append(f"<p>{parts.safe(no_thresholds(found, model_info))}</p>\n")
    return parts.section(say("why.title"), "".join(parts_of))


def frequency_sentences(found: Explanation) -> list[str]:
    """Return what the picture over frequency means, and what it does not."""
    a = found.frequency
    assert a is not None
    bands = a.beyond()
    if bands:
        names = [say("why.band", low=a.edges[i], high=a.edges[i + 1]) for i in bands[:_MOST_BANDS]]
        named = say("why.and").join(names)
        if len(bands) > _MOST_BANDS:
            named = say("why.more_bands", bands=", ".join(names), more=len(bands) - _MOST_BANDS)
        one = "_one" if len(bands) == 1 else ""
        means = say(f"why.frequency_found{one}", bands=named, drop=float(a.drop[bands[0]]))
        if 0 < found.log_odds < a.drop[bands[0]]:
            means += " " + say("why.frequency_turns")
    else:
        means = say("why.frequency_none" if a.chance is not None else "why.frequency_plain")
    return [means, *([say("why.limit_key")] if a.chance is not None else []), say("why.frequency_not")]


def time_sentences(found: Explanation) -> list[str]:
    """Return what the picture over time means, and what it does not."""
    t = found.time
    assert t is not None
    beyond, louder = t.beyond(), t.louder_db()
    counts: dict[str, Any] = {"windows": beyond.size, "segments": len(beyond)}
    if louder is None:
        means = say("why.time_none", **counts)
    else:
        key = "as_loud" if abs(louder) < _LOUD_DB else "louder" if louder > 0 else "quieter"
        level = say(f"why.{key}", db=abs(louder))
        means = say("why.time_found", beyond=int(beyond.sum()), share=float(beyond.mean()), level=level, **counts)
    said = [means, say("why.limit_key"), say("why.time_not")]
    places = t.position.beyond()
    if places:
        edges = t.position.edges
        names = [say("why.place", low=edges[w], high=edges[w + 1]) for w in sorted(places)]
        said.insert(1, say("why.position", places=", ".join(names)))
    return said


def threshold_sentences(found: Thresholds, model_info: Mapping[str, Any]) -> list[str]:
    """Return what the picture of the thresholds means, and what it does not."""
    healthy = found.healthy
    if healthy is None:
        why = say("why.no_healthy" if model_info.get("healthy") else "why.no_healthy_class")
        return [say("why.units_alone", why=why), say("why.units_not")]
    outside = found.outside()
    if not healthy.enough:
        means = say("why.units_few", records=healthy.different)
    elif outside:
        which = ", ".join(str(i + 1) for i in outside)
        means = say("why.units_outside", count=len(outside), units=len(found.alpha), which=which)
    else:
        means = say("why.units_inside")
    both = {state for state, _ in healthy.bands} == {"clean", "noisy"}
    key = say("why.units_key" if both else "why.units_key_clean", records=healthy.different)
    return [means, key, say("why.units_not")]


def no_thresholds(found: Explanation, model_info: Mapping[str, Any]) -> str:
    """Return why there are no thresholds to show."""
    if "thresholds_broken" in found.missing:
        return say("why.thresholds_broken")
    network = model_info.get("network")
    held = network.get("architecture") if isinstance(network, Mapping) else None
    gate = held.get("gate") if isinstance(held, Mapping) else None
    if gate is None:
        return say("why.no_thresholds")
    if gate not in ("channel-wise", "channel-shared"):
        return say("why.no_units", name=show(str(network.get("name", ""))) if isinstance(network, Mapping) else "")
    return say("why.int8" if model_info.get("precision") == "int8" else "why.old_model")


def _about(d: Diagnosis, found: Explanation) -> str:
    about = show(found.about)
    if found.frequency is None:
        return say("why.about_nothing", about=about)
    if d.verdict is None:
        return say("why.about_open", about=about, odds=found.log_odds, segments=found.segments)
    if found.segments == 1:
        return say("why.about_one", about=about, odds=found.log_odds)
    return say("why.about", about=about, odds=found.log_odds, segments=found.segments)


def _pictured(svg: str, sentences: list[str]) -> str:
    """Return a picture with what it means under it, and after that what it does not: the last of the sentences."""
    warning = f'<p class="soft">{parts.safe(sentences[-1])}</p>\n'
    return parts.figure(svg, " ".join(sentences[:-1])) + warning
