"""Systems: the entries that a leaderboard compares, and their labels."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records import Run


@dataclass(frozen=True)
class System:
    """An entry of a leaderboard: a run without its fold and seed.

    Attributes:
        model: name in the catalogue.
        frontend: name in the catalogue.
        arguments: the model's arguments as sorted (name, value) pairs of text.
        recipe: values that differ from the default recipe, in the same form.
        members: the systems that a fusion combines, regardless of their runs' folds and seeds.
        teacher: the teacher's system; a run outside the suite is a system of its own, labelled by its key.
        origin: the system that provided the initial weights, likewise.
    """

    model: str
    frontend: str
    arguments: tuple[tuple[str, str], ...] = ()
    recipe: tuple[tuple[str, str], ...] = ()
    members: tuple["System", ...] = ()
    teacher: "System | None" = None
    origin: "System | None" = None

    @property
    def needs(self) -> tuple["System", ...]:
        """The systems that appear in its label."""
        return self.members + tuple(other for other in (self.teacher, self.origin) if other)


def find_systems(runs: Sequence[Run]) -> dict[str, System]:
    """Return each run's system, by key."""
    by_key = {run.key: run for run in runs}
    found: dict[str, System] = {}
    recipes: dict[int, tuple[tuple[str, str], ...]] = {}  # by identity: many runs share one

    def recipe(run: Run) -> tuple[tuple[str, str], ...]:
        if id(run.recipe) not in recipes:
            recipes[id(run.recipe)] = _pairs(run.recipe_differences, "teacher", "init")
        return recipes[id(run.recipe)]

    def system(run: Run) -> System:
        if run.key not in found:
            found[run.key] = System(
                model=run.model,
                frontend=run.frontend,
                arguments=_pairs(run.arguments, "members"),
                recipe=recipe(run),
                members=tuple(named(key) for key in run.members),
                teacher=named(run.recipe.teacher) if run.recipe.teacher else None,
                origin=named(run.recipe.init) if run.recipe.init else None,
            )
        return found[run.key]

    def named(key: str) -> System:
        return system(by_key[key]) if key in by_key else System(model=key, frontend="none")

    for run in runs:
        system(run)
    return found


def _pairs(values: Mapping[str, Any], *without: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, as_text(value)) for name, value in values.items() if name not in without))


def as_text(value: Any) -> str:
    """Return an argument's value as a label shows it."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def with_needs(systems: Iterable[System]) -> set[System]:
    """Return the systems, and the systems that appear in their labels."""
    return {found for system in systems for found in (system, *with_needs(system.needs))}


def suite_names(groups: Mapping[System, Sequence[Run]], names: Mapping[str, str]) -> dict[System, str]:
    """Return the suite's name of each system, if no other system on the same front-end has that name."""
    called = {system: names[runs[0].key] for system, runs in groups.items() if runs[0].key in names}
    count = Counter((name, system.frontend) for system, name in called.items())
    return {system: name for system, name in called.items() if count[name, system.frontend] == 1}


def details(full: str, label: str) -> str:
    """Return the part of the full label that a label leaves out."""
    return (
        "" if full == label else full.removeprefix(f"{label} ").strip("()") if full.startswith(f"{label} (") else full
    )


def make_labels(systems: Iterable[System]) -> dict[System, str]:
    """Return each system's label: model, arguments, and the settings in which systems of the same model differ.

    A teacher and an origin are always named. The settings of distillation appear only where systems with the same
    teacher differ in them.
    """
    alike: dict[tuple[str, str], set[System]] = {}
    frontends: dict[str, set[str]] = {}
    for system in systems:
        alike.setdefault((system.model, system.frontend), set()).add(system)
        frontends.setdefault(system.model, set()).add(system.frontend)

    def label(system: System) -> str:
        twins = alike[system.model, system.frontend]
        pupils = {twin for twin in twins if twin.teacher == system.teacher}
        own = []
        if system.teacher:
            own.append(f"teacher={short(system.teacher)}")
        if system.origin:
            own.append(f"init={short(system.origin)}")
        own += map("=".join, system.arguments)
        for detail in system.recipe:
            compared = pupils if detail[0].startswith("teacher_") else twins
            if any(detail not in other.recipe for other in compared):
                own.append("=".join(detail))
        if len({twin.members for twin in twins}) > 1:
            own.append("of " + " + ".join(map(short, system.members)))
        return f"{system.model} ({', '.join(own)})" if own else system.model

    def short(system: System) -> str:
        """Return a label for use within another label, with the front-end only where the model has several."""
        return member_label(system, label(system)) if len(frontends[system.model]) > 1 else label(system)

    return {system: label(system) for system in systems}


def member_label(system: System, label: str) -> str:
    """Return a label with its front-end, where the system has one."""
    return label if system.frontend == "none" else f"{label} on {system.frontend}"
