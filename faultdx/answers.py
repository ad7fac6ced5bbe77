"""Item -> Answer: what a run of `diagnose` needs of one recording, and no samples.

It is the one function that a diagnosis runs through, in this process, in another or on another machine: texts are
made where the samples are, so that a recording's samples never travel and no run keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faultdx.diagnosis import Diagnosis, reached
from faultdx.errors import ModelError
from faultdx.files import show
from faultdx.inference import model_folder
from faultdx.mapping.names import Name, not_seen
from faultdx.model import Model, load_model
from faultdx.records.table import Item

if TYPE_CHECKING:
    from faultdx.baseline import Baseline
    from faultdx.report.index import Listed
    from faultdx.report.row import Row
    from faultdx.untrained import Untrained

_MOST_BYTES = 1 << 30  # of a model folder that is sent to a cluster


@dataclass(frozen=True)
class Wanted:
    """What an Answer should hold, and how the model is to be asked.

    line, json, cells, row, page : the line for a person, the JSON of the schema, the cells of a table, the Row of the
    history, the HTML report, with its row of the list; trend : the report has a place for the trend
    min_confidence, quality : as in `Model.diagnose`; fail_on : results that count as reached
    """

    min_confidence: float | None = None
    quality: str = "refuse"
    fail_on: frozenset[str] = frozenset()
    line: bool = False
    json: bool = False
    cells: bool = False
    row: bool = False
    page: bool = False
    trend: bool = False


@dataclass(frozen=True)
class Answer:
    """What is left of a diagnosis when its samples are gone: texts and a few flags.

    unfit : it could not be read, or is unusable; complaint : what is to be said of that; sha256 : of the bytes, ""
    where there is no diagnosis of them; unseen_on : the machine that cannot see the file, "" where it was seen
    """

    sha256: str
    reached: bool
    unfit: bool
    complaint: str | None = None
    line: str | None = None
    json: str | None = None
    cells: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    row: Row | None = None
    page: bytes | None = None
    listed: Listed | None = None
    unseen_on: str = ""


@dataclass(frozen=True)
class Packed:
    """A model folder as bytes: it is sent to where it is needed. name : of the folder, for messages."""

    name: str
    files: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, path: str | Path) -> Packed:
        """Read a run folder's model, or its model/. Raises ModelError."""
        folder = model_folder(path)
        try:
            found = [p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix != ".md"]
            if sum(p.stat().st_size for p in found) > _MOST_BYTES:
                raise ModelError(f"{show(folder)}: is larger than what is sent to a cluster ({_MOST_BYTES >> 20} MiB)")
            return cls(show(folder), {p.name: p.read_bytes() for p in found})
        except OSError as error:
            raise ModelError(f"{show(folder)}: cannot be read: {error.strerror}") from error

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder with the model in it, for as long as the block lasts."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="faultdx-model-") as scratch:
            for name, data in self.files.items():
                (Path(scratch) / name).write_bytes(data)
            yield Path(scratch)


class Answerer:
    """The function Item -> Answer, with its model: `answerer(item)`. Pickled, it leaves the model behind, which
    `begin` opens again.

    model : a folder that the other process can open, or its bytes, or what needs none; digest : what it has to be
    folder : the working folder that names are relative to, where it may be another one; None: it is this one
    baseline : what a model from a folder is to compare with; what has no folder has its own
    """

    def __init__(
        self,
        model: str | Path | Packed | Untrained,
        wanted: Wanted,
        *,
        digest: str,
        threads: int = 1,
        folder: str | None = None,
        hears: bool = False,
        baseline: Baseline | None = None,
    ) -> None:
        self._baseline = baseline
        self._source, self._wanted, self._digest = model, wanted, digest
        self._threads, self._folder, self._hears = threads, folder, hears
        self._loaded: Model | Untrained | None = None

    @classmethod
    def of(cls, model: Model | Untrained, wanted: Wanted) -> Answerer:
        """Return an Answerer whose model is open already; it stays in this process."""
        answerer = cls("", wanted, digest=model.digest)
        answerer._loaded = model
        return answerer

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loaded": None}

    def begin(self) -> None:
        """Open the model. Raises ModelError: it cannot be opened, or is not the one that was meant."""
        if self._loaded is not None:
            return
        if not isinstance(self._source, str | Path | Packed):
            self._loaded = self._source  # it has no folder
            return
        if isinstance(self._source, Packed):
            with self._source.folder() as folder:
                try:
                    found = load_model(folder, threads=self._threads, hears=self._hears)
                except ModelError as error:
                    raise ModelError(str(error).replace(show(folder), self._source.name)) from error
        else:
            found = load_model(self._source, threads=self._threads, hears=self._hears)
        if found.digest != self._digest:
            name = self._source.name if isinstance(self._source, Packed) else show(self._source)
            raise ModelError(f"{name}: the model changed while it was used: run this again")
        found.baseline = self._baseline
        self._loaded = found

    def __call__(self, item: Item) -> Answer:
        """Diagnose a recording. Never raises for one."""
        self.begin()
        assert self._loaded is not None
        name = Name(item.path, self._folder)
        far = item if name.absolute == item.path else replace(item, path=name.absolute)
        found = self._loaded.diagnose_item(
            far, min_confidence=self._wanted.min_confidence, quality=self._wanted.quality
        )
        if far is not item:
            found = _renamed(found, name)
        answer = answer_of(found, far, self._loaded, self._wanted)
        if self._folder is None or found.error is None or name.is_seen:
            return answer
        import platform

        return replace(answer, unseen_on=platform.node() or "another machine")


def answer_of(found: Diagnosis, item: Item, model: Model | Untrained, wanted: Wanted) -> Answer:
    """Return what `wanted` asks for of a diagnosis that still has its record."""
    from faultdx.report.document import to_json
    from faultdx.report.text import asides, one_line, table_rows

    if wanted.page and isinstance(model, Model):  # nobody else looks at why
        found = model.explained(found)
    if wanted.page and found.record is not None and found.rpm is None and "speed" not in found.evidence:
        from faultdx.unstated import offered

        found = offered(found)
    complaint = None
    if found.error is not None:
        complaint = f"faultdx: error: {found.error['message']}"
    elif found.status == "unusable":
        complaint = f"faultdx: {one_line(found)}"
    row, page, listed = None, None, None
    if wanted.row:
        from faultdx.report.row import row_of

        row = row_of(found, item, healthy=tuple(model.info["healthy"]), min_confidence=wanted.min_confidence)
    if wanted.page:
        from faultdx.report import html, index

        page = html.render(found, model_info=dict(model.info) | model.summary, trend=wanted.trend).encode("utf-8")
        listed = index.listed(found)
    return Answer(
        sha256="" if found.status == "error" else found.sha256,
        reached=reached(found, set(wanted.fail_on) - {"never"}),
        unfit=found.status in ("error", "unusable"),
        complaint=complaint,
        line=one_line(found) if wanted.line else None,
        json=to_json(found) if wanted.json or wanted.row else None,
        cells=tuple(table_rows([found])[1][0]) if wanted.cells else (),
        warnings=(*asides(found), *found.warnings) if wanted.cells else (),
        row=row,
        page=page,
        listed=listed,
    )


def lost_answer(item: Item, message: str, model: Model | Untrained, wanted: Wanted) -> Answer:
    """Return the answer for a recording whose diagnosis did not come to its end, with the reason."""
    error = {"kind": "lost", "message": message}
    return answer_of(Diagnosis(item.path, "", "error", model=model.summary, error=error), item, model, wanted)


def unseen_answer(item: Item, host: str, model: Model | Untrained, wanted: Wanted) -> Answer:
    """Return the answer for a recording that is here and that the worker on `host` cannot see."""
    return lost_answer(item, not_seen(item.path, host), model, wanted)


def _renamed(found: Diagnosis, name: Name) -> Diagnosis:
    words = name.words
    error = found.error and {key: words(value) for key, value in found.error.items()}
    return replace(
        found,
        file=name.as_named,
        error=error,
        warnings=tuple(words(w) for w in found.warnings),
        quality=tuple(replace(c, message=words(c.message)) for c in found.quality),
        record=found.record and replace(found.record, path=name.as_named),
    )
