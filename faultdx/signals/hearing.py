"""A record -> the spectra over orders that every witness of a bearing looks at, and the speed that they rest on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.combs import SLIP
from faultdx.signals.demodulation import Modulations, demodulation_bands, modulations
from faultdx.signals.envelope_order import OrderSpectra, order_spectra
from faultdx.signals.kinematics import Orders
from faultdx.signals.shaft import SEARCH, ShaftSpeed, refine_speed, suspects
from faultdx.signals.tracking import turning_of

UNSURE = 0.05  # by which a speed that nothing confirms may be wrong
FEWEST_TURNS = 20.0
MOST_SAMPLES = 1 << 22  # of a longer record only the first so many are looked at: 87 s at 48 kHz, 170 MB


@dataclass(frozen=True, eq=False)
class Heard:
    """What is left of a record that can be judged.

    found : the modulations of its bands; spectra : of these, over orders
    speed : of the shaft, as found; turns : that it made; tolerance : share about an order that is searched
    """

    found: Modulations
    spectra: OrderSpectra
    speed: ShaftSpeed
    turns: float
    tolerance: float


@dataclass(frozen=True)
class Unfit:
    """A record that cannot be judged: how many turns it has at the stated speed, and why."""

    turns: float
    why: str


def hear(
    signal: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    rpm: float,
    bearing: Orders,
    search: float = SEARCH,
) -> Heard | Unfit:
    """Return what can be heard in `signal`, shape (samples,), of `bearing` on a shaft that turns at about `rpm`.

    search : how far from `rpm` the speed is looked for, as a share (below 0.3)

    Raises ConfigError for an impossible speed or search, RecordError for a signal that is no channel of finite
    numbers.
    """
    if not (math.isfinite(rpm) and rpm > 0):
        raise ConfigError(f"a speed of {rpm} rpm is impossible; give turns a minute above 0")
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0):
        raise RecordError(f"a sampling rate of {sampling_rate_hz} Hz is impossible; declare the real one")
    x = np.asarray(signal)
    if x.ndim != 1:
        raise RecordError(f"the signal has shape {x.shape}; give one channel with samples")
    x = x[:MOST_SAMPLES]
    nominal_hz = rpm / 60.0
    turns = x.size / sampling_rate_hz * nominal_hz
    if turns < FEWEST_TURNS:
        return Unfit(turns, f"too short: {turns:.1f} turns of the shaft, and it takes {FEWEST_TURNS:.0f}")
    widest_hz = bearing.bpfi * nominal_hz
    if 1.5 * widest_hz > sampling_rate_hz / 4.0:
        return Unfit(turns, f"sampled too slowly: {sampling_rate_hz:g} Hz for lines at {widest_hz:.0f} Hz")
    up_to_order = 3.0 * bearing.bpfi * 1.03 + 1.5
    found = modulations(
        x,
        sampling_rate_hz=sampling_rate_hz,
        bands=demodulation_bands(sampling_rate_hz),
        up_to_hz=up_to_order * nominal_hz * (1.0 + search),
    )
    near = suspects((bearing.bpfo, bearing.bpfi, 2.0 * bearing.bsf), search=search)
    speed = refine_speed(
        x, found, sampling_rate_hz=sampling_rate_hz, nominal_hz=nominal_hz, search=search, suspected=near
    )
    turning, speed = turning_of(x, found, sampling_rate_hz=sampling_rate_hz, speed=speed, search=search, suspected=near)
    spectra = order_spectra(found, turning, up_to_order=up_to_order)
    tolerance = SLIP if speed.confirmed else SLIP + min(UNSURE, search)
    return Heard(found, spectra, speed, turns * speed.hz / nominal_hz, tolerance)
