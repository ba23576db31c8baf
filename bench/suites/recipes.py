"""The papers' recipes as data: `bench/suites/recipes/*.toml`, each value with its source."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench import catalog
from bench.errors import SuiteError
from bench.records import Json, Recipe
from bench.suites.messages import explain


@dataclass(frozen=True)
class PaperRecipe:
    """How a paper trains.

    Attributes:
        title: in one line.
        paper: where it is from.
        values: of `bench.records.record.Recipe`'s fields; "none" stands for None, which TOML does not have.
        sources: where each value is from: the paper, its code, or a choice.
    """

    title: str
    paper: str
    values: Json
    sources: dict[str, str]


def names() -> dict[str, Path]:
    """Return the recipes that come with the project, by name."""
    folder = Path(str(resources.files("bench.suites") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


@cache
def read(name: str) -> PaperRecipe:
    """Return a recipe by name.

    Raises:
        SuiteError: there is none of that name.
    """
    return PaperRecipe(**tomllib.loads(catalog.find(names(), name, "recipe").read_text(encoding="utf-8")))


def resolved(table: Json) -> Json:
    """Return a suite's recipe table with the values of the recipe that it is `like`, where its own do not differ.

    Raises:
        SuiteError: `like` is no recipe's name.
    """
    own = {key: value for key, value in table.items() if key != "like"}
    if "like" in table:
        if not isinstance(table["like"], str):
            raise SuiteError(f"a recipe is like another by its name, not {table['like']!r}")
        own = read(table["like"]).values | own
    return {key: None if value == "none" else value for key, value in own.items()}


def split(table: Json) -> tuple[Json, Json]:
    """Part a [model.x] or [dataset.x] table into constructor arguments and recipe differences."""
    recipe = table.get("recipe", {})
    if not isinstance(recipe, dict):
        raise SuiteError(f"recipe is a table such as [model.cnn.recipe], not {recipe!r}")
    return {k: v for k, v in table.items() if k != "recipe"}, resolved(recipe)


def recipe(values: Json, where: str) -> Recipe:
    """Return a recipe of these values; `where` says in an error whose it is.

    Raises:
        SuiteError: a key is unknown or a value is wrong.
    """
    try:
        return _adapter().validate_python(values)
    except ValidationError as error:
        raise SuiteError(f"recipe of {where}: {explain(error, values, Recipe)}") from error


@cache
def _adapter() -> TypeAdapter[Recipe]:
    return TypeAdapter(Recipe)
