"""What `evaluate` keeps in its journal: logits batch by batch, what records came to, and the figures of a condition.

Each is named after all that decides it: the model and the file by their digests, the batch, the noise, the seed. What
is kept under another name is not asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.dataset import Prepared
from faultdx.diagnosis import Diagnosis
from faultdx.evaluation import Condition, Known
from faultdx.inference import Network
from faultdx.intake import parse_json
from faultdx.journal import Journal
from faultdx.model import Model
from faultdx.records.record import Record

_MOST_TEXT = 1 << 26  # bytes of an entry in JSON
_REST_BYTES = 16 << 20  # the evaluation itself, and what is kept besides logits


class Memory:
    """What was worked out by an interrupted `evaluate`; without a journal it remembers nothing.

    logits_bytes : how much all logits are; where the disk has no room for them nothing is kept
    """

    def __init__(self, journal: Journal | None, *, logits_bytes: int = 0) -> None:
        fits = journal is not None and journal.room(_REST_BYTES, logits_bytes + _REST_BYTES - journal.size)
        self._journal = journal if fits else None

    @property
    def on(self) -> bool:
        """Whether anything is kept."""
        return self._journal is not None

    def logits(self, network: Network, prepared: Prepared, *, seed: int) -> Known | None:
        """Return what `evaluation.logits_under` asks for the logits that are known."""
        if self._journal is None:
            return None

        def known(
            condition: Condition, part: npt.NDArray[np.int64], work: Callable[[], npt.NDArray[np.float32]]
        ) -> npt.NDArray[np.float32]:
            about = [network.digest, prepared.digest, condition.kind, condition.snr_db, condition.in_file, seed]
            return self._array([*about, _digest(part)], (len(part), len(network.classes)), work)

        return known

    def _array(
        self, name: Sequence[Any], shape: tuple[int, ...], work: Callable[[], npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float32]:
        assert self._journal is not None
        key, size = json.dumps(["logits", *name]), 4 * math.prod(shape)
        found = self._journal.get(key, most=size)
        if found is not None and len(found) == size:
            array = np.frombuffer(found, np.float32).reshape(shape)
            if np.isfinite(array).all():
                return array
        array = np.ascontiguousarray(work(), np.float32)
        self._journal.put(key, array.data)
        return array

    def plain(self, name: Sequence[Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a mapping of plain JSON values: the one that is kept under this name, or that of `work`."""
        if self._journal is None:
            return work()
        key = json.dumps(["plain", *name], default=str, sort_keys=True)
        found = self._journal.get(key, most=_MOST_TEXT)
        if found is not None:
            try:
                value = parse_json(found)
            except ValueError:
                value = None
            if isinstance(value, dict):
                return value
        made = work()
        self._journal.put(key, json.dumps(made).encode("ascii"))
        return made


class RememberingModel(Model):
    """A model that keeps what its diagnoses came to, and no more of them: what `estrangement.examine` asks."""

    def __init__(self, network: Network, memory: Memory) -> None:
        super().__init__(network)
        self._memory = memory

    def diagnose(self, record: Record, *, min_confidence: float | None = None, quality: str = "refuse") -> Diagnosis:
        """Return status, fault, familiarity ("flagged" alone) and the conformal set of a record."""

        def work() -> dict[str, Any]:
            found = super(RememberingModel, self).diagnose(record, min_confidence=min_confidence, quality=quality)
            return {
                "status": found.status,
                "fault": found.fault,
                "familiarity": found.familiarity and {"flagged": bool(found.familiarity.get("flagged"))},
                "conformal_set": found.conformal_set and list(found.conformal_set),
            }

        if not self._memory.on:
            return super().diagnose(record, min_confidence=min_confidence, quality=quality)
        facts = [str(getattr(record, f.name)) for f in fields(Record) if f.name != "signal"]
        name = ["outcome", self.digest, _digest(record.signal), record.signal.shape, facts, min_confidence, quality]
        told = self._memory.plain(name, work)
        classes = told.get("conformal_set")
        told = told | {"conformal_set": None if classes is None else tuple(classes)}
        return Diagnosis(file=record.path, sha256=record.sha256, **told)


def _digest(array: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
