"""F4, F7b: writers of checkpoints that are killed; whole commands that are ended in four ways."""

import json
import os
import pty
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

from faults import runs
from faults.records import FORK
from faults.tally import Fault, Tally

from bench.records.scratch import YOUNG_SECONDS

# --- F4: writers of checkpoints killed while they save


def kill_savers(count: int, folder: Path) -> Tally:
    """Kill a process that saves one checkpoint after another; the newest that it has acknowledged can be loaded."""
    from bench.training.checkpoints import Checkpoints

    tally, rng = Tally(), random.Random(4)
    for number in range(count):
        place = folder / str(number % 2)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        child = FORK.Process(target=_save, args=(place,))
        child.start()
        said = place / "acknowledged"
        runs._wait(lambda: (said.exists() and said.stat().st_size >= 2) or not child.is_alive())  # noqa: B023
        time.sleep(rng.uniform(0, 0.03))
        child.kill()
        child.join()
        tally.injected += 1
        if not said.exists():
            tally.note("crashed", "a process that saves checkpoints ended before it had saved one")
            continue
        acknowledged = len(said.read_bytes())
        checkpoints = Checkpoints(place / "checkpoints", dict, seconds=0)
        found = checkpoints.load()
        if found is None:
            tally.note("lost", f"none of {acknowledged} checkpoints can be loaded: {checkpoints.notes}")
        elif not acknowledged - 1 <= found["epoch"] <= acknowledged + 1:
            tally.note("lost", f"epoch {found['epoch']} of {acknowledged}")
        elif not bool((found["weights"] == found["epoch"]).all()):
            tally.note("wrong", "a checkpoint has other weights")
        tally.note("wrong", f"a checkpoint is damaged: {checkpoints.notes}", count=bool(checkpoints.notes))
        checkpoints.clear()
    return tally


def _save(place: Path) -> None:
    import torch

    from bench.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(place / "checkpoints", dict, seconds=0)
    file = os.open(place / "acknowledged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for epoch in range(1_000):
        checkpoints.save({"epoch": epoch, "weights": torch.full((200_000,), float(epoch))})
        os.write(file, b".")


@contextmanager
def written_in_place() -> Iterator[None]:
    """Write checkpoints in place, without the one before."""

    def write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name("before.ckpt").unlink(missing_ok=True)
        with path.open("wb") as file:
            for start in range(0, len(content), 4_096):
                file.write(content[start : start + 4_096])
                file.flush()

    with mock.patch("bench.training.checkpoints.write_whole", write):
        yield


# --- F7b: `bench run` is ended


SECONDS = 5.0
MARK = "BENCH_ENDING"
HOWS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP)
GONE = 600.0
"""Seconds that are waited for the end of all processes."""

REPEATED = True


def end_commands(count: int, folder: Path) -> Tally:
    """End `bench run` with three runs at work; 5 s later nothing of it is alive, and the next call leaves nothing.

    SIGHUP is that of a terminal that closes.
    """
    tally = Tally()
    models = ("cnn", "swishnet", "ltc")
    for number in range(count):
        how, place, scratch = HOWS[number % len(HOWS)], folder / str(number), folder / f"tmp{number}"
        scratch.mkdir(parents=True)
        token = f"{os.getpid()}-{number}"
        given = runs.command(place, models, 100_000, "--workers", "3")
        variables = runs.environment() | {MARK: token, "TMPDIR": str(scratch), **CACHES}
        master, terminal = pty.openpty()
        driver = subprocess.Popen(
            given, env=variables, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
            preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(terminal)
        os.set_blocking(master, False)
        artifacts = place / "runs" / "artifacts"
        _read_until(master, lambda artifacts=artifacts: len([*artifacts.glob("*/.tmp-run-*/.tmp-fit-*")]) == 3)  # type: ignore[misc]
        time.sleep(0.5)
        tally.note("hung", "no three runs at work", count=len(_marked(token)) < 4)
        began = time.monotonic()
        if how is signal.SIGHUP:
            os.close(master)
        else:
            driver.send_signal(how)
        tally.injected += 1
        while time.monotonic() < began + GONE and (left := _marked(token)):
            time.sleep(0.05)
        took = time.monotonic() - began
        tally.note("hung", f"{how.name}: {len(left)} alive after {took:.0f} s", count=took > SECONDS)
        for process in left:
            os.kill(process, signal.SIGKILL)
        tally.notes.append(f"({how.name}: all gone after {took:.1f} s)")

        if how is not signal.SIGHUP:
            os.close(master)
        driver.wait()
        if REPEATED:
            _finish(tally, place, scratch, how.name)
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return tally


CACHES = {"TORCHINDUCTOR_CACHE_DIR": str(Path(tempfile.gettempdir()) / "torchinductor")}
"""A cache of torch, which is no leftover."""


def _finish(tally: Tally, place: Path, scratch: Path, how: str) -> None:
    """Do a short suite on the same store, and look for leftovers."""
    time.sleep(YOUNG_SECONDS)
    given = runs.command(place, ("fc",), 1, "--no-timing", "--json")
    done = subprocess.run(
        given, env=runs.environment() | {"TMPDIR": str(scratch), **CACHES}, capture_output=True, text=True,
        timeout=runs.PATIENCE, check=False,
    )  # fmt: skip
    if done.returncode or len(json.loads(done.stdout)["done"]) != 1:
        tally.note("lost", f"after {how}: exit code {done.returncode}: {done.stderr[-300:]}")
    store = place / "runs"
    left = [*scratch.iterdir(), *store.rglob(".tmp-*")]
    tally.note("wrong", f"after {how}, left behind: {left[:3]}", count=len(left))


def _take_terminal() -> None:
    """Make the standard input the controlling terminal of this session, and heed signals."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    runs.heed_signals()


def _read_until(master: int, until: "object") -> None:
    """Read what a terminal gets, so that nobody waits for it, until something holds."""
    end = time.monotonic() + runs.PATIENCE
    while not until() and time.monotonic() < end:  # type: ignore[operator]
        with suppress(OSError):
            os.read(master, 1 << 16)
        time.sleep(0.02)


def _marked(token: str) -> list[int]:
    """Return the processes that a command has started, and itself, by its environment."""
    wanted, found = f"{MARK}={token}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and runs.alive(int(entry.name)):
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@contextmanager
def outliving() -> Iterator[None]:
    """Start the commands by a shell that puts another process next to them, which nothing ends."""
    command = runs.command

    def with_another(*given: object) -> list[str]:
        words = command(*given)  # type: ignore[arg-type]
        return ["sh", "-c", 'setsid sleep 3600 & exec "$@"', "sh", *words]

    with (
        mock.patch.object(runs, "command", with_another),
        mock.patch(f"{__name__}.GONE", SECONDS + 10),
        mock.patch(f"{__name__}.REPEATED", False),
    ):
        yield


FAULTS = (
    Fault("F4", "writers of checkpoints killed while they save", 10, 60, kill_savers,
          "files are written under another name and renamed", written_in_place, 30),
    Fault("F7b", "`bench run` with three runs ended by SIGTERM, SIGINT, SIGKILL and a closed terminal", 0, 4,
          end_commands, "a child ends with its driver", outliving, 1),
)  # fmt: skip
