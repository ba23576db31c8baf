"""Leaderboards: records aggregated to rows, and the tables, plots and pages that show them.

The package is callable: `bench.leaderboard(results)` returns `results.leaderboards()`. The function of the library and
this package have one name, and importing a package sets its name in `bench`.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that is also the function `bench.api.leaderboard`."""

    def __call__(self, results: Any) -> Any:
        """Return one leaderboard per dataset; `results` are `bench.Results`."""
        return results.leaderboards()


sys.modules[__name__].__class__ = _CallablePackage
