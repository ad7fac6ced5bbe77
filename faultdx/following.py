"""What the processes of a training do that do not write: all but the first of those that torchrun started."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from faultdx.dataset import open_prepared

if TYPE_CHECKING:
    from faultdx.config import TrainConfig
    from faultdx.distributed import Team


def follow(
    config: TrainConfig,
    *,
    team: Team,
    stop: Callable[[], bool] = lambda: False,
    held: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> bool:
    """Take part in the training that the first process of `team` runs with `runs.train`; False where it was stopped.

    config : the first process's, with `dataset`; stop, held : as for `runs.train`
    Raises DatasetError, ConfigError, ModelError as there; PeerError where another process has ended.
    """
    from faultdx.training import Trainer

    with open_prepared(config.dataset) as prepared:
        prepared.verify()
        trainer = Trainer(prepared, config, team=team)
        with held():
            return trainer.run(stop=stop)
