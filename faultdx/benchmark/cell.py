"""One cell in a process of its own: `python -m faultdx.benchmark.cell`, a pickled Task on standard input.

One thread from the start, whatever the machine has; the result goes to one JSON file, whole or not at all. When the
process that started this one is gone, however it ended, standard input ends, and this one ends too.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
import threading
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultdx import __version__
from faultdx.benchmark.cells import SEED_OF_TESTS, Task
from faultdx.benchmark.scoring import groups_of, open_background, scores_of
from faultdx.benchmark.sources import prepared_file
from faultdx.dataset import open_prepared
from faultdx.errors import FaultdxError
from faultdx.export import to_safetensors
from faultdx.files import atomic_write
from faultdx.networks.drsn import Network
from faultdx.training import Trainer, logits
from faultdx.voting import softmax


class _Trained:
    """A network of torch as a Classifier."""

    def __init__(self, network: Network, device: torch.device) -> None:
        self._network, self._device = network.to(device), device

    def probabilities(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return np.asarray(softmax(logits(self._network, segments, self._device)))


def run_cell(task: Task) -> dict[str, Any]:
    """Prepare what is missing, train, score; return the result as it goes into the file.

    Raises as `prepare`, `Trainer` and `read_item` do.
    """
    cell = task.cell
    began = time.monotonic()
    file, said = prepared_file(cell, task.root, task.work)
    with open_prepared(file) as prepared:
        prepared.verify()
        config = replace(cell.train, device=task.device)
        ready, busy = time.monotonic(), time.process_time()
        trainer = Trainer(prepared, config)
        trainer.run()
        network = trainer.finish()
        weights = hashlib.sha256(to_safetensors(network)).hexdigest()
        trained, busy = time.monotonic(), time.process_time() - busy
        model = _Trained(network, trainer.device)
        heard = {kind for kind, _ in cell.tests}
        hums = {b.name: open_background(b, task.root, prepared) for b in task.backgrounds if b.name in heard}
        rows = []
        for side in cell.sides:
            groups = groups_of(prepared, said["known"], cell.by, side)
            seed = SEED_OF_TESTS + cell.seed
            rows += scores_of(model, prepared, side=side, tests=cell.tests, groups=groups, backgrounds=hums, seed=seed)
        return {
            "status": "finished",
            "level": prepared.split["level"],
            "split": prepared.split["method"],
            "data": {k: v for k, v in said.items() if k != "known"} | {"digest": prepared.digest},
            "prepare": prepared.config,
            "train": asdict(trainer.config),
            "parameters": trainer.dims.parameters,
            "multiply_adds": trainer.dims.multiply_adds,
            "best_epoch": trainer.state.best_epoch,
            "steps": trainer.state.step,
            "epochs": trainer.state.rows,
            "weights_sha256": weights,
            "scores": rows,
            "threads": torch.get_num_threads(),
            "device": str(trainer.device),
            "seconds": {
                "prepare": round(ready - began, 2),
                "train": round(trained - ready, 2),
                "train_cpu": round(busy, 2),
                "score": round(time.monotonic() - trained, 2),
            },
        }


def _end_with_parent() -> None:
    """End this process where standard input does: nobody waits for it any more."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Do the task on standard input; a failure is a result, too."""
    task: Task = pickle.load(sys.stdin.buffer)
    _end_with_parent()
    torch.set_num_threads(1)
    versions = {"faultdx": __version__, "torch": str(torch.__version__), "numpy": str(np.__version__)}
    about = {"address": task.cell.address, "cell": task.cell.labels, "code": task.code, "versions": versions}
    try:
        result = run_cell(task)
    except FaultdxError as error:
        result = {"status": "failed", "error": {"kind": error.kind, "message": str(error)}}
    except MemoryError:
        result = {"status": "failed", "error": {"kind": "internal", "message": "out of memory: use fewer --jobs"}}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name} line {last.lineno}"
        message = f"{type(error).__name__}: {error} ({where}); this is a fault of faultdx"
        result = {"status": "failed", "error": {"kind": "internal", "message": message}}
    atomic_write(task.result, json.dumps(about | result, indent=1) + "\n")


if __name__ == "__main__":
    main()
