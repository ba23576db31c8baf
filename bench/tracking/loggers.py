"""The choice of the loggers of a suite, for the command line and the library alike."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import SuiteError
from bench.tracking.csv_log import CsvLog
from bench.tracking.limits import NAME
from bench.tracking.mirror import PROJECT, Mirror, Mode, choose_mode
from bench.tracking.tensorboard_log import TensorBoardLog
from bench.tracking.tracker import CLOSE_SECONDS, Tracker

if TYPE_CHECKING:
    from bench.leaderboard.board import Leaderboard

LOGGERS = ("wandb", "csv", "tensorboard")
_NOT_IN_PROJECTS = "/\\#?%:"


@dataclass(frozen=True)
class Loggers:
    """The chosen loggers.

    Attributes:
        mode: of W&B; "disabled" without it.
        files: the loggers that write files: "csv" and "tensorboard".
        project: W&B project.
        entity: W&B user or team; None for the account's default.
        warning: one line if W&B's mode is not the requested one.
    """

    mode: Mode
    files: tuple[str, ...]
    project: str
    entity: str | None
    warning: str | None = None

    def open(self, suite: str, store: Path) -> tuple[Tracker, ...]:
        """Open the loggers of a suite: W&B's files are in `store/wandb`, the others' in `store/logs`."""
        opened: list[Tracker] = []
        if "csv" in self.files:
            opened.append(CsvLog(store / "logs"))
        if "tensorboard" in self.files:
            opened.append(TensorBoardLog(store / "logs"))
        if self.mode != "disabled":
            opened.append(Mirror(self.mode, suite, store / "wandb", self.project, self.entity))
        return tuple(opened)


def choose(
    names: Sequence[str], wandb: str | None = None, project: str | None = None, entity: str | None = None
) -> Loggers:
    """Return the loggers of these names.

    Args:
        names: of `LOGGERS`; without a name, W&B alone.
        wandb: mode of W&B; None for WANDB_MODE, or else offline. A mode asks for W&B, as its name in `names` does.
        project: W&B project; None for WANDB_PROJECT, or else `PROJECT`.
        entity: W&B user or team; None for WANDB_ENTITY, or else the account's default.

    Raises:
        SuiteError: a logger is unknown, the arguments contradict each other, or W&B allows no such project.
    """
    for name in names:
        if name not in LOGGERS:
            raise SuiteError(f"logger {name!r} is unknown: choose of {', '.join(LOGGERS)}")
    if "wandb" in names and wandb == "disabled":
        raise SuiteError("the logger wandb is asked for and W&B is disabled: leave one of them out")
    wanted = not names or "wandb" in names or wandb not in (None, "disabled")
    mode, warning = choose_mode(wandb) if wanted else ("disabled", None)
    if mode == "disabled":
        for option, value in (("project", project), ("entity", entity)):
            if value:
                raise SuiteError(f"{option} = {value!r} is W&B's, which is off: add the logger wandb, or leave it out")
    project = project or os.environ.get("WANDB_PROJECT") or PROJECT
    if len(project) > NAME or any(character in project for character in _NOT_IN_PROJECTS):
        raise SuiteError(
            f"W&B allows no project {project!r}: at most {NAME} characters, without {' '.join(_NOT_IN_PROJECTS)}"
        )
    files = tuple(name for name in LOGGERS if name in names and name != "wandb")
    return Loggers(mode, files, project, entity or os.environ.get("WANDB_ENTITY") or None, warning)


def log_boards(trackers: Sequence[Tracker], boards: "Sequence[Leaderboard]") -> None:
    """Log a suite's leaderboards and their Pareto plots."""
    if trackers:
        from bench.leaderboard import board, pareto  # not needed until a suite has ended

        tables = [table.columns_and_rows() for table in board.summary(boards)]
        plots = [plot for one in boards for plot in pareto.plots(one)]
        for tracker in trackers:
            tracker.summary(tables, plots)


def close(trackers: Sequence[Tracker], timeout_seconds: float = CLOSE_SECONDS) -> list[str]:
    """Close the loggers; return one line of warning for each that did not log everything.

    Args:
        trackers: the loggers.
        timeout_seconds: longest time that each may wait for its server.
    """
    return [warning for tracker in trackers if (warning := tracker.close(timeout_seconds))]
