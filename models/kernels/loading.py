"""Imports of compiled kernels, which take a moment and a compiler that need not be installed."""

import importlib
from functools import cache
from typing import Any


@cache
def available(name: str) -> Any:
    """Return a module of `models.kernels`; None where the compiler that it needs is not installed."""
    try:
        return importlib.import_module(f"models.kernels.{name}")
    except ImportError:
        return None
