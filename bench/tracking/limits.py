"""W&B's limits on names: a name that is too long, or has a reserved character, would cost the whole run its mirror.

The limits are those that W&B's client (0.31) checks, and 128 characters for names that only its server checks.
"""

import hashlib

TAG = 64
"""Characters of a tag."""
NAME = 128
"""Characters of a run's name, its group, its job type and of an artifact."""
RUN_ID = 90
"""Characters of a run's id: W&B names the artifact of a table `run-<id>-<key>-<6 characters>`, at most 128 in all, and
the longest key of a record's tables is `average-precision_table`."""
SUMMARY_ID = 46
"""Characters of the id of a suite's own run, whose keys contain the name of a dataset with its arguments."""
_SUMMARY = 92
"""Characters of that id and of a dataset's name together: the longest key is `pareto/<dataset>/cpu_p50_ms_table`."""
RESERVED = ":;,#?/'\\%"
"""Characters that neither an id nor the name of an artifact may contain."""

_DIGEST = 8


def fitted(text: str, limit: int, reserved: str = "") -> str:
    """Return a text that fits; a text that does not keeps its front and ends in a digest of all of it.

    Two different texts stay different, and the same text always gives the same.

    Args:
        text: not empty.
        limit: most characters, more than nine.
        reserved: characters that become hyphens.
    """
    allowed = text.translate({ord(character): "-" for character in reserved})
    if allowed == text and len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{allowed[: limit - _DIGEST - 1]}-{digest}"


def summary_id(suite: str) -> str:
    """Return the id of a suite's own run."""
    return fitted(f"{suite}-summary", SUMMARY_ID, RESERVED)


def dataset_of(suite: str, board: str) -> str:
    """Return the name of a leaderboard's dataset in the keys of the suite's own run."""
    return fitted(board, _SUMMARY - len(summary_id(suite)))
