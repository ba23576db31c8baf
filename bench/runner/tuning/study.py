"""A study: candidates of recipes for each model, their trials within the folds, and the chosen recipe.

Every trial is a run of its own with a record in `tuning/records`; a second call reads the records that are there and
goes on. Selection reads `val_...` curves and nothing else, because a trial's record has no test score.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from bench import catalog
from bench.errors import RecordError, SuiteError
from bench.records import Json, Record, Run, Store, write_whole
from bench.runner.executors import Failed, Finished, Job, executor
from bench.runner.settings import RunSettings
from bench.runner.tuning.space import Space, candidates
from bench.suites import Suite, is_fusion

Method = Literal["random", "halving"]
Scope = Literal["fold", "all"]
ETA = 3
"""Factor by which successive halving drops candidates, and by which it lengthens the trainings of those that stay."""

FOLDER = "tuning"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of a study.

    Attributes:
        method: "random" trains every candidate for all epochs; "halving" trains all of them for few epochs, and the
            best third for three times as many, until the last ones get all epochs.
        trials: number of candidates of each model; the first one is the suite's own recipe.
        epochs: of a whole training; None takes those of the suite's recipe.
        seed: of the candidates.
        scope: "fold" chooses for each test fold by that fold's own validation clips, so that no test clip of any fold
            has a part in its choice; "all" chooses one recipe by the mean over the folds, whose validation clips are
            test clips of other folds.
    """

    method: Method = "random"
    trials: int = 20
    epochs: int | None = None
    seed: int = 0
    scope: Scope = "fold"

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            SuiteError: a number is out of range.
        """
        if self.trials < 2:
            raise SuiteError(f"{self.trials} trials leave no choice: give 2 or more")

    def rungs(self, epochs: int) -> list[tuple[int, int]]:
        """Return the number of candidates and of epochs of each round, the last one with all epochs."""
        if self.method == "random":
            return [(self.trials, epochs)]
        rounds = max(1, min(int(math.log(self.trials, ETA) + 1e-9), int(math.log(max(epochs, 1), ETA) + 1e-9)) + 1)
        return [
            (max(1, math.ceil(self.trials / ETA**i - 1e-9)), max(1, round(epochs / ETA ** (rounds - 1 - i))))
            for i in range(rounds)
        ]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The result of a candidate in one round.

    Attributes:
        number: of the candidate; 0 is the suite's own recipe.
        epochs: of its trainings.
        values: of the recipe that differ from the suite's.
        scores: fold to the score on its validation clips; None for a training that failed.
        keys: fold to the key of the record.
    """

    number: int
    epochs: int
    values: Json
    scores: Mapping[int, float | None]
    keys: Mapping[int, str]

    @property
    def mean(self) -> float:
        """The mean over the folds; minus infinity where a training failed."""
        found = [score for score in self.scores.values() if score is not None]
        return fmean(found) if len(found) == len(self.scores) else -math.inf


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The recipe that was chosen for a model.

    Attributes:
        model: the suite's name of it.
        dataset: the suite's name of it.
        folds: test folds for which it was chosen.
        metric: name of the validation curve.
        trials: all of them, in the order of the rounds.
        best: number of the chosen candidate.
        recipe: its values that differ from the suite's recipe.
        spent: epochs that were trained for this choice, over all trials and folds.
    """

    model: str
    dataset: str
    folds: tuple[int, ...]
    metric: str
    trials: tuple[Trial, ...]
    best: int
    recipe: Json
    spent: int


@dataclass
class Study:
    """A suite's study.

    Attributes:
        choices: one for each model, dataset and, where the scope is a fold, fold.
        left: model to the reason why it is not tuned.
    """

    choices: list[Choice] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def tune(
    suite: Suite,
    runs: Sequence[Run],
    plan: Plan,
    space: Space,
    settings: RunSettings,
    executor_name: str = "processes",
    report: Callable[[str], object] = lambda line: None,
) -> Study:
    """Search the recipes of a suite's trained models.

    Args:
        suite: names the models.
        runs: those of its runs that are tuned, of all folds; of several seeds the first is used.
        plan: the settings.
        space: of the recipe's values.
        settings: folders, device and workers; trials are kept in the store's folder `tuning`.
        executor_name: of `bench.runner.executors`.
        report: receives a line for each round.

    Raises:
        SuiteError: Optuna is not installed, or a candidate of the space is no recipe.
        RecordError: the store cannot be written.
    """
    Store(settings.store).check()
    found = Study()
    names, datasets = suite.names(), suite.dataset_names()
    drawn = candidates(space, plan.trials, plan.seed)
    inner = replace(settings, store=settings.store / FOLDER)
    groups: dict[tuple[str, str, str, int], list[Run]] = {}
    for run in runs:
        name = names[run.key]
        if is_fusion(run.model):
            found.left[name] = "a fusion is not trained"
        elif run.recipe.teacher or (run.recipe.init and run.needs):
            found.left[name] = "its recipe needs another run: tune that one, and then its recipe by hand"
        elif run.seed == suite.seeds[0]:
            fold = run.fold if plan.scope == "fold" else -1
            groups.setdefault((datasets[run.key], name, run.frontend, fold), []).append(run)
    for (dataset, name, _, _), group in groups.items():
        own = (
            name
            if len({f for d, n, f, _ in groups if (d, n) == (dataset, name)}) == 1
            else f"{name} on {group[0].frontend}"
        )
        found.choices.append(_choose(own, dataset, group, plan, drawn, inner, executor_name, report))
    return found


def _choose(
    name: str, dataset: str, runs: Sequence[Run], plan: Plan, drawn: Sequence[Json], settings: RunSettings,
    executor_name: str, report: Callable[[str], object],
) -> Choice:  # fmt: skip
    epochs = plan.epochs or runs[0].recipe.epochs
    remaining = list(range(len(drawn)))
    trials: list[Trial] = []
    latest: list[Trial] = []
    for count, length in plan.rungs(epochs):
        remaining = remaining[:count]
        folds = ", ".join(str(run.fold) for run in runs)
        report(f"{name} on {dataset}, fold {folds}: {len(remaining)} trials of {length} epochs")
        latest = _round(remaining, drawn, length, runs, settings, executor_name)
        trials += latest
        remaining = [trial.number for trial in sorted(latest, key=lambda trial: (-trial.mean, trial.number))]
    if not latest or max(trial.mean for trial in latest) == -math.inf:
        raise RecordError(f"no trial of {name} on {dataset} has a validation score; `tuning/records` say why")
    best = remaining[0]
    recipe = dict(drawn[best]) | ({"epochs": plan.epochs} if plan.epochs else {})
    spent = sum(trial.epochs * len(trial.scores) for trial in trials)
    task = catalog.task(runs[0].dataset, runs[0].data)
    return Choice(
        model=name, dataset=dataset, folds=tuple(run.fold for run in runs), metric=f"val_{catalog.PRIMARY[task]}",
        trials=tuple(trials), best=best, recipe=recipe, spent=spent,
    )  # fmt: skip


def _round(
    numbers: Sequence[int], drawn: Sequence[Json], epochs: int, runs: Sequence[Run], settings: RunSettings, name: str
) -> list[Trial]:
    planned = {number: {run.fold: _with(run, drawn[number], epochs) for run in runs} for number in numbers}
    every = {run.key: run for by_fold in planned.values() for run in by_fold.values()}
    scores = _train(every, settings, name)
    return [
        Trial(
            number=number, epochs=epochs, values=drawn[number],
            scores={fold: scores[run.key] for fold, run in by_fold.items()},
            keys={fold: run.key for fold, run in by_fold.items()},
        )
        for number, by_fold in planned.items()
    ]  # fmt: skip


def _with(run: Run, values: Json, epochs: int) -> Run:
    try:
        return replace(run, recipe=replace(run.recipe, **values, epochs=epochs))
    except ValueError as error:
        raise SuiteError(f"the space has values that are no recipe ({values}): {error}") from error


def _train(runs: Mapping[str, Run], settings: RunSettings, name: str) -> dict[str, float | None]:
    """Train the runs that have no record, and return the validation score of each; None for one that failed."""
    store = Store(settings.store)
    scores: dict[str, float | None] = {}
    jobs = []
    for key, run in runs.items():
        record = store.get(key)
        if record is not None and (record.status == "ok" or (record.error and record.error.kind != "killed")):
            scores[key] = _score(record)
        else:
            jobs.append(Job(key, "bench.runner.tuning.trial:execute", (run, settings)))
    for event in executor(name)(jobs, settings.workers, settings.places) if jobs else ():
        if isinstance(event, Finished):
            assert isinstance(event.value, float)
            scores[event.job] = event.value
        elif isinstance(event, Failed):
            store.write(Record(run=runs[event.job], status="failed", error=event.failure))
            scores[event.job] = None
    return scores


def _score(record: Record) -> float | None:
    from bench.runner.tuning.trial import score

    return score(record) if record.status == "ok" else None


def toml(choices: Sequence[Choice]) -> Iterator[str]:
    """Yield the lines of the chosen recipes, as tables of a suite.

    Args:
        choices: at most one of each model.
    """
    for choice in choices:
        best = max((t for t in choice.trials if t.number == choice.best), key=lambda t: t.epochs)
        folds = ", ".join(map(str, choice.folds))
        yield (
            f"# {choice.dataset}, fold {folds}: trial {choice.best} of "
            f"{len({t.number for t in choice.trials})}, {choice.metric} {best.mean:.4f}, {choice.spent} epochs"
        )
        yield f"[model.{json.dumps(choice.model.partition(' on ')[0])}.recipe]"
        for key, value in sorted(choice.recipe.items()):
            yield f"{key} = {json.dumps('none' if value is None else value)}"
        yield ""


def write(suite: Suite, plan: Plan, space: Space, found: Study, store: Store) -> list[Path]:
    """Write a study's record and the chosen recipes to `tuning`, and return the files: the record, then TOML files.

    The record names the suite, the metric, the space, the number of trials and every trial. Recipes of several folds
    are in one file for each fold.
    """
    epochs = f"-e{plan.epochs}" if plan.epochs else ""
    stem = f"{suite.name}-{plan.method}-{plan.trials}{epochs}-{plan.scope}-s{plan.seed}"
    content: dict[str, Any] = {
        "suite": suite.name, **asdict(plan), "space": dict(space.values),
        "choices": [asdict(choice) for choice in found.choices], "left": found.left,
    }  # fmt: skip
    folder = store.root / FOLDER
    paths = [folder / f"{stem}.json"]
    write_whole(paths[0], (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode())
    groups: dict[str, list[Choice]] = {}
    for choice in found.choices:
        suffix = f"-f{choice.folds[0]}" if plan.scope == "fold" else ""
        groups.setdefault(f"{stem}{suffix}.toml", []).append(choice)
    for name, choices in groups.items():
        write_whole(folder / name, "\n".join(toml(choices)).encode())
        paths.append(folder / name)
    return paths
