"""Suites: grids of runs, written in TOML."""

from bench.suites.layout import Layout
from bench.suites.reading import is_own, read, suites, tiers_of
from bench.suites.selection import at_hand, select
from bench.suites.suite import Suite, is_fusion

__all__ = ["Layout", "Suite", "at_hand", "is_fusion", "is_own", "read", "select", "suites", "tiers_of"]
