"""All that waits for a GPU, in at most eight minutes: kernels, front-ends, latency, training, LTC, a fold of ESC-10.

    .venv/bin/python benchmarks/gpu.py --out FOLDER [--data-dir DATA] [--only PART ...] [--write docs/speed.md]
    .venv/bin/python benchmarks/gpu.py --out FOLDER --page --write docs/speed.md    # of results from another machine
    .venv/bin/python benchmarks/gpu.py --out FOLDER --device cpu --quick     # tiny sizes, to try the script

Each part runs in processes of its own (`gpu_parts.py`) and has a time limit; what one part leaves over, the next may
use. A row that fails is a row with its error. A process that dies, a row that takes longer than a row of its part may,
or a GPU that no longer answers after an error, ends one row, and a new process goes on with the next one. The folder
receives after each part

- `results.json`: the machine, its software, the commit, and the rows of all parts;
- `latency.json`: the timings of all models, each as `bench latency --json` prints them;
- `records/`: the records of the fold of ESC-10, which `bench leaderboard --store FOLDER/records` reads;
- `speed.md`: the rows as tables; `--write` puts them between the marks of a page.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.profiling.environment import environment

HERE = Path(__file__).parents[1]
SCRIPT = Path(__file__).with_name("gpu_parts.py")
SECONDS = {"kernels": 45, "ltc": 60, "frontends": 35, "latency": 140, "training": 90, "esc10": 95}
"""Time limit of each part, in the order in which they run; together less than eight minutes."""
ROW_SECONDS = {"kernels": 25, "ltc": 30, "frontends": 15, "latency": 20, "training": 45, "esc10": 120}
"""Time limit of a row of each part, its compilation of kernels included."""
TITLES = {
    "kernels": "Kernels against their definitions in float64 (relative error)",
    "ltc": "The liquid layer against ncps (batch 32, 64 inputs, 64 units)",
    "frontends": "Front-ends: the device against one thread of the processor",
    "latency": "Latency of one clip, the median in ms",
    "training": "Training, clips a second: Lightning here against a plain loop of PyTorch",
    "esc10": "ESC-10, one fold",
}
MARKS = re.compile(r"(<!-- gpu\.py -->\n).*?(<!-- end -->)", re.DOTALL)
Row = dict[str, Any]


def measured(name: str, seconds: float, given: argparse.Namespace) -> dict[str, Any]:
    """Run a part, again from the next row where its process dies.

    Args:
        name: of the part.
        seconds: that it may take.
        given: options of the command line.

    Returns:
        Its status ("measured", "partly measured" or "not measured"), the reason, its seconds, and its rows.
    """
    start = time.perf_counter()
    path = given.out / f"{name}.jsonl"
    path.unlink(missing_ok=True)
    reason = ""
    while (left := seconds - (time.perf_counter() - start)) > 0:
        before = len(rows(path))
        code, words = _child(name, path, left, given)
        if code == 0:
            break
        begun = _begun(path)
        if code is None and seconds - (time.perf_counter() - start) <= 0:
            reason = f"took more than {seconds:.0f} s" + (f" at {begun}" if begun else "")
            break
        if code is None and begun:
            _append(path, {"name": begun, "error": f"took more than {ROW_SECONDS[name]:g} s"})
        elif begun:
            _append(path, {"name": begun, "error": f"its process ended with {code}: {words}"})
        if len(rows(path)) == before:  # it cannot begin
            reason = words
            break
    else:
        reason = f"took more than {seconds:.0f} s"
    found = rows(path)
    good = [row for row in found if "error" not in row]
    if not reason and len(good) < len(found):
        errors = list(dict.fromkeys(row["error"] for row in found if "error" in row))
        reason = errors[0] if not good and len(errors) == 1 else f"{len(found) - len(good)} of {len(found)} rows failed"
    elif not reason and not found:
        reason = "it has no rows"
    path.unlink(missing_ok=True)
    status = "not measured" if not good else "partly measured" if reason else "measured"
    return {
        "status": status, "reason": reason, "seconds": round(time.perf_counter() - start, 1), "rows": found
    }  # fmt: skip


def _child(name: str, path: Path, seconds: float, given: argparse.Namespace) -> tuple[int | None, str]:
    """Let a process measure the rows that are not in the file.

    Returns:
        Its exit code, and the last line of its errors; None for the code where the part or a row has taken too long.
    """
    words = [sys.executable, str(SCRIPT), name, str(path), str(given.out)]
    words += [given.device, str(int(given.quick)), str(given.data_dir or "")]
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]  # packages may lie in folders of the caller
    process = subprocess.Popen(
        words, cwd=HERE, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, text=True, errors="replace",
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    end = time.perf_counter() + seconds
    try:
        while True:
            left = min(end - time.perf_counter(), _left(path, ROW_SECONDS[name]))
            if left <= 0:
                return None, ""
            with suppress(subprocess.TimeoutExpired):
                _, said = process.communicate(timeout=min(left, 1.0))
                break
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr:
            process.stderr.close()
    return process.returncode, (said.strip().splitlines() or ["no message"])[-1]


def _left(path: Path, limit: float) -> float:
    """Return the seconds that the row may still take that has begun; all of them where none has."""
    return limit - (time.time() - path.stat().st_mtime) if _begun(path) else limit


def _lines(path: Path) -> list[Row]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(ValueError):  # the last line of a killed process
            found.append(json.loads(line))
    return found


def rows(path: Path) -> list[Row]:
    """Return the rows of a part's file; its other lines name rows that begin."""
    return [row for row in _lines(path) if "begins" not in row]


def _begun(path: Path) -> str:
    """Return the name of the row that has begun and not ended; empty if there is none."""
    lines = _lines(path)
    return lines[-1].get("begins", "") if lines else ""


def _append(path: Path, row: Row) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def page(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    where = machine["gpu"] or f"no GPU, {machine['processor']}"
    lines = [f"### {where}", "", f"*{results['date']}, commit {(machine['commit'] or 'unknown')[:9]}; {versions}.*"]
    for name, part in results["parts"].items():
        lines += ["", f"**{TITLES[name]}**: {part['status']}{part['reason'] and ', ' + part['reason']}.", ""]
        lines += _table(list(_flat(name, part["rows"])))
    return "\n".join(lines)


def _flat(name: str, found: Sequence[Row]) -> Iterator[Row]:
    """Yield rows whose values are numbers and words; a model's timings become columns."""
    for row in found:
        if name != "latency" or "error" in row:
            yield row
            continue
        columns = {f"{one['backend']}, {one['scope']}": one["p50_ms"] for one in row["timings"]}
        yield {"name": row["model"], **columns, "not timed": ", ".join(row["not_timed"])}


def _table(found: Sequence[Row]) -> list[str]:
    heads = list(dict.fromkeys(head for row in found for head in row))
    if not heads:
        return []
    return [
        f"| {' | '.join(heads)} |", "|" + "---|" * len(heads),
        *(f"| {' | '.join(_cell(row.get(head, '')) for head in heads)} |" for row in found),
    ]  # fmt: skip


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text.replace("|", "/").replace("\n", " ")


def filled(text: str, part: str) -> str:
    """Return a page with the results between its marks.

    Raises:
        ValueError: the page has no marks.
    """
    if not MARKS.search(text):
        raise ValueError("the page has no marks <!-- gpu.py --> and <!-- end -->")
    return MARKS.sub(lambda match: f"{match[1]}{part}\n{match[2]}", text)


def write(results: dict[str, Any], out: Path) -> None:
    """Write the files of the results."""
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    timings = [row for row in results["parts"].get("latency", {"rows": []})["rows"] if "error" not in row]
    (out / "latency.json").write_text(json.dumps(timings, indent=1) + "\n", encoding="utf-8")
    (out / "speed.md").write_text(page(results) + "\n", encoding="utf-8")


def main() -> None:
    """Measure the parts one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA"), help="has esc10/")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, whose figures say nothing")
    parser.add_argument("--only", nargs="+", choices=SECONDS, default=list(SECONDS), metavar="PART")
    parser.add_argument("--write", type=Path, help="page that receives the tables")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the page from the folder's results")
    given = parser.parse_args()
    if given.page:
        results: dict[str, Any] = json.loads((given.out / "results.json").read_text(encoding="utf-8"))
        if not given.write or results["quick"]:
            parser.error("figures of --quick say nothing" if given.write else "add --write PAGE")
        given.write.write_text(filled(given.write.read_text(encoding="utf-8"), page(results)), encoding="utf-8")
        return
    if given.device == "cpu" and not given.quick:
        parser.error("on a processor these sizes take hours: add --quick")
    if given.write and given.quick:
        parser.error("figures of --quick say nothing: leave --write out")
    given.out.mkdir(parents=True, exist_ok=True)
    given.out = given.out.resolve()
    given.data_dir = given.data_dir and Path(given.data_dir).resolve()
    results = {
        "date": f"{datetime.now(UTC):%d %B %Y}", "device": given.device, "quick": given.quick,
        "machine": asdict(environment(1, given.device)), "parts": {},
    }  # fmt: skip
    spare = 0.0
    for name, seconds in SECONDS.items():
        if name not in given.only:
            continue
        part = results["parts"][name] = measured(name, seconds + spare, given)
        spare = max(0.0, seconds + spare - part["seconds"])
        print(f"{name}: {part['status']} in {part['seconds']:.0f} s{part['reason'] and ': ' + part['reason']}")
        write(results, given.out)
    if given.write:
        given.write.write_text(filled(given.write.read_text(encoding="utf-8"), page(results)), encoding="utf-8")


if __name__ == "__main__":
    main()
