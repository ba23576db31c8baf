"""The campaign of injected faults: a line for each kind, and the sum.

make faults                                            the quick campaign, up to two minutes
make faults ARGS=--full                                the full one
make faults ARGS=--prove                               each kind with one of our guards taken out: it must then fail
make faults ARGS="--full --save docs/faults.json"      keep the figures, which docs/reliability.md shows
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faults import audio, caches, data, endings, outages, records, runs, web
from faults.page import processor, write_page
from faults.tally import BAD, Fault, Tally

FAULTS: tuple[Fault, ...] = tuple(
    sorted(
        (
            *records.FAULTS,
            *audio.FAULTS,
            *data.FAULTS,
            *caches.FAULTS,
            *runs.FAULTS,
            *endings.FAULTS,
            *outages.FAULTS,
            *web.FAULTS,
        ),
        key=lambda fault: (int(fault.name[1:].rstrip("abc")), fault.name),
    )
)
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where files are written: in memory, because a disk that others use makes a process wait that is to be killed."""

SAVED = Path(__file__).parents[2] / "docs" / "faults.json"


def campaign(faults: Sequence[Fault], kind: str, workers: int = 1) -> Iterator[dict[str, Any]]:
    """Inject the faults of a quick or full campaign; print and yield a row for each.

    Args:
        faults: the kinds.
        kind: "quick" or "full".
        workers: processes that inject kinds side by side.
    """
    left = [fault for fault in faults if getattr(fault, kind)]
    if workers == 1:
        yield from (said(_row(fault.name, kind)) for fault in left)
        return
    left.sort(key=lambda fault: LONGEST.index(fault.name) if fault.name in LONGEST else len(LONGEST))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        for each in as_completed([pool.submit(_row, each.name, kind) for each in left]):
            yield said(each.result())


LONGEST = (
    "F9a", "F2", "F22", "F15", "F21", "F18", "F23", "F9b", "F20a", "F3", "F1", "F6", "F7", "F7b", "F4",
)  # fmt: skip
"""Kinds that begin first where several are injected at once."""


def _row(name: str, kind: str) -> dict[str, Any]:
    fault = next(each for each in FAULTS if each.name == name)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faults-", dir=PLACE) as folder:
        try:
            tally = fault.inject(getattr(fault, kind), Path(folder) / "work")
        except Exception as error:
            tally = Tally(injected=1)
            tally.note("crashed", f"the campaign itself: {error!r}")
    row = {"name": name, "words": fault.words, "guard": fault.guard, **asdict(tally)}
    return row | {"seconds": round(time.perf_counter() - began, 1), "commit": commit()}


def commit() -> str:
    """Return the newest commit of the code that faults are injected into, with a star where it is not what is there."""
    code, root = ("bench", "models", "datamodules"), Path(__file__).parents[2]

    def git(*given: str) -> str:
        done = subprocess.run(["git", *given, "--", *code], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("log", "-1", "--format=%h", "--abbrev=7") or "unknown") + ("*" if git("status", "--porcelain") else "")


def said(row: dict[str, Any]) -> dict[str, Any]:
    """Print the line of a row, and return the row."""
    tally = Tally(**{name: row[name] for name in ("injected", *BAD)})
    say(line(row["name"], tally, row["seconds"]), *row["notes"])
    return row


def prove(faults: Sequence[Fault]) -> list[str]:
    """Inject faults with our guards taken out; return the names of the kinds that notice nothing."""
    blind = []
    for fault in faults:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="faults-", dir=PLACE) as folder, fault.unguarded():
            tally = fault.inject(fault.prove, Path(folder) / "work")
        say(f"without this guard: {fault.guard}")
        say(line(fault.name, tally, time.perf_counter() - began))
        if not tally.bad:
            blind.append(fault.name)
    return blind


def line(name: str, tally: Tally, seconds: float) -> str:
    """Return the line of a kind of fault."""
    return f"{name:5} {counts(tally)} · {seconds:.0f} s"


def counts(tally: Tally) -> str:
    """Return a tally in words."""
    return " · ".join((f"faults injected {tally.injected:,}", *(f"{name} {getattr(tally, name)}" for name in BAD)))


def total(rows: Sequence[dict[str, Any]]) -> Tally:
    """Return the sum of rows."""
    return Tally(**{name: sum(row[name] for row in rows) for name in ("injected", *BAD)})


def save(path: Path, kind: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write figures; those of other kinds of fault that the file has stay, so a campaign may be run in parts."""
    known = json.loads(path.read_text()) if path.exists() else {"rows": []}
    by_name = {row["name"]: row for row in (*known["rows"], *rows)}
    about = {
        "kind": kind, "processor": processor(), "python": platform.python_version(),
        "rows": [by_name[fault.name] for fault in FAULTS if fault.name in by_name],
    }  # fmt: skip
    path.write_text(json.dumps(about, indent=1) + "\n")


def say(*lines: str) -> None:
    """Print lines at once."""
    for each in lines:
        sys.stdout.write(each + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; return 0 if nothing came to no good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_const", dest="kind", const="quick", default="quick")
    what.add_argument("--full", action="store_const", dest="kind", const="full")
    what.add_argument("--prove", action="store_const", dest="kind", const="prove")
    what.add_argument("--page", action="store_const", dest="kind", const="page", help="write docs/reliability.md again")
    parser.add_argument("--only", nargs="+", metavar="F", default=[], help="kinds of fault, such as F1 F9")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="kinds of fault that are injected at once")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the figures as JSON")
    given = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    if given.kind == "page":
        write_page(json.loads(SAVED.read_text()))
        return 0
    if given.kind == "prove":
        blind = prove(faults)
        say(f"kinds of fault that notice nothing without a guard: {', '.join(blind) or 'none'}")
        return bool(blind)
    began = time.perf_counter()
    rows = []
    for row in campaign(faults, given.kind, given.workers):
        rows.append(row)
        if given.save:
            save(given.save, given.kind, rows)
    found = total(rows)
    say(line("all", found, time.perf_counter() - began))
    return bool(found.bad)
