"""Compiled kernels: same numbers as the modules that use them, faster."""

import importlib
from functools import cache
from typing import Any


@cache
def available(name: str) -> Any:
    """Return a module of this package; None where the compiler that it needs is not installed."""
    try:
        return importlib.import_module(f"models.kernels.{name}")
    except ImportError:
        return None
