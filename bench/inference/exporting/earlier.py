"""Files that are there already: those of an earlier export may be replaced, all others stay."""

import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.etree import ElementTree

from bench.errors import ArgumentError
from bench.inference.exporting.pt2_file import FACTS

KNOWN = {"name", "classes", "input", "length"}
"""Facts that every export has, whatever its version, see `files.facts`."""


def files_of(path: Path, external: bool) -> tuple[Path, ...]:
    """Return the file of an export and the files next to it that its format has.

    Args:
        path: the file, whose ending says the format.
        external: whether an ONNX file's weights are beside it.
    """
    beside = {".xml": [path.with_suffix(".bin")], ".pte": [path.with_suffix(".json")]}.get(path.suffix, [])
    if path.suffix == ".onnx" and external:
        beside = [path.with_name(f"{path.name}.data")]
    return (path, *beside)


def refuse_other(path: Path, files: Iterable[Path]) -> None:
    """Raise an ArgumentError where a file is there that an export would replace, and that is of no earlier export.

    Args:
        path: the file of the export.
        files: it, and those next to it.
    """
    there = [file for file in files if os.path.lexists(file)]
    if not there:
        return
    ours = _OF[path.suffix](path)
    for file in there:
        if not file.is_file() or file.name not in ours:
            raise ArgumentError(
                f"{file} is there already and is no file of `bench export`, so it stays: name another --out, or move "
                f"it away"
            )


def _of_onnx(path: Path) -> set[str]:
    try:
        import onnx
    except ImportError:  # without it nothing is written, and the error of writing says what to install
        return {path.name}
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # protobuf has errors of its own
        return set()
    if not {each.key for each in model.metadata_props} >= KNOWN:
        return set()
    places = (each for tensor in model.graph.initializer for each in tensor.external_data)
    return {path.name, *(each.value for each in places if each.key == "location")}


def _of_pt2(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(each for each in archive.namelist() if each.endswith(f"/extra/{FACTS}"))
            return {path.name} if _has_facts(archive.read(name)) else set()
    except (OSError, EOFError, ValueError, RuntimeError, StopIteration, zlib.error, zipfile.BadZipFile):
        return set()


def _of_openvino(path: Path) -> set[str]:
    """Return the names of both files: the weights say nothing about themselves, and belong to the graph."""
    try:
        about = ElementTree.parse(path).find("rt_info/bench")
    except (OSError, ElementTree.ParseError):
        return set()
    facts = set() if about is None else {each.tag for each in about}
    return {path.name, path.with_suffix(".bin").name} if facts >= KNOWN else set()


def _of_executorch(path: Path) -> set[str]:
    """Return the names of both files: the program says nothing about itself, and belongs to the facts next to it."""
    facts = path.with_suffix(".json")
    try:
        return {path.name, facts.name} if _has_facts(facts.read_bytes()) else set()
    except OSError:
        return set()


def _has_facts(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and set(found) >= KNOWN


_OF: dict[str, Callable[[Path], set[str]]] = {
    ".onnx": _of_onnx, ".pt2": _of_pt2, ".xml": _of_openvino, ".pte": _of_executorch
}  # fmt: skip
