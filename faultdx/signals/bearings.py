"""A small catalogue of bearings: geometry by designation, each row with its source.

A designation fixes the outside of a bearing (ISO 15), not what rolls in it: makers fit other numbers and sizes of
elements, and change them. So a row says who published its numbers and for which bearing (`basis` "published"), or that
they are merely common (`basis` "typical": pitch diameter half-way between bore and outside diameter, as ISO 15 has
them; number and size of the elements as open fault-frequency calculators use them, not checked against a maker's
drawing). Where rows of one designation differ, all are given and the user has to choose.

Frequencies follow from the geometry by `kinematics`; a line at an order that a maker's data sheet gives is worth more
than any row here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from faultdx.errors import ConfigError
from faultdx.signals.kinematics import BearingGeometry

_INCH = 25.4
_ALIKE = 0.005  # rows whose orders differ by less are one bearing to any spectrum


@dataclass(frozen=True)
class Bearing:
    """One row: a bearing by its designation and maker.

    geometry : lengths in mm; basis : "published" or "typical"; source : where the numbers come from; note : what to
        beware of, or ""
    """

    designation: str
    maker: str
    geometry: BearingGeometry
    basis: str
    source: str
    note: str = ""

    @property
    def name(self) -> str:
        """ "SKF 6205-2RS JEM"."""
        return f"{self.maker} {self.designation}".strip()


_CWRU = "Case Western Reserve University Bearing Data Center, page Bearing Information"
_PADERBORN = "Lessmeier et al., PHM Society European Conference 2016, table of test bearings (Paderborn University)"
_TYPICAL = "pitch from ISO 15 boundary dimensions; elements as in open fault-frequency calculators"
_UNCHECKED = "its numbers were not compared with the source again: do so before relying on them"
_CHECK = "typical, not a maker's figures: compare with the data sheet of the bearing in the machine"


def _typical(designation: str, elements: int, diameter: float, bore: float, outside: float) -> Bearing:
    geometry = BearingGeometry(elements, diameter, (bore + outside) / 2.0)
    return Bearing(designation, "", geometry, "typical", _TYPICAL, _CHECK)


@cache
def catalogue() -> tuple[Bearing, ...]:
    """Return all rows, the published ones first."""
    inch = _INCH
    return (
        Bearing("6205-2RS JEM", "SKF", BearingGeometry(9, 0.3126 * inch, 1.537 * inch), "published", _CWRU),
        Bearing("6203-2RS JEM", "SKF", BearingGeometry(8, 0.2656 * inch, 1.122 * inch), "published", _CWRU),
        Bearing("6203", "FAG", BearingGeometry(8, 6.75, 28.55), "published", _PADERBORN, _UNCHECKED),
        Bearing(
            "UC204",
            "",
            BearingGeometry(8, 7.938, 33.5),
            "published",
            "as stated for the UESTC recordings",
            "the insert has the inside of a 6204; its balls differ a little from maker to maker",
        ),
        Bearing(
            "UER204",
            "LDK",
            BearingGeometry(8, 7.92, 34.55),
            "published",
            "Wang et al., IEEE Transactions on Reliability 69(1), 2020 (XJTU-SY recordings)",
            _UNCHECKED,
        ),
        Bearing(
            "ER-10K",
            "MB",
            BearingGeometry(8, 0.3125 * inch, 1.319 * inch),
            "published",
            "NPTEL course 112103024, module 15, example 15.2 (Machinery Fault Simulator)",
        ),
        Bearing(
            "ER-16K",
            "MB",
            BearingGeometry(9, 7.9375, 38.5),
            "published",
            "Forbes, Curtin University, readme of the inner and outer race recordings, 2012",
        ),
        Bearing(
            "ZA-2115",
            "Rexnord",
            BearingGeometry(16, 0.331 * inch, 2.815 * inch, 15.17),
            "published",
            "Qiu, Lee, Lin & Yu, Journal of Sound and Vibration 289(4-5), 2006 (IMS recordings)",
            f"double row; 16 rollers in each; {_UNCHECKED}",
        ),
        Bearing(
            "NICE",
            "",
            BearingGeometry(8, 0.235 * inch, 1.245 * inch),
            "published",
            "Bechhoefer, MFPT fault data sets, 2013",
            f"known by the name of the test bearing; it has no designation; {_UNCHECKED}",
        ),
        _typical("6204", 8, 7.938, 20, 47),
        _typical("6206", 9, 9.525, 30, 62),
        _typical("6207", 9, 11.112, 35, 72),
        _typical("6208", 9, 12.0, 40, 80),
        _typical("6308", 8, 15.081, 40, 90),
        _typical("6309", 8, 17.462, 45, 100),
        _typical("6310", 8, 19.05, 50, 110),
        _typical("6312", 8, 22.225, 60, 130),
        _typical("NU205", 12, 7.5, 25, 52),
        _typical("NU205", 13, 7.5, 25, 52),
    )


# A maker or nothing; type, series and bore; nothing, or a suffix: what begins otherwise is another bearing.
_DESIGNATION = re.compile(
    r"\s*(?:(?:SKF|FAG|INA|NTN|SNR|NSK|RHP|KOYO|NACHI|TIMKEN|MB|LDK|REXNORD|ZKL|NMB|SEALMASTER|DODGE)[ -]*)?"
    r"(?P<stem>(?:NU|NJ|N|UC|UER|ER|ZA)?[- ]?[0-9]{2,5}?)"
    r"(?:(?:2RS|2RZ|2Z|ZZ|RS|RZ|Z|DDU|LLU|VV|C[2-5])[A-Z0-9]*|[-/ .][A-Z0-9 /.,-]*)?\s*\Z"
)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def _stem(text: str) -> str:
    """Return type, series and bore, "6205" or "NU205", without suffixes; "" where there is none."""
    found = _DESIGNATION.match(text.upper())
    return _plain(found["stem"]) if found else ""


def find_bearings(designation: str) -> tuple[Bearing, ...]:
    """Return the rows that `designation` may mean, best first; empty where it is not in the catalogue.

    "SKF 6205-2RS JEM", "6205-2rs jem" and "6205" are understood; spaces and dashes do not count, and neither do the
    suffixes of seals, clearance and grease ("6205-ZZ C3") where no row has them. A maker that is named is preferred.
    """
    wanted = _plain(designation)
    exact = [b for b in catalogue() if wanted in (_plain(b.designation), _plain(b.name))]
    if exact:
        return tuple(exact)
    stem = _stem(designation)
    found = [b for b in catalogue() if stem and _stem(b.designation) == stem]
    named = [b for b in found if b.maker and _plain(b.maker) in wanted]
    return tuple(named or sorted(found, key=lambda b: b.basis != "published"))


def bearing(designation: str) -> Bearing:
    """Return the one bearing that `designation` means.

    Raises ConfigError where it is not in the catalogue, or where rows of it differ by more than 0.5 % in an order: the
    message then names them.
    """
    found = find_bearings(designation)
    if not found:
        known = ", ".join(sorted({b.designation for b in catalogue()}))
        raise ConfigError(
            f"bearing {designation!r} is not in the catalogue ({known}); give its geometry: number of elements, their "
            "diameter, pitch diameter, contact angle"
        )
    first = found[0].geometry.orders()
    for other in found[1:]:
        orders = other.geometry.orders()
        if any(abs(orders[k] / first[k] - 1.0) > _ALIKE for k in first):
            rows = "; ".join(
                f"{b.name}: {b.geometry.rolling_elements} elements of {b.geometry.ball_diameter:g} mm on "
                f"{b.geometry.pitch_diameter:g} mm, {b.basis}"
                for b in found
            )
            raise ConfigError(f"bearing {designation!r} may be one of several ({rows}); name the maker or the geometry")
    return found[0]
