"""One run's report: settings, scores, curves, the hardest clips, and the commands that repeat and use it."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import AGAIN, BenchError, RecordError, RunError
from bench.leaderboard import clips
from bench.leaderboard.board import Leaderboard, leaderboards
from bench.leaderboard.caveats import Caveat, mends
from bench.leaderboard.confusions import ClassReport, class_report
from bench.leaderboard.systems import as_text
from bench.records import Record, Store, artifacts, graded_records

HARDEST = 20
"""Number of hardest clips of a report."""
PUBLISHED = Path("leaderboards")
"""The store that is looked into where the default one has no such record."""
_TOP = 3


@dataclass(frozen=True)
class HardClip:
    """A test clip on which a run was wrong, or of a high loss.

    Attributes:
        id: name of the clip.
        truth: its class, or its classes.
        predicted: the most probable classes, with their probabilities where they are kept.
        loss: cross-entropy, or the mean binary cross-entropy of its labels; None where only whole per cent are kept.
        certainty: probability of the true class; None with several labels per clip.
    """

    id: str
    truth: str
    predicted: str
    loss: float | None
    certainty: float | None


@dataclass(frozen=True)
class RunReport:
    """A run's report.

    Attributes:
        record: of the run, its timings graded.
        store: where the record is.
        board: the leaderboard of this run alone.
        settings: (head, words) on what was asked.
        facts: (head, words) on what came of it, beside the scores.
        classes: confusions and scores per class; None where the record has none.
        hardest: hardest clips, hardest first.
        caveats: what is doubtful, and what removes it.
        commands: (what it does, shell command).
        damage: the file with the hardest clips that cannot be used, and the remedy; empty where all is well.
    """

    record: Record
    store: Path
    board: Leaderboard
    settings: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    classes: ClassReport | None
    hardest: tuple[HardClip, ...]
    caveats: tuple[tuple[Caveat, str], ...]
    commands: tuple[tuple[str, str], ...]
    damage: str = ""

    @property
    def system(self) -> str:
        """The run's system: model and front-end."""
        return self.board.rows[0].full


def find_record(store: Store, key: str) -> tuple[Store, Record]:
    """Return a run's record, and the store that has it.

    Args:
        store: looked into first; where it is the default store and lacks the record, the published one is next.
        key: of the run, or a part of the key that no other run of the store has.

    Raises:
        BenchError: there is no such record, or several runs have this part in their keys.
        RecordError: the record is damaged.
    """
    places = [store, Store(PUBLISHED)] if store.root == Path("runs") else [store]
    for place in places:
        if record := _get(place, key):
            return place, record
    for place in places:
        found = place.matching(key)
        if len(found) == 1 and (record := _get(place, found[0])):
            return place, record
        if found:
            some = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            raise BenchError(f"{len(found)} runs in {place.root} are called {key!r}: name one of {some}")
    roots = " or ".join(str(place.root) for place in places)
    raise BenchError(
        f"there is no record {key!r} in {roots}: `bench list runs --store {shlex.quote(str(store.root))}` shows the "
        f"keys"
    )


def _get(store: Store, key: str) -> Record | None:
    """Return a record by its whole key; a text that is no file name has none."""
    return store.get(key) if key in store.keys() else None  # noqa: SIM118 - a store is no mapping


def run_report(store: Store, record: Record) -> RunReport:
    """Return a run's report.

    Args:
        store: has the record, and the run's logits or its hardest clips if they were kept.
        record: of the run; a failed one has its error, and no scores.

    Raises:
        SuiteError: a name of the run is not in the catalogue.
    """
    record = graded_records({record.key: record})[record.key]
    (board,) = leaderboards([record.run], {record.key: record})
    (row,) = board.rows
    report = class_report(row.full, [record], board.task) if record.status == "ok" else None
    clips_found, damage = hardest(store, record)
    return RunReport(
        record=record,
        store=store.root,
        board=board,
        settings=tuple(_settings(record)),
        facts=tuple(_facts(record)),
        classes=report,
        hardest=clips_found,
        caveats=tuple((each, mends(each.kind, "bench run --suite SUITE")) for each in board.caveats[0]),
        commands=tuple(_commands(store, record)),
        damage=damage,
    )


def _settings(record: Record) -> Iterator[tuple[str, str]]:
    """Yield what the run was asked to do."""
    run = record.run
    yield "Model", _with_arguments(run.model, {k: v for k, v in run.arguments.items() if k != "members"})
    if run.frontend != "none":
        yield "Front-end", run.frontend
    yield "Dataset", _with_arguments(run.dataset, run.data)
    yield "Fold", str(run.fold)
    yield "Seed", str(run.seed)
    if run.members:
        yield "Combines", ", ".join(run.members)
    else:
        changed = ", ".join(f"{name}={as_text(value)}" for name, value in sorted(run.recipe_differences.items()))
        yield "Recipe", changed or "the default"
    for target, about in sorted(run.sources.items()):
        yield f"Source of the {target}", as_text(about)


def _with_arguments(name: str, arguments: dict[str, Any]) -> str:
    inside = ", ".join(f"{key}={as_text(value)}" for key, value in sorted(arguments.items()))
    return f"{name} ({inside})" if inside else name


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """Yield what came of the run beside its scores."""
    if record.started:
        yield "Started", record.started
    length = max(map(len, record.curves.values()), default=0)
    if record.best_epoch is not None and length:
        yield "Tested epoch", f"{record.best_epoch + 1} of {length}"
    if record.seconds:
        yield "Seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in record.seconds.items())
    if record.resumed:
        yield "Continued", f"{record.resumed} times after an interruption"
    if record.arithmetic:
        yield "Arithmetic", ", ".join(f"{name}={value}" for name, value in sorted(record.arithmetic.items()))
    if record.conflict is not None:
        yield "Conflict", f"{record.conflict:.3f}"
    if data := record.data:
        parts = ", ".join(f"{data.clips.get(name, 0):,} {name}" for name in ("train", "val", "test"))
        yield "Clips", f"{parts}; the test clips come from {data.test_groups:,} sources"
        official = "" if data.clips_official is None else f" of {data.clips_official:,} official"
        yield "Coverage", f"{data.clips_available:,}{official} clips"
        yield "Split", data.split
        if data.note:
            yield "Note", data.note
    for backend, why in sorted(record.not_timed.items()):
        yield f"Not timed on {backend}", why
    for metric, why in sorted(record.not_scored.items()):
        yield f"No {metric}", why
    if place := record.environment:
        dirty = " (with uncommitted changes)" if place.dirty else ""
        yield "Commit", f"{place.commit or 'unknown'}{dirty}"
        yield (
            "Machine",
            f"{place.processor}, {place.cores} cores, {place.gpu or 'no GPU'}; threads: {place.threads}; "
            f"{place.platform}",
        )
        yield (
            "Software",
            ", ".join([f"Python {place.python}", *(f"{k} {v}" for k, v in sorted(place.packages.items()))]),
        )


def _commands(store: Store, record: Record) -> Iterator[tuple[str, str]]:
    """Yield the commands that repeat the run and use it."""
    key, root = shlex.quote(record.key), shlex.quote(str(store.root))
    suite = " --suite SUITE" if record.run.sources else ""
    if record.status == "failed":
        yield "To try it again", f"bench run --suite SUITE --key {key} --store {root}"
        return
    yield "To repeat it", f"bench reproduce {key} --store {root}{suite}"
    if all(store.weights(part) is not None for part in record.run.members or (record.key,)):
        run = record.run
        if any(":" in name for key in (record.key, *run.members) for name in _classes(store, key)):
            key = f"FILE.toml:SYSTEM@f{run.fold}-s{run.seed}"  # only its suite permits to import a class
        yield "To use it", f"bench predict --run {key} --store {root} FILES"


def _classes(store: Store, key: str) -> tuple[str, ...]:
    """Return the names of a run's model and front-end; nothing where its record cannot be read."""
    try:
        record = store.get(key)
    except RecordError:
        return ()
    return () if record is None else (record.run.model, record.run.frontend)


def hardest(store: Store, record: Record) -> tuple[tuple[HardClip, ...], str]:
    """Return a run's hardest test clips: from its logits, its kept clips, or a published store's file of clips.

    Returns:
        The clips, and what is wrong with a file that was passed over, with the remedy; "" where nothing is.
    """
    if record.status != "ok" or not record.classes:
        return (), ""
    folder = store.artifacts(record.key)
    damage = ""
    for name, clips_of in (
        (artifacts.LOGITS, lambda saved: _of_logits(saved, record.classes)), (artifacts.HARDEST, _of_kept)
    ):  # fmt: skip
        path = folder / name
        if not path.exists() and not path.with_name(name + artifacts.PACKED).exists():
            continue
        try:
            return tuple(clips_of(artifacts.arrays(path, record))), damage
        except RunError as error:
            damage = damage or str(error)
        except (KeyError, ValueError, IndexError) as error:
            damage = damage or f"{path} is damaged ({error}): restore it, or {AGAIN.format(record.key)}"
    for path in sorted((store.root / clips.FOLDER).glob("*.json")):
        damaged: list[str] = []
        found = clips.collect(store, path.stem, [record], passed_over=damaged).get(record.key)
        damage = damage or next(iter(damaged), "")
        if found is not None:
            return tuple(_of_published(found, record.classes)), damage
    return (), damage


def _of_logits(saved: dict[str, NDArray[Any]], classes: Sequence[str]) -> Iterator[HardClip]:
    """Yield the clips of the highest loss; with one label per clip, only those that are misclassified."""
    logits, targets, names = saved["logits"].astype(np.float64), saved["targets"], saved["test_ids"]
    single = targets.ndim == 1
    if single:
        whole = np.logaddexp.reduce(logits, axis=1)
        losses = whole - logits[np.arange(len(targets)), targets.astype(int)]
        shares = np.exp(logits - whole[:, None])
        wrong = logits.argmax(1) != targets
    else:
        losses = (np.logaddexp(0, logits) - targets * logits).mean(1)
        shares = 1 / (1 + np.exp(-logits))
        wrong = np.ones(len(targets), bool)
    for i in [i for i in np.argsort(-losses, kind="stable") if wrong[i]][:HARDEST]:
        best = np.argsort(-shares[i], kind="stable")[:_TOP]
        truth = [int(targets[i])] if single else [int(j) for j in np.flatnonzero(targets[i])]
        yield HardClip(
            id=str(names[i]),
            truth=", ".join(classes[j] for j in truth) or "nothing",
            predicted=", ".join(f"{classes[j]} {100 * shares[i, j]:.0f} %" for j in best),
            loss=float(losses[i]),
            certainty=float(shares[i, truth[0]]) if single else None,
        )


def _of_kept(saved: dict[str, NDArray[Any]]) -> Iterator[HardClip]:
    """Yield the clips of `worst.npz`, which are in the order of their loss."""
    columns = (saved[name][:HARDEST] for name in ("ids", "truth", "predicted", "loss"))
    for name, truth, predicted, loss in zip(*columns, strict=True):
        yield HardClip(str(name), str(truth), str(predicted), float(loss), None)


def _of_published(found: clips.RunClips, classes: Sequence[str]) -> Iterator[HardClip]:
    """Yield misclassified clips, those of the least probability of the true class first."""
    every = zip(found.ids, found.truth, found.predicted, found.certainty, strict=True)
    wrong = sorted((certainty, name, truth, said) for name, truth, said, certainty in every if truth != said)
    for certainty, name, truth, said in wrong[:HARDEST]:
        yield HardClip(name, classes[truth], classes[said], None, certainty / 100)
