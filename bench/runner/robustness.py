"""Evaluation of kept weights on disturbed test clips, without training; a second call goes on where one has ended.

The trained models of one dataset, fold and seed get the same disturbed clips. After every condition their logits are
among the artifacts (`artifacts/KEY/robustness/`) and their scores in `robustness/KEY.json`. Fusions are combined from
these logits.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import catalog
from bench.errors import BenchError, RunError
from bench.evaluation import evaluate
from bench.evaluation.fusion import fuse_logits, fusion_rule
from bench.evaluation.robustness.conditions import CLEAN, NEEDS, Condition, Disturber, choose
from bench.evaluation.robustness.noises import Recordings
from bench.profiling.environment import chosen_device, environment, set_threads
from bench.records import Environment, Json, Record, Run, Store, artifacts, canonical, robustness, write_whole
from bench.records.robustness import Disturbed, Robustness
from bench.runner.settings import RunSettings
from bench.training import build
from datamodules.base import AudioDataModule
from datamodules.errors import DataError
from models.base import AudioModel, ModelError

Report = Callable[[str], object]
Logits = NDArray[np.float32]

MAX_DEVIATION = 1e-3
"""Largest difference between the kept logits of the clean clips and those of the kept weights now."""


@dataclass
class Outcome:
    """The outcome of a call.

    Attributes:
        done: number of evaluations, one per run and condition.
        kept: number of evaluations that were there before.
        left: key of a run, or "KEY CONDITION", to the reason why it was not evaluated.
    """

    done: int = 0
    kept: int = 0
    left: dict[str, str] = field(default_factory=dict)


@dataclass
class _Task:
    """A run whose results are being completed."""

    run: Run
    record: Record
    saved: Mapping[str, Any]
    found: Robustness
    model: nn.Module | None = None


def evaluate_runs(
    runs: Sequence[Run],
    settings: RunSettings,
    conditions: Sequence[str] = (),
    musan: Path | None = None,
    seed: int = 0,
    *,
    force: bool = False,
    report: Report = lambda line: None,
) -> Outcome:
    """Evaluate the kept weights of finished runs under conditions.

    Args:
        runs: of a suite; those without kept logits and weights, and those on embeddings, are left out with the reason.
        settings: folders, device and threads.
        conditions: names or kinds; empty for all.
        musan: folder with `noise` and `speech`; without it the conditions that need them are left out.
        seed: of the disturbances.
        force: evaluate again what was evaluated before.
        report: receives a line for each condition of each dataset, fold and seed.

    Raises:
        SuiteError: there is no such condition.
        RunError: the recordings cannot be read.
        RecordError: the store cannot be written.
    """
    store, outcome = Store(settings.store), Outcome()
    store.check()
    chosen = choose(conditions)
    set_threads(settings.threads)
    device = chosen_device(settings.device)
    where = environment(settings.threads, device)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if not run.members:
            groups.setdefault(canonical([run.dataset, run.data, run.fold, run.seed]), []).append(run)
    recordings: dict[int, dict[str, Recordings]] = {}
    for group in groups.values():
        with ExitStack() as claims:
            tasks = list(_tasks(group, store, outcome, claims, force))
            if tasks:
                _evaluate(tasks, store, settings, chosen, musan, seed, recordings, device, where, outcome, report)
    for run in runs:
        if run.members:
            with ExitStack() as claims:
                for task in _tasks([run], store, outcome, claims, force):
                    _fuse(task, store, chosen, where, outcome)
    return outcome


def _tasks(runs: Sequence[Run], store: Store, outcome: Outcome, claims: ExitStack, force: bool) -> Iterator[_Task]:
    for run in runs:
        record = store.get(run.key)
        if record is None or record.status != "ok":
            outcome.left[run.key] = "it is not finished: `bench run` does it"
        elif not run.members and catalog.dataset(run.dataset).kind == "embedding":
            outcome.left[run.key] = "its clips are embeddings, which have no waveform to disturb"
        elif not claims.enter_context(store.claim(f"robustness-{run.key}")):
            outcome.left[run.key] = "another process is evaluating it"
        else:
            try:
                saved = artifacts.logits(store, record)
                yield _Task(run, record, saved, _found(record, saved, store, force))
            except RunError as error:
                outcome.left[run.key] = str(error)


def _found(record: Record, saved: Mapping[str, Any], store: Store, force: bool) -> Robustness:
    """Return the results that a run has, or empty ones where it has none or has been done again since."""
    of = hashlib.sha256((store.artifacts(record.key) / artifacts.LOGITS).read_bytes()).hexdigest()
    found = None if force else robustness.read(store, record.key)
    if found is not None and found.of == of:
        return found
    _, groups = np.unique(saved["test_groups"], return_inverse=True)
    assert record.primary is not None  # it is finished
    task: Literal["single", "multi"] = "single" if saved["targets"].ndim == 1 else "multi"
    primary = catalog.PRIMARY[task]
    return Robustness(
        key=record.key, fold=record.run.fold, seed=record.run.seed, task=task, primary=primary, of=of,
        groups=tuple(groups.tolist()),
    )  # fmt: skip


def _evaluate(
    tasks: list[_Task], store: Store, settings: RunSettings, conditions: Sequence[Condition], musan: Path | None,
    seed: int, recordings: dict[int, dict[str, Recordings]], device: str, where: Environment, outcome: Outcome,
    report: Report,
) -> None:  # fmt: skip
    """Evaluate the trained models of one dataset, fold and seed."""
    first = tasks[0].run
    try:
        data = build.dataset(first, settings.data_dir, store.cache, skip_unreadable=settings.skip_unreadable)
        data.setup()
    except DataError as error:
        outcome.left |= {task.run.key: str(error) for task in tasks}
        return
    if data.sample_rate is None:
        outcome.left |= {task.run.key: "its clips have no waveform to disturb" for task in tasks}
        return
    sounds = recordings.setdefault(data.sample_rate, {})
    for folder in {NEEDS[condition.kind] for condition in conditions if condition.kind in NEEDS} - set(sounds):
        if musan is not None and (musan / folder).is_dir():
            sounds[folder] = Recordings(musan / folder, data.sample_rate)
    disturber = Disturber(data.sample_rate, seed, sounds)
    for condition in conditions:
        needed = NEEDS.get(condition.kind)
        if needed is not None and needed not in sounds:
            why = f"MUSAN's {needed} is not here: name its folder with --musan"
            outcome.left |= {f"{task.run.key} {condition.name}": why for task in tasks}
            continue
        how = disturber.settings(condition)
        todo = [task for task in tasks if not _is_done(task.found, condition, how)]
        outcome.kept += len(tasks) - len(todo)
        todo = [task for task in todo if _ready(task, store, data, device, outcome)]
        tasks = [task for task in tasks if task.run.key not in outcome.left]
        if not todo:
            continue
        report(f"{first.dataset}, fold {first.fold}, seed {first.seed}: {condition.head}, {len(todo)} models")
        logits = _logits([task.model for task in todo if task.model], data, disturber, condition, device)
        for task, found in zip(todo, logits, strict=True):
            _keep(task, found, condition.name, how, store, where, outcome)
        tasks = [task for task in tasks if task.run.key not in outcome.left]


def _is_done(found: Robustness, condition: Condition, settings: Json) -> bool:
    before = found.conditions.get(condition.name)
    return before is not None and canonical(before.settings) == canonical(settings)


def _ready(task: _Task, store: Store, data: AudioDataModule, device: str, outcome: Outcome) -> bool:
    """Load a task's model where that has not happened; say why where it cannot be used."""
    if task.model is not None:
        return True
    try:
        if task.saved["test_ids"].tolist() != list(data.splits.test.ids) or task.record.classes != data.classes:
            raise RunError("it was tested on other clips or classes than the data have now: run it again with --force")
        with torch.random.fork_rng(devices=[]):
            task.model = build.load(task.run, store, data).to(device).eval()
    except (BenchError, ModelError) as error:
        outcome.left[task.run.key] = str(error)
        return False
    return True


@torch.no_grad()
def _logits(
    models: Sequence[nn.Module], data: AudioDataModule, disturber: Disturber, condition: Condition, device: str
) -> list[Logits]:
    """Return each model's logits of the disturbed test clips `(N, C)`."""
    clips, batch = data.splits.test, data.batch_size
    parts: list[list[Tensor]] = [[] for _ in models]
    alike = _front_ends(models)
    for start in range(0, len(clips), batch):
        rows = range(start, min(start + batch, len(clips)))
        x = disturber.batch(condition, clips.load(rows).numpy(), [clips.ids[row] for row in rows])
        waveform = torch.from_numpy(x).to(device)
        features: dict[int, Tensor] = {}
        for model, own, part in zip(models, alike, parts, strict=True):
            if own is None:
                part.append(model(waveform).float().cpu())
                continue
            assert isinstance(model, AudioModel)
            if own not in features:
                features[own] = model.extract(waveform)
            part.append(model.classify(features[own]).float().cpu())
    return [torch.cat(part).numpy() for part in parts]


def _front_ends(models: Sequence[nn.Module]) -> list[int | None]:
    """Return a number for each model; those with the same number have the same fixed front-end. None for any other."""
    seen: dict[tuple[Any, ...], int] = {}
    found: list[int | None] = []
    for model in models:
        if not isinstance(model, AudioModel) or type(model).forward is not AudioModel.forward:
            found.append(None)
            continue
        front: nn.Module = model.frontend
        if any(p.requires_grad for p in front.parameters()):
            found.append(None)
            continue
        state = {k: v.cpu().numpy().tobytes() for k, v in front.state_dict().items()}
        settings = {k: v for k, v in vars(front).items() if isinstance(v, int | float | str | tuple)}
        buffers = [b.detach().cpu().float().numpy().tobytes() for b in front.buffers() if not b.is_complex()]
        name = (type(front), type(model).extract, repr(front), repr(settings), repr(state), *buffers)
        found.append(seen.setdefault(name, len(seen)))
    return found


def _keep(
    task: _Task, logits: Logits, name: str, settings: Json, store: Store, where: Environment, outcome: Outcome
) -> None:
    """Keep a run's logits under a condition and their scores."""
    key = task.run.key
    try:
        if name == CLEAN:
            deviation = float(np.abs(logits - task.saved["logits"]).max())
            scale = max(1.0, float(np.abs(task.saved["logits"]).max()))
            if not deviation <= MAX_DEVIATION * scale:
                raise RunError(
                    f"its weights give other logits for the clean clips than it has kept (by {deviation:.3g}): run it "
                    f"again with --force"
                )
            task.found = replace(task.found, deviation=float(f"{deviation:.3g}"))
        scored = evaluate.scores(
            logits, task.saved["targets"], task.saved["test_groups"].tolist(), task.record.classes, task.found.task,
            task.run.fold,
        )  # fmt: skip
    except (BenchError, ModelError, ArithmeticError) as error:
        outcome.left[key] = str(error)
        return
    content = io.BytesIO()
    np.savez(content, logits=logits)
    write_whole(_file(store, key, name), content.getvalue())
    single = task.found.task == "single"
    right = logits.argmax(1) == task.saved["targets"] if single else ()
    result = Disturbed(
        settings=settings,
        scores={
            name: None if value is None else float(f"{value:.8g}") for name, value in scored.found.values.items()
        },
        right="".join("01"[int(each)] for each in right), draws=() if single else scored.draws,
        logits=hashlib.sha256(content.getvalue()).hexdigest(), environment=where,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    task.found = task.found.with_condition(name, result)
    robustness.write(store, task.found)
    outcome.done += 1


def _file(store: Store, key: str, condition: str) -> Path:
    return store.artifacts(key) / robustness.FOLDER / f"{condition}.npz"


def _fuse(task: _Task, store: Store, conditions: Sequence[Condition], where: Environment, outcome: Outcome) -> None:
    """Combine the members' logits under each condition, by the fusion's rule with its weights of the clean clips."""
    members = {key: robustness.read(store, key) for key in task.run.members}
    rule = fusion_rule(task.run.model, task.saved["weights"])
    for condition in conditions:
        results = {key: found.conditions.get(condition.name) if found else None for key, found in members.items()}
        if absent := [key for key, result in results.items() if result is None]:
            outcome.left[f"{task.run.key} {condition.name}"] = f"its member {absent[0]} has not been evaluated"
            continue
        how: Json = {"members": {key: result.logits for key, result in results.items() if result}}
        if _is_done(task.found, condition, how):
            outcome.kept += 1
            continue
        parts = []
        try:
            for key, result in results.items():
                assert result is not None  # as checked
                parts.append(torch.from_numpy(_read(_file(store, key, condition.name), result.logits)))
            fused, _ = fuse_logits(torch.stack(parts), rule, task.found.task)
        except (RunError, ModelError, RuntimeError) as error:
            outcome.left[f"{task.run.key} {condition.name}"] = str(error)
            continue
        _keep(task, fused.float().numpy(), condition.name, how, store, where, outcome)


def _read(path: Path, digest: str) -> Logits:
    """Return kept logits `(N, C)`.

    Raises:
        RunError: the file is not there, or is another one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): repeat the call with --force") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise RunError(f"{path} is not the file that was written: repeat the call with --force")
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        logits: Logits = saved["logits"]
    return logits
