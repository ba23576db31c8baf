"""One run that several processes train together, each on a device of its own (data parallelism).

The processes share each batch of the recipe, so the batch is as large as on one device. The first process evaluates.
This process trains nothing: it passes on what the first one reports, and ends all when one of them fails.
"""

import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from bench.errors import RunError
from bench.profiling.children import Child, ChildEnded, not_from_forks, not_in_forks
from bench.profiling.environment import chosen_device
from bench.records import Record, Run, Store, scratch
from bench.runner import shortage
from bench.runner.news import News
from bench.runner.settings import RunSettings
from bench.training import stopping

Train = Callable[[Run, RunSettings, Callable[[News], None], Store, Path], Record]

WAIT = timedelta(minutes=30)
"""Time after which a process gives up waiting for another one: the first epoch may read many clips."""

LOOK_SECONDS = 0.2
"""Interval at which this process looks whether it was asked to stop."""

_PRELOAD = ["bench.runner.preloaded", "models.frontends._torchaudio"]


class Followed(Exception):  # noqa: N818 - it is no error
    """This process has trained together with others, and the first of them has the result."""


def together(
    train: Train, run: Run, settings: RunSettings, report: Callable[[News], None], store: Store, folder: Path
) -> Record:
    """Train and score a run in `settings.devices` processes, and return its record.

    Args:
        train: of a module; does the whole run in one process, and raises `Followed` in all but the first.
        run: the run.
        settings: folders, device and threads; `devices` of one process.
        report: receives what the first process reports.
        store: of the run.
        folder: for the run's artifacts.

    Raises:
        RunError: the devices do not divide the batch, there are too few of them, or a process has failed.
        Stopped: this process was asked to stop, and the others have saved what they can.
    """
    check(run, settings)
    with scratch.folder("ranks") as meeting, stopping.catching():
        children: dict[Connection, tuple[int, Child]] = {}
        try:
            for rank in range(settings.devices):
                given = train, run, settings, store.root, folder, meeting, rank
                child = Child(_rank, *given, preload=_PRELOAD, name=f"{run.key} {rank}", shares_stack=True)
                children[child.connection] = rank, child
            return _followed(children, report)
        except RunError:
            if stopping.asked():
                raise stopping.Stopped from None
            raise
        finally:
            for _, child in children.values():
                child.end()


def check(run: Run, settings: RunSettings) -> None:
    """Check that the devices can train the run together.

    Raises:
        RunError: they do not divide its batch, or there are too few of them.
    """
    batch, devices = run.recipe.batch_size, settings.devices
    if batch % devices:
        larger = batch + devices - batch % devices
        raise RunError(
            f"{devices} devices cannot share batches of {batch} clips: set a batch_size that they divide, such as "
            f"{larger}, or give other --devices"
        )
    if chosen_device(settings.device) == "cuda" and torch.cuda.device_count() < devices:
        raise RunError(f"--devices {devices}, and this run sees {torch.cuda.device_count()} GPUs: give fewer")


def _followed(children: dict[Connection, tuple[int, Child]], report: Callable[[News], None]) -> Record:
    """Pass on reports until the first process has its record and all have ended well."""
    waiting: dict[Connection, tuple[int, Child]] = dict(children)
    record: Record | None = None
    asked = False
    while waiting:
        if stopping.asked() and not asked:
            asked = True
            for _, child in children.values():
                child.ask_to_end()
        for ready in wait(list(waiting), LOOK_SECONDS):
            assert isinstance(ready, Connection)
            rank, child = waiting[ready]
            try:
                kind, value = child.receive()
            except ChildEnded as end:
                if end.exitcode or (rank == 0 and record is None):
                    raise RunError(
                        f"process {rank} of {len(children)} ended before the training did (exit code {end.exitcode}): "
                        f"repeat the command, which goes on after the last epoch that was saved"
                    ) from None
                del waiting[ready]
                continue
            if kind == "news":
                report(value)
            elif kind == "record":
                record = value
            else:
                raise RunError(value)
    assert record is not None
    return record


def _rank(
    connection: Connection,
    train: Train,
    run: Run,
    settings: RunSettings,
    store: Path,
    folder: Path,
    meeting: Path,
    rank: int,
) -> None:
    """Be one of the processes: meet the others, train, and send what happens."""
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    try:
        meet(rank, settings.devices, settings.device, meeting)
        with scratch.folder("rank") as own:
            say = (lambda news: connection.send(("news", news))) if rank == 0 else _say_nothing
            with not_in_forks():
                record = train(run, settings, not_from_forks(say), Store(store), folder if rank == 0 else own)
            connection.send(("record", record))
    except (Followed, stopping.Stopped):
        pass
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        failure = shortage.failure(error, run)
        words = failure.message if isinstance(error, RunError) else f"{failure.kind}: {failure.message}"
        connection.send(("failed", words))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # NCCL may wait for a process that has failed


def meet(rank: int, ranks: int, device: str, folder: Path) -> None:
    """Join the group of processes of a training.

    Args:
        rank: of this process.
        ranks: number of processes.
        device: as in the settings.
        folder: on a local disk, the same for all; new.
    """
    os.environ["LOCAL_RANK"] = str(rank)  # Lightning then starts no processes
    os.environ["WORLD_SIZE"] = str(ranks)
    on_gpu = chosen_device(device) == "cuda"
    if on_gpu:
        torch.cuda.set_device(rank)
    elif Path("/sys/class/net/lo").exists():
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the machine's name may lead nowhere
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=ranks,
        timeout=WAIT,
    )  # fmt: skip


def _say_nothing(_: News) -> None:
    pass


def _end_with_parent(connection: Connection) -> None:
    """End this process when the parent's end of the pipe closes."""
    try:
        connection.recv()
    except (EOFError, OSError):
        os._exit(1)
