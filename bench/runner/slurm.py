"""A script that does the runs of a suite as an array of SLURM's jobs, on a store that all nodes see."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import SuiteError
from bench.records import Run

MAX_TASKS = 1_000
"""Tasks of an array that SLURM takes where nobody has set MaxArraySize; beyond it, tasks do several runs each."""

WARNING_SECONDS = 120
"""Time between the signal that a job is about to end and its end."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The resources of each task.

    Attributes:
        cpus: processor cores.
        gpus: GPUs; 0 for none.
        logs: folder of what the tasks print.
    """

    cpus: int
    gpus: int
    logs: Path


def tasks(todo: Mapping[str, Run]) -> list[tuple[str, ...]]:
    """Return the keys of the trainings that each task does; trainings that need each other are one task's.

    Args:
        todo: unfinished runs by key, each after those that it needs; fusions are left to the last job.
    """
    group_of: dict[str, list[str]] = {}
    for key, run in todo.items():
        if run.members:
            continue
        joined = [key]
        for other in {id(group_of[need]): group_of[need] for need in run.needs if need in group_of}.values():
            joined = [*other, *joined]
        for each in joined:
            group_of[each] = joined
    groups = list({id(group): tuple(group) for group in group_of.values()}.values())
    size = -(-len(groups) // MAX_TASKS)
    return [sum(groups[i : i + size], ()) for i in range(0, len(groups), size)] if groups else []


def script(
    name: str,
    command: Sequence[str],
    todo: Mapping[str, Run],
    resources: Resources,
    of_tasks: Sequence[str] = (),
    of_last: Sequence[str] = (),
) -> str:
    """Return the script. Called by hand it submits itself: the array, and a last job for fusions, timings and tables.

    Args:
        name: of the suite.
        command: `bench run` with the options of all tasks and of the last job.
        todo: as for `tasks`.
        resources: of each task.
        of_tasks: options that the last job does not have, such as --force.
        of_last: options that the tasks do not have, such as those that select runs.

    Raises:
        SuiteError: nothing is left to train.
    """
    groups = tasks(todo)
    if not groups:
        raise SuiteError(
            "every training of the selection is done: the same command without --print-slurm does the rest"
        )
    lines = "\n".join(f"  {shlex.quote(' '.join(group))}" for group in groups)
    gpus = f"#SBATCH --gpus-per-task={resources.gpus}\n" if resources.gpus else ""
    logs = str(resources.logs)
    if any(each in logs for each in " \t\n%\\"):
        raise SuiteError(f"--store: SLURM takes no blank, % or \\ in the name of a log, and this one is in {logs!r}")
    task, last = (
        " ".join(filter(None, ('exec "${command[@]}"', shlex.join(words))))
        for words in ((*of_tasks, "--no-timing"), of_last)
    )
    return f"""\
#!/bin/bash
# The suite {name}: {len(groups)} tasks for its trainings, then one job for fusions, timings and tables.
# Submit it with: bash FILE [options of sbatch, such as --partition=gpu --time=12:00:00]
#SBATCH --job-name=bench-{name}
#SBATCH --array=0-{len(groups) - 1}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={resources.cpus}
{gpus}#SBATCH --output={logs}/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@{WARNING_SECONDS}
set -euo pipefail
command=({shlex.join(command)})
runs=(
{lines}
)
if [[ -z ${{SLURM_ARRAY_TASK_ID:-}} ]]; then
  mkdir -p {shlex.quote(logs)}
  array=$(sbatch --parsable "$@" "$0")
  last=$(sbatch --parsable --array=0 --dependency="afterany:${{array%%;*}}" "$@" "$0" last)
  echo "submitted ${{array%%;*}} (${{#runs[@]}} tasks) and ${{last%%;*}} (fusions, timings, tables)"
  exit
fi
if [[ ${{1:-}} == last ]]; then
  {last}
fi
for key in ${{runs[$SLURM_ARRAY_TASK_ID]}}; do
  command+=(--key "$key")
done
{task}
"""
