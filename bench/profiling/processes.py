"""How child processes are started."""

from collections.abc import Sequence
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import ForkServerContext, SpawnContext


def process_context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return what starts child processes: a fork server, or new interpreters where there is none (Windows).

    Args:
        preload: modules that the fork server imports once; new interpreters import what they need themselves.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([*preload])
    return context
