"""The name of a recording on another machine, and back.

A worker of a cluster has another working folder. It is given the absolute name, and what it says names the recording
as the user did, so that its words are those of a local run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from faultdx.files import show
from faultdx.records.handles import STANDARD_INPUT, locate


@dataclass(frozen=True)
class Name:
    """A recording `as_named` by the user in `folder`, the working folder there; None where that is this one."""

    as_named: str
    folder: str | None = None

    @property
    def absolute(self) -> str:
        """The name to open it by. Nothing is tidied up in it: `a//b` may mean something inside an archive."""
        if self.folder is None or os.path.isabs(self.as_named) or self.as_named == STANDARD_INPUT:  # noqa: PTH117
            return self.as_named
        return os.path.join(self.folder, self.as_named)  # noqa: PTH118 - Path would tidy up

    def words(self, text: str) -> str:
        """Return a message that names the recording by `absolute`, with the name as the user gave it."""
        if self.absolute == self.as_named:
            return text
        before = len(self.absolute) - len(self.as_named)
        file = locate(self.absolute).file  # of FILE:INSIDE a message may name the file alone
        return text.replace(show(file), show(file[before:]))

    @property
    def is_seen(self) -> bool:
        """Whether this machine has a file of that name, whatever it is."""
        try:
            return os.path.lexists(locate(self.absolute).file)
        except ValueError:  # a NUL byte in the name: no machine has it
            return False


def not_seen(name: str, host: str) -> str:
    """Return the message for a recording that this machine sees and the worker on `host` does not."""
    return (
        f"{show(name)}: is there, but the worker on {show(host)} cannot see it: the workers need the same folders "
        "under the same names (a shared file system)"
    )
