"""Digests of source code: of a component's module, and of what it imports of the same package. Imports nothing of it.

A digest covers the syntax of the files without comments, docstrings and layout, so that only a change of the code
changes it. Imports are followed wherever they stand in a file; a module that is imported by a name made at run time is
not seen, nor is a file that is no module.
"""

import ast
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench import catalog, lookup
from bench.catalog import Fusion
from bench.errors import SuiteError
from bench.records.canonical import Json
from bench.records.record import Record
from bench.records.run import Run

COMPONENTS = ("model", "frontend", "dataset")
"""Fields of a run that name code."""

WORDS = {"model": "model", "frontend": "front-end", "dataset": "dataset"}


def digests(run: Run) -> dict[str, str]:
    """Return the digest of the source of each component of a run, as the source is now; nothing for one not found."""
    found = {name: digest(entry.target) for name, entry in _entries(run).items()}
    return {name: value for name, value in found.items() if value is not None}


def foreign(run: Run) -> Json:
    """Return package, version and digest of each component of a run that another package provides.

    The digest is None where the package is not installed.
    """
    return {
        name: {"package": entry.package.name, "version": entry.package.version, "digest": digest(entry.target)}
        for name, entry in _entries(run).items()
        if entry.package is not None
    }


def missing(run: Run) -> dict[str, str]:
    """Return, for each component of a run that a user has named and that is not there, why and what to do."""
    if not run.sources:
        return {}
    targets = {getattr(run, name): entry.target for name, entry in _entries(run).items() if entry.package is not None}
    return {name: problem for name, target in targets.items() if (problem := lookup.missing(target))}


def changed(record: Record) -> tuple[str, ...]:
    """Return the components whose source differs from the one that a record was made with, in words."""
    if not record.sources:
        return ()
    now = digests(record.run)
    known = [name for name in COMPONENTS if name in now and name in record.sources]
    return tuple(WORDS[name] for name in known if now[name] != record.sources[name])


def _entries(run: Run) -> Mapping[str, Any]:
    """Return the run's entries of the catalogue; no entry for a name that the catalogue does not have."""
    found: dict[str, Any] = {}
    for name, look in (("model", catalog.system), ("frontend", catalog.frontend), ("dataset", catalog.dataset)):
        try:
            entry = look(getattr(run, name))
        except SuiteError:
            continue  # a name that only a record has
        if not (name == "frontend" and run.frontend == "none" and isinstance(found.get("model"), Fusion)):
            found[name] = entry
    return found


def refresh() -> None:
    """Look at the files again when a digest is next asked for; until then, each is computed once."""
    _digest.cache_clear()
    _files.cache_clear()
    _place.cache_clear()


def digest(target: str) -> str | None:
    """Return the digest of what "module:name" names, 16 hexadecimal digits; None where its file is not found."""
    try:
        if not lookup.is_target(target):
            return None
    except SuiteError:
        return None  # no user has named it
    return _digest(target.partition(":")[0], lookup.folder_of(target))


def files(target: str) -> dict[str, Path]:
    """Return the files that a digest covers, by the names of their modules; empty where the module is not found."""
    module = target.partition(":")[0]
    found = _files(module, lookup.folder_of(target))
    return dict(found) if module in found else {}


@cache
def _digest(module: str, folder: Path | None) -> str | None:
    files = _files(module, folder)
    if module not in files:
        return None
    content = "\n".join(f"{name} {_file_digest(path, lookup.version(path))}" for name, path in sorted(files.items()))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@cache
def _files(module: str, folder: Path | None) -> dict[str, Path]:
    """Return a module's file and those of what it imports of the same package, by module."""
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in files or not _belongs(name, module, folder) or (path := _place(name, folder)) is None:
            continue
        files[name] = path
        waiting += _imports(name, path, lookup.version(path))
    return files


@cache
def _place(name: str, folder: Path | None) -> Path | None:
    return lookup.file_of(name, folder)


def _belongs(name: str, module: str, folder: Path | None) -> bool:
    """Whether a module is of the package of `module`, or lies in the suite's folder."""
    top = name.partition(".")[0]
    if top == module.partition(".")[0]:
        return True
    return (
        folder is not None
        and top not in lookup.PROJECT
        and (path := _place(top, folder)) is not None
        and (path.is_relative_to(folder) and "site-packages" not in path.parts)
    )


@cache
def _imports(name: str, path: Path, version: tuple[int, int]) -> tuple[str, ...]:
    """Return the modules that a file may import, and names in them, which may be modules, too."""
    content = lookup.tree(path)
    found: list[str] = []
    for node in ast.walk(content) if content else ():
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = lookup.from_module(node, name, path)
            found += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(found))


@cache
def _file_digest(path: Path, version: tuple[int, int]) -> str:
    content = lookup.tree(path)
    if content is None:
        return hashlib.sha256(path.read_bytes()).hexdigest()  # an extension module, or no valid Python
    parts: list[str] = []
    _describe(content, parts)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _describe(node: ast.AST, parts: list[str]) -> None:
    """Append the parts of a syntax tree, the same in every version of Python."""
    kind = type(node)
    parts.append(kind.__name__)
    for field in kind._fields:
        value: Any = getattr(node, field, None)
        if value is None or field in ("ctx", "kind", "type_comment"):
            continue
        if isinstance(value, list):
            if field == "body" and kind in _WITH_DOCSTRING and _is_docstring(value):
                value = value[1:]
            if not value:
                continue
            parts.append(f"{field}[")
            for each in value:
                if isinstance(each, ast.AST):
                    _describe(each, parts)
                else:
                    parts.append(repr(each))
            parts.append("]")
        elif isinstance(value, ast.AST):
            parts.append(field)
            _describe(value, parts)
        else:
            parts.append(f"{field} {value!r}")
    parts.append(";")


_WITH_DOCSTRING = frozenset({ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef})


def _is_docstring(body: Any) -> bool:
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(getattr(body[0].value, "value", None), str)
