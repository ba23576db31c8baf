"""Packages of the same names from elsewhere: one line names the file and a remedy that works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.paths import PROJECT

import bench
from bench import shadows
from bench.errors import BenchError

pytestmark = pytest.mark.process


def package(folder: Path, name: str, **files: str) -> Path:
    """Write a package with modules; return its `__init__.py`."""
    place = folder / name
    place.mkdir(parents=True)
    for file, text in ({"__init__": ""} | files).items():
        (place / f"{file}.py").write_text(text)
    return place / "__init__.py"


def python(*arguments: str, path: list[Path], cwd: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "COLUMNS": "1000"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )


def test_nothing_is_said_of_packages_that_are_this_projects() -> None:
    assert [shadows.shadow(name) for name in shadows.PACKAGES] == [None, None]


def test_models_in_the_current_folder_stop_the_command_with_one_line(tmp_path: Path) -> None:
    mine = package(tmp_path, "models")
    done = python("-m", "bench", "list", "models", path=[PROJECT], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: the package models is {mine}, and not audio-classification-bench's in {PROJECT}: start the command "
        f"audio-bench, which does not look in the current folder, or rename {mine.parent}"
    ]


def test_the_remedy_works_a_command_does_not_look_in_the_current_folder(tmp_path: Path) -> None:
    package(tmp_path / "here", "models")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "audio-bench"  # as pip writes it
    script.write_text("import sys\nfrom audio_bench import main\nsys.exit(main())\n")
    done = python(str(script), "list", "models", path=[PROJECT], cwd=tmp_path / "here")
    assert (done.returncode, done.stderr) == (0, "")
    assert "swishnet" in done.stdout


def test_a_package_on_pythonpath_is_named_with_that_remedy(tmp_path: Path) -> None:
    mine = package(tmp_path / "mine", "datamodules")
    done = python("-m", "bench", "-V", path=[tmp_path / "mine", PROJECT], cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line.split(",")[0]) == (1, f"error: the package datamodules is {mine}")
    assert f"take {mine.parents[1]} off PYTHONPATH" in line


def test_a_folder_without_init_shadows_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = python("-m", "bench", "-V", path=[PROJECT], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_of_that_name_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("")
    done = python("-m", "bench", "-V", path=[PROJECT], cwd=tmp_path)
    assert done.returncode == 1
    assert f"the package models is {tmp_path / 'models.py'}" in done.stderr


def test_the_package_bench_of_frappe_is_named_before_it_is_imported(tmp_path: Path) -> None:
    place = tmp_path / "site-packages"
    theirs = package(place, "bench", cli="def cli():\n    print('frappe')\n", __main__="raise SystemExit(3)\n")
    theirs.write_text("raise AssertionError('imported')\n")
    done = python("-m", "audio_bench", "list", path=[place, PROJECT], cwd=PROJECT.parent)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: the package bench is {theirs}, and not audio-classification-bench's in {PROJECT}: ")
    assert "virtual environment of its own" in line


def test_a_script_with_models_of_its_own_gets_an_error_of_ours(tmp_path: Path) -> None:
    mine = package(tmp_path, "models")
    (tmp_path / "script.py").write_text(
        "import models, bench\nprint(bench.BenchError.__name__)\nbench.load_suite('esc10')\n"
    )
    done = python(str(tmp_path / "script.py"), path=[PROJECT], cwd=PROJECT.parent)
    assert (done.returncode, done.stdout) == (1, "BenchError\n")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"bench.errors.BenchError: the package models is {mine}, and not")
    assert f"rename {mine.parent}" in last


def test_a_missing_package_is_an_installation_to_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "PACKAGES", ("modelz",))
    with pytest.raises(BenchError, match=r"the package modelz .* is missing in .*: install the project again"):
        shadows.check()
    with pytest.raises(BenchError, match="modelz"):
        bench.run  # noqa: B018
    assert bench.BenchError is BenchError
