"""The software and the machine of a run: commit, versions, processor, threads. Importing this never imports torch."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

from bench.errors import ArgumentError, RunError
from bench.records import Environment

PACKAGES = ("torch", "torchaudio", "lightning", "numpy", "scipy", "soundfile", "soxr")
"""Packages whose version can change a number."""

DEVICES = ("auto", "cpu", "cuda")

PROJECT = Path(__file__).resolve().parents[2]


@cache
def environment(threads: int, device: Literal["cpu", "cuda"]) -> Environment:
    """Describe this process; the caller gives its number of threads and the device of its training."""
    commit, dirty = git_state(PROJECT)
    return Environment(
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        packages=versions(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=processor(),
        cores=usable_cores(),
        gpu=gpu() if device == "cuda" else None,
        threads=threads,
    )


def git_state(folder: Path) -> tuple[str | None, bool]:
    """Return the commit of the repository at `folder`, and whether tracked files differ from it.

    Untracked files, `leaderboards/` and `runs/` do not count, because results must not make the next result look
    edited. A folder inside another repository (an installed copy) has no commit.
    """
    top, _, commit = (git(folder, "rev-parse", "--show-toplevel", "HEAD") or "").partition("\n")
    if not commit or Path(top).resolve() != folder.resolve():
        return None, False
    results = (":(exclude)leaderboards", ":(exclude)runs")
    changes = git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", *results)
    return commit, changes != ""


def versions() -> dict[str, str]:
    """Return the versions of the installed packages among `PACKAGES`."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@cache
def processor() -> str:
    """Return the processor's name from the operating system."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def gpu() -> str | None:
    """Return the name of the GPU in use; None without one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def check_device(asked: str) -> None:
    """Raise `ArgumentError` unless a device is "auto", "cpu" or "cuda"."""
    if asked not in DEVICES:
        raise ArgumentError(f"there is no device {asked!r}: choose one of {', '.join(DEVICES)}")


def chosen_device(asked: str) -> Literal["cpu", "cuda"]:
    """Return the device for "cpu", "cuda" or "auto"; "auto" is the GPU if there is one.

    Raises:
        ArgumentError: it is another word.
        RunError: "cuda" was asked for, but there is no GPU.
    """
    import torch

    check_device(asked)
    if asked == "cuda" and not torch.cuda.is_available():
        raise RunError("torch sees no CUDA device: use --device cpu, or install the CUDA build of torch")
    return "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"


def set_threads(threads: int) -> None:
    """Set torch's intra-operator threads, and its inter-operator threads if that is still possible.

    Inter-operator threads can be set only once, before the first parallel work of the process; later calls do not
    change them.
    """
    import torch

    torch.set_num_threads(threads)
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(threads)


def load_average() -> float:
    """Return the machine's load average over one minute; 0 if the system does not report it (Windows)."""
    average = getattr(os, "getloadavg", None)
    return average()[0] if average else 0.0


def usable_cores() -> int:
    """Return the number of processors for this process: its affinity mask, or a container's quota if that is less."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cgroup_cores(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return max(1, min(cores, int(quota))) if quota else cores


def cgroup_cores(root: Path, membership: Path) -> float | None:
    """Return the smallest processor quota of this process's control groups, in cores; None without a quota.

    Args:
        root: mount point of the control groups.
        membership: file with the name of the process's group.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in membership.read_text().splitlines():
            if line.startswith("0::"):  # version 2: any ancestor may have the quota
                group = root / line.removeprefix("0::").strip().lstrip("/")
                files = [folder / "cpu.max" for folder in (group, *group.parents) if folder.is_relative_to(root)]
                limits = [file.read_text().split() for file in files if file.is_file()]
                return min((int(quota) / int(period) for quota, period in limits if quota != "max"), default=None)
        quota, period = (int((root / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else None
    return None


def git(folder: Path, *arguments: str) -> str | None:
    """Return git's output; None if git is not installed or the folder is not a repository."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, env=variables, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def default_workers(device: str, threads: int) -> int:
    """Return how many runs to train at the same time: one per core, or one where there is a GPU to share."""
    if device != "cpu" and shutil.which("nvidia-smi"):
        return 1
    return max(1, usable_cores() // threads)
