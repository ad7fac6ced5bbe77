"""Fault frequencies from geometry: at which multiple of the shaft rate a bearing or a gear fault shows.

Everything is an order, a multiple of the rate of the shaft that carries the inner race or the pinion;
times rpm / 60 it is a frequency in Hz. Bearings: pure rolling, outer race fixed (Randall & Antoni 2011,
Mechanical Systems and Signal Processing 25(2), 485-520). Real bearings slip: the lines lie within about 2 %
of these orders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from faultdx.errors import ConfigError

SLIP_TOLERANCE = 0.02  # share of a bearing order by which slip and contact angle move the line


class Orders(Protocol):
    """What a spectrum is asked about: the orders of a bearing, from its geometry or as a data sheet declares them."""

    @property
    def rolling_elements(self) -> int:
        """How many elements roll in it."""

    @property
    def bpfo(self) -> float:
        """Order at which they pass a point of the outer race."""

    @property
    def bpfi(self) -> float:
        """Order at which they pass a point of the inner race."""

    @property
    def bsf(self) -> float:
        """Order of an element's spin."""

    @property
    def ftf(self) -> float:
        """Order of the cage."""

    def orders(self) -> dict[str, float]:
        """The order of the strikes for each fault: bpfo, bpfi, ball (2 bsf), and the cage's ftf."""


def _whole(value: object, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


@dataclass(frozen=True)
class BearingGeometry:
    """A rolling-element bearing whose inner race turns and whose outer race stands still.

    rolling_elements : how many balls or rollers, n
    ball_diameter, pitch_diameter : d and D, in one unit of length (only their ratio matters)
    contact_angle_deg : angle of the load from the radial plane, degrees, 0 <= angle < 90

    Raises ConfigError, all problems in one message, where no such bearing can be built.
    """

    rolling_elements: int
    ball_diameter: float
    pitch_diameter: float
    contact_angle_deg: float = 0.0

    def __post_init__(self) -> None:
        problems = []
        if not _whole(self.rolling_elements, 3):
            problems.append(f"rolling_elements is {self.rolling_elements!r}: give a whole number, 3 or more")
        if not (_positive(self.ball_diameter) and _positive(self.pitch_diameter)):
            problems.append(
                f"ball_diameter {self.ball_diameter!r} and pitch_diameter {self.pitch_diameter!r} must be positive"
            )
        elif self.ball_diameter >= self.pitch_diameter:
            problems.append(
                f"ball_diameter {self.ball_diameter!r} is not smaller than pitch_diameter "
                f"{self.pitch_diameter!r}: were they swapped, or given in different units?"
            )
        elif _whole(self.rolling_elements, 3) and (
            self.ball_diameter > self.pitch_diameter * math.sin(math.pi / self.rolling_elements)
        ):
            problems.append(
                f"{self.rolling_elements} elements of diameter {self.ball_diameter!r} do not fit on "
                f"a pitch circle of {self.pitch_diameter!r}"
            )
        if not 0 <= self.contact_angle_deg < 90:
            problems.append(f"contact_angle_deg is {self.contact_angle_deg!r}: give an angle from 0 to below 90")
        if problems:
            raise ConfigError("bearing geometry: " + "; ".join(problems))

    @property
    def _ratio(self) -> float:
        """(d / D) cos(phi)."""
        return self.ball_diameter / self.pitch_diameter * math.cos(math.radians(self.contact_angle_deg))

    @property
    def ftf(self) -> float:
        """Cage order (fundamental train): (1/2)(1 - (d/D) cos phi)."""
        return 0.5 * (1.0 - self._ratio)

    @property
    def bpfo(self) -> float:
        """Order at which elements pass a point of the outer race: (n/2)(1 - (d/D) cos phi)."""
        return self.rolling_elements * self.ftf

    @property
    def bpfi(self) -> float:
        """Order at which elements pass a point of the inner race: (n/2)(1 + (d/D) cos phi)."""
        return self.rolling_elements * (1.0 - self.ftf)

    @property
    def bsf(self) -> float:
        """Spin order of an element: (D/2d)(1 - ((d/D) cos phi)^2). A defect on it strikes at twice that."""
        return self.pitch_diameter / (2.0 * self.ball_diameter) * (1.0 - self._ratio**2)

    def orders(self) -> dict[str, float]:
        """The order of the strikes for each fault: bpfo, bpfi, ball (2 bsf), and the cage's ftf."""
        return {"bpfo": self.bpfo, "bpfi": self.bpfi, "2bsf": 2.0 * self.bsf, "ftf": self.ftf}

    def slipped(self, cage_slip: float) -> dict[str, float]:
        """`orders()` with the cage slower than pure rolling by the share `cage_slip` (0 <= cage_slip < 1).

        An element orbits at ftf (1 - s) and meets a point of the inner race at n (1 - ftf (1 - s)): BPFO and
        cage drop by s, BPFI rises by s ftf / (1 - ftf). An element that rolls on the outer race spins in
        proportion to its orbit, so 2 BSF drops by s too. Raises ConfigError.
        """
        if not 0 <= cage_slip < 1:
            raise ConfigError(f"cage slip is {cage_slip!r}: give a share from 0 to below 1")
        ftf = self.ftf * (1.0 - cage_slip)
        n = self.rolling_elements
        return {
            "bpfo": n * ftf,
            "bpfi": n * (1.0 - ftf),
            "2bsf": 2.0 * self.bsf * (1.0 - cage_slip),
            "ftf": ftf,
        }


@dataclass(frozen=True)
class GearPair:
    """A pinion that drives a gear; orders are multiples of the pinion's rate.

    Raises ConfigError where a tooth number is not a whole number of 5 or more.
    """

    pinion_teeth: int
    gear_teeth: int

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value!r}: give a whole number, 5 or more"
            for name, value in (("pinion_teeth", self.pinion_teeth), ("gear_teeth", self.gear_teeth))
            if not _whole(value, 5)
        ]
        if problems:
            raise ConfigError("gear pair: " + "; ".join(problems))

    @property
    def mesh(self) -> float:
        """Tooth-mesh order: the number of pinion teeth."""
        return float(self.pinion_teeth)

    @property
    def gear(self) -> float:
        """Order of the driven shaft: pinion teeth / gear teeth."""
        return self.pinion_teeth / self.gear_teeth

    @property
    def hunting_tooth(self) -> float:
        """Order at which the same two teeth meet again: mesh / lcm(teeth), = gcd / gear teeth."""
        return self.mesh / math.lcm(self.pinion_teeth, self.gear_teeth)


# CWRU drive end (inches) and fan end (inches), and the UESTC bearing (millimetres).
SKF_6205 = BearingGeometry(9, 0.3126, 1.537)
SKF_6203 = BearingGeometry(8, 0.2656, 1.122)
UC204 = BearingGeometry(8, 7.938, 33.5)
