"""The help of every command shows every description whole: brackets in it are no markup."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.main import app


def commands(group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def words(text: str) -> str:
    """Return a text without the frames and line ends that the terminal's width decides."""
    return re.sub(r"[\s│]+", "", text)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_descriptions_are_shown_whole(path):
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    missing = [
        param.help
        for param in COMMANDS[path].params
        if getattr(param, "help", None) and words(param.help).replace("`", "") not in words(shown.output)
    ]
    assert missing == []
