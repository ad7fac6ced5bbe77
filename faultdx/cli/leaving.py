"""The end of the process, without the time that it takes to take everything apart first."""

from __future__ import annotations

import atexit
import os
import sys

from faultdx.cli import console


def leave(code: object) -> None:
    """End the process now with this exit code, where nothing is left to be done; return where something is.

    To take numpy and onnxruntime apart, object by object, takes a fifth of a short call, and the system frees all of it
    at once. What wants to be told of the end (`atexit`: logging, temporary files, processes of multiprocessing) is
    told. The usual way is left to threads that are to be waited for, to a profiler or a debugger, to `python -i`, and
    to a stdout that cannot take what is still to be written.
    """
    threading = sys.modules.get("threading")
    waited_for = threading is not None and any(
        not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()
    )
    watched = sys.gettrace() is not None or sys.getprofile() is not None
    if waited_for or watched or sys.flags.interactive or os.environ.get("PYTHONINSPECT"):
        return
    if code is not None and not isinstance(code, int):
        return
    try:
        atexit._run_exitfuncs()
        console.flush()
    except Exception:  # the interpreter says what is wrong, and with which code
        return
    os._exit((code or 0) & 0xFF)
