"""`faultdx diagnose --bearing` from the shell: codes, streams, outputs, and the same bytes whoever works."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from helpers import TRAINER, Ran, Trained, faultdx

from faultdx.untrained import CLASSES

SKF_6205 = "9,0.3126,1.537"


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A specimen of each class at four loads, 4 s."""
    folder = tmp_path_factory.mktemp("untrained") / "rig"
    words = ("simulate", "bearing", "--specimens", "1", "--seconds", "4", "--seed", "3", "--out", folder)
    assert faultdx(*words, command=TRAINER).code == 0
    return folder


def labels(folder: Path) -> dict[str, str]:
    with (folder / "records.csv").open(newline="") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def of(folder: Path, label: str) -> Path:
    """The first record of a class."""
    return folder / next(path for path, found in labels(folder).items() if found == label)


def without_time(ran: Ran) -> list[dict[str, object]]:
    return [{k: v for k, v in one.items() if k != "elapsed_s"} for one in ran.objects]


def test_a_folder_is_diagnosed_without_a_model(spool: Path) -> None:
    ran = faultdx("diagnose", spool, "--bearing", SKF_6205, "--json")
    assert ran.code == 0, ran.err
    truth = labels(spool)
    for one in ran.objects:
        label = truth[Path(str(one["file"])).name]
        if label == "healthy":
            assert one["fault"] is None and one["verdict"] == "no_evidence"
        elif one["verdict"] not in ("damaged", "no_evidence", None):
            assert one["verdict"] == label
    located = [one for one in ran.objects if one["verdict"] in set(truth.values())]
    assert len(located) >= 0.75 * sum(label != "healthy" for label in truth.values())


def test_the_same_bytes_with_two_processes(spool: Path) -> None:
    words = ("diagnose", spool, "--bearing", SKF_6205, "--json")
    assert without_time(faultdx(*words)) == without_time(faultdx(*words, "--jobs", "2"))


def test_each_word_of_the_spectrum_is_one_to_fail_on(spool: Path) -> None:
    asked = ("--bearing", SKF_6205, "--json", "--fail-on")
    found = {
        name: faultdx("diagnose", of(spool, name), *asked, "never").objects[0] for name in ("outer_race", "healthy")
    }
    sick, well = str(found["outer_race"]["verdict"]), str(found["healthy"]["verdict"])
    assert (sick, well) == ("outer_race", "no_evidence")
    for name, words in (("outer_race", (sick, "fault")), ("healthy", (well,))):
        for word in (*CLASSES, "fault", "undecided", "unfamiliar", "never"):
            code = faultdx("diagnose", of(spool, name), *asked, word).code
            assert code == (3 if word in words else 0), (name, word)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--bearing"),
        (("--bearing", "no such bearing"), 2, "catalogue"),
        (("--bearing", "9,39,7.9"), 2, "swapped"),
        (("--bearing", SKF_6205, "--min-confidence", "0.9"), 2, "--min-confidence"),
        (("--bearing", SKF_6205, "--fail-on", "gear"), 2, "outer_race"),
        (("--bearing", SKF_6205, "--fail-on", "fault"), 3, ""),
        (("--bearing", SKF_6205, "--fail-on", "never"), 0, ""),
    ],
)
def test_codes(spool: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ran = faultdx("diagnose", of(spool, "outer_race"), *words)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert len(ran.err.splitlines()) == (1 if code == 2 else 0)


def test_a_record_without_a_bearing_is_unusable_and_the_others_are_diagnosed(spool: Path, tmp_path: Path) -> None:
    table = tmp_path / "records.csv"
    rows = [("healthy", "", ""), ("outer_race", "1797", SKF_6205), ("inner_race", "1797", "nobody's")]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "rpm", "bearing"))
        writer.writerows((of(spool, label), rpm, bearing) for label, rpm, bearing in rows)
    ran = faultdx("diagnose", "--records", table, "--json")
    assert ran.code == 4
    found = ran.objects
    assert [one["status"] for one in found] == ["unusable", "diagnosed", "unusable"]
    assert found[1]["verdict"] == "outer_race"
    assert "--bearing" in json.dumps(found[0]["quality"])
    assert "catalogue" in json.dumps(found[2]["quality"])


def test_history_csv_metrics_and_report_take_it(spool: Path, tmp_path: Path) -> None:
    outputs = ("--history", tmp_path / "h.sqlite", "--csv", tmp_path / "t.csv", "--metrics-file", tmp_path / "m.prom")
    words = ("diagnose", of(spool, "outer_race"), of(spool, "healthy"), "--bearing", SKF_6205, *outputs)
    assert faultdx(*words, "--report", tmp_path / "pages").code == 0
    assert faultdx(*words, "--overwrite", "--new-only").out == ""
    other = faultdx(*words[:3], "--bearing", "9,0.3127,1.537", *outputs, "--overwrite", "--new-only")
    assert other.out != ""  # another bearing is another question
    assert len(faultdx("history", tmp_path / "h.sqlite", "--json").objects) >= 2
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8-sig") as file:
        assert [row["verdict"] for row in csv.DictReader(file)] in (["outer_race", "no_evidence"], ["outer_race"])
    assert "outer race" in (tmp_path / "pages" / f"{of(spool, 'outer_race').name}.html").read_text("utf-8")


def test_with_a_model_it_is_a_second_witness(spool: Path, trained: Trained) -> None:
    alone = faultdx("diagnose", of(spool, "outer_race"), "--model", trained.run, "--json").objects[0]
    both = faultdx(
        "diagnose", of(spool, "outer_race"), "--model", trained.run, "--bearing", SKF_6205, "--json"
    ).objects[0]
    assert "witness" not in alone["evidence"]
    assert both["evidence"]["witness"]["place"] == "outer_race"
    assert both["probabilities"] == alone["probabilities"]


def test_on_a_terminal_a_table_beside_named_files_is_pointed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from faultdx.cli import console, machine

    (tmp_path / "records.csv").write_text("path,label\n")
    named = [str(tmp_path / "a.mat"), str(tmp_path / "b.mat"), str(tmp_path), "-"]
    assert machine.table_for(named, None) is None
    assert capsys.readouterr().err == ""  # nobody watches
    monkeypatch.setattr(console, "progress_is_shown", lambda: True)
    machine.table_for(named[2:], None)
    assert capsys.readouterr().err == ""
    assert machine.table_for(named, None) is None
    assert machine.table_for(named, tmp_path / "t.csv") == str(tmp_path / "t.csv")
    said = capsys.readouterr().err
    assert said.count("records.csv") == 1 and "--records" in said
