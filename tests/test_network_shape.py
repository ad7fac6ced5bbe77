"""Depth, width, stem and kernel of a network as settings of a training: bounded, resumable, refused in one line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_refused, faultdx_here

from faultdx.config import UNSAID, PrepareConfig, TrainConfig, load
from faultdx.dataset import open_prepared
from faultdx.errors import ConfigError
from faultdx.networks.architecture import NETWORKS
from faultdx.networks.drsn import parameter_count
from faultdx.preparation import prepare
from faultdx.records.source import Declared, Item
from faultdx.training import Trainer


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng, items = tmp_path_factory.mktemp("toy"), np.random.default_rng(0), []
    for i, label in enumerate(("normal", "inner")):
        np.save(folder / f"{i}.npy", rng.standard_normal(6000).astype(np.float32))
        items.append(Item(str(folder / f"{i}.npy"), flags=Declared(sampling_rate_hz=12_800.0, label=label)))
    prepare(items, folder / "toy.h5", config=PrepareConfig(segment=256, split="time"))
    return folder / "toy.h5"


def test_the_network_that_is_trained_is_the_one_described(toy_file: Path, tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text("[train]\nwidths = [8, 12, 12]\nkernel = 5\n")
    settings = ("strides=2,1,2", "stem=8,32,4")
    config = load(TrainConfig, section="train", file=tmp_path / "train.toml", settings=settings)
    with open_prepared(toy_file) as prepared:
        trainer = Trainer(prepared, config)
        plain = Trainer(prepared, TrainConfig())
    dims = trainer.dims
    assert (dims.widths, dims.strides, dims.kernel) == ((8, 12, 12), (2, 1, 2), 5)
    assert (dims.stem_channels, dims.stem_kernel, dims.stem_stride) == (8, 32, 4)
    assert dims.gate == "channel-wise" and dims.samples == 256 and dims.classes == 2
    assert parameter_count(trainer.state.network) == dims.parameters
    listed = NETWORKS[TrainConfig().network]
    assert (plain.dims.widths, plain.dims.strides, plain.dims.kernel) == (listed.widths, listed.strides, listed.kernel)
    assert plain.dims.stem_kernel == listed.stem_kernel


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("widths=16,16,16",), ("widths and strides must have the same length",)),
        (("widths=2000", "strides=1"), ("widths (2000,) must be 1..1024",)),
        (("widths=32,16", "strides=1,1"), ("must not shrink",)),
        (("stem=4,3",), ("stem = 4, 3 must be channels, kernel, stride",)),
        (("stem=4,0,1",), ("stem_kernel = 0 is outside 1..1025",)),
        (("kernel=4",), ("kernel = 4 is even",)),
        (("widths=a",), ("widths = 'a' must be a whole number",)),
    ],
)
def test_what_makes_no_network_is_refused_before_anything_is_written(
    toy_file: Path, tmp_path: Path, settings: tuple[str, ...], words: tuple[str, ...]
) -> None:
    said = [word for text in settings for word in ("--set", text)]
    assert_refused(faultdx_here("train", toy_file, "--out", "run", *said, cwd=tmp_path), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_runs_that_state_no_shape_are_those_of_the_listed_networks() -> None:
    """What a run.json of before does not state has to be what a plain configuration says, or no such run resumes."""
    plain, shape = asdict(TrainConfig()), ("widths", "strides", "stem", "kernel")
    assert {name: UNSAID[name] for name in shape} == {
        name: list(plain[name]) if name != "kernel" else plain[name] for name in shape
    }
    assert TrainConfig().shape == {}


def test_a_shape_of_the_wrong_type_is_no_configuration() -> None:
    with pytest.raises(ConfigError, match=r"kernel = .*2\.5.* must be a whole number"):
        load(TrainConfig, section="train", settings=("kernel=2.5",))
