"""`bench run --print-slurm`: which options of `bench run` the tasks of the script have."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench import records
from bench.cli.options import out
from bench.errors import SuiteError

if TYPE_CHECKING:
    from bench.runner.session import Session

REFUSED = {
    "workers": "each task does one run at a time",
    "gpus": "SLURM deals out the GPUs",
    "per_gpu": "SLURM deals out the GPUs",
    "executor": "SLURM is the cluster",
    "attempts": "it is for a cluster of Ray's",
    "data_url": "it is for a cluster of Ray's",
    "time_again": "the script is for trainings",
    "dry_run": "it shows the runs and prints no script",
    "as_json": "a script is no JSON",
}
"""Options that exclude a script, and why."""

WRITTEN = ("suite", "store", "data_dir", "device", "threads", "loaders", "devices", "print_slurm")
"""Options that the command of the script has in any case, with the values that hold here; and the script's own."""

TASKS = ("force", "resume")
"""Options of the tasks alone: the last job would do again what the tasks have done."""

LAST = ("model", "dataset", "fold", "seed", "key", "timing")
"""Options of the last job alone: each task has the keys of its runs, and times nothing."""


def check(context: typer.Context) -> None:
    """Check that no option excludes a script.

    Raises:
        SuiteError: one does.
    """
    for name, words in _given(context).items():
        if name in REFUSED and words[-1] not in ("processes", "serial"):
            raise SuiteError(
                f"{words[0]} and --print-slurm exclude each other ({REFUSED[name]}): leave one of them out"
            )


def print_script(context: typer.Context, suite: str, session: "Session") -> None:
    """Print the script to standard output. An option that is in none of the lists above is every task's and the last's.

    Args:
        context: of the call of `bench run`.
        suite: its name or file.
        session: the call.

    Raises:
        SuiteError: nothing is left to train.
    """
    from bench.runner import slurm
    from bench.runner.plan import plan

    given = _given(context)
    grid, settings = session.suite, session.settings
    todo = plan(grid, records.Snapshot(records.Store(settings.store), grid.runs()), session.runs, session.force).todo
    file = Path(suite)
    shared = [name for name in given if name not in (*WRITTEN, *TASKS, *LAST)]
    command = [
        sys.executable, "-m", "bench", "run", "--suite", str(file.resolve()) if file.is_file() else suite,
        "--store", str(settings.store), "--data-dir", str(settings.data_dir), "--device", settings.device,
        "--workers", "1", "--threads", str(settings.threads), "--loaders", str(settings.loaders),
        "--devices", str(settings.devices), *_words(given, shared),
    ]  # fmt: skip
    resources = slurm.Resources(
        cpus=settings.threads * settings.devices + settings.loaders,
        gpus=settings.devices if settings.device == "cuda" else 0,
        logs=settings.store / "slurm",
    )
    ordered = {run.key: run for run in grid.runs() if run.key in todo}
    text = slurm.script(grid.name, command, ordered, resources, _words(given, TASKS), _words(given, LAST))
    typer.echo(text, file=out.file, nl=False)


def _given(context: typer.Context) -> dict[str, list[str]]:
    """Return the words of each option that the user has given, by the name of its parameter."""
    found: dict[str, list[str]] = {}
    for option in context.command.params:
        name = str(option.name)
        source = context.get_parameter_source(name)
        if source is None or source.name not in ("COMMANDLINE", "ENVIRONMENT"):
            continue
        value: Any = context.params[name]
        if isinstance(value, bool):
            found[name] = [option.opts[0] if value else option.secondary_opts[0]]
        else:
            values = value if isinstance(value, list | tuple) else [value]
            found[name] = [word for each in values for word in (option.opts[0], str(getattr(each, "value", each)))]
    return found


def _words(given: dict[str, list[str]], names: "tuple[str, ...] | list[str]") -> list[str]:
    return [word for name in names if name in given for word in given[name]]
