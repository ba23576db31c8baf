"""Memory that a training keeps."""

import ctypes
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bench.training import allocator
from bench.training.allocator import kept_memory

GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


SIZE = 256 << 20


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def used_and_freed() -> tuple[int, int]:
    """Return how much is in memory while a large buffer is used, and after it was freed."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    place = library.malloc(SIZE)
    ctypes.memset(place, 1, SIZE)
    used = resident()
    library.free(place)
    return used, resident()


def measure() -> None:
    """Look at memory that is freed in a training and behind it."""
    with kept_memory("cpu"):
        used, freed = used_and_freed()
        assert used - freed < SIZE / 8
    assert used - resident() > SIZE * 7 / 8
    used, freed = used_and_freed()
    assert used - freed > SIZE * 7 / 8


@GLIBC
@pytest.mark.process
def test_freed_memory_is_kept_and_given_back_at_the_end() -> None:
    subprocess.run([sys.executable, __file__], check=True)  # a heap of gigabytes may be unable to grow in its place


def test_a_gpus_memory_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("the C library's settings were changed"))
    with kept_memory("cuda"):
        pass


if __name__ == "__main__":
    measure()
