"""Memory that a training keeps."""

import ctypes
import platform
import resource

import pytest

from bench.training import allocator
from bench.training.allocator import kept_memory

GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


def faults(times: int) -> int:
    """Return the page faults of `times` buffers of 64 MiB, each filled and freed."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        place = library.malloc(64 << 20)
        ctypes.memset(place, 1, 64 << 20)
        library.free(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@GLIBC
def test_freed_memory_is_used_again_and_given_back_at_the_end() -> None:
    pages = (64 << 20) // resource.getpagesize()
    with kept_memory("cpu"):
        faults(1)
        assert faults(3) < pages // 4
    assert faults(3) > pages


def test_a_gpus_memory_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("the C library's settings were changed"))
    with kept_memory("cuda"):
        pass
