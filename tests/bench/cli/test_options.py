"""How the command line parses its options."""

import pytest
import typer.main

from bench import __version__
from bench.cli import app, main


def commands(command, path=()):
    """Yield every command with its name in words."""
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from commands(each, (*path, name))
    else:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))
SINGLE = [
    (path, max(param.opts, key=len))
    for path, command in COMMANDS.items()
    for param in command.params
    if param.param_type_name == "option" and not param.multiple and not param.is_flag and not param.count
]


@pytest.fixture
def bench(monkeypatch, capsys):
    """Call the command line in this process; returns exit code, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["bench", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return call


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "option"), SINGLE, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_an_option_with_one_value_is_refused_when_given_twice(bench, path, option):
    one, other = ("1" * 32, "2" * 32) if option == "--token" else ("1", "2")  # a shorter token is another error
    code, output, error = bench(*path, option, one, option, other)
    assert (code, output) == (2, "")
    assert option in error
    assert "is given 2 times" in " ".join(error.replace("│", " ").split())


@pytest.mark.parametrize(
    ("path", "option"),
    [(path, option) for path, option in SINGLE if option in ("--threads", "--loaders")],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_more_threads_than_a_machine_can_start_are_refused(bench, path, option):
    code, output, error = bench(*path, option, "10000")
    assert (code, output) == (2, "")
    assert f"Invalid value for '{option}'" in error
    assert "512" in error


def test_there_are_such_options():
    assert (("run",), "--threads") in SINGLE
    assert (("data", "verify"), "--manifest") in SINGLE


def test_repeatable_options_and_flags_may_be_repeated(bench):
    arguments = ("--suite", "smoke", "--model", "fc", "--model", "cnn", "--dry-run", "--dry-run", "--json")
    code, output, error = bench("run", *arguments)
    assert code == 0, error
    assert "fc" in output
    assert "cnn" in output


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_printed(bench, option):
    assert bench(option) == (0, f"bench {__version__}\n", "")


def test_help_is_shown_without_a_command(bench):
    code, output, error = bench()
    assert code == 2
    assert "--version" in output + error
    assert "leaderboard" in output + error


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run", "one per core; 1 with a GPU"),
        ("run", "WANDB_MODE, or else offline"),
        ("complexity", "as in the model's paper"),
        ("latency", "end-to-end and model"),
        ("features", "-features.png, in this folder"),
        ("dashboard", "the account's"),
    ],
)
def test_help_shows_a_default_that_is_described_in_words(bench, command, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, output, _ = bench(command, "--help")
    assert code == 0
    assert words in " ".join(output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("path", "words"),
    [("run", "[default: (one per core"), ("run", "[default: (WANDB_MODE"), ("latency", "[default: (eager)]")],
)
def test_help_shows_defaults_that_are_computed(bench, monkeypatch, path, words):
    monkeypatch.setenv("COLUMNS", "200")
    code, output, _ = bench(path, "--help")
    assert code == 0
    assert words in output
