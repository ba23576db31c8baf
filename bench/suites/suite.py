"""A suite is a grid read from TOML; it expands to runs in a fixed order."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Literal

from pydantic import ConfigDict, with_config

from bench import catalog
from bench.errors import SuiteError
from bench.records import Json, Recipe, Run
from bench.suites import recipes
from bench.suites.messages import near

KEY = re.compile(r"[\w.-]+-f\d+-s\d+-[0-9a-f]{8}")
"""What the key of a run looks like."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of runs.

    Attributes:
        name: of the suite, and of its tables.
        title: one line for the head of the tables.
        note: what a reader must know of all its results; stands below the title.
        models: names in the catalogue, or of tables below that say which `model` of it they are.
        frontends: names in the catalogue; empty gives each model its own.
        datasets: names in the catalogue; one that is not on disk is an error.
        datasets_if_here: further datasets, left out in silence where they are not on disk.
        folds: 0-based test folds, or "all" of the dataset's official ones.
        seeds: of weights, order and augmentation.
        fusion_members: what a fusion combines: names of models above, where "cnn@1" is cnn with seed 1, or keys of
            finished runs; empty takes all models that are trained.
        fusion_combinations: whether every fusion is done on every two or more of its members.
        backends: what every model is timed on, of `bench list backends`; one that cannot run a model says so.
        recipe: how every run may train; its `teacher`, and `init`, is a name of a model above, or the key of a finished
            run. `like = "rann"` takes a paper's recipe (`bench list recipes`), from which the other values differ.
        model: by name, constructor arguments, under `frontend` its front-end in this suite, and under `recipe` what
            differs from the recipe above. `model` makes it a further system of that model, with what that one's table
            says; `members` are a fusion's own.
        dataset: by dataset name, constructor arguments, and under `recipe` what differs.
    """

    name: str
    title: str = ""
    note: str = ""
    models: tuple[str, ...]
    frontends: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    datasets_if_here: tuple[str, ...] = ()
    folds: tuple[int, ...] | Literal["all"] = (0,)
    seeds: tuple[int, ...] = (0,)
    fusion_members: tuple[str, ...] = ()
    fusion_combinations: bool = False
    backends: tuple[str, ...] = ("eager",)
    recipe: Recipe = field(default_factory=Recipe)
    model: dict[str, Json] = field(default_factory=dict)
    dataset: dict[str, Json] = field(default_factory=dict)

    def runs(self) -> tuple[Run, ...]:
        """Expand the grid, datasets outermost; a run comes after those it needs."""
        return tuple(run for run, _ in self._expanded)

    def names(self) -> dict[str, str]:
        """Return the name in this suite of each run's system, by key."""
        return {run.key: name for run, name in self._expanded}

    @cached_property
    def _expanded(self) -> tuple[tuple[Run, str], ...]:
        """Every run with its system's name; made once."""
        datasets = (*self.datasets, *self.datasets_if_here)
        return tuple(named for dataset in datasets for named in _Expansion(self, dataset).all())

    def catalogued(self, name: str) -> str:
        """Return the catalogue's name of a system: what its table calls `model`, or else its own."""
        return str(self.model.get(name, {}).get("model", name))

    def table(self, name: str) -> Json:
        """Return a system's table; a further system of a model has what the model's own table says, unless its differs.

        The recipes are joined key by key.
        """
        own, base = self.model.get(name, {}), self.model.get(self.catalogued(name), {})
        (arguments, recipe), (base_arguments, base_recipe) = recipes.split(own), recipes.split(base)
        joined = base_arguments | arguments | {"recipe": base_recipe | recipe}
        return {key: value for key, value in joined.items() if key != "model"}

    def fused(self, name: str) -> tuple[str, ...]:
        """Return what a fusion combines, as the suite names it: in the order of the models, and keys of others last."""
        trained = [model for model in self.models if not is_fusion(self.catalogued(model))]
        named = self.table(name).get("members") or self.fusion_members or trained
        places = {model: place for place, model in enumerate(trained)}
        return tuple(sorted(named, key=lambda member: places.get(member.partition("@")[0], len(places))))


class _Expansion:
    """A suite's runs on one dataset, each made when it is first asked for, so that a run comes after those it needs."""

    def __init__(self, suite: Suite, dataset: str) -> None:
        self.suite = suite
        self.dataset = dataset
        self.entry = catalog.dataset(dataset)
        self.data, self.data_recipe = recipes.split(suite.dataset.get(dataset, {}))
        self.made: dict[tuple[str, int, int], tuple[Run, ...] | None] = {}
        self.order: dict[str, tuple[Run, str]] = {}

    def all(self) -> Iterable[tuple[Run, str]]:
        """Return every run with its system's name."""
        suite, official = self.suite, self.entry.folds
        folds = tuple(range(official)) if suite.folds == "all" else suite.folds
        for fold in folds:
            if fold < 0 or (fold >= official and self.dataset != "folder"):
                raise SuiteError(f"{self.dataset} has folds 0 to {official - 1}, the suite asks for {fold}")
        for seed in suite.seeds:
            for fold in folds:
                for name in suite.models:
                    self._of(name, fold, seed)
        return self.order.values()

    def _of(self, name: str, fold: int, seed: int) -> tuple[Run, ...]:
        """Return a system's runs on a fold with a seed: one for each front-end, or each combination of a fusion."""
        cell = name, fold, seed
        if cell not in self.made:
            self.made[cell] = None
            self.made[cell] = runs = tuple(self._runs(name, fold, seed))
            for run in runs:
                _, other = self.order.setdefault(run.key, (run, name))
                if other != name and not run.members:
                    raise SuiteError(f"{name} is {other} once more: let [model.{name}] differ in something")
        found = self.made[cell]
        if found is None:
            raise SuiteError(
                f"{name} on {self.dataset} needs its own result: name a teacher in [model.NAME.recipe] of its students "
                f"alone, and the members of a fusion that teaches"
            )
        return found

    def _runs(self, name: str, fold: int, seed: int) -> Iterator[Run]:
        model = self.suite.catalogued(name)
        arguments, own_recipe = recipes.split(self.suite.table(name))
        own = arguments.pop("frontend", None)
        run = Run(
            model=model, frontend="none", dataset=self.dataset, fold=fold, seed=seed,
            arguments=arguments, data=self.data,
        )  # fmt: skip
        if is_fusion(model):
            for members in self._combinations(name, fold, seed):
                yield replace(run, arguments=arguments | {"members": members})
            return
        known = catalog.model(model)
        if self.entry.kind == "embedding" and not known.embeddings:
            return
        recipe = recipes.recipe(asdict(self.suite.recipe) | self.data_recipe | own_recipe, f"{name} on {self.dataset}")
        for frontend in self._frontends(own or known.frontend):
            others: Json = {
                role: self._other(key, role, name, frontend, fold, seed)
                for role in ("teacher", "init")
                if (key := getattr(recipe, role))
            }
            yield replace(run, frontend=frontend, recipe=replace(recipe, **others))

    def _frontends(self, own: str) -> tuple[str, ...]:
        return ("none",) if self.entry.kind == "embedding" else self.suite.frontends or (own,)

    def _combinations(self, name: str, fold: int, seed: int) -> Iterator[list[str]]:
        """Yield the keys that a fusion combines: all of its members, or every two or more of them."""
        named = self.suite.fused(name)
        if seed != self.suite.seeds[0] and all("@" in member for member in named):
            return  # the same members once more
        keys = list(dict.fromkeys(key for member in named for key in self._keys(member, fold, seed)))
        fewest = 2 if self.suite.fusion_combinations else max(2, len(keys))
        for count in range(fewest, len(keys) + 1):
            yield from map(list, combinations(keys, count))

    def _keys(self, member: str, fold: int, seed: int) -> tuple[str, ...]:
        if KEY.fullmatch(member):
            return (member,)
        name, _, other = member.partition("@")
        return tuple(run.key for run in self._of(name, fold, int(other) if other else seed))

    def _other(self, other: str, role: str, name: str, frontend: str, fold: int, seed: int) -> str:
        """Return the key of the run that another learns from; where it has several front-ends, of that on the same."""
        if KEY.fullmatch(other):
            return other
        if other not in self.suite.models:
            raise SuiteError(
                f"the {role} {other!r} of {name} is neither among the suite's models nor the key of a run"
                f"{near(other, list(self.suite.models))}"
            )
        runs = self._of(other, fold, seed)
        fitting = [run for run in runs if run.frontend == frontend or len(runs) == 1]
        if len(fitting) != 1:
            raise SuiteError(
                f"the {role} {other} of {name} has {len(fitting)} runs on {self.dataset} to choose from; it has "
                f"to be one: name a system that takes this data, on one front-end, and a fusion without combinations"
            )
        return fitting[0].key


def is_fusion(model: str) -> bool:
    """Return whether a name that suites list among their models is a fusion's, which combines trained models."""
    return model in catalog.FUSIONS
