"""`faultdx evaluate`: what it scores, what it says the figures are worth, what it writes, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import FAULTDX, Trained, assert_refused, environment, faultdx, faultdx_here, model_with, validate

from faultdx import evaluation, provenance
from faultdx.assessment import Question, evaluate, run_folders
from faultdx.cli.evaluate import snr_levels
from faultdx.dataset import open_prepared
from faultdx.errors import ConfigError, DatasetError
from faultdx.evaluation import Condition, conditions_of, evaluate_side, logits_under
from faultdx.inference import Network
from faultdx.records.cwru import catalogue
from faultdx.records.grades import grades_of
from faultdx.report import plots
from faultdx.report.evaluation import figures, render, summary, to_csv, to_json
from faultdx.voting import softmax

SHORT = Question(
    noise=("gaussian", "pink"), snr_db=(-4.0, 0.0), seed=3
)  # the training's seed and two: as in model.json


@pytest.fixture(scope="module")
def found(trained: Trained) -> dict[str, Any]:
    return evaluate(trained.run, question=SHORT)


@pytest.fixture(scope="module")
def unseen(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared file of specimens that the model has never seen."""
    out = tmp_path_factory.mktemp("unseen") / "unseen.h5"
    assert faultdx_here("prepare", trained.unseen, "--split", "time", "--out", out, cwd=out.parent).code == 0
    return out


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the run folder, to write into."""
    return Path(shutil.copytree(trained.run, tmp_path / "run", ignore=shutil.ignore_patterns("last.pt", "evaluation")))


def schema() -> dict[str, Any]:
    text = resources.files("faultdx").joinpath("schema/evaluation-1.json").read_text("utf-8")
    return dict(json.loads(text))


# ---- what is scored


def test_the_scores_are_those_of_the_training(trained: Trained, found: dict[str, Any]) -> None:
    known = json.loads((trained.run / "model" / "model.json").read_text("utf-8"))["scores"]["test"]
    for c in found["conditions"]:
        score = known[c["name"]]
        assert c["segments"]["accuracy"]["value"] == pytest.approx(score["segment_accuracy"], abs=1e-6)
        assert c["records"]["accuracy"]["value"] == pytest.approx(score["record_accuracy"], abs=1e-6)
        assert c["segments"]["macro_f1"]["value"] == pytest.approx(score["macro_f1"], abs=1e-6)
        recall = {name: f["value"] for name, f in c["segments"]["recall"].items()}
        assert recall == pytest.approx(score["recall"], abs=1e-6)
        assert (c["segments"]["count"], c["records"]["count"]) == (score["segments"], score["records"])
        assert np.sum(c["segments"]["confusion"]) == score["segments"]
    assert len({c["segments"]["accuracy"]["value"] for c in found["conditions"]}) > 2  # the noise does something
    assert [c["name"] for c in found["conditions"]] == [
        "clean", "gaussian -4 dB", "gaussian 0 dB", "pink -4 dB", "pink 0 dB",
    ]  # fmt: skip


class Recorder:
    """A model that keeps what it is given."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.given: list[np.ndarray] = []

    def logits(self, segments: np.ndarray) -> np.ndarray:
        self.given.append(segments)
        return np.stack([segments.mean(axis=(1, 2)) + k for k in range(self.classes)], axis=1).astype(np.float64)


def test_every_segment_has_exactly_the_snr(trained: Trained) -> None:
    with open_prepared(trained.prepared) as prepared:
        rows = prepared.rows("test")
        model = Recorder(len(prepared.classes))
        logits_under(model, prepared, conditions_of(prepared, rows, noise=("pink",), snr_db=(-6.5,)), seed=1)
        clean, noisy = model.given
        np.testing.assert_array_equal(clean, prepared.segments(rows))
        power = clean.astype(np.float64).var(axis=-1) / np.square(noisy.astype(np.float64) - clean).mean(axis=-1)
        np.testing.assert_allclose(10 * np.log10(power), -6.5, atol=1e-3)


def test_the_noise_depends_on_neither_batches_nor_neighbours(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_prepared(trained.prepared) as prepared:
        rows = prepared.rows("test")
        conditions = conditions_of(prepared, rows, noise=("gaussian", "laplacian"), snr_db=(0.0, -4.0))
        model = Recorder(2)
        whole = logits_under(model, prepared, conditions, seed=1)
        monkeypatch.setattr(evaluation, "_BATCH", 7)
        pieces = logits_under(model, prepared, conditions, seed=1)
        part = logits_under(model, prepared, [Condition(rows[3:9], "laplacian", -4.0)], seed=1)[0]
        other = logits_under(model, prepared, [Condition(rows[3:9], "laplacian", -4.0)], seed=2)[0]
    assert max(len(x) for x in model.given[5:]) <= 7
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(part, whole[4][3:9])
    assert (other != part).any()


def test_the_temperature_is_the_one_that_a_diagnosis_uses(trained: Trained) -> None:
    network = Network.open(trained.run)
    with open_prepared(trained.prepared) as prepared:
        test = prepared.rows("test")
        z, label = network.logits(prepared.segments(test)), prepared.label[test]
    document = evaluate(trained.run, question=Question(noise=()))
    (run,) = document["runs"]
    assert run["temperature"] == pytest.approx(network.temperature, abs=1e-6) and network.temperature != 1
    assert run["own_temperature"] == network.temperature
    assert "diagnose uses" in document["settings"]["temperature_from"]
    segments = document["conditions"][0]["segments"]
    for name, t in (("before", 1.0), ("after", network.temperature)):
        nll = -np.log(softmax(z, temperature=t)[np.arange(len(label)), label]).mean()
        assert segments[f"nll_{name}"]["value"] == pytest.approx(nll, rel=1e-4)
    assert segments["nll_before"] != segments["nll_after"]


def test_noise_in_the_file_is_what_is_scored(trained: Trained, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.h5"
    made = faultdx_here(
        "prepare", trained.rig, "--split", "specimen", "--noise", "pink", "--snr", "-2", "--snr", "4", "--out", noisy,
        cwd=tmp_path,
    )  # fmt: skip
    assert made.code == 0, made.err
    document = evaluate(trained.run, noisy)
    assert [c["name"] for c in document["conditions"]] == ["pink -2 dB", "pink 4 dB"]
    assert document["data"]["noise_in_file"] and document["settings"]["noise"] == []
    with open_prepared(noisy) as prepared:
        scores = evaluate_side(Network.open(trained.run), prepared, side="test")
    for c in document["conditions"]:
        assert c["segments"]["accuracy"]["value"] == pytest.approx(scores[c["name"]]["segment_accuracy"], abs=1e-6)
    with pytest.raises(ConfigError, match="holds noise already"):
        evaluate(trained.run, noisy, question=SHORT)
    assert "Under noise" in render(document)


def test_breakdowns_add_up(trained: Trained) -> None:
    q = Question(noise=(), by=("specimen", "label", "path", "rpm"))
    document = evaluate(trained.run, question=q)
    (c,) = document["conditions"]
    assert set(c["by"]) == set(q.by)
    for groups in c["by"].values():
        for level in ("segments", "records"):
            count = sum(g[level]["count"] for g in groups.values())
            right = sum(g[level]["count"] * g[level]["value"] for g in groups.values())
            assert count == c[level]["count"]
            assert right / count == pytest.approx(c[level]["accuracy"]["value"], abs=1e-5)
    label = {name: g["segments"]["value"] for name, g in c["by"]["label"].items()}
    assert label == pytest.approx({name: f["value"] for name, f in c["segments"]["recall"].items()})
    with pytest.raises(DatasetError, match="--by grade"):
        evaluate(trained.run, question=Question(noise=(), by=("grade",)))


def test_specimens_as_units_are_fewer_than_records(trained: Trained) -> None:
    def one(unit: str) -> dict[str, Any]:
        return dict(evaluate(trained.run, question=Question(noise=(), unit=unit)))

    record, specimen = one("record"), one("specimen")
    assert record["conditions"][0]["units"] == record["data"]["records"]
    assert specimen["conditions"][0]["units"] == specimen["data"]["specimens"]
    assert specimen["data"]["specimens"] <= record["data"]["records"]
    assert (
        specimen["conditions"][0]["segments"]["accuracy"]["value"]
        == (record["conditions"][0]["segments"]["accuracy"]["value"])
    )


# ---- what the figures are worth


def test_on_its_own_file_the_split_says_it(trained: Trained, found: dict[str, Any]) -> None:
    with open_prepared(trained.prepared) as prepared:
        split = prepared.split
    told = found["honesty"]
    assert (told["kind"], told["level"], told["leaks"], told["same_file"]) == ("specimen", split["level"], False, True)
    assert set(split["notes"]) <= set(told["notes"])
    everything = evaluate(trained.run, question=Question(noise=(), side="all"))["honesty"]
    assert everything["leaks"] and everything["level"].startswith("LEAKING")
    assert "optimistic" in evaluate(trained.run, question=Question(noise=(), side="val"))["honesty"]["level"]


def test_foreign_data_is_scored_whole_and_said(trained: Trained, unseen: Path) -> None:
    document = evaluate(trained.run, unseen, question=Question(noise=()))
    with open_prepared(unseen) as prepared:
        assert document["data"]["segments"] == len(prepared.label)
        sha = set(prepared.records()["specimen"])
    with open_prepared(trained.prepared) as prepared:
        assert not sha & set(prepared.records()["specimen"])
    told = document["honesty"]
    assert (told["kind"], told["leaks"], told["same_file"]) == ("foreign", False, False)
    assert "not the file that it was trained on" in told["notes"]
    assert document["settings"]["temperature_from"].startswith("the model's own")
    assert document["runs"][0]["temperature"] == pytest.approx(document["runs"][0]["own_temperature"], abs=1e-6)


def test_the_same_recordings_in_another_file_are_found_out(trained: Trained, tmp_path: Path) -> None:
    again = tmp_path / "again.h5"
    assert faultdx_here("prepare", trained.rig, "--split", "time", "--out", again, cwd=tmp_path).code == 0
    told = evaluate(trained.run, again, question=Question(noise=()))
    assert told["data"]["side"] == "test" and told["honesty"]["leaks"] and not told["honesty"]["same_file"]
    with open_prepared(again) as new, open_prepared(trained.prepared) as old:
        seen = {
            (old.records()["sha256"][r], s)
            for r, s in zip(old.record[old.side < 2], old.start[old.side < 2], strict=True)
        }
        rows = new.rows("test")
        overlap = sum(
            any((sha, t) in seen for t in range(int(s) - old.segment + 1, int(s) + new.segment))
            for sha, s in zip(new.records()["sha256"][new.record[rows]], new.start[rows], strict=True)
        )
    assert 0 < overlap < len(rows)
    assert told["honesty"]["level"].startswith(f"LEAKING: {overlap} of {len(rows)} segments")


def test_levels_of_other_files(trained: Trained, unseen: Path) -> None:
    with open_prepared(unseen) as prepared:
        table = prepared.records()
        sha, start = str(table["sha256"][0]), prepared.start[prepared.record == 0]
        everyone = frozenset(map(str, table["specimen"]))

        def level(seen: provenance.Seen | None) -> str:
            return provenance.honesty(prepared, "all", seen, same_file=False).kind

        segment, far = prepared.segment, int(start.max()) + 10 * prepared.segment
        assert level(None) == "unknown"
        assert level(provenance.Seen({}, frozenset({"other"}), segment)) == "foreign"
        assert level(provenance.Seen({}, everyone, segment)) == "condition"
        assert level(provenance.Seen({sha: np.array([far])}, everyone, segment)) == "time"
        assert level(provenance.Seen({sha: start[:1]}, everyone, segment)) == "seen"
        # the next segment starts where the one that was seen ends
        just = provenance.Seen({sha: np.array([int(start.max()) + segment])}, everyone, segment)
        assert level(just) == "time"
        assert level(provenance.Seen({sha: just.starts[sha] - 1}, everyone, segment)) == "seen"
        # and the one before ends where the first starts
        just = provenance.Seen({sha: np.array([int(start.min()) - segment])}, everyone, segment)
        assert level(just) == "time"
        assert level(provenance.Seen({sha: just.starts[sha] + 1}, everyone, segment)) == "seen"


def test_without_the_training_file_nobody_can_tell(trained: Trained, unseen: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained.run / "model", tmp_path / "plant")
    document = evaluate(model, unseen, question=Question(noise=()))
    assert document["honesty"]["kind"] == "unknown" and document["data"]["side"] == "test"
    with pytest.raises(ConfigError, match="name a prepared file as DATA"):
        evaluate(model, question=Question(noise=()))


# ---- several seeds


def test_a_folder_of_runs_gives_the_mean_over_seeds(trained: Trained, unseen: Path, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds"
    for name in ("a", "b"):
        shutil.copytree(trained.run, seeds / name, ignore=shutil.ignore_patterns("last.pt"))
    (seeds / "notes").mkdir()
    assert [f.name for f in run_folders(seeds)] == ["a", "b"]
    alone = evaluate(trained.run, question=Question(noise=()))["conditions"][0]
    document = evaluate(seeds, question=Question(noise=()))
    validate(document, schema(), schema())
    both = document["conditions"][0]
    accuracy = both["segments"]["accuracy"]
    assert accuracy == alone["segments"]["accuracy"] | {"sd": 0.0, "runs": [accuracy["value"]] * 2}
    assert np.array_equal(both["segments"]["confusion"], 2 * np.array(alone["segments"]["confusion"]))
    assert "summed over 2 runs" in render(document) and "sd 0.0" in render(document)
    info = json.loads((seeds / "b" / "model" / "model.json").read_text("utf-8"))
    info["trained_on"]["digest"] = "0" * 64
    del info["content_sha256"]  # an honest change
    (seeds / "b" / "model" / "model.json").write_text(json.dumps(info), "utf-8")
    with pytest.raises(ConfigError, match="another file"):
        evaluate(seeds, unseen, question=Question(noise=()))


# ---- the command line


def test_the_command_writes_three_files_and_one_line(run: Path, tmp_path: Path) -> None:
    ran = faultdx("evaluate", run, "--noise", "gaussian,pink", "--snr", "-4:0:2", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.lines == [str(run / "evaluation")]
    names = sorted(p.name for p in (run / "evaluation").iterdir())
    assert names == ["evaluation.csv", "evaluation.html", "evaluation.json"]
    document = json.loads((run / "evaluation" / "evaluation.json").read_text("utf-8"))
    validate(document, schema(), schema())
    assert [c["snr_db"] for c in document["conditions"]] == [None, -4, -2, 0, -4, -2, 0]
    assert "what these figures are worth: across specimens" in ran.err and "\x1b" not in ran.err
    again = faultdx_here("evaluate", run, cwd=tmp_path)
    assert_refused(again, 5, str(run / "evaluation"), "--overwrite")
    (run / "evaluation" / "mine.txt").write_text("kept", "utf-8")
    ran = faultdx_here("evaluate", run, "--no-noise", "--overwrite", "--quiet", "--json", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    (printed,) = ran.objects
    assert printed == json.loads((run / "evaluation" / "evaluation.json").read_text("utf-8"))
    assert [c["name"] for c in printed["conditions"]] == ["clean"]
    assert (run / "evaluation" / "mine.txt").is_file()


def test_the_same_question_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        question = ("--noise", "pink", "--snr", "-4,0", "--out", tmp_path / name)
        assert faultdx_here("evaluate", run / "model", *question, cwd=tmp_path).code == 0
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    assert not (run / "evaluation").exists() and not (run / "model" / "evaluation").exists()


def test_what_is_wrong_is_refused_before_anything_is_written(run: Path, unseen: Path, tmp_path: Path) -> None:
    def refused(code: int, *args: str | Path, words: tuple[str, ...]) -> None:
        assert_refused(faultdx_here("evaluate", *args, cwd=tmp_path), code, *words)
        assert not (run / "evaluation").exists()

    refused(2, run, "--noise", "white", "--snr", "x", "--side", "left", words=("white", "'x'", "left"))
    refused(2, run, "--noise", "none", "--snr", "-4", words=("--snr", "no noise"))
    refused(2, run, "--no-noise", "--noise", "pink", words=("--no-noise",))
    refused(2, run, "--noise", "none,pink", words=("stands alone",))
    refused(2, run, "--noise", "", words=("names nothing",))
    refused(2, run, "--snr", "-70", "--by", "colour", "--resample", "hour", words=("-60", "colour", "hour"))
    refused(2, tmp_path / "nowhere", words=("no such folder",))
    refused(2, run, tmp_path / "nowhere.h5", words=("nowhere.h5", "no such file"))
    refused(2, run, "--by", "grade", words=("--by grade", "catalogue"))
    (tmp_path / "file").write_text("", "utf-8")
    refused(5, run, "--out", tmp_path / "file", words=("is a file",))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("", "utf-8")
    refused(5, run, "--out", tmp_path / "full", "--overwrite", words=("is no evaluation",))
    config = (run / "config.toml").read_text("utf-8")
    dataset = tomllib.loads(config)["train"]["dataset"]
    (run / "config.toml").write_text(config.replace(dataset, str(tmp_path / "gone.h5")), "utf-8")
    refused(2, run, words=("gone.h5", "no such file", "DATA"))
    (run / "config.toml").write_text(config.replace(dataset, str(unseen)), "utf-8")
    refused(2, run, words=("another digest", "DATA"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampling_rate_hz": 25600.0}, ("25600 Hz", "--resample")),
        ({"normalization": "zscore"}, ("zscore", "--normalize")),
        ({"classes": ["healthy", "x", "y", "z"], "healthy": ["healthy"]}, ("does not know", "--labels")),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused(
    trained: Trained, tmp_path: Path, change: dict[str, Any], words: tuple[str, ...]
) -> None:
    model = model_with(trained.run, tmp_path / "model", **change)
    ran = faultdx_here("evaluate", model, trained.prepared, "--out", tmp_path / "out", cwd=tmp_path)
    assert_refused(ran, 2, "does not fit", *words)
    assert not (tmp_path / "out").exists()


def test_leaks_are_warned_of_even_when_quiet(run: Path, tmp_path: Path) -> None:
    ran = faultdx_here("evaluate", run, "--side", "all", "--no-noise", "-q", cwd=tmp_path)
    assert ran.code == 0 and ran.err.startswith("warning: LEAKING") and ran.err.count("\n") == 1


def test_a_closed_pipe_is_no_error(run: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        ended = subprocess.run(
            [*FAULTDX, "evaluate", run, "--no-noise", "--json", "-q"],
            stdout=closed, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(), timeout=60, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_torch_is_not_needed(trained: Trained) -> None:
    code = (
        "import sys\nfrom faultdx.assessment import Question, evaluate\nfrom faultdx.report.evaluation import render\n"
        "render(evaluate(sys.argv[1], question=Question(noise=())))\n"
        "sys.exit(bool({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, trained.run], env=environment(), timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("said", "levels"),
    [
        ("-10:10:2", tuple(float(s) for s in range(-10, 11, 2))),
        ("-8,-4,0", (-8.0, -4.0, 0.0)),
        ("10:-10:-10", (10.0, 0.0, -10.0)),
        ("0:0.3:0.1", (0.0, 0.1, 0.2, 0.3)),  # 0.3 / 0.1 is a little less than 3
        ("0:1:0.1", tuple(round(0.1 * k, 9) for k in range(11))),
        ("-1:1:1.5", (-1.0, 0.5)),
        ("3", (3.0,)),
        ("-0", (0.0,)),
    ],
)
def test_snr_ranges_include_their_ends(said: str, levels: tuple[float, ...]) -> None:
    assert snr_levels(said) == pytest.approx(levels)
    assert all(str(v) != "-0.0" for v in snr_levels(said))


@pytest.mark.parametrize("said", ["", "a", "1:2", "1:2:0", "1:2:-1", "1:2:3:4", "nan", "0:inf:1", "0:9:1e-9", "1,,2"])
def test_other_words_are_no_snr(said: str) -> None:
    with pytest.raises(ConfigError, match="--snr"):
        snr_levels(said)


# ---- what is written


def test_the_json_follows_its_schema(found: dict[str, Any]) -> None:
    plain = json.loads(to_json(found))
    validate(plain, schema(), schema())
    assert plain == found
    for c in found["conditions"]:
        for level in ("segments", "records"):
            for f in (
                c[level][k]
                for k in schema()["$defs"]["level"]["properties"]
                if k not in ("count", "recall", "confusion")
            ):
                assert f["low"] is None or f["low"] <= f["value"] <= f["high"]
    with pytest.raises(AssertionError):
        validate({**plain, "data": {**plain["data"], "side": "left"}}, schema(), schema())


def test_the_csv_has_every_figure_once(found: dict[str, Any]) -> None:
    table = pd.read_csv(io.StringIO(to_csv(found).removeprefix("\ufeff")), keep_default_na=False)
    rows = list(figures(found))
    assert len(table) == len(rows)
    assert not table.duplicated(["condition", "level", "metric", "group"]).any()
    mine = table[(table.condition == "pink -4 dB") & (table.level == "segments") & (table.metric == "accuracy")]
    (c,) = (c for c in found["conditions"] if c["name"] == "pink -4 dB")
    f = c["segments"]["accuracy"]
    assert mine[["value", "low", "high"]].astype(float).values.tolist() == [[f["value"], f["low"], f["high"]]]
    assert mine[["noise", "snr_db"]].values.tolist() == [["pink", "-4.0"]]
    recall = table[(table.condition == "clean") & (table.level == "segments") & (table.metric == "recall")]
    assert dict(zip(recall.group, recall["count"].astype(int), strict=True)) == {
        name: sum(row)
        for name, row in zip(found["data"]["classes"], found["conditions"][0]["segments"]["confusion"], strict=True)
    }


def test_the_page_says_first_what_it_is_worth_and_needs_nothing(found: dict[str, Any]) -> None:
    page = render(found)
    assert len(page) < 300_000 and page == render(found)
    assert "default-src 'none'" in page and "<script" not in page and not re.search(r'(src|href)="', page)
    assert page.index(found["honesty"]["level"]) < page.index("In short") < page.index("<svg")
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(picture)
    assert page.count("<svg") == 4
    leaking = {**found, "honesty": {**found["honesty"], "leaks": True}}
    assert 'class="box bad"' in render(leaking) and "too good" in render(leaking)
    evil = json.loads(json.dumps(found).replace(found["data"]["classes"][1], "<i onclick=x>\u202e"))
    assert "<i onclick" not in render(evil) and "\u202e" not in render(evil)


def test_the_terminal_gets_a_few_lines(found: dict[str, Any]) -> None:
    lines = summary(found)
    accuracy = 100 * found["conditions"][1]["segments"]["accuracy"]["value"]
    assert lines[-2].split()[:2] == ["gaussian", f"{accuracy:.1f}"]
    many = {**found, "conditions": [{**found["conditions"][1], "snr_db": s} for s in range(-60, 60)]}
    assert all(len(line) < 125 for line in (*lines, *summary(many)))


# ---- pictures


def test_curves_can_be_told_apart_without_colour() -> None:
    series = {f"kind {k}": [(x, 50.0 + k, 40.0, 60.0) for x in (-4, 0, 4)] for k in range(8)}
    picture = ET.fromstring(plots.accuracy_curves(series, title="t"))
    groups = [g for g in picture.iter("{http://www.w3.org/2000/svg}g") if g.get("stroke")]
    looks = []
    for g in groups[8:]:
        line, *rest = list(g)
        looks.append((line.get("stroke-dasharray"), re.sub(r"[\d.-]+", "", rest[-1].get("d") or rest[-1].tag)))
    assert len(groups) == 16 and len({g.get("stroke") for g in groups}) == 8
    assert len(set(looks)) == 8


def test_curves_keep_their_numbers() -> None:
    svg = plots.accuracy_curves({"a": [(0, 50, 40, 60), (10, 100, float("nan"), float("nan"))]}, title="<b>&")
    assert "&lt;b&gt;&amp;" in svg and "nan" not in svg
    ET.fromstring(svg)
    (line,) = re.findall(r'<path d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', svg)
    x0, y0, x1, y1 = map(float, line)
    assert x1 > x0 and y0 > y1
    (bar,) = re.findall(r'd="M([\d.]+) ([\d.]+)V([\d.]+)M', svg)
    _, low, high = map(float, bar)
    assert low - y0 == pytest.approx(y0 - high, abs=0.2)  # 40 and 60 are as far from 50
    assert "no values yet" in plots.accuracy_curves({"a": [(float("nan"), 1, 1, 1)]}, title="t")


@pytest.mark.parametrize(("low", "high"), [(-10, 10), (0, 1), (73.2, 99.9), (-3e-9, 5e-9), (0, 12345)])
def test_ticks_are_round_and_few(low: float, high: float) -> None:
    found = plots.ticks(low, high)
    assert 3 <= len(found) <= 10 and low - 1e-12 <= found[0] and found[-1] <= high * (1 + 1e-9)
    step = np.diff(found)
    np.testing.assert_allclose(step, step[0], rtol=1e-6)
    assert f"{step[0]:.0e}"[0] in "125"


# ---- the grades of Smith and Randall


def _table(numbers: list[int], **changes: Any) -> dict[str, list[Any]]:
    entries = {e.number: e for e in catalogue()}
    chosen = [entries[n] for n in numbers]
    table: dict[str, list[Any]] = {
        "specimen": [e.specimen for e in chosen],
        "condition": [e.condition for e in chosen],
        "source_rate_hz": [e.sampling_rate_hz for e in chosen],
        "samples": [float(e.samples or 1) for e in chosen],
        "rpm": [e.true_rpm for e in chosen],
        "path": [f"copy/{e.number}.mat" for e in chosen],
    }
    return table | changes


def test_grades_are_those_of_the_paper() -> None:
    assert grades_of(_table([130, 209, 156])) == ["Y1"] * 3
    assert grades_of(_table([118, 200, 3001])) == ["N1"] * 3
    assert grades_of(_table([185, 198, 199, 105])) == ["P2", "P2", "P1", "Y2"]
    assert grades_of(_table([97, 109, 277])) == ["", "", ""]  # healthy, 48 kHz, fan end: not of that set
    everyone = [e.number for e in catalogue() if e.set == "12k_drive_end"]
    found = grades_of(_table(everyone))
    assert {g: found.count(g) for g in set(found)} == {"Y1": 9, "N1": 10, "P2": 5, "P1": 1, "Y2": 35}


def test_a_recording_is_graded_by_what_it_is_not_by_its_name() -> None:
    assert grades_of(_table([118, 121], path=["a.mat", "118.mat"])) == ["N1", "Y2"]
    assert grades_of(_table([118], specimen=["pump 3"])) == [""]
    assert grades_of(_table([118], samples=[5000.0])) == [""]


@pytest.mark.real_data
def test_real_recordings_are_graded(real_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "cwru.h5"
    assert faultdx_here("prepare", real_data / "cwru", "--split", "time", "--out", out, cwd=tmp_path).code == 0
    with open_prepared(out) as prepared:
        table = prepared.records()
    numbers = [int(Path(p).stem) for p in table["path"]]
    found = dict(zip(numbers, grades_of(table), strict=True))
    assert found == dict(zip(numbers, grades_of(_table(numbers)), strict=True))
    assert found[97] == "" and sum(bool(g) for g in found.values()) == 36
