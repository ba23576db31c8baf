"""Other projects' packages with the names of this project's, found before they lead to an error deep inside.

Everything here is the standard library's, because it runs at the start of every command.
"""

import importlib.util
import os
import sys
from pathlib import Path

from bench.errors import BenchError

PACKAGES = ("models", "datamodules")
"""Packages of this project beside `bench`."""


def shadow(name: str) -> str | None:
    """Return one line if Python finds a package of this name elsewhere than beside `bench`; None if all is well.

    The line names the file and a remedy. Nothing is imported.
    """
    project = Path(__file__).resolve().parents[1]
    found = _file(name)
    if found is None:
        return f"the package {name} of audio-classification-bench is missing in {project}: install the project again"
    if found.resolve() == project / name / "__init__.py":
        return None
    return f"the package {name} is {found}, and not audio-classification-bench's in {project}: {_remedy(found, name)}"


def check() -> None:
    """Check that this project's packages are the ones that Python finds.

    Raises:
        BenchError: one is not.
    """
    for name in PACKAGES:
        if line := shadow(name):
            raise BenchError(line)


def stop_at_shadows() -> None:
    """End the process with one line and exit code 1 if one of this project's packages is not the one Python finds."""
    try:
        check()
    except BenchError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def _file(name: str) -> Path | None:
    """Return the file that `import name` reads or has read; the folder of a package without an `__init__.py`."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module that was put together by hand has no specification
        spec = None
    if spec is not None and spec.origin not in (None, "namespace"):
        return Path(str(spec.origin))
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if folders:
        return Path(folders[0]) / "__init__.py"
    said = getattr(sys.modules.get(name), "__file__", None)
    return Path(said) if said else None


def _remedy(found: Path, name: str) -> str:
    folder = found.parent.parent if found.name == "__init__.py" else found.parent
    if folder.name in ("site-packages", "dist-packages"):
        return "install audio-classification-bench in a virtual environment of its own"
    if folder.resolve() in {
        Path(part).resolve() for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part
    }:
        return f"take {folder} off PYTHONPATH, or rename the package {name} there"
    if folder.resolve() == Path.cwd():
        return f"start the command audio-bench, which does not look in the current folder, or rename {found.parent}"
    return f"rename {found.parent if found.name == '__init__.py' else found}, or move it out of Python's path"
