"""Bearings by declared orders: what a data sheet prints is taken as it is, and what no bearing has is refused."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultdx.errors import ConfigError
from faultdx.records.record import Record
from faultdx.report import spectral
from faultdx.report.document import to_dict
from faultdx.signals.bearings import Bearing, bearing, catalogue
from faultdx.signals.declared import BearingOrders, declared_orders
from faultdx.signals.kinematics import BearingGeometry
from faultdx.signals.witness import assess_bearing
from faultdx.simulation.rig import simulate
from faultdx.testimony import known_bearing
from faultdx.untrained import Untrained

SHEET = "bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.398"


def sheet_of(g: BearingGeometry, decimals: int) -> str:
    return ",".join(
        f"{k}={v:.{decimals}f}" for k, v in (("bpfo", g.bpfo), ("bpfi", g.bpfi), ("bsf", g.bsf), ("ftf", g.ftf))
    )


def test_a_data_sheet_is_taken_as_it_stands() -> None:
    known = known_bearing(SHEET)
    assert known.geometry.orders() == {"bpfo": 3.585, "bpfi": 5.415, "2bsf": 4.714, "ftf": 0.398}
    assert known.geometry.rolling_elements == 9 and known.note == ""
    assert known.source == "orders as declared"
    assert declared_orders("BPFI = 5.415; 2bsf=4.714 ; ftf=0.398;bpfo=3.585")[0] == known.geometry


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_every_bearing_of_the_catalogue_can_be_declared_to_two_decimals(row: Bearing) -> None:
    g = row.geometry
    found, _ = declared_orders(sheet_of(g, 2))
    assert found.rolling_elements == g.rolling_elements
    for name, order in found.orders().items():
        assert order == pytest.approx(g.orders()[name], abs=0.0101)


@given(st.integers(5, 24), st.floats(0.4, 0.95), st.floats(0, 40), st.integers(2, 4))
def test_every_bearing_that_can_be_built_can_be_declared(n: int, fill: float, angle: float, decimals: int) -> None:
    g = BearingGeometry(n, fill * math.sin(math.pi / n), 1.0, angle)
    assert declared_orders(sheet_of(g, decimals))[0].rolling_elements == n


def test_what_is_left_out_follows_from_the_rest() -> None:
    g = bearing("6205-2RS JEM").geometry
    found, note = declared_orders(f"bpfo={g.bpfo:.6f},bpfi={g.bpfi:.6f}")
    assert (found.ftf, found.bsf) == (pytest.approx(g.ftf, rel=1e-5), pytest.approx(g.bsf, rel=1e-5))
    assert "contact angle" in note and not declared_orders(SHEET)[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bpfo=3.585,bpfi=5.2,bsf=2.357,ftf=0.398", "whole number"),
        ("bpfo=5.415,bpfi=3.585,bsf=2.357,ftf=0.398", "swapped"),
        ("bpfo=3.585,bpfi=5.415,bsf=4.714,ftf=0.398", "2bsf"),
        ("bpfo=3.585,bpfi=5.415,bsf=3.0,ftf=0.398", "at the most"),
        ("bpfo=3.585,bpfi=5.415,bsf=1.18,ftf=0.398", "too low"),
        ("bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.602", "below 0.5"),
        ("bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.38", "ftf is 0.38"),
        ("bpfo=3.585,bpfi=5.415,bsf=2.357,2bsf=4.714", "one of them"),
        ("bpfo=3.585,bpfo=3.585,bpfi=5.415", "twice"),
        ("bpfo=3.585,bsf=2.357", "bpfi missing"),
        ("bpfo=3.585,bpfi=5.415,bore=25", "none of"),
        ("bpfo=x,bpfi=5.415", "no number"),
        ("bpfo=nan,bpfi=5.415", "above 0"),
        ("bpfo=inf,bpfi=inf", "above 0"),
        ("bpfo=-3.585,bpfi=5.415", "above 0"),
        ("bpfo=0,bpfi=9", "above 0"),
        ("bpfo=4.5,bpfi=4.5", "swapped"),
        ("bpfo=0.9,bpfi=1.1", "3 or more"),
        ("=", "none of"),
        ("bpfo=3.585\n,bpfi=5.415,\x1b[31m=2", "none of"),
    ],
)
def test_what_no_bearing_has_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        known_bearing(text)
    said = str(caught.value)
    assert why in said and said.isprintable() and len(said) < 250


@given(st.text(max_size=60).map(lambda text: f"bpfo={text}"))
def test_no_text_is_anything_but_orders_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(declared_orders(text)[0], BearingOrders)


@pytest.fixture(scope="module")
def inner() -> Record:
    return next(r for r in simulate("bearing", specimens=1, seconds=4.0, seed=3) if r.label == "inner_race")


def test_the_witness_hears_the_same_by_orders_as_by_geometry(inner: Record) -> None:
    record = inner
    by = [
        assess_bearing(
            record.signal[0],
            sampling_rate_hz=record.sampling_rate_hz,
            rpm=record.rpm or 0.0,
            bearing=known_bearing(name).geometry,
        )
        for name in ("9,0.3126,1.537", SHEET)
    ]
    assert by[0].place == by[1].place == "inner_race"
    assert by[0].hypotheses[0].score == pytest.approx(by[1].hypotheses[0].score, rel=0.02)


def test_declared_orders_reach_json_and_page(inner: Record) -> None:
    record = inner.with_(details={"bearing": SHEET})
    found = Untrained().diagnose(record)
    told = to_dict(found)["evidence"]["witness"]["bearing"]
    assert told["declared"] is True and told["elements"] == 9 and told["element_diameter"] is None
    assert told["orders"]["bpfi"] == 5.415 and told["name"] == SHEET
    (said,) = [value for name, value in spectral.rows(found.evidence["witness"]) if name == "bearing"]
    assert "declared" in said and "5.415" in said
    asked = {Untrained(known_bearing(name)).digest for name in (SHEET, "6205-2RS JEM", "9,7.94,39.04")}
    assert len(asked) == 3
    assert np.isfinite(list(told["orders"].values())).all()
