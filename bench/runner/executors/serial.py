"""One job after another in this process: for debuggers. A job that kills its process takes the suite with it."""

from collections.abc import Sequence

from bench.runner.executors import Job, Listener, perform


def execute(jobs: Sequence[Job], workers: int, listen: Listener) -> None:
    """Do the jobs in order; `workers` has no meaning here."""
    for job in jobs:
        perform(job, listen)
