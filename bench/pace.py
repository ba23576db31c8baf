"""How slow the machine was while something was timed, beside the fastest it was seen: clocks move, hosts are shared."""

import json
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import platformdirs

from bench.records import Grade, Latency
from bench.store import write_whole

GRADE_B = 1.05
GRADE_C = 1.10
"""How many times as slow as ever before the machine may be, lest what was timed be of grade B, or of grade C."""


def paced(timing: Latency, folder: Path | None = None) -> Latency:
    """Return a timing with the machine's slowdown, and graded by that, too.

    A machine that is slow throughout looks steady from within: all that is timed on it agrees, and agrees with nothing
    that is timed an hour later. So the fastest time of the sentinel is kept for each device, number of threads and
    version of torch, in `pace.json` in the user's data folder; where that file is deleted, it begins anew.

    Args:
        timing: of one process; returned as it is where its sentinel's time is not known.
        folder: where the fastest times are kept; None for the user's data folder.
    """
    if timing.sentinel_ms is None:
        return timing
    path = (folder or Path(platformdirs.user_data_dir("audio-classification-bench"))) / "pace.json"
    machine = f"{timing.device}, {timing.threads} thread(s), torch {version('torch')}"
    known = _known(path)
    best = min(known.get(machine, timing.sentinel_ms), timing.sentinel_ms)
    if known.get(machine) != best:
        with suppress(OSError):  # what cannot be kept is only not known the next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(known | {machine: best}, indent=1, sort_keys=True).encode())
    slowdown = timing.sentinel_ms / best
    slow: Grade = "C" if slowdown > GRADE_C else "B" if slowdown > GRADE_B else "A"
    return replace(timing, slowdown=slowdown, grade=max(timing.grade, slow))


def _known(path: Path) -> dict[str, float]:
    """Return the fastest times in ms; none where the file cannot be read."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return {name: float(ms) for name, ms in content.items() if isinstance(ms, int | float) and ms > 0}
    return {}
