"""Start methods of child processes."""

from collections.abc import Sequence
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import ForkServerContext, SpawnContext


def process_context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return a context that starts child processes by a fork server, or as new interpreters on Windows.

    Args:
        preload: modules that the fork server imports once; a new interpreter imports only the modules that it needs.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([*preload])
    return context
