"""Is this a vibration signal at all? Checks of a recording, each with its value and its limit.

A network that is fed a dead channel, or one clipped by its amplifier, answers with a class and a high probability, as
it does for everything. These checks look at the signal alone, with no model: what is visibly broken is refused, what
is doubtful is warned about. The limits were tuned on real recordings and on spoilt copies of them;
benchmarks/quality.py has the protocol and prints what each check catches and costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.examination import UNSEEN, Seen, examine, speed_tolerance


@dataclass(frozen=True)
class Check:
    """A quality check: `value` against `limit`; severity "ok", "warn" or "refuse"; `message` is a sentence."""

    name: str
    value: float
    limit: float
    severity: str
    message: str


@dataclass(frozen=True)
class Limit:
    """Beyond `warn` a check warns, beyond `refuse` it refuses; `below`: the smaller the value, the worse."""

    warn: float = math.inf
    refuse: float = math.inf
    below: bool = False

    def judge(self, value: float) -> tuple[str, float]:
        """Return the severity, and the limit that was crossed, or for "ok" the one that comes first. NaN is "ok"."""
        sign = -1.0 if self.below else 1.0
        if sign * value > sign * self.refuse:
            return "refuse", self.refuse
        if sign * value > sign * self.warn:
            return "warn", self.warn
        return "ok", self.warn if math.isfinite(self.warn) else self.refuse


LIMITS = {
    "not_finite": Limit(refuse=0.0),  # samples
    "flat": Limit(32.0, 16.0, below=True),  # different values
    "stuck": Limit(0.002, 0.05),  # s, the longest run of equal samples; 1 % of a shorter record
    "clipped": Limit(0.001, 0.01),  # share of the samples that have the highest or the lowest value
    "dropout": Limit(0.0, 0.1),  # share of the 10 ms blocks that are 30 dB below the median
    "offset": Limit(1.0),  # |mean|, in standard deviations
    "ski_slope": Limit(0.1, 0.5),  # share of the energy below 5 Hz
    "mains": Limit(0.15),  # share of the energy at 50 or 60 Hz and multiples
    "bandwidth": Limit(-46.0, -math.inf, below=True),  # dB, the spectrum at 0.40 to 0.47 of the rate over its mean
    "noise": Limit(0.95, 0.985),  # flatness of the spectrum, 1 for white noise; a machine at -10 dB is below 0.98
    "spikes": Limit(0.0),  # samples
    "unsteady": Limit(8.0),  # loudest over quietest quarter of a second, RMS
    "repeated": Limit(0.002),  # share of the record
    "speed": Limit(0.01),  # relative error of the stated speed; 0.03 of a set point
    "few_turns": Limit(10.0, -math.inf, below=True),  # turns of the shaft
}
_FEWEST_SAMPLES = 16
PLAUSIBLE_HZ, PLAUSIBLE_RPM = (0.01, 1e9), (0.01, 1e7)
_RUN = 16  # equal samples in a row; fewer are never called stuck


def assess(
    signal: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    rpm: float | None = None,
    mains_hz: Sequence[float] = (50, 60),
    names: Sequence[str] = (),
) -> tuple[Check, ...]:
    """Return every check of `LIMITS`, once each and in that order, with the value of the worst channel.

    signal : shape (channels, samples) or (samples,), as recorded: before any resampling, filtering or scaling
    rpm : the shaft speed stated for the record; without it "speed" and "few_turns" say nothing
    names : of the channels, for the sentences; else they are numbered from 1

    A check that could not be made has the value NaN and is "ok": what a signal does not show is no fault.
    Raises RecordError for an array that is no signal, or an impossible rate or speed, ConfigError for impossible mains.
    """
    stored = np.asarray(signal)
    if stored.dtype.kind not in "fiub" or stored.ndim not in (1, 2) or stored.shape[-1] < _FEWEST_SAMPLES:
        raise RecordError(
            f"the signal has shape {stored.shape} and type {stored.dtype}; give channels of {_FEWEST_SAMPLES} real "
            "samples or more"
        )
    for name, given, (low, high) in (
        ("sampling rate", sampling_rate_hz, PLAUSIBLE_HZ),
        ("speed", 1.0 if rpm is None else rpm, PLAUSIBLE_RPM),
    ):
        if not low <= given <= high:
            raise RecordError(f"a {name} of {given} is impossible; declare the real one")
    if not all(1 <= hz <= 1000 for hz in mains_hz):
        raise ConfigError(f"mains_hz is {tuple(mains_hz)}: give frequencies from 1 to 1000 Hz, such as 50 or 60")
    with np.errstate(over="ignore", invalid="ignore"):  # beyond the range of float32 is infinite, and said below
        channels = np.atleast_2d(stored).astype(np.float32, copy=False)
    if not len(channels):
        raise RecordError("the signal has no channels; give one or more")
    seen = [examine(row, sampling_rate_hz=sampling_rate_hz, rpm=rpm, mains_hz=mains_hz) for row in channels]
    limits = _limits(channels.shape[1] / sampling_rate_hz, sampling_rate_hz, rpm)
    return tuple(_worst(name, limits[name], [one.get(name, UNSEEN) for one in seen], names) for name in LIMITS)


def fired(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks that warn or refuse, those that refuse first."""
    return tuple(sorted((c for c in checks if c.severity != "ok"), key=lambda c: c.severity != "refuse"))


def _limits(duration_s: float, sampling_rate_hz: float, rpm: float | None) -> dict[str, Limit]:
    """Return the limits as they hold for a record of this length, rate and speed."""
    stuck = LIMITS["stuck"]
    refuse = max(min(stuck.refuse, 0.01 * duration_s), _RUN / sampling_rate_hz)
    limits = LIMITS | {"stuck": Limit(max(min(stuck.warn, refuse), _RUN / sampling_rate_hz), refuse)}
    if rpm is not None:
        limits["speed"] = Limit(speed_tolerance(rpm))
    return limits


def _worst(name: str, limit: Limit, seen: Sequence[Seen], names: Sequence[str]) -> Check:
    """Return the check of the channel that comes off worst."""
    sign = -1.0 if limit.below else 1.0
    if name == "speed":  # a channel that shows the shaft where it should be speaks for the others
        sign = -1.0
    values = [-math.inf if math.isnan(s.value) else sign * s.value for s in seen]
    channel = values.index(max(values))
    worst = seen[channel]
    severity, bound = limit.judge(worst.value)
    if math.isnan(worst.value):
        return Check(name, math.nan, bound, "ok", f"{_TITLES[name]}: not assessed")
    if severity == "ok":
        return Check(name, worst.value, bound, "ok", f"{_TITLES[name]}: nothing of note")
    sentence = _SENTENCES[name](worst).rstrip(".")  # it stands in lists and in lines of a log
    if len(seen) > 1:
        which = names[channel] if channel < len(names) else channel + 1
        sentence = f"Channel {which}: {sentence[0].lower()}{sentence[1:]}"
    return Check(name, worst.value, bound, severity, sentence)


_TITLES = {
    "not_finite": "Samples that are no numbers",
    "flat": "Number of different values",
    "stuck": "Runs of equal samples",
    "clipped": "Clipping",
    "dropout": "Dropouts",
    "offset": "Offset",
    "ski_slope": "Drift below 5 Hz",
    "mains": "Mains hum",
    "bandwidth": "Bandwidth",
    "noise": "White noise",
    "spikes": "Single-sample spikes",
    "unsteady": "Steadiness of the level",
    "repeated": "Repeated stretches",
    "speed": "Stated speed against the spectrum",
    "few_turns": "Length in shaft turns",
}


def _time(seconds: float) -> str:
    return f"{seconds:.3f} s"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


_SENTENCES: dict[str, Callable[[Seen], str]] = {
    "not_finite": lambda s: (
        f"{s.value:.0f} samples are not finite ({s.more:.0f} NaN), the first at {_time(s.at_s)}; "
        "cut or repair them, or record again."
    ),
    "flat": lambda s: (
        f"The signal has {s.value:.0f} different values; check the sensor, its cable, and the range of the converter."
    ),
    "stuck": lambda s: (
        f"The same value is held for {1000 * s.value:.3g} ms from {_time(s.at_s)} on; check the sensor and its cable, "
        "or cut that part out."
    ),
    "clipped": lambda s: (
        f"{_share(s.value)} of the samples are at the end of the range, the first at {_time(s.at_s)}; "
        "record again with less gain."
    ),
    "dropout": lambda s: (
        f"The signal fails for {_share(s.value)} of the time, first at {_time(s.at_s)}; check cable and connectors."
    ),
    "offset": lambda s: (
        f"The mean is {s.value:.3g} standard deviations from zero and will be removed; check the coupling and supply "
        "of the sensor."
    ),
    "ski_slope": lambda s: (
        f"{_share(s.value)} of the energy lies below 5 Hz: drift, an overloaded sensor or integrated noise; "
        "let the sensor settle, check its mounting, and record again."
    ),
    "mains": lambda s: (
        f"{_share(s.value)} of the energy lies at {s.more:g} Hz and its multiples; check shield and ground of the "
        "cable, unless the machine turns at that rate."
    ),
    "bandwidth": lambda s: (
        f"Above 0.4 of the sampling rate the spectrum is {-s.value:.0f} dB below its mean: the record was low-passed "
        "or resampled; give the record as it was sampled."
    ),
    "noise": lambda s: (
        f"The spectrum is that of white noise (flatness {s.value:.2f}) and shows no machine; check that the sensor is "
        "connected."
    ),
    "spikes": lambda s: (
        f"{s.value:.0f} single samples stand out, by up to {s.more:.0f} sigma, the first at {_time(s.at_s)}; "
        "check the cable and the transfer of the data."
    ),
    "unsteady": lambda s: (
        f"The level changes by a factor of {s.value:.3g}, loudest at {_time(s.at_s)} and quietest at {_time(s.more)}; "
        "record while the machine runs steadily."
    ),
    "repeated": lambda s: (
        f"{_share(s.value)} of the record is there twice: what is at {_time(s.at_s)} was at {_time(s.more)} before; "
        "check the buffer of the logger and export again."
    ),
    "speed": lambda s: (
        f"The spectrum shows a shaft at {s.more:.5g} rpm, {_share(s.value)} off the stated speed; check the speed and "
        "the sampling rate."
    ),
    "few_turns": lambda s: f"The record holds {s.value:.3g} turns of the shaft; record 10 or more.",
}
