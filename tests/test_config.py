"""Configuration: who overrides whom, and every problem at once."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faultdx.config import RECIPES, SPLITS, PrepareConfig, TrainConfig, load, to_toml
from faultdx.errors import ConfigError
from faultdx.networks.architecture import NETWORKS
from faultdx.signals.noise import KINDS
from faultdx.signals.segments import NORMALIZATIONS


def prepare_config(file: Path | None = None, *settings: str, **flags: Any) -> PrepareConfig:
    return load(PrepareConfig, section="prepare", file=file, settings=settings, flags=flags)


def train_config(file: Path | None = None, *settings: str, **flags: Any) -> TrainConfig:
    return load(TrainConfig, section="train", file=file, settings=settings, flags=flags)


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# Who overrides whom


def test_defaults_then_file_then_settings_then_flags(toml: Any) -> None:
    file = toml('[prepare]\nsegment = 512\nhop = 64\nnormalize = "zscore"\nseed = 1\n[train]\nepochs = 3\n')
    assert prepare_config() == PrepareConfig()
    found = prepare_config(file, "hop=128", "seed=2", seed=3, normalize=None, noise=())
    assert found == PrepareConfig(segment=512, hop=128, normalize="zscore", seed=3)
    assert train_config(file) == TrainConfig(epochs=3)
    assert train_config(file, "epochs=4", epochs=5).epochs == 5


def test_a_later_setting_wins_and_dashes_are_underlines() -> None:
    assert train_config(None, "learning-rate=0.1", "learning_rate = 0.2").learning_rate == 0.2


def test_a_recipe_fills_what_nobody_set(toml: Any) -> None:
    assert replace(TrainConfig(recipe="paper"), **RECIPES["paper"]) == train_config(None, "recipe=paper")
    file = toml('[train]\nrecipe = "paper"\nbatch = 32\n')
    found = train_config(file, "epochs=7", optimizer="adamw")
    assert (found.batch, found.epochs, found.optimizer) == (32, 7, "adamw")
    assert (found.learning_rate, found.noise, found.average, found.standardize) == (0.1, (), 0.0, False)
    for recipe in RECIPES:
        assert RECIPES[recipe].keys() <= {f.name for f in fields(TrainConfig)}
        assert train_config(recipe=recipe).problems() == []


def written(config: TrainConfig, path: Path) -> Path:
    """A run's config.toml: every field is in it, whoever set it."""
    path.write_text(to_toml("train", config), encoding="utf-8")
    return path


def test_a_recipe_applies_where_it_is_named(toml: Any, tmp_path: Path) -> None:
    paper = replace(TrainConfig(recipe="paper"), **RECIPES["paper"])
    whole = written(TrainConfig(epochs=9, seed=4), tmp_path / "default.toml")
    assert train_config(whole) == TrainConfig(epochs=9, seed=4)
    for found in (train_config(whole, recipe="paper"), train_config(whole, "recipe=paper")):
        assert found == replace(paper, seed=4)  # what is of no recipe stays
    whole = written(replace(paper, learning_rate=0.05, seed=4), tmp_path / "paper.toml")
    assert train_config(whole).learning_rate == 0.05
    assert train_config(whole, recipe="default") == TrainConfig(seed=4)
    file = toml('[train]\nrecipe = "paper"\nbatch = 32\n')
    assert train_config(file, recipe="default") == TrainConfig()
    # beside the recipe, in any order, or above it: the field wins; below it, the recipe
    assert train_config(file, "epochs=7", "recipe=paper") == replace(paper, epochs=7)
    assert train_config(file, "recipe=default", batch=64) == TrainConfig(batch=64)
    assert train_config(None, "epochs=7", "learning_rate=1", recipe="paper", epochs=5) == replace(paper, epochs=5)


@pytest.mark.parametrize("how", [{"noise": ["none"]}, {"noise": "none"}, {"recipe": "paper"}])
def test_an_snr_without_noise_is_a_problem(how: dict[str, Any]) -> None:
    assert "snr has no noise to set it for: --noise" in problems_of(train_config, None, **how, snr="0:10")
    assert train_config(None, "snr=0:10", **how).noise == ()  # a setting may wait for its use; an option may not
    assert train_config(None, **how | {"noise": ["pink"]}, snr="0:10").snr == (0.0, 10.0)


# What is read


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("segment=1024", "segment", 1024),
        ("hop=none", "hop", None),
        ("hop=100", "hop", 100),
        ("resample_hz=12e3", "resample_hz", 12_000.0),
        ("fractions=0.7, 0.1, 0.2", "fractions", (0.7, 0.1, 0.2)),
        ("test_on=3hp", "test_on", ()),
        ("healthy=good,as new", "healthy", ("good", "as new")),
        ("healthy=none", "healthy", ()),
        ("healthy=", "healthy", ()),
        ("allow_leakage=True", "allow_leakage", True),
        ("labels=fault=x", "labels", "fault=x"),
    ],
)
def test_texts_become_values(setting: str, field: str, value: object) -> None:
    if field == "test_on":  # means nothing without a split by condition
        assert prepare_config(None, setting, "split=condition").test_on == ("3hp",)
        return
    assert getattr(prepare_config(None, setting), field) == value


def test_ranges_of_snr_in_training_are_written_with_a_colon() -> None:
    assert train_config(None, "snr=-6:4.5").snr == (-6.0, 4.5)
    assert train_config(snr="-6:-6").snr == (-6.0, -6.0)
    assert train_config(snr=[-6, 0]).snr == (-6.0, 0.0)
    assert prepare_config(None, "noise=pink,gaussian", "snr_db=-6,0").snr_db == (-6.0, 0.0)


def test_noise_in_the_file_can_be_switched_off_by_a_flag(toml: Any) -> None:
    file = toml('[prepare]\nnoise = ["pink"]\nsnr_db = [0]\n')
    assert prepare_config(file).noise == ("pink",)
    found = prepare_config(file, noise=["none"], snr_db="none")
    assert (found.noise, found.snr_db) == ((), ())


numbers = st.floats(-60, 100)
configurations = st.one_of(
    st.builds(
        PrepareConfig,
        segment=st.integers(16, 1 << 20),
        hop=st.none() | st.integers(1, 1 << 24),
        resample_hz=st.none() | st.floats(1, 1e8),
        normalize=st.sampled_from([n for n in NORMALIZATIONS if n != "record"]),  # it does not go with noise
        noise=st.just(("pink", "laplacian")),
        snr_db=st.lists(numbers, min_size=1, max_size=4).map(tuple),
        split=st.just("specimen"),
        fractions=st.just((0.5, 0.25, 0.25)),
        test_on=st.lists(st.text(st.characters(codec="utf-8"))).map(tuple).filter(lambda t: t != ("none",)),
        allow_leakage=st.booleans(),
        labels=st.text(st.characters(codec="utf-8")),
        seed=st.integers(0, (1 << 63) - 1),
    ),
    st.builds(
        TrainConfig,
        network=st.sampled_from(sorted(NETWORKS)),
        recipe=st.sampled_from(sorted(RECIPES)),
        epochs=st.integers(1, 100_000),
        noise=st.lists(st.sampled_from(KINDS), unique=True).map(tuple),
        snr=st.lists(numbers, min_size=2, max_size=2).map(sorted).map(tuple),
        clean_share=st.floats(0, 1),
        crops=st.booleans(),
        learning_rate=st.floats(1e-8, 100),
        seed=st.integers(0, (1 << 63) - 1),
        dataset=st.text(st.characters(codec="utf-8")),
    ),
)


@settings(max_examples=80, deadline=None)
@given(config=configurations)
def test_what_is_written_as_toml_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, config: PrepareConfig | TrainConfig
) -> None:
    section = "prepare" if isinstance(config, PrepareConfig) else "train"
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    path.write_text(to_toml(section, config), encoding="utf-8")
    assert load(type(config), section=section, file=path) == config


# What is refused


def problems_of(call: Any, *args: Any, **flags: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args, **flags)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_every_problem_is_in_one_message(toml: Any) -> None:
    file = toml('[prepare]\nsegment = "long"\nsegmnet = 1024\nfractions = [0.9, 0.2, 0.2]\n')
    text = problems_of(prepare_config, file, "hop", "seed=1.5", "no-such=1", normalize="minmax", split="fair", hop=0)
    for part in (
        f"{file}: segment = 'long' must be a whole number",
        f"{file}: 'segmnet' is not a setting of prepare; the settings are segment, hop,",
        "--set hop: expected key=value",
        "--set: seed = '1.5' must be a whole number",
        "--set: 'no_such' is not a setting of prepare",
        "normalize 'minmax' is unknown: it is one of none, zscore, record",
        "split 'fair' is unknown: it is one of auto, time, condition, specimen, random",
        "hop = 0 must be 1 sample or more",
        "fractions must be three shares (train, val, test) that add up to 1",
    ):
        assert part in text
    text = problems_of(train_config, epochs=0, network="vgg", snr="4:-4", noise=["brown"], device="tpu", optimizer="x")
    for part in ("epochs = 0", "network 'vgg'", "snr must be LOW:HIGH", "noise 'brown'", "device 'tpu'", "optimizer"):
        assert part in text


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("segment = inf", "segment = inf must be a whole number"),
        ("segment = nan", "segment = nan must be a whole number"),
        ("segment = 2048.5", "segment = 2048.5 must be a whole number"),
        ("segment = true", "segment = True must be a whole number"),
        ("segment = [2048]", "segment = [2048] must be a whole number"),
        ("segment = 8", "segment = 8 must be 16 to 1048576 samples"),
        ("segment = 1" + "0" * 400, "must be a whole number"),
        ("resample_hz = 1" + "0" * 400, "must be a number"),
        ("resample_hz = nan", "resample = nan must be 1 to 1e8 Hz"),
        ("resample_hz = 1979-05-27", "must be a number"),
        ("allow_leakage = 1", "allow_leakage = 1 must be true or false"),
        ('allow_leakage = "yes"', "allow_leakage = 'yes' must be true or false"),
        ("labels = true", "labels = True must be text"),
        ('labels = ["a"]', "labels = ['a'] must be text"),
        ("labels = {a = 1}", "labels = {'a': 1} must be text"),
        ("fractions = {a = 1}", "must be a number"),
        ("fractions = [[1], 0, 0]", "must be a number"),
        ("fractions = [0.5, 0.5]", "fractions must be three shares"),
        ("fractions = [nan, 0.5, 0.5]", "fractions must be three shares"),
        ("fractions = [-0.5, 0.5, 1]", "fractions must be three shares"),
        ("fractions = [0, 0.5, 0.5]", "fractions leave nothing to train on"),
        ('noise = ["pink"]', "noise needs an SNR: --snr DB"),
        ("snr_db = [0]", "snr needs a kind of noise"),
        ('normalize = "record"\nnoise = "pink"\nsnr_db = [0]', "normalize = record and noise do not go together"),
        ('noise = "pink"\nsnr_db = [nan, 200]', "snr = nan must be within -60 to 100 dB; snr = 200 must be"),
        ("seed = -1", "seed = -1 must be 0 or more"),
        ('split = "time"\ntest_on = ["a"]', "test-on and val-on need --split condition or --split specimen"),
        ('split = "random"', "add --allow-leakage to have it all the same"),
    ],
)
def test_values_that_are_wrong(toml: Any, line: str, problem: str) -> None:
    assert problem in problems_of(prepare_config, toml(f"[prepare]\n{line}\n"))


@pytest.mark.parametrize("name", ["epochs", "batch", "threads", "seed"])
def test_numbers_of_training_have_bounds(name: str) -> None:
    assert f"{name} = " in problems_of(train_config, None, f"{name}=-1")
    assert f"{name} = " in problems_of(train_config, None, f"{name}=1{'0' * 30}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"segment = ", "is not a TOML file"),
        (b"\xff\xfe", "is not a TOML file"),
        (b"prepare = 3", "[prepare] must be a section, not a value"),
        (b"[diagnose]\nx = 1", "unknown section 'diagnose'; the sections are [prepare] and [train]"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    text = problems_of(prepare_config, tmp_path / "x.toml")
    assert text.startswith(f"{tmp_path}/x.toml: ")
    assert problem in text


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    assert "cannot be read: no such file or directory" in problems_of(prepare_config, tmp_path / "no.toml")
    assert "cannot be read: is a directory" in problems_of(prepare_config, tmp_path)


def test_a_random_split_needs_a_word_more() -> None:
    assert prepare_config(None, "split=random", allow_leakage=True).split == "random"
    assert "random" in SPLITS
