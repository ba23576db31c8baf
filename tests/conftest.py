"""What all tests share."""

import pytest

from bench import latency


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_in_the_users_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _timings_last_a_moment():
    """Tests look at what is timed and kept, not at how steady it is."""
    moment = latency.Tier(warm_seconds=0.0, warm_limit_seconds=0.0, seconds=0.01, limit_seconds=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(latency.TIERS, "quick", moment)
        yield
