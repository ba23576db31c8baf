"""Imported by the fork server alone, before everything else: it keeps what dead children have left behind.

It also ends them all when the driver has gone. Children end with the driver by themselves, but one that hangs in
compiled code, or that is stopped, cannot. Signals that end the driver's whole group leave the server alone until then;
if it is killed nevertheless, the system kills its children. Those signals are blocked, not handled: Python forgets what
it has caught when it forks, but what is blocked in a child that has hardly begun waits until it is unblocked.
"""

import os
import signal
import time
import warnings

from bench.profiling import descendants
from bench.profiling.reaper import keep_orphans, signal_at_parents_end

PATIENCE = 1.0
"""Seconds that the children have to end by themselves when the driver has gone."""

ENDING = (signal.SIGHUP, signal.SIGTERM)
"""Signals that end a whole process group."""

_DRIVER, _SERVER = os.getppid(), os.getpid()


def _end(*_: object) -> None:
    if os.getppid() == _DRIVER:  # only the driver's thread has ended that started this process
        return
    until = time.monotonic() + PATIENCE
    while descendants.any_below(os.getpid()) and time.monotonic() < until:
        time.sleep(0.05)
    descendants.kill_below(os.getpid())
    os._exit(0)


def _unblock() -> None:
    if os.getppid() == _SERVER:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it ends a child even if the driver ignores it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


keep_orphans()
signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
os.register_at_fork(after_in_child=_unblock)
if hasattr(signal, "SIGRTMIN"):
    signal.signal(signal.SIGRTMIN, _end)
    signal_at_parents_end(signal.SIGRTMIN)
warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")  # an orphan's
