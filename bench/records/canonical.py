"""Canonical JSON for keys, digests and record files."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ConfigDict

Json = dict[str, Any]

STRICT: "ConfigDict" = {"extra": "forbid", "allow_inf_nan": False}
"""Configuration of every dataclass in a record: unknown keys, NaN and infinities are errors."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(content: Any) -> str:
    """Return JSON text that does not depend on the order of the content's keys."""
    return _ENCODER.encode(content)
