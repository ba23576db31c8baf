"""`bench list`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import catalog, records, suites
from bench.cli.options import (
    App,
    AsJson,
    DataDir,
    StoreDir,
    described,
    err,
    line_width,
    out,
    print_json,
    say,
)
from bench.errors import BenchError
from bench.runner.settings import data_folder

if TYPE_CHECKING:
    from bench.leaderboard.listing import ListedRun

app = App()
Kind = StrEnum(
    "Kind", ["models", "fusions", "frontends", "datasets", "recipes", "suites", "metrics", "backends", "runs"]
)


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything if left out.")] = None,
    store: StoreDir = Path("runs"),
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List models, fusions, front-ends, datasets (and whether they are here), recipes, suites, metrics and backends.

    `bench list runs` lists the runs in a store: key, system, suite, fold and score.
    """
    if kind is Kind.runs:
        _runs(store, as_json)
        return
    from bench.suites import recipes

    everything: dict[str, dict[str, dict[str, Any]]] = {
        "models": {
            name: {"line": entry.line, "frontend": entry.frontend} | _origin(entry)
            for name, entry in {**catalog.MODELS, **catalog.added("models")}.items()
        }
        | {name: {"line": entry.line, "frontend": "none"} for name, entry in catalog.FUSIONS.items()},  # as before
        "fusions": {name: {"line": entry.line} for name, entry in catalog.FUSIONS.items()},
        "frontends": _lines(catalog.FRONTENDS, "frontends"),
        "datasets": {
            name: {
                "line": entry.line,
                "task": entry.task,
                "folds": entry.folds,
            }
            | ({"here": catalog.on_disk(name, data_folder(data_dir))} if entry.package is None else _origin(entry))
            for name, entry in {**catalog.DATASETS, **catalog.added("datasets")}.items()
        },
        "recipes": {
            name: {"line": paper.title, "paper": paper.paper, "values": paper.values, "sources": paper.sources}
            for name, paper in ((name, recipes.read(name)) for name in recipes.names())
        },
        "suites": {
            name: {"line": suites.title_of(name), "tiers": list(suites.tiers_of(name))} for name in suites.suites()
        },
        "metrics": {
            name: {"line": entry.line, "tasks": entry.tasks} | _origin(entry)
            for name, entry in {
                **catalog.METRICS,
                **catalog.STREAM_METRICS,
                **catalog.SECOND_METRICS,
                **catalog.added("metrics"),
            }.items()
        },
        "backends": _lines(catalog.BACKENDS, "backends"),
    }
    for line in catalog.clashes():
        say(err, f"warning: {line}")
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
            here += f" (--tier {', '.join(about['tiers'])})" if about.get("tiers") else ""
            out.print(described(name, f"{about['line']}{here}", line_width(out)), markup=False, highlight=False)


def _runs(store: Path, as_json: bool) -> None:
    """List the runs in a store, and name the records that are damaged.

    Raises:
        BenchError: there is no record.
        Exit: a record is damaged.
    """
    from bench.leaderboard import listing

    place = store.expanduser()
    snapshot = listing.snapshot_of(records.Store(place))
    found = list(listing.listed(snapshot))
    if not found and not snapshot.damaged:
        where = f"{place}" if place.is_dir() else f"{place}, a folder that does not exist"
        raise BenchError(f"there are no runs in {where}: `bench run --suite SUITE` makes some, or give another --store")
    if as_json:
        print_json({
            "runs": {
                each.key: {
                    "system": each.system, "suites": list(each.suites), "model": each.record.run.model,
                    "frontend": each.record.run.frontend,
                    "dataset": each.record.run.dataset, "fold": each.record.run.fold, "seed": each.record.run.seed,
                    "status": each.record.status, "metric": each.metric, "score": each.score, "usable": each.usable,
                }
                for each in found
            }
        })  # fmt: skip
    elif found:
        _print_runs(found)
    for error in snapshot.damaged:
        say(err, f"damaged: {error}")
    if snapshot.damaged:
        raise typer.Exit(1)


def _print_runs(found: "list[ListedRun]") -> None:
    out.print("runs", style="bold")
    width = max((len(each.key) for each in found), default=0)
    for each in found:
        run = each.record.run
        words = "failed" if each.record.status == "failed" else "no score"
        if each.score is not None:
            words = f"{each.metric} {100 * each.score:.1f} %"
        seed = f", seed {run.seed}" if run.seed else ""
        use = "" if each.usable or each.record.status == "failed" else " (no weights)"
        where = f" of {', '.join(each.suites)}" if each.suites else ""
        say(out, f"  {each.key:{width}}  {each.system}{where}, fold {run.fold}{seed}, {words}{use}")


def _lines(known: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the line, and the package where it is another one, of this project's entries and of those added."""
    return {name: {"line": entry.line} | _origin(entry) for name, entry in {**known, **catalog.added(kind)}.items()}


def _origin(entry: Any) -> dict[str, Any]:
    """Return an entry's package and version; nothing for an entry of this project."""
    return {} if entry.package is None else {"package": entry.package.name, "version": entry.package.version}
