"""How the C library's allocator treats arrays of a few MB: kept for the next one instead of given back.

glibc maps a large block anew for each array and gives it back with it; the next one faults in every page again. For
arrays of 1 MB that costs more than the arithmetic on them (benchmarks/fleet.py).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT = 64 << 20  # bytes at the top of the heap that are not given back
_LARGEST = 32 << 20  # bytes; the most that glibc takes from the heap


def keep_memory() -> bool:
    """Let this process keep freed memory for its next array; True where that was possible (glibc).

    For a program of its own, such as the command line: a library must not decide that for its host.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library, another system
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
