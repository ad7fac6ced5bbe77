"""One training on several processes, as `torchrun` starts them: who speaks, who writes, and how they end together."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faultdx.cli import console
from faultdx.errors import FaultdxError

if TYPE_CHECKING:
    from faultdx.config import TrainConfig
    from faultdx.distributed import Team

ASKED = int(signal.SIGTERM)  # what a process reports that ends because another one got a signal


@contextlib.contextmanager
def together() -> Iterator[Team]:
    """Give the processes of this training. Of several the first that fails says why; all end with its exit code.

    Only the first process writes results and notes.
    """
    from faultdx.distributed import ALONE, PeerError, Processes, launched

    place = launched()
    if place is None:
        yield ALONE
        return
    console.Settings.quiet = console.Settings.quiet or place.rank > 0
    team: Team = Processes(place)
    try:
        yield team
    except FaultdxError as error:
        if (isinstance(error, PeerError) and error.told) or not team.failed(error.exit_code):
            raise SystemExit(error.exit_code) from None
        raise
    except console.Stopped as stopped:
        team.failed(128 + stopped.signum)
        raise
    except Exception:
        if not team.failed(console.INTERNAL):
            raise SystemExit(console.INTERNAL) from None
        raise
    finally:
        team.leave()


def restarted(out: Path) -> bool:
    """Tell whether torchrun starts this training again (`--max-restarts`), which has begun to write `out`."""
    from faultdx.distributed import restarted as again

    return again() and (out / "run.json").is_file()


def lead(team: Team, configuration: TrainConfig) -> None:
    """Tell the others what is trained."""
    team.share(json.dumps(asdict(configuration)).encode("ascii"))


def follow(team: Team) -> None:
    """Train what the first process says; nothing is written."""
    from faultdx.config import TrainConfig
    from faultdx.following import follow as run

    said = json.loads(team.share(b""))
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
    configuration = TrainConfig(**values)
    stopped = console.StopFlag()
    if not run(configuration, team=team, stop=lambda: bool(stopped()), held=stopped.held):
        raise SystemExit(128 + (stopped() or ASKED))
