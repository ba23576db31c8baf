"""The files that a forge reads: the CI workflow, the issue forms, the hooks, the citation and the change log."""

import re
import tomllib
from typing import Any

import pytest
import yaml
from fakes.paths import PROJECT

METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
FORMS = ("new-model", "new-dataset", "wrong-number")
INPUTS = {"input", "textarea", "dropdown", "checkboxes"}


def load(path: str) -> Any:
    return yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = load(".github/workflows/ci.yml")
    return found


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_ci_runs_on_pushes_and_pull_requests(workflow: dict[Any, Any]) -> None:
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads the key `on` as a boolean
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert job["timeout-minutes"] <= 60
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_ci_tests_every_python_that_the_project_is_for(workflow: dict[Any, Any]) -> None:
    tests = workflow["jobs"]["tests"]
    versions = tests["strategy"]["matrix"]["python-version"]
    prefix = "Programming Language :: Python :: "
    assert versions == [c.removeprefix(prefix) for c in METADATA["classifiers"] if c.startswith(prefix)]
    assert tests["runs-on"] == "ubuntu-latest"
    assert tests["container"].startswith("python:${{ matrix.python-version }}-")
    assert 'pip install -c constraints.txt -e ".[dev]"' in commands(tests)
    assert any("apt-get install --yes chromium" in command for command in commands(tests))
    assert any(command.startswith("pytest") for command in commands(tests))


def test_ci_lints_as_make_does(workflow: dict[Any, Any]) -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    assert commands(workflow["jobs"]["lint"])[1:] == re.findall(r"\$\(BIN\)/(.+)", recipe[1])


def test_ci_imports_the_packages_elsewhere(workflow: dict[Any, Any]) -> None:
    job = workflow["jobs"]["import"]
    assert set(job["strategy"]["matrix"]["os"]) == {"macos-latest", "windows-latest"}
    assert 'python -c "import bench, models, datamodules"' in commands(job)


def test_hooks_are_the_linters_of_the_environment() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == ["ruff format", "ruff check", "lint-imports"]
    assert all({"id", "name", "entry", "language"} <= set(hook) for hook in repository["hooks"])
    assert all(hook["language"] == "system" for hook in repository["hooks"])


def test_there_is_a_form_for_each_kind_of_issue() -> None:
    found = {path.stem for path in (PROJECT / ".github" / "ISSUE_TEMPLATE").iterdir()}
    assert found == {*FORMS, "config"}
    assert load(".github/ISSUE_TEMPLATE/config.yml")["blank_issues_enabled"] in (True, False)


@pytest.mark.parametrize("form", FORMS)
def test_issue_forms_have_what_a_forge_asks_for(form: str) -> None:
    content = load(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert {"name", "description", "body"} <= set(content) <= {"name", "description", "title", "labels", "body"}
    asked = [element for element in content["body"] if element["type"] != "markdown"]
    assert asked
    ids = [element["id"] for element in asked]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[\w-]+", each) for each in ids)
    for element in asked:
        assert element["type"] in INPUTS
        assert element["attributes"]["label"]
        assert set(element) <= {"type", "id", "attributes", "validations"}
        assert set(element.get("validations", {})) <= {"required"}
        if element["type"] in ("dropdown", "checkboxes"):
            options = element["attributes"]["options"]
            assert len({str(option) for option in options}) == len(options) > 0
    for element in content["body"]:
        if element["type"] == "markdown":
            assert element["attributes"]["value"]
    text = (PROJECT / f".github/ISSUE_TEMPLATE/{form}.yml").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:docs|models|bench|datamodules)/[\w./-]*)`", text):
        assert (PROJECT / path).exists(), path


def test_the_change_log_names_versions_and_kinds_of_change() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)", text, re.MULTILINE)
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version.split(".")], reverse=True)
    assert METADATA["version"] in versions
    newest = text.split("\n## ")[1]
    assert set(re.findall(r"^### (.+)$", newest, re.MULTILINE)) == {"Added", "Changed", "Fixed", "Removed"}


def test_the_citation_can_be_read() -> None:
    content = load("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(content)  # what the format requires
    assert content["version"] == METADATA["version"]
    assert content["license"] == METADATA["license"]


def test_contributing_names_every_package_of_the_harness() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    packages = {path.name for path in (PROJECT / "bench").iterdir() if (path / "__init__.py").is_file()}
    assert set(re.findall(r"^\| `bench/(\w+)/`", text, re.MULTILINE)) == packages


def test_blame_ignores_the_commits_that_move_files() -> None:
    """A checkout without history has no commits to look at, so only their form is checked."""
    lines = (PROJECT / ".git-blame-ignore-revs").read_text().splitlines()
    commits = [line for line in lines if line and not line.startswith("#")]
    assert len(commits) == len(set(commits)) == 16
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in commits)
