"""Options of one name mean the same, and are given in the same way, in every command."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.models import OptionInfo

from bench.cli import app


@dataclass(frozen=True)
class Option:
    kind: Any
    default: Any
    help: str
    envvar: Any


def options(group, path=()):
    """Yield the name of each command, and its options by their names."""
    for each in group.registered_groups:
        yield from options(each.typer_instance, (*path, each.name) if each.name else path)
    for command in group.registered_commands:
        function = command.callback
        hints = get_type_hints(function, include_extras=True)
        found = {}
        for name, parameter in inspect.signature(function).parameters.items():
            kind, *more = get_args(hints[name]) if hasattr(hints[name], "__metadata__") else (hints[name],)
            info = next((each for each in more if isinstance(each, OptionInfo)), None)
            if info is not None:
                written = (info.default, *(info.param_decls or ()))  # typer takes the first name for a default
                names = [each for each in written if isinstance(each, str) and each.startswith("--")]
                named = names[0] if names else f"--{name.replace('_', '-')}"
                found[named] = Option(kind, parameter.default, info.help, info.envvar)
        yield " ".join((*path, command.name or function.__name__.replace("_", "-"))), found


COMMANDS = dict(options(app))
PUBLISHED = {"leaderboard", "complexity-page", "reproduce", "check-submission", "changes"}
"""Commands on the published store."""


def having(option):
    """Return the commands with an option, and the option of each."""
    return {name: found[option] for name, found in COMMANDS.items() if option in found}


def test_runs_are_named_alike():
    found = {name: option for name, option in having("--run").items() if name != "latency"}  # it needs a run's data
    assert set(found) >= {"predict", "pack"}
    assert {option.help.replace(" (repeatable)", "") for option in found.values()} == {
        "A run's key, SUITE:SYSTEM (@f0 behind it for a fold, @all for all), a packed file or a folder."
    }
    repeatable = [option for option in found.values() if "(repeatable)" in option.help]
    assert {option.kind for option in repeatable} <= {list[str]}
    assert {option.kind for option in found.values() if option not in repeatable} <= {str, str | None}
    assert set(found) <= set(having("--store"))  # where the run is looked for


def test_runs_of_early_versions_find_their_data():
    assert set(having("--run")) - set(having("--data-dir")) == {"pack"}  # a packed model stands alone


def test_stores_are_folders_with_one_default():
    found = having("--store")
    assert set(found) >= {"predict", "pack", "unpack", "list", "run", "rescore", "publish", "data verify"}
    for name, option in found.items():
        default = Path("leaderboards" if name in PUBLISHED else "runs")
        assert (option.kind, option.default) == (Path, default), name


def test_json_is_a_flag():
    found = having("--json")
    assert set(found) >= {"predict", "unpack", "list", "run", "leaderboard", "compare"}
    for name, option in found.items():
        assert (option.kind, option.default) == (bool, False), name
        assert option.help.startswith("Print JSON"), name


@pytest.mark.parametrize("name", ["--csv", "--out"])
def test_files_to_write_are_paths_without_a_default(name):
    found = having(name)
    assert found
    for command, option in found.items():
        assert option.kind in (Path, Path | None, list[Path] | None), command
        assert option.default in (None, inspect.Parameter.empty), command


def test_ports_are_numbers():
    for command, option in having("--port").items():
        assert option.kind is int, command


def test_data_folders_are_given_alike():
    for command, option in having("--data-dir").items():
        assert (option.kind, option.envvar) == (Path | None, "BENCH_DATA"), command
