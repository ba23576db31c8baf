"""F2, F7, F18, F21, F23: whole runs that are killed, repeated, or of models that misbehave."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from fakes import forkservers
from faults.tally import Fault, Tally

from bench.errors import BenchError
from bench.records import Record, Store
from bench.runner.executors import Failed, Finished, Job, processes

TESTS = Path(__file__).parents[1]
PATIENCE = 3_600.0

SUITE = """
models = [{models}]
datasets = ["synthetic"]
folds = [0]
[recipe]
epochs = {epochs}
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""
MODEL = "cnn"
"""A model that is trained; replaced in a proof."""


def environment() -> dict[str, str]:
    """Return the surroundings of a child: our code, one thread, no W&B."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


@contextmanager
def starting_quickly() -> Iterator[None]:
    """Let the commands of a campaign fork their children from one process that has imported torch."""
    with forkservers.serving() as address, mock.patch.dict(os.environ, {forkservers.VARIABLE: address}):
        yield


def command(folder: Path, models: Sequence[str], epochs: int, *options: str) -> list[str]:
    """Write a suite to a folder and return the command that runs it there."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).parent / "models.py", folder / "misbehaving.py")
    named = ", ".join(f'"{name}"' for name in models)
    (folder / "own.toml").write_text(SUITE.format(models=named, epochs=epochs))
    where = ("--suite", str(folder / "own.toml"), "--store", str(folder / "runs"), "--device", "cpu")
    return [sys.executable, "-c", forkservers.BENCH, "run", *where, "--wandb", "disabled", *options]


def run(folder: Path, models: Sequence[str], epochs: int, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a suite to its end."""
    given = command(folder, models, epochs, *options)
    return subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)


def results(folder: Path) -> dict[str, Record]:
    """Return the finished records of a folder by key."""
    store = Store(folder / "runs")
    found = {}
    for record in map(store.get, store.keys()):
        if record is not None and record.status == "ok":
            found[record.key] = record
    return found


def same(one: Record, other: Record) -> bool:
    """Whether two runs gave the same weights, logits and scores."""

    def files(record: Record) -> dict[str, str]:  # the hardest clips are kept for W&B alone
        return {name: digest for name, digest in record.artifacts.items() if name != "worst.npz"}

    return (one.scores, files(one), one.curves) == (other.scores, files(other), other.curves)


# --- F2: a suite that is killed and run again


@starting_quickly()
def kill_runs(count: int, folder: Path) -> Tally:
    """Kill `bench run` at random times and repeat it; the records are those of a run that was not killed."""
    tally, rng = Tally(), random.Random(2)
    models, epochs = ("fc", MODEL, "swishnet"), 12
    run(folder / "warm", ("fc",), 1)
    began = time.monotonic()
    run(folder / "whole", models, epochs)
    longest = time.monotonic() - began
    wanted = results(folder / "whole")
    place = folder / "killed"
    while tally.injected < count:
        shutil.rmtree(place, ignore_errors=True)
        for _ in range(min(3, count - tally.injected)):
            before = {key: record.started for key, record in results(place).items()} if place.exists() else {}
            given = command(place, models, epochs)
            child = subprocess.Popen(
                given, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            try:
                child.wait(rng.uniform(0.2, 1.0) * longest)
            except subprocess.TimeoutExpired:
                child.kill()
            child.wait()
            tally.injected += 1
            try:
                after = {key: record.started for key, record in results(place).items()}
            except BenchError as error:
                tally.note("lost", str(error))
                continue
            lost = [key for key in before if key not in after]
            tally.note("lost", "a finished record is gone", count=len(lost))
            tally.note(
                "doubled", "a finished run was done again", count=sum(after.get(k) != v for k, v in before.items())
            )
        done = run(place, models, epochs)
        found = results(place)
        if done.returncode or found.keys() != wanted.keys():
            tally.note("lost", f"exit code {done.returncode}: {done.stderr[-300:]}")
        tally.note("wrong", "another result", count=sum(not same(found[k], wanted[k]) for k in found if k in wanted))
        left = list((place / "runs" / "artifacts").glob("*/.tmp-*"))
        tally.note("wrong", f"left behind: {left}", count=len(left))
    return tally


@contextmanager
def unseeded() -> Iterator[None]:
    """Train a model whose weights follow from no seed."""
    with mock.patch(f"{__name__}.MODEL", "misbehaving:Unseeded"):
        yield


# --- F7: the driver ends


DRIVER = """
import sys
from bench.runner.executors import Job, executor, processes
processes._PRELOAD = []
if __name__ == "__main__":
    jobs = [Job(str(i), sys.argv[2], (sys.argv[1], i, 600.0)) for i in range(3)]
    list(executor("processes")(jobs, 3))
"""
TARGET = "fakes.jobs:mark"
SECONDS = 5.0


def end_drivers(count: int, folder: Path) -> Tally:
    """End a driver with three children at work; none of them is alive 5 s later."""
    tally = Tally()
    folder.mkdir(parents=True)
    (folder / "driver.py").write_text(DRIVER)
    for number in range(count):
        marks = folder / str(number)
        marks.mkdir()
        how = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[number % 4]
        driver = subprocess.Popen(
            [sys.executable, str(folder / "driver.py"), str(marks), TARGET], env=environment(),
            stderr=subprocess.DEVNULL, preexec_fn=heed_signals,
        )  # fmt: skip
        _wait(lambda marks=marks: len(list(marks.iterdir())) == 3)  # type: ignore[misc]
        children = [int(path.name.rsplit("-", 1)[1]) for path in marks.iterdir()]
        driver.send_signal(how)
        tally.injected += 1
        try:
            driver.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            tally.note("hung", f"the driver after {how.name}")
            driver.kill()
        _wait(lambda children=children: not any(map(alive, children)), SECONDS)  # type: ignore[misc]
        for child in filter(alive, children):
            tally.note("hung", f"a child is alive 5 s after {how.name}")
            os.kill(child, signal.SIGKILL)
    return tally


def heed_signals() -> None:
    """Let Ctrl-C and a closed terminal end a child, even if a shell has started the campaign by `&` or `nohup`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def stay(folder: str, number: int, seconds: float, *, report: Callable[[object], None]) -> None:
    """Do a job that does not end with its driver: our own way to end it does nothing."""
    os._exit = os.killpg = lambda *_: None  # type: ignore[assignment]
    from fakes import jobs

    jobs.mark(folder, number, seconds, report=report)


@contextmanager
def outliving() -> Iterator[None]:
    """Let children outlive their driver."""
    with mock.patch(f"{__name__}.TARGET", f"{__name__}:stay"):
        yield


def alive(process: int) -> bool:
    """Whether a process is alive."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _wait(until: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.02)


# --- F18: the same run, whatever is around it


@starting_quickly()
def repeat_runs(count: int, folder: Path) -> Tally:
    """Do the same runs again, with more workers, in another order, or among others; they give the same."""
    tally = Tally()
    models = [MODEL, "fc", "swishnet"]
    run(folder / "first", models, 3, "--workers", "1")
    wanted = results(folder / "first")
    ways: list[tuple[list[str], tuple[str, ...]]] = [
        (models, ("--workers", "1")), (models, ("--workers", "2")), (models[::-1], ("--workers", "1")),
        ([*models, "lstm-skip", "rann-8x3-4"], ("--workers", "4")), (models[:1], ("--workers", "1")),
    ]  # fmt: skip
    for number in range(count):
        names, options = ways[number % len(ways)]
        place = folder / str(number)
        run(place, names, 3, *options)
        tally.injected += 1
        found = results(place)
        tally.note("lost", "a run is not done", count=max(0, min(3, len(names)) - len(found.keys() & wanted.keys())))
        tally.note(
            "wrong", f"{names} {options}", count=sum(not same(found[k], wanted[k]) for k in found if k in wanted)
        )
        shutil.rmtree(place)
    return tally


# --- F21: models that misbehave

BAD = {
    **dict.fromkeys(("Killed", "Raises", "OutOfMemory", "NotFinite"), "misbehaving"),
    **dict.fromkeys(("Exits", "SystemExits", "Segfaults", "Hangs"), "bad_models"),
}
"""Models that fail while they train, and their file."""

UNTIMED = ("HangsWhileTimed", "SegfaultsWhileTimed")
WHOLE = ("Leaks", "Forks", "StartsThreads", "Prints")
"""Models that leave behind what they should not, and yet are trained and timed."""


@starting_quickly()
def misbehave(count: int, folder: Path) -> Tally:
    """Run models that exit, are killed, hang, raise errors, leak, fork, start threads and print, among two others."""
    tally = Tally()
    named = BAD | dict.fromkeys((*UNTIMED, *WHOLE), "bad_models")
    names = [*named][:count]
    models = ["fc", *(f"{named[name]}:{name}" for name in names), "cnn"]
    folder.mkdir(parents=True)
    shutil.copy(TESTS / "fakes" / "bad_models.py", folder)
    try:
        done = run(folder, models, 2, "--json", "--workers", "2", "--stall-minutes", "1")
    except subprocess.TimeoutExpired:
        tally.note("hung", "the suite")
        return tally
    store = Store(folder / "runs")
    found = {record.run.model.rpartition(":")[2]: record for record in map(store.get, store.keys()) if record}
    for name in ("fc", *names, "cnn"):
        tally.injected += name in names
        record = found.get(name)
        wanted = "failed" if name in BAD else "ok"
        if record is None or record.status != wanted:
            tally.note("lost" if name not in names else "wrong", f"{name} is {record and record.status}")
            continue
        reasonless = record.error is not None and not record.error.message
        tally.note("crashed", f"{name} has no reason", count=reasonless)
        timed = name not in (*BAD, *UNTIMED)
        tally.note("lost", f"{name} is not timed", count=timed and not record.latencies)
        tally.note("wrong", f"{name} is timed", count=name in UNTIMED and bool(record.latencies))
    tally.note("wrong", "exit code 0 though runs have failed", count=done.returncode == 0)
    tally.note("wrong", "a model prints into --json", count="BY A MODEL" in done.stdout)
    tally.note("crashed", done.stderr[-500:], count="Traceback" in done.stderr)
    known = [int(path.name) for path in folder.glob("processes/*")]
    _wait(lambda: not any(map(alive, known)), SECONDS)
    for process in filter(alive, known):
        tally.note("hung", "a process of a model outlives the suite")
        os.kill(process, signal.SIGKILL)
    return tally


@contextmanager
def in_one_process() -> Iterator[None]:
    """Do all runs in the driver's process."""

    def alone(folder: Path, models: Sequence[str], epochs: int, *options: str) -> Any:
        left = [each for each in options if each not in ("--workers", "2")]
        return _run(folder, models, epochs, *left, "--executor", "serial")

    with mock.patch(f"{__name__}.run", alone):
        yield


_run = run

# --- F23: many jobs


def many_jobs(count: int, folder: Path) -> Tally:
    """Do many jobs, some of which fail or die; the driver grows by nothing, and has no descriptor left."""
    tally = Tally()
    jobs = [
        Job(str(i), ("fakes.jobs:add", "fakes.jobs:fail", "fakes.jobs:die")[0 if i % 10 < 8 else i % 10 - 7],
            (1, 2) if i % 10 < 8 else ())
        for i in range(count)
    ]  # fmt: skip
    before = memory = descriptors = 0
    ended: dict[str, int] = {}
    with mock.patch.object(processes, "_PRELOAD", []):
        for event in processes.execute(jobs, 4):
            if not isinstance(event, Finished | Failed):
                continue
            ended[event.job] = ended.get(event.job, 0) + 1
            if len(ended) == count // 4:
                before, memory = _descriptors(), _resident()
        descriptors = _descriptors()
    tally.injected = count
    tally.note("lost", "a job has no end", count=count - len(ended))
    tally.note("doubled", "a job has two ends", count=sum(times - 1 for times in ended.values()))
    tally.note("wrong", f"{descriptors} descriptors, {before} before", count=descriptors > before)
    grown = (_resident() - memory) / count
    tally.note("wrong", f"{grown / 1e6:.3f} MB a job", count=grown > 50_000)
    return tally


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextmanager
def left_open() -> Iterator[None]:
    """Keep the connections to children that have ended."""
    from bench.profiling import children

    kept: list[Any] = []
    end = children.Child.end

    def ended(self: Any, patience: float = 0) -> None:
        kept.append(os.dup(self.connection.fileno()))
        end(self, patience)

    with mock.patch.object(children.Child, "end", ended):
        yield
    for descriptor in kept:
        os.close(descriptor)


FAULTS = (
    Fault("F2", "`bench run` killed by SIGKILL and repeated, three trainings of 12 epochs", 0, 10, kill_runs,
          "a run follows from its seed", unseeded, 1),
    Fault("F7", "a driver with three children ended by SIGKILL, SIGTERM, SIGINT and SIGHUP", 8, 24, end_drivers,
          "a child ends with its driver", outliving, 1),
    Fault("F18", "the same runs with more workers, in another order, or among others", 0, 5, repeat_runs,
          "a run follows from its seed", unseeded, 1),
    Fault("F21", "models that exit, die, hang, raise errors, learn NaN, leak, fork, start threads, print", 0, 14,
          misbehave, "each run has a process of its own", in_one_process, 1),
    Fault("F23", "jobs of which a fifth fails or dies", 100, 200, many_jobs,
          "connections are closed", left_open, 40),
)  # fmt: skip
