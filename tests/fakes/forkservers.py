"""Fork servers whose children time for a moment only."""

from multiprocessing import forkserver


def shorten_timings() -> None:
    """Let the fork servers of this process import `fakes.brief`, too.

    Every later job of a server finds `bench.runner.worker` imported, whoever started the server. This process
    does not import torch for it. The folder `tests` must be on PYTHONPATH.
    """
    preload = forkserver.set_forkserver_preload
    forkserver.set_forkserver_preload = lambda names: preload([*names, "bench.runner.worker", "fakes.brief"])


BENCH = "from fakes.forkservers import shorten_timings; shorten_timings(); from bench.cli import main; main()"
"""Python code of the command `bench` with short timings."""
