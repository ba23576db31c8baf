"""Imports that the fork server does once for all children of a suite. Nothing else imports this module.

A collection of garbage looks at all objects again and again while modules are imported, which takes a fifth of the
time; children turn it on again (`bench.profiling.children`).

torchmetrics imports scipy.signal only to add a name to it that SciPy 1.13 has dropped, `hamming`. Nothing here uses the
name, and the import takes a tenth of the start of a run, so an empty module that has it stands in meanwhile.
"""

import gc
import sys
import types

gc.disable()


def _import_torchmetrics() -> None:
    """Import torchmetrics without scipy.signal, which is then as it was: not imported."""
    name = "scipy.signal"
    if name in sys.modules:
        return
    stand_in = types.ModuleType(name)
    stand_in.hamming = None  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    try:
        import torchmetrics  # noqa: F401
    except Exception:  # a release that needs more of it imports it itself, with the rest
        for each in [each for each in sys.modules if each.partition(".")[0] == "torchmetrics"]:
            del sys.modules[each]
    finally:
        del sys.modules[name]
        vars(sys.modules.get("scipy", stand_in)).pop("signal", None)


_import_torchmetrics()

import filelock  # noqa: E402, F401

from bench.profiling import measure  # noqa: E402
from bench.records import record  # noqa: E402
from bench.runner import timings, worker  # noqa: E402, F401

record.prepare()
measure.preload_kernels()
