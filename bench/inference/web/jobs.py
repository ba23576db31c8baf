"""Sounds that wait and sounds that are worked on, each of which can be stopped at any time."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError
from bench.inference.web.analysis import Options, analyse
from bench.inference.web.engine import Engine
from bench.inference.web.limits import Limits, Refused, busy
from bench.inference.web.uploads import Upload
from datamodules.audio import AudioError
from datamodules.audio.in_child import Stopped, decode_in_child, pool
from models.errors import ModelError


@dataclass
class Job:
    """A sound to be classified.

    Attributes:
        upload: its file, deleted when the job ends in any way.
        engine: the model.
        options: what is asked for.
        future: holds the answer; raises `Refused` or `Stopped`.
        seconds: how much of the sound is done.
        stated: its length in seconds, as far as its header states one.
        started: whether it no longer waits.
    """

    upload: Upload
    engine: Engine
    options: Options
    future: "Future[dict[str, Any]]" = field(default_factory=Future)
    seconds: float = 0.0
    stated: float | None = None
    started: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Stop the work, or give the place in the queue back."""
        self._stop.set()
        self.future.cancel()

    def progress(self) -> dict[str, Any]:
        """Return how far it is."""
        state = "working" if self.started else "waiting"
        return {"state": state, "seconds": round(self.seconds, 2), "of_seconds": self.stated}

    def work(self, limits: Limits) -> dict[str, Any]:
        """Decode and classify the sound; errors as of `future`."""
        self.started = True
        try:
            return self._answer(limits)
        except AudioError as error:
            raise Refused(422, "audio", str(error)) from error
        except (BenchError, ModelError) as error:
            raise Refused(422, "model", str(error)) from error
        except MemoryError as error:
            raise busy("there is too little memory") from error
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            raise busy("there is too little memory") from error

    def _answer(self, limits: Limits) -> dict[str, Any]:
        upload, stop = self.upload, self._stop.is_set
        blocks = decode_in_child(
            upload.read, upload.size, upload.name, self.engine.model.rate(), limits.max_seconds, stop,
            self._state_length,
        )  # fmt: skip
        with closing(blocks):  # which ends its process where the sound is refused or the work is stopped
            found = analyse(self.engine, blocks, self.options, limits.max_windows, stop, self._advance)
        return {"file": upload.name} | found

    def _advance(self, seconds: float) -> None:
        self.seconds = seconds

    def _state_length(self, seconds: float) -> None:
        self.stated = round(seconds, 2)


class Jobs:
    """The jobs of a server.

    Args:
        limits: how many work and how many wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.workers, "bench-serve")
        self._all: dict[int, Job] = {}
        self._lock = threading.Lock()
        self.warm()

    def warm(self) -> None:
        """Start the processes that decode, so that the first client does not wait for them."""
        pool.warm(self._limits.workers)

    def start(self, upload: Upload, engine: Engine, options: Options) -> Job:
        """Put a sound into the queue.

        Raises:
            Refused: the queue is full.
        """
        job = Job(upload, engine, options)
        with self._lock:
            if len(self._all) >= self._limits.workers + self._limits.waiting:
                upload.close()
                raise busy(f"{len(self._all)} sounds are waiting")
            self._all[id(job)] = job
            job.future = self._threads.submit(job.work, self._limits)
        job.future.add_done_callback(lambda _: self._done(job))
        return job

    def close(self) -> None:
        """Stop all work."""
        with self._lock:
            jobs = list(self._all.values())
        for job in jobs:
            job.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def __len__(self) -> int:
        """Number of jobs that wait or are worked on."""
        return len(self._all)

    def _done(self, job: Job) -> None:
        job.upload.close()
        with self._lock:
            self._all.pop(id(job), None)


__all__ = ["Job", "Jobs", "Stopped"]
