"""One run that a reference leads to."""

from dataclasses import dataclass
from pathlib import Path

from bench.records import Record
from bench.training.stored import Description


@dataclass(frozen=True)
class Part:
    """One run that a reference leads to: where its files are, and what is known about it."""

    key: str
    folder: Path
    description: Description | None
    record: Record | None
