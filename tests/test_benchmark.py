"""Plans and benchmarks: what a plan means, what a cell's address is made of, and that no finished cell is run twice."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from helpers import environment

from faultdx.benchmark import runner
from faultdx.benchmark.cells import Cell, cells_of
from faultdx.benchmark.results import differences, over_seeds, read_cell, rows_of, spread, to_csv
from faultdx.benchmark.scoring import Hum, groups_of, open_background, scores_of
from faultdx.benchmark.sources import content_of, items_of
from faultdx.cli.benchmark import benchmark
from faultdx.config import PrepareConfig
from faultdx.dataset import Prepared, open_prepared
from faultdx.errors import ConfigError, DatasetError, OutputError
from faultdx.evaluation import evaluate_side
from faultdx.plans import Background, Plan, find_plan, read_plan, shipped_plans
from faultdx.preparation import prepare
from faultdx.records.record import Record
from faultdx.records.source import find_records
from faultdx.records.table import NOTHING
from faultdx.report import benchmark as report
from faultdx.signals.noise import KINDS
from faultdx.simulation.rig import simulate
from faultdx.simulation.writing import write_rig

# The command, also where the program's own list of commands does not have it yet.
COMMAND = """
import sys
from faultdx.cli import app, benchmark, console
if not any(c.name == "benchmark" for c in app.registered_commands):
    app.command("benchmark")(benchmark.benchmark)
if WORKER:
    sys.executable = WORKER
sys.argv = ["faultdx", "benchmark", *ARGS]
console.run(app)
"""
TINY = """
description = "as small as can be"
networks = ["wdcnn", "drsn-wide"]
seeds = [0]
[[data]]
name = "rig"
source = "rig"
prepare = { segment = 1024 }
[[data.variant]]
name = "time"
split = "time"
[[recipe]]
name = "short"
recipe = "default"
set = { epochs = 1, epoch_steps = 4, batch = 16 }
[test]
noise = ["gaussian"]
snr = [0]
by = ["condition"]
"""
CONTENT = {"rig": "c0ffee"}


def plan_of(text: str = TINY) -> Plan:
    return read_plan(text, name="tiny", origin="tiny.toml")


def changed(old: str, new: str) -> Plan:
    assert old in TINY
    return plan_of(TINY.replace(old, new))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recordings of a small rig, and one that no plan names."""
    root = tmp_path_factory.mktemp("data")
    write_rig(simulate("bearing", specimens=1, seconds=1.2, classes=("healthy", "inner_race")), root / "rig")
    return root


@pytest.fixture(scope="module")
def prepared_path(folder: Path) -> Path:
    config = PrepareConfig(segment=1024, split="condition", test_on=("load1", "load2"))
    prepare(find_records([str(folder / "rig")]), folder / "condition.h5", config=config)
    return folder / "condition.h5"


@pytest.fixture
def prepared(prepared_path: Path) -> Iterator[Prepared]:
    with open_prepared(prepared_path) as found:
        yield found


class Guess:
    """A model that says something of every segment, right or wrong, and the same of the same."""

    def probabilities(self, segments: Any) -> Any:
        z = np.stack([segments[:, 0].std(axis=1), np.abs(segments[:, 0]).mean(axis=1) * 1.26], axis=1)
        return z / z.sum(axis=1, keepdims=True)


# Stand-ins for the worker: no torch, so that the runner's own behaviour costs no time.
FAKE = """
import json, os, pickle, sys, time
from pathlib import Path
from faultdx.files import atomic_write
task = pickle.load(sys.stdin.buffer)
(task.work.parent / "started").open("a").write(task.cell.title + "\\n")
(task.work.parent / f"pid-{os.getpid()}").touch()
how = os.environ.get("FAKE", "")
if how == "sleep":
    time.sleep(60)
if task.cell.network == "wdcnn" and how == "killed":
    os.kill(os.getpid(), 9)
if task.cell.network == "wdcnn" and how == "dies":
    sys.exit("no module named nonsense")
if task.cell.network == "wdcnn" and how == "fails":
    result = {"status": "failed", "error": {"kind": "dataset", "message": "no such class"}}
else:
    level = 0.7 if task.cell.network == "wdcnn" else 0.5
    rows = [
        {"side": side, "group": "all", "noise": kind, "snr_db": snr, "unit": "segment", "metric": "accuracy",
         "value": level + 0.01 * task.cell.seed + (snr or 0) / 100, "n": 10}
        for side in task.cell.sides for kind, snr in task.cell.tests
    ]
    result = {
        "status": "finished", "level": "within record", "split": "time",
        "data": {"data": "rig", "level": "within record", "split_notes": [], "left_out": []},
        "parameters": 10, "multiply_adds": 20, "best_epoch": 1, "steps": 4, "weights_sha256": "", "scores": rows,
        "seconds": {"prepare": 1, "train": 7.5 + os.getpid() % 7, "train_cpu": 1, "score": 1},
    }
about = {"address": task.cell.address, "cell": task.cell.labels, "code": task.code, "versions": {"faultdx": "0"}}
atomic_write(task.result, json.dumps(about | result))
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the runner start the stand-in."""
    (tmp_path / "fake.py").write_text(FAKE, "utf-8")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "fake.py"}"\n', "utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(runner, "_POLL_S", 0.01)
    return script


def started(out: Path) -> list[str]:
    return (out / "started").read_text("utf-8").splitlines() if (out / "started").exists() else []


def command(*args: str | Path, worker: Path | None = None, **env: str) -> subprocess.Popen[str]:
    code = COMMAND.replace("WORKER", repr(str(worker or ""))).replace("ARGS", repr([str(a) for a in args]))
    python = os.environ.get("REAL_PYTHON", sys.executable)
    return subprocess.Popen(
        [python, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    )


def ran(*args: str | Path) -> tuple[int, str, str]:
    process = command(*args)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err and "internal error" not in err, err
    return process.returncode, out, err


# --- plans ---


@pytest.mark.parametrize("name", shipped_plans())
def test_shipped_plans_are_sound_and_say_what_they_ask(name: str, tmp_path: Path) -> None:
    plan = find_plan(name)
    assert plan.name == name
    assert 40 <= len(plan.description) <= 120
    assert set(plan.cell_seconds) == set(plan.networks)
    for source in [s for d in plan.data for s in d.sources] + [s for b in plan.backgrounds for s in b.sources]:
        file = (
            tmp_path / source.replace("*", "1") / "x.csv" if "." not in source else tmp_path / source.replace("*", "1")
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1\n2\n", "utf-8")
    standing = runner.look(plan, tmp_path, None)
    trainings = sum(
        max(1, len(t.kinds) * len(t.snr_db) if t.mode in ("fresh", "fixed") else 1) for t in plan.training_noise
    )
    variants = sum(len(d.variants) for d in plan.data)
    assert len(standing.cells) == len(plan.networks) * trainings * variants * len(plan.seeds)
    assert len({c.address for c in standing.cells}) == len(standing.cells)
    assert standing.seconds_left == pytest.approx(sum(plan.cell_seconds[c.network] for c in standing.cells))
    assert all(c.train.threads == 1 for c in standing.cells)


def test_the_plans_of_the_issue_are_shipped() -> None:
    wanted = "paper-gearbox paper-gearbox-full paper-gearbox-fresh cwru-time cwru-load cwru-size uestc-speed gfd-load"
    assert set(wanted.split()) | {"unseen-noise"} <= set(shipped_plans())


def test_the_full_plan_has_the_papers_numbers() -> None:
    plan = find_plan("paper-gearbox-full")
    cells = cells_of(plan, {"gearbox": ""})
    fixed = [c for c in cells if c.noise.mode == "fixed"]
    assert {(c.kind, c.snr_db) for c in fixed} == {(k, float(s)) for k in KINDS for s in range(-5, 6)}
    one = fixed[0]
    assert one.prepare.noise == (one.kind,) and one.prepare.snr_db == (one.snr_db,) and one.train.noise == ()
    assert (one.train.epochs, one.train.batch, one.train.optimizer, one.train.standardize) == (
        100,
        128,
        "sgd-steps",
        False,
    )
    rig = plan.data[0].simulate
    assert rig is not None and 8 * 9 * int(rig.seconds * 12_800 / 2048) * rig.specimens == 28_800
    assert len({c.data_address for c in fixed}) == 33 * 10  # another split and other noise for each seed
    assert next(c for c in cells if c.noise.mode == "none").tests == (("", None),)


def test_what_the_modes_of_training_noise_mean() -> None:
    def one(mode: str, more: str = "") -> list[Cell]:
        text = TINY + f'[[training_noise]]\nmode = "{mode}"\n{more}'
        return [c for c in cells_of(plan_of(text), CONTENT) if c.network == "wdcnn"]

    grid = (("", None), ("gaussian", 0.0))
    (recipe,) = one("recipe")
    assert recipe.train.noise == KINDS and recipe.tests == grid and recipe.prepare.noise == ()
    (mixed,) = one("mixed", 'noise = ["pink"]\nsnr = [-3, 3]')
    assert mixed.train.noise == ("pink",) and mixed.train.snr == (-3.0, 3.0) and mixed.tests == grid
    assert mixed.train.clean_share == recipe.train.clean_share
    (none,) = one("none")
    assert none.train.noise == () and none.tests == grid
    fresh = one("fresh", 'noise = ["pink", "gaussian"]\nsnr = "-2:2:2"')
    assert [(c.kind, c.snr_db) for c in fresh] == [(k, s) for k in ("pink", "gaussian") for s in (-2.0, 0.0, 2.0)]
    assert fresh[0].train.noise == ("pink",) and fresh[0].train.snr == (-2.0, -2.0) and fresh[0].train.clean_share == 0
    assert fresh[0].tests == (("pink", -2.0),) and fresh[0].prepare.noise == ()
    fixed = one("fixed", 'noise = ["pink"]\nsnr = [1]')
    assert fixed[0].prepare.noise == ("pink",) and fixed[0].prepare.snr_db == (1.0,) and fixed[0].train.noise == ()
    assert fixed[0].data_address != fresh[0].data_address == recipe.data_address


def test_every_problem_of_a_plan_is_said_at_once() -> None:
    text = """
networks = ["wdcnn", "nonet", "wdcnn"]
colour = "red"
[[data]]
name = "x"
sauce = "y"
prepare = { split = "tme", labelz = "fault" }
[[data]]
name = "short"
source = "y"
prepare = { segment = 512 }
[[recipe]]
name = "default"
set = { epochs = "many", seed = 1 }
[[training_noise]]
mode = "fixed"
[test]
noise = ["brown"]
snr = "1:2"
sides = ["left"]
"""
    with pytest.raises(ConfigError) as caught:
        plan_of(text)
    said = str(caught.value)
    assert said.startswith("tiny.toml: ") and "\n" not in said
    words = ("nonet", "'wdcnn' is there twice", "colour", "sauce", "tme", "labelz", "many", "seed", "brown", "1:2")
    for word in (*words, "left", "mode fixed takes noise and snr", "512", "either a source"):
        assert word in said, (word, said)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("networks = [", "not a TOML file"),
        ("networks = 3", "networks must be text"),
        ("data = 3", "must be written as [[data]]"),
        ("test = 3", "test: must be a table"),
        ('networks = ["wdcnn"]', "a plan needs data"),
        (TINY.replace("seeds = [0]", "seeds = [1.5]"), "whole numbers"),
        (TINY.replace("snr = [0]", "snr = [500]"), "-60 to 100"),
        (TINY.replace("snr = [0]", 'snr = "0:1:0"'), "LOW:HIGH:STEP"),
        (TINY + "clean = 1", "true or false"),
        (TINY + '[[training_noise]]\nmode = "loud"', "it is one of recipe"),
        (TINY + '[[training_noise]]\nmode = "mixed"\nnoise = ["pink"]\nsnr = [3, 1]', "[low, high]"),
        (TINY + '[[training_noise]]\nmode = "recipe"\nmatched = true', "cannot be matched"),
        (TINY + "[cell_seconds]\nwdcnn = -1", "wdcnn must be the seconds"),
        (TINY + '[[background]]\nname = "pink"\nsource = "x"', "a name other than"),
        (TINY.replace('source = "rig"', 'source = "rig"\nfile_names = { pattern = "(" }'), "no regular expression"),
        (TINY.replace('source = "rig"', 'simulate = { kind = "boat" }'), "takes kind"),
        (TINY.replace('source = "rig"', 'source = "rig"\ndeclare = { rpm = -1 }'), "rpm: must be a positive"),
        (TINY.replace('name = "rig"', 'name = "<b>"'), "letters, digits"),
        ('networks = ["wdcnn"]\nseeds = []\n[[data]]\nname = "x"\nsource = "y"', "a plan needs seeds"),
    ],
)
def test_bad_plans_are_refused(text: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(text)
    assert word in str(caught.value)


def test_the_plan_in_the_manual_is_one() -> None:
    manual = Path(__file__).parent.parent / "docs" / "benchmark-plans.md"
    (block,) = re.findall(r"\n\n((?:    .*\n|\n)*    \[test\]\n(?:    .*\n)+)", manual.read_text("utf-8"))
    plan = plan_of(re.sub("^    ", "", block, flags=re.M))
    assert (plan.networks, plan.seeds, plan.data[0].name) == (("drsn-wide", "resnet"), (0, 1, 2), "pump hall")
    assert plan.tests.snr_db == tuple(range(-10, 11, 2))
    table = manual.read_text("utf-8")
    assert all(f"| `{name}` |" in table for name in shipped_plans())


def test_ranges_of_snr_have_both_ends() -> None:
    assert changed("snr = [0]", 'snr = "-10:10:2"').tests.snr_db == tuple(range(-10, 11, 2))
    assert changed("snr = [0]", 'snr = "-1:1:0.1"').tests.snr_db == tuple(
        np.round(np.arange(-1, 1.01, 0.1), 6).tolist()
    )


def test_the_address_holds_what_decides_and_nothing_else() -> None:
    def addresses(plan: Plan, content: Mapping[str, str] = CONTENT) -> list[str]:
        return [c.address for c in cells_of(plan, content)]

    base = addresses(plan_of())
    assert addresses(plan_of()) == base
    for old, new in (
        ('name = "time"', 'name = "other"'),
        ("as small as can be", "renamed"),
        ('name = "short"', 'name = "s"'),
    ):
        assert addresses(changed(old, new)) == base
    for old, new in (
        ("seeds = [0]", "seeds = [1]"),
        ("epochs = 1", "epochs = 2"),
        ("snr = [0]", "snr = [1]"),
        ("segment = 1024", "segment = 2048"),
        ('by = ["condition"]', ""),
        ('source = "rig"', 'source = "rig"\ndeclare = { scale = 2 }'),
        ('source = "rig"', 'source = "rig"\n[[data.override]]\nvalue = "healthy"\ncondition = "x"'),
    ):
        text = TINY.replace("prepare = { segment = 1024 }\n", "") if "override" in new else TINY
        if "override" in new:
            text = text.replace(old, 'source = "rig"\nprepare = { segment = 1024 }\n' + new.split("\n", 1)[1])
        else:
            text = text.replace(old, new)
        assert not set(addresses(plan_of(text))) & set(base), new
    assert not set(addresses(plan_of(), {"rig": "decaf"})) & set(base)
    assert addresses(changed("seeds = [0]", "seeds = [0, 1]"))[: len(base)] == base  # a plan that grows keeps its cells


def test_content_is_known_by_bytes_and_names_and_not_by_place(folder: Path, tmp_path: Path) -> None:
    for name, data in (("a/rig/1.csv", "1"), ("b/rig/1.csv", "1"), ("c/rig/1.csv", "2"), ("d/rig/2.csv", "1")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(data, "utf-8")
    a, b, c, d = (content_of(plan_of(), tmp_path / name)["rig"] for name in "abcd")
    assert a == b and len({a, c, d}) == 3
    with pytest.raises(ConfigError) as caught:
        content_of(plan_of(), tmp_path / "e")
    assert "--data" in str(caught.value) and "rig" in str(caught.value)


# --- what a plan says of recordings ---


def test_names_of_files_and_overrides_describe_recordings(folder: Path, tmp_path: Path) -> None:
    for name in ("N_800_1", "I_1200_2"):
        (tmp_path / f"{name}.csv").write_text("x\n" + "".join(f"{np.sin(i)}\n" for i in range(400)), "utf-8")
    text = """
networks = ["wdcnn"]
[[data]]
name = "x"
source = "*.csv"
declare = { sampling_rate_hz = 1000 }
[data.file_names]
pattern = '(?P<label>[NI])_(?P<rpm>\\d+)_(?P<piece>\\d)\\.csv'
label = { N = "normal", I = "inner" }
[[data.override]]
value = "inner"
condition = "any"
[[data.group]]
name = "half"
column = "piece"
first = ["1"]
other = "second"
"""
    items, known = items_of(plan_of(text).data[0], tmp_path, tmp_path / "work")
    assert [(i.declared.label, i.declared.rpm, i.declared.condition) for i in items] == [
        ("inner", 1200, "any"),
        ("normal", 800, None),
    ]
    assert [(k["piece"], k["half"], k["condition"]) for k in known] == [("2", "second", "any"), ("1", "first", "")]
    (tmp_path / "B_800_1.csv").write_text("1\n", "utf-8")
    with pytest.raises(ConfigError, match="does not fit"):
        items_of(plan_of(text).data[0], tmp_path, tmp_path / "work")
    with pytest.raises(ConfigError, match="does not say what label 'B'"):
        items_of(plan_of(text.replace("[NI]", "[NIB]")).data[0], tmp_path, tmp_path / "work")


# --- scores ---


def test_the_scores_are_those_of_evaluate_side(prepared: Prepared) -> None:
    tests = (("", None), ("gaussian", -4.0), ("pink", 2.0))
    rows = scores_of(Guess(), prepared, side="test", tests=tests, groups={}, backgrounds={}, seed=5)
    clean = evaluate_side(Guess(), prepared, side="test", noise=["gaussian"], snr_db=[-4.0], seed=5)
    pink = evaluate_side(Guess(), prepared, side="test", noise=["pink"], snr_db=[2.0], seed=5)
    for name, scores in (("", clean["clean"]), ("gaussian", clean["gaussian -4 dB"]), ("pink", pink["pink 2 dB"])):
        mine = {(r["unit"], r["metric"]): r for r in rows if r["noise"] == name}
        assert mine["segment", "accuracy"]["value"] == scores["segment_accuracy"]
        assert mine["record", "accuracy"]["value"] == scores["record_accuracy"]
        assert mine["segment", "macro_f1"]["value"] == scores["macro_f1"]
        assert mine["segment", "recall inner_race"]["value"] == scores["recall"]["inner_race"]
        assert mine["segment", "accuracy"]["n"] == scores["segments"]
        assert mine["segment", "false_alarms"]["value"] == pytest.approx(1 - scores["recall"]["healthy"])
    assert 0.1 < rows[0]["value"] < 1.0 or rows[0]["value"] != rows[9]["value"]


def test_a_file_with_noise_is_scored_as_it_is(folder: Path, tmp_path: Path) -> None:
    config = PrepareConfig(segment=1024, split="time", noise=("pink",), snr_db=(-4.0, 4.0))
    prepare(find_records([str(folder / "rig")]), tmp_path / "noisy.h5", config=config)
    with open_prepared(tmp_path / "noisy.h5") as noisy:
        rows = scores_of(Guess(), noisy, side="test", tests=(("", None),), groups={}, backgrounds={}, seed=0)
        same = evaluate_side(Guess(), noisy, side="test")
    right = {r["snr_db"]: r["value"] for r in rows if (r["unit"], r["metric"]) == ("segment", "accuracy")}
    assert right == {snr: same[f"pink {snr:g} dB"]["segment_accuracy"] for snr in (-4.0, 4.0)}
    assert {r["noise"] for r in rows} == {"pink"}


def test_groups_are_scored_apart_and_divided_records_are_in_each_group_of_the_split(
    folder: Path, prepared: Prepared
) -> None:
    table = prepared.records()
    known = [
        {"path": p, "sha256": s, "condition": c, "label": y}
        for p, s, c, y in zip(table["path"], table["sha256"], table["condition"], table["label"], strict=True)
    ]
    groups = groups_of(prepared, known, ["condition", "label"], "test")
    rows = prepared.rows("test")
    assert [g for g in groups if g.startswith("condition")] == ["condition = load1", "condition = load2"]
    assert all(groups[g][rows].any() for g in groups)
    whole = scores_of(Guess(), prepared, side="test", tests=(("", None),), groups=groups, backgrounds={}, seed=0)
    parts = {r["group"]: r for r in whole if (r["unit"], r["metric"]) == ("segment", "accuracy")}
    n = {g: parts[f"condition = {g}"]["n"] for g in ("load1", "load2")}
    assert sum(n.values()) == parts["all"]["n"]
    right = sum(parts[f"condition = {g}"]["value"] * n[g] for g in n)
    assert right == pytest.approx(parts["all"]["value"] * parts["all"]["n"])
    assert parts["label = healthy"]["n"] + parts["label = inner_race"]["n"] == parts["all"]["n"]
    # now let a record be divided in time, as CWRU's healthy bearing is: it is in both groups, and in none of its own
    divided = int(prepared.record[prepared.rows("test")[0]])
    prepared.side = prepared.side.copy()
    mine = np.flatnonzero(prepared.record == divided)
    prepared.side[mine[: len(mine) // 2]] = 0
    known[divided] |= {"condition": "any"}
    groups = groups_of(prepared, known, ["condition", "label"], "test")
    assert "condition = any" not in groups
    assert groups["condition = load1"][mine].all() and groups["condition = load2"][mine].all()
    assert not groups["label = inner_race"][mine].any() or not groups["label = healthy"][mine].any()


def test_a_background_lies_over_a_segment_at_the_exact_snr() -> None:
    rng = np.random.default_rng(0)
    signals = tuple(rng.normal(3, 1, (1, n)).astype(np.float32).cumsum(axis=1) for n in (300, 1000))
    hum = Hum("room", signals)
    x = rng.normal(5, 2, (40, 1, 256)).astype(np.float32)
    record, start = np.arange(40), np.arange(40) * 7
    noisy = hum.over(x, snr_db=-4.0, seed=1, record=record, start=start)
    added = (noisy - x).astype(np.float64)
    snr = 10 * np.log10(x.astype(np.float64).var(axis=2) / added.var(axis=2))
    np.testing.assert_allclose(snr, -4.0, atol=1e-3)
    np.testing.assert_allclose(added.mean(axis=2), 0, atol=1e-3)
    some = hum.over(x[5:9], snr_db=-4.0, seed=1, record=record[5:9], start=start[5:9])
    np.testing.assert_array_equal(some, noisy[5:9])
    assert not np.array_equal(hum.over(x, snr_db=-4.0, seed=2, record=record, start=start), noisy)
    short = Hum("short", tuple(np.full((1, 256), i) + x[0] for i in range(3)))  # with room for one stretch each
    assert np.isfinite(short.over(x, snr_db=0.0, seed=1, record=record, start=start)).all()
    places = set()
    for row in added[:, 0]:  # what was added is a stretch of one of the recordings
        best = [
            (np.corrcoef(row, s[0, at : at + 256])[0, 1], i)
            for i, s in enumerate(signals)
            for at in range(s.shape[1] - 255)
        ]
        assert max(best)[0] > 0.9999
        places.add(max(best)[1])
    assert places == {0, 1}


def test_a_background_is_brought_to_the_rate_of_the_data(prepared: Prepared, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    record = Record(rng.normal(size=(1, 9000)), sampling_rate_hz=48_000.0, label="healthy", specimen="s", condition="c")
    write_rig([record], tmp_path / "b")
    write_rig([record.with_(sampling_rate_hz=8_000.0)], tmp_path / "slow")
    hum = open_background(Background("b", ("b",), NOTHING), tmp_path, prepared)
    assert [s.shape for s in hum.signals] == [(1, 2250)]
    with pytest.raises(ConfigError, match="upper spectrum is missing"):
        open_background(Background("b", ("slow",), NOTHING), tmp_path, prepared)
    with pytest.raises(ConfigError, match="no such file"):
        open_background(Background("b", ("nothing",), NOTHING), tmp_path, prepared)


# --- figures ---


def test_spreads_are_students() -> None:
    values = [0.9, 0.95, 0.92, 0.97]
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    found = spread(values)
    assert (found.n, found.mean, found.sd) == (4, pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert (found.mean - found.half, found.mean + found.half) == (pytest.approx(low), pytest.approx(high))
    assert np.isnan(spread([0.5]).half)


def row(network: str, seed: int, value: float, **more: Any) -> dict[str, Any]:
    base = {"data": "d", "variant": "v", "training_noise": "t", "network": network, "seed": seed, "value": value}
    return base | {"test_noise": "pink", "test_snr_db": 0.0, "cell": f"{network} {seed} {more}"} | more


def test_seeds_are_the_repetitions_and_not_the_rows() -> None:
    rows = [
        row("a", seed, 0.5 + 0.1 * seed + snr / 100, test_snr_db=snr, cell=f"{seed}")
        for seed in (0, 1)
        for snr in (-5, 0, 5)
    ]
    (found,) = over_seeds(rows, lambda r: r["network"]).values()
    assert found.n == 2 and found.mean == pytest.approx(0.55) and found.sd == pytest.approx(np.std([0.5, 0.6], ddof=1))


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.3, 0.9, 12)
    rows = [row("a", i, v + 0.02 + 0.001 * (i % 3), variant=f"{i}") for i, v in enumerate(level)]
    rows += [row("b", i, v, variant=f"{i}") for i, v in enumerate(level)]
    rows += [row("b", 99, 0.0)]  # without its half
    found = differences(rows, lambda r: r["network"])["a", "b"]
    oracle = scipy.stats.ttest_rel(
        [r["value"] for r in rows[:12]], [r["value"] for r in rows[12:24]]
    ).confidence_interval(0.95)
    assert found.n == 12
    assert (found.mean - found.half, found.mean + found.half) == (pytest.approx(oracle.low), pytest.approx(oracle.high))
    # one training tested at several SNRs is one pair; a training for each SNR is a pair each
    several = [row(n, 0, 0.5, test_snr_db=s, cell=n) for n in "ab" for s in (0, 1, 2)]
    each = [row(n, 0, 0.5, test_snr_db=s) for n in "ab" for s in (0, 1, 2)]
    assert differences(several, lambda r: r["network"])["a", "b"].n == 1
    assert differences(each, lambda r: r["network"])["a", "b"].n == 3


# --- the runner, with a worker that only pretends ---


def go(plan: Plan, folder: Path, out: Path, **how: Any) -> runner.Standing:
    return runner.run(plan, folder, out, **how)


def untimed(text: str) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(text)))
    keep = [i for i, name in enumerate(rows[0]) if "seconds" not in name]
    return [[r[i] for i in keep] for r in rows]


def test_finished_cells_are_never_run_again(folder: Path, tmp_path: Path, worker: Path) -> None:
    out = tmp_path / "out"
    first = go(plan_of(), folder, out, jobs=2)
    assert first.count("finished") == 2 and len(started(out)) == 2
    table = (out / "results.csv").read_text("utf-8")
    assert go(plan_of(), folder, out, jobs=7, device="auto").count("finished") == 2
    assert len(started(out)) == 2
    assert (out / "results.csv").read_text("utf-8") == table
    (out / "results.csv").unlink()
    grown = go(changed("seeds = [0]", "seeds = [0, 1]"), folder, out, jobs=2)
    assert grown.count("finished") == 4 and len(started(out)) == 4
    assert (out / "results.csv").read_text("utf-8").startswith(table)
    go(plan_of(), folder, out, overwrite=True)
    assert len(started(out)) == 6 and len(list((out / "cells").iterdir())) == 2


def test_the_same_cells_give_the_same_bytes_times_aside(folder: Path, tmp_path: Path, worker: Path) -> None:
    tables = []
    for name, jobs in (("a", 1), ("b", 2)):
        standing = go(changed("seeds = [0]", "seeds = 2"), folder, tmp_path / name, jobs=jobs)
        text = (tmp_path / name / "results.csv").read_text("utf-8")
        assert text == to_csv(rows_of("tiny", standing.cells, standing.results))
        tables.append(untimed(text))
    assert tables[0] == tables[1]
    head, *body = tables[0]
    assert [r[head.index("network")] for r in body[:4]] == ["wdcnn"] * 2 + ["drsn-wide"] * 2
    assert [r[head.index("test_noise")] for r in body[:2]] == ["none", "gaussian"]


@pytest.mark.parametrize(
    ("how", "word"), [("fails", "no such class"), ("killed", "signal 9; most likely memory"), ("dies", "nonsense")]
)
def test_a_cell_that_fails_is_recorded_and_the_others_go_on(
    folder: Path, tmp_path: Path, worker: Path, monkeypatch: pytest.MonkeyPatch, how: str, word: str
) -> None:
    monkeypatch.setenv("FAKE", how)
    out = tmp_path / "out"
    standing = go(plan_of(), folder, out)
    assert (standing.count("finished"), standing.count("failed")) == (1, 1)
    bad = next(c for c in standing.cells if c.network == "wdcnn")
    recorded = read_cell(out / "cells" / f"{bad.address}.json")
    assert recorded is not None and word in recorded["error"]["message"]
    assert word in report.to_markdown(standing, rows_of("tiny", standing.cells, standing.results), code="x")
    monkeypatch.setenv("FAKE", "")
    assert go(plan_of(), folder, out).count("finished") == 2
    assert len(started(out)) == 3  # the good one was not run again


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_no_process_and_loses_no_finished_cell(
    folder: Path, tmp_path: Path, worker: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    out, plan = tmp_path / "out", tmp_path / "tiny.toml"
    plan.write_text(TINY, "utf-8")
    monkeypatch.setenv("REAL_PYTHON", re.findall('exec "(.*?)"', worker.read_text("utf-8"))[0])
    process = command(plan, "--data", folder, "--out", out, "--jobs", "2", worker=worker, FAKE="sleep")
    until(lambda: out.is_dir() and len(list(out.glob("pid-*"))) == 2)
    process.send_signal(number)
    said, err = process.communicate(timeout=20)
    assert process.returncode == code and said == "" and "the same command goes on" in err
    assert not any(alive(int(p.name.removeprefix("pid-"))) for p in out.glob("pid-*"))
    assert list((out / "cells").iterdir()) == [] and (out / "results.csv").is_file()
    assert go(plan_of(), folder, out).count("finished") == 2  # the folder is free again


def test_a_folder_belongs_to_one_plan_and_one_run(folder: Path, tmp_path: Path, worker: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="device 'tpu'"):
        go(plan_of(), folder, out, device="tpu")
    assert not out.exists()
    go(plan_of(), folder, out)
    with pytest.raises(OutputError, match="holds the benchmark 'tiny'"):
        go(replace(plan_of(), name="other"), folder, out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x", "utf-8")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="holds no benchmark"):
            go(plan_of(), folder, tmp_path / "full", overwrite=overwrite)
    with pytest.raises(OutputError, match="is a file"):
        go(plan_of(), folder, tmp_path / "full" / "thesis.txt")

    def again(_standing: runner.Standing, _cell: Cell | None) -> None:
        with pytest.raises(OutputError, match="another benchmark is running"):
            go(plan_of(), folder, out)

    go(plan_of(), folder, out, overwrite=True, report=again)
    result = next((out / "cells").iterdir())
    result.write_text("{", "utf-8")
    with pytest.raises(DatasetError, match="delete it"):
        go(plan_of(), folder, out)


def test_noisy_files_go_when_their_last_cell_has_ended(folder: Path, tmp_path: Path, worker: Path) -> None:
    text = TINY + '[[training_noise]]\nmode = "fixed"\nnoise = ["pink"]\nsnr = [1]\n[[training_noise]]\nmode = "none"\n'
    out = tmp_path / "out"
    cells = cells_of(plan_of(text), content_of(plan_of(), folder))
    (out / "work").mkdir(parents=True)
    (out / runner.MARK).write_text(json.dumps({"schema": runner.SCHEMA, "plan": "tiny"}), "utf-8")
    noisy, clean = (next(c.data_address for c in cells if c.noise.mode == m) for m in ("fixed", "none"))
    for address in (noisy, clean):
        (out / "work" / f"{address}.h5").touch()
    go(plan_of(text), folder, out)
    assert not (out / "work" / f"{noisy}.h5").exists() and (out / "work" / f"{clean}.h5").exists()


def test_the_estimate_follows_what_cells_took(folder: Path, tmp_path: Path, worker: Path) -> None:
    plan = replace(changed("seeds = [0]", "seeds = 4"), cell_seconds={"wdcnn": 100.0, "drsn-wide": 200.0})
    assert runner.look(plan, folder, tmp_path / "no").seconds_left == 4 * 300
    standing = go(replace(plan, seeds=(0,)), folder, tmp_path / "out")
    taken = {
        c.network: sum(standing.results[c.address]["seconds"][k] for k in ("prepare", "train", "score"))
        for c in standing.cells
    }
    assert runner.look(plan, folder, tmp_path / "out").seconds_left == pytest.approx(3 * sum(taken.values()))


# --- the report ---


def test_the_report_has_every_figure_and_trusts_no_name(folder: Path, tmp_path: Path, worker: Path) -> None:
    plan = changed("seeds = [0]", "seeds = 2")
    plan = replace(plan, description="<script>alert(1)</script>", tests=replace(plan.tests, snr_db=(-4.0, 0.0, 4.0)))
    standing = go(plan, folder, tmp_path / "out", jobs=2)
    rows = rows_of(plan.name, standing.cells, standing.results)
    text = report.to_markdown(standing, rows, code="other")
    half = 100 * scipy.stats.t.ppf(0.975, 1) * np.std([0.7, 0.71], ddof=1) / np.sqrt(2)
    assert f"| gaussian | 70.5 ± 0.7 [{70.5 - half:.1f}, {70.5 + half:.1f}] | 50.5 ± 0.7" in text
    assert "| gaussian | -4 | 66.5 ± 0.7" in text
    assert "| wdcnn - drsn-wide | all noises | +20.00 | [+20.00, +20.00] | 2 | wdcnn better |" in text
    assert "4 of 4 cells finished, 0 failed; 2 seeds." in text and "4 cells were computed by another version" in text
    page = report.to_html(standing, rows, code="other")
    assert "<script" not in page and "&lt;script" in page and "&lt;script" in text
    assert "<svg" in page and "70.5 ± 0.7" in page
    assert not re.search(r'(?:src|href)="http', page)


# --- the command, with real trainings ---


@pytest.fixture(scope="module")
def real(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, tuple[int, str, str]]:
    """A plan that is run in truth: two trainings, and one that cannot be."""
    where = tmp_path_factory.mktemp("real")
    text = TINY.replace('networks = ["wdcnn", "drsn-wide"]', 'networks = ["wdcnn"]')
    text = text.replace(
        "[[recipe]]", '[[data.variant]]\nname = "impossible"\nsplit = "specimen"\ntest_on = ["nobody"]\n[[recipe]]', 1
    )
    text += '[[training_noise]]\nmode = "fixed"\nnoise = ["pink"]\nsnr = [10]\n'
    (where / "tiny.toml").write_text(text, "utf-8")
    return where / "tiny.toml", where / "out", ran(where / "tiny.toml", "--data", folder, "--out", where / "out")


def test_a_plan_is_run_and_what_failed_is_said(real: tuple[Path, Path, tuple[int, str, str]]) -> None:
    _, out, (code, said, err) = real
    assert code == 4 and said == f"{out}\n"
    assert "nobody" in err and "1 of 2 cells failed" in err and "% of segments right" in err
    table = list(csv.DictReader(io.StringIO((out / "results.csv").read_text("utf-8"))))
    assert {r["variant"] for r in table} == {"time"}
    all_of = [r for r in table if r["metric"] == "accuracy" and r["group"] == "all"]
    assert [(r["unit"], r["test_noise"], r["test_snr_db"]) for r in all_of] == [
        ("segment", "pink", "10"),
        ("record", "pink", "10"),
    ]
    assert {r["group"] for r in table} == {"all", *(f"condition = load{i}" for i in range(4))}
    assert all(0 <= float(r["value"]) <= 1 and int(r["n"]) > 0 for r in table)
    assert table[0]["level"].startswith("within record") and table[0]["parameters"] != ""
    (result,) = [r for r in map(read_cell, (out / "cells").iterdir()) if r and r["status"] == "finished"]
    assert result["threads"] == 1 and result["steps"] == 4 and len(result["weights_sha256"]) == 64
    assert result["train"]["noise"] == [] and result["prepare"]["noise"] == ["pink"]
    for name in ("results.md", "benchmark.html", "plan.toml"):
        assert (out / name).stat().st_size > 100
    assert list((out / "work").glob("*.h5")) == []


def test_the_command_counts_shows_and_lists(
    real: tuple[Path, Path, tuple[int, str, str]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out, _ = real
    code, said, err = ran(plan, "--data", folder, "--out", out, "--dry-run", "--json")
    told = json.loads(said)
    assert (code, err, told["cells"], told["finished"]) == (0, "", 2, 1) and told["seconds_left"] >= 0
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    code, said, err = ran(plan, "--data", folder, "--out", out, "--dry-run", "--overwrite", "--json")
    assert (code, err, json.loads(said)["finished"]) == (0, "", 0)  # all would be run again, and nothing is gone yet
    assert before == {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    benchmark("unseen-noise", show=True)
    assert read_plan(capsys.readouterr().out, name="x", origin="x").tests == find_plan("unseen-noise").tests
    benchmark(listing=True, json=True)
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == list(shipped_plans())


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    code, said, err = ran("nothing.toml")
    assert (code, said, err.count("\n")) == (2, "", 1) and err.startswith(
        "faultdx: error: nothing.toml: cannot be read"
    )
    with pytest.raises(ConfigError, match="name a TOML file"):
        benchmark()
    with pytest.raises(ConfigError, match="--data names the folder"):
        benchmark("cwru-time", data=tmp_path / "nowhere", dry_run=True)
    with pytest.raises(ConfigError, match="--out FOLDER is missing"):
        benchmark("cwru-time")


def test_planning_needs_no_heavy_library() -> None:
    code = (
        "import sys, faultdx.plans, faultdx.benchmark.runner, faultdx.report.benchmark, faultdx.cli.benchmark\n"
        "heavy = ('torch', 'h5py', 'scipy', 'pandas', 'matplotlib', 'onnx', 'rich')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- the real recordings ---


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "variant", "healthy", "test"),
    [
        ("cwru-load", "trained at 2 HP", "normal", {"any load", "0 HP", "1 HP", "3 HP"}),
        ("uestc-speed", "trained at 800 rpm", "normal", {"1200 rpm"}),
        ("gfd-load", "trained at load 40", "healthy", {f"load {i} %" for i in (0, 10, 20, 50, 70, 80)}),
    ],
)
def test_shipped_plans_prepare_the_real_recordings(
    real_data: Path, tmp_path: Path, name: str, variant: str, healthy: str, test: set[str]
) -> None:
    plan = find_plan(name)
    cell = next(c for c in cells_of(plan, content_of(plan, real_data)) if c.variant == variant)
    items, known = items_of(cell.data, real_data, tmp_path)
    summary = prepare(items, tmp_path / "x.h5", config=cell.prepare)
    assert summary.skipped == () and healthy in summary.healthy and summary.plan.method == "condition"
    with open_prepared(tmp_path / "x.h5") as found:
        conditions = found.records()["condition"]
        sides = {s: {str(conditions[r]) for r in found.record[found.rows(s)]} for s in ("train", "test")}
        assert sides["test"] == test
        assert sides["train"] == ({"any load"} if name == "cwru-load" else set()) | {
            {"cwru-load": "2 HP", "uestc-speed": "800 rpm", "gfd-load": "load 40 %"}[name]
        }
        for side in ("train", "test"):  # every class is on both sides
            assert len(set(found.label[found.rows(side)])) == len(found.classes)
        groups = groups_of(found, known, cell.by, "test")
        if name == "cwru-load":
            rows = found.rows("test")
            tested = [g for g in groups if groups[g][rows].any()]
            assert tested == ["condition = 0 HP", "condition = 1 HP", "condition = 3 HP"]
            normal = found.record == next(i for i, k in enumerate(conditions) if str(k) == "any load")
            assert all(groups[g][normal].all() for g in tested)


@pytest.mark.real_data
def test_grades_of_cwru_are_those_of_its_records(real_data: Path, tmp_path: Path) -> None:
    plan = find_plan("cwru-size")
    _, known = items_of(plan.data[0], real_data, tmp_path)
    grades = {k["number"]: k["grade"] for k in known}
    assert (grades["97"], grades["130"], grades["118"], grades["185"], grades["199"], grades["105"]) == (
        "healthy", "Y1", "N1", "P2", "P1", "Y2",
    )  # fmt: skip
    assert [list(grades.values()).count(g) for g in ("healthy", "Y1", "Y2", "P1", "P2", "N1")] == [1, 8, 16, 1, 5, 6]
