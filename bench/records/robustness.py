"""The results of a run's kept weights on disturbed test clips: one file per run, which grows by conditions."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from pydantic import TypeAdapter, ValidationError, with_config

from bench.errors import RecordError
from bench.records.canonical import STRICT, Json, canonical
from bench.records.record import Environment
from bench.records.store import Store, write_whole

FORMAT = 1
"""Version of the file; another version is refused by name."""

FOLDER = "robustness"
"""Folder of these files in a store, and of the logits among a run's artifacts."""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Disturbed:
    """The result of a run under one condition.

    Attributes:
        settings: everything that decides the disturbed clips.
        scores: metric name to value, as in a record.
        right: whether each test clip is classified correctly, "1" or "0"; empty where clips have several labels.
        draws: the primary score over bootstrap draws, as in a record; empty where `right` says it.
        logits: SHA-256 of the file of logits among the run's artifacts.
        environment: the software and the machine.
        started: UTC time in ISO 8601.
    """

    settings: Json
    scores: dict[str, float | None]
    right: str = ""
    draws: tuple[float, ...] = ()
    logits: str
    environment: Environment | None = None
    started: str = ""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Robustness:
    """The results of a run under several conditions.

    Attributes:
        key: of the run.
        fold: its test fold, which is the seed of the bootstrap draws.
        seed: its seed.
        task: whether clips have one or several labels.
        primary: name of the metric that ranks.
        of: SHA-256 of the logits of the clean test clips that the run has kept; a run that is done again has others.
        groups: number of the source of each test clip.
        deviation: largest difference between these logits and those of the clean clips now.
        conditions: name to result.
        format: version of the file.
    """

    key: str
    fold: int
    seed: int
    task: Literal["single", "multi"]
    primary: str
    of: str
    groups: tuple[int, ...]
    deviation: float | None = None
    conditions: dict[str, Disturbed] = field(default_factory=dict)
    format: int = FORMAT

    def with_condition(self, name: str, result: Disturbed) -> "Robustness":
        """Return the results with those of one more condition."""
        return replace(self, conditions={**self.conditions, name: result})

    def to_json(self) -> str:
        """Return strict JSON with its own digest."""
        content = _adapter().dump_python(self, mode="json")
        try:
            content["digest"] = hashlib.sha256(canonical(content).encode()).hexdigest()
            return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
        except ValueError as error:
            raise RecordError(f"the robustness of {self.key} holds a number that is not finite: {error}") from error

    @staticmethod
    def from_json(text: str, name: str) -> "Robustness":
        """Read a file; `name` is its name without the ending.

        Raises:
            RecordError: it is damaged, edited, of another version, or of another run.
        """
        remedy = "restore it, or delete it, and `bench robustness` makes it again"
        try:
            content = json.loads(text)
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                found = content.get("format") if isinstance(content, dict) else None
                raise RecordError(
                    f"the robustness of {name} has format {found}, and this version reads {FORMAT}: {remedy}"
                )
            digest = content.pop("digest", None)
            rest = canonical(content)
            if digest != hashlib.sha256(rest.encode()).hexdigest() or content.get("key") != name:
                raise RecordError(f"the robustness of {name} does not match its own digest or name: {remedy}")
            return _adapter().validate_json(rest)
        except (ValueError, RecursionError, ValidationError) as error:
            raise RecordError(f"the robustness of {name} is damaged ({error}): {remedy}") from error


def read(store: Store, key: str) -> Robustness | None:
    """Return the results of a run in a store; None where there are none.

    Raises:
        RecordError: the file is damaged.
    """
    path = store.root / FOLDER / f"{key}.json"
    try:
        return Robustness.from_json(path.read_text(encoding="utf-8"), key)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"{path} cannot be read ({error}): remove it, and `bench robustness` makes it again"
        ) from error


def write(store: Store, found: Robustness) -> None:
    """Write the results of a run to a store, completely or not at all."""
    write_whole(store.root / FOLDER / f"{found.key}.json", found.to_json().encode())


@cache
def _adapter() -> TypeAdapter[Robustness]:
    return TypeAdapter(Robustness)
