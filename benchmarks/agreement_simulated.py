"""What network and spectrum are worth on bearings that were not trained on, in simulation: priors of faultdx.agreement.

scenes: what the spectrum says of drawn machines (witness_scenes.py, seed 102) with bearings of the catalogue. rigs:
each has its own resonances; a network (12 epochs) is trained on two severities of each fault and one healthy bearing,
four loads each, and tested on the third severity and another healthy bearing. The first five rigs are counted, the
sixth is a check; then the tables of agreement.py. Every machine has one healthy record more, as its baseline.

    OMP_NUM_THREADS=1 python benchmarks/agreement_simulated.py [scenes] [rigs] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from agreement import Reader, Row, asked, run, tell, trained, wrong
from witness_scenes import draw_scene

from faultdx.agreement import CONFIDENT, OF_OTHERS, OF_PLACE, Said
from faultdx.agreement_fit import beside
from faultdx.baseline import Baseline
from faultdx.baseline import fit as limits_of
from faultdx.dataset import open_prepared
from faultdx.records import read_record
from faultdx.signals.bearings import bearing
from faultdx.signals.kinematics import SKF_6205
from faultdx.signals.witness import assess_bearing
from faultdx.simulation import bearing as paper
from faultdx.simulation.bearing import CONDITIONS
from faultdx.testimony import leaning

BEARINGS = ("6203", "6205", "6206", "6208", "6310", "6204", "6207")
SCENES, SCENE_SEED = 400, 102
RIGS, COUNTED = 6, 5
SEVERITIES = (0.15, 0.5, 0.85)
LOOSENESS = 2.0
SECONDS, RATE_HZ = 5.0, 12_000.0
NAMEPLATE = f"{SKF_6205.rolling_elements},{SKF_6205.ball_diameter:g},{SKF_6205.pitch_diameter:g}"


def shares(counts: Counter[str], words: Sequence[str]) -> str:
    """Return the mean of the posterior with Jeffreys' prior, word by word."""
    total = sum(counts.values()) + len(words) / 2
    return ", ".join(f"{w} {counts[w]} ({(counts[w] + 0.5) / total:.3f})" for w in words)


def scenes() -> None:
    """Count what the spectrum says of simulated scenes."""
    rng = np.random.default_rng(SCENE_SEED)
    geometries = [bearing(name).geometry for name in BEARINGS]
    place, sound, unfit = Counter[str](), Counter[str](), 0
    for k in range(SCENES):
        truth = (None, "outer_race", "inner_race", "ball")[k % 4]
        s = draw_scene(rng, place=truth, geometry=geometries[rng.integers(len(geometries))])
        found = assess_bearing(s.signal, sampling_rate_hz=s.sampling_rate_hz, rpm=s.rpm, bearing=s.bearing)
        if found.verdict == "not_assessable":
            unfit += 1
            continue
        said = Said(*leaning(found))
        if truth is None:
            sound[said.strength] += 1
        else:
            place[beside(said, truth)] += 1
    print(f"\n{SCENES} scenes, {unfit} not assessable\n")
    print(f"damaged at a place: {shares(place, OF_PLACE)}\nsound: {shares(sound, OF_OTHERS)}")


def _generator(*address: int) -> np.random.Generator:
    return np.random.default_rng(list(address))


def made(folder: Path, rig: int) -> list[str]:
    """Write the recordings of a rig and their table; return the specimens that are tested."""
    folder.mkdir(parents=True)
    draw = _generator(77, rig)
    hz, gains = np.sort(draw.uniform(400, 5200, 5)), draw.uniform(0.15, 1, 5)
    rows, tested = [], []
    for number, label in enumerate(paper.CLASSES):
        for k, severity in enumerate(SEVERITIES if label != "healthy" else (0.0, 0.0)):
            name, specimen = f"{label}-{k}", _generator(78, rig, number, k)
            machine = paper.draw_machine(tuple(hz), tuple(gains), specimen, looseness=LOOSENESS)
            defect = None if label == "healthy" else paper.draw_defect(label, severity, specimen)
            if k == (rig % 3 if label != "healthy" else 1):
                tested.append(name)
            for c, condition in enumerate(CONDITIONS):
                once = _generator(79, rig, number, k, c)
                motion = paper.turn_shaft(condition, round(SECONDS * RATE_HZ), RATE_HZ, once)
                blows = None if defect is None else paper.defect_impulses(defect, condition, motion, once)
                path = f"{name}-{condition.name}.npy"
                np.save(folder / path, paper.record_signal(machine, condition, motion, once, impulses=blows))
                rows.append((path, label, RATE_HZ, round(motion.rpm), name, condition.name, NAMEPLATE))
    with (folder / "records.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "sampling_rate_hz", "rpm", "specimen", "condition", "bearing"])
        table.writerows(rows)
    return tested


def healthy_record(folder: Path, rig: int, specimen: str) -> Baseline:
    """Return the baseline of a tested machine: one record of it before it was damaged."""
    label, _, k = specimen.rpartition("-")
    address = paper.CLASSES.index(label), int(k)
    draw = _generator(77, rig)
    hz, gains = np.sort(draw.uniform(400, 5200, 5)), draw.uniform(0.15, 1, 5)
    machine = paper.draw_machine(tuple(hz), tuple(gains), _generator(78, rig, *address), looseness=LOOSENESS)
    once = _generator(80, rig, *address)
    motion = paper.turn_shaft(CONDITIONS[0], round(SECONDS * RATE_HZ), RATE_HZ, once)
    path = folder / f"usual-{specimen}.npy"
    np.save(path, paper.record_signal(machine, CONDITIONS[0], motion, once))
    record = read_record(path, sampling_rate_hz=RATE_HZ, rpm=motion.rpm)
    return limits_of([record.with_(details={**record.details, "bearing": NAMEPLATE})])[0]


def rigs(work: Path) -> None:
    """Train on each rig, and ask about specimens that were not trained on."""
    votes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    everything: list[Row] = []
    for rig in range(RIGS):
        raw, prepared_file = work / f"rig{rig}" / "raw", work / f"rig{rig}" / "p.h5"
        if not prepared_file.exists():
            held = [word for name in made(raw, rig) for word in ("--test-on", name)]
            run("prepare", raw, "--split", "specimen", *held, "--out", prepared_file)
        folder = trained(prepared_file, work / f"rig{rig}" / "run", seed=0, epochs=12)
        with open_prepared(prepared_file) as prepared:
            reader = Reader(prepared, raw, (), sampling_rate_hz=RATE_HZ)
            specimen = [str(s) for s in reader.table["specimen"]]
            usual = {s: healthy_record(raw.parent, rig, s) for s in {specimen[r] for r in reader.tested()}}
            rows, _ = asked(reader, folder, baseline=lambda r, usual=usual, names=specimen: usual[names[r]])
            by = [specimen[r] for r in reader.tested()]
        everything += rows
        if rig < COUNTED:
            for name in set(by):
                mine = [r for r, s in zip(rows, by, strict=True) if s == name]
                for band in ("confident", "unsure"):
                    inside = [r.network == r.truth for r in mine if (r.sure >= CONFIDENT) == (band == "confident")]
                    votes[band].append((sum(inside) / len(mine), len(inside) / len(mine)))
        print(f"rig {rig}: {sum(r.network == r.truth for r in rows)} of {len(rows)} right", flush=True)
    for band, found in votes.items():
        right, total = (sum(x) for x in zip(*found, strict=True))
        print(f"{band}: {right:g} of {total:g} specimens, {(right + 0.5) / (total + 1):.3f}")
    tell(f"{RIGS} simulated rigs, specimens that were not trained on", everything)
    wrong(everything)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="scenes, rigs; both where none is named")
    parser.add_argument("--work", type=Path, help="keep the recordings, prepared files and runs here")
    given = parser.parse_args()
    if "scenes" in (given.parts or ["scenes"]):
        scenes()
    if "rigs" in (given.parts or ["rigs"]):
        with tempfile.TemporaryDirectory() as scratch:
            rigs(given.work or Path(scratch))


if __name__ == "__main__":
    main()
