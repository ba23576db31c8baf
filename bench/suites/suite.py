"""A suite: a grid of models, front-ends, datasets, folds and seeds that expands to runs in a fixed order."""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Strict, with_config

from bench import catalog, lookup
from bench.errors import SuiteError
from bench.records import Json, Recipe, Run, is_weights_file, sources
from bench.suites import added, recipes
from bench.suites.layout import Layout
from bench.suites.messages import near
from bench.suites.values import check_arguments, check_length

KEY = re.compile(r"[\w.-]+-f\d+-s\d+-[0-9a-f]{8}")
"""Pattern of a run's key."""

NAME = re.compile(r"\w[\w.-]*")
"""Pattern of a suite's name, which is part of the names of its tables' files."""

_Integer = Annotated[int, Strict()]
"""A whole number, and neither `true` nor 1.0, which would count as 1."""

_LEFT_OUT = {
    "models": "",
    "folds": ", or leave the key out for the first",
    "seeds": ", or leave the key out for seed 0",
}
"""End of the advice about an empty list, by its key."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of runs.

    Attributes:
        name: of the suite, and of its tables.
        title: title of the tables, one line.
        note: what a reader must know about all results; the pages show it below the title.
        models: names in the catalogue, "package.module:Class", or names of tables below that have a key `model`.
        frontends: names in the catalogue or "package.module:Class"; if empty, each model has its own front-end.
        datasets: names in the catalogue, "package.module:Class", or names of tables below that have a key `dataset`; a
            dataset that is not on disk is an error.
        datasets_if_here: optional datasets; one that is not on disk is left out without a message.
        folds: test folds by number, "all" for all folds of the dataset, or "first". Official folds count from 0; those
            of a user's own clips have the user's numbers or names.
        seeds: of weights, order and augmentation.
        fusion_members: the members of every fusion: names of models above ("cnn@1" is cnn with seed 1) or keys of
            finished runs; if empty, all trained models.
        fusion_combinations: whether every fusion is done for every subset of two or more members.
        backends: backends that time every model (`bench list backends`); a record keeps the reason where one cannot
            run a model.
        metrics: metrics of other packages, entry points or "package.module:function", that are computed next to this
            project's; no part of a run, so `bench rescore` adds them to finished runs.
        recipe: training recipe of every run. `teacher` and `init` are names of models above, or keys of finished runs;
            `init` may be a file of weights, or "DATASET:NAME" for the run of a model on an earlier dataset of the
            suite. `like = "rann"` takes a paper's recipe (`bench list recipes`); the table's
            own keys win.
        model: model name to its constructor arguments; `frontend` is its front-end in this suite, and `recipe` has
            values that replace those of the recipe above. A table with a key `model` is another system of that model:
            it inherits the model's table; its own keys win. `members` are the members of a fusion. `datasets` are the
            only datasets of the suite that it is trained on, and `on.DATASET` has arguments and a recipe for one.
        dataset: dataset name to its constructor arguments; `recipe` has values that replace those of the recipe above.
            A table with a key `dataset` is that dataset under another name.
        layout: tables in the form of a paper's, which the pages show first; see `bench.suites.layout`.
        folder: the folder of the suite's file, where the packages of "package.module:Class" are looked for first; no
            key of the file.
        file: the name of the suite's file, which commands on pages take; no key of the file. Empty for suites that come
            with the project.
        tier: the tier of the file that this suite is, see `bench.suites.tiers`; empty for the whole suite.
        added: suites whose rows were sent in to this one's tables, see `bench.suites.added`; no key of the file.
    """

    name: str
    title: str = ""
    note: str = ""
    models: tuple[str, ...]
    frontends: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    datasets_if_here: tuple[str, ...] = ()
    folds: tuple[_Integer | str, ...] | Literal["all", "first"] = "first"
    seeds: tuple[_Integer, ...] = (0,)
    fusion_members: tuple[str, ...] = ()
    fusion_combinations: bool = False
    backends: tuple[str, ...] = ("eager",)
    metrics: tuple[str, ...] = ()
    recipe: Recipe = field(default_factory=Recipe)
    model: dict[str, Json] = field(default_factory=dict)
    dataset: dict[str, Json] = field(default_factory=dict)
    layout: tuple[Layout, ...] = ()
    folder: Path | None = None
    file: str = ""
    tier: str = ""
    added: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        """Check the names, which name files, the seeds, which every random generator must take, and the arguments.

        Raises:
            SuiteError: nothing is asked for, a name has other characters or is too long, a seed is out of range, or a
                record cannot hold an argument.
        """
        if not NAME.fullmatch(self.name):
            raise SuiteError(
                f"name = {self.name!r} is no name of a suite: use letters, digits, '_', '-' and '.', and start with "
                f"one of the first three"
            )
        for key in ("models", "folds", "seeds"):
            if not getattr(self, key):
                raise SuiteError(f"{key} = [] asks for no run: name at least one of the {key}{_LEFT_OUT[key]}")
        check_length(self.name, "suite")
        for what, names in (
            ("system", (*self.models, *self.model)),
            ("dataset", (*self.datasets, *self.datasets_if_here, *self.dataset)),
        ):
            for name in names:
                if ":" not in name:  # a class of another package
                    check_length(name, what)
        for seed in self.seeds:
            if not 0 <= seed < 2**32:
                raise SuiteError(f"the seed {seed} is out of range: seeds go from 0 to {2**32 - 1}")
        check_arguments(self.model, "model")
        check_arguments(self.dataset, "dataset")

    def runs(self) -> tuple[Run, ...]:
        """Expand the grid, datasets outermost; each run comes after the runs that it needs."""
        return tuple(run for run, _ in self._expanded)

    def names(self) -> dict[str, str]:
        """Return by key the name that this suite gives to each run's system."""
        return {run.key: name for run, name in self._expanded}

    @cached_property
    def _expanded(self) -> tuple[tuple[Run, str], ...]:
        """Every run with its system's name; computed once."""
        return tuple(named for _, runs in self._by_dataset for named in runs)

    @cached_property
    def _by_dataset(self) -> tuple[tuple[str, tuple[tuple[Run, str], ...]], ...]:
        """This suite's name of each dataset, with the runs on it and their systems' names."""
        self.permit()
        sources.refresh()
        found: dict[str, tuple[tuple[Run, str], ...]] = {}
        owners: dict[str, str] = {}
        earlier: dict[str, _Expansion] = {}
        for dataset in dict.fromkeys((*self.datasets, *self.datasets_if_here)):
            expansion = _Expansion(self, dataset, dict(earlier))
            found[dataset] = tuple(expansion.all())
            earlier[dataset] = expansion
            for run, _ in found[dataset]:
                if (other := owners.setdefault(run.key, dataset)) != dataset:
                    raise SuiteError(f"{dataset} is the same as {other}: change something in [dataset.{dataset}]")
        self._check_fusions({name for runs in found.values() for _, name in runs})
        for dataset, name, run in added.rows(self, found):
            found[dataset] += ((run, name),)
        return tuple(found.items())

    def _check_fusions(self, names: Container[str]) -> None:
        """Check that each fusion is among the names of the systems that have runs.

        Raises:
            SuiteError: one is not, because fewer than two runs are its members.
        """
        for name in self.models:
            if is_fusion(self.catalogued(name)) and name not in names:
                members = ", ".join(self.fused(name)) or "nothing"
                raise SuiteError(
                    f"{name} would have no run in {self.name}: a fusion combines two or more runs on the same data, "
                    f"and its members are {members}: name more members, or leave {name} out"
                )

    def dataset_names(self) -> dict[str, str]:
        """Return by key the name that this suite gives to each run's dataset."""
        return {run.key: dataset for dataset, runs in self._by_dataset for run, _ in runs}

    def permit(self) -> None:
        """Permit to import the classes of other packages that this suite names; none is imported here."""
        names = [
            *map(self.catalogued, (*self.models, *self.model)),
            *self.frontends,
            *(str(table["frontend"]) for table in self.model.values() if "frontend" in table),
            *map(self.catalogued_dataset, (*self.datasets, *self.datasets_if_here, *self.dataset)),
            *self.backends,
            *self.metrics,
        ]
        lookup.permit({name: self.folder for name in names if lookup.is_target(name)})

    def catalogued(self, name: str) -> str:
        """Return a system's name in the catalogue: the key `model` of its table, or else the system's own name."""
        return str(self.model.get(name, {}).get("model", name))

    def catalogued_dataset(self, name: str) -> str:
        """Return a dataset's name in the catalogue: the key `dataset` of its table, or else its own name."""
        return str(self.dataset.get(name, {}).get("dataset", name))

    def only_on(self, name: str) -> tuple[str, ...]:
        """Return the suite's names of the datasets that a system is restricted to; empty for all."""
        only = self.model.get(name, {}).get("datasets", ())
        return (only,) if isinstance(only, str) else tuple(only)

    def table(self, name: str, dataset: str = "") -> Json:
        """Return a system's table: it inherits the model's table; its own keys win.

        Recipes are merged key by key.

        Args:
            name: of the system.
            dataset: the suite's name of a dataset, whose table `on.DATASET` wins over the rest.
        """
        own, base = self.model.get(name, {}), self.model.get(self.catalogued(name), {})
        joined: Json = {}
        recipe: Json = {}
        for table in (base, own, base.get("on", {}).get(dataset, {}), own.get("on", {}).get(dataset, {})):
            arguments, part = recipes.split(table)
            joined, recipe = joined | arguments, recipe | part
        kept = {key: value for key, value in joined.items() if key not in ("model", "datasets", "on")}
        return kept | {"recipe": recipe}

    def fused(self, name: str) -> tuple[str, ...]:
        """Return the members of a fusion as the suite names them: models in the suite's order, then keys of runs."""
        trained = [model for model in self.models if not is_fusion(self.catalogued(model))]
        named = self.table(name).get("members") or self.fusion_members or trained
        places = {model: place for place, model in enumerate(trained)}
        return tuple(sorted(named, key=lambda member: places.get(member.partition("@")[0], len(places))))


class _Expansion:
    """A suite's runs on one dataset; each is made on first request, so it comes after the runs that it needs."""

    def __init__(self, suite: Suite, dataset: str, earlier: Mapping[str, "_Expansion"]) -> None:
        self.suite = suite
        self.name = dataset
        self.earlier = earlier
        self.dataset = suite.catalogued_dataset(dataset)
        self.entry = catalog.dataset(self.dataset)
        table = {key: value for key, value in suite.dataset.get(dataset, {}).items() if key != "dataset"}
        self.data, self.data_recipe = recipes.split(table)
        self.made: dict[tuple[str, int, int], tuple[Run, ...] | None] = {}
        self.order: dict[str, tuple[Run, str]] = {}
        self.recipes: dict[str, Recipe] = {}
        self.tables: dict[str, tuple[Json, Json]] = {}
        self.foreign: dict[tuple[str, str], Json] = {}

    def all(self) -> Iterable[tuple[Run, str]]:
        """Return every run with its system's name."""
        suite, folds = self.suite, self._folds()
        for seed in suite.seeds:
            for fold in folds:
                for name in suite.models:
                    self._of(name, fold, seed)
        return self.order.values()

    def _folds(self) -> tuple[int, ...]:
        """Return the numbers of the test folds."""
        wanted = self.suite.folds
        if wanted == "first" and self.entry.folds_of is None:
            return (0,)
        known = catalog.folds(self.dataset, self.data)
        if wanted == "first":
            return tuple(known or (0,))[:1]
        if wanted == "all":
            return tuple(range(self.entry.folds) if known is None else known)
        names = {
            name: number for number, name in (known or {}).items() if name
        }  # composed, as the clips' reader has it
        found = tuple(
            names.get(unicodedata.normalize("NFC", fold), -1) if isinstance(fold, str) else fold for fold in wanted
        )
        for asked, fold in zip(wanted, found, strict=True):
            if fold < 0 or (known is not None and fold not in known):
                raise SuiteError(f"{self.dataset} has {_in_words(known)}, the suite asks for {asked}")
        return found

    def _of(self, name: str, fold: int, seed: int) -> tuple[Run, ...]:
        """Return a system's runs on a fold with a seed: one for each front-end, or each combination of a fusion."""
        asked = name, fold, seed
        if asked not in self.made:
            self.made[asked] = None
            self.made[asked] = runs = tuple(self._runs(name, fold, seed))
            for run in runs:
                _, other = self.order.setdefault(run.key, (run, name))
                if other != name and not run.members:
                    raise SuiteError(f"{name} is the same as {other}: change something in [model.{name}]")
        found = self.made[asked]
        if found is None:
            raise SuiteError(
                f"{name} on {self.dataset} needs its own result: name a teacher only in [model.NAME.recipe] of its "
                f"students, and list the members of a fusion that is a teacher"
            )
        return found

    def _runs(self, name: str, fold: int, seed: int) -> Iterator[Run]:
        if (only := self.suite.only_on(name)) and self.name not in only:
            return
        model = self.suite.catalogued(name)
        if name not in self.tables:
            self.tables[name] = recipes.split(self.suite.table(name, self.name))
        arguments, own_recipe = self.tables[name]
        arguments = dict(arguments)  # no run shares it with another
        own = arguments.pop("frontend", None)
        run = Run(
            model=model, frontend="none", dataset=self.dataset, fold=fold, seed=seed,
            arguments=arguments, data=self.data,
        )  # fmt: skip
        if is_fusion(model):
            for members in self._combinations(name, fold, seed):
                whole = replace(run, arguments=arguments | {"members": members})
                yield replace(whole, sources=sources.foreign(whole))
            return
        known = catalog.model(model)
        if self.entry.kind == "embedding" and not known.embeddings:
            return
        recipe = self._recipe(name, own_recipe)
        for frontend in self._frontends(own or known.frontend):
            needed: Json = {
                role: self._other(key, role, name, frontend, fold, seed)
                for role in ("teacher", "init")
                if (key := getattr(recipe, role))
            }
            whole = replace(run, frontend=frontend, recipe=replace(recipe, **needed) if needed else recipe)
            if (components := (model, frontend)) not in self.foreign:
                self.foreign[components] = sources.foreign(whole)
            foreign = self.foreign[components]
            yield replace(whole, sources=dict(foreign)) if foreign else whole

    def _recipe(self, name: str, own: Json) -> Recipe:
        """Return the recipe of a system's runs, all of which share it."""
        if name not in self.recipes:
            values = asdict(self.suite.recipe) | self.data_recipe | own
            self.recipes[name] = recipes.recipe(values, f"{name} on {self.dataset}")
        return self.recipes[name]

    def _frontends(self, own: str) -> tuple[str, ...]:
        return ("none",) if self.entry.kind == "embedding" else self.suite.frontends or (own,)

    def _combinations(self, name: str, fold: int, seed: int) -> Iterator[list[str]]:
        """Yield the keys that a fusion combines: all of its members, or every subset of two or more."""
        named = self.suite.fused(name)
        if seed != self.suite.seeds[0] and all("@" in member for member in named):
            return  # the members are the same for every seed
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
        """Return the key of a teacher or of initial weights; if it has several runs, the one on the same front-end."""
        if KEY.fullmatch(other) or (role == "init" and is_weights_file(other) and other not in self.suite.models):
            return other
        place, _, elsewhere = other.partition(":")
        if role == "init" and elsewhere and other not in self.suite.models:
            return self._earlier(place, elsewhere, name, frontend, fold, seed)
        if other not in self.suite.models:
            raise SuiteError(
                f"the {role} {other!r} of {name} is neither among the suite's models nor the key of a run"
                f"{near(other, list(self.suite.models))}"
            )
        return self._fitting(other, role, name, frontend, fold, seed)

    def _earlier(self, dataset: str, other: str, name: str, frontend: str, fold: int, seed: int) -> str:
        """Return the key of a model's run on an earlier dataset, on this fold or on the first that it is run on."""
        if dataset not in self.earlier:
            raise SuiteError(
                f"the init '{dataset}:{other}' of {name} must name a dataset that the suite lists before {self.name}"
                f"{near(dataset, list(self.earlier))}"
            )
        if other not in self.suite.models:
            raise SuiteError(
                f"the init '{dataset}:{other}' of {name} must name one of the suite's models"
                f"{near(other, list(self.suite.models))}"
            )
        expansion = self.earlier[dataset]
        folds = expansion._folds()
        return expansion._fitting(other, "init", name, frontend, fold if fold in folds else folds[0], seed)

    def _fitting(self, other: str, role: str, name: str, frontend: str, fold: int, seed: int) -> str:
        runs = self._of(other, fold, seed)
        fitting = [run for run in runs if run.frontend == frontend or len(runs) == 1]
        if len(fitting) != 1:
            raise SuiteError(
                f"the {role} {other} of {name} has {len(fitting)} suitable runs on {self.dataset}, but it must have "
                f"exactly one: name a system that takes this data, on one front-end, and no fusion with combinations"
            )
        return fitting[0].key


def is_fusion(model: str) -> bool:
    """Return whether a model combines the results of other models instead of being trained."""
    return model in catalog.FUSIONS


def _in_words(folds: Mapping[int, str] | None) -> str:
    """Return the folds of a dataset in words, with their names where they have some besides their numbers."""
    numbers = list(folds or ())
    if not folds:
        return "folds that are numbered from 0 on"
    if any(name not in ("", str(number)) for number, name in folds.items()):
        return "the folds " + ", ".join(f"{number} ({name})" for number, name in folds.items())
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"folds {numbers[0]} to {numbers[-1]}"
    return f"the fold{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
