"""An executor that runs each job as a Ray task, on this machine or on the cluster that RAY_ADDRESS names."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import lookup
from bench.errors import BenchError
from bench.records import Failure
from bench.runner.executors import Event, Failed, Finished, Job, perform

POLL_SECONDS = 0.2
"""Interval at which the driver looks for tasks that died without an event."""


def execute(jobs: Sequence[Job], workers: int) -> Iterator[Event]:
    """Do the jobs, `workers` at a time. Every node needs the project, its data and the store at the same paths.

    Tasks put their events into one queue, so reports arrive while a job works.

    Raises:
        BenchError: Ray is not installed.
    """
    try:
        import ray
        from ray.util.queue import Empty, Queue
    except ImportError as error:
        raise BenchError('the ray executor needs Ray: pip install -e ".[ray]"') from error
    ray.init(
        num_cpus=None if os.environ.get("RAY_ADDRESS") else workers,
        include_dashboard=False,
        log_to_driver=False,
        ignore_reinit_error=True,
    )
    try:
        queue = Queue(actor_options={"num_cpus": 0})
        task = ray.remote(num_cpus=1, max_retries=0, max_calls=1)(_emit)
        running = {task.remote(job, queue, lookup.permitted()): job for job in jobs}
        ended: set[str] = set()
        while running or not queue.empty():
            try:
                event: Event = queue.get(timeout=POLL_SECONDS)
            except Empty:
                pass
            else:
                if isinstance(event, Finished | Failed):
                    ended.add(event.job)
                yield event
                continue  # a task's last event is in the queue before the task ends
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=0) if running else ([], [])
            for reference in ready:
                job = running.pop(reference)
                try:
                    ray.get(reference)
                except ray.exceptions.RayError as error:
                    if job.key not in ended:
                        yield Failed(job.key, Failure.of(error), "killed")
    finally:
        ray.shutdown()


def _emit(job: Job, queue: Any, named: dict[str, Path | None]) -> None:
    """Do one job and put its events into the queue; `named` are the classes of other packages that the user named."""
    lookup.permit(named)
    perform(job, queue.put)
