"""The learned witness: what it sees, and what it is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from faultdx.signals.bearings import bearing
from faultdx.signals.demodulation import Band
from faultdx.signals.envelope_order import OrderSpectra
from faultdx.signals.hearing import Heard, hear
from faultdx.signals.kinematics import BearingGeometry
from faultdx.simulation.bearing import Condition, turn_shaft
from faultdx.universal import surroundings as around
from faultdx.universal.lessons import draw_lessons
from faultdx.universal.representation import (
    CHANNELS,
    CONTEXT,
    HARMONICS,
    LINES,
    PLACES,
    POSITIONS,
    REACH,
    Aligned,
    align,
    swing_of,
)
from faultdx.universal.scenes import draw_geometry, draw_pair

SKF = bearing("6205-2RS JEM").geometry
PER_HARMONIC = CHANNELS // HARMONICS
SLIPS = np.linspace(-REACH, REACH, POSITIONS)
SWING = np.tile([0.3, 3.0], (2, 1))


def spectrum_with(lines: dict[float, float], *, geometry: BearingGeometry = SKF, floor: float = 1e-4) -> OrderSpectra:
    """Two bands: lines of the given depths at the given orders in the first; a floor in both."""
    step = 1.0 / 64.0
    bins = int((3.0 * geometry.bpfi * 1.03 + 1.5) / step) + 2
    power = np.full((2, bins), floor)
    for order, depth in lines.items():
        at = round(order / step)
        power[0, at - 1 : at + 2] += depth**2 * np.array([0.25, 1.0, 0.25])  # what a Hann window makes of a line
    return OrderSpectra((Band(3000, 6000), Band(1500, 3000)), power, step, 9, 64.0)


def seen(lines: dict[float, float], *, geometry: BearingGeometry = SKF) -> Aligned:
    return align(spectrum_with(lines, geometry=geometry), geometry, swing=SWING, confirmed=True)


def channel(aligned: Aligned, place: str, harmonic: int, line: int, *, band: int = 0) -> np.ndarray:
    return aligned.lines[PLACES.index(place), band, (harmonic - 1) * PER_HARMONIC + line]


def first_line(geometry: BearingGeometry, place: str) -> float:
    return {"outer_race": geometry.bpfo, "inner_race": geometry.bpfi, "ball": 2 * geometry.bsf}[place]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("slip", [-0.03, 0.0, 0.02])
def test_the_lines_of_a_fault_stand_in_one_column_of_its_own_hypothesis(place, slip):
    q = first_line(SKF, place) * (1 + slip)
    aligned = seen({k * q: 0.8 for k in (1, 2, 3)})
    combs = {p: np.min([channel(aligned, p, k, 0) for k in (1, 2, 3)], axis=0) for p in PLACES}
    for harmonic in (1, 2, 3):
        own = channel(aligned, place, harmonic, 0)
        assert abs(SLIPS[np.flatnonzero(own == own.max())].mean() - slip) < 0.004, harmonic
        assert channel(aligned, place, harmonic, 0, band=1).max() < 0.3 * own.max()
    # a single line may be another's, too (3 BPFO and 2 BPFI of this bearing are 0.7 % apart), a comb may not
    assert all(combs[other].max() < 0.3 * combs[place].max() for other in PLACES if other != place)


def test_sidebands_and_half_orders_have_channels_of_their_own():
    q, cage = SKF.bpfi, SKF.ftf
    offsets = (0.0, -1.0, 1.0, -cage, cage, -2.0, 2.0, -2 * cage, 2 * cage)
    for line, offset in enumerate(offsets):
        aligned = seen({2 * q + offset: 0.8})
        middle = [channel(aligned, "inner_race", 2, n)[POSITIONS // 2] for n in range(LINES)]
        assert int(np.argmax(middle)) == line, offset
    half = [channel(seen({1.5 * q: 0.8}), "inner_race", 2, n)[POSITIONS // 2] for n in range(LINES)]
    assert int(np.argmax(half)) == LINES - 1


def test_the_geometry_drops_out():
    """The same comb at the lines of two bearings is the same picture, up to where bins fall."""
    other = BearingGeometry(9, 7.0, 41.0)
    pictures = []
    for geometry in (SKF, other):
        aligned = seen({k * geometry.bpfo: 0.8 for k in (1, 2, 3)}, geometry=geometry)
        pictures.append(np.stack([channel(aligned, "outer_race", k, 0) for k in (1, 2, 3)]))
    assert np.corrcoef(pictures[0].ravel(), pictures[1].ravel())[0, 1] > 0.9
    other_place = np.stack([channel(seen({k * SKF.bpfo: 0.8 for k in (1, 2, 3)}), "ball", k, 0) for k in (1, 2, 3)])
    assert other_place.max() < 0.3 * pictures[0].max()


def test_whole_orders_are_marked_and_hidden():
    near = BearingGeometry(8, 7.938, 33.5)  # BPFO 3.052
    aligned = seen({3.0: 2.0}, geometry=near)
    own, mask = (channel(aligned, "outer_race", 1, n) for n in (0, 2 * LINES))
    at = near.bpfo * (1 + SLIPS)
    assert mask[np.abs(at - 3.0) < 0.01].max() < 0.3
    assert mask[np.abs(at - 3.2) < 0.02].min() > 0.9
    assert own.max() < 0.1


def test_what_another_hypothesis_may_have_caused_is_marked():
    shared = BearingGeometry(9, 0.2138, 1.0)  # BPFI - 1 is 2 BSF
    assert shared.bpfi - 1 == pytest.approx(2 * shared.bsf, rel=1e-3)
    mask = channel(seen({}, geometry=shared), "ball", 1, PER_HARMONIC - 1)
    assert mask[POSITIONS // 2] > 0.9
    assert mask[POSITIONS // 2 + 6] == 0.0  # 1.5 % away
    assert channel(seen({}), "ball", 1, PER_HARMONIC - 1)[6:].max() == 0.0  # BPFI - 1 of this one is 6.3 % away


def test_a_record_is_seen_the_same_at_any_gain():
    noise = np.random.default_rng(2).standard_normal(40_000)
    noise *= 1.0 + 0.8 * np.cos(2 * np.pi * SKF.bpfo * 30.0 / 12e3 * np.arange(noise.size))
    both = []
    for gain in (1.0, 40.0):
        heard = hear(gain * noise, sampling_rate_hz=12e3, rpm=1800.0, bearing=SKF)
        assert isinstance(heard, Heard)
        both.append(align(heard.spectra, SKF, swing=swing_of(heard.found), confirmed=True))
    np.testing.assert_allclose(both[0].lines, both[1].lines, atol=2e-4)
    np.testing.assert_allclose(both[0].context, both[1].context, atol=2e-3)
    assert both[0].lines.shape == (3, 9, CHANNELS, POSITIONS)
    assert both[0].context.shape == (3, 9, CONTEXT)
    assert both[0].lines.min() >= 0.0
    assert both[0].lines.max() <= 1.0


def test_the_lines_read_as_deep_as_they_are():
    for depth in (0.2, 0.6, 1.5):
        value = channel(seen({SKF.bpfo: depth}), "outer_race", 1, 0)[POSITIONS // 2]
        assert 0.1 * np.expm1(4.2 * value) == pytest.approx(depth, rel=0.06)


def stage_of(seed: int = 0) -> around.Stage:
    rng = np.random.default_rng(seed)
    motion = turn_shaft(Condition("drawn", 1500.0, 0.5), 30_000, 12_000.0, rng)
    path = np.exp(-np.arange(60) / 12.0) * np.cos(np.arange(60) * 1.2)
    return around.Stage(motion, around.own_orders(SKF), path / np.linalg.norm(path))


def test_the_sum_of_powers_is_the_sum_of_cosines():
    phase = np.linspace(0, 20, 500)
    weights = np.array([1.0, 0.5j, -0.2 + 0.1j])
    expected = sum(w * np.exp(1j * (k + 1) * phase) for k, w in enumerate(weights))
    np.testing.assert_allclose(around.powers(phase, weights), expected, atol=1e-12)


def test_a_neighbour_keeps_away_from_the_orders_that_are_asked_about():
    stage = stage_of()
    rng = np.random.default_rng(1)
    drawn = [around.foreign_order(stage, rng, 0.12, 9.0) for _ in range(200)]
    assert min(abs(order / own - 1) for order in drawn for own in stage.orders) > around.CLEAR
    assert np.ptp(drawn) > 5.0
    assert not around.clear_of(SKF.bpfo / 2, stage.orders)  # its second harmonic would be the bearing's


@pytest.mark.parametrize("name", sorted(around.NEIGHBOURS))
def test_every_neighbour_is_finite_and_drawn_anew(name):
    make = around.NEIGHBOURS[name][0]
    one, other, again = (make(stage_of(), np.random.default_rng(s)) for s in (5, 6, 5))
    assert np.isfinite(one).all()
    assert one.shape == (stage_of().size,)
    assert float(np.std(one)) > 0
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_bearings_are_drawn_as_they_can_be_built():
    for seed in range(200):
        geometry = draw_geometry(np.random.default_rng(seed))
        gap = np.sin(np.pi / geometry.rolling_elements) * geometry.pitch_diameter - geometry.ball_diameter
        assert gap > 0
        assert 6 <= geometry.rolling_elements <= 18


def test_the_two_of_a_pair_differ_by_the_fault_alone():
    told = 0
    for seed in range(6):
        place = PLACES[seed % 3]
        healthy, faulty = draw_pair(np.random.default_rng([8, seed]), place=place)
        again, _ = draw_pair(np.random.default_rng([8, seed]), place=place)
        np.testing.assert_array_equal(healthy.signal, again.signal)
        assert (healthy.place, faulty.place) == (None, place)
        assert healthy.neighbours == faulty.neighbours
        assert healthy.bearing == faulty.bearing
        assert abs(healthy.stated_rpm / healthy.rpm - 1) <= 0.0501
        assert np.isfinite(faulty.signal).all()
        told += float(np.std(faulty.signal)) > float(np.std(healthy.signal))
        own = around.own_orders(healthy.bearing)[:3]
        assert all(around.clear_of(o, own) for o in around.own_orders(healthy.foreign)[:3])
    assert told >= 5


def test_lessons_are_the_same_wherever_they_begin():
    whole = draw_lessons(4, first=0, count=3)
    alone = draw_lessons(4, first=2, count=1)
    n = alone.label.size
    assert n
    np.testing.assert_array_equal(whole.lines[-n:], alone.lines)
    np.testing.assert_array_equal(whole.label[-n:], alone.label)
    assert set(whole.label) <= {0, 1, 2, 3}
    assert 1 <= int(np.count_nonzero(whole.label)) <= 3
