"""Run the benchmarks one after another, and write their figures to docs/speed.md.

    .venv/bin/python benchmarks/run_all.py [--only NAME ...] [--minutes 10] [--data-dir DATA] [--write docs/speed.md]
    .venv/bin/python benchmarks/run_all.py --page        # write the page again from the results that are there

Each script of `SCRIPTS` runs in a process of its own with a time limit. What it prints is kept in
`benchmarks/results/PROCESSOR.json` together with the processor's name, the commit and the date; a script that fails or
takes too long keeps its earlier result, and the reason is printed. The page has a part for each processor, between the
marks `<!-- run_all.py -->` and `<!-- end -->`: a table of all ratios, and below it each script's own lines.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
RESULTS = HERE / "benchmarks" / "results"
MARKS = re.compile(r"(<!-- run_all\.py -->\n).*?(\n?<!-- end -->)", re.DOTALL)
_RATIO = re.compile(
    r"(?P<a>\bratio (?P<ratio>\d+(?:\.\d+)?))|(?P<b>(?P<times>\d+(?:\.\d+)?) times as (?:fast|long|slow|much))"
)


@dataclass(frozen=True)
class Script:
    """A script of this folder: its arguments, and what it needs (`data` is the folder with the datasets)."""

    name: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = field(default=())


SCRIPTS = (
    Script("start.py"),
    Script("ltc.py"),
    Script("cfc.py"),
    Script("frontends.py", ("--speed",)),
    Script("train_step.py"),
    Script("step.py"),
    Script("augment.py"),
    Script("predict.py"),
    Script("stream.py"),
    Script("metrics.py"),
    Script("data.py", ("--data-dir", "{data}", "--threads", "2"), ("data",)),
    Script("fusion.py"),
    Script("latency.py"),
    Script("scale.py"),
)
LEFT_OUT = {
    "cluster.py": "needs Ray and root",
    "exports.py": "a table of docs/exports.md",
    "first_table.py": "needs another checkout to compare with",
    "frontend_kernels.py": "writes a part of its own",
    "gpu.py": "needs a GPU, and writes a part of its own",
    "gpu_parts.py": "a part of gpu.py",
    "kills.py": "of reliability, not of speed",
    "made_sounds.py": "makes a file",
    "run_all.py": "this one",
    "serve.py": "a load test of minutes",
    "week.py": "takes an hour",
}
"""Scripts of this folder that are not run, and why."""


@dataclass(frozen=True)
class Result:
    """What a script has printed, and where and when."""

    name: str
    lines: tuple[str, ...]
    seconds: float
    commit: str
    date: str


def run(script: Script, minutes: float, data: Path | None, folder: Path = HERE / "benchmarks") -> Result | str:
    """Run a script.

    Args:
        script: the script.
        minutes: longest time.
        data: folder of the datasets.
        folder: of the scripts.

    Returns:
        Its result, or why there is none.
    """
    if "data" in script.needs and data is None:
        return "needs --data-dir"
    words = [sys.executable, str(folder / script.name), *(word.format(data=data) for word in script.arguments)]
    start = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            words, env=environment, cwd=HERE, capture_output=True, text=True, timeout=60 * minutes, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took more than {minutes:g} minutes"
    if done.returncode:
        return f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
    lines = tuple(line.rstrip() for line in done.stdout.splitlines() if line.strip())
    if not lines:
        return "printed nothing"
    return Result(script.name, lines, round(time.perf_counter() - start, 1), _commit(), f"{datetime.now(UTC):%d %B %Y}")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no commit"


def ratios(result: Result) -> Iterator[tuple[str, str]]:
    """Yield each line of a result that states ratios, and these: (line without them, "1.3, 2.0")."""
    for line in result.lines:
        found = [match["ratio"] or match["times"] for match in _RATIO.finditer(line)]
        if found:
            words = re.split(r"\s{2,}|: ", line.strip(), maxsplit=1)[0]
            yield words.rstrip(":,"), ", ".join(found)


def read(folder: Path = RESULTS) -> dict[str, dict[str, Result]]:
    """Return all results by processor and script."""
    found: dict[str, dict[str, Result]] = {}
    for path in sorted(folder.glob("*.json")):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found[content["processor"]] = {
            name: Result(name, tuple(each["lines"]), each["seconds"], each["commit"], each["date"])
            for name, each in content["results"].items()
        }
    return found


def write(processor: str, results: dict[str, Result], folder: Path = RESULTS) -> Path:
    """Write the results of a processor and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^A-Za-z0-9]+', '-', processor).strip('-').lower()}.json"
    content = {
        "processor": processor,
        "results": {
            name: {"lines": list(each.lines), "seconds": each.seconds, "commit": each.commit, "date": each.date}
            for name, each in sorted(results.items())
        },
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def page(found: dict[str, dict[str, Result]]) -> str:
    """Return the part of docs/speed.md that stands between the marks."""
    lines: list[str] = []
    for processor, results in sorted(found.items()):
        lines += [f"### {processor}", ""]
        rows = [(name, *pair) for name, result in results.items() for pair in ratios(result)]
        if rows:
            lines += ["| script | what | ratio |", "|---|---|---|"]
            lines += [f"| `{name}` | {what.replace('|', '/')} | {ratio} |" for name, what, ratio in rows]
            lines.append("")
        for name, result in results.items():
            lines += [f"`{name}`, {result.date}, commit {result.commit}, {result.seconds:.0f} s:", ""]
            lines += ["```text", *result.lines, "```", ""]
    return "\n".join(lines).rstrip("\n")


def filled(text: str, part: str) -> str:
    """Return the page's text with the part between its marks.

    Raises:
        ValueError: the text has no marks.
    """
    if not MARKS.search(text):
        raise ValueError("the page has no marks <!-- run_all.py --> and <!-- end -->")
    content = f"{part}\n" if part else ""
    return MARKS.sub(lambda match: f"{match[1]}{content}<!-- end -->", text, count=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scripts and write the page; return 1 if a script has failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=[script.name for script in SCRIPTS], help="only these scripts")
    parser.add_argument("--minutes", type=float, default=10, help="longest time of each script")
    parser.add_argument("--data-dir", type=Path, help="folder of the datasets")
    parser.add_argument("--write", type=Path, default=HERE / "docs" / "speed.md", help="page to write")
    parser.add_argument("--page", action="store_true", help="run nothing; write the page from the results")
    given = parser.parse_args(arguments)
    failed = 0
    if not given.page:
        from bench.profiling.environment import processor

        name = processor()
        results = read().get(name, {})
        for script in SCRIPTS:
            if given.only and script.name not in given.only:
                continue
            print(f"{script.name} ...", flush=True)
            found = run(script, given.minutes, given.data_dir)
            if isinstance(found, str):
                failed += 1
                print(f"  no result: {found}", flush=True)
                continue
            print("\n".join(f"  {line}" for line in found.lines), flush=True)
            results[script.name] = found
            write(name, results)  # after each, so that an interruption loses nothing
    given.write.write_text(filled(given.write.read_text(encoding="utf-8"), page(read())), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
