"""What can go wrong, as a tree.

    FaultdxError
      RecordError    a recording cannot be read, or is unfit for use           exit 4
        UnusableError    it was read, and its signal must not be diagnosed     exit 4
      DatasetError   a prepared file is missing, foreign, or unfit             exit 2
      ModelError     a model folder is missing, foreign, or inconsistent       exit 2
      ConfigError    an option or a configuration value is wrong               exit 2
      OutputError    an output cannot be written                               exit 5

Each message is one line that names the file, the cause and the cure. One
place catches them: `faultdx.cli.console`.
"""

from __future__ import annotations

import math


class FaultdxError(Exception):
    """Base of every error that faultdx raises on purpose; its text is one line for the user."""

    exit_code = 1
    kind = "internal"


class RecordError(FaultdxError):
    """A recording cannot be read, or is unfit for use. `path` is the recording as the user named it."""

    exit_code = 4
    kind = "record"

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class UnusableError(RecordError):
    """A recording was read, and its signal must not be diagnosed: `check` names the rule, `value` is beyond `limit`.

    sha256, channels : of the recording, where they are known
    """

    kind = "unusable"
    sha256 = ""
    channels: tuple[str, ...] = ()

    def __init__(
        self,
        message: str,
        path: str | None = None,
        *,
        check: str = "",
        value: float = math.nan,
        limit: float = math.nan,
    ) -> None:
        super().__init__(message, path)
        self.check, self.value, self.limit = check, value, limit


class DatasetError(FaultdxError):
    """A prepared file is missing, foreign, damaged, or unfit for what is asked of it.

    `skipped` : the records that were left out before, each with its reason
    """

    exit_code = 2
    kind = "dataset"
    skipped: tuple[RecordError, ...] = ()


class ModelError(FaultdxError):
    """A model folder is missing, foreign, damaged, or inconsistent."""

    exit_code = 2
    kind = "model"


class ConfigError(FaultdxError):
    """An option or a configuration value is wrong; every problem found is in the message."""

    exit_code = 2
    kind = "config"


class OutputError(FaultdxError):
    """An output cannot be written, or would overwrite what is there."""

    exit_code = 5
    kind = "output"
