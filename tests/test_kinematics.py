"""Bearing and gear orders against published tables and against geometry itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultdx.errors import ConfigError
from faultdx.signals.kinematics import SKF_6203, SKF_6205, SLIP_TOLERANCE, UC204, BearingGeometry, GearPair

# The table that the CWRU Bearing Data Center publishes, and the one for UC204.
PUBLISHED = [
    (SKF_6205, 3.5848, 5.4152, 0.39828, 2.3567),
    (SKF_6203, 3.0530, 4.9469, 0.3817, 1.9937),
    (UC204, 3.052, 4.948, 0.3815, 1.992),
]


@pytest.mark.parametrize(("bearing", "bpfo", "bpfi", "ftf", "bsf"), PUBLISHED)
def test_orders_equal_the_published_ones(
    bearing: BearingGeometry, bpfo: float, bpfi: float, ftf: float, bsf: float
) -> None:
    assert bearing.bpfo == pytest.approx(bpfo, abs=6e-4)
    assert bearing.bpfi == pytest.approx(bpfi, abs=6e-4)
    assert bearing.ftf == pytest.approx(ftf, abs=2e-4)
    assert bearing.bsf == pytest.approx(bsf, abs=6e-4)
    assert bearing.orders() == {
        "bpfo": bearing.bpfo,
        "bpfi": bearing.bpfi,
        "2bsf": 2 * bearing.bsf,
        "ftf": bearing.ftf,
    }


geometries = st.builds(
    lambda n, share, angle: BearingGeometry(n, share * math.sin(math.pi / n), 1.0, angle),
    st.integers(3, 40),
    st.floats(0.05, 0.99),
    st.floats(0, 60),
)


@given(geometries)
def test_every_element_passes_both_races(bearing: BearingGeometry) -> None:
    # A point of the shaft and a point of the housing see n elements pass a turn between them.
    assert bearing.bpfo + bearing.bpfi == pytest.approx(bearing.rolling_elements)
    assert 0 < bearing.ftf < 0.5 < bearing.bpfi / bearing.rolling_elements < 1


@given(geometries, st.floats(0, 0.02))
def test_slip_lowers_the_outer_line_and_raises_the_inner(bearing: BearingGeometry, slip: float) -> None:
    pure, slipped = bearing.orders(), bearing.slipped(slip)
    assert slipped["bpfo"] == pytest.approx(pure["bpfo"] * (1 - slip))
    assert slipped["bpfi"] >= pure["bpfi"]
    assert slipped["bpfo"] + slipped["bpfi"] == pytest.approx(bearing.rolling_elements)
    for name, order in slipped.items():
        assert order == pytest.approx(pure[name], rel=SLIP_TOLERANCE * (1 + 1e-9))


def test_contact_without_sliding_turns_at_the_spin_order() -> None:
    # The element's surface runs as fast as the inner race's at the contact, both seen from the cage.
    b = SKF_6205
    inner_speed = (1 - b.ftf) * (b.pitch_diameter - b.ball_diameter)
    assert b.bsf * b.ball_diameter == pytest.approx(inner_speed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((2, 1.0, 5.0), "rolling_elements"),
        ((9.5, 1.0, 5.0), "rolling_elements"),
        ((True, 1.0, 5.0), "rolling_elements"),
        ((9, 0.0, 5.0), "positive"),
        ((9, math.nan, 5.0), "positive"),
        ((9, 1.0, math.inf), "positive"),
        ((9, 5.0, 1.0), "swapped"),
        ((9, 2.0, 5.0), "do not fit"),
        ((9, 1.0, 5.0, 90.0), "contact_angle_deg"),
        ((9, 1.0, 5.0, -1.0), "contact_angle_deg"),
    ],
)
def test_impossible_bearings_are_refused(arguments: tuple[float, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        BearingGeometry(*arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_every_problem_is_in_the_message() -> None:
    with pytest.raises(ConfigError, match=r"rolling_elements.*swapped.*contact_angle_deg"):
        BearingGeometry(1, 5.0, 1.0, 180.0)
    with pytest.raises(ConfigError, match=r"pinion_teeth.*gear_teeth"):
        GearPair(0, -3)
    with pytest.raises(ConfigError, match="slip"):
        SKF_6205.slipped(1.0)


@given(st.integers(5, 200), st.integers(5, 200))
def test_gear_orders(pinion: int, gear: int) -> None:
    pair = GearPair(pinion, gear)
    assert pair.mesh == pinion
    assert pair.gear * gear == pytest.approx(pair.mesh)  # both gears mesh at one rate
    # After one hunting period both gears have made whole turns, and no earlier.
    turns = 1 / pair.hunting_tooth
    assert turns == pytest.approx(round(turns))
    assert turns * pair.gear == pytest.approx(round(turns * pair.gear))
    assert round(turns) == gear // math.gcd(pinion, gear)
