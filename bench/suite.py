"""A suite is a grid read from TOML; it expands to runs in a fixed order."""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from bench import catalog
from bench.errors import SuiteError
from bench.records import Json, Recipe, Run


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of runs.

    Attributes:
        name: of the suite, and of its tables.
        title: one line for the head of the tables.
        models: names in the catalogue.
        frontends: names in the catalogue; empty gives each model its own.
        datasets: names in the catalogue; one that is not on disk is an error.
        datasets_if_here: further datasets, left out in silence where they are not on disk.
        folds: 0-based test folds, or "all" of the dataset's official ones.
        seeds: of weights, order and augmentation.
        fusion_members: models that every fusion combines; empty takes all models that are trained.
        recipe: how every run may train.
        model: by model name, constructor arguments, under `frontend` its front-end in this suite, and under `recipe`
            what differs from the recipe above.
        dataset: by dataset name, constructor arguments, and under `recipe` what differs.
    """

    name: str
    title: str = ""
    models: tuple[str, ...]
    frontends: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    datasets_if_here: tuple[str, ...] = ()
    folds: tuple[int, ...] | Literal["all"] = (0,)
    seeds: tuple[int, ...] = (0,)
    fusion_members: tuple[str, ...] = ()
    recipe: Recipe = field(default_factory=Recipe)
    model: dict[str, Json] = field(default_factory=dict)
    dataset: dict[str, Json] = field(default_factory=dict)

    def runs(self) -> tuple[Run, ...]:
        """Expand the grid, datasets outermost; a fusion comes after its members."""
        return tuple(run for name in (*self.datasets, *self.datasets_if_here) for run in self._runs_on(name))

    def _runs_on(self, dataset: str) -> Iterator[Run]:
        entry = catalog.dataset(dataset)
        folds = tuple(range(entry.folds)) if self.folds == "all" else self.folds
        for fold in folds:
            if fold < 0 or (fold >= entry.folds and dataset != "folder"):
                raise SuiteError(f"{dataset} has folds 0 to {entry.folds - 1}, the suite asks for {fold}")
        data, data_recipe = _split(self.dataset.get(dataset, {}))
        for seed in self.seeds:
            for fold in folds:
                trained: list[Run] = []
                for model in self.models:
                    known = catalog.model(model)
                    if entry.kind == "embedding" and not known.embeddings:
                        continue
                    arguments, model_recipe = _split(self.model.get(model, {}))
                    own = arguments.pop("frontend", None)
                    recipe = _recipe(asdict(self.recipe) | data_recipe | model_recipe, f"{model} on {dataset}")
                    run = Run(
                        model=model, frontend="none", dataset=dataset, fold=fold, seed=seed,
                        recipe=recipe, arguments=arguments, data=data,
                    )  # fmt: skip
                    if is_fusion(model):
                        members = [r.key for r in trained if not self.fusion_members or r.model in self.fusion_members]
                        if len(members) >= 2:
                            yield replace(run, arguments=arguments | {"members": members}, recipe=Recipe())
                        continue
                    for frontend in self._frontends(own or known.frontend, entry.kind):
                        trained.append(replace(run, frontend=frontend))
                        yield trained[-1]

    def _frontends(self, own: str, kind: str) -> tuple[str, ...]:
        return ("none",) if kind == "embedding" else self.frontends or (own,)


def is_fusion(model: str) -> bool:
    """Whether a model combines others' results instead of being trained."""
    return catalog.model(model).target.startswith("models.fusion:")


def suites() -> dict[str, Path]:
    """Return the suites that come with the project, by name."""
    folder = Path(str(resources.files("bench") / "suites"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read(name: str) -> Suite:
    """Read a suite by name, or from a file whose name ends in .toml.

    Raises:
        SuiteError: no such suite, or something in it is unknown.
    """
    path = Path(name) if name.endswith(".toml") else catalog.find(suites(), name, "suite")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SuiteError(f"cannot read the suite {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is not TOML: {error}") from error
    try:
        suite = _adapter().validate_python({"name": path.stem} | content)
    except ValidationError as error:
        raise SuiteError(f"{path}: {explain(error, content)}") from error
    _check_names(suite, path)
    return suite


def select(runs: tuple[Run, ...], **wanted: tuple[Any, ...]) -> tuple[Run, ...]:
    """Keep the runs whose fields are among the wanted values, and the members their fusions need.

    Raises:
        SuiteError: nothing in the suite fits.
    """
    chosen = [run for run in runs if all(not v or getattr(run, k) in v for k, v in wanted.items())]
    if not chosen:
        asked = ", ".join(f"{k} {' or '.join(map(str, v))}" for k, v in wanted.items() if v)
        raise SuiteError(f"no run of the suite has {asked}; `bench run --dry-run` shows its runs")
    needed = {key for run in chosen for key in run.members} | {run.key for run in chosen}
    return tuple(run for run in runs if run.key in needed)


def at_hand(suite: Suite, runs: tuple[Run, ...], data_dir: Path, required: Sequence[str] = ()) -> tuple[Run, ...]:
    """Drop the runs on datasets that the suite takes only where they are on disk, and that are not.

    Args:
        suite: the suite.
        runs: some of its runs.
        data_dir: the folder with one folder per dataset.
        required: datasets that stay even so, as they were asked for by name.
    """
    optional = set(suite.datasets_if_here) - set(suite.datasets) - set(required)
    folders = {name: catalog.DATASETS[name].folder for name in optional}
    absent = {name for name, folder in folders.items() if folder and not (data_dir / folder).is_dir()}
    return tuple(run for run in runs if run.dataset not in absent)


def explain(error: ValidationError, content: Json) -> str:
    """Put a validation error in words, with the nearest known key for an unknown one."""
    lines = []
    for problem in error.errors():
        where = [str(part) for part in problem["loc"] if part not in ("tuple[int, ...]", "literal['all']")]
        if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            known = [f.name for f in fields(Recipe if len(where) > 1 else Suite)]
            lines.append(f"unknown key {'.'.join(where)!r}{_near(where[-1], known)}")
        elif problem["type"] in ("missing", "missing_argument"):
            lines.append(f"the key {'.'.join(where)!r} is missing")
        else:
            lines.append(f"{'.'.join(where) or 'the file'}: {problem['msg']}, found {problem['input']!r}")
    return "; ".join(dict.fromkeys(lines))


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


def _check_names(suite: Suite, path: Path) -> None:
    for name in (*suite.models, *suite.model, *suite.fusion_members):
        catalog.model(name)
    for name in (*suite.frontends, *(table["frontend"] for table in suite.model.values() if "frontend" in table)):
        catalog.frontend(name)
    for name in (*suite.datasets, *suite.datasets_if_here, *suite.dataset):
        catalog.dataset(name)
    if not suite.datasets and not suite.datasets_if_here:
        raise SuiteError(f"{path} names no dataset: add `datasets = [...]`")
    for table, listed in (("model", suite.models), ("dataset", (*suite.datasets, *suite.datasets_if_here))):
        for name in getattr(suite, table):
            if name not in listed:
                raise SuiteError(
                    f"{path} has [{table}.{name}], but {name} is not among its {table}s: {', '.join(listed)}"
                )
    for member in suite.fusion_members:
        if member not in suite.models or is_fusion(member):
            raise SuiteError(f"{path}: the fusion member {member} is not among the suite's trained models")


def _split(table: Json) -> tuple[Json, Json]:
    """Part a [model.x] or [dataset.x] table into constructor arguments and recipe differences."""
    recipe = table.get("recipe", {})
    if not isinstance(recipe, dict):
        raise SuiteError(f"recipe is a table such as [model.cnn.recipe], not {recipe!r}")
    return {k: v for k, v in table.items() if k != "recipe"}, dict(recipe)


def _recipe(values: Json, where: str) -> Recipe:
    try:
        return _recipe_adapter().validate_python(values)
    except ValidationError as error:
        known = [f.name for f in fields(Recipe)]
        unknown = [str(p["loc"][-1]) for p in error.errors() if p["type"] == "unexpected_keyword_argument"]
        words = "; ".join(f"unknown key {name!r}{_near(name, known)}" for name in unknown) or explain(error, values)
        raise SuiteError(f"recipe of {where}: {words}") from error


@cache
def _adapter() -> TypeAdapter[Suite]:
    return TypeAdapter(Suite)


@cache
def _recipe_adapter() -> TypeAdapter[Recipe]:
    return TypeAdapter(Recipe)
