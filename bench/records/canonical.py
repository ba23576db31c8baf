"""The JSON that keys, digests and record files are made of."""

import json
from typing import Any

from pydantic import ConfigDict

Json = dict[str, Any]

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Configuration of every dataclass in a record: unknown keys, NaN and infinity are errors."""


def canonical(content: Any) -> str:
    """Return JSON that is the same for the same content, whatever the order of its keys."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
