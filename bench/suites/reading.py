"""Reading suites from TOML, with a check of every name in them."""

import re
import tomllib
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench import catalog
from bench.errors import SuiteError
from bench.records import Json, Store
from bench.records.redaction import find as find_secret
from bench.suites import added, recipes, tiers, uninstalled
from bench.suites.index import suites
from bench.suites.layout import check as check_layout
from bench.suites.messages import explain, near
from bench.suites.suite import KEY, Suite, is_fusion

_GIVEN = ("folder", "file", "tier", "added")
"""Fields of a suite that reading gives it."""


def is_own(suite: Suite) -> bool:
    """Return whether a suite, or the suite that it is a tier of, has the name of one that comes with the project."""
    own = suites()
    return suite.name in own or tiers.located(suite.name, own)[0] in own


def read(name: str, store: Store | None = None, tier: str = "") -> Suite:
    """Read a suite by name, or from a file whose name ends in .toml.

    Args:
        name: name or file; "esc50-quick" is the tier "quick" of the suite "esc50", and of files likewise.
        store: where the suite's results are. Names of packages that were uninstalled since then are known there.
        tier: a tier of the suite, which has smaller runs; empty for the whole suite.

    Raises:
        SuiteError: no such suite or tier, or something in it is unknown.
    """
    name, named = tiers.located(name, suites())
    if named and tier:
        raise SuiteError(f"{name} is named with its tier {named}: leave --tier {tier} out, or name the suite")
    tier = tier or named
    path = _file(name)
    try:
        content = tiers.applied(tomllib.loads(path.read_text(encoding="utf-8")), tier, path)
    except OSError as error:
        like = catalog.nearest(path.name, [each.name for each in _beside(path)])
        hint = f". Did you mean {path.with_name(like)}?" if like else ""
        raise SuiteError(f"cannot read the suite {path}: {error.strerror}{hint}") from error
    except (ValueError, RecursionError) as error:  # of TOML, UTF-8, or an integer of thousands of digits
        raise SuiteError(f"{path} is not TOML: {error}") from error
    if where := find_secret(content):
        raise SuiteError(
            f"{path}: {where} looks like a secret, and a suite's content is published with its records: remove it, "
            f"and keep keys in the environment or in ~/.netrc"
        )
    for key in ("folder", "file", "added"):
        if key in content:
            known = [f.name for f in fields(Suite) if f.name not in _GIVEN]
            raise SuiteError(f"{path}: unknown key {key!r}{near(key, known)}")
    if isinstance(recipe := content.get("recipe"), dict):
        content["recipe"] = recipes.resolved(recipe)
    try:
        default = {"name": re.sub(r"[^\w.-]", "-", path.stem).lstrip(".-") or "suite"}
        given: Json = {"folder": path.resolve().parent, "file": path.name if name.endswith(".toml") else ""}
        if tier:
            given |= {"name": f"{content.get('name', default['name'])}-{tier}", "tier": tier}
            given["file"] = f"{path.stem}-{tier}.toml" if given["file"] else ""
        suite = _adapter().validate_python(default | content | given)
    except SuiteError as error:
        raise SuiteError(f"{path}: {error}") from error
    except ValidationError as error:
        raise SuiteError(f"{path}: {explain(error, Suite)}") from error
    if store is not None:
        uninstalled.remember(suite, store)
        suite = replace(suite, added=tuple(read(str(path), store) for path in added.files(store, suite.name)))
    _check_names(suite, path)
    return suite


def _file(name: str) -> Path:
    """Return the file of a suite; an error proposes the file or the suite whose name is most alike."""
    if name.endswith(".toml"):
        return Path(name)
    if name not in suites():
        own = {path.stem: path for path in _beside(Path(name))}
        if (like := catalog.nearest(Path(name).stem, [*own, *suites()])) in own:
            raise SuiteError(f"no suite is called {name!r}. Did you mean the file {str(own[like])!r}?")
    return catalog.find(suites(), name, "suite")


def _beside(path: Path) -> list[Path]:
    """Return the TOML files next to a path."""
    return sorted(path.parent.glob("*.toml"))


def _check_names(suite: Suite, path: Path) -> None:
    suite.permit()
    for name in (*suite.models, *suite.model):
        catalog.system(suite.catalogued(name))
        if (name in catalog.MODELS or name in catalog.FUSIONS) and suite.catalogued(name) != name:
            raise SuiteError(f"{path}: [model.{name}] has the name of another model in the catalogue: choose a new one")
    for name in (*suite.frontends, *(table["frontend"] for table in suite.model.values() if "frontend" in table)):
        catalog.frontend(name)
    for name in (*suite.datasets, *suite.datasets_if_here, *suite.dataset):
        catalog.dataset(suite.catalogued_dataset(name))
        if name in catalog.DATASETS and suite.catalogued_dataset(name) != name:
            raise SuiteError(f"{path}: [dataset.{name}] has the name of another dataset: choose a new one")
    for name in suite.backends:
        catalog.backend(name)
    for name in suite.metrics:
        catalog.metric(name)
    if not suite.datasets and not suite.datasets_if_here:
        raise SuiteError(f"{path} names no dataset: add `datasets = [...]`")
    for table, listed in (("model", suite.models), ("dataset", (*suite.datasets, *suite.datasets_if_here))):
        for name in getattr(suite, table):
            if name not in listed:
                raise SuiteError(
                    f"{path} has [{table}.{name}], but {name} is not among its {table}s: {', '.join(listed)}"
                )
    known = (*suite.datasets, *suite.datasets_if_here)
    for name, own in suite.model.items():
        for other in (*suite.only_on(name), *own.get("on", {})):
            if other not in known:
                raise SuiteError(f"{path}: [model.{name}] names the dataset {other!r}{near(other, list(known))}")
    for name in suite.models:
        if is_fusion(suite.catalogued(name)):
            _check_fusion(suite, name, f"{path}: [model.{name}]")
    for layout in suite.layout:
        check_layout(layout, suite.models, known, str(path))
    _check_members(suite, list(suite.fusion_members), str(path))


def _check_fusion(suite: Suite, name: str, where: str) -> None:
    table = suite.model.get(name, {})
    for key in table:
        if key not in ("model", "members", "datasets"):
            raise SuiteError(f"{where}: a fusion has no key {key!r}{near(key, ['model', 'members', 'datasets'])}")
    members = suite.table(name).get("members", [])
    _check_members(suite, members, where)
    if "members" in table and len(set(members)) < 2:
        raise SuiteError(f"{where}: a fusion combines two or more members, not {members}")


def _check_members(suite: Suite, members: Any, where: str) -> None:
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise SuiteError(f"{where}: members are a list of names, not {members!r}")
    trained = [name for name in suite.models if not is_fusion(suite.catalogued(name))]
    for member in members:
        name, at, seed = member.partition("@")
        if KEY.fullmatch(member):
            continue
        if name not in trained:
            raise SuiteError(
                f"{where}: the fusion member {member} is not among the suite's trained models{near(name, trained)}"
            )
        if at and not (seed.isdecimal() and int(seed) in suite.seeds):
            raise SuiteError(f"{where}: {member!r} needs one of the suite's seeds, {suite.seeds}, after the @")


@cache
def _adapter() -> TypeAdapter[Suite]:
    return TypeAdapter(Suite)
