"""Reads audio files in a process of its own, which may die, hang or grow.

As a program: reads paths from standard input, each ended by a zero byte, and writes a line of JSON for each.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
MAX_SECONDS = 600.0
"""Longest clip that the decoder accepts unless another length is given."""


def outcome(path: Path, root: Path | None = None, max_seconds: float = MAX_SECONDS) -> dict[str, Any]:
    """Inspect and decode one file; return what came of it."""
    from datamodules.audio import AudioError, decode, inspect

    began = busy()  # of the processor, whatever else the machine does
    try:
        sound = inspect(path, max_seconds, root)
        waveform = decode(path, sound.sample_rate, max_seconds, root)
        resampled = decode(path, 16_000, max_seconds, root)
        wanted = sound.samples * 16_000 / sound.sample_rate
        said: dict[str, Any] = {
            "result": "accepted",
            "samples": sound.samples,
            "rate": sound.sample_rate,
            "container": sound.container,
            "subtype": sound.subtype,
            "silent": sound.silent,
            "whole": len(waveform) == sound.samples and abs(len(resampled) - wanted) <= 1,
        }
    except AudioError as error:
        said = {"result": "died" if "its decoder" in str(error) else "refused", "error": str(error)}
    except Exception as error:
        said = {"result": "untyped", "error": repr(error)}
    return said | {"seconds": busy() - began}


def busy() -> float:
    """Return the processor time in seconds of this process and of those that decode for it."""
    from datamodules.audio import av_file

    theirs = 0.0
    for child in av_file.children():
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        theirs += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + theirs


def alone(path: Path) -> dict[str, Any]:
    """Read one file by soundfile alone."""
    import soundfile

    try:
        samples, _ = soundfile.read(path)
    except Exception as error:
        return {"result": "refused", "error": repr(error), "seconds": 0.0}
    return {"result": "accepted", "samples": len(samples), "seconds": 0.0}


def alone_by_av(path: Path) -> dict[str, Any]:
    """Read the sound track of one file by PyAV alone."""
    import av

    try:
        with av.open(str(path)) as container:
            samples = sum(frame.samples for frame in container.decode(audio=0))
    except Exception as error:
        return {"result": "refused", "error": repr(error), "seconds": 0.0}
    return {"result": "accepted", "samples": samples, "seconds": 0.0}


def peak_memory() -> int:
    """Return the peak resident bytes of this process, or of one that decodes for it, if that has more.

    From the kernel's count for its own memory: getrusage's begins with that of the process that started it.
    """
    from datamodules.audio import av_file

    peaks = []
    for process in ("self", *av_file.children()):
        status = Path(f"/proc/{process}/status").read_text()
        peaks.append(1024 * int(status.split("VmHWM:")[1].split()[0]))
    return max(peaks)


def read(
    paths: Sequence[Path],
    timeout: float,
    root: Path | None = None,
    how: str = "guarded",
    max_seconds: float = MAX_SECONDS,
) -> tuple[list[dict[str, Any]], int]:
    """Return the outcome of each file, read in one child process, and the child's peak memory in bytes.

    Args:
        paths: the files.
        timeout: seconds for all of them.
        root: folder that they must lie in.
        how: "guarded", by our decoder, or "alone", by soundfile alone.
        max_seconds: longest file that our decoder accepts.

    A file at which the child dies or hangs has the result "died" or "hung"; the next child goes on after it.
    """
    results: list[dict[str, Any]] = []
    peak = 0
    while len(results) < len(paths):
        command = [sys.executable, str(HERE), how, str(max_seconds), *([str(root)] if root else [])]
        child = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, env=environment())
        try:
            printed, _ = child.communicate(b"".join(os.fsencode(p) + b"\0" for p in paths[len(results) :]), timeout)
            stop = "died"
        except subprocess.TimeoutExpired:
            child.kill()
            printed, _ = child.communicate()
            stop = "hung"
        lines = [json.loads(line) for line in printed.decode().split("\n")[:-1]]
        results += lines
        peak = max(peak, *(line["peak"] for line in lines), 0)
        if len(results) < len(paths):
            results.append({"result": stop, "error": f"exit code {child.returncode}", "seconds": timeout})
    return results, peak


def environment() -> dict[str, str]:
    """Return the surroundings of a child: our code, one thread."""
    return os.environ | {"PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1"}


def main() -> None:
    """Read the files that standard input names."""
    root = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    for name in sys.stdin.buffer.read().split(b"\0")[:-1]:
        path = Path(os.fsdecode(name))
        said = alone(path) if sys.argv[1] == "alone" else outcome(path, root, float(sys.argv[2]))
        print(json.dumps(said | {"peak": peak_memory()}), flush=True)  # noqa: T201 - it is the answer


if __name__ == "__main__":
    main()
