"""The GPUs of this machine, dealt out to runs: each run sees its own alone. Never imports torch.

GPUs are named by their UUIDs where the driver tells them, because CUDA and nvidia-smi may number them differently.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import SuiteError

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable of the environment with the devices that a process may use, in the order in which it numbers them."""

_LINE = re.compile(r"^(?P<inside>\s*)(?:GPU|MIG).*\(UUID: (?P<uuid>[\w-]+)\)\s*$")


def visible(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the GPUs that this process may use, as values for CUDA_VISIBLE_DEVICES.

    Args:
        environment: variables; None takes those of this process.
    """
    given = (os.environ if environment is None else environment).get(VISIBLE)
    if given is None:
        return _installed()
    found: list[str] = []
    for name in given.split(","):
        if not name.strip() or name.strip().startswith("-"):
            break  # CUDA itself stops at the first name that is none
        found.append(name.strip())
    return tuple(found)


def _installed() -> tuple[str, ...]:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return tuple(str(place) for place, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*")))
    return listed(done.stdout)


def listed(text: str) -> tuple[str, ...]:
    """Return the UUIDs of what `nvidia-smi -L` lists; of a GPU that is divided, those of its parts (MIG)."""
    found: list[list[str]] = []
    for match in filter(None, map(_LINE.match, text.splitlines())):
        if match["inside"] and found:
            found[-1].append(match["uuid"])
        else:
            found.append([match["uuid"]])
    return tuple(uuid for gpu, *parts in found for uuid in parts or [gpu])


def check(device: str) -> None:
    """Check that runs on a GPU find one here.

    Args:
        device: "auto", "cuda" or "cpu".

    Raises:
        SuiteError: there is none.
    """
    if device == "cuda" and not visible() and not Path("/dev/kfd").exists():  # which AMD's driver makes
        raise SuiteError(
            "--device cuda: this machine shows no GPU (see nvidia-smi, CUDA_VISIBLE_DEVICES): leave it out, or use "
            "--device cpu"
        )


def chosen(asked: str | None, device: str, there: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the GPUs to use.

    Args:
        asked: "all", numbers such as "0,2" among the GPUs that this process may use, or None.
        device: "auto", "cuda" or "cpu".
        there: these GPUs; None looks for them.

    Raises:
        SuiteError: there are no such GPUs, or the runs are to be trained on the CPU.
    """
    if asked is None:
        return ()
    if device == "cpu":
        raise SuiteError("--gpus and --device cpu exclude each other: leave one of them out")
    numbers = [part.strip() for part in asked.split(",")]
    whole = asked.strip() == "all"
    if not whole and (
        not all(part.isascii() and part.isdigit() for part in numbers) or len(set(map(int, numbers))) < len(numbers)
    ):
        raise SuiteError(f"--gpus is all, or different numbers such as 0,2, not {asked!r}")
    names = visible() if there is None else tuple(there)
    if not names:
        raise SuiteError("--gpus: this machine shows no NVIDIA GPU (see nvidia-smi, CUDA_VISIBLE_DEVICES)")
    if whole:
        return names
    if wrong := [part for part in numbers if int(part) >= len(names)]:
        has = "one GPU, number 0" if len(names) == 1 else f"the GPUs 0 to {len(names) - 1}"
        raise SuiteError(f"--gpus {asked}: there is no GPU {wrong[0]}; this process may use {has}")
    return tuple(names[int(part)] for part in numbers)


def places(gpus: Sequence[str], per_gpu: int, devices: int = 1) -> tuple[str, ...]:
    """Return what each of the runs that are trained at the same time may see, the least occupied first.

    Args:
        gpus: to deal out.
        per_gpu: runs that share a GPU.
        devices: GPUs of each run.

    Raises:
        SuiteError: a run needs more GPUs than there are, or runs that train on several are to share them.
    """
    if not gpus:
        return ()
    if devices > len(gpus):
        raise SuiteError(f"--devices {devices} needs as many GPUs, and --gpus names {len(gpus)}")
    if devices > 1 and per_gpu > 1:
        raise SuiteError("--per-gpu is for runs on one GPU: leave it out, or leave --devices out")
    groups = [",".join(gpus[i : i + devices]) for i in range(0, len(gpus) - devices + 1, devices)]
    return tuple(groups * per_gpu)


def shared(
    asked: str | None, per_gpu: int | None, devices: int, device: str, workers: int | None, executor: str = "processes"
) -> tuple[tuple[str, ...], int | None]:
    """Return the places of runs on this machine's GPUs, and how many runs are trained at the same time.

    Args:
        asked: as for `chosen`.
        per_gpu: runs that share a GPU; None is one.
        devices: processes that train one run together, each on a device of its own.
        device: as for `chosen`.
        workers: runs at the same time; None is one for each place, and stays None where no GPUs are asked for.
        executor: name of the executor.

    Raises:
        SuiteError: the options do not fit each other or the machine.
    """
    if asked is None:
        if per_gpu is not None and executor != "ray":
            raise SuiteError("--per-gpu says how many runs share a GPU of --gpus: add --gpus all")
        return (), workers
    if executor == "ray":
        raise SuiteError("--gpus is for this machine; on a cluster Ray deals out the GPUs: leave it out")
    if executor == "serial":
        raise SuiteError("--gpus needs a process for each run: leave --executor serial out")
    found = places(chosen(asked, device), per_gpu or 1, devices)
    if workers is not None and workers > len(found):
        has = "1 run" if len(found) == 1 else f"{len(found)} runs"
        raise SuiteError(f"--workers {workers} is more than these GPUs take: {has} with --per-gpu {per_gpu or 1}")
    return found, workers or len(found)


class Places:
    """The places of the runs that are trained at the same time; a run takes one and gives it back.

    Args:
        names: of `places`; empty where runs are not bound to GPUs.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._free = list(names)
        self._order = {name: place for place, name in enumerate(dict.fromkeys(names))}

    def take(self) -> str | None:
        """Return the free place of the GPU with the fewest runs; None where there are none to deal out."""
        if not self._free:
            return None
        name = max(self._free, key=lambda each: (self._free.count(each), -self._order[each]))
        self._free.remove(name)
        return name

    def give_back(self, name: str | None) -> None:
        """Free a place; None does nothing."""
        if name is not None:
            self._free.append(name)


def bind(name: str | None) -> None:
    """Let this process see these GPUs alone; before torch looks for devices. None changes nothing."""
    if name is not None:
        os.environ[VISIBLE] = name
