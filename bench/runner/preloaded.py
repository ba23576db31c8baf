"""Imports that the fork server does once for all children of a suite. Nothing else imports this module.

A collection of garbage looks at all objects again and again while modules are imported, which takes a fifth of the
time; children turn it on again (`bench.profiling.children`).
"""

import gc

gc.disable()

import filelock  # noqa: E402, F401

from bench.profiling import measure  # noqa: E402
from bench.records import record  # noqa: E402
from bench.runner import timings, worker  # noqa: E402, F401

record.prepare()
measure.preload_kernels()
