"""One training on several processes: what `torchrun` starts, and what the processes say to each other.

Every process draws the whole batch of a step (it follows from the seed and the step alone) and computes its own part of
it. The sums that batch normalisation and the gradient need are taken over all parts, so that the weights are those of
one process with the whole batch, to rounding, and the same in all processes. The first process, rank 0, alone writes.

On CPUs the processes talk by gloo, on GPUs by nccl. Nothing that one process says to another is unpickled.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, FaultdxError
from faultdx.files import show

if TYPE_CHECKING:
    from torch import Tensor

    from faultdx.networks.drsn import Network

SILENCE_S = 600  # how long a process waits for the others before it gives up
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_FAILED = "failed"


class PeerError(FaultdxError):
    """Another process of the training ended or fell silent; `exit_code` is that process's, where it is known.

    told : whether that process has said why
    """

    def __init__(self, message: str, *, exit_code: int = 1, told: bool = False) -> None:
        super().__init__(message)
        self.exit_code, self.told = exit_code, told


@dataclass(frozen=True)
class Place:
    """Which of the processes this is: of all, and of those on this machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int


def launched(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Return this process's place among those that torchrun started; None where it is the only one.

    Raises ConfigError where the variables that torchrun sets contradict each other.
    """
    if not all(environment.get(name) for name in _NEEDED):
        return None
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        local_rank = int(environment.get("LOCAL_RANK", rank))
        local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
        if not (0 <= rank < size and 0 <= local_rank < local_size <= size):
            raise ValueError
    except ValueError:
        said = ", ".join(f"{name} = {environment[name][:20]!r}" for name in ("RANK", "WORLD_SIZE"))
        raise ConfigError(f"{said}: not what torchrun sets; unset them, or start with torchrun") from None
    return Place(rank, size, local_rank, local_size) if size > 1 else None


def restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether torchrun has started this training before, and starts it again because it failed."""
    return _attempt(environment) not in ("", "0")


def _attempt(environment: Mapping[str, str] = os.environ) -> str:
    return environment.get("TORCHELASTIC_RESTART_COUNT", "0")


class Team:
    """The processes of a training; as it stands, one process by itself."""

    rank, size, local_size = 0, 1, 1

    def part(self, count: int) -> slice:
        """Return this process's share of `count` segments."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def device(self, name: str) -> str:
        """Return the device of this process, where the user said `name`."""
        return name

    def prepare(self, network: Network) -> None:
        """Make the network's batch normalisation that of all processes."""

    def agree(self, facts: Mapping[str, str]) -> None:
        """Raise ConfigError where another process was started with other `facts` (by name) than this one."""

    def share(self, data: bytes) -> bytes:
        """Return the first process's `data`."""
        return data

    def add(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over the processes, in their place."""
        return values

    def collect(self, rows: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
        """Return the rows of all processes, (count, columns), from each one's part of them."""
        return rows

    def failed(self, exit_code: int) -> bool:
        """Say that this process ends with `exit_code`; True where it is the first, which has to tell the user."""
        return True

    def leave(self) -> None:
        """Part from the others: nobody waits for this process any more."""


ALONE = Team()


def default_threads(processes: int = 1) -> int:
    """Return half the cores, 1 to 4, divided among the processes of a training on this machine: networks this small
    gain little from more, and lose much where a neighbour is busy."""
    return min(4, max(1, len(os.sched_getaffinity(0)) // 2 // processes))


def shared_gradient(team: Team, network: Network, x: Tensor, y: Tensor, stop: Callable[[], bool]) -> tuple[float, bool]:
    """Leave the gradient of the mean loss over a batch in the parameters, each process working on its part of it.

    x, y : the whole batch, (B, channels, samples) and (B,)
    Returns that loss, and whether any process was asked to stop: all know it after the same step.
    """
    import torch
    from torch.nn import functional as F

    part = team.part(len(y))
    loss = F.cross_entropy(network(x[part]), y[part], reduction="sum")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    said = torch.tensor([float(loss.detach()), float(len(y[part])), float(stop())], device=loss.device)
    flat = team.add(torch.cat([*(g.flatten() for g in gradients), said]))
    loss_sum, count, asked = flat[-3:].tolist()
    flat /= count
    means = torch.split(flat[:-3], [g.numel() for g in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
    return loss_sum / count, asked > 0


class Processes(Team):
    """The processes that torchrun started. Every method but `part` and `failed` has to be called by all of them.

    Raises PeerError where another one has ended or does not answer, ConfigError where they do not find each other.
    """

    def __init__(self, place: Place) -> None:
        import torch
        from torch import distributed
        from torch._C._distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        self._cuda = torch.cuda.is_available() and distributed.is_nccl_available()
        if self._cuda:
            torch.cuda.set_device(min(self.local_rank, torch.cuda.device_count() - 1))
        silence = timedelta(seconds=SILENCE_S)
        try:
            store, _, _ = next(rendezvous("env://", self.rank, self.size, timeout=silence))
            # torchrun may keep its store for the next try, with what the last one left in it
            self._store = PrefixStore(f"faultdx/{_attempt()}", store)
            self._meet()
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if self._cuda else "gloo",
                store=self._store,
                rank=self.rank,
                world_size=self.size,
                timeout=silence,
            )
        except (RuntimeError, ValueError, OSError) as error:
            address = f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}"[:80]
            raise ConfigError(
                f"process {self.rank} of {self.size} on {socket.gethostname()}: does not find the others at {address!r}"
                f" ({type(error).__name__}): start them all with torchrun, within {SILENCE_S // 60} minutes"
            ) from error

    def _meet(self) -> None:
        """Wait until all have come, where a signal still ends the wait: torch's own waits hear none."""
        self._store.set(f"here/{self.rank}", "1")
        until = time.monotonic() + SILENCE_S
        while not self._store.check([f"here/{rank}" for rank in range(self.size)]):
            if self._store.check([_FAILED]):
                raise self._lost()
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.02)

    def device(self, name: str) -> str:
        """Return a GPU of this process's own where there are GPUs. Raises ConfigError where there are too few."""
        import torch

        if name.startswith("cuda:"):
            raise ConfigError(f"device {name}: each process takes a GPU of its own; --device cuda")
        if name == "cpu" or not torch.cuda.is_available():
            return "cpu" if name == "auto" else name
        if self.local_size > (there := torch.cuda.device_count()):
            raise ConfigError(
                f"{self.local_size} processes and {there} GPU{'s' if there > 1 else ''}: "
                f"torchrun --nproc-per-node {there}, or --device cpu"
            )
        return f"cuda:{self.local_rank}"

    def prepare(self, network: Network) -> None:
        """Make the network's batch normalisation that of all processes."""
        from faultdx.networks.synchronised import synchronise

        synchronise(network, gather=self.gather, add=self.add)

    def agree(self, facts: Mapping[str, str]) -> None:
        """Raise ConfigError in a process that was started with other `facts` (by name) than the first."""
        for name, value in json.loads(self.share(json.dumps(dict(facts)).encode("ascii"))).items():
            if facts.get(name) != value:
                here, there = (show(str(v)[:20]) for v in (facts.get(name), value))
                raise ConfigError(
                    f"process {self.rank} on {socket.gethostname()}: has another {name} than the first process "
                    f"({here}, not {there}): it has to be the same everywhere"
                )

    def share(self, data: bytes) -> bytes:
        """Return the first process's `data`."""
        import torch

        length = torch.tensor([len(data)])
        self._say("broadcast", length, 0)
        content = torch.frombuffer(bytearray(data), dtype=torch.uint8) if self.rank == 0 else None
        if content is None:
            content = torch.empty(int(length), dtype=torch.uint8)
        self._say("broadcast", content, 0)
        return bytes(content.numpy())

    def add(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over the processes, in their place."""
        self._say("all_reduce", values)
        return values

    def gather(self, values: Tensor) -> Tensor:
        """(n,) -> (processes, n)."""
        import torch

        everyone = torch.empty((self.size, *values.shape), dtype=values.dtype, device=values.device)
        self._say("all_gather", list(everyone), values.contiguous())
        return everyone

    def collect(self, rows: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
        """Return the rows of all processes, (count, columns), from each one's part of them."""
        import torch

        most = -(-count // self.size)
        padded = torch.zeros((most, rows.shape[1]), dtype=torch.float64)
        padded[: len(rows)] = torch.from_numpy(rows)
        everyone = self.gather(padded).numpy()
        ends = [count * (rank + 1) // self.size - count * rank // self.size for rank in range(self.size)]
        return np.concatenate([part[:n] for part, n in zip(everyone, ends, strict=True)])

    def failed(self, exit_code: int) -> bool:
        """Say that this process ends with `exit_code`; True where it is the first, which has to tell the user."""
        ours = f"{exit_code} {self.rank}"
        try:
            return bool(self._store.compare_set(_FAILED, "", ours).decode("ascii") == ours)
        except RuntimeError:  # the store went with the process that held it
            return True

    def leave(self) -> None:
        """Part from the others: nobody waits for this process any more."""
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()

    def _say(self, what: str, *arguments: Any) -> None:
        from torch import distributed

        try:
            getattr(distributed, what)(*arguments)
        except RuntimeError as error:
            if type(error).__name__ == "OutOfMemoryError":
                raise
            raise self._lost() from error

    def _lost(self) -> PeerError:
        """Return the error for a process that does not answer: it is told by the one that ended, where it could."""
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            try:
                if self._store.check([_FAILED]):
                    code = self._store.get(_FAILED).decode("ascii").partition(" ")[0]
                    return PeerError("another process of this training has failed", exit_code=int(code), told=True)
            except (RuntimeError, ValueError):
                break
            time.sleep(0.05)
        return PeerError(
            f"process {self.rank} of {self.size} on {socket.gethostname()}: another process of this training ended "
            "without a word, or did not answer; --resume continues from the last checkpoint"
        )
