"""Training recipes of papers, in `bench/suites/recipes/*.toml`; each value has its source."""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from bench import catalog
from bench.errors import SuiteError
from bench.records import Json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from bench.records import Recipe


@dataclass(frozen=True)
class PaperRecipe:
    """The training recipe of a paper.

    Attributes:
        title: one line.
        paper: citation.
        values: values of `bench.records.Recipe`'s fields; "none" stands for None, which TOML does not have.
        sources: the source of each value: the paper, its code, or a choice of this project.
    """

    title: str
    paper: str
    values: Json
    sources: dict[str, str]


def names() -> dict[str, Path]:
    """Return the files of the project's recipes, by name."""
    folder = Path(str(resources.files("bench.suites") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


@cache
def read(name: str) -> PaperRecipe:
    """Return a recipe by name.

    Raises:
        SuiteError: no recipe has that name.
    """
    return PaperRecipe(**tomllib.loads(catalog.find(names(), name, "recipe").read_text(encoding="utf-8")))


def resolved(table: Json) -> Json:
    """Return a suite's recipe table, completed with the values of the recipe that `like` names; its own keys win.

    Raises:
        SuiteError: `like` is not the name of a recipe, or a truth value stands where it would count as 1.
    """
    own = {key: value for key, value in table.items() if key != "like"}
    if "like" in table:
        if not isinstance(table["like"], str):
            raise SuiteError(f"`like` is the name of a recipe, not {table['like']!r}")
        own = read(table["like"]).values | own
    for key, value in own.items():
        if isinstance(value, bool) and not isinstance(_defaults().get(key, value), bool):
            raise SuiteError(f"recipe.{key} = {str(value).lower()}: it cannot be true or false")
    return {key: None if value == "none" else value for key, value in own.items()}


@cache
def _defaults() -> Json:
    """Return the default of each field of a recipe."""
    from bench.records import Recipe

    return {each.name: each.default for each in fields(Recipe)}


def split(table: Json) -> tuple[Json, Json]:
    """Split a [model.x] or [dataset.x] table into constructor arguments and recipe values."""
    recipe = table.get("recipe", {})
    if not isinstance(recipe, dict):
        raise SuiteError(f"recipe is a table such as [model.cnn.recipe], not {recipe!r}")
    return {k: v for k, v in table.items() if k != "recipe"}, resolved(recipe)


def recipe(values: Json, where: str) -> "Recipe":
    """Return a recipe with these values; `where` names its owner in an error.

    Raises:
        SuiteError: a key is unknown or a value is wrong.
    """
    from pydantic import ValidationError

    from bench.records import Recipe
    from bench.suites.messages import explain

    try:
        return _adapter().validate_python(values)
    except ValidationError as error:
        raise SuiteError(f"recipe of {where}: {explain(error, Recipe)}") from error


@cache
def _adapter() -> "TypeAdapter[Recipe]":
    from pydantic import TypeAdapter

    from bench.records import Recipe

    return TypeAdapter(Recipe)
