"""`bench list`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from bench import catalog, suites
from bench.cli.options import (
    App,
    AsJson,
    DataDir,
    described,
    line_width,
    out,
    print_json,
)
from bench.runner.settings import data_folder
from bench.suites import recipes

app = App()
Kind = StrEnum("Kind", ["models", "fusions", "frontends", "datasets", "recipes", "suites", "metrics", "backends"])


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything if left out.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List models, fusions, front-ends, datasets (and whether they are here), recipes, suites, metrics and backends."""
    everything: dict[str, dict[str, dict[str, Any]]] = {
        "models": {name: {"line": entry.line, "frontend": entry.frontend} for name, entry in catalog.MODELS.items()}
        | {name: {"line": entry.line, "frontend": "none"} for name, entry in catalog.FUSIONS.items()},  # as before
        "fusions": {name: {"line": entry.line} for name, entry in catalog.FUSIONS.items()},
        "frontends": {name: {"line": entry.line} for name, entry in catalog.FRONTENDS.items()},
        "datasets": {
            name: {
                "line": entry.line,
                "task": entry.task,
                "folds": entry.folds,
                "here": catalog.on_disk(name, data_folder(data_dir)),
            }
            for name, entry in catalog.DATASETS.items()
        },
        "recipes": {
            name: {"line": paper.title, "paper": paper.paper, "values": paper.values, "sources": paper.sources}
            for name, paper in ((name, recipes.read(name)) for name in recipes.names())
        },
        "suites": {name: {"line": suites.read(name).title} for name in suites.suites()},
        "metrics": {name: {"line": entry.line, "tasks": entry.tasks} for name, entry in catalog.METRICS.items()},
        "backends": {name: {"line": entry.line} for name, entry in catalog.BACKENDS.items()},
    }
    wanted = {kind.value: everything[kind.value]} if kind else everything
    if as_json:
        print_json(wanted)
        return
    for title, entries in wanted.items():
        out.print(title, style="bold")
        for name, about in entries.items():
            if title == "models" and name in catalog.FUSIONS and not kind:
                continue  # shown under their own title
            here = "" if "here" not in about else " (here)" if about["here"] else " (not here)"
            out.print(described(name, f"{about['line']}{here}", line_width(out)), markup=False, highlight=False)
