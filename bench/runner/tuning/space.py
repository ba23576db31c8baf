"""Search spaces of recipes, and candidates that Optuna draws from them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench import catalog
from bench.errors import SuiteError
from bench.extras import install
from bench.records import Json, Recipe

FIXED = frozenset({"epochs", "init", "teacher", "frozen", "compile", "background"})
"""Values of a recipe that are no part of a space: the budget, other runs, files, and what changes no score."""

DEFAULT: Json = {
    "learning_rate": {"low": 3e-4, "high": 1e-2, "log": True},
    "weight_decay": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": [16, 32, 64],
    "ema_decay": ["none", 0.98, 0.99],
    "label_smoothing": [0.0, 0.1],
    "mixup": [0.0, 0.2, 0.5],
    "time_shift": [0.0, 0.25, 0.5],
    "time_masks": [0, 1, 2],
    "frequency_masks": [0, 1, 2],
}
"""The space that is searched where no other one is given."""


@dataclass(frozen=True)
class Space:
    """Names of a recipe's values to their choices (a list), or to a range (a table with `low`, `high`, `log`)."""

    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check the names and the ranges.

        Raises:
            SuiteError: a name is no value of a recipe, or a range is wrong.
        """
        known = [field.name for field in fields(Recipe) if field.name not in FIXED]
        if not self.values:
            raise SuiteError(f"the space is empty: name some of {', '.join(known)}")
        for name, given in self.values.items():
            if name not in known:
                near = catalog.nearest(name, known)
                hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
                raise SuiteError(f"the space has {name!r}, which is no value of a recipe that can be searched; {hint}")
            choices = isinstance(given, list) and len(given) > 0
            bounds = isinstance(given, dict) and {"low", "high"} <= given.keys() <= {"low", "high", "log"}
            if not choices and not (bounds and 0 <= given["low"] < given["high"]):
                raise SuiteError(
                    f"{name} in the space is a list of choices or {{ low = 1e-4, high = 1e-2, log = true }}, "
                    f"not {given!r}"
                )
            if bounds and given.get("log") and given["low"] <= 0:
                raise SuiteError(f"{name} in the space has log = true, so low must be above 0")


def read(path: Path | None) -> Space:
    """Return the space in the table `[space]` of a TOML file, or the default one.

    Raises:
        SuiteError: the file cannot be read, or its space is wrong.
    """
    if path is None:
        return Space(DEFAULT)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SuiteError(f"cannot read the space {path}: {error.strerror}") from error
    except ValueError as error:
        raise SuiteError(f"{path} is not TOML: {error}") from error
    if set(content) != {"space"} or not isinstance(content["space"], dict):
        raise SuiteError(f"{path} has one table, [space], and no other key")
    return Space(content["space"])


def candidates(space: Space, trials: int, seed: int) -> list[Json]:
    """Return recipe values of each trial; trial 0 is empty, which is the suite's own recipe.

    The same space and seed give the same candidates, of which a larger number of trials has more. Numbers of ranges
    are rounded to three digits, so that a recipe can be read.

    Raises:
        SuiteError: Optuna is not installed, or a candidate is no recipe.
    """
    try:
        import optuna
    except ImportError as error:
        raise SuiteError(f"`bench tune` needs Optuna: {install('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {}
    for name in sorted(space.values):  # the order of a file changes no candidate
        given = space.values[name]
        if isinstance(given, list):
            distributions[name] = optuna.distributions.CategoricalDistribution([_choice(each) for each in given])
        elif all(isinstance(given[end], int) for end in ("low", "high")):
            distributions[name] = optuna.distributions.IntDistribution(
                given["low"], given["high"], bool(given.get("log"))
            )
        else:
            low, high, log = float(given["low"]), float(given["high"]), bool(given.get("log"))
            distributions[name] = optuna.distributions.FloatDistribution(low, high, log=log)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed))
    found: list[Json] = [{}]
    while len(found) < trials:
        drawn = study.ask(distributions).params
        found.append({name: _value(value) for name, value in drawn.items()})
    return found


def _choice(value: Any) -> Any:
    """Return a choice as Optuna takes it: a number or text."""
    return str(value) if isinstance(value, list) else value


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.3g}")
    return None if value == "none" else value
