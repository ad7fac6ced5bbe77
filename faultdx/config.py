"""Frozen dataclasses, filled from defaults < TOML file < `--set` < flags; every problem is reported at once."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from faultdx.errors import ConfigError
from faultdx.files import show
from faultdx.intake import read_file
from faultdx.signals.noise import KINDS
from faultdx.signals.segments import NORMALIZATIONS

_MOST_BYTES = 1 << 20  # of a configuration
QUALITY = ("refuse", "warn", "off")  # what a signal that fails a check gets
SPLITS = ("auto", "time", "condition", "specimen", "random")

# Class names that mean "nothing wrong", compared without case; anything else has to be declared with --healthy.
HEALTHY_NAMES = frozenset({"normal", "healthy", "baseline", "ok", "good", "no_fault", "undamaged"})


@dataclass(frozen=True)
class PrepareConfig:
    """What `prepare` makes of records.

    segment, hop : samples at the common sampling rate; hop None means a hop of one segment, no overlap
    resample_hz : the common rate; None means the lowest rate among the records
    normalize : none | zscore | record, stored that way (by default the network standardises its input in any case)
    noise, snr_db : each kind at each SNR gives one noisy copy of every segment; empty means as recorded
    split, fractions : how train, val and test are told apart, and their shares
    test_on, val_on : conditions or specimens that a condition or specimen split must put there
    quality : what a failed check of the signal does: refuse (the record is left out), warn, or off (none is made)
    labels : the column of the records table or field of the catalogue that names the class
    """

    segment: int = 2048
    hop: int | None = None
    resample_hz: float | None = None
    normalize: str = "none"
    noise: tuple[str, ...] = ()
    snr_db: tuple[float, ...] = ()
    split: str = "auto"
    fractions: tuple[float, ...] = (0.6, 0.2, 0.2)
    test_on: tuple[str, ...] = ()
    val_on: tuple[str, ...] = ()
    allow_leakage: bool = False
    quality: str = "refuse"
    labels: str = "label"
    healthy: tuple[str, ...] = ()
    seed: int = 0

    def problems(self) -> list[str]:
        """Return every problem, a sentence each."""
        found = []
        if not 16 <= self.segment <= 1 << 20:
            found.append(f"segment = {self.segment} must be 16 to 1048576 samples")
        if self.hop is not None and not 1 <= self.hop <= 1 << 24:
            found.append(f"hop = {self.hop} must be 1 sample or more")
        if self.resample_hz is not None and not 1 <= self.resample_hz <= 1e8:
            found.append(f"resample = {self.resample_hz:g} must be 1 to 1e8 Hz")
        found += _one_of("normalize", (self.normalize,), NORMALIZATIONS)
        found += _one_of("quality", (self.quality,), QUALITY)
        found += _one_of("noise", self.noise, KINDS)
        found += _one_of("split", (self.split,), SPLITS)
        if self.normalize == "record" and self.noise:
            found.append("normalize = record and noise do not go together: use --normalize none or zscore")
        if self.noise and not self.snr_db:
            found.append("noise needs an SNR: --snr DB")
        if self.snr_db and not self.noise:
            found.append("snr needs a kind of noise: --noise gaussian|pink|laplacian")
        found += [f"snr = {v:g} must be within -60 to 100 dB" for v in self.snr_db if not -60 <= v <= 100]
        if len(self.fractions) != 3 or min(self.fractions) < 0 or not 0.999 < sum(self.fractions) < 1.001:
            found.append("fractions must be three shares (train, val, test) that add up to 1")
        elif self.fractions[0] == 0:
            found.append("fractions leave nothing to train on")
        if self.split == "random" and not self.allow_leakage:
            found.append(
                "a random split of segments puts pieces of one recording on both sides and measures memory, not "
                "diagnosis: use --split time, condition or specimen, or add --allow-leakage to have it all the same, "
                "named as leaking in everything made from it"
            )
        if self.seed < 0:
            found.append(f"seed = {self.seed} must be 0 or more")
        if (self.test_on or self.val_on) and self.split not in ("condition", "specimen"):
            found.append("test-on and val-on need --split condition or --split specimen")
        return found


@dataclass(frozen=True)
class TrainConfig:
    """What `train` does with a prepared file.

    recipe : "default" or "paper"; it sets the fields below that nobody set (see `RECIPES`)
    epochs, batch : an epoch is one pass, and at least `epoch_steps` batches, so that small sets are not starved
    input_kind : "waveform", or "spectrogram": the network of that name in two dimensions, on log-spectrograms
    widths, strides : of the network's units, in order, so many as there are; empty means as the network is listed
    stem : channels, kernel and stride of its first convolution, empty likewise; kernel : of the others, 0 likewise
    noise, snr : kinds drawn fresh for each batch, at an SNR in [low, high] dB; no kinds means none
    snr_focus : the SNR is low + (high - low) u ** snr_focus, u uniform in [0, 1]: above 1 the low ones come more often
    clean_share : share of training segments left without added noise
    crops : segments are cut at random places of the training stretches, not on the grid
    polarity : the sign of a segment is drawn at random (a sensor mounted the other way round)
    stretch : half of the crops are played at a speed drawn from 1 - stretch .. 1 + stretch; needs crops
    equalizer : half of the segments get a random gain over frequency, of this standard deviation in dB
    average : decay a step of the running average of the weights that is evaluated and exported; 0 means none
    standardize : each segment is brought to mean 0 and standard deviation 1 inside the network
    """

    network: str = "drsn-fused"
    input_kind: str = "waveform"
    widths: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    stem: tuple[int, ...] = ()
    kernel: int = 0
    recipe: str = "default"
    epochs: int = 40
    batch: int = 128
    epoch_steps: int = 150
    noise: tuple[str, ...] = KINDS
    snr: tuple[float, ...] = (-12.0, 10.0)
    snr_focus: float = 2.0
    clean_share: float = 0.1
    crops: bool = True
    polarity: bool = True
    stretch: float = 0.06
    equalizer: float = 3.0
    balance: bool = True
    average: float = 0.995
    optimizer: str = "adamw"
    learning_rate: float = 0.004
    weight_decay: float = 0.01
    standardize: bool = True
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    dataset: str = ""

    def problems(self) -> list[str]:
        """Return every problem, a sentence each."""
        from faultdx.networks.architecture import INPUT_KINDS, NETWORKS

        found = _one_of("network", (self.network,), tuple(NETWORKS))
        found += _one_of("input", (self.input_kind,), INPUT_KINDS)
        if self.network == "wdcnn" and self.input_kind == "spectrogram":
            found.append("network = wdcnn takes waveforms only: leave --input spectrogram out")
        if len(self.stem) not in (0, 3):
            found.append(f"stem = {', '.join(map(str, self.stem))} must be channels, kernel, stride")
        found += _one_of("recipe", (self.recipe,), tuple(RECIPES))
        found += _one_of("noise", self.noise, KINDS, "none")
        found += _one_of("optimizer", (self.optimizer,), ("adamw", "sgd-steps"))
        if self.device != "auto" and self.device.split(":")[0] not in ("cpu", "cuda"):
            found.append(f"device {self.device!r} is not auto, cpu, cuda or cuda:N")
        if len(self.snr) != 2 or not -60 <= self.snr[0] <= self.snr[1] <= 100:
            found.append("snr must be LOW:HIGH in dB, LOW <= HIGH, within -60 to 100")
        for name, low, high in (
            ("epochs", 1, 100_000),
            ("batch", 1, 65_536),
            ("epoch_steps", 0, 1_000_000),
            ("clean_share", 0, 1),
            ("snr_focus", 0.1, 10),
            ("stretch", 0, 0.5),
            ("equalizer", 0, 40),
            ("average", 0, 0.99999),
            ("learning_rate", 1e-8, 100),
            ("weight_decay", 0, 1),
            ("threads", 0, 1024),
            ("seed", 0, (1 << 63) - 1),
        ):
            if not low <= getattr(self, name) <= high:
                found.append(f"{name} = {getattr(self, name):g} must be {low:g} to {high:g}")
        return found

    @property
    def shape(self) -> Mapping[str, Any]:
        """What the network has otherwise than as it is listed, by the names that `networks.architecture` has for it."""
        stem = dict(zip(("stem_channels", "stem_kernel", "stem_stride"), self.stem, strict=False))
        units = {"widths": self.widths, "strides": self.strides, "kernel": self.kernel}
        return {**stem, **{name: value for name, value in units.items() if value}}


# What a run of an older version does not state of itself: it could be nothing else.
UNSAID: Mapping[str, Any] = {
    "input_kind": "waveform",
    "widths": [],
    "strides": [],
    "stem": [],
    "kernel": 0,
    "snr_focus": 1.0,
    "stretch": 0.0,
    "equalizer": 0.0,
}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    # Zhao et al. 2020, section IV: SGD with momentum 0.9, 0.1 / 0.01 / 0.001 for 40 / 40 / 20 epochs, batch 128, L2
    # 1e-4 on weights only; raw signals, each segment with the noise it was prepared with
    "paper": {
        "epochs": 100,
        "batch": 128,
        "epoch_steps": 0,
        "noise": (),
        "clean_share": 0.0,
        "crops": False,
        "polarity": False,
        "stretch": 0.0,
        "equalizer": 0.0,
        "balance": False,
        "average": 0.0,
        "optimizer": "sgd-steps",
        "learning_rate": 0.1,
        "weight_decay": 1e-4,
        "standardize": False,
    },
}


def recipe_fields(name: object) -> Mapping[str, Any]:
    """Return what a recipe sets: the paper's numbers, or for "default" the defaults of the same fields."""
    if name == "default":
        defaults = TrainConfig()
        return {key: getattr(defaults, key) for recipe in RECIPES.values() for key in recipe}
    return RECIPES.get(name, {}) if isinstance(name, str) else {}


def _one_of(name: str, values: Sequence[str], allowed: Sequence[str], *or_nothing: str) -> list[str]:
    there = ", ".join([*allowed, *or_nothing])
    return [f"{name} {v!r} is unknown: it is one of {there}" for v in values if v not in allowed]


Config = TypeVar("Config", PrepareConfig, TrainConfig)


def _convert(name: str, value: Any, wanted: Any) -> Any:
    """Return `value` (from TOML, a flag, or the text of --set) as the field's type; ValueError says what is wrong."""
    origin = typing.get_origin(wanted)
    if origin in (types.UnionType, typing.Union):
        if value is None or value == "none":
            return None
        wanted = next(a for a in typing.get_args(wanted) if a is not type(None))
        origin = typing.get_origin(wanted)
    if origin is tuple:
        item = typing.get_args(wanted)[0]
        if isinstance(value, str):
            separator = ":" if name == "snr" and ":" in value else ","
            value = [] if value in ("", "none") else [v.strip() for v in value.split(separator)]
        if not isinstance(value, list | tuple):
            value = [value]
        if list(value) == ["none"]:
            value = []
        return tuple(_convert(name, v, item) for v in value)
    if wanted is bool:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise ValueError(f"{name} = {value!r} must be true or false")
        return value
    if wanted is str and (isinstance(value, bool) or not isinstance(value, str | int | os.PathLike)):
        raise ValueError(f"{name} = {value!r} must be text")
    if isinstance(value, bool) or (wanted is int and isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"{name} = {value!r} must be {'a whole number' if wanted is int else 'a number'}")
    try:
        converted = wanted(value)
        if wanted is int and abs(converted) >= 1 << 63:
            raise ValueError
        return converted
    except (TypeError, ValueError, OverflowError):
        what = {int: "a whole number", float: "a number"}.get(wanted, "text")
        raise ValueError(f"{name} = {value!r} must be {what}") from None


def load(
    kind: type[Config],
    *,
    section: str,
    file: str | os.PathLike[str] | None = None,
    settings: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    unsaid: Mapping[str, Any] | None = None,
) -> Config:
    """Build a configuration: defaults (of the recipe, where there is one) < `file` [section] < `settings` < `flags`.

    settings : "key=value" texts; flags : values by field name, None where the user said nothing;
    unsaid : what holds where `file` does not state it, in place of the defaults (`UNSAID`, where a run wrote it).
    Raises ConfigError with every problem at once.
    """
    hints = typing.get_type_hints(kind)
    names = [f.name for f in fields(kind)]
    problems: list[str] = []
    values: dict[str, Any] = {}

    def take(origin: str, given: Mapping[str, Any]) -> None:
        # a recipe sets its fields at the layer that names it: above what lies below, under what stands beside it
        values.update(recipe_fields(given["recipe"]) if section == "train" and "recipe" in given else {})
        for name, value in given.items():
            if name not in names:
                problems.append(
                    f"{origin}: {name!r} is not a setting of {section}; the settings are {', '.join(names)}"
                )
                continue
            try:
                values[name] = _convert(name, value, hints[name])
            except ValueError as error:
                problems.append(f"{origin}: {error}")

    if file is not None:
        take(show(file), {**(unsaid or {}), **_section(file, section)})
    pairs = [text.partition("=") for text in settings]
    problems += [
        f"--set {show(t)}: expected key=value" for t, (_, eq, _) in zip(settings, pairs, strict=True) if not eq
    ]
    take("--set", {key.strip().replace("-", "_"): value for key, eq, value in pairs if eq})
    take("option", {k: v for k, v in (flags or {}).items() if v is not None and v != ()})
    config = kind(**values)
    problems += config.problems()
    if isinstance(config, TrainConfig) and not config.noise and (flags or {}).get("snr"):
        problems.append("snr has no noise to set it for: --noise gaussian|pink|laplacian")
    if problems:
        raise ConfigError("; ".join(problems))
    return config


def _section(file: str | os.PathLike[str], section: str) -> Mapping[str, Any]:
    import tomllib

    data = read_file(file, limit_bytes=_MOST_BYTES, kind=ConfigError, cure="name a TOML file", wait_s=10.0)
    try:
        content = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{show(file)}: is not a TOML file: {error}") from error
    known = {"prepare", "train"}
    unknown = [name for name in content if name not in known]
    if unknown:
        raise ConfigError(f"{show(file)}: unknown section {unknown[0]!r}; the sections are [prepare] and [train]")
    found = content.get(section, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{show(file)}: [{section}] must be a section, not a value")
    return found


def to_toml(section: str, config: PrepareConfig | TrainConfig) -> str:
    """Return the configuration as a TOML section that `load` reads back; a None is left out."""
    import tomli_w

    body = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items() if v is not None}
    return tomli_w.dumps({section: body})
