"""Each place of a bearing as a hypothesis: its comb in every band, against combs that are nobody's.

    outer race   k BPFO
    inner race   k BPFI, sidebands at the shaft's rate
    ball         k 2BSF, sidebands at the cage's rate; or the hump that is left of them
    cage         k FTF

A band is chosen for each hypothesis by itself: the one where its excess is largest. What that choice finds by chance
is in the excess already, since the quantile of the surrogates is taken in each band, and the thresholds of the
verdicts were set on records that had the same choice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from faultdx.signals.combs import SLIP, Comb, Found, Surplus, families, surrogates
from faultdx.signals.envelope_order import OrderSpectra
from faultdx.signals.hump import hump
from faultdx.signals.kinematics import Orders
from faultdx.signals.order import quantile

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PLACES = ("outer_race", "inner_race", "ball", "cage")
HUMP = 0.3  # depth of a hump, or excess of a comb, from which the comb of the cage speaks for a ball
COMB = 0.5
_CAGE_WEIGHT = 0.5
_CAGE_HARMONICS = 4
_CAGE_SLIP = 0.03
_OPEN = 0.5  # of the bins of a first line have to be outside the notch at integer orders
_HUMP_SURROGATES = 24
_QUANTILE = 0.9


@dataclass(frozen=True)
class Hypothesis:
    """What speaks for one place.

    place : of PLACES; order : of its first line by geometry; found_order : where it was found; slip : the difference,
        as a share of the order
    depth : of the comb (see `combs`), in the band where it stands out most; surrogate : what 90 % of the combs at
        nobody's orders stay below there; excess : depth - surrogate
    chance : share of the surrogate combs that are as deep, themselves counted: never 0
    hump : excess depth of smeared lines (ball), else 0
    score : what verdicts go by: the excess; for a ball with its hump, and with the cage's comb where there is either
    harmonics : depth of each harmonic, its sidebands with it
    sidebands : depth of the first harmonic's sidebands, below and above; NaN where the hypothesis has none
    band : the demodulation band, as text; row : its number
    outshone : depth of the deepest line one or two shaft orders away from the first, over that of the first: above 1
        the comb may be the sidebands of another
    assessable : False where the notch at multiples of the shaft's rate hides the first line
    """

    place: str
    order: float
    found_order: float
    slip: float
    depth: float
    surrogate: float
    excess: float
    chance: float
    hump: float
    score: float
    harmonics: tuple[float, ...]
    sidebands: tuple[float, float]
    band: str
    row: int
    outshone: float
    assessable: bool


@dataclass(frozen=True, eq=False)
class Weighed:
    """All hypotheses of a record, deepest first; and the median over the bands of the races' surrogate depths."""

    hypotheses: tuple[Hypothesis, ...]
    background: float
    floor: Array

    def of(self, place: str) -> Hypothesis:
        """Return the hypothesis of `place`."""
        return next(h for h in self.hypotheses if h.place == place)


def combs_of(bearing: Orders) -> dict[str, Comb]:
    """Return the comb of each place."""
    return {
        "outer_race": Comb(bearing.bpfo),
        "inner_race": Comb(bearing.bpfi, side=1.0),
        "ball": Comb(2.0 * bearing.bsf, side=bearing.ftf),
        "cage": Comb(bearing.ftf, harmonics=_CAGE_HARMONICS),
    }


def weigh(spectra: OrderSpectra, bearing: Orders, *, tolerance: float = SLIP) -> Weighed:
    """Weigh all places of `bearing` in `spectra`.

    tolerance : by how much, as a share, a line may be off its order: slip, and what is not known of the speed
    """
    combs = combs_of(bearing)
    slips = {place: max(tolerance, _CAGE_SLIP) if place == "cage" else tolerance for place in combs}
    surplus = Surplus(spectra)
    found = {p: surplus.comb(np.array([c.order]), c, slip=slips[p]) for p, c in combs.items()}
    at = {p: combs[p].order * (1.0 + f.slip[:, 0]) for p, f in found.items()}
    races = families(spectra, at["outer_race"], side=1.0) | families(spectra, at["inner_race"], side=1.0)
    ball = families(spectra, at["ball"], side=bearing.ftf, sidebands=2)
    cage = families(spectra, at["cage"], side=1.0, harmonics=3, sidebands=8)
    nobodys = Surplus(spectra, floor=surplus.floor, without=races | ball | cage)
    others = tuple(combs[p].order for p in ("outer_race", "inner_race", "ball"))

    taken = {"cage": _cage_surrogates(bearing.ftf)}
    taken |= {p: surrogates(c.order, others) for p, c in combs.items() if p != "cage"}
    random = {p: nobodys.comb(taken[p], c, slip=slips[p]).depth for p, c in combs.items()}
    limit: dict[str, Array] = {p: quantile(d, _QUANTILE).astype(np.float64) for p, d in random.items()}
    # where a line may be off its order by as much as its sidebands are, smeared lines tell nothing
    known = tolerance <= SLIP
    humps = _humps(spectra, bearing, floor=surplus.floor, races=races, ball=ball) if known else np.zeros(1)
    weighed = {p: _best(spectra, surplus, p, combs[p], found[p], random[p], limit[p]) for p in combs}
    weighed["ball"] = _with_hump(weighed["ball"], humps, weighed["cage"].excess)
    ordered = tuple(sorted(weighed.values(), key=lambda h: -h.score))
    background = float(quantile(np.maximum(limit["outer_race"], limit["inner_race"]), 0.5))
    return Weighed(ordered, background, surplus.floor)


def _cage_surrogates(ftf: float) -> Array:
    grid = np.geomspace(0.27, 0.75, 60)
    own = (np.abs(grid / ftf - 1) > 0.08) & (np.abs(grid - (1 - ftf)) > 0.03)
    return np.asarray(grid[own & (np.abs(grid - 0.5) > 0.03) & (np.abs(grid - 1 / 3) > 0.02)])


def _humps(spectra: OrderSpectra, bearing: Orders, *, floor: Array, races: Mask, ball: Mask) -> Array:
    """Return the excess depth of the ball's hump in each band, shape (bands,)."""
    order = 2.0 * bearing.bsf
    nobodys = surrogates(order, (order,), count=_HUMP_SURROGATES)
    own = hump(spectra, np.array([order]), floor=floor, cage=bearing.ftf, without=races)[:, 0]
    random = hump(spectra, nobodys, floor=floor, cage=bearing.ftf, without=races | ball)
    return np.asarray(own - quantile(random, _QUANTILE))


def _best(
    spectra: OrderSpectra, surplus: Surplus, place: str, comb: Comb, found: Found, random: Array, limit: Array
) -> Hypothesis:
    excess = found.depth[:, 0] - limit
    row = int(excess.argmax())
    slip, order = float(found.slip[row, 0]), comb.order
    at = order * (1.0 + slip)
    sides = (float("nan"), float("nan"))
    if comb.side:
        below, above = np.sqrt(np.maximum(surplus.energy(np.array([at - comb.side, at + comb.side]))[row], 0.0))
        sides = (float(below), float(above))
    away = np.array([at, *(abs(at + j) for j in (-2.0, -1.0, 1.0, 2.0))])
    own, *neighbours = np.sqrt(np.maximum(surplus.energy(away)[row], 0.0))
    as_deep = int(np.count_nonzero(random[row] >= found.depth[row, 0]))
    return Hypothesis(
        place=place,
        order=order,
        found_order=at,
        slip=slip,
        depth=float(found.depth[row, 0]),
        surrogate=float(limit[row]),
        excess=float(excess[row]),
        chance=(as_deep + 1) / (random.shape[1] + 1),
        hump=0.0,
        score=float(excess[row]),
        harmonics=tuple(float(a) for a in found.parts[row, 0]),
        sidebands=sides,
        band=str(spectra.bands[row]),
        row=row,
        outshone=float(max(neighbours) / max(own, 1e-9)),
        assessable=bool(surplus.open_share(np.array([order]))[0] >= _OPEN),
    )


def _with_hump(ball: Hypothesis, humps: Array, cage: float) -> Hypothesis:
    """Add the hump to the ball's score, and the cage's comb where comb or hump say that it is the ball's.

    A hump that neither a line at 2 BSF nor the cage supports counts for no more than these: a gear mesh or another
    bearing has humps, too.
    """
    smeared = float(max(humps.max(), 0.0))
    line, ride = max(ball.excess, 0.0), max(cage, 0.0)
    score = line + min(smeared, line + ride)
    if smeared >= HUMP or ball.excess >= COMB:
        score += _CAGE_WEIGHT * ride
    return replace(ball, hump=smeared, score=score)
