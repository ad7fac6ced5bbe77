"""What the network looked at: where the truth is known it is found, and where there is none nothing is claimed."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import scipy.special
import torch
from helpers import Trained, beyond_a_gateway, diagnosis_schema, faultdx, model_with, validate

from faultdx.answers import Wanted, answer_of
from faultdx.diagnosis import Diagnosis
from faultdx.explanation import (
    BANDS,
    DRAWS,
    SEGMENTS,
    WINDOWS,
    affordable,
    attenuated,
    by_frequency,
    by_time,
    choose,
    explain,
    filled,
    odds_of,
    surrogate,
)
from faultdx.export import network_info, to_onnx_parts
from faultdx.inference import Network
from faultdx.model import Model, load_model
from faultdx.networks.architecture import Architecture, architecture
from faultdx.networks.drsn import Network as TorchNetwork
from faultdx.networks.drsn import build
from faultdx.networks.lifted import Lifted
from faultdx.networks.units import ResidualUnit
from faultdx.records import Item, find_records
from faultdx.report import why, why_pictures
from faultdx.report.html import render
from faultdx.shrinkage import Healthy, Thresholds, fit, from_dict

RATE, SAMPLES = 8192.0, 512
Floats = npt.NDArray[np.float64]
Segments = npt.NDArray[np.float32]
TOY = Architecture("channel-wise", 4, 6, 2, (4, 7), (2, 1), channels=2, classes=3, samples=64)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def noise(count: int, *, seed: int = 0, samples: int = SAMPLES, channels: int = 1) -> Segments:
    return np.random.default_rng(seed).standard_normal((count, channels, samples)).astype(np.float32)


def hump(count: int, centre_hz: float, *, seed: int = 0, gain: float = 4.0) -> Segments:
    """White noise with a resonance at `centre_hz`."""
    b, a = scipy.signal.iirpeak(centre_hz, 20, fs=RATE)
    rng = np.random.default_rng(seed)
    excited = scipy.signal.lfilter(b, a, rng.standard_normal((count, 1, SAMPLES + 400)))[..., 400:]
    return (noise(count, seed=seed + 1) + gain * excited).astype(np.float32)


def bursts(count: int, start: int, *, seed: int = 0) -> Segments:
    """Noise with a decaying ringing that begins at a sample."""
    x = noise(count, seed=seed)
    t = np.arange(60)
    x[:, 0, start : start + 60] += (6 * np.exp(-t / 20) * np.sin(0.9 * t)).astype(np.float32)
    return x


def band_power(low: float, high: float) -> Callable[[Segments], Floats]:
    """Return a witness that is known: log-odds that are the level of one band, dB of the whole, and nothing else."""

    def ask(x: Segments) -> Floats:
        power = np.abs(np.fft.rfft(x.astype(np.float64), axis=-1))[:, 0] ** 2
        f = np.fft.rfftfreq(x.shape[-1], 1 / RATE)
        inside = (f >= low) & (f < high)
        return np.asarray(10 * np.log10(power[:, inside].mean(axis=1) / power.mean(axis=1)))

    return ask


# ---- the witnesses whose truth is known


def test_the_band_that_counts_is_found_and_no_other() -> None:
    found = by_frequency(hump(12, 2500), band_power(2390, 2620), sampling_rate_hz=RATE, rng=np.random.default_rng(1))
    best = found.beyond()[0]
    assert found.edges[best] < 2500 < found.edges[best + 1]
    assert all(abs(found.edges[i] - 2500) < 400 for i in found.beyond())
    assert found.edges[0] == 0 and found.edges[-1] == RATE / 2 and len(found.edges) == BANDS + 1


def test_what_is_dealt_at_random_is_not_found() -> None:
    """The permuted drops of a record whose band is found have that band no more than any other."""
    found = by_frequency(hump(12, 2500), band_power(2390, 2620), sampling_rate_hz=RATE, rng=np.random.default_rng(1))
    assert found.chance is not None
    rng, above = np.random.default_rng(2), 0
    for _ in range(100):
        above += int(rng.permuted(found.each, axis=1).mean(axis=0).max() > found.chance[1])
    assert above <= 12  # 5 are expected


def test_a_witness_that_only_guesses_is_silent() -> None:
    """Its answers have nothing to do with what is taken away: in 1 record of 20 something is beyond chance."""
    alarms = {"frequency": 0, "position": 0, "windows": 0.0}
    for seed in range(40):
        rng = np.random.default_rng([seed, 1])
        x = noise(6, seed=seed, samples=128)
        guess = lambda changed, rng=rng: rng.standard_normal(len(changed))  # noqa: E731
        how: dict[str, Any] = {"sampling_rate_hz": RATE, "rng": np.random.default_rng(seed)}
        alarms["frequency"] += bool(by_frequency(x, guess, **how).beyond())
        moments = by_time(x, guess, starts_s=np.arange(6.0), **how)
        alarms["position"] += bool(moments.position.beyond())
        alarms["windows"] += moments.beyond().any(axis=1).mean()
    assert all(count <= 7 for count in alarms.values()), alarms  # of 40; 2 are expected


def test_the_moment_that_counts_is_found() -> None:
    x = bursts(8, 5 * SAMPLES // WINDOWS)

    def ask(changed: Segments) -> Floats:
        """The peak of the stretch where the burst is, and nothing else."""
        return np.asarray(np.abs(changed[:, 0, 150:230]).max(axis=1), np.float64)

    starts = np.arange(8) * 0.1
    found = by_time(x, ask, sampling_rate_hz=RATE, starts_s=starts, rng=np.random.default_rng(3))
    assert found.position.beyond()[0] == 5
    assert found.beyond()[:, 5].mean() > 0.6 and found.beyond()[:, 8:].mean() < 0.05
    louder = found.louder_db()
    assert louder is not None and louder > 3
    assert found.position.edges[-1] == pytest.approx(SAMPLES / RATE)


class Asked:
    """A network of torch behind what is asked of one: an export takes seconds, and is tested once."""

    temperature = 1.0

    def __init__(self, network: TorchNetwork) -> None:
        self.network = Lifted(network)

    def logits(self, x: Segments) -> Floats:
        with torch.no_grad():
            return self.network(torch.from_numpy(x))[0].numpy().astype(np.float64)

    def shrinkage(self, x: Segments) -> tuple[Floats, Floats] | None:
        with torch.no_grad():
            told = [value.numpy().astype(np.float64) for value in self.network(torch.from_numpy(x))[2:]]
        return (told[0], told[1]) if told else None


def train(dims: Architecture, make: Callable[[int], tuple[Segments, npt.NDArray[np.int64]]], steps: int) -> Asked:
    """Return a network trained on the classes that `make(seed)` draws."""
    network = build(dims, seed=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for step in range(steps):
        x, label = make(step)
        loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(label))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return Asked(network)


def info_of(network: TorchNetwork, addendum: bytes = b"") -> dict[str, Any]:
    dims = network.dims
    info: dict[str, Any] = {
        "classes": [f"class {i}" for i in range(dims.classes)],
        "channels": [f"c{i}" for i in range(dims.channels)],
        "sampling_rate_hz": RATE,
        "segment_samples": dims.samples,
        "temperature": 1.0,
        "network": network_info(network, "toy"),
    }
    return info | ({"shrinkage": {"graph": base64.b64encode(addendum).decode()}} if addendum else {})


def two(one: Segments, other: Segments) -> tuple[Segments, npt.NDArray[np.int64]]:
    return np.concatenate([one, other]), np.repeat([0, 1], [len(one), len(other)])


def explained(network: Any, x: Segments, which: int = 1) -> Any:
    return explain(
        network, x, about=f"class {which}", which=which, sampling_rate_hz=RATE, starts_s=np.arange(len(x)) * 0.1,
        digest="ab" * 32, multiply_adds=1e5, healthy=None,
    )  # fmt: skip


def test_a_network_that_learnt_one_band_is_found_to_look_there() -> None:
    """Two classes that differ in where the resonance is, each as likely to be loud."""
    dims = architecture("drsn-wide", samples=SAMPLES, widths=(16, 16), strides=(2, 2))
    network = train(dims, lambda seed: two(hump(16, 1400, seed=2 * seed), hump(16, 2900, seed=2 * seed + 1)), 40)
    x = hump(16, 2900, seed=999)
    assert (network.logits(x).argmax(axis=1) == 1).mean() > 0.9
    found = explained(network, x)
    best = found.frequency.beyond()[0]
    assert found.frequency.edges[best] - 200 < 2900 < found.frequency.edges[best + 1] + 200
    # and on segments that the attribution has not seen: that band is worth more than any other as wide
    fresh = hump(16, 2900, seed=1999)
    bins = np.linspace(1, SAMPLES // 2 + 1, BANDS + 1).round().astype(np.int64)
    before = odds_of(network.logits(fresh), 1)
    drops = [float((before - odds_of(network.logits(attenuated(fresh, bins, [i])), 1)).mean()) for i in range(BANDS)]
    assert drops[best] > 5 * max(d for i, d in enumerate(drops) if abs(i - best) > 1)
    assert found.thresholds is not None and found.missing == ("no_healthy",)


def test_a_network_that_learnt_one_moment_is_found_to_look_there() -> None:
    """Two classes that differ in when the burst comes: only a network without global pooling can tell."""
    dims = architecture("wdcnn", samples=SAMPLES, widths=(16, 16), strides=(2, 2), hidden=16)
    early, late = 4 * SAMPLES // WINDOWS, 11 * SAMPLES // WINDOWS
    network = train(dims, lambda s: two(bursts(16, early, seed=2 * s), bursts(16, late, seed=2 * s + 1)), 40)
    x = bursts(16, late, seed=998)
    assert (network.logits(x).argmax(axis=1) == 1).mean() > 0.9
    found = explained(network, x)
    assert found.time.position.beyond()[0] in (11, 12)
    assert found.thresholds is None and "no_thresholds" in found.missing


# ---- the parts


def test_log_odds_are_the_logit_of_the_probability_and_stay_finite() -> None:
    z = np.random.default_rng(0).normal(0, 3, (50, 5))
    p = scipy.special.softmax(z / 1.7, axis=1)
    np.testing.assert_allclose(odds_of(z, 2, temperature=1.7), scipy.special.logit(p[:, 2]), rtol=1e-9)
    assert odds_of(np.array([[2000.0, 0.0]]), 0) == pytest.approx(2000)


def test_attenuating_takes_what_stands_out_and_nothing_else() -> None:
    x = hump(10, 2500) + 0.7
    bins = np.linspace(1, SAMPLES // 2 + 1, BANDS + 1).round().astype(np.int64)
    band = int(np.flatnonzero(bins * RATE / SAMPLES <= 2500)[-1])
    before, after = (np.fft.rfft(y.astype(np.float64), axis=-1) for y in (x, attenuated(x, bins, [band])))
    inside = np.zeros(before.shape[-1], bool)
    inside[bins[band] : bins[band + 1]] = True
    np.testing.assert_allclose(after[..., ~inside], before[..., ~inside], atol=1e-3)
    gain = np.abs(after[..., inside]) / np.abs(before[..., inside])
    assert np.ptp(gain, axis=-1).max() < 1e-3 and (gain < 0.7).all()  # one factor, its phases kept
    levels = [(np.abs(before[..., a:b]) ** 2).mean() for a, b in itertools.pairwise(bins)]
    floor = min(levels[band - 3 : band + 4])
    assert (np.abs(after[..., inside]) ** 2).mean() == pytest.approx(floor, rel=0.35)
    for i in range(BANDS):  # nothing is made louder, in no segment
        other = np.abs(np.fft.rfft(attenuated(x, bins, [i]).astype(np.float64), axis=-1))
        assert (other <= np.abs(before) * 1.001 + 1e-3).all()
    quiet = int(np.argmin(levels))
    np.testing.assert_allclose(attenuated(x, bins, [quiet]), x, atol=0.3)  # nothing stands out of it
    np.testing.assert_array_equal(attenuated(np.zeros((2, 1, 64), np.float32), bins[:3] // 8 + 1, [0]), 0)


@pytest.mark.parametrize("samples", [SAMPLES, 511])
def test_the_noise_that_fills_a_window_has_the_spectrum_of_the_segment(samples: int) -> None:
    x = noise(4, samples=samples, channels=2) + 3
    found = surrogate(x, np.random.default_rng(5))
    np.testing.assert_allclose(*(np.abs(np.fft.rfft(y, axis=-1)) for y in (found, x)), rtol=2e-3, atol=0.02)
    assert abs(np.corrcoef(found.ravel() - 3, x.ravel() - 3)[0, 1]) < 0.1
    cross = [np.fft.rfft(y[:, 0]) * np.conj(np.fft.rfft(y[:, 1])) for y in (found, x)]
    np.testing.assert_allclose(cross[0][:, 1:-1], cross[1][:, 1:-1], atol=3)  # what is between the channels stays
    mixed = filled(x, found, 100, 164)
    np.testing.assert_array_equal(mixed[..., :100], x[..., :100])
    np.testing.assert_array_equal(mixed[..., 164:], x[..., 164:])
    np.testing.assert_allclose(mixed[..., 110:154], found[..., 110:154], atol=1e-5)


def test_a_fade_keeps_the_power() -> None:
    x, other = noise(400, samples=128), noise(400, samples=128, seed=1)
    assert np.square(filled(x, other, 32, 96)).mean(axis=0).mean() == pytest.approx(1, rel=0.03)
    np.testing.assert_allclose(np.square(filled(x, other, 32, 96)).mean(axis=(0, 1))[30:44], 1, atol=0.35)


def test_what_is_asked_is_bounded() -> None:
    usual: dict[str, Any] = {"samples": 2048, "channels": 1, "multiply_adds": 1.3e6}
    assert affordable(**usual, available=100) == SEGMENTS
    assert affordable(**usual, available=3) == 3
    assert affordable(**usual | {"multiply_adds": 2e10}, available=100) == 0
    assert affordable(**usual | {"samples": 1 << 20}, available=100) == 0
    few = affordable(**usual | {"multiply_adds": 2e7}, available=100)
    assert 4 <= few < SEGMENTS and few * (BANDS + WINDOWS * DRAWS) * 2e7 <= 1.2e10
    assert list(choose(5, 5)) == [0, 1, 2, 3, 4] and choose(100, 4)[[0, -1]].tolist() == [0, 99]


class Level:
    """A network that goes by the level of the segment, and has no shrinkage units."""

    temperature = 1.0

    def logits(self, x: Segments) -> Floats:
        level = np.square(x.astype(np.float64)).mean(axis=(1, 2))
        return np.stack([-level, level], axis=1)

    def shrinkage(self, x: Segments) -> None:
        return None


def test_with_few_segments_nothing_is_beyond_chance() -> None:
    found = explained(Level(), noise(2, samples=64, channels=2))
    assert found.frequency.chance is None and not found.frequency.beyond() and "too_few" in found.missing
    assert not found.time.position.beyond() and found.segments == 2
    json.dumps(found.to_dict(), allow_nan=False)


# ---- the thresholds


def by_hand(network: TorchNetwork, x: Segments) -> tuple[Floats, Floats]:
    """Walk through the units as the paper has them."""
    alphas, zeroed = [], []
    with torch.no_grad():
        h = network.stem(network.view(torch.from_numpy(x)))
        for unit in network.units:
            assert isinstance(unit, ResidualUnit)
            r = unit.residual(h)
            a, tau = r.abs().mean(dim=2), unit.thresholds(r)[..., 0]
            share = tau / (a.mean(dim=1, keepdim=True) if unit.thresholds.shared else a)
            y = torch.sign(r) * torch.clamp(r.abs() - tau[..., None], min=0)
            alphas.append(share.mean(dim=1).numpy())
            zeroed.append((y == 0).float().mean(dim=(1, 2)).numpy())
            h = unit(h)
    return np.stack(alphas, axis=1), np.stack(zeroed, axis=1)


KINDS = {
    "channel-wise": TOY,
    "channel-shared": replace(TOY, gate="channel-shared"),
    "lifted": replace(TOY, stem_channels=8, widths=(8, 16)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_units_do_is_what_the_paper_has(kind: str) -> None:
    network, x = build(KINDS[kind], seed=3).eval(), noise(5, samples=64, channels=2)
    found = Asked(network).shrinkage(x)
    assert found is not None
    for mine, right in zip(found, by_hand(network, x), strict=True):
        np.testing.assert_allclose(mine, right, atol=2e-4)


def test_the_file_tells_what_the_units_do_and_computes_the_same_without() -> None:
    import onnxruntime

    network, x = build(KINDS["lifted"], seed=3).eval(), noise(5, samples=64, channels=2)
    onnx, addendum = to_onnx_parts(network)
    model = Network.from_parts(onnx, info_of(network, addendum))
    found = model.shrinkage(x)
    assert found is not None and addendum
    for mine, right in zip(found, by_hand(network, x), strict=True):
        np.testing.assert_allclose(mine, right, atol=2e-4)
    whole, plain = (onnxruntime.InferenceSession(data) for data in (onnx + addendum, onnx))
    assert [o.name for o in whole.get_outputs()] == ["logits", "features", "alpha", "zeroed"]
    assert [o.name for o in plain.get_outputs()] == ["logits", "features"]
    asked = {"segments": x}
    for one, other in zip(whole.run(["logits", "features"], asked), plain.run(None, asked), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["resnet", "senet", "convnet", "wdcnn"])
def test_a_network_without_shrinkage_units_has_none_to_tell_of(name: str) -> None:
    network = Lifted(build(architecture(name, samples=1024)))
    assert network.outputs == ("logits", "features") and len(network(torch.zeros(2, 1, 1024))) == 2


def test_a_unit_that_zeroes_more_is_told_to() -> None:
    network = build(TOY, seed=3).eval()
    x, shares = noise(5, samples=64, channels=2), []
    for bias in (-4.0, 4.0):
        for unit in network.units:
            assert isinstance(unit, ResidualUnit)
            torch.nn.init.constant_(unit.thresholds.fc_b.bias, bias)
        with torch.no_grad():
            shares.append(Lifted(network)(torch.from_numpy(x))[2:])
    (low, few), (high, many) = shares
    assert (low < 0.3).all() and (high > 0.7).all() and few.mean() + 0.2 < many.mean()


class Answers:
    """A model whose units do what the level of a segment says."""

    def shrinkage(self, segments: Segments) -> tuple[Floats, Floats]:
        share = np.clip(segments.std(axis=(1, 2)) / 10, 0, 1)[:, None]
        return np.repeat(share, 2, axis=1), np.repeat(share / 2, 2, axis=1)


class Rig:
    """A prepared file of healthy records at the levels 1, 2, ... 6, and of a fault at level 9."""

    classes, healthy, has_noise = ("healthy", "fault"), ("healthy",), False
    record = np.repeat(np.arange(7), 4)
    label = np.where(record == 6, 1, 0)
    noise = np.full(28, -1)

    def rows(self, side: str) -> npt.NDArray[np.int64]:
        return np.flatnonzero((self.record % 3 == 2) if side == "val" else (self.record % 3 != 2))

    def segments(self, rows: npt.NDArray[np.int64]) -> Segments:
        x = noise(28, samples=4096)[rows]
        return (x / x.std(axis=-1, keepdims=True) * (1 + self.record[rows, None, None])).astype(np.float32)


def test_the_range_is_that_of_healthy_records() -> None:
    entry = fit(Answers(), Rig(), noise=(), snr_db=(0, 0), seed=0)  # type: ignore[arg-type]
    assert entry["records"] == {"training": 4, "validation": 2} and entry["different"] == 6 and "noisy" not in entry
    np.testing.assert_allclose(entry["clean"]["alpha"][0], np.quantile(np.arange(1, 7) / 10, 0.05), rtol=1e-3)
    np.testing.assert_allclose(entry["clean"]["alpha"][1], 0.35, rtol=1e-3)
    noisy = fit(Answers(), Rig(), noise=("gaussian",), snr_db=(0, 0), seed=0)  # type: ignore[arg-type]
    np.testing.assert_allclose(noisy["noisy"]["alpha"][1], 0.35 * np.sqrt(2), rtol=0.02)  # as much noise as signal
    held = from_dict({"healthy": json.loads(json.dumps(noisy))})
    assert held is not None and held.units == 2 and held.enough
    fault = Thresholds(np.array([0.9, 0.4]), np.array([0.2, 0.2]), held)
    assert fault.outside() == [0] and fault.outside("zeroed") == []
    few = Healthy(held.bands, held.records, 4)
    assert Thresholds(fault.alpha, fault.zeroed, few).outside() == []


@pytest.mark.parametrize("spoilt", [
    None, 3, {}, {"healthy": 1}, {"healthy": {"records": {}}}, {"healthy": {"why": "no"}},
    {"healthy": {"records": {"training": 1, "validation": 0}, "different": 1, "clean": {"alpha": [[2.0]] * 3}}},
    {"healthy": {"records": {"training": 9, "validation": 9}, "different": 9,
                 "clean": {"alpha": [[0.1], [0.2], [float("nan")]], "zeroed": [[0.1]] * 3}}},
    {"healthy": {"records": {"training": 9, "validation": 9}, "different": 9,
                 "clean": {"alpha": [[0.1, 0.1]] * 3, "zeroed": [[0.1]] * 3}}},
    {"healthy": {"records": {"training": "x", "validation": 9}, "different": 9, "clean": {}}},
])  # fmt: skip
def test_what_is_no_range_is_none(spoilt: object) -> None:
    assert from_dict(spoilt) is None


# ---- in a diagnosis, and on the page


@pytest.fixture(scope="module")
def model(trained: Trained) -> Model:
    return load_model(trained.run)


@pytest.fixture(scope="module")
def item(trained: Trained) -> Item:
    return find_records([str(trained.unseen / "501.mat")])[0]


@pytest.fixture(scope="module")
def found(model: Model, item: Item) -> Diagnosis:
    return model.diagnose_item(item, min_confidence=0)


def test_the_explanation_is_the_same_each_time_and_fits_the_schema(model: Model, found: Diagnosis) -> None:
    one, two_ = (model.explained(found) for _ in range(2))
    assert found.explanation is None and "why" not in found.evidence
    assert one.evidence["why"] == two_.evidence["why"]
    schema = diagnosis_schema()
    validate(one.evidence["why"], schema["properties"]["evidence"]["properties"]["why"], schema)
    units = len(model.info["network"]["architecture"]["widths"])
    assert one.evidence["why"]["about"] == found.verdict
    assert len(one.evidence["why"]["thresholds"]["alpha"]) == units >= 2
    assert one.probabilities == found.probabilities
    pages = {render(d, model_info=dict(model.info)) for d in (one, two_)}
    assert len(pages) == 1 and "What the network looked at" in pages.pop()
    other = model.explained(replace(found, sha256="12" + found.sha256[2:]))
    assert other.evidence["why"]["time"] != one.evidence["why"]["time"]  # what is random is drawn from the digest


def test_only_a_report_pays_for_it(model: Model, found: Diagnosis, item: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    whole = Model.explained
    monkeypatch.setattr(Model, "explained", lambda self, d: asked.append(1) or whole(self, d))  # type: ignore[func-returns-value]
    plain = answer_of(found, item, model, Wanted(json=True))
    assert not asked and plain.json is not None and "why" not in json.loads(plain.json)["evidence"]
    page = answer_of(found, item, model, Wanted(json=True, page=True))
    assert asked and page.json is not None and "why" in json.loads(page.json)["evidence"]
    assert page.page is not None and b"What the network looked at" in page.page


def test_what_was_not_diagnosed_is_not_explained(model: Model, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mat"
    bad.write_bytes(b"no record")
    error = model.diagnose_item(find_records([str(bad)])[0])
    assert model.explained(error) is error


def test_an_old_model_folder_says_what_is_missing(trained: Trained, item: Item, tmp_path: Path) -> None:
    info = json.loads((trained.run / "model" / "model.json").read_text("utf-8"))
    old = model_with(trained.run, tmp_path / "old", shrinkage=None)
    broken = model_with(
        trained.run,
        tmp_path / "broken",
        shrinkage=info["shrinkage"] | {"graph": base64.b64encode(b"\x3a\x05ab").decode()},
    )
    for folder, key, words in (
        (old, "no_thresholds", "written before thresholds were kept"),
        (broken, "thresholds_broken", "does not fit the network"),
    ):
        there = load_model(folder)
        said = there.explained(there.diagnose_item(item, min_confidence=0))
        assert said.explanation is not None and key in said.explanation.missing
        assert said.explanation.frequency is not None  # the attribution needs none of it
        assert words in why.section(said, there.info)
        schema = diagnosis_schema()
        validate(said.evidence["why"], schema["properties"]["evidence"]["properties"]["why"], schema)


def test_the_sentences_say_what_was_found(model: Model, found: Diagnosis) -> None:
    full = model.explained(found)
    assert full.explanation is not None and full.explanation.frequency is not None
    assert full.explanation.thresholds is not None and full.explanation.time is not None
    e = full.explanation
    drop = np.zeros(BANDS)
    drop[3] = 5.0
    one = replace(e, log_odds=2.0, frequency=replace(e.frequency, drop=drop, chance=(-1.0, 1.0)))
    low, high = e.frequency.edges[3:5]
    assert f"{low:.4g} to {high:.4g} Hz" in why.frequency_sentences(one)[0]
    assert "less probable" in why.frequency_sentences(one)[0]
    assert "less probable" not in why.frequency_sentences(replace(one, log_odds=9.0))[0]
    none = replace(e, frequency=replace(e.frequency, drop=0 * drop, chance=(-1.0, 1.0)))
    assert "No band" in why.frequency_sentences(none)[0]
    silent = replace(e, time=replace(e.time, limits=np.full(len(e.time.each), 1e9)))
    assert "No window" in why.time_sentences(silent)[0]
    t = e.thresholds
    assert t.healthy is not None
    units = len(t.alpha)
    out = replace(t, alpha=np.where(np.arange(units) == units - 1, 0.999, t.healthy.bands["clean", "alpha"][1]))
    assert (
        f"1 of {units} units" in why.threshold_sentences(replace(out, healthy=replace(t.healthy, different=9)), {})[0]
    )
    assert "too few" in why.threshold_sentences(replace(out, healthy=replace(t.healthy, different=2)), {})[0]
    senet = {"network": {"name": "senet", "architecture": {"gate": "squeeze-excitation"}}}
    assert "(senet) has no shrinkage units" in why.no_thresholds(replace(e, thresholds=None), senet)
    eight = {"precision": "int8", "network": {"architecture": {"gate": "channel-wise"}}}
    assert "8 bits" in why.no_thresholds(replace(e, thresholds=None), eight)
    for svg in (
        why_pictures.over_frequency(e),
        why_pictures.over_time(e),
        why_pictures.thresholds(t),
        why_pictures.thresholds(replace(t, healthy=None)),
    ):
        assert svg.startswith("<svg") and "var(--line)" in svg + "var(--line)" and len(svg) < 60_000
        assert "id=" not in svg.replace("clip-path", "") or "script" not in svg


@beyond_a_gateway
def test_from_the_command_line(trained: Trained, tmp_path: Path) -> None:
    record = tmp_path / "a.mat"
    shutil.copy(trained.unseen / "501.mat", record)
    asked = ("diagnose", record, "--model", trained.run, "--json")
    plain, full = faultdx(*asked).objects[0], faultdx(*asked, "--report", tmp_path / "r").objects[0]
    assert "why" not in plain["evidence"] and full["evidence"].pop("why")["segments"] >= 1
    for found in (plain, full):
        found.pop("elapsed_s")
    assert plain == full
    page = (tmp_path / "r" / "a.mat.html").read_text("utf-8")
    assert "What the network looked at" in page and "graph" not in page.split("Provenance")[1][:4000]
