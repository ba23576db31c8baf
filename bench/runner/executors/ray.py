"""Each job as a Ray task: on this machine, or on the cluster that RAY_ADDRESS names."""

import os
from collections.abc import Sequence
from typing import Any

from bench.errors import BenchError
from bench.records import Failure
from bench.runner.executors import Event, Job, Listener, perform


def execute(jobs: Sequence[Job], workers: int, listen: Listener) -> None:
    """Do the jobs, `workers` at a time. Every node needs the project, its data and the store at the same paths.

    Raises:
        BenchError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise BenchError('the ray executor needs Ray: pip install -e ".[ray]"') from error
    ray.init(
        num_cpus=None if os.environ.get("RAY_ADDRESS") else workers,
        include_dashboard=False,
        log_to_driver=False,
        ignore_reinit_error=True,
    )
    task = ray.remote(num_cpus=1, max_retries=0, max_calls=1)(_events)
    try:
        waiting = {task.remote(job): job for job in jobs}
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(ready)
            try:
                events: list[Event] = ray.get(ready)
            except ray.exceptions.RayError as error:
                events = [Event(job.key, "failed", failure=Failure.of(error))]
            for event in events:
                listen(event)
    finally:
        ray.shutdown()


def _events(job: Job) -> list[Event]:
    events: list[Any] = []
    perform(job, events.append)
    return events
