"""What the explorer of a web page knows of leaderboards, as compact JSON."""

import json
from collections.abc import Sequence
from typing import Any

from bench.leaderboard.board import Leaderboard


def explorer_data(leaderboards: Sequence[Leaderboard]) -> str:
    """Return the leaderboards as JSON that may stand inside of HTML."""
    content: dict[str, Any] = {}
    return json.dumps(content, separators=(",", ":"), allow_nan=False, sort_keys=True).replace("<", "\\u003c")
