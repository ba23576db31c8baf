"""Names of classes of other packages, and entry points: what is found, permitted and imported."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import foreign
from typer.testing import CliRunner

from bench import catalog, lookup
from bench.cli import app
from bench.errors import PluginError, SuiteError


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    lookup.forget()
    yield
    lookup.forget()


def test_a_class_is_described_without_an_import(tmp_path: Path) -> None:
    foreign.write(tmp_path)
    lookup.permit({"my_package.data:Mine": tmp_path, "my_package.net:Net": tmp_path})
    model, data = catalog.model("my_package.net:Net"), catalog.dataset("my_package.data:Mine")
    assert (model.target, model.frontend, model.line) == ("my_package.net:Net", "waveform", "Net of my_package")
    assert (data.folds, data.task, data.kind, data.folder) == (3, "single", "waveform", None)
    assert "my_package" not in sys.modules or tmp_path.name not in str(sys.modules["my_package"])


@pytest.mark.slow
def test_only_a_name_that_a_user_has_given_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "from_a_record.py").write_text("raise SystemExit(17)\n")
    monkeypatch.syspath_prepend(tmp_path)
    for entry in (catalog.model("from_a_record:X"), catalog.dataset("from_a_record:X"), catalog.frontend("os:system")):
        with pytest.raises(SuiteError, match="not imported, because only a record names it"):
            catalog.load(entry.target)
    assert "from_a_record" not in sys.modules


@pytest.mark.parametrize("name", ["a:", ":B", "a.:B", "a b:C", "a:B.c", "../a:B", "a:B:C"])
def test_a_misspelt_target_is_named(name: str) -> None:
    with pytest.raises(SuiteError, match=r"write it as package\.module:Class"):
        catalog.model(name)


def test_the_folder_comes_before_installed_packages(tmp_path: Path) -> None:
    for folder, value in (("site", 1), ("suite", 2), ("other", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twice_there.py").write_text(f"class Here:\n    value = {value}\n")
    sys.path.append(str(tmp_path / "site"))
    for folder, value in ((None, 1), ("suite", 2), ("other", 3), ("suite", 2)):
        lookup.permit({"twice_there:Here": folder and tmp_path / folder})
        assert lookup.class_values("twice_there:Here", ["value"]) == {"value": value}
        assert catalog.load("twice_there:Here").value == value


def test_a_changed_file_is_imported_again(tmp_path: Path) -> None:
    path = tmp_path / "changing.py"
    lookup.permit({"changing:Here": tmp_path})
    for value in (1, 22):
        path.write_text(f"class Here:\n    value = {value}\n")
        assert catalog.load("changing:Here").value == value


def test_a_folder_never_hides_this_project(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise SystemExit(17)\n")
    found = lookup.file_of("models.cnn", tmp_path)
    assert found is not None
    assert not found.is_relative_to(tmp_path)


def test_what_is_missing_is_said_with_a_remedy(tmp_path: Path) -> None:
    foreign.write(tmp_path)
    lookup.permit(
        {"my_package.gone:Net": tmp_path, "no_such_package.net:Net": tmp_path, "my_package.net:Gone": tmp_path}
    )
    with pytest.raises(PluginError, match="not installed: pip install no_such_package, or put it next to the suite"):
        catalog.load("no_such_package.net:Net")
    with pytest.raises(
        PluginError, match=r"not in the installed my_package: install the version that has my_package\.gone"
    ):
        catalog.load("my_package.gone:Net")
    with pytest.raises(PluginError, match="cannot be imported: AttributeError"):
        catalog.load("my_package.net:Gone")


POINTS = """
[bench.models]
my-net = my_package.net:Net
cnn = my_package.net:Net
shared = my_package.net:Net
[bench.datasets]
my-tones = my_package.data:Mine
[bench.frontends]
my-features = my_package.net:Features
[bench.backends]
my-runtime = my_package.net:Runtime
[bench.metrics]
my-score = my_package.net:score
[console_scripts]
x = y:z
"""


@pytest.mark.slow
def test_entry_points_are_listed_with_their_package(tmp_path: Path) -> None:
    foreign.write(tmp_path)
    sys.path.append(str(foreign.installed(tmp_path, points=POINTS)))
    foreign.installed(tmp_path, "other", "3", "[bench.models]\nshared = other.net:Net\n")
    entry = catalog.model("my-net")
    assert (entry.target, str(entry.package)) == ("my_package.net:Net", "my-package 1.2")
    assert catalog.dataset("my-tones").folds == 3
    assert catalog.model("cnn").package is None
    result = CliRunner().invoke(app, ["list", "--json"])
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    assert listed["models"]["my-net"] == {
        "line": "Net of my-package 1.2", "frontend": "waveform", "package": "my-package", "version": "1.2",
    }  # fmt: skip
    for kind, name in (
        ("datasets", "my-tones"),
        ("frontends", "my-features"),
        ("backends", "my-runtime"),
        ("metrics", "my-score"),
    ):
        assert (listed[kind][name]["package"], listed[kind][name]["version"]) == ("my-package", "1.2")
    assert "package" not in listed["models"]["cnn"]
    assert catalog.clashes() == [
        "my-package 1.2 and audio-classification-bench both have 'cnn' among their models: "
        "audio-classification-bench's is used; name the other as my_package.net:Net",
        "other 3 and my-package 1.2 both have 'shared' among their models: my-package 1.2's is used; name the other as "
        "other.net:Net",
    ]
    assert all(line.split()[0] in result.stderr for line in catalog.clashes())
    with pytest.raises(SuiteError, match="Did you mean 'my-net'"):
        catalog.model("mynet")
