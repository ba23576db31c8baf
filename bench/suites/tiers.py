"""Tiers: smaller forms of a suite, in its file's table `[tier.NAME]`.

A tier has keys of a suite, which take the place of the suite's own. `recipe` is merged into every recipe of the suite,
the models' and the datasets' included, so `epochs = 2` there shortens every training. `model` and `dataset` are merged
table by table; a table whose value is "none" is left out. Tables of models and datasets that the tier does not list
are dropped, also from layouts. The tier of a suite is a suite of its own: its name is the suite's, a hyphen and the
tier's.
"""

from copy import deepcopy
from pathlib import Path

from bench import catalog
from bench.errors import SuiteError
from bench.records import Json


def located(name: str, own: dict[str, Path]) -> tuple[str, str]:
    """Return a suite's name and the tier that follows it: ("esc50", "quick") of "esc50-quick".

    A name that is a suite's, or a file's that exists, has no tier.

    Args:
        name: name of a suite or of a TOML file.
        own: files of the project's suites, by name.
    """
    stem, ending = (name.removesuffix(".toml"), ".toml") if name.endswith(".toml") else (name, "")
    base, _, tier = stem.rpartition("-")
    if not base or not tier or (Path(name).exists() if ending else name in own):
        return name, ""
    known = Path(base + ending).exists() if ending else base in own
    return (base + ending, tier) if known else (name, "")


def applied(content: Json, tier: str, where: object) -> Json:
    """Return the content of a suite's file as one of its tiers has it.

    Args:
        content: the file's content.
        tier: name of the tier; empty for the whole suite.
        where: names the file in an error.

    Raises:
        SuiteError: the suite has no such tier, or the tier sets what it cannot.
    """
    content = deepcopy(content)
    tiers = content.pop("tier", {})
    if not isinstance(tiers, dict) or not all(isinstance(each, dict) for each in tiers.values()):
        raise SuiteError(f"{where}: a tier is a table such as [tier.quick]")
    if not tier:
        return content
    if not tiers:
        raise SuiteError(
            f"{where} has no tiers: leave {tier!r} out (`bench list suites` names all suites), "
            f"or write a table [tier.{tier}]"
        )
    own = deepcopy(catalog.find(tiers, tier, f"tier of {where}"))
    if wrong := [key for key in ("name", "tier", "folder", "file") if key in own]:
        raise SuiteError(f"{where}: [tier.{tier}] cannot set {wrong[0]!r}")
    recipe = own.pop("recipe", {})
    for kind in ("model", "dataset"):
        _merge(content.setdefault(kind, {}), own.pop(kind, {}))
    content |= own
    listed = {
        "model": content.get("models", []),
        "dataset": [*content.get("datasets", []), *content.get("datasets_if_here", [])],
    }
    for kind, names in listed.items():
        content[kind] = {name: table for name, table in content[kind].items() if name in names and table != "none"}
        for table in content[kind].values():
            if "on" in table:
                table["on"] = {name: part for name, part in table["on"].items() if name in listed["dataset"]}
            for part in (table, *table.get("on", {}).values()):
                if isinstance(part, dict) and isinstance(part.get("recipe"), dict):
                    part["recipe"] |= recipe
    if isinstance(content.setdefault("recipe", {}), dict):
        content["recipe"] |= recipe
    if "layout" in content and "layout" not in own:
        content["layout"] = [kept for each in content["layout"] if (kept := _shown(each, listed))]
    return content


def _shown(layout: Json, listed: dict[str, list[str]]) -> Json | None:
    """Return a layout with the systems and datasets that are listed; None where no system is.

    Where no dataset is, the tier's first one takes their place.
    """
    systems = [name for name in layout.get("systems", []) if name in listed["model"]]
    if layout.get("systems") and not systems:
        return None
    datasets = [name for name in layout.get("datasets", []) if name in listed["dataset"]]
    if layout.get("datasets") and not datasets:
        datasets = listed["dataset"][:1]
    return layout | {"systems": systems, "datasets": datasets}


def _merge(into: Json, other: Json) -> None:
    """Merge a table into another, key by key."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
