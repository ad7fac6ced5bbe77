"""What a training is fed, how it learns, how it stops and goes on, and the run folder it leaves."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import scipy.stats
import torch
from torch import Tensor

from faultdx import runs, training
from faultdx.batches import Sampler, Validation, draw
from faultdx.config import RECIPES, UNSAID, PrepareConfig, TrainConfig, load
from faultdx.dataset import Prepared, open_prepared
from faultdx.errors import ConfigError, DatasetError, FaultdxError, ModelError, OutputError
from faultdx.evaluation import evaluate_side, with_noise
from faultdx.networks import architecture
from faultdx.networks.architecture import Architecture
from faultdx.preparation import prepare
from faultdx.records.source import Declared, Item
from faultdx.signals.noise import KINDS
from faultdx.training import Trainer, learning_rate

RATE_HZ = 12_800.0
LENGTH = 64
CPU = torch.device("cpu")
TOY = Architecture("channel-wise", 8, 9, 2, (8, 12), (2, 1))
Signals = Sequence[tuple[str, npt.NDArray[np.floating[Any]]]]

PAPER = TrainConfig(**{**RECIPES["paper"], "network": "toy", "epochs": 3, "batch": 32})
DEFAULT = TrainConfig(network="toy", epochs=3, batch=32, epoch_steps=5)
FRESH = replace(DEFAULT, stretch=0.0, equalizer=0.0, snr_focus=1.0)  # tests/test_recipe.py has these
QUICK = TrainConfig(network="toy", epochs=3, batch=32, epoch_steps=30, snr=(0.0, 20.0), average=0.9, threads=1)


@pytest.fixture(autouse=True, scope="module")
def small_and_single() -> Iterator[None]:
    """A network that is small enough to export quickly, and one thread: several wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architecture.NETWORKS, "toy", TOY)
        yield
    torch.set_num_threads(threads)


def write_prepared(folder: Path, signals: Signals, **changes: Any) -> Path:
    """Prepare signals, shape (samples,) or (samples, channels), each with its label."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for i, (label, signal) in enumerate(signals):
        np.save(folder / f"{i}.npy", signal.astype(np.float32))
        items.append(Item(str(folder / f"{i}.npy"), flags=Declared(sampling_rate_hz=RATE_HZ, label=label)))
    config = replace(PrepareConfig(segment=LENGTH, split="time"), **changes)
    prepare(items, folder / "prepared.h5", config=config)
    return folder / "prepared.h5"


def coded(record: int, samples: int) -> npt.NDArray[np.float64]:
    """Values whose size says where they come from: record * 4096 + position; the sign alternates."""
    position = np.arange(samples)
    return (record * 4096 + position + 1.0) * (-1.0) ** position


def decode(values: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the record and the position that each value comes from."""
    return np.divmod(np.rint(np.abs(values)).astype(np.int64) - 1, 4096)


def origins(values: npt.NDArray[np.floating[Any]]) -> set[tuple[int, int]]:
    record, position = decode(values)
    return set(zip(record.ravel().tolist(), position.ravel().tolist(), strict=True))


def toy_signals(samples: int = 6_000, records: int = 2) -> Signals:
    """Three classes that differ in the tone beneath their noise."""
    rng, t = np.random.default_rng(0), np.arange(samples) / RATE_HZ
    tones = {"normal": 700.0, "inner": 1900.0, "outer": 4100.0}
    return [
        (
            label,
            np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) * rng.uniform(0.5, 2) + 0.3 * rng.standard_normal(samples),
        )
        for label, f in tones.items()
        for _ in range(records)
    ]


@pytest.fixture(scope="module")
def coded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    signals = [("normal", coded(0, 1200)), ("inner", coded(1, 1200)), ("inner", coded(2, 4000))]
    return write_prepared(tmp_path_factory.mktemp("coded"), signals)


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("toy"), toy_signals())


@pytest.fixture(scope="module")
def noisy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("noisy"), toy_signals(1500), noise=("pink",), snr_db=(-5.0, 0.0))


def batches(sampler: Sampler, count: int, *, steps: int = 10) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    pairs = [sampler.batch(step, steps) for step in range(count)]
    return torch.cat([x for x, _ in pairs]).numpy(), torch.cat([y for _, y in pairs]).numpy()


def same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(v, two[k]) for k, v in one.items())


# -------------------------------------------------------------------------------------------------- what is drawn


def check_crops(prepared: Prepared, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Assert that every crop is one unbroken piece of training signal of its label; return the crops' starts."""
    held_out = np.sort(np.concatenate([prepared.rows("val"), prepared.rows("test")]))
    record, position = decode(x)
    assert (np.diff(position, axis=2) == 1).all() and (np.diff(record, axis=2) == 0).all()
    assert origins(x) <= origins(prepared.segments(prepared.rows("train")))
    assert not origins(x) & origins(prepared.segments(held_out))
    label_of = {int(r): int(k) for r, k in zip(prepared.record, prepared.label, strict=True)}
    assert [label_of[r] for r in record[:, 0, 0].tolist()] == y.tolist()
    return position[:, 0, 0]


def test_crops_stay_inside_the_training_part_and_begin_anywhere(coded_file: Path) -> None:
    with open_prepared(coded_file) as prepared:
        sampler = Sampler(prepared, replace(FRESH, noise=()), CPU)
        x, y = batches(sampler, 50)
        starts = check_crops(prepared, x, y)
    assert x.shape == (1600, 1, LENGTH) and x.dtype == np.float32
    assert len(set((starts % LENGTH).tolist())) == LENGTH  # off the grid of the segments too
    assert starts.min() < 10  # the first and the last place of a stretch are reached
    sizes = [s.signal.shape[1] for s in _stretches(coded_file)]
    assert starts.max() > max(sizes) - LENGTH - 40


def _stretches(path: Path) -> list[Any]:
    with open_prepared(path) as prepared:
        return prepared.stretches("train")


def test_crops_do_not_jump_over_what_is_held_out(tmp_path: Path) -> None:
    # A random split leaves holes in the training signal; a crop must not bridge one.
    signals = [("normal", coded(0, 4000)), ("inner", coded(1, 4000))]
    path = write_prepared(tmp_path, signals, split="random", allow_leakage=True)
    with open_prepared(path) as prepared:
        assert len(prepared.stretches("train")) > 10
        check_crops(prepared, *batches(Sampler(prepared, replace(FRESH, noise=()), CPU), 100))


def test_overlapping_segments_are_glued_back_into_the_signal(tmp_path: Path) -> None:
    path = write_prepared(tmp_path, [("normal", coded(0, 1000)), ("inner", coded(1, 1000))], hop=10)
    with open_prepared(path) as prepared:
        stretches = prepared.stretches("train")
        assert len(stretches) == 2
        for record, stretch in enumerate(stretches):
            assert np.array_equal(stretch.signal[0], coded(record, stretch.signal.shape[1]))
        check_crops(prepared, *batches(Sampler(prepared, replace(FRESH, noise=()), CPU), 50))


def test_channels_of_a_crop_belong_together(tmp_path: Path) -> None:
    two = [(n, np.stack([coded(2 * i, 900), coded(2 * i + 1, 900)], axis=1)) for i, n in enumerate(("normal", "inner"))]
    with open_prepared(write_prepared(tmp_path, two)) as prepared:
        x, y = batches(Sampler(prepared, replace(FRESH, noise=()), CPU), 30)
    record, position = decode(x)
    assert (record[:, 1] == record[:, 0] + 1).all() and (position[:, 1] == position[:, 0]).all()
    labels = prepared.label[np.searchsorted(prepared.record, record[:, 0, 0] // 2)]
    assert np.array_equal(labels, y)


def test_classes_are_drawn_equally_often_or_by_their_length(coded_file: Path) -> None:
    with open_prepared(coded_file) as prepared:
        share = {}
        for balance in (True, False):
            config = replace(FRESH, noise=(), batch=256, balance=balance)
            _, y = batches(Sampler(prepared, config, CPU), 20)
            share[balance] = float(np.mean(y == prepared.classes.index("normal")))
        room = [s.signal.shape[1] - LENGTH + 1 for s in prepared.stretches("train")]
    # 5120 draws: a standard deviation of 0.7 %
    assert share[True] == pytest.approx(0.5, abs=0.03)
    assert share[False] == pytest.approx(room[0] / sum(room), abs=0.03)


def test_without_crops_an_epoch_is_each_training_segment_once(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        trainer = Trainer(prepared, PAPER)
        rows = prepared.segments(prepared.rows("train"))
    sampler, steps = trainer.sampler, trainer.steps_per_epoch
    assert steps == -(-len(rows) // PAPER.batch)
    orders = []
    for epoch in range(2):
        x = torch.cat([sampler.batch(epoch * steps + i, steps)[0] for i in range(steps)]).numpy()
        assert x.shape == rows.shape
        assert np.array_equal(np.sort(x[:, 0, 0]), np.sort(rows[:, 0, 0]))
        orders.append(x[:, 0, 0])
    assert not np.array_equal(orders[0], orders[1])


def test_batches_depend_on_seed_and_step_alone(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        for config in (DEFAULT, FRESH, PAPER):
            one, two = Sampler(prepared, config, CPU), Sampler(prepared, config, CPU)
            other = Sampler(prepared, replace(config, seed=1), CPU)
            for step in (3, 0, 14):  # whatever was drawn before, and whatever torch's global generator says
                torch.manual_seed(step)
                x, y = one.batch(step, 5)
                again, labels = two.batch(step, 5)
                assert torch.equal(x, again) and torch.equal(y, labels)
                assert not torch.equal(x, one.batch(step + 1, 5)[0])
                assert not torch.equal(x, other.batch(step, 5)[0])


def test_polarity_turns_whole_segments_half_of_the_time(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        config = replace(FRESH, noise=(), batch=512)
        turned = Sampler(prepared, config, CPU).batch(0, 1)[0].numpy()
        plain = Sampler(prepared, replace(config, polarity=False), CPU).batch(0, 1)[0].numpy()
    sign = np.where(np.sum(turned * plain, axis=(1, 2)) > 0, 1, -1)
    assert np.array_equal(turned, plain * sign[:, None, None])
    assert np.mean(sign > 0) == pytest.approx(0.5, abs=0.1)


def test_a_file_without_training_segments_is_refused(coded_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_prepared(coded_file) as prepared:
        prepared.side[:] = 2
        for config in (FRESH, PAPER):
            with pytest.raises(DatasetError, match="no training segments"):
                Sampler(prepared, config, CPU)


# ---------------------------------------------------------------------------------------------------------- noise


def power_db(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Power about the mean: an offset is no vibration."""
    return np.asarray(10 * np.log10(np.var(x, axis=-1, dtype=np.float64)))


def noise_of(sampler: Sampler, x: Tensor) -> npt.NDArray[np.float64]:
    noisy = sampler.noisy(x, torch.Generator().manual_seed(1))
    return (noisy.double() - x.double()).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_the_snr_asked_for_in_each_segment_and_channel(toy_file: Path, kind: str) -> None:
    x = torch.randn(200, 2, LENGTH, generator=torch.Generator().manual_seed(0))
    x *= torch.logspace(-3, 3, 200).view(-1, 1, 1)
    x[:, 1] += 5.0
    with open_prepared(toy_file) as prepared:
        for low, high in ((-7.0, -7.0), (12.0, 12.0), (-10.0, 10.0)):
            config = replace(FRESH, noise=(kind,), snr=(low, high), clean_share=0.0)
            noise = noise_of(Sampler(prepared, config, CPU), x)
            assert np.abs(noise.mean(axis=-1)).max() < 1e-3 * noise.std(axis=-1).max()
            snr = power_db(x.numpy()) - power_db(noise)
            assert snr.min() > low - 1e-3 and snr.max() < high + 1e-3
            assert np.allclose(snr[:, 0], snr[:, 1], atol=1e-3)
            assert np.ptp(snr) > 0.9 * (high - low)  # uniform over the range
            assert abs(snr[:, 0].mean() - (low + high) / 2) < 0.1 * (high - low) + 1e-3


def test_share_of_clean_segments_and_mixture_of_kinds(toy_file: Path) -> None:
    x = torch.randn(2000, 1, LENGTH, generator=torch.Generator().manual_seed(0))
    with open_prepared(toy_file) as prepared:
        for share in (0.0, 0.25, 1.0):
            noise = noise_of(Sampler(prepared, replace(FRESH, clean_share=share), CPU), x)
            assert np.mean(~noise.any(axis=(1, 2))) == pytest.approx(share, abs=0.04)


def test_silent_segments_stay_silent_and_nan_stays_where_it_is(toy_file: Path) -> None:
    x = torch.randn(6, 1, LENGTH, generator=torch.Generator().manual_seed(0))
    x[1], x[3, 0, 5] = 0.0, float("nan")
    with open_prepared(toy_file) as prepared:
        noisy = Sampler(prepared, FRESH, CPU).noisy(x, torch.Generator().manual_seed(1))
    assert not noisy[1].any()
    assert noisy[[0, 1, 2, 4, 5]].isfinite().all()


@pytest.mark.parametrize(("kind", "slope_db", "kurtosis"), [("gaussian", 0, 3), ("laplacian", 0, 6), ("pink", -10, 3)])
def test_noise_has_the_spectrum_and_the_kurtosis_of_its_kind(kind: str, slope_db: float, kurtosis: float) -> None:
    n = 4096
    gain = torch.from_numpy(training_gain(n))
    x = draw((150, 1, n), kind, torch.Generator().manual_seed(3), gain).double().numpy()[:, 0]
    f, p = scipy.signal.periodogram(x, detrend=False)
    used = slice(4, n // 2 - 4)
    slope = np.polyfit(np.log10(f[used]), 10 * np.log10(p.mean(axis=0)[used]), 1)[0]
    assert slope == pytest.approx(slope_db, abs=0.3)
    pooled = x / np.sqrt(np.mean(np.square(x), axis=1, keepdims=True))
    assert scipy.stats.kurtosis(pooled.ravel(), fisher=False) == pytest.approx(kurtosis, abs=0.3)
    named = {"gaussian": scipy.stats.norm(), "laplacian": scipy.stats.laplace(scale=math.sqrt(0.5))}
    if kind in named:
        assert scipy.stats.kstest(pooled.ravel()[::30], named[kind].cdf).pvalue > 1e-3


def training_gain(samples: int) -> npt.NDArray[np.float32]:
    """1 / sqrt(k) for bin k and nothing at 0: 1/f in power."""
    k = np.arange(samples // 2 + 1)
    return np.where(k > 0, 1 / np.sqrt(np.maximum(k, 1)), 0).astype(np.float32)


def test_unknown_noise_is_refused() -> None:
    with pytest.raises(ConfigError, match="brown"):
        draw((1, 8), "brown", torch.Generator(), torch.ones(5))


def test_validation_is_each_segment_as_prepared_and_once_with_each_noise(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        rows = prepared.rows("val")
        clean = prepared.segments(rows)
        config = replace(FRESH, snr=(-4.0, 8.0))
        one, two = Validation(prepared, config), Validation(prepared, config)
        n = len(rows)
        assert np.array_equal(one.x, two.x)
        assert np.array_equal(one.x[:n], clean) and len(one.x) == n * (1 + len(KINDS))
        snr = power_db(clean) - power_db(one.x[n:].reshape(3, n, 1, LENGTH) - clean)
        assert np.abs(snr[..., None] - np.linspace(-4, 8, 5)).min(axis=-1).max() < 1e-3
        assert np.array_equal(one.label, np.tile(prepared.label[rows], 4))
        # A noisy copy never pools its vote with the clean record, or with a copy of another kind.
        owner = one.record.reshape(4, n)
        assert len(np.unique(owner)) == 4 * len(np.unique(prepared.record[rows]))
        assert (owner % (prepared.record.max() + 1) == prepared.record[rows]).all()


# ----------------------------------------------------------------------------------------- rates, decay, averaging


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 225])
def test_learning_rate_of_the_paper_is_its_three_levels(steps_per_epoch: int) -> None:
    config, total = TrainConfig(**RECIPES["paper"]), 100 * steps_per_epoch
    rates = [learning_rate(config, step, total) for step in range(total)]
    expected = np.repeat([0.1, 0.01, 0.001], [40 * steps_per_epoch, 40 * steps_per_epoch, 20 * steps_per_epoch])
    assert np.allclose(rates, expected, rtol=1e-12)


def test_one_cycle_rises_to_the_rate_and_falls_without_a_jump() -> None:
    config, total = TrainConfig(learning_rate=0.004), 2000
    rates = np.array([learning_rate(config, step, total) for step in range(total)])
    peak = int(rates.argmax())
    assert peak == 300 and rates[peak] == pytest.approx(0.004)
    assert (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
    assert np.abs(np.diff(rates)).max() < 0.004 / 200
    assert 0 < rates[-1] < 0.004 / 500


@pytest.mark.parametrize("config", [PAPER, FRESH], ids=["paper", "default"])
def test_only_weights_of_convolutions_and_linear_layers_decay(toy_file: Path, config: TrainConfig) -> None:
    config = replace(config, learning_rate=0.1, weight_decay=0.1)
    with open_prepared(toy_file) as prepared:
        state = Trainer(prepared, config).state
    torch.nn.init.ones_(state.network.fc.bias)
    before = {k: v.detach().clone() for k, v in state.network.named_parameters()}
    for p in state.network.parameters():
        p.grad = torch.zeros_like(p)
    state.optimizer.step()
    owned = [p for group in state.optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in owned} == {id(p) for p in state.network.parameters()} and len(owned) == len(before)
    for name, p in state.network.named_parameters():
        # lambda in the gradient, so lambda * rate off the weight: 1 % here. Zero gradients move nothing else.
        factor = 0.99 if p.dim() > 1 else 1.0
        assert torch.allclose(p.detach(), factor * before[name], rtol=1e-6, atol=0), name
        assert (p.dim() > 1) == (name.endswith("weight") and "bn" not in name)


def test_recipe_of_the_paper_is_sgd_with_momentum(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        state = Trainer(prepared, PAPER).state
    assert isinstance(state.optimizer, torch.optim.SGD)
    assert all(g["momentum"] == 0.9 and not g["nesterov"] for g in state.optimizer.param_groups)
    paper = TrainConfig(**RECIPES["paper"])
    assert (paper.epochs, paper.batch, paper.weight_decay, paper.average) == (100, 128, 1e-4, 0.0)


def test_without_averaging_the_average_is_the_network(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        trainer = Trainer(prepared, PAPER)
        trainer.run()
        assert same(trainer.state.average.state_dict(), trainer.state.network.state_dict())
        averaged = Trainer(prepared, FRESH)
        averaged.run()
        assert not same(averaged.state.average.state_dict(), averaged.state.network.state_dict())


# ------------------------------------------------------------------------------------------- stopping and going on


def stop_after(steps: int) -> Callable[[], bool]:
    left = [steps]

    def stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    return stop


def keep(trainer: Trainer, saved: list[bytes]) -> None:
    saved.append(trainer.checkpoint())


def rows_of(trainer: Trainer) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.state.rows]


@pytest.mark.parametrize("config", [PAPER, DEFAULT], ids=["paper", "default"])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(toy_file: Path, config: TrainConfig) -> None:
    with open_prepared(toy_file) as prepared:
        whole = Trainer(prepared, config)
        assert whole.run()
        per_epoch = whole.steps_per_epoch
        for pieces in ([1], [per_epoch + 2], [2 * per_epoch], [per_epoch - 1, 3, 1]):
            trainer = Trainer(prepared, config)
            for steps in pieces:
                saved: list[bytes] = []
                assert not trainer.run(stop=stop_after(steps), save=partial(keep, trainer, saved))
                torch.manual_seed(steps)  # torch's global generator has no say
                trainer = Trainer(prepared, replace(config))
                trainer.restore(saved[-1])
            assert trainer.state.step == sum(pieces)
            assert trainer.run()
            one, two = whole.state, trainer.state
            assert same(one.network.state_dict(), two.network.state_dict())
            assert same(one.average.state_dict(), two.average.state_dict())
            assert same(one.best, two.best)
            assert (one.best_epoch, one.best_loss) == (two.best_epoch, two.best_loss)
            assert rows_of(whole) == rows_of(trainer)


def test_a_finished_run_restored_has_nothing_left_to_do(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        done = Trainer(prepared, FRESH)
        done.run()
        again = Trainer(prepared, FRESH)
        again.restore(done.checkpoint())
        assert again.run() and len(again.state.rows) == FRESH.epochs
        assert same(again.finish().state_dict(), done.finish().state_dict())


def test_damaged_and_foreign_checkpoints_are_refused(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        trainer = Trainer(prepared, FRESH)
        trainer.run(stop=stop_after(3))
        good = trainer.checkpoint()
        other = Trainer(prepared, replace(FRESH, network="drsn-cs"))
        bad = [b"", b"junk" * 50, good[: len(good) // 2], good[:-1], other.checkpoint()]
        for blob in bad:
            with pytest.raises(ModelError, match=r"last\.pt does not fit"):
                Trainer(prepared, FRESH).restore(blob)


# -------------------------------------------------------------------------------------------- which epoch is kept


def test_the_epoch_of_the_lowest_validation_loss_is_kept(toy_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.9, 0.2, 0.5, 0.3])
    # A high accuracy must not outweigh the loss.
    accuracies = iter([0.1, 0.5, 0.99, 0.7])
    monkeypatch.setattr(training, "measure", lambda *_: {"val_loss": next(losses), "val_accuracy": next(accuracies)})
    kept: dict[int, dict[str, Tensor]] = {}
    with open_prepared(toy_file) as prepared:
        trainer = Trainer(prepared, replace(FRESH, epochs=4))

        def progress(_step: int, _total: int, row: dict[str, Any] | None) -> None:
            if row:
                kept[row["epoch"]] = {k: v.clone() for k, v in trainer.state.average.state_dict().items()}

        trainer.run(progress=progress)
    assert trainer.state.best_epoch == 2 and trainer.state.best_loss == 0.2
    network = trainer.finish()
    assert same(network.state_dict(), kept[2]) and not same(kept[2], kept[4])
    assert not network.training


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    path = write_prepared(tmp_path, toy_signals(1500), fractions=(0.8, 0.0, 0.2))
    with open_prepared(path) as prepared:
        trainer = Trainer(prepared, FRESH)
        trainer.run()
    assert trainer.state.best_epoch == FRESH.epochs
    assert same(trainer.finish().state_dict(), trainer.state.average.state_dict())
    assert all("val_loss" not in row for row in trainer.state.rows)


def test_measure_counts_every_validation_segment_once(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        trainer = Trainer(prepared, FRESH)
        trainer.run()
        v = trainer.validation
    z = training.logits(trainer.state.average, v.x, CPU)
    nll = torch.nn.functional.cross_entropy(torch.from_numpy(z), torch.from_numpy(v.label)).item()
    assert trainer.state.rows[-1]["val_loss"] == pytest.approx(nll, rel=1e-9)
    assert trainer.state.rows[-1]["val_accuracy"] == pytest.approx(np.mean(z.argmax(axis=1) == v.label))


@pytest.mark.parametrize("epochs", [1, 3])
def test_divergence_is_an_error_that_names_the_cure(tmp_path: Path, epochs: int) -> None:
    signals = [(label, 1e18 * x) for label, x in toy_signals(1500)]
    path = write_prepared(tmp_path, signals)
    config = replace(PAPER, epochs=epochs, learning_rate=100.0)
    with open_prepared(path) as prepared, pytest.raises(ModelError, match="learning_rate"):
        trainer = Trainer(prepared, config)
        trainer.run()
        trainer.finish()


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there_is_refused(toy_file: Path, device: str) -> None:
    with open_prepared(toy_file) as prepared, pytest.raises(ConfigError, match="device"):
        Trainer(prepared, replace(FRESH, device=device))


# ------------------------------------------------------------------------------------- a file that has its noise


def test_a_prepared_file_with_noise_is_trained_as_it_is(noisy_file: Path) -> None:
    with open_prepared(noisy_file) as prepared:
        assert prepared.has_noise
        trainer = Trainer(prepared, replace(FRESH, polarity=False))
        assert trainer.config.noise == () and not trainer.config.crops
        rows = {r.tobytes() for r in prepared.segments(prepared.rows("train"))}
        x, _ = batches(trainer.sampler, 40)
        assert {r.tobytes() for r in x} <= rows
        assert np.array_equal(trainer.validation.x, prepared.segments(prepared.rows("val")))


def test_noise_kinds_named_for_a_file_that_holds_its_own_are_refused(noisy_file: Path, toy_file: Path) -> None:
    with open_prepared(noisy_file) as prepared:
        for noise in (("pink",), ("gaussian", "pink")):
            with pytest.raises(ConfigError, match=r"noise = .*pink: .*holds noise already.*--noise none") as caught:
                Trainer(prepared, replace(FRESH, noise=noise))
            assert str(noisy_file) in str(caught.value)
        one, other = (Trainer(prepared, replace(DEFAULT, noise=noise, crops=False)).config for noise in (KINDS, ()))
        assert one == other and one.noise == () and one.stretch == one.equalizer == 0.0
    with open_prepared(toy_file) as prepared:  # where there is none, they are drawn
        assert Trainer(prepared, replace(FRESH, noise=("pink",))).config.noise == ("pink",)


def test_each_kind_and_snr_in_a_file_is_a_condition_of_its_own(noisy_file: Path) -> None:
    with open_prepared(noisy_file) as prepared:
        scores = evaluate_side(Oracle(prepared), prepared, side="test", noise=KINDS, snr_db=(7.0,))
        assert list(scores) == ["pink -5 dB", "pink 0 dB"]  # and nothing is added to it
        n = len(prepared.rows("test"))
        assert all((s["segments"], s["records"]) == (n // 2, 6) for s in scores.values())
        assert all(s["segment_accuracy"] == s["record_accuracy"] == 1.0 for s in scores.values())
        scores = evaluate_side(Oracle(prepared, wrong=prepared.snr_db < -1), prepared, side="test")
        found = {name: (s["segment_accuracy"], s["record_accuracy"]) for name, s in scores.items()}
        assert found == {"pink -5 dB": (0.0, 0.0), "pink 0 dB": (1.0, 1.0)}


def test_a_copy_with_other_noise_votes_as_a_record_of_its_own(
    noisy_file: Path, toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_prepared(noisy_file) as prepared:
        ((_, low, at_low), (_, high, at_high)) = prepared.noise_copies()
        assert (low, high) == (-5.0, 0.0) and np.array_equal(at_low, ~at_high)
        rows = prepared.rows("val")
        votes = prepared.votes(rows)
        assert len(np.unique(votes)) == 12 and not set(votes[at_low[rows]]) & set(votes[at_high[rows]])
        assert np.array_equal(votes % 6, prepared.record[rows])
        trainer = Trainer(prepared, FRESH)
        assert np.array_equal(trainer.validation.record, votes)
        oracle = Oracle(prepared, wrong=at_low)
        monkeypatch.setattr(training, "logits", lambda _net, x, *_: np.log(oracle.probabilities(x) + 1e-9))
        row = training.measure(trainer.state.average, trainer.validation, CPU)
        # six records right and six wrong; pooled together each pair would be right or wrong as one
        assert row["val_record_accuracy"] == row["val_accuracy"] == 0.5
    with open_prepared(toy_file) as prepared:
        rows = prepared.rows("val")
        assert prepared.noise_copies() == [] and np.array_equal(prepared.votes(rows), prepared.record[rows])


class Oracle:
    """Knows the segments of a file by heart, and gives a uniform answer for anything else; lies where it is `wrong`."""

    def __init__(self, prepared: Prepared, wrong: npt.ArrayLike = False) -> None:
        rows = np.arange(len(prepared.label))
        label = (prepared.label + np.asarray(wrong)) % len(prepared.classes)
        self.known = {x.tobytes(): k for x, k in zip(prepared.segments(rows), label, strict=True)}
        self.classes = len(prepared.classes)

    def probabilities(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        out = np.full((len(segments), self.classes), 1.0 / self.classes)
        for row, x in zip(out, segments, strict=True):
            if x.tobytes() in self.known:
                row[:] = np.eye(self.classes)[self.known[x.tobytes()]]
        return out


def test_evaluation_scores_each_side_as_recorded_and_under_each_noise(toy_file: Path) -> None:
    with open_prepared(toy_file) as prepared:
        scores = evaluate_side(Oracle(prepared), prepared, side="test", noise=("pink",), snr_db=(-4.0, 0.0))
        assert set(scores) == {"clean", "pink -4 dB", "pink 0 dB"}
        n = len(prepared.rows("test"))
        assert all(s["segments"] == n and s["records"] == 6 for s in scores.values())
        assert scores["clean"]["segment_accuracy"] == scores["clean"]["record_accuracy"] == 1.0
        # With noise the oracle knows nothing and says class 0: the noise did reach the segments.
        assert scores["pink 0 dB"]["segment_accuracy"] == pytest.approx(1 / 3, abs=0.01)
        assert scores["pink 0 dB"]["recall"] == {c: float(i == 0) for i, c in enumerate(prepared.classes)}
        prepared.side[:] = 0
        assert evaluate_side(Oracle(prepared), prepared, side="test") == {}


def test_noise_of_an_evaluation_does_not_depend_on_the_order() -> None:
    x = np.random.default_rng(0).standard_normal((6, 2, LENGTH)).astype(np.float32)
    record, start = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 64, 0, 64, 0, 64])

    def noisy(rows: npt.NDArray[np.int64], seed: int = 0) -> npt.NDArray[np.float32]:
        return with_noise(x[rows], kind="pink", snr_db=-3.0, seed=seed, record=record[rows], start=start[rows])

    everything, order = noisy(np.arange(6)), np.array([4, 1, 5])
    assert np.array_equal(noisy(order), everything[order])
    assert not np.array_equal(noisy(order, seed=1), everything[order])
    assert np.abs(power_db(x) - power_db(everything - x) + 3.0).max() < 1e-3


# ------------------------------------------------------------------------------------------------- the run folder


def card(info: Mapping[str, Any]) -> str:
    return f"# {info['name']}\n"


def curves(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return f"{len(rows)} epochs".encode()


def run(dataset: Path, out: Path, config: TrainConfig = QUICK, **options: Any) -> runs.Finished:
    return runs.train(dataset, out, config=config, card=card, curves=curves, **options)


def metrics(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def finished(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> runs.Finished:
    return run(toy_file, tmp_path_factory.mktemp("whole") / "run", argv=["faultdx", "train", "a\x1bb"])


def test_a_toy_problem_is_learned(finished: runs.Finished) -> None:
    for side in ("val", "test"):
        clean = finished.scores[side]["clean"]
        assert clean["segment_accuracy"] > 0.95 and clean["macro_f1"] > 0.95
        assert clean["record_accuracy"] == 1.0


def test_the_run_folder_holds_what_it_promises(finished: runs.Finished, toy_file: Path) -> None:
    folder = Path(finished.out)
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files == {
        "config.toml", "run.json", "metrics.jsonl", "curves.png", "last.pt",
        "model/model.onnx", "model/model.json", "model/model.safetensors", "model/MODEL_CARD.md",
    }  # fmt: skip
    assert [row["epoch"] for row in metrics(folder)] == [1, 2, 3]
    assert all(math.isfinite(v) for row in metrics(folder) for v in row.values())
    assert (folder / "curves.png").read_bytes() == b"3 epochs"
    assert (folder / "model" / "MODEL_CARD.md").read_text() == "# run\n"
    told = json.loads((folder / "run.json").read_text())
    assert told["status"] == "finished" and told["seed"] == 0 and told["argv"][2] == "a\\x1bb"
    with open_prepared(toy_file) as prepared:
        assert told["dataset"]["digest"] == prepared.digest
    again = load(TrainConfig, section="train", file=folder / "config.toml", flags={"network": "drsn-cw"})
    assert replace(again, network="toy") == replace(QUICK, dataset=str(toy_file))


def test_model_json_says_where_the_model_comes_from(finished: runs.Finished, toy_file: Path) -> None:
    info = json.loads((Path(finished.out) / "model" / "model.json").read_text())
    assert info["schema"] == "faultdx.model/1" and info["name"] == "run"
    assert info["classes"] == ["normal", "inner", "outer"] and info["healthy"] == ["normal"]
    assert (info["sampling_rate_hz"], info["segment_samples"], len(info["channels"])) == (RATE_HZ, LENGTH, 1)
    assert info["best_epoch"] == min(metrics(Path(finished.out)), key=lambda r: r["val_loss"])["epoch"]
    assert info["noise"] == {"kinds": list(KINDS), "snr_db": [0.0, 20.0]}
    assert info["split"]["method"] == "time" and info["split"]["leakage"] is False
    with open_prepared(toy_file) as prepared:
        assert info["trained_on"]["segments"] == len(prepared.rows("train"))
        rms = prepared.records()["rms"]
    assert info["envelope"] == {"rms": [pytest.approx(rms.min()), pytest.approx(rms.max())], "rpm": None}
    assert Architecture.from_dict(info["network"]["architecture"]) == replace(TOY, classes=3, samples=LENGTH)


class Killed(BaseException):
    """What a run does not see coming."""


def test_interrupted_and_killed_runs_resume_to_the_same_model(
    finished: runs.Finished, toy_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(runs.Interrupted, match="after epoch 0 of 3; --resume"):
        run(toy_file, folder, stop=stop_after(7))
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert (folder / "last.pt").is_file() and not (folder / "model").exists()

    def killer(step: int, _total: int, _row: object) -> None:
        if step == 70:  # in the middle of the third epoch: its first steps are lost and done again
            raise Killed

    with suppress(Killed):
        run(toy_file, folder, resume=True, progress=killer)
    assert len(metrics(folder)) == 2 and not (folder / "model").exists()
    run(toy_file, folder, resume=True)
    whole = Path(finished.out)
    for name in ("model/model.onnx", "model/model.safetensors", "model/model.json", "config.toml"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert metrics(folder) == metrics(whole)
    assert not list(folder.rglob(".*"))  # no temporary file is left


def test_a_stop_during_the_last_step_is_a_stop(finished: runs.Finished, toy_file: Path, tmp_path: Path) -> None:
    folder, steps = tmp_path / "run", QUICK.epochs * QUICK.epoch_steps
    asked = [False]

    def last(step: int, total: int, _row: object) -> None:
        asked[0] = step == total == steps

    with pytest.raises(runs.Interrupted, match="after epoch 3 of 3; --resume"):
        run(toy_file, folder, stop=lambda: asked[0], progress=last)
    assert asked[0] and not (folder / "model").exists() and not (folder / "curves.png").exists()
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    seen: list[int] = []
    run(toy_file, folder, resume=True, progress=lambda step, _total, _row: seen.append(step))
    assert seen == []  # nothing is trained again
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    for name in ("model/model.onnx", "model/model.json"):
        assert (folder / name).read_bytes() == (Path(finished.out) / name).read_bytes(), name


def test_a_resumed_run_keeps_how_it_began_on_record(toy_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def told() -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / "run.json").read_text())
        return found

    with pytest.raises(runs.Interrupted):
        run(toy_file, folder, argv=["first"], stop=stop_after(1))
    long_ago = "2001-02-03T04:05:06+00:00"
    (folder / "run.json").write_text(json.dumps(told() | {"started": long_ago}))
    for argv in ("second", "third"):
        with pytest.raises(runs.Interrupted):
            run(toy_file, folder, argv=[argv], resume=True, stop=stop_after(1))
        assert (told()["argv"], told()["started"]) == (["first"], long_ago)
    again = told()["resumed"]
    assert [entry["argv"] for entry in again] == [["second"], ["third"]]
    assert all(entry["started"] > long_ago for entry in again)


def test_resuming_and_overwriting_are_not_both(begun: Path, toy_file: Path) -> None:
    before = contents(begun)
    with pytest.raises(ConfigError, match=r"--resume .*--overwrite .*choose one"):
        run(toy_file, begun, resume=True, overwrite=True)
    assert contents(begun) == before


def test_the_dataset_is_found_from_any_folder(toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy_file.parent)
    with pytest.raises(runs.Interrupted):
        run(Path(toy_file.name), tmp_path / "run", stop=lambda: True)
    stored = tomllib.loads((tmp_path / "run" / "config.toml").read_text())["train"]["dataset"]
    assert stored == str(toy_file) and Path(stored).is_absolute()
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["dataset"]["path"] == told["config"]["dataset"] == toy_file.name  # no path of this machine


@pytest.fixture
def begun(toy_file: Path, tmp_path: Path) -> Path:
    with suppress(runs.Interrupted):
        run(toy_file, tmp_path / "begun", stop=stop_after(2))
    return tmp_path / "begun"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_resuming_with_another_configuration_is_refused(begun: Path, toy_file: Path) -> None:
    before = contents(begun)
    for change in ({"seed": 1}, {"epochs": 4}, {"snr": (0.0, 10.0)}, {"noise": ("pink",)}, {"network": "drsn-cs"}):
        with pytest.raises(ConfigError, match=f"another configuration .*{next(iter(change))}"):
            run(toy_file, begun, replace(QUICK, **change), resume=True)
    assert contents(begun) == before


def test_resuming_on_another_dataset_is_refused_and_on_a_moved_one_is_not(
    begun: Path, toy_file: Path, tmp_path: Path
) -> None:
    other = write_prepared(tmp_path / "other", toy_signals(3000))
    before = contents(begun)
    with pytest.raises(ConfigError, match="another dataset"):
        run(other, begun, resume=True)
    assert contents(begun) == before
    moved = tmp_path / "moved.h5"
    moved.write_bytes(toy_file.read_bytes())
    with pytest.raises(runs.Interrupted):
        run(moved, begun, resume=True, stop=lambda: True)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"dataset": 3, "config": {}}', "\xff", "DIGEST", "[" * 100_000],
    ids=["empty", "cut", "list", "bare", "odd", "bytes", "config", "nested"],
)
def test_resuming_with_a_damaged_run_json_is_refused(begun: Path, toy_file: Path, text: str) -> None:
    digest = json.loads((begun / "run.json").read_text())["dataset"]["digest"]
    if text == "DIGEST":
        text = json.dumps({"dataset": {"digest": digest}, "config": 5})
    (begun / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"run\.json: cannot be read"):
        run(toy_file, begun, resume=True)


def test_resuming_a_damaged_checkpoint_or_nothing_is_refused(begun: Path, toy_file: Path, tmp_path: Path) -> None:
    (begun / "last.pt").write_bytes(b"junk")
    with pytest.raises(ModelError, match=r"last\.pt does not fit"):
        run(toy_file, begun, resume=True)
    with pytest.raises(OutputError, match="nothing to resume"):
        run(toy_file, tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_an_existing_run_folder_is_refused_with_both_cures(begun: Path, toy_file: Path) -> None:
    before = contents(begun)
    with pytest.raises(OutputError, match=r"exists already; --resume .* --overwrite"):
        run(toy_file, begun)
    assert contents(begun) == before


def test_overwriting_takes_run_folders_only_and_leaves_foreign_files(
    begun: Path, toy_file: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.tex").write_text("years of work")
    with pytest.raises(OutputError, match="not a run folder"):
        run(toy_file, foreign, overwrite=True)
    assert contents(foreign) == {"chapter.tex": b"years of work"}
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(OutputError):
        run(toy_file, file, overwrite=True)
    (begun / "notes.txt").write_text("mine")
    (begun / "model").mkdir()
    (begun / "model" / "model.json").write_text("{}")
    (begun / "evaluation").mkdir()
    for name in ("evaluation.json", "evaluation.csv", "evaluation.html", "remarks.txt"):
        (begun / "evaluation" / name).write_text("of the old model")
    with pytest.raises(runs.Interrupted):
        run(toy_file, begun, replace(QUICK, seed=8), overwrite=True, stop=stop_after(1))
    assert (begun / "notes.txt").read_text() == "mine"
    assert [p.name for p in (begun / "evaluation").iterdir()] == ["remarks.txt"]
    assert not (begun / "model" / "model.json").exists()  # an old model is not taken for the new one
    assert json.loads((begun / "run.json").read_text())["seed"] == 8


def test_a_run_of_an_older_version_is_resumed_with_what_it_ran_with(toy_file: Path, tmp_path: Path) -> None:
    """Its files do not state what was not yet there to be set; today's defaults are other ones."""
    from faultdx.cli.train import _configuration

    folder = tmp_path / "old"
    then = replace(QUICK, snr_focus=1.0, stretch=0.0, equalizer=0.0)
    with pytest.raises(runs.Interrupted):
        run(toy_file, folder, then, stop=stop_after(2))
    for file in ("config.toml", "run.json"):
        text = (folder / file).read_text()
        lines = [line for line in text.splitlines() if not any(word in line for word in UNSAID)]
        assert len(lines) < text.count("\n")
        text = "\n".join(lines)
        if file == "run.json":
            json.loads(text)
        (folder / file).write_text(text)
    config = _configuration(folder / "config.toml", (), {}, None, own=True)
    assert (config.snr_focus, config.stretch, config.equalizer) == (1.0, 0.0, 0.0)
    assert config == replace(then, dataset=str(toy_file))
    with pytest.raises(runs.Interrupted):
        run(toy_file, folder, config, resume=True, stop=stop_after(1))
    other = _configuration(folder / "config.toml", ("equalizer=2",), {}, None, own=True)
    with pytest.raises(ConfigError, match=r"another configuration \(equalizer\)"):
        run(toy_file, folder, other, resume=True)


def test_an_empty_folder_is_taken(toy_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(runs.Interrupted):
        run(toy_file, tmp_path / "empty", stop=lambda: True)


def test_a_start_that_is_refused_costs_no_old_model(begun: Path, toy_file: Path, tmp_path: Path) -> None:
    (begun / "model").mkdir()
    (begun / "model" / "model.json").write_text("{}")
    before = contents(begun)
    junk = tmp_path / "junk.h5"
    junk.write_bytes(b"junk")
    damaged = tmp_path / "damaged.h5"
    blob = bytearray(toy_file.read_bytes())
    with open_prepared(toy_file) as prepared:
        at = bytes(blob).find(prepared.segments(np.array([3]))[0].tobytes())
    assert at > 0
    blob[at + 40] ^= 1
    damaged.write_bytes(blob)
    starts = [(junk, QUICK), (tmp_path / "none.h5", QUICK), (damaged, QUICK), (toy_file, replace(QUICK, device="tpu"))]
    for dataset, config in starts:
        with pytest.raises(FaultdxError):
            run(dataset, begun, config, overwrite=True)
        assert contents(begun) == before, dataset
