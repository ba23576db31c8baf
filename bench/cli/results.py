"""Commands on what is in a store: draw tables, compare two systems, score again, repeat a run, show it in W&B."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import records, suites
from bench.cli.models import stale_complexity
from bench.cli.options import (
    MOST_THREADS,
    App,
    AsJson,
    DataDir,
    NamesCode,
    SuiteName,
    err,
    out,
    permit_suite,
    print_json,
    say,
)
from bench.errors import BenchError, RecordError, SuiteError, command_for
from bench.records import scratch
from bench.runner.settings import RunSettings, data_folder

app = App()
Readme = Annotated[
    Path | None,
    typer.Option(help="A README to update, too: tables and plots are put between its marks.", show_default=False),
]
Entity = Annotated[str, typer.Option(envvar="WANDB_ENTITY", help="User or team.", show_default="the account's")]
Project = Annotated[str, typer.Option(envvar="WANDB_PROJECT", help="W&B project.")]
FromStore = Annotated[Path, typer.Option("--store", help="Folder of records and logits.")]


@app.command()
def leaderboard(
    suite: Annotated[
        str | None,
        typer.Option("--suite", help="A suite; every suite that has tables in the store if left out."),
    ] = None,
    store: Annotated[Path, typer.Option(help="Folder of records and tables.")] = Path("leaderboards"),
    readme: Readme = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a table differs from its records.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Redraw the pages of a store from its records."""
    from bench.leaderboard import checks, files
    from bench.leaderboard.render import csv_text

    here = records.Store(store)
    names = [suite] if suite else checks.drawn_suites(here)
    if not names:
        raise SuiteError(_no_suite(store))
    wrong: list[str] = []
    result: dict[str, str] = {}
    if check:
        wrong += checks.problems(here, names, readme)
        wrong += [f"{path} differs from what is counted" for path in stale_complexity(store)]
    else:
        for name in names:
            grid = suites.read(name, here)
            snapshot = records.Snapshot(here, grid.runs())
            found = files.boards(snapshot, grid)  # reads the records of runs whose package is not installed, too
            if not snapshot.records and not snapshot.damaged:
                raise BenchError(f"{store} has no records of {name}: `{command_for(name, store)}` makes them")
            result[name] = csv_text(files.draw(snapshot, grid, index=True, readme=readme, found=found))
            wrong += [f"damaged: {error}" for error in snapshot.damaged]
    if as_json:
        print_json({"suites": names, "wrong": wrong, "csv": result})
    for line in dict.fromkeys(wrong):
        err.print(line, markup=False, highlight=False)
    if wrong:
        raise typer.Exit(1)
    if not as_json:
        out.print(
            f"{', '.join(names)}: {'tables match their records' if check else f'tables redrawn in {store}'}",
            markup=False,
            highlight=False,
        )


def _no_suite(store: Path) -> str:
    """Say which suite to name where a store has no table of this project's suites."""
    own = sorted(path.stem for path in store.glob("*.json") if path.with_suffix(".md").exists())
    if own:
        return f"{store} has tables of suites of your own: name the file, as in --suite {own[0]}.toml"
    return f"{store} has no tables; `bench run --suite NAME` and `bench publish --suite NAME` make them"


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A row's name in the suite's table, or the beginning of the name.")],
    b: Annotated[str, typer.Argument(help="The row to compare it with, named in the same way.")],
    suite: SuiteName,
    dataset: Annotated[str | None, typer.Option(help="Only on this dataset.")] = None,
    store: FromStore = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say by how much system A is better than system B on the same clips, and whether that may be chance."""
    from bench.leaderboard import files
    from bench.leaderboard.compare import compare as compared
    from bench.leaderboard.compare import p_value, points

    here = records.Store(store)
    grid = suites.read(suite, here)
    snapshot = records.Snapshot(here, grid.runs())
    boards = files.boards(snapshot, grid)
    for error in snapshot.damaged:
        err.print(f"warning: {error}", markup=False, highlight=False)
    own = grid.dataset_names()
    names = [{own[key] for row in board.rows for key in row.keys.values() if key in own} for board in boards]
    wanted = [
        board
        for board, known in zip(boards, names, strict=True)
        if dataset in (None, board.dataset, board.name, *known)
    ]
    if not wanted:
        known = ", ".join(sorted(set().union(*names)))
        raise BenchError(f"{suite} has no table of {dataset}: leave --dataset out, or name one of {known}")
    found = [compared(board, a, b, here) for board in wanted]
    if as_json:
        print_json([dataclasses.asdict(each) | {"significant": each.difference.significant} for each in found])
        return
    for each in found:
        d = each.difference
        mean, low, high = points(d)
        verdict = "a difference" if d.significant else "may be chance"
        say(
            out,
            f"{each.dataset}, {each.metric}: {each.a} {100 * each.score_a:.1f}, {each.b} {100 * each.score_b:.1f}; "
            f"difference {mean} [{low}, {high}] points, {p_value(d.p)}: {verdict}",
        )
        if each.test == "folds":
            say(out, "  Student's paired t over the folds, because in some fold all test clips come from one source")
        if each.mcnemar_p is not None:
            say(
                out,
                f"  clips that only one of them has right: {each.only_a} and {each.only_b}; "
                f"exact McNemar {p_value(each.mcnemar_p)} (treats clips as independent)",
            )


@app.command()
def rescore(suite: SuiteName, store: FromStore = Path("runs"), as_json: AsJson = False) -> None:
    """Compute a suite's scores again from the logits of its runs, without training, and redraw the tables."""
    from bench.evaluation.rescore import rescore as rescored
    from bench.leaderboard import files

    here = records.Store(store)
    grid = suites.read(suite, here)
    changed: list[str] = []
    left: dict[str, str] = {}
    snapshot = records.Snapshot(here, grid.runs())
    found, damaged = files.shown_records(snapshot, grid), snapshot.damaged
    if not found and not damaged:
        raise BenchError(f"{store} has no records of {grid.name}: `{command_for(str(suite), store)}` makes them")
    for record in [record for record in found.values() if record.status == "ok"]:
        try:
            new = rescored(here, record, grid.metrics)
        except RecordError as error:
            left[record.key] = str(error)
            continue
        if new != record and here.get(record.key, record.run) != record:
            left[record.key] = f"{record.key} has changed meanwhile: repeat the command"
            continue
        if new != record:
            snapshot.write(new)
            changed.append(record.key)
        left |= {f"{record.key} {name}": f"{record.key} has no {name}: {why}" for name, why in new.not_scored.items()}
    passed_over: list[str] = []
    files.draw(snapshot, grid, passed_over=passed_over)
    left |= {f"clips {i}": line for i, line in enumerate(passed_over, 1) if line not in left.values()}
    left |= {f"damaged {i}": str(error) for i, error in enumerate(damaged, 1)}
    if as_json:
        print_json({"changed": changed, "left": left})
    for message in left.values():
        err.print(f"warning: {message}", markup=False, highlight=False)
    if not as_json:
        out.print(
            f"{len(changed)} of {len(found)} records changed, {len(left)} could not be scored again", highlight=False
        )
    if left:
        raise typer.Exit(1)


@app.command()
def reproduce(
    key: Annotated[str, typer.Argument(help="Key of a record: the name of its file.")],
    store: Annotated[Path, typer.Option("--store", help="Where the record is.")] = Path("leaderboards"),
    suite: NamesCode = None,
    data_dir: DataDir = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Threads of the run.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Repeat a published run from nothing, and say whether its score lies in the record's interval."""
    from bench.runner.progress import rounded
    from bench.runner.reproduce import reproduce as reproduced

    permit_suite(suite)
    with scratch.folder("reproduce") as own_store:
        settings = RunSettings(store=own_store, data_dir=data_folder(data_dir), threads=threads)
        found = reproduced(records.Store(store), key, settings)
    content: dict[str, Any] = dataclasses.asdict(found) | {"within": found.within, "identical": found.identical}
    if as_json:
        print_json(content)
    else:
        low, high = found.interval
        verdict = "NOT the same, OUTSIDE the interval"
        if found.identical:
            verdict = "the same"
        elif found.within:  # which is of other clips, and wide for the same ones
            verdict = "NOT the same, though within the interval"
        say(
            out,
            f"{key}: {found.metric} {found.published:.4f} [{low:.4f}, {high:.4f}] published, {found.again:.4f} now: "
            f"{verdict}. {rounded(found.seconds, 0, ' s')}. {found.differences}",
        )
    if not found.within:
        raise typer.Exit(1)


@app.command()
def sync(
    suite: SuiteName,
    store: Annotated[Path, typer.Option("--store", help="Folder of records and W&B files.")] = Path("runs"),
    entity: Entity = "",
    project: Project = "audio-classification-bench",
    as_json: AsJson = False,
) -> None:
    """Send a suite's runs that W&B lacks, or has in part or in another version; exit 1 if one did not arrive."""
    from bench.leaderboard import files
    from bench.tracking.sync import sync as send

    grid = suites.read(suite, records.Store(store))
    runs = grid.runs()
    snapshot = records.Snapshot(records.Store(store), runs)
    boards = files.boards(snapshot, grid)
    for error in snapshot.damaged:
        err.print(f"warning: {error}", markup=False, highlight=False)
    found = send(
        grid.name, snapshot, [run.key for run in runs], boards, records.Store(store), project=project,
        entity=entity or None,
    )  # fmt: skip
    if as_json:
        print_json({"sent": found.sent, "there": found.there, "missing": found.missing})
    else:
        say(out, f"{len(found.sent)} runs sent, {len(found.there)} were there, {len(found.missing)} are missing")
    if found.warning or found.missing:
        raise BenchError(f"{found.warning or 'W&B does not show all runs yet'}; repeat this command to send the rest")


@app.command()
def dashboard(
    suite: SuiteName,
    store: Annotated[Path, typer.Option("--store", help="Folder of records and W&B files.")] = Path("runs"),
    entity: Entity = "",
    project: Project = "audio-classification-bench",
    offline: Annotated[bool, typer.Option("--offline", help="Write the definition and send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a suite's workspace in W&B, whose panels show what its runs have logged; exit 1 if it was not sent."""
    from bench.leaderboard import files
    from bench.tracking import choose_mode
    from bench.tracking.dashboard import build

    grid = suites.read(suite, records.Store(store))
    snapshot = records.Snapshot(records.Store(store), grid.runs())
    boards = files.boards(snapshot, grid)
    for error in snapshot.damaged:
        err.print(f"warning: {error}", markup=False, highlight=False)
    mode, trouble = ("offline", None) if offline else choose_mode("online")
    made = build(grid.name, boards, store / "wandb", online=mode == "online", entity=entity, project=project)
    if as_json:
        print_json({"definition": str(made.path), "url": made.url})
    elif made.url:
        out.print(f"{made.url} (definition: {made.path})", markup=False, highlight=False)
    else:
        out.print(f"Not sent. Definition: {made.path}", markup=False, highlight=False)
    if trouble:
        reason = trouble.split(": logging offline")[0]
        raise BenchError(
            f"no dashboard was made: {reason}. When W&B is there (WANDB_API_KEY or `wandb login`), upload the runs "
            f"with `wandb sync {store / 'wandb' / 'wandb'}/offline-run-*` and repeat this command"
        )
