"""Timings that last a moment, in every process that imports this module.

The tests import it, and so do the fork servers that they start (see `conftest.py`): what a child process times lasts a
moment, too. Tests look at what is timed and kept, not at how steady it is.
"""

from bench.profiling import measure

MOMENT = measure.Tier(warm_seconds=0.0, warm_limit_seconds=0.0, seconds=0.01, limit_seconds=0.1, sentinel_seconds=0.01)
measure.TIERS |= {"quick": MOMENT, "steady": MOMENT}
measure.FIRST = MOMENT
