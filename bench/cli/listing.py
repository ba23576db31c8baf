"""`bench list`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import catalog, suites
from bench.cli.options import (
    AsJson,
    DataDir,
    data_folder,
    described,
    line_width,
    out,
    print_json,
)
from bench.suites import recipes

app = typer.Typer()
Kind = StrEnum("Kind", ["models", "frontends", "datasets", "recipes", "suites", "metrics", "backends"])


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; all without.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List models, front-ends, datasets (and whether they are here), recipes, suites, metrics and backends."""
    everything: dict[str, dict[str, dict[str, Any]]] = {
        "models": {name: {"line": entry.line, "frontend": entry.frontend} for name, entry in catalog.MODELS.items()},
        "frontends": {name: {"line": entry.line} for name, entry in catalog.FRONTENDS.items()},
        "datasets": {
            name: {
                "line": entry.line,
                "task": entry.task,
                "folds": entry.folds,
                "here": _here(entry, data_folder(data_dir)),
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
            here = "" if "here" not in about else " (here)" if about["here"] else " (not here)"
            out.print(described(name, f"{about['line']}{here}", line_width(out)), markup=False, highlight=False)


def _here(entry: catalog.Dataset, data_dir: Path) -> bool:
    return entry.folder is None or (data_dir / entry.folder).is_dir()
