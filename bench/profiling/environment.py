"""Where a run runs: commit, versions, processor, threads. Importing this never imports torch."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

from bench.errors import RunError
from bench.records import Environment

PACKAGES = ("torch", "torchaudio", "lightning", "numpy", "scipy", "soundfile", "soxr")
"""Packages whose version can change a number."""

PROJECT = Path(__file__).resolve().parents[2]


@cache
def environment(threads: int, device: Literal["cpu", "cuda"]) -> Environment:
    """Describe this process; `threads` is what the caller has set, `device` where it trains."""
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

    Untracked files do not count, nor do `leaderboards/` and `runs/`: results must not make the next result look edited.
    A folder that merely lies inside somebody else's repository (an installed copy) has no commit.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    commit = _git(folder, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top).resolve() != folder.resolve():
        return None, False
    results = (":(exclude)leaderboards", ":(exclude)runs")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", *results)
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
    """Return the processor's name, as the operating system has it."""
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


def chosen_device(asked: str) -> Literal["cpu", "cuda"]:
    """Return the device that "cpu", "cuda" or "auto" stands for; "auto" is the GPU where there is one.

    Raises:
        RunError: cuda was asked for and is not there.
    """
    import torch

    if asked == "cuda" and not torch.cuda.is_available():
        raise RunError("torch sees no CUDA device: use --device cpu, or install the CUDA build of torch")
    return "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"


def set_threads(threads: int) -> None:
    """Set torch's intra-operator threads, and its inter-operator threads where that is still possible.

    The latter can be set only once, before the first parallel work of the process; later calls leave them as they are.
    """
    import torch

    torch.set_num_threads(threads)
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(threads)


def load_average() -> float:
    """Return how many processes the machine ran in the last minute; 0 where the system does not say (Windows)."""
    average = getattr(os, "getloadavg", None)
    return average()[0] if average else 0.0


def usable_cores() -> int:
    """Return the logical processors this process may use: its affinity mask, or a container's quota if that is less."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cgroup_cores(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return max(1, min(cores, int(quota))) if quota else cores


def cgroup_cores(root: Path, membership: Path) -> float | None:
    """Return the smallest processor quota of this process's control groups, in cores; None where there is none.

    Args:
        root: where the control groups are mounted.
        membership: file that says which group the process is in.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in membership.read_text().splitlines():
            if line.startswith("0::"):  # version 2: any ancestor may hold the quota
                group = root / line.removeprefix("0::").strip().lstrip("/")
                files = [folder / "cpu.max" for folder in (group, *group.parents) if folder.is_relative_to(root)]
                limits = [file.read_text().split() for file in files if file.is_file()]
                return min((int(quota) / int(period) for quota, period in limits if quota != "max"), default=None)
        quota, period = (int((root / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else None
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None where it is not installed or this is no repository."""
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
