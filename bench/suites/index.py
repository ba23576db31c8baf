"""The project's own suites by name, with what a list shows of them; their content is not checked."""

import tomllib
from importlib import resources
from pathlib import Path


def suites() -> dict[str, Path]:
    """Return the files of the project's own suites, by name: general ones, then one for each table of the papers."""
    folder = Path(str(resources.files("bench") / "suites"))
    return {path.stem: path for path in (*sorted(folder.glob("*.toml")), *sorted(folder.glob("papers/*.toml")))}


def tiers_of(name: str) -> tuple[str, ...]:
    """Return the names of the tiers of one of the project's suites."""
    return tuple(tomllib.loads(suites()[name].read_text(encoding="utf-8")).get("tier", {}))


def title_of(name: str) -> str:
    """Return the title of one of the project's suites."""
    return str(tomllib.loads(suites()[name].read_text(encoding="utf-8")).get("title", ""))
