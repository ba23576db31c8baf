"""Digests of source code: of a component's module, and of what it imports of the same package. Imports nothing of it.

A digest covers the syntax of the files without comments, docstrings and layout, so that only a change of the code
changes it. Imports are followed wherever they stand in a file; a module that is imported by a name made at run time is
not seen, nor is a file that is no module.
"""

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench import catalog, lookup
from bench.catalog import Fusion
from bench.errors import SuiteError
from bench.records.canonical import Json
from bench.records.parsed import kept
from bench.records.record import Record
from bench.records.run import Run

COMPONENTS = ("model", "frontend", "dataset")
"""Fields of a run that name code."""

WORDS = {"model": "model", "frontend": "front-end", "dataset": "dataset"}


def digests(run: Run) -> dict[str, str]:
    """Return the digest of the source of each component of a run, as the source is now; nothing for one not found."""
    components = run.model, run.frontend, run.dataset
    if components not in _complete:
        entries = _entries(run)
        found = {name: digest(entry.target) for name, entry in entries.items()}
        known = {name: value for name, value in found.items() if value is not None}
        if len(known) < len(COMPONENTS) or any(entry.package is not None for entry in entries.values()):
            return known  # a user may name the rest later, or have modules of one name in several folders
        _complete[components] = known
    return dict(_complete[components])


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


_complete: dict[tuple[str, str, str], dict[str, str]] = {}
"""Digests of all components of this project, by their names; thousands of runs share them."""


def refresh() -> None:
    """Look at the files again when a digest is next asked for; until then, each is computed once."""
    _complete.clear()
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


def own_files(run: Run) -> dict[str, tuple[Path, tuple[Path, ...]]]:
    """Return the source of each component of a run whose module lies in a folder that a user has named.

    Returns:
        The component's "module:Class" to that folder and the files below it that its digest covers.
    """
    found = {}
    for name, entry in _entries(run).items():
        target = getattr(run, name)
        folder = lookup.folder_of(entry.target) if entry.package is not None and lookup.is_target(target) else None
        if folder is not None:
            paths = {path for path in _files(target.partition(":")[0], folder).values() if path.is_relative_to(folder)}
            within = {parent for path in paths for parent in path.parents if parent.is_relative_to(folder)} - {folder}
            paths |= {package for parent in within if (package := parent / "__init__.py").is_file()}
            found[target] = folder, tuple(sorted(paths))
    return found


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
    content = "\n".join(f"{name} {_read(name, path).digest}" for name, path in sorted(files.items()))
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
        waiting += _read(name, path).imports[name]
    kept().save()
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


@dataclass(frozen=True)
class Known:
    """The digest and the imports of a file, handed to child processes, because parsing takes most of a second.

    Attributes:
        version: the file's `lookup.version` when it was read.
        digest: of its syntax.
        imports: by the module's name, the modules that it may import, and names in them, which may be modules, too.
    """

    version: tuple[int, int]
    digest: str
    imports: Mapping[str, tuple[str, ...]]


_known: dict[Path, Known] = {}


def known() -> dict[Path, Known]:
    """Return what this process knows about files, for `trust` in another process."""
    return dict(_known)


def trust(files: Mapping[Path, Known]) -> None:
    """Take what another process knows about files; a file that has changed since is read again."""
    _known.update(files)


def _read(name: str, path: Path) -> Known:
    """Return what a module's file says, read once while it does not change."""
    version = lookup.version(path)
    found = _known.get(path)
    if found is None or found.version != version or name not in found.imports:
        imports, digest = _parsed(name, path)
        others = found.imports if found is not None and found.version == version else {}
        found = _known[path] = Known(version, digest, {**others, name: imports})
    return found


def _parsed(name: str, path: Path) -> tuple[tuple[str, ...], str]:
    """Return the modules that a file may import, and names in them, which may be modules, too; and its digest."""
    text = path.read_bytes()
    if (before := kept().get(name, path, text)) is not None:
        return before
    content = lookup.parsed(path)  # not kept: the trees of all files together are large
    if content is None:
        return (), hashlib.sha256(text).hexdigest()  # an extension module, or no valid Python
    parts: list[str] = []
    imports: list[ast.Import | ast.ImportFrom] = []
    _describe(content, parts, imports)
    found: list[str] = []
    for node in imports:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        else:
            source = lookup.from_module(node, name, path)
            found += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    result = tuple(dict.fromkeys(found)), hashlib.sha256("\0".join(parts).encode()).hexdigest()
    kept().add(name, path, text, result)
    return result


def _describe(node: ast.AST, parts: list[str], imports: list[ast.Import | ast.ImportFrom]) -> None:
    """Append the parts of a syntax tree, the same in every version of Python, and its imports."""
    kind = type(node)
    parts.append(kind.__name__)
    if kind is ast.Import or kind is ast.ImportFrom:
        imports.append(node)  # type: ignore[arg-type]
    for field in _fields(kind):
        value: Any = getattr(node, field, None)
        if value is None:
            continue
        if type(value) is list:
            if field == "body" and kind in _WITH_DOCSTRING and _is_docstring(value):
                value = value[1:]
            if not value:
                continue
            parts.append(f"{field}[")
            for each in value:
                if isinstance(each, ast.AST):
                    _describe(each, parts, imports)
                else:
                    parts.append(repr(each))
            parts.append("]")
        elif isinstance(value, ast.AST):
            parts.append(field)
            _describe(value, parts, imports)
        else:
            parts.append(f"{field} {value!r}")
    parts.append(";")


_known_fields: dict[type[ast.AST], tuple[str, ...]] = {}


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    if kind not in _known_fields:
        _known_fields[kind] = tuple(name for name in kind._fields if name not in ("ctx", "kind", "type_comment"))
    return _known_fields[kind]


_WITH_DOCSTRING = frozenset({ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef})


def _is_docstring(body: Any) -> bool:
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(getattr(body[0].value, "value", None), str)
