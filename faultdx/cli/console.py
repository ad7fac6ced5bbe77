"""stdout, stderr, progress and exit codes: the one place where the command line meets the terminal.

stdout carries the result alone; everything else goes to stderr. No bar and no colour without a terminal.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from faultdx.errors import FaultdxError, OutputError
from faultdx.files import show

DONE, INTERNAL, USAGE, REACHED, UNFIT, NOT_WRITTEN = range(6)
PIPE_CLOSED = 128 + 13  # what a shell reports of a program that SIGPIPE ended

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked the program to end; `signum` says which."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Settings:
    """What --quiet and --verbose said."""

    quiet = False
    verbose = False


def out(text: str) -> None:
    """Write one line of the result to stdout, at once. A closed pipe ends the program without a word."""
    if sys.stdout is None:  # started with its descriptor closed
        raise OutputError("standard output: is closed; send it to a file, or to /dev/null")
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        raise SystemExit(PIPE_CLOSED) from None
    except (OSError, ValueError) as error:  # ValueError: stdout is closed
        _silence(sys.stdout)
        raise OutputError(f"standard output: cannot be written: {error}") from error


def out_json(text: str) -> None:
    """Write one JSON text; what stdout's encoding cannot hold is spelled as JSON spells it, so that it stays JSON."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text))
    out(text)


def _silence(stream: Any) -> None:
    """Point a dead stream at nothing, so that the interpreter does not complain of it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str) -> None:
    """Write one line to stderr, whatever --quiet says: errors."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def note(text: str) -> None:
    """Write one line to stderr unless --quiet."""
    if not Settings.quiet:
        say(text)


def error_line(error: BaseException) -> str:
    """Return the line that an error gets."""
    return f"faultdx: error: {one_line(str(error))}"


def one_line(text: str) -> str:
    """Return `text` on one line, control characters spelled out."""
    return show(" ".join(text.split("\n")))


Step = Callable[[str, int, int], None]


def progress_is_shown() -> bool:
    """Whether somebody watches: stderr is a terminal, and --quiet was not said."""
    return not Settings.quiet and sys.stderr is not None and sys.stderr.isatty()


@contextlib.contextmanager
def progress() -> Iterator[Step]:
    """Give a function (what, done, total) that draws a bar on a terminal, and does nothing anywhere else."""
    if not progress_is_shown():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # redirect_stdout would send the results to stderr, away from the file or the pipe that they are meant for
    bare = not console.is_terminal
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=bare) as bar:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, total: int) -> None:
            key = what.partition(":")[0]
            if key not in tasks:
                tasks[key] = bar.add_task(Text(what).plain, total=total)
            bar.update(tasks[key], completed=done, total=total, description=what.replace("[", "\\["))

        yield step


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Draw a table on the terminal that stdout is."""
    from rich.console import Console
    from rich.text import Text

    from faultdx.cli.tables import lines

    console = Console()
    try:
        for part in lines(header, rows, width=console.width):
            console.print(part, soft_wrap=isinstance(part, Text))  # the name of a file stays one word
    except BrokenPipeError:
        _silence(sys.stdout)
        raise SystemExit(PIPE_CLOSED) from None


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


_stopped: list[int] = []
_AGAIN_S = 0.02  # until a signal that came in the middle of an import is looked at again
_LONGEST_IMPORT_S = 3.0  # waited for: a signal is obeyed within 10 s, and a library may be slow to load
_late: list[float] = []  # when the signals came that wait for the end of an import
_ended: list[bool] = []  # the run is over, and its exit code stands: what libraries tidy up is not to be disturbed


def _raise_stopped(signum: int, frame: FrameType | None) -> None:
    """End the run; in the middle of an import, after it.

    An exception that comes out of the initialisation of a C library may take the process down (torch aborts), or come
    out as another one.
    """
    if _ended:
        return
    _stopped.append(signum)
    if not _imports(frame):
        _forget_late()
        raise Stopped(signum)
    if not _late:
        _late.append(time.monotonic())
        signal.signal(signal.SIGALRM, _look_again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)


def _look_again(_signum: int, frame: FrameType | None) -> None:
    if _ended or not _late:
        return
    if not _imports(frame):
        _forget_late()
        raise Stopped(_stopped[0])
    if time.monotonic() - _late[0] > _LONGEST_IMPORT_S:
        os._exit(128 + _stopped[0])  # what is on the disk is whole at any moment


def _forget_late() -> None:
    if _late:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        _late.clear()


def _imports(frame: FrameType | None) -> bool:
    """Tell whether `frame` is part of an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


class StopFlag:
    """Which signal asked for an end: calling it gives the signal's number, or 0.

    began : whether signals were ever held
    """

    def __init__(self) -> None:
        self.began = False
        self._seen: list[int] = []

    def __call__(self) -> int:
        """Return the number of the signal that came while signals were held, or 0."""
        return self._seen[0] if self._seen else 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within the block signals only set the flag, which is asked between two steps. A second one ends it at once.

        nohup stays in force: a signal that is ignored stays ignored.
        """
        self.began = True

        def handler(signum: int, frame: FrameType | None) -> None:
            if self._seen:
                _raise_stopped(signum, frame)
            self._seen.append(signum)

        before = {s: signal.signal(s, handler) for s in _SIGNALS if signal.getsignal(s) is not signal.SIG_IGN}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)


@contextlib.contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Within the block signals only set a flag: the function given returns the signal's number, or 0.

    A second signal of the same run ends it at once.
    """
    flag = StopFlag()
    with flag.held():
        yield flag


def _buffered(stream: Any) -> Any:
    """Return a stdout that writes all or raises: that of PYTHONUNBUFFERED (or `python -u`) drops what does not fit.

    A disk that fills up, or a pipe that is not waited for, takes a part of what is written, and says so in a number
    that nobody looks at.
    """
    raw = getattr(stream, "buffer", None)
    ours = stream is sys.__stdout__  # what somebody has put in its place is for him to care for
    if not ours or not isinstance(raw, io.RawIOBase):
        return stream
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True)


def _occupy_descriptors() -> None:
    """Put /dev/null where a standard stream was closed.

    Else the next file that is opened gets its number, and what a library writes to descriptor 2 lands in that file.
    """
    with contextlib.suppress(OSError):
        number = os.open(os.devnull, os.O_RDWR)
        while number <= 2:
            number = os.open(os.devnull, os.O_RDWR)
        os.close(number)


def _is_of_stdout(error: Exception) -> bool:
    """Tell whether stdout could not be written, by Typer (the help) or rich (a table): they write no files."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = "" if frame is None else str(frame.tb_frame.f_globals.get("__name__", ""))
    return isinstance(error, OSError) and where.partition(".")[0] in {"typer", "click", "rich"}


def _missing(error: ModuleNotFoundError) -> str:
    """Return what to say of a package that an extra brings, '' of any other."""
    from faultdx.extras import sentence

    return sentence(error.name or "", what="this")


def run(app: Callable[[], Any]) -> None:
    """Run the command line: every way out of it is an exit code and at most one line on stderr."""
    _occupy_descriptors()
    # numpy's linear algebra: arrays of this size gain nothing from a second thread and lose much to a busy neighbour
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = _buffered(sys.stdout)
    _ended.clear()
    _stopped.clear()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, _raise_stopped)
    try:
        _run(app)
    except Stopped as stopped:  # while another end was being said
        raise SystemExit(128 + stopped.signum) from None
    finally:
        _ended.append(True)


def _run(app: Callable[[], Any]) -> None:
    try:
        app()
    except FaultdxError as error:
        say(error_line(error))
        raise SystemExit(error.exit_code) from None
    except Stopped as stopped:
        raise SystemExit(128 + stopped.signum) from None
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer ends so when nobody reads its help, with 1
            raise SystemExit(PIPE_CLOSED) from None
        raise
    except BrokenPipeError:
        _silence(sys.stdout)
        raise SystemExit(PIPE_CLOSED) from None
    except MemoryError:
        say("faultdx: error: out of memory; fewer records at once, or a larger machine")
        raise SystemExit(INTERNAL) from None
    except Exception as error:
        if _stopped:  # in the middle of an import, which makes an error of its own of it
            raise SystemExit(128 + _stopped[0]) from None
        if _is_of_stdout(error):
            _silence(sys.stdout)
            say(f"faultdx: error: standard output: cannot be written: {one_line(str(error))}")
            raise SystemExit(NOT_WRITTEN) from None
        if isinstance(error, ModuleNotFoundError) and (missing := _missing(error)):
            say(f"faultdx: error: {missing}")
            raise SystemExit(USAGE) from None
        if isinstance(error, OSError) and error.filename is not None:
            from faultdx.files import show

            reason = (error.strerror or type(error).__name__).lower()
            name = show(os.fsdecode(error.filename))
            say(f"faultdx: error: {name}: {reason}; check the path, its rights and the disk")
            raise SystemExit(NOT_WRITTEN) from None
        say(f"faultdx: internal error: {type(error).__name__}: {one_line(str(error))}")
        if Settings.verbose or os.environ.get("FAULTDX_DEBUG"):
            say(traceback.format_exc())
        else:
            say("faultdx: this is a fault of faultdx; FAULTDX_DEBUG=1 shows where")
        raise SystemExit(INTERNAL) from None


def flush() -> None:
    """Write what stdout and stderr still hold. Raises OSError or ValueError where they cannot take it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
