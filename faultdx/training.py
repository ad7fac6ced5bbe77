"""Fit a network to a prepared file: the loop, the choice of the epoch, and checkpoints that lose nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from faultdx.batches import Sampler, Validation
from faultdx.checkpoint import Saved, pack, unpack
from faultdx.config import TrainConfig
from faultdx.dataset import Prepared
from faultdx.distributed import ALONE, Team, shared_gradient
from faultdx.errors import ConfigError, ModelError
from faultdx.evaluation import score
from faultdx.files import show
from faultdx.networks.architecture import Architecture, architecture
from faultdx.networks.drsn import Network, build
from faultdx.signals.noise import KINDS
from faultdx.voting import softmax

_EVALUATE = 512  # segments at once when nothing is learned


@dataclass
class State:
    """All that a run is between two steps: enough to continue it to the same end."""

    network: Network
    average: Network
    optimizer: torch.optim.Optimizer
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


class _Asked(Exception):  # noqa: N818 - it is not an error
    """The training was asked to stop while it measured."""


def logits(
    network: Network,
    segments: npt.NDArray[np.float32],
    device: torch.device,
    stop: Callable[[], bool] = lambda: False,
) -> npt.NDArray[np.float64]:
    """(segments, channels, samples) -> (segments, classes), with the batch normalisation in evaluation mode."""
    network.eval()
    found = []
    with torch.inference_mode():
        for i in range(0, len(segments), _EVALUATE):
            if i and stop():
                raise _Asked
            found.append(network(torch.from_numpy(segments[i : i + _EVALUATE]).to(device)).cpu())
    return torch.cat(found).double().numpy() if found else np.empty((0, network.dims.classes))


def measure(
    network: Network,
    validation: Validation,
    device: torch.device,
    stop: Callable[[], bool] = lambda: False,
    team: Team = ALONE,
) -> dict[str, float]:
    """Return the loss and the accuracy per segment and per record; every segment counts once."""
    count = len(validation.x)
    p = softmax(team.collect(logits(network, validation.x[team.part(count)], device, stop), count))
    scores = score(p, validation.label, validation.record, validation.classes)
    nll = -np.log(np.maximum(p[np.arange(len(p)), validation.label], 1e-12)).mean()
    return {
        "val_loss": float(nll),
        "val_accuracy": scores["segment_accuracy"],
        "val_record_accuracy": scores["record_accuracy"],
    }


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the rate of a step: the paper's three levels, or one cycle (Smith & Topin 2018): up 15 %, cosine down."""
    progress = step / max(1, total)
    if config.optimizer == "sgd-steps":  # 40 / 40 / 20 % of the epochs
        return config.learning_rate * (1.0 if progress < 0.4 else 0.1 if progress < 0.8 else 0.01)
    warm = 0.15
    if progress < warm:
        return config.learning_rate * (0.04 + 0.96 * progress / warm)
    return config.learning_rate * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm))))


def _optimizer(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """Weights of convolutions and linear layers decay; biases and batch normalisation do not."""
    weights = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd-steps":
        # an L2 term of (lambda / 2) |w|^2 in the loss is a weight decay of lambda in the gradient
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9, foreach=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, foreach=True)  # the same weights as one by one, sooner


def _update_average(average: Network, network: Network, decay: float, step: int) -> None:
    """Move the averaged weights towards the current ones; early steps count less, so that the start is forgotten."""
    d = min(decay, (1 + step) / (10 + step)) if decay > 0 else 0.0
    pairs = [*zip(average.state_dict().values(), network.state_dict().values(), strict=True)]
    real = [(a, b) for a, b in pairs if a.is_floating_point()]
    with torch.no_grad():
        torch._foreach_lerp_([a for a, _ in real], [b for _, b in real], 1 - d)  # all at once: what one by one gives
        for a, b in pairs:
            if not a.is_floating_point():
                a.copy_(b)


class Trainer:
    """A training run in memory: `run()` trains, `finish()` gives the chosen network.

    team : the processes that share each batch of `config.batch` segments (`distributed.py`)
    """

    def __init__(self, prepared: Prepared, config: TrainConfig, *, team: Team = ALONE) -> None:
        if prepared.has_noise and config.noise:
            # the file's noise is the protocol; noise on top of it would be neither matched nor fresh
            if config.noise != KINDS:
                raise ConfigError(
                    f"noise = {', '.join(config.noise)}: {show(prepared.path)} holds noise already and is trained on "
                    "as it is; --noise none, or prepare it without noise"
                )
            config = replace(config, noise=(), crops=False)
        if prepared.has_noise:  # which another speed and another path would change with the signal
            config = replace(config, stretch=0.0, equalizer=0.0)
        if config.batch < team.size:
            raise ConfigError(f"batch = {config.batch} is too small for {team.size} processes: a segment each at least")
        self.device, self.team = _device(team.device(config.device)), team
        self.config, self.prepared = config, prepared
        self.dims: Architecture = architecture(
            config.network,
            input_kind=config.input_kind,
            channels=len(prepared.channels),
            classes=len(prepared.classes),
            samples=prepared.segment,
            standardize=config.standardize,
            **config.shape,
        )
        self.sampler = Sampler(prepared, config, self.device)
        self.validation = Validation(prepared, config)
        self.steps_per_epoch = max(config.epoch_steps, -(-self.sampler.segments // config.batch))
        if not (config.crops or config.balance):
            self.steps_per_epoch = -(-self.sampler.segments // config.batch)
        self.total = config.epochs * self.steps_per_epoch
        network = build(self.dims, seed=config.seed).to(self.device)
        average = build(self.dims, seed=config.seed).to(self.device)
        team.prepare(network)
        self.state = State(network, average, _optimizer(network, config))

    @property
    def epoch(self) -> int:
        """Epochs finished: their steps done and their result measured."""
        return len(self.state.rows)

    @property
    def _unmeasured(self) -> bool:
        """Whether the steps of an epoch are done and it was not measured: a stop may come between the two."""
        return self.state.step > 0 and self.epoch < self.state.step // self.steps_per_epoch

    def run(
        self,
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int, dict[str, Any] | None], None] = lambda _s, _t, _r: None,
        save: Callable[[], None] = lambda: None,
    ) -> bool:
        """Train to the end. Returns False when `stop()` asked for an end before; the state is then between two steps.

        progress : called after every step with (step, total, the metrics row where an epoch ended, else None)
        save : called where a checkpoint should be written

        Of several processes each has its own `stop`; where one says so, all end after the same step.
        Raises ModelError where the training diverges, PeerError where another process of the team has ended.
        """
        state, config = self.state, self.config
        if self.team.size > 1:
            self._agree()
        asked = False
        while state.step < self.total or self._unmeasured:
            began = time.monotonic()
            if self._unmeasured:
                try:
                    row = self._end_epoch(began, stop if self.team.size == 1 else lambda: False)
                except _Asked:  # nothing of it was kept: it is measured again where the run goes on
                    save()
                    return False
                save()
                progress(state.step, self.total, row)
                continue
            if asked or (self.team.size == 1 and stop()):
                save()
                return False
            rate = learning_rate(config, state.step, self.total)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            state.network.train()
            x, y = self.sampler.batch(state.step, self.steps_per_epoch)
            state.optimizer.zero_grad(set_to_none=True)
            if self.team.size == 1:
                loss = F.cross_entropy(state.network(x), y)
                loss.backward()  # type: ignore[no-untyped-call]
                mean_loss = float(loss.detach())
            else:
                mean_loss, asked = shared_gradient(self.team, state.network, x, y, stop)
            state.optimizer.step()
            _update_average(state.average, state.network, config.average, state.step)
            state.loss_sum += mean_loss
            if not math.isfinite(state.loss_sum):
                raise ModelError(
                    f"the training diverged at step {state.step} (the loss is not a number): "
                    "a lower --set learning_rate= helps"
                )
            state.step += 1
            state.seconds += time.monotonic() - began
            if not self._unmeasured:
                progress(state.step, self.total, None)
        return True

    def _agree(self) -> None:
        """Let all processes start from the state of the first, on the same data with the same versions."""
        self.team.agree(
            {
                "dataset": self.prepared.digest,
                "configuration": repr(replace(self.config, dataset="", threads=0)),
                "torch": str(torch.__version__),
                "numpy": np.__version__,
            }
        )
        torch.set_num_threads(int(self.team.share(str(torch.get_num_threads()).encode("ascii"))))
        state = self.team.share(self.checkpoint() if self.team.rank == 0 else b"")
        if self.team.rank > 0:
            self.restore(state)

    def _end_epoch(self, began: float, stop: Callable[[], bool]) -> dict[str, Any]:
        state, epoch = self.state, self.epoch + 1
        row: dict[str, Any] = {"epoch": epoch, "train_loss": state.loss_sum / self.steps_per_epoch}
        if len(self.validation.label):
            row |= measure(state.average, self.validation, self.device, stop, self.team)
            if not math.isfinite(row["val_loss"]):
                raise ModelError(
                    f"the training diverged in epoch {epoch} (the validation loss is not a number): "
                    "a lower --set learning_rate= helps"
                )
        row["learning_rate"] = learning_rate(self.config, state.step - 1, self.total)  # of its last step
        state.loss_sum = 0.0
        # without validation data the last epoch is as good a choice as any, and the only honest one
        if row.get("val_loss", -1.0 * epoch) <= state.best_loss:
            state.best_loss, state.best_epoch = row.get("val_loss", -1.0 * epoch), epoch
            state.best = {k: v.detach().cpu().clone() for k, v in state.average.state_dict().items()}
        state.seconds += time.monotonic() - began
        row["seconds"] = round(state.seconds, 3)
        state.rows.append(row)
        return row

    def finish(self) -> Network:
        """Return the network of the best epoch, on the CPU, in evaluation mode."""
        network = Network(self.dims)
        network.load_state_dict(self.state.best)
        return network.eval()

    def _saved(self) -> Saved:
        s = self.state
        tensors = {"network": s.network.state_dict(), "average": s.average.state_dict(), "best": s.best}
        numbers = {
            "step": s.step,
            "loss_sum": s.loss_sum,
            "seconds": s.seconds,
            "best_loss": s.best_loss,
            "best_epoch": s.best_epoch,
        }
        return Saved(tensors, s.optimizer.state_dict()["state"], numbers, s.rows)

    def checkpoint(self) -> bytes:
        """Return the whole state as bytes that `restore` reads back."""
        return pack(self._saved())

    def restore(self, checkpoint: bytes) -> None:
        """Continue from `checkpoint()`'s bytes. Raises ModelError where they do not fit this run."""
        s = self.state
        found = unpack(checkpoint, self._saved())
        numbers = found.numbers
        sized = {i: p.shape for i, p in enumerate(p for g in s.optimizer.param_groups for p in g["params"])}
        fits = all(
            number in sized
            and all(not isinstance(v, Tensor) or v.shape in (sized[number], ()) for v in values.values())
            for number, values in found.optimizer.items()
        )
        done, over = divmod(numbers["step"], self.steps_per_epoch)
        # a stop between the steps of an epoch and its measurement leaves the epoch without its row
        measured = len(found.rows) == done or (over == 0 and len(found.rows) == done - 1)
        if not fits or not measured or len(found.rows) < numbers["best_epoch"] or numbers["step"] > self.total:
            raise ModelError("last.pt does not fit this run: start again with --overwrite")
        try:
            s.network.load_state_dict(found.tensors["network"])
            s.average.load_state_dict(found.tensors["average"])
            # what is constant in the groups is that of the configuration; the rate is set at every step
            groups = s.optimizer.state_dict()["param_groups"]
            s.optimizer.load_state_dict({"state": found.optimizer, "param_groups": groups})
        except Exception as error:  # torch raises whatever a state of another kind leads it to
            raise ModelError(
                f"last.pt does not fit this run ({type(error).__name__}): start again with --overwrite"
            ) from error
        s.best, s.rows = dict(found.tensors["best"]), found.rows
        s.step, s.best_epoch = int(numbers["step"]), int(numbers["best_epoch"])
        s.loss_sum, s.seconds, s.best_loss = numbers["loss_sum"], numbers["seconds"], numbers["best_loss"]


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {name}: this machine has no CUDA GPU that torch can use; --device cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is not auto, cpu, cuda or cuda:N") from error
