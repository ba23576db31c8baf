"""Code of other packages by name: which names a user has given, and where their files are.

A name "package.module:Class" may only come from a suite, from a call of this library, or from an entry point of an
installed package. Whoever reads one of these calls `permit`. Nothing else is ever imported, so a name in a record, a
checkpoint or a dataset leads to no import. Except for `load`, nothing here executes code of a package.
"""

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import PluginError, SuiteError, UnnamedError

PROJECT = frozenset({"bench", "models", "datamodules"})
"""Packages of this project. A module of the same name next to a suite never takes their place."""

GROUPS = ("models", "frontends", "datasets", "metrics", "backends")
"""Kinds of components that a package may add; the entry-point group is "bench.<kind>"."""

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_UNNAMED = "not permitted: "
_UNINSTALLED = "not installed:"
_permitted: dict[str, Path | None] = {}
_loaded: dict[str, tuple[Path, dict[Path, tuple[int, int]]]] = {}


@dataclass(frozen=True)
class Package:
    """The package that a component comes from; the version is None where it is no installed distribution."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"


@dataclass(frozen=True)
class EntryPoint:
    """A component that an installed package adds to the catalogue: its name, "module:Class", and the package."""

    name: str
    target: str
    package: Package


_uninstalled: dict[tuple[str, str], tuple[Package | None, Mapping[str, Any]]] = {}


def is_target(name: str) -> bool:
    """Whether a name has the form of "package.module:Class", right or wrong, and not that of a name in the catalogue.

    Raises:
        SuiteError: it has a colon but not that form.
    """
    if ":" not in name:
        return False
    if not _TARGET.fullmatch(name):
        raise SuiteError(f"{name!r} is no name of a class: write it as package.module:Class")
    return True


def permit(targets: Mapping[str, Path | None]) -> None:
    """Permit to import these targets, because a user has named them.

    Args:
        targets: "module:Class" to the folder in which its package is looked for first, that of the suite; None for
            installed packages only.
    """
    _permitted.update(targets)


def permitted() -> dict[str, Path | None]:
    """Return all targets that a user has named, for a child process."""
    return dict(_permitted)


def guarded(target: str) -> str:
    """Return a target if a user has named it; otherwise a text that `load` refuses."""
    return target if target in _permitted else f"{_UNNAMED}{target}"


def load(target: str) -> Any:
    """Import and return what "module:name" names.

    Raises:
        UnnamedError: the name comes neither from a user nor from this project.
        PluginError: the module of another package cannot be imported, or does not have that name.
    """
    if target.startswith(_UNNAMED):
        raise UnnamedError(
            f"{target.removeprefix(_UNNAMED)} is not imported, because only a record names it: give the suite that "
            f"names it, with --suite FILE.toml"
        )
    module, _, name = target.partition(":")
    if is_uninstalled(target):
        raise PluginError(f"{target.rpartition(':')[2]} is {missing(target)}")
    if target not in _permitted:
        return getattr(importlib.import_module(module), name)
    if problem := missing(target):
        raise PluginError(f"{target} is {problem}")
    try:
        return getattr(_imported(module, _permitted[target]), name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{target} cannot be imported: {type(error).__name__}: {error}") from error


def missing(target: str) -> str | None:
    """Return why a class that a user has named cannot be there, and the remedy; None where its module is found."""
    if is_uninstalled(target):
        package, _ = _remembered(target)
        return f"not installed: {f'pip install {package.name}' if package else 'install the package that has it'}"
    if target not in _permitted or file_of(target.partition(":")[0], _permitted[target]) is not None:
        return None
    top = target.partition(":")[0].partition(".")[0]
    if file_of(top, _permitted[target]) is not None:
        return (
            f"not in the installed {top}: install the version that has {target.partition(':')[0]}, or correct the name"
        )
    return f"not installed: pip install {top}, or put it next to the suite"


def folder_of(target: str) -> Path | None:
    """Return the folder in which a target's package is looked for first; None for installed packages only."""
    return _permitted.get(target)


def file_of(module: str, folder: Path | None = None) -> Path | None:
    """Return the file of a module, which is not imported and whose parents are not; None where there is none.

    Args:
        module: with dots.
        folder: where to look first.
    """
    top, *rest = module.split(".")
    spec = _top(top, folder)
    name = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _top(name: str, folder: Path | None) -> ModuleSpec | None:
    """Return the specification of a top-level module; one in the folder wins, unless it is a folder without code."""
    near = PathFinder.find_spec(name, [str(folder)]) if folder is not None and name not in PROJECT else None
    if near is not None and near.origin:
        return near
    for finder in sys.meta_path:
        if (found := finder.find_spec(name, None)) is not None and (found.origin or near is None):
            return found
    return near


def package_of(target: str) -> Package:
    """Return the package of a target, with its version if it is an installed distribution."""
    top = target.partition(":")[0].partition(".")[0]
    folder = folder_of(target)
    found = file_of(top, folder)
    if found is None or (folder is not None and found.is_relative_to(folder) and "site-packages" not in found.parts):
        return Package(top)
    return _distribution(top)


@cache
def _distribution(top: str) -> Package:
    from importlib import metadata

    try:
        return Package(top, metadata.version(top))
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(top, [])
        return Package(names[0], metadata.version(names[0])) if names else Package(top)


@cache
def entry_points(kind: str) -> dict[str, EntryPoint]:
    """Return the components that installed packages add, by name; of two with one name, that of the first package.

    They are permitted. Entry points that name no class are left out.
    """
    found: dict[str, EntryPoint] = {}
    for one in _all_entry_points(kind):
        found.setdefault(one.name, one)
    permit({one.target: None for one in found.values() if one.target not in _permitted})
    return found


def clashes(kind: str, known: Iterable[str]) -> list[str]:
    """Return a line for each name that two packages give, or a package and this project.

    Args:
        kind: of `GROUPS`.
        known: this project's own names, which win.
    """
    lines = []
    own = set(known)
    chosen = entry_points(kind)
    for one in _all_entry_points(kind):
        winner = "audio-classification-bench" if one.name in own else str(chosen[one.name].package)
        if one.name in own or one != chosen[one.name]:
            lines.append(
                f"{one.package} and {winner} both have {one.name!r} among their {kind}: {winner}'s is used; name the "
                f"other as {one.target}"
            )
    return lines


@cache
def _all_entry_points(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(one for group, one in _scanned() if group == f"bench.{kind}")


@cache
def _scanned() -> tuple[tuple[str, EntryPoint], ...]:
    """Return this project's groups of entry points with their content, from one look at the installed packages."""
    from importlib import metadata

    groups = {f"bench.{kind}" for kind in GROUPS}
    found: dict[str, list[tuple[str, EntryPoint]]] = {}
    for installed in metadata.distributions():
        content = installed.read_text("entry_points.txt") or ""
        if "bench." not in content:
            continue
        name = installed.name
        if name not in found:  # of two on the path, Python imports the first
            found[name] = [
                (one.group, EntryPoint(one.name, target, Package(name, installed.version)))
                for one in installed.entry_points
                if one.group in groups and _TARGET.fullmatch(target := one.value.replace(" ", ""))
            ]
    return tuple(sorted((pair for pairs in found.values() for pair in pairs), key=lambda pair: pair[1].package.name))


def remember(kind: str, name: str, package: Package | None, facts: Mapping[str, Any]) -> None:
    """Keep a name that an entry point of an uninstalled package had, so that its finished runs can still be shown.

    The name leads to no import. An installed package that has the name comes first.

    Args:
        kind: of `GROUPS`.
        name: of the entry point.
        package: the package; None if that is not known.
        facts: of a dataset: what its class attributes said.
    """
    _uninstalled[kind, name] = package, facts


def uninstalled(kind: str, name: str) -> tuple[str, Package] | None:
    """Return a target that `load` refuses, and the package, for a name that `remember` has kept; None for others."""
    if (kind, name) not in _uninstalled:
        return None
    return f"{_UNINSTALLED}{kind}:{name}", _uninstalled[kind, name][0] or Package("a package that is not installed")


def is_uninstalled(target: str) -> bool:
    """Whether a target is one of `uninstalled`."""
    return target.startswith(_UNINSTALLED)


def _remembered(target: str) -> tuple[Package | None, Mapping[str, Any]]:
    _, kind, name = target.split(":")
    return _uninstalled.get((kind, name), (None, {}))


def forget() -> None:
    """Forget what is known of packages and named targets, for tests and after an installation."""
    _permitted.clear()
    _uninstalled.clear()
    for function in (entry_points, _all_entry_points, _scanned, _distribution):
        function.cache_clear()
    importlib.invalidate_caches()


def _imported(name: str, folder: Path | None) -> ModuleType:
    """Import a module from its folder; modules of its package from another place, or changed since, are dropped."""
    top = name.partition(".")[0]
    place = file_of(top, folder) or file_of(name, folder)
    assert place is not None  # `missing` has looked
    if folder is not None and top not in PROJECT and (not sys.path or sys.path[0] != str(folder)):
        sys.path.insert(0, str(folder))
    if top in _loaded and (_loaded[top][0] != place or _versions(_loaded[top][1]) != _loaded[top][1]):
        for old in [each for each in sys.modules if each.partition(".")[0] == top]:
            del sys.modules[old]
        importlib.invalidate_caches()
        del _loaded[top]
    ours = top not in PROJECT and (top in _loaded or top not in sys.modules)
    try:
        module = importlib.import_module(name)
    finally:
        if ours:
            modules = [each for key, each in sys.modules.items() if key.partition(".")[0] == top]
            _loaded[top] = place, _versions(Path(each.__file__) for each in modules if each.__file__)
    if module.__file__ is None or Path(module.__file__).resolve() != (file_of(name, folder) or place).resolve():
        raise ImportError(f"Python has already imported another {name}, from {module.__file__}")
    return module


def _versions(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    return {path: version(path) for path in files}


def version(path: Path) -> tuple[int, int]:
    """Return a file's time of change and size; (0, 0) where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


_trees: dict[Path, tuple[tuple[int, int], ast.Module | None]] = {}


def tree(path: Path) -> ast.Module | None:
    """Return the syntax tree of a Python file, read once while it does not change; None for any other file."""
    now = version(path)
    if path not in _trees or _trees[path][0] != now:
        _trees[path] = now, parsed(path)
    return _trees[path][1]


def parsed(path: Path) -> ast.Module | None:
    """Return the syntax tree of a Python file as it is now, which is not kept; None for any other file."""
    try:
        return ast.parse(path.read_bytes()) if path.suffix == ".py" else None
    except (OSError, SyntaxError, ValueError):
        return None


def class_values(target: str, names: Iterable[str]) -> dict[str, Any]:
    """Return class attributes that a class or its bases set to literals, from the source; nothing is imported.

    Of an uninstalled package's class, return what `remember` has kept.

    Args:
        target: "module:Class".
        names: of the attributes; one that is not set to a literal is left out.
    """
    names = frozenset(names)
    if is_uninstalled(target):
        return {name: value for name, value in _remembered(target)[1].items() if name in names}
    module, _, name = target.partition(":")
    return _class_values(module, name, names, folder_of(target), 0)


def _class_values(module: str, name: str, names: frozenset[str], folder: Path | None, depth: int) -> dict[str, Any]:
    path = file_of(module, folder)
    content = tree(path) if path is not None and depth < 16 else None
    if content is None or path is None:
        return {}
    for node in content.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            found: dict[str, Any] = {}
            for base in reversed(node.bases):
                if isinstance(base, ast.Name) and base.id != name:
                    found |= _class_values(module, base.id, names, folder, depth + 1)
            return found | _literals(node, names)
    top = module.partition(".")[0]
    for node in content.body:
        if isinstance(node, ast.ImportFrom):
            source = from_module(node, module, path)
            for alias in node.names:
                if (alias.asname or alias.name) == name and source.partition(".")[0] in {top, *PROJECT}:
                    return _class_values(source, alias.name, names, folder, depth + 1)
    return {}


def _literals(node: ast.ClassDef, names: frozenset[str]) -> dict[str, Any]:
    found = {}
    for line in node.body:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id in names and isinstance(line, ast.Assign | ast.AnnAssign):
                try:
                    found[target.id] = ast.literal_eval(line.value) if line.value is not None else None
                except ValueError:
                    continue
    return {name: value for name, value in found.items() if value is not None}


def from_module(node: ast.ImportFrom, module: str, path: Path) -> str:
    """Return the full name of the module that `from ... import` names, in a module with this name and file."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    keep = len(parts) - node.level + (path.stem == "__init__")
    return ".".join([*parts[: max(keep, 0)], *([node.module] if node.module else [])])
