"""What the section "What the network looked at" costs, whether it is faithful, and what thresholds tell.

    python benchmarks/why.py speed [--networks drsn-wide drsn-cw]
    python benchmarks/why.py records RUN PREPARED [--side test] [--most 60]

speed: one thread, 58 segments of 2048 samples: the network as it is kept; with the outputs of its shrinkage units in
the same graph and never asked for; and asked for, as a report does. Processor time, median of 41 runs in turn, ms.

records: segments of one side of a prepared file, record by record.
  faithful    the top band is found on every second segment and taken from the others, against another band of equal
              width: any other; one that stands out as well; the one that stands out most
  thresholds  by unit: mean of healthy and of faulty records, and how often a faulty record's is the higher one (the
              area under the ROC curve: 0.5 tells nothing, 0 and 1 tell all); how many units are outside of the range
              of healthy records; and the same healthy records with noise added
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from typing import Any

import numpy as np

from faultdx.dataset import Prepared, open_prepared
from faultdx.explanation import NEIGHBOURS, attenuated, by_frequency, choose, explain, odds_of
from faultdx.inference import Network
from faultdx.shrinkage import from_dict, look
from faultdx.signals.noise import add_noise

RUNS = 41
LEVELS = (20.0, 10.0, 5.0, 0.0, -4.0)


def speed(names: list[str]) -> None:
    """Time the three ways to keep the outputs of the shrinkage units."""
    import torch

    from faultdx.export import to_onnx_parts
    from faultdx.networks.architecture import architecture
    from faultdx.networks.drsn import build
    from faultdx.vetting import session

    torch.set_num_threads(1)
    x = np.random.default_rng(0).standard_normal((58, 1, 2048)).astype(np.float32)
    print("network    graph    open ms  run ms  ratio   the same bytes")
    for name in names:
        plain, addendum = to_onnx_parts(build(architecture(name, samples=2048, classes=10)).eval())
        graphs = {"plain": plain, "one": plain + addendum, "asked": plain + addendum}
        wanted = {k: ["alpha", "zeroed"] if k == "asked" else ["logits", "features"] for k in graphs}
        opened, opening = {}, {}
        for key, data in graphs.items():
            times = []
            for _ in range(5):
                began = time.process_time()
                opened[key] = session(data, 1)
                times.append(time.process_time() - began)
            opening[key] = statistics.median(times)
        runs: dict[str, list[float]] = {key: [] for key in graphs}
        for _ in range(RUNS):
            for key, found in opened.items():
                began = time.process_time()
                found.run(wanted[key], {"segments": x})
                runs[key].append(time.process_time() - began)
        both = [opened[key].run(["logits", "features"], {"segments": x}) for key in ("plain", "one")]
        same = all(np.array_equal(a, b) for a, b in zip(*both, strict=True))
        for key in graphs:
            ratio = statistics.median(a / b for a, b in zip(runs[key], runs["plain"], strict=True))
            print(
                f"{name:10} {key:6} {1e3 * opening[key]:9.1f} {1e3 * statistics.median(runs[key]):7.2f} {ratio:6.2f}"
                f"   {same if key == 'one' else ''}"
            )


def records(run: str, prepared: Prepared, side: str, most: int) -> None:
    """Measure faithfulness and thresholds on the records of one side."""
    network = Network.open(run)
    healthy = from_dict(network.info.get("shrinkage"))
    rows = prepared.rows(side)
    rows = rows[prepared.noise[rows] < 0]
    numbers = np.unique(prepared.record[rows])
    numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(int))]
    well = {i for i, name in enumerate(prepared.classes) if name in prepared.healthy}
    faithful: list[dict[str, float]] = []
    alphas: dict[str, list[Any]] = {"healthy": [], "faulty": []}
    noisy: dict[float, list[Any]] = {level: [] for level in LEVELS}
    outside: dict[str, list[int]] = {"healthy": [], "faulty": []}
    seconds: list[float] = []
    rng = np.random.default_rng(0)
    for number in numbers:
        own = rows[prepared.record[rows] == number]
        segments = prepared.segments(own[choose(len(own), min(32, len(own)))])
        kind = "healthy" if int(prepared.label[own[0]]) in well else "faulty"
        thresholds = look(network, segments, healthy)
        if thresholds is not None:
            alphas[kind].append((thresholds.alpha, thresholds.zeroed))
            outside[kind].append(len(thresholds.outside()))
            for level in LEVELS if kind == "healthy" else ():
                spoilt = np.stack([add_noise(s, kind="gaussian", snr_db=level, rng=rng) for s in segments])
                changed = look(network, spoilt, healthy)
                assert changed is not None
                noisy[level].append((changed.alpha, changed.zeroed))
        began = time.process_time()
        which = int(network.probabilities(segments).mean(axis=0).argmax())
        explain(
            network,
            segments,
            about=network.classes[which],
            which=which,
            sampling_rate_hz=prepared.sampling_rate_hz,
            starts_s=np.arange(len(segments), dtype=float),
            digest="0",
            multiply_adds=1e6,
            healthy=healthy,
        )
        seconds.append(time.process_time() - began)
        faithful.append(_faithful(network, segments, prepared.sampling_rate_hz, rng))
    each = statistics.median(seconds)
    print(f"{len(numbers)} records of the {side} side; explained in {each:.2f} s of processor time each")
    _say_faithful([f for f in faithful if f])
    _say_thresholds(alphas, noisy, outside)


def _faithful(network: Network, segments: Any, rate: float, rng: np.random.Generator) -> dict[str, float]:
    """Return the drops on unused segments, of the top band and of others; {} where no band is beyond chance."""
    found_on, tried_on = segments[::2], segments[1::2]
    which = int(network.probabilities(segments).mean(axis=0).argmax())

    def ask(x: Any) -> Any:
        return odds_of(network.logits(x), which, temperature=network.temperature)

    if len(tried_on) < 4:
        return {}
    found = by_frequency(found_on, ask, sampling_rate_hz=rate, rng=rng)
    if not found.beyond():
        return {"none": 1.0}
    bins = np.round(found.edges * segments.shape[-1] / rate).astype(int)
    bins[0], bins[-1] = 1, segments.shape[-1] // 2 + 1
    bins[1:-1] += 1
    power = np.square(np.abs(np.fft.rfft(found_on, axis=-1))).mean(axis=(0, 1))
    level = np.array([power[a:b].mean() for a, b in itertools.pairwise(bins)])
    above = [level[i] / level[max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1].min() for i in range(len(level))]
    top, before = found.beyond()[0], ask(tried_on)
    others = [i for i in range(len(level)) if i != top]
    out = [i for i in others if above[i] > 2] or others
    chosen = {"top": top, "any": int(rng.choice(others)), "alike": int(rng.choice(out))}
    chosen["most"] = max(others, key=lambda i: above[i])
    after = {name: ask(attenuated(tried_on, bins, [band])) for name, band in chosen.items()}
    drops = {name: float((before - odds).mean()) for name, odds in after.items()}
    return drops | {f"{name} turns": float(odds.mean() < 0 <= before.mean()) for name, odds in after.items()}


def _say_faithful(found: list[dict[str, float]]) -> None:
    with_band = [f for f in found if "top" in f]
    print(
        f"a band beyond chance in {len(with_band)} of {len(found)} records; on the segments that were not used for it:"
    )
    print("  band taken          median drop   top drops more in   the verdict turns in")
    for name in ("top", "any", "alike", "most"):
        more = f"{100 * np.mean([f['top'] > f[name] for f in with_band]):.0f} %" if name != "top" else "-"
        turns = np.mean([f[f"{name} turns"] for f in with_band])
        print(f"  {name:18} {np.median([f[name] for f in with_band]):12.2f} {more:>19} {100 * turns:19.0f} %")


def _say_thresholds(alphas: dict[str, list[Any]], noisy: dict[float, list[Any]], outside: dict[str, list[int]]) -> None:
    if not alphas["healthy"] or not alphas["faulty"]:
        print("no thresholds, or only one kind of record")
        return
    for i, name in enumerate(("alpha", "zeroed")):
        table = {kind: np.array([found[i] for found in rows]) for kind, rows in alphas.items()}
        above = table["faulty"][:, None] > table["healthy"][None]
        print(f"{name}, by unit ({len(table['healthy'])} healthy records, {len(table['faulty'])} faulty)")
        for label, row in (
            ("healthy", table["healthy"].mean(axis=0)),
            ("faulty", table["faulty"].mean(axis=0)),
            ("AUC", above.mean(axis=(0, 1))),
            *((f"healthy, {level:+.0f} dB", np.mean([f[i] for f in rows], axis=0)) for level, rows in noisy.items()),
        ):
            print(f"  {label:16}", " ".join(f"{v:6.3f}" for v in row))
    for kind, counts in outside.items():
        print(f"units outside the range of healthy records, {kind}: {np.mean(counts):.2f} of {len(alphas[kind][0][0])}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    timing = commands.add_parser("speed")
    timing.add_argument("--networks", nargs="+", default=["drsn-wide", "drsn-cw", "drsn-cs"])
    asked = commands.add_parser("records")
    asked.add_argument("run")
    asked.add_argument("prepared")
    asked.add_argument("--side", default="test", choices=("train", "val", "test"))
    asked.add_argument("--most", type=int, default=60)
    given = parser.parse_args()
    if given.command == "speed":
        speed(given.networks)
        return
    with open_prepared(given.prepared) as prepared:
        records(given.run, prepared, given.side, given.most)


if __name__ == "__main__":
    main()
