"""W&B's limits on names; a name that is too long or has a reserved character would prevent the mirror of the run.

W&B's client (0.31) checks these limits; names that only the server checks have 128 characters.
"""

import hashlib

TAG = 64
"""Largest number of characters of a tag."""
NAME = 128
"""Largest number of characters of a run's name, group or job type, or of an artifact's name."""
RUN_ID = 90
"""Largest number of characters of a run's id. W&B gives the artifact of a table the name
`run-<id>-<key>-<6 characters>` with at most 128 characters, and the longest key is `average-precision_table`."""
SUMMARY_ID = 46
"""Largest number of characters of the id of a suite's own run; its keys contain a dataset's name with arguments."""
_SUMMARY = 92
"""Largest sum of the characters of that id and of a dataset's name, for the key `pareto/<dataset>/cpu_p50_ms_table`."""
RESERVED = ":;,#?/'\\%"
"""Characters that ids and names of artifacts may not contain."""

_DIGEST = 8


def fitted(text: str, limit: int, reserved: str = "") -> str:
    """Return a text within the limit; a text that is too long keeps its beginning and ends in a digest of all of it.

    Different texts give different results, and equal texts give equal results.

    Args:
        text: not empty.
        limit: largest number of characters, more than nine.
        reserved: characters that are replaced by hyphens.
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
