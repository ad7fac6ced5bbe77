"""A baseline from a history: which recordings are taken for healthy, and that they are the ones that were diagnosed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import faultdx_here as faultdx
from test_report_index import DAY, a_row

from faultdx.errors import ConfigError
from faultdx.history import History
from faultdx.report.row import Row
from faultdx.simulation.rig import simulate
from faultdx.simulation.writing import write_rig
from faultdx.testimony import known_bearing
from faultdx.vouched import vouched


def a_file(path: Path, seed: int, *, level: float = 1.0) -> str:
    """Write a recording, CSV; return its digest."""
    import hashlib

    rng = np.random.default_rng(seed)
    lines = "\n".join(f"{v:.5f}" for v in level * rng.standard_normal(12_000))
    path.write_text(f"DE\n{lines}\n", "utf-8")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Path]:
    """Make a history of these rows; each has a file of its own, named by its day."""

    def make(*rows: Row, gone: tuple[int, ...] = ()) -> Path:
        known = []
        for i, row in enumerate(rows):
            name = f"{i}.csv"
            digest = a_file(tmp_path / name, i)
            if i in gone:
                (tmp_path / name).unlink()
            asked = json.dumps({"sampling_rate_hz": 12000.0, "rpm": 1797.0})
            known.append(replace(row, file=name, sha256=digest, content=digest, asked=row.asked or asked))
        with History.open(tmp_path / "h.sqlite") as history:
            history.append([(row, "{}") for row in known], version="0")
        return tmp_path / "h.sqlite"

    return make


def days(history: Path, **choice: Any) -> list[str]:
    return [Path(item.path).stem for item in vouched(history, asset="pump 7", **choice).items]


def test_what_a_network_cleared_counts_and_nothing_else(plant: Callable[..., Path]) -> None:
    history = plant(
        a_row(1, 1.0), a_row(2, 1.0, fault=True, verdict="ball"), a_row(3, 1.0, fault=None, verdict="unchanged"),
        a_row(4, 1.0, fault=None, verdict=None, status="undecided"), a_row(5, 1.0), a_row(6, 1.0, asset="pump 8"),
        a_row(7, 1.0, fault=None, status="unusable", verdict=None), a_row(8, 1.0, fault=None, verdict="changed"),
    )  # fmt: skip
    found = vouched(history, asset="pump 7")
    assert [item.path for item in found.items] == [str(history.parent / "0.csv"), str(history.parent / "4.csv")]
    (note,) = found.notes
    assert note == (
        "2 of 7 recordings that a network cleared; left out: 1 called a fault, 1 changed, 2 not cleared, 1 unfit"
    )
    flags = found.items[0].flags
    assert (flags.sampling_rate_hz, flags.rpm, flags.unit) == (12_000, 1797, "g")


def test_a_recording_that_anybody_called_a_fault_is_not_healthy(plant: Callable[..., Path], tmp_path: Path) -> None:
    history = plant(a_row(1, 1.0), a_row(2, 1.0))
    with History.read(history) as held:
        first = next(held.entries(asset="pump 7")).row
    with History.open(history) as held:
        held.append([(replace(first, fault=True, model_digest="another"), "{}")], version="0")
    assert days(history) == ["1"] == days(history, since="2026-01-01")


def test_somebody_may_vouch_for_a_period(plant: Callable[..., Path]) -> None:
    rows = [a_row(day, 1.0, fault=None, verdict="no_evidence") for day in (1, 2, 3, 4)]
    history = plant(*rows, a_row(3, 2.0, fault=True), a_row(3, 3.0, fault=None, status="unusable", verdict=None))
    with pytest.raises(ConfigError, match="name a period in which it was in order: --since, --until"):
        vouched(history, asset="pump 7")
    assert days(history, since="2026-03-02") == ["1", "2", "3"]
    assert days(history, until="2026-03-02") == ["0", "1"]  # all of that day
    assert days(history, since=DAY.format(2), until="2026-03-03T07:59") == ["1"]
    with pytest.raises(ConfigError, match="choose another period"):
        vouched(history, asset="pump 7", until="2001-01-01")


def test_only_the_bytes_that_were_diagnosed_are_used(plant: Callable[..., Path]) -> None:
    history = plant(*(a_row(day, 1.0) for day in range(1, 6)), gone=(1,))
    a_file(history.parent / "2.csv", 99)  # another recording under the old name
    found = vouched(history, asset="pump 7")
    assert [Path(item.path).stem for item in found.items] == ["0", "3", "4"]
    assert found.notes[-1] == "2 of them are gone, or are not the bytes that were diagnosed: not used"
    for path in history.parent.glob("*.csv"):
        path.unlink()
    with pytest.raises(ConfigError, match="none of the 5 healthy recordings of pump 7 is still where it was"):
        vouched(history, asset="pump 7")


def test_what_cannot_be_chosen_is_said(plant: Callable[..., Path], tmp_path: Path) -> None:
    history = plant(a_row(1, 1.0), a_row(2, 1.0, point="FE"))
    for choice, said in (
        ({"asset": "fan 2"}, r"no recordings of fan 2: it has those of pump 7 \(--asset\)"),
        ({"asset": "pump 7"}, r"several measuring points \(DE, FE\): name one, --point"),
        ({"asset": "pump 7", "point": "NDE"}, r"no point NDE: it has DE, FE \(--point\)"),
        ({"asset": "pump 7", "since": "01/02/26"}, "is no time: write it as 2026-03-01"),
    ):
        with pytest.raises(ConfigError, match=said):
            vouched(history, **choice)
    assert days(history, point="FE") == ["1"]
    with pytest.raises(ConfigError, match="no such file"):
        vouched(tmp_path / "none.sqlite", asset="pump 7")


@pytest.mark.parametrize("asked", ["", "no json", "[]", '{"channels": 3, "rpm": "fast", "bearing": 7}'])
def test_a_row_that_says_little_is_read_as_the_file_says(asked: str, plant: Callable[..., Path]) -> None:
    history = plant(replace(a_row(1, 1.0), asked=asked or '{"x": 1}'))
    (item,) = vouched(history, asset="pump 7").items
    assert item.flags.rpm is None and item.flags.channels == () and item.flags.bearing is None


def test_from_a_shell_a_history_gives_a_baseline_and_a_report_says_so(tmp_path: Path) -> None:
    write_rig(simulate("bearing", specimens=1, seconds=2.0, classes=("healthy",)), tmp_path / "rig")
    (tmp_path / "rig" / "records.csv").unlink()
    files = sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / "rig").glob("*.mat"))
    common = ("--asset", "pump 7", "--history", "h.sqlite", "--bearing", "6205", "--quiet")
    assert faultdx("diagnose", *files[:3], *common, cwd=tmp_path).code == 0
    make = ("baseline", "--from-history", "h.sqlite", "--out", "b.json")
    assert faultdx(*make, cwd=tmp_path).code == 2  # which machine
    assert "--asset NAME" in faultdx(*make, "extra.mat", "--asset", "pump 7", cwd=tmp_path).err
    assert (
        "are of --from-history"
        in faultdx("baseline", files[0], "--since", "2026-01-01", "--out", "b", cwd=tmp_path).err
    )
    refused = faultdx(*make, "--asset", "pump 7", cwd=tmp_path)
    assert refused.code == 2 and "no recording of pump 7 is known to be healthy" in refused.err
    made = faultdx(*make, "--asset", "pump 7", "--since", "2000-01-01", cwd=tmp_path)
    assert (made.code, made.out) == (0, "b.json\n") and "3 of 3 recordings that were not called a fault" in made.err
    named = faultdx("baseline", *files[:3], "--asset", "pump 7", "--bearing", "6205", "--out", "c.json", cwd=tmp_path)
    assert named.code == 0
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("b.json", "c.json"))
    assert first["records"] == second["records"]
    assert known_bearing(first["bearing"]) == known_bearing(second["bearing"])
    os.utime(tmp_path / files[3])
    options = ("--baseline", "b.json", "--report", "r", "--report-format", "markdown")
    ran = faultdx("diagnose", files[3], *common, *options, cwd=tmp_path)
    assert ran.code == 0
    (page,) = (tmp_path / "r").glob("*.md")
    said = page.read_text("utf-8")
    assert "3 healthy recordings allow" in said and f"{first['digest']} (3 healthy recordings)" in said
