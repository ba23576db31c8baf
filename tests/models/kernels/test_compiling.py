"""The cache of compiled kernels: kept while no source of a kernel changes, and not used after a change of any."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher

from models import kernels
from models.kernels import compiling

FOLDER = Path(kernels.__file__).parent
KERNEL = """
from models.kernels.compiling import compiled
from models.kernels.parts import part

@compiled
def whole(x):
    return 10 * part(x)
"""
PART = """
import numba

@numba.njit
def part(x):
    return {factor} * x
"""
CALL = "from models.kernels.whole import whole; print(whole(1), sum(whole.stats.cache_hits.values()))"


@pytest.mark.process
@pytest.mark.slow
def test_a_change_of_another_file_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "kernels"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    shutil.copy(FOLDER / "compiling.py", folder)
    (folder / "whole.py").write_text(KERNEL)

    def called(factor: int) -> list[str]:
        (folder / "parts.py").write_text(PART.format(factor=factor))
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("NUMBA_CACHE_DIR", None)
        done = subprocess.run(
            [sys.executable, "-c", CALL], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
        )
        return done.stdout.split()

    assert called(2) == ["20", "0"]
    assert called(2) == ["20", "1"]  # from the cache
    assert called(3) == ["30", "0"]


def test_all_kernels_are_kept_this_way() -> None:
    found = []
    for path in sorted(FOLDER.glob("*_cpu.py")):
        module = importlib.import_module(f"models.kernels.{path.stem}")
        found += [value for value in vars(module).values() if isinstance(value, CPUDispatcher)]
    assert len(found) > 20
    assert {kernel._cache._cache_file._source_stamp for kernel in found} == {compiling.sources()}
