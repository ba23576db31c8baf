"""Run the benchmarks one after another, and write their figures to docs/speed.md.

    .venv/bin/python benchmarks/run_all.py [--only NAME ...] [--data-dir DATA] [--base CHECKOUT] [--write docs/speed.md]
    .venv/bin/python benchmarks/run_all.py --quick       # fewer turns and models, for a first look
    .venv/bin/python benchmarks/run_all.py --page        # write the page again from the results that are there

Each script of `SCRIPTS` runs in a process of its own with a time limit (`--minutes`, of each). What it prints is kept
in `benchmarks/results/PROCESSOR.json` together with the processor's name, the commit, the date and the load of the
machine. A script that fails keeps its earlier result, and the reason is printed; of a script that takes too long, the
lines that it has printed are kept, and the last one says so. Scripts that compare with another checkout get the one of
`--base`. The page has a part for each processor, between the marks `<!-- run_all.py -->` and `<!-- end -->`: a table of
all ratios, and below it each script's own lines.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
    """A script of this folder.

    Attributes:
        name: its file.
        arguments: of its command; `{data}` is the folder of the datasets, `{base}` the checkout to compare with.
        quick: arguments that `--quick` adds.
        needs: "data" or "base", without which it is not run.
    """

    name: str
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    needs: tuple[str, ...] = field(default=())


SCRIPTS = (
    Script("start.py", ("{base}",), ("--turns", "3")),
    Script("scale.py", ("--turns", "7"), ("--turns", "1")),
    Script("frontend_kernels.py", (), ("--turns", "3")),
    Script("frontends.py", ("--speed", "--kernels"), ("--only", "mfcc")),
    Script("train_step.py", (), ("--turns", "3", "--model", "cnn", "--model", "mobilenet-025")),
    Script("convolution.py", (), ("--turns", "2")),
    Script("step.py"),
    Script("ltc.py"),
    Script("cfc.py", (), ("--turns", "3")),
    Script("data.py", ("--data-dir", "{data}", "--threads", "2"), ("--only", "shards"), ("data",)),
    Script("augment.py"),
    Script("predict.py", (), ("--clips", "200", "--rounds", "3")),
    Script("stream.py"),
    Script("metrics.py"),
    Script("fusion.py"),
    Script("latency.py", (), ("1", "0.2", "cnn")),
    Script("warm_up.py", (), ("cnn", "fc")),
    Script("against.py", ("{base}",), ("--turns", "1"), ("base",)),
    Script("first_table.py", ("{base}", "--suite", "smoke"), ("--turns", "1", "--model", "fc"), ("base",)),
)
LEFT_OUT = {
    "cluster.py": "needs Ray and root",
    "exports.py": "a table of docs/exports.md",
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
    about: str = ""
    """The load of the machine, and whether it is a quick one."""


def run(
    script: Script,
    minutes: float,
    data: Path | None = None,
    folder: Path = HERE / "benchmarks",
    *,
    base: Path | None = None,
    quick: bool = False,
) -> Result | str:
    """Run a script.

    Args:
        script: the script.
        minutes: longest time.
        data: folder of the datasets.
        folder: of the scripts.
        base: another checkout to compare with.
        quick: whether fewer turns are enough.

    Returns:
        Its result, or why there is none.
    """
    places = {"data": data, "base": base}
    for need in script.needs:
        if places[need] is None:
            return f"needs --{'data-dir' if need == 'data' else need}"
    asked = (*script.arguments, *(script.quick if quick else ()))
    words = [sys.executable, str(folder / script.name)]
    words += [word.format(**places) for word in asked if word != "{base}" or base is not None]
    load, start = os.getloadavg()[0] if hasattr(os, "getloadavg") else None, time.perf_counter()
    printed, code, said = _output(words, 60 * minutes)
    lines = tuple(line.rstrip() for line in printed.splitlines() if line.strip())
    if code is None:
        if not lines:
            return f"took more than {minutes:g} minutes"
        lines = (*lines, f"(ended after {minutes:g} minutes)")
    elif code:
        return f"ended with {code}: {(said.strip().splitlines() or ['no message'])[-1]}"
    if not lines:
        return "printed nothing"
    about = ["a quick one"] if quick and script.quick else []
    about += [] if load is None else [f"load average before it {load:.1f}"]
    seconds = round(time.perf_counter() - start, 1)
    return Result(script.name, lines, seconds, _commit(), f"{datetime.now(UTC):%d %B %Y}", ", ".join(about))


def _output(words: Sequence[str], seconds: float) -> tuple[str, int | None, str]:
    """Run a command in a process group, and return its output, its exit code (None: it took too long), its errors."""
    environment = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, env=environment, cwd=HERE, stdout=out, stderr=errors, start_new_session=True)
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with suppress(ProcessLookupError, PermissionError):  # its children, too
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        errors.seek(0)
        return out.read(), code, errors.read()


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no commit"


def ratios(result: Result) -> Iterator[tuple[str, str]]:
    """Yield each line of a result that states ratios, and these: (line without them, "1.3, 2.0").

    In a table, they stand in the columns that are called so.
    """
    columns: list[int] = []
    for line in result.lines:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if any("times as" in cell or "ratio" in cell for cell in cells):
                columns = [i for i, cell in enumerate(cells) if "times as" in cell or "ratio" in cell]
            elif numbers := [cells[i].split(" (")[0] for i in columns if i < len(cells) and cells[i][:1].isdigit()]:
                yield cells[0], ", ".join(numbers)
            continue
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
            name: Result(
                name, tuple(each["lines"]), each["seconds"], each["commit"], each["date"], each.get("about", "")
            )
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
            name: {
                "lines": list(each.lines),
                "seconds": each.seconds,
                "commit": each.commit,
                "date": each.date,
                "about": each.about,
            }
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
            about = f", {result.about}" if result.about else ""
            lines += [f"`{name}`, {result.date}, commit {result.commit}, {result.seconds:.0f} s{about}:", ""]
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[script.name for script in SCRIPTS], help="only these scripts")
    parser.add_argument("--minutes", type=float, default=10, help="longest time of each script")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA"), help="folder of the datasets")
    parser.add_argument("--base", type=Path, help="another checkout, which some scripts compare with")
    parser.add_argument("--quick", action="store_true", help="fewer turns and models, for a first look")
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
            data, base = (each and Path(each).resolve() for each in (given.data_dir, given.base))
            found = run(script, given.minutes, data, base=base, quick=given.quick)
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
