"""Imports that the fork server does once for all children of a suite. Nothing else imports this module.

A collection of garbage looks at all objects again and again while modules are imported, which takes a fifth of the
time; children turn it on again (`bench.profiling.children`).

Two libraries import others that hardly a run uses, and that take a fifth of the start of a run. Modules that stand in
for these are there meanwhile; the modules themselves are imported when something uses them:

- torchmetrics imports scipy.signal, to add a name to it that SciPy 1.13 has dropped, `hamming`;
- torchmetrics imports Matplotlib, for plots of a metric;
- torch's compiler, which Lightning imports, imports FSDP, one method of which it treats in a way of its own.

The kernels of front-ends, which timings need, are loaded a moment later, when the first training is at work.
"""

import atexit
import gc
import os
import signal
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

gc.disable()

KERNELS_AFTER = 1.0
"""Seconds after which the kernels of front-ends are loaded; the fork server does so between two children."""


class _Later(types.ModuleType):
    """Stands in for a module; names that it does not have are those of the module, which is then imported."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            if name.startswith("__"):  # the import system asks for some; only the module itself is a package
                raise AttributeError(name)
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)

    def __dir__(self) -> list[str]:
        return list(super().__dir__()) if sys.modules.get(self.__name__) is self else dir(import_module(self.__name__))


class _LikeAxes(type):
    def __instancecheck__(cls, instance: object) -> bool:
        axes = sys.modules.get("matplotlib.axes")
        return axes is not None and isinstance(instance, axes.Axes)


class _Axes(metaclass=_LikeAxes):
    """Stands in for Matplotlib's class: what is an instance of the one is one of the other."""


@contextmanager
def _standing_in(*modules: types.ModuleType) -> Iterator[None]:
    """Let modules stand in for those of their names that are not imported yet, until the end of the block."""
    placed = {module.__name__: module for module in modules if module.__name__ not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
            package, _, last = name.rpartition(".")
            if package in sys.modules and vars(sys.modules[package]).get(last) is module:
                delattr(sys.modules[package], last)


@contextmanager
def _style(*arguments: Any, **options: Any) -> Iterator[None]:
    """Draw in a style of Matplotlib."""
    with import_module("matplotlib.style").context(*arguments, **options):
        yield


def _import_torchmetrics() -> None:
    """Import torchmetrics without scipy.signal and Matplotlib, of whose classes `isinstance` needs only `Axes`."""
    signal, axes = types.ModuleType("scipy.signal"), _Later("matplotlib.axes")
    pyplot, matplotlib = _Later("matplotlib.pyplot"), _Later("matplotlib")
    vars(signal).update(hamming=None)
    vars(axes).update(Axes=_Axes)
    vars(pyplot).update(Figure=object, style=types.SimpleNamespace(context=_style))
    vars(matplotlib).update(axes=axes, pyplot=pyplot, colors=types.SimpleNamespace(Colormap=object))
    try:
        with _standing_in(signal, matplotlib, axes, pyplot):
            import torchmetrics  # noqa: F401
    except Exception:  # a release that needs more of them imports it itself, with the rest
        for each in [each for each in sys.modules if each.partition(".")[0] == "torchmetrics"]:
            del sys.modules[each]


def _import_compiler() -> None:
    """Import torch's compiler without FSDP."""
    import torch.distributed

    package, inner = "torch.distributed.fsdp", "torch.distributed.fsdp._fully_shard"
    sharded = _Later(inner)
    vars(sharded).update(_fsdp_param_group=_Later(f"{inner}._fsdp_param_group"))
    with _standing_in(_Later(package), sharded):
        import torch._dynamo
    if package not in sys.modules:  # the compiler looks it up here without importing it
        vars(torch.distributed).setdefault("fsdp", _Later(package))


_import_torchmetrics()
_import_compiler()

import filelock  # noqa: E402, F401

from bench.profiling import measure  # noqa: E402
from bench.records import record  # noqa: E402
from bench.runner import timings, worker  # noqa: E402, F401

record.prepare()


def _no_alarm() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _load_kernels(*_: object) -> None:
    _no_alarm()
    with suppress(Exception):  # whoever needs them meets it again
        measure.preload_kernels()


signal.signal(signal.SIGALRM, _load_kernels)
os.register_at_fork(after_in_child=_no_alarm)  # a child has no timer of its parent's
atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)  # an alarm kills an interpreter at its end
signal.setitimer(signal.ITIMER_REAL, KERNELS_AFTER)
