"""The specification of one training, and the key that names it."""

import hashlib
import re
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from typing import Any

from pydantic import with_config

from bench.records.canonical import STRICT, Json, canonical
from bench.records.recipe import Recipe, is_weights_file

PROTOCOL = 1
"""Version of the rules (splits, model selection, metrics) of a run; part of every key."""

EMA = 2
"""Version of `ema_decay`'s meaning; part of the keys of runs that have it. Version 1 averaged buffers, too."""

LONGEST = 60
"""Characters of a name in a key; of a longer one, its end."""


_USUAL = Recipe()  # made once, because it checks its values


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Run:
    """The specification of one training: everything that can change its result, and nothing else.

    Attributes:
        model: name in the catalogue, or "package.module:Class".
        frontend: name in the catalogue, or "package.module:Class"; "none" for an embedding dataset and for a fusion.
        dataset: name in the catalogue, or "package.module:Class".
        fold: number of the test fold, from 0; for clips of a user's own, the number that the user gave it.
        seed: of weights, order and augmentation.
        recipe: the training recipe.
        arguments: the model's constructor arguments that differ from its defaults; for a fusion, the members' keys
            under `members`.
        data: the dataset's constructor arguments that differ from its defaults.
        protocol: version of the rules.
        sources: package, version and digest of the source of each of model, front-end and dataset that another package
            provides; left out of the key and of the file where none does.
    """

    model: str
    frontend: str
    dataset: str
    fold: int = 0
    seed: int = 0
    recipe: Recipe = field(default_factory=lambda: _USUAL)
    arguments: Json = field(default_factory=dict)
    data: Json = field(default_factory=dict)
    protocol: int = PROTOCOL
    sources: Json = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The run's name: readable fields, and a digest of all fields."""
        content = {name: getattr(self, name) for name in _NAMES} | {"recipe": self.recipe_differences}
        if self.recipe.ema_decay is not None:
            content["ema"] = EMA
        if not self.sources:
            del content["sources"]
        digest = hashlib.sha256(canonical(content).encode()).hexdigest()[:8]
        return f"{self._readable}-f{self.fold}-s{self.seed}-{digest}"

    @property
    def text(self) -> str:
        """The run as canonical JSON, as its record's file has it."""
        first = canonical({name: getattr(self, name) for name in _NAMES if name < "recipe"})
        rest = {"seed": self.seed} | ({"sources": self.sources} if self.sources else {})
        return f'{first[:-1]},"recipe":{_recipe_text(self.recipe)},{canonical(rest)[1:]}'

    @property
    def _readable(self) -> str:
        """The names of dataset, front-end and model, as every file system takes them."""
        names = (self.dataset, self.frontend, self.model)
        return "-".join(re.sub(r"[^A-Za-z0-9_.-]", ".", name)[-LONGEST:] for name in names)

    def is_like(self, other: "Run") -> bool:
        """Whether another run differs from this one in the source of its components at most."""
        return replace(self, sources={}) == replace(other, sources={})

    @property
    def recipe_differences(self) -> Json:
        """The recipe's values that differ from the defaults."""
        values = vars(self.recipe)  # the same as `Recipe.differences` in a third of its time
        return {name: values[name] for name, default in _DEFAULTS if values[name] != default}

    @property
    def members(self) -> tuple[str, ...]:
        """Keys of the runs that a fusion combines; empty for any other model."""
        return tuple(self.arguments.get("members", ()))

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the runs that must finish before this one: a fusion's members, the teacher, the initial weights."""
        start = None if self.recipe.init is None or is_weights_file(self.recipe.init) else self.recipe.init
        return self.members + tuple(key for key in (self.recipe.teacher, start) if key)


_NAMES = tuple(each.name for each in fields(Run))
_DEFAULTS = tuple((each.name, each.default) for each in fields(Recipe))


LATER = {"memory_format": "contiguous", "accumulate": 1}
"""Values of a recipe that were added after results were published; keys and records leave out those that say this."""


def leave_out_later(recipe: dict[str, Any]) -> None:
    """Remove the values that came later and say what held before."""
    for name, usual in LATER.items():
        if recipe[name] == usual:
            del recipe[name]


@lru_cache(maxsize=64)
def _recipe_text(recipe: Recipe) -> str:
    """Return a recipe as canonical JSON; the runs of a suite share few."""
    values = {each.name: getattr(recipe, each.name) for each in fields(recipe)}
    leave_out_later(values)
    return canonical(values)
