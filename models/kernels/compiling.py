"""Compilation of kernels by numba, with a cache on disk that notices a change of any kernel's source.

numba keeps a compiled function until its own file changes. A kernel also contains the code of what it calls and the
instructions that `simd` and `lanes` write, so here it is kept until the contents of any file of this folder change.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import IndexDataCacheFile


def compiled(function: Callable[..., Any], nogil: bool = False) -> Callable[..., Any]:
    """Return the function compiled at its first call for these types of arguments, or read from the cache.

    Args:
        function: in numba's part of Python.
        nogil: whether other threads of Python run meanwhile.
    """
    dispatcher: Any = numba.njit(fastmath={"contract"}, error_model="numpy", cache=True, nogil=nogil)(function)
    kept = dispatcher._cache
    files: Any = IndexDataCacheFile
    kept._cache_file = files(kept.cache_path, kept._impl.filename_base, source_stamp=sources())
    return dispatcher  # type: ignore[no-any-return]


@cache
def sources() -> str:
    """Return the digest of the files of this folder as they are at the first call."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()
