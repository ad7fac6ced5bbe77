"""How far a new value may be from earlier ones before it is called another: prediction limits.

The quantile of Student's t comes from the regularized incomplete beta function: scipy is too heavy for a gateway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError

Floats = npt.NDArray[np.float64]

PRIOR_DF = 12.0  # degrees of freedom that the scatter taken for granted is worth
_NEIGHBOURS = 3.0  # so many neighbouring bands rise and fall together
_ROBUST = 5  # from so many recordings on, one in the wrong place is not followed
_FEW = {5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}
_STEPS = 200
_TINY = 1e-300


def student_t_cdf(t: float, df: float) -> float:
    """Return P(T <= t) of Student's t with `df` degrees of freedom: 1 - I_x(df / 2, 1 / 2) / 2, x = df / (df + t^2)
    for t > 0 (Abramowitz & Stegun 26.7.1)."""
    if t == 0:
        return 0.5
    tail = 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return 1 - tail if t > 0 else tail


def student_t_quantile(upper: float, df: float) -> float:
    """Return the t that is exceeded with probability `upper`, 1e-12 to 0.5; df : 1 or more.

    Raises ConfigError for what is outside of that.
    """
    if not (1e-12 <= upper <= 0.5 and df >= 1):
        raise ConfigError(f"no limit for a probability of {upper:g} and {df:g} degrees of freedom")
    low, high = 0.0, 1.0
    while student_t_cdf(-high, df) > upper:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_t_cdf(-middle, df) > upper else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) by its continued fraction (Abramowitz & Stegun 26.5.8, evaluated as Lentz does)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    ) / a  # fmt: skip
    f, c, d = 1.0, 1.0, 0.0
    for i in range(_STEPS):
        m = i // 2
        if i == 0:
            numerator = 1.0
        elif i % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away(1 + numerator * d)
        c = _away(1 + numerator / c)
        f *= c * d
        if abs(1 - c * d) < 1e-14:
            break
    return front * (f - 1)


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@dataclass(frozen=True, eq=False)
class Limits:
    """What a new recording may show, for each of m figures: `centre` plus or minus `half_width`, shape (m,) each.

    df : degrees of freedom behind the limits; scale : how the recordings scatter against what was taken for granted
    """

    centre: Floats
    half_width: Floats
    df: float
    scale: float


def prediction_limits(
    values: Floats, scatter: Floats, *, false_alarms: float, figures: int | None = None, moved: Floats | None = None
) -> Limits:
    """Return the limits that a further recording of the same kind keeps with probability 1 - `false_alarms`.

    values : (n, m), figures of n recordings, n >= 1; scatter : (m,), standard deviation from recording to recording
        that is taken for granted; moved : (m,), a scatter that the new recording has at least
    figures : among how many the false alarms are shared out, m by default (Bonferroni: right however they correlate)

    The limits are those of one future observation, centre +- t s sqrt(1 + c / n) (Hahn & Meeker, "Statistical
    Intervals", 1991, section 4.8), with c = 1 for the mean of one or two recordings and pi / 2 for the median of more,
    which one recording in the wrong place does not move. The variance is shrunk twice towards what is taken for
    granted, s^2 = (d0 s0^2 + d s_n^2) / (d0 + d), t having d0 + d degrees of freedom (Smyth, "Linear models and
    empirical Bayes methods", Stat. Appl. Genet. Mol. Biol. 3(1), 2004): all figures together find out how much this
    machine scatters, then each figure finds out by itself. With one recording s is s0, and the rate of false alarms
    holds for machines that scatter no more than that. s_n is the standard deviation, from five recordings on that of
    the median deviation, which is worth 0.37 of the degrees of freedom (Rousseeuw & Croux, JASA 88, 1993).

    Raises ConfigError for an impossible rate.
    """
    n, m = values.shape
    each = false_alarms / (2 * max(m if figures is None else figures, 1))
    centre = np.median(values, axis=0) if n > 2 else values.mean(axis=0)
    share = (1.0 if n < 3 else math.pi / 2) / n
    variance = np.asarray(scatter, dtype=np.float64) ** 2
    own, df = _own(values)
    scale2 = 1.0
    if df > 0:
        pooled = df * m / _NEIGHBOURS
        ratio = own / variance  # the median, where a stray recording that threw one figure off must not speak for all
        found = float(np.median(ratio)) / _median_of(df) if n >= _ROBUST else float(ratio.mean())
        scale2 = (PRIOR_DF + pooled * found) / (PRIOR_DF + pooled)
        variance = (PRIOR_DF * scale2 * variance + df * own) / (PRIOR_DF + df)
    new = variance if moved is None else np.maximum(variance, np.asarray(moved) ** 2)
    half = student_t_quantile(each, PRIOR_DF + df) * np.sqrt(new + share * variance)
    return Limits(centre, half, PRIOR_DF + df, math.sqrt(scale2))


def _own(values: Floats) -> tuple[Floats, float]:
    """Return the variance of each figure from recording to recording, and its degrees of freedom."""
    n, m = values.shape
    if n < 2:
        return np.zeros(m), 0.0
    if n < _ROBUST:
        return values.var(axis=0, ddof=1), n - 1.0
    deviation = np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    # 1.4826 for a Gaussian, and what few values lack (Croux & Rousseeuw, COMPSTAT 1992)
    few = _FEW.get(n, n / (n - 0.8))
    return (1.4826 * few * deviation) ** 2, 0.37 * (n - 1)


def _median_of(df: float) -> float:
    """Return the median of chi-square / df (Wilson & Hilferty 1931)."""
    return (1 - 2 / (9 * max(df, 0.5))) ** 3
