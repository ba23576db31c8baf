"""Suites: grids of runs, written in TOML."""

from bench.suites.reading import read, suites
from bench.suites.selection import at_hand, select
from bench.suites.suite import Suite, is_fusion

__all__ = ["Suite", "at_hand", "is_fusion", "read", "select", "suites"]
