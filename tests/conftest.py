"""What all tests share."""

import pytest

from bench.profiling import measure


@pytest.fixture(scope="session", autouse=True)
def _timings_last_a_moment():
    """Tests look at what is timed and kept, not at how steady it is."""
    moment = measure.Tier(warm_seconds=0.0, warm_limit_seconds=0.0, seconds=0.01, limit_seconds=0.1)
    with pytest.MonkeyPatch.context() as patch:
        for tier in ("quick", "steady"):
            patch.setitem(measure.TIERS, tier, moment)
        yield
