"""The learned witness is trained: cross-entropy over (none, outer race, inner race, ball), a few epochs, one thread.

Every batch sees each record through some of its bands only, drawn anew: which band holds the fault is of no account,
and the bands overlap by half. The last epochs have all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from faultdx.universal.lessons import Lessons
from faultdx.universal.network import UniversalNetwork

BATCH = 48
RATE = 3e-3
DECAY = 1e-3
SMOOTHING = 0.02
FEW_BANDS = 5  # of nine, in all but the last epochs
WHOLE = 0.2  # share of the epochs that have all bands


def fit(
    lessons: Lessons,
    *,
    epochs: int,
    seed: int,
    threads: int = 1,
    progress: Callable[[int, float], None] | None = None,
) -> UniversalNetwork:
    """Return a network trained on `lessons`; the same for the same seed, library and number of threads.

    progress : called with the epochs done and the mean loss of the last
    """
    torch.set_num_threads(threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UniversalNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    batches = max(lessons.label.size // BATCH, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * batches, pct_start=0.15)
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        few = FEW_BANDS if epoch < epochs - max(round(WHOLE * epochs), 1) else lessons.context.shape[2]
        network.train()
        total = 0.0
        order = rng.permutation(lessons.label.size)
        for step in range(batches):
            rows = np.sort(order[step * BATCH : (step + 1) * BATCH])
            loss = F.cross_entropy(*_asked(network, lessons, rows, few, rng), label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        if progress is not None:
            progress(epoch + 1, total / batches)
    return network.eval()


def _asked(
    network: UniversalNetwork, lessons: Lessons, rows: np.typing.NDArray[np.int64], few: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the logits of the lessons `rows`, each seen through `few` of its bands, and the truth."""
    bands = lessons.context.shape[2]
    seen = np.sort(rng.permuted(np.tile(np.arange(bands), (rows.size, 1)), axis=1)[:, :few], axis=1)
    at = rows[:, None, None], np.arange(lessons.context.shape[1])[:, None], seen[:, None, :]
    lines = torch.from_numpy(lessons.lines[at]).float() / 255.0
    return network(lines, torch.from_numpy(lessons.context[at])), torch.from_numpy(lessons.label[rows])


def probabilities(network: UniversalNetwork, lessons: Lessons, *, batch: int = 64) -> np.typing.NDArray[np.float64]:
    """Return what the network says of each lesson, shape (lessons, classes)."""
    out = []
    with torch.no_grad():
        for start in range(0, lessons.label.size, batch):
            lines = torch.from_numpy(lessons.lines[start : start + batch]).float() / 255.0
            logits = network(lines, torch.from_numpy(lessons.context[start : start + batch]))
            out.append(torch.softmax(logits, dim=1).double().numpy())
    return np.concatenate(out)
