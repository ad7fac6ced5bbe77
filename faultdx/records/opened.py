"""A name -> a file whose variables are listed; its digest and its entry of the catalogue when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultdx.records.contents import Contents
from faultdx.records.cwru_names import SIGNAL_NAME
from faultdx.records.formats import default_budget_bytes, open_contents
from faultdx.records.mirror import Mirror
from faultdx.records.opening import blob_id, fetch, sha256_of
from faultdx.records.statements import stated_rpms

if TYPE_CHECKING:
    from faultdx.records.cwru import Entry


class Opened:
    """A file that was told apart, and whose variables are listed. Nothing in it changes.

    path : as the user named it; size_bytes : of its bytes; contents : its variables
    sha256 : the digest of its bytes; entry : of the CWRU catalogue, and whether by its `exact` bytes
    variable : that its name asked for (`x.h5:run/a`); room_bytes : what decoding may take, where that is known

    Digest and catalogue take every byte of the file. Where they are not given, they are worked out from `data` when
    they are asked for: the bytes that the variables are decoded from. RecordError where those cannot be read.
    """

    def __init__(
        self,
        path: str,
        size_bytes: int,
        sha256: str | None,
        contents: Contents,
        entry: Entry | None = None,
        exact: bool | None = None,
        variable: str | None = None,
        room_bytes: int | None = None,
        *,
        data: bytes | Mirror = b"",
    ) -> None:
        """Take what is known; `sha256` None, and `exact` None for the catalogue, say that it is not known yet."""
        self.path, self.size_bytes, self.contents = path, size_bytes, contents
        self.variable, self.room_bytes = variable, room_bytes
        self._data, self._sha256 = data, sha256
        self._found = None if exact is None else (entry, exact)

    @property
    def sha256(self) -> str:
        """The digest of the file's bytes, in hexadecimal."""
        if self._sha256 is None:
            self._sha256 = sha256_of(self._whole())
        return self._sha256

    @property
    def entry(self) -> Entry | None:
        """The file's entry of the CWRU catalogue, by its bytes or else by its variables; None where it has none."""
        return self._catalogued()[0]

    @property
    def exact(self) -> bool:
        """Whether the catalogue knows its very bytes."""
        return self._catalogued()[1]

    def _whole(self) -> bytes | memoryview:
        return self._data.whole() if isinstance(self._data, Mirror) else self._data

    def _catalogued(self) -> tuple[Entry | None, bool]:
        if self._found is None:
            self._found = self._look_up()
        return self._found

    def _look_up(self) -> tuple[Entry | None, bool]:
        # no other file can be in the catalogue, and a digest of 3 MB costs as much as reading them
        signals = [m for v in self.contents.variables if (m := SIGNAL_NAME.match(v.name))]
        if not signals:
            return None, False
        from faultdx.records import cwru

        if not any(int(m["number"]) in cwru.numbers() for m in signals):
            return None, False
        if (entry := cwru.find(blob_id(self._whole()))) is not None:
            return entry, True
        rpms = stated_rpms(self.contents, cwru_record=f"X{signals[0]['number']}")
        return cwru.find_by_variables(self.contents.variables, rpm=rpms[0].value if rpms else None), False


def open_item(path: str) -> Opened:
    """Open a file, standard input, or `FILE:INSIDE`, and list its variables. Raises RecordError.

    Of an uncompressed MATLAB v5 file little more than the headers is read; the rest follows when it is needed.
    """
    found = fetch(path, lazily=True)
    data = found.data if found.mirror is None else found.mirror
    return _opened(data, path, found.variable, found.room_bytes)


def open_bytes(data: bytes, *, name: str, variable: str | None = None, room_bytes: int | None = None) -> Opened:
    """List the variables of a file's bytes.

    variable : the one that holds the signal, where the name says so; room_bytes : the most memory that decoding may
    take, where the file does not tell (it came out of an archive)

    Raises RecordError.
    """
    return _opened(data, name, variable, room_bytes)


def _opened(data: bytes | Mirror, name: str, variable: str | None, room_bytes: int | None) -> Opened:
    size = data.size if isinstance(data, Mirror) else len(data)
    budget = None if room_bytes is None else max(0, min(room_bytes, default_budget_bytes(size)))
    contents = open_contents(data, name=name, budget_bytes=budget)
    return Opened(name, size, None, contents, variable=variable, room_bytes=room_bytes, data=data)
