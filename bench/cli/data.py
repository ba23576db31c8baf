"""`bench data`: where the datasets are, and getting them. Commands import what they need themselves."""

import inspect
import json
import math
import shlex
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import catalog, records, suites
from bench.cli.options import App, AsJson, DataDir, described, err, line_width, out, print_json, say, wrapped
from bench.errors import BenchError, SuiteError
from bench.runner.settings import data_folder
from models.recipe import Recipe

TABLES = (".csv", ".tsv", ".txt")
"""Endings of tables of clips."""

STEPS = 300
"""Steps that a training of clips of one's own takes at least."""

MOST_EPOCHS = 100
"""Epochs that are proposed for it at most."""

app = App(no_args_is_help=True, help="Find, download and check the datasets.")


@app.command("status")
def data_status(
    name: Annotated[str | None, typer.Argument(help="A dataset; every dataset if left out.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say where each dataset is looked for, and which of its files are missing."""
    base = data_folder(data_dir)
    names = [name] if name else [n for n, entry in catalog.DATASETS.items() if entry.folder is not None]
    status: dict[str, dict[str, Any]] = {}
    for each in names:
        entry = catalog.dataset(each)
        problem = catalog.missing(each, base)
        where = str(catalog.place(each, base)) if entry.folder else "made by code, or named in the suite"
        status[each] = {"where": where, "problem": problem, "facts": entry.facts}
    if as_json:
        print_json(status)
    else:
        for each, about in status.items():
            line = described(each, f"{about['where']}: {about['problem'] or 'here'}", line_width(out), margin=0)
            out.print(line, markup=False, highlight=False)
            for fact in about["facts"]:
                out.print(wrapped(f"  note: {fact}", line_width(out)), markup=False, highlight=False)
    if name and status[name]["problem"]:
        raise typer.Exit(1)


@app.command("download")
def data_download(
    name: Annotated[str, typer.Argument(help="A dataset.")],
    data_dir: DataDir = None,
    mirror: Annotated[
        str | None,
        typer.Option(envvar="BENCH_MIRROR", help="Web folder to fetch the files from instead of their usual address."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the licence without being asked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a dataset, verify it and unpack it. An interrupted download continues where it stopped."""
    from datamodules.fetch.sources import SOURCES

    entry = catalog.DATASETS.get(name)
    if name not in SOURCES:
        entry = catalog.dataset(name)  # an unknown name stops here
        raise SuiteError(f"{name} is not downloaded: {entry.line}")
    source = SOURCES[name]
    target = data_folder(data_dir) / ((entry.folder if entry else None) or name)
    if not source.files:
        _not_downloaded(name, target, source.instructions, as_json)
        return
    size = sum(file.size or 0 for file in source.files)
    about = (
        f"{name}, {size / 1e6:,.0f} MB, to {target}\nhomepage: {source.homepage}\n"
        f"cite:     {source.citation}\nlicence:  {source.licence}"
    )
    err.print("\n".join(filter(None, (about, source.instructions))), markup=False, highlight=False)
    if not yes and not sys.stdin.isatty():
        raise SuiteError("nobody is there to accept the licence: add --yes if you do")
    if not yes and not typer.confirm("Download it under this licence?", err=True):
        raise typer.Exit(1)

    from bench.runner.progress import Bytes
    from datamodules.base import DataError
    from datamodules.fetch.download import download

    try:
        with Bytes(err) as bar:
            outcome = download(source, target, mirror, bar.report)
    except DataError as error:
        raise BenchError(str(error)) from error
    if as_json:
        print_json({
            "dataset": name,
            "where": str(outcome.where),
            "state": outcome.state,
            "files": outcome.files,
            "licence": source.licence,
        })  # fmt: skip
    else:
        words = "is there and whole" if outcome.state == "here" else "downloaded, verified and unpacked"
        out.print(f"{name}: {words}: {outcome.where}", markup=False, highlight=False)


def _not_downloaded(name: str, target: Path, instructions: str, as_json: bool) -> None:
    """Say how to get a dataset that has no direct source, and what is missing of it; exit 1 if anything is."""
    problem: str | None = f"{name} is not in this version's catalogue"
    if name in catalog.DATASETS:
        problem = catalog.load(catalog.DATASETS[name].target).find(target)
    if as_json:
        print_json({
            "dataset": name,
            "where": str(target),
            "state": "by hand" if problem else "here",
            "problem": problem,
            "instructions": instructions,
        })  # fmt: skip
    else:
        out.print(instructions, markup=False, highlight=False)
        out.print(f"{target}: {problem or 'here'}", markup=False, highlight=False)
    if problem:
        raise typer.Exit(1)


@app.command("verify")
def data_verify(
    name: Annotated[str, typer.Argument(help="A dataset.")],
    data_dir: DataDir = None,
    clips: Annotated[
        Path | None,
        typer.Option(help="Where the data is, if not under the data directory; for `folder` also a table (.csv)."),
    ] = None,
    store: Annotated[Path, typer.Option(help="Store whose cache keeps the decoded clips for later runs.")] = Path(
        "runs"
    ),
    manifest: Annotated[
        Path | None,
        typer.Option(help="Manifest to compare the clips with.", show_default="a file in the user's data folder"),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Write a new manifest, because the data were changed on purpose.")
    ] = False,
    suite: Annotated[
        str | None, typer.Option(help="Suite whose [dataset.NAME] says where and how the clips are read.")
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out audio of your own that cannot be read, and name it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Decode every clip once, list everything that is wrong, and write a manifest or compare the clips with it."""
    from bench.runner.progress import Files
    from datamodules.fetch import verify

    target, given = _dataset(name, data_folder(data_dir), clips, suite)
    if skip_unreadable:
        if "skip_unreadable" not in inspect.signature(target).parameters:
            raise SuiteError(f"--skip-unreadable is for clips of your own: every file of {name} has to be readable")
        given["skip_unreadable"] = True
    where = manifest or _manifest(name, given)
    if manifest and not manifest.exists() and not accept:
        raise SuiteError(f"{manifest} is not there to hold the clips against: --accept writes it")
    cache = records.Store(store.resolve()).cache
    with Files(err) as bar:
        verdict = verify.verify(
            lambda fold: target(cache=cache, fold=fold, **given), None if accept else where, report=bar.report
        )
    if not verdict.problems and verdict.changes is None:
        verify.save(where, name, verdict)
    counts: dict[str, Any] = {what: verdict.count(what) for what in ("fold", "labels", "container")}
    if as_json:
        print_json({
            "dataset": name,
            "clips": [asdict(clip) for clip in verdict.clips],
            "clips_official": verdict.clips_official,
            "counts": counts,
            "silent": verdict.silent,
            "notes": verdict.notes,
            "warnings": verdict.warnings,
            "left_out": verdict.left_out,
            "digest": verdict.digest,
            "manifest": str(where),
            "problems": verdict.problems,
            "changes": verdict.changes,
        })  # fmt: skip
    else:
        _print(name, verdict, counts, where, cut="hop_seconds" in given)
    if not verdict.sound:
        raise typer.Exit(1)


@app.command("init")
def data_init(
    clips: Annotated[Path, typer.Argument(help="A folder with one folder per class, or a table of clips.")],
    suite: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="the folder's name with .toml, here")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model (repeatable).", show_default="cnn, swishnet")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A line for [dataset.folder], such as 'label_separator = \";\"' (repeatable)."),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out audio that cannot be read; results name it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Look at clips of your own, say what is there, and write a suite that trains on them."""
    from datamodules.clips.own import proposal
    from datamodules.errors import DataError
    from datamodules.listing import shortened

    models = model or ["cnn", "swishnet"]
    for name in models:
        catalog.system(name)
    target = suite or Path(f"{clips.resolve().stem if clips.is_file() else clips.resolve().name}.toml")
    if target.suffix != ".toml":
        raise SuiteError(f"{target} is no name of a suite: let it end in .toml")
    if target.exists() and not force:
        raise SuiteError(
            f"{target} exists: run it with `bench run --suite {shlex.quote(str(target))}`, or replace it with --force"
        )
    try:
        arguments = tomllib.loads("\n".join(set_ or ()))
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"--set takes a line of TOML, such as 'hop_seconds = 5.0': {error}") from error
    if skip_unreadable:
        arguments["skip_unreadable"] = True
    if set_:
        _check_arguments("folder", arguments)
    try:
        found = proposal.propose(clips, arguments)
        if set_ and not found.problems:
            catalog.load(catalog.dataset("folder").target)(**found.arguments)  # checks the values
    except DataError as error:
        raise BenchError(str(error)) from error
    for line in found.lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    for warning in found.warnings:
        say(err, f"warning: {warning}")
    for problem in shortened(found.problems):
        say(err, f"problem: {problem}")
    if found.problems:
        say(err, f"{target} is not written; `bench data init` takes lines of [dataset.folder] with --set")
        raise typer.Exit(1)
    lines = [
        f"# Written by `bench data init`: {found.about}. Relative paths start from the folder in which you call bench.",
        f"models   = {json.dumps(models)}",
        'datasets = ["folder"]',
        'folds    = "all"',
        "",
        "[dataset.folder]",
        *(f"{name} = {proposal.toml(value)}" for name, value in found.arguments.items()),
    ]
    if recipe := _recipe(found.training_clips):
        lines += ["", "[recipe]", *(f"{name} = {value}" for name, value in recipe.items())]
        words = ", ".join(f"{name} = {value}" for name, value in recipe.items())
        out.print(
            f"recipe: {words}, because there are about {found.training_clips:,} clips to train on", highlight=False
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out.print(
        f"written: {target}; `bench run --suite {shlex.quote(str(target))}` trains",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _recipe(clips: int | None) -> dict[str, int]:
    """Return smaller batches and more epochs, where few clips would give a training fewer than `STEPS` steps."""
    if clips is None:
        return {}
    batch = 8 if clips < 64 else 16 if clips < 256 else Recipe.batch_size
    epochs = min(MOST_EPOCHS, max(Recipe.epochs, math.ceil(STEPS / math.ceil(clips / batch))))
    proposed = {"epochs": epochs, "batch_size": batch}
    return {name: value for name, value in proposed.items() if value != getattr(Recipe, name)}


def _dataset(name: str, base: Path, clips: Path | None, suite: str | None) -> tuple[Any, dict[str, Any]]:
    """Return a dataset's class, and the arguments that say where it is and how it is read."""
    own: dict[str, Any] = {}
    if suite is not None:
        name, own = _arguments(name, suite)
        _check_arguments(name, own)
    if name == "embeddings":
        raise SuiteError("embeddings are no audio to decode: `bench run` reads all of them and lists what is wrong")
    entry = catalog.dataset(name)
    if clips is not None:
        own = {key: value for key, value in own.items() if key not in ("root", "csv")}
    elif suite is not None and entry.folder is None:
        return catalog.load(entry.target), own
    if clips is None and name == "folder":
        raise SuiteError(
            "--clips says where your own clips are: `bench data verify folder --clips FOLDER`; --suite takes that and "
            "everything else from a suite"
        )
    if entry.folder is None and name != "folder":
        raise SuiteError(f"{name} is made by code: there is nothing on disk to verify")
    if clips is not None:
        table = name == "folder" and (clips.is_file() or clips.suffix.lower() in TABLES)
        return catalog.load(entry.target), {"csv" if table else "root": clips} | own
    return catalog.load(entry.target), {"root": catalog.place(name, base)} | own


def _check_arguments(name: str, arguments: dict[str, Any]) -> None:
    """Raise `SuiteError` where a dataset does not have one of the arguments."""
    from bench.training import build  # imports torch

    build.check_data(name, arguments)


def _arguments(name: str, suite: str) -> tuple[str, dict[str, Any]]:
    """Return a dataset's name in the catalogue, and the arguments that a suite gives it."""
    grid = suites.read(suite)
    listed = {each: each for each in (*grid.datasets, *grid.datasets_if_here)}
    catalog.find(listed, name, "dataset of the suite")
    table = grid.dataset.get(name, {})
    return grid.catalogued_dataset(name), {k: v for k, v in table.items() if k not in ("dataset", "recipe")}


def _manifest(name: str, given: dict[str, Any]) -> Path:
    """Return the manifest's place: not in the dataset's folder, which may be read-only, but a file for that folder."""
    import hashlib

    import platformdirs

    where = str(Path(given.get("csv") or given["root"]).expanduser().resolve())
    folder = Path(platformdirs.user_data_dir("audio-classification-bench")) / "manifests"
    return folder / f"{name}-{hashlib.sha256(where.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}.json"


def _print(name: str, verdict: Any, counts: dict[str, Any], where: Path, *, cut: bool) -> None:
    """Print what was found: counts first, what is wrong last; of many problems ten, for --json has all.

    Args:
        name: of the dataset.
        verdict: what was found.
        counts: of clips, by fold, class and container.
        where: the manifest.
        cut: whether long files are cut to pieces.
    """
    from datamodules.clips.own.reading import CUT, TOO_LONG
    from datamodules.listing import shortened

    def line(words: str, console: Any = out) -> None:
        console.print(wrapped(words, line_width(console)), markup=False, highlight=False)

    of = f" of {verdict.clips_official:,}" if verdict.clips_official else ""
    silent = f", {verdict.silent} of them silent" if verdict.silent else ""
    line(f"{name}: {len(verdict.clips):,}{of} clips{silent}, {len(counts['labels'])} classes")
    for what, words in (("fold", "folds"), ("labels", "classes"), ("container", "files")):
        if set(counts[what]) <= {"None"}:  # clips that are no files
            continue
        some = list(counts[what].items())
        more = f" and {len(some) - 12} more" if len(some) > 12 else ""
        line(f"  {words}: " + ", ".join(f"{key or 'by content'} {count:,}" for key, count in some[:12]) + more)
    for note in verdict.notes:
        line(f"  note: {note}")
    if verdict.digest:
        line(f"  digest in records, at the default settings: {verdict.digest}")
    for remark in verdict.remarks:
        out.print(f"  {remark}", markup=False, highlight=False)
    for warning in verdict.warnings:
        line(f"warning: {warning}", err)
    for problem in shortened(verdict.problems):
        line(f"problem: {problem}", err)
    for change in shortened(verdict.changes or ()):
        line(f"changed: {change}", err)
    if verdict.sound:
        state = "written" if verdict.changes is None else "the same"
        line(f"  nothing is wrong; manifest {state}: {where}")
    elif not verdict.problems:
        line(f"changed: {len(verdict.changes)} clips differ from {where}; --accept if that is meant", err)
    else:
        differ = f", and {len(verdict.changes)} clips differ from {where}" if verdict.changes else ""
        line(f"problem: {len(verdict.problems):,} in all{differ}; no manifest is written", err)
        if name == "folder" and not cut and any(TOO_LONG in problem for problem in verdict.problems):
            line(CUT, err)
        if name == "folder" and verdict.unreadable and verdict.clips:
            line(f"--skip-unreadable goes on without the {verdict.unreadable:,} audio files that cannot be read", err)
