"""The W&B workspace of a suite: panels for everything that its runs log, defined with W&B's `wandb-workspaces`.

The definition is always written next to the mirror's files, and sent if W&B is online. A second call changes the same
workspace.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.extras import install
from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.records import Json, write_whole
from bench.records.redaction import redacted
from bench.tracking.charts import CHARTS, Chart, pareto_chart, pareto_name
from bench.tracking.limits import NAME, dataset_of, fitted
from bench.tracking.live import WITHIN_EPOCHS
from bench.tracking.mirror import PROJECT

SECONDS = 20
"""Time limit for an answer of W&B."""


@dataclass(frozen=True)
class Dashboard:
    """The result of a call.

    Attributes:
        path: file of the definition.
        url: address of the workspace; None if it was not sent.
    """

    path: Path
    url: str | None


def build(
    suite: str, boards: Sequence[Leaderboard], folder: Path, *, online: bool, entity: str = "", project: str = PROJECT
) -> Dashboard:
    """Define the workspace of a suite, write it to `folder/<suite>-workspace.json`, and send it if W&B is online.

    Args:
        suite: name of the suite.
        boards: the suite's leaderboards.
        folder: folder of the mirror's files.
        online: whether to send the definition.
        entity: user or team; if empty, the account's default.
        project: W&B project.

    Raises:
        BenchError: the extra is not installed, or W&B refuses the workspace.
    """
    path = folder / f"{suite}-workspace.json"
    earlier = _earlier(path)
    if not entity:
        entity = _own_entity() if online else earlier.get("entity", "")
    made = definition(suite, boards, entity, project)
    content = as_json(made)
    url = None
    if (earlier.get("entity"), earlier.get("project")) == (entity, project) and earlier.get("id"):
        made._internal_id, made._internal_name = earlier["id"], earlier["name"]
        content |= {"id": earlier["id"], "name": earlier["name"]}
    if online:
        try:
            made.save()
            url = str(made.url)
        except Exception as error:  # W&B's client documents no exceptions
            write_whole(path, _text(content))
            raise BenchError(
                f"W&B refused the workspace ({redacted(f'{type(error).__name__}: {error}')}); its definition is in "
                f"{path}. If it was deleted on the site, delete this file, and the next call makes a new one"
            ) from error
        content |= {"id": made._internal_id, "name": made._internal_name, "url": url}
    write_whole(path, _text(content))
    return Dashboard(path, url)


def definition(suite: str, boards: Sequence[Leaderboard], entity: str, project: str = PROJECT) -> Any:
    """Return the `Workspace`: a section for each kind of logged data; runs are grouped by suite and model.

    Raises:
        BenchError: `wandb-workspaces` is not installed.
    """
    ws, wr = _library()
    group = fitted(suite, NAME)
    sections = [
        ws.Section(name=name, panels=list(panels), is_open=is_open)
        for name, panels, is_open in (
            ("Leaderboards", _boards(wr, group, boards), True),
            ("Score against cost", _costs(wr, group, boards), True),
            ("Learning curves", _curves(wr, boards), True),
            ("Test clips", _tested(wr), True),
            ("Worst mistakes", _hardest_clips(wr), True),
        )
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"Suite {suite}",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=ws.And(ws.Metric("Group") == group),
            groupby=[ws.Metric("Group"), ws.Metric("JobType")],
        ),
    )


def as_json(workspace: Any) -> Json:
    """Return a workspace in the form in which W&B's client sends it."""
    view = workspace._to_model()
    spec = json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))
    return {"entity": view.entity, "project": view.project, "displayName": view.display_name, "spec": spec}


def _boards(wr: Any, suite: str, boards: Sequence[Leaderboard]) -> Iterator[Any]:
    for board in boards:
        yield wr.WeavePanelSummaryTable(
            table_name=f"leaderboard/{dataset_of(suite, board.name)}", layout=wr.Layout(w=24, h=10)
        )


def _costs(wr: Any, suite: str, boards: Sequence[Leaderboard]) -> Iterator[Any]:
    """Yield the Pareto plots of each leaderboard, and scatters of every single run."""
    for board in boards:
        for plot in pareto.plots(board):
            yield _custom(wr, pareto_name(suite, plot), pareto_chart(plot))
    for primary in dict.fromkeys(board.primary for board in boards):
        for cost in ("complexity/macs", "complexity/parameters", "latency/cpu-1-end-to-end/p50_ms"):
            yield wr.ScatterPlot(
                title=f"Every run: {primary} against {cost}",
                x=wr.SummaryMetric(cost),
                y=wr.SummaryMetric(f"test_{primary}"),
                log_x=True,
            )


def _curves(wr: Any, boards: Sequence[Leaderboard]) -> Iterator[Any]:
    names = ["train_loss", "val_loss", *dict.fromkeys(f"val_{board.primary}" for board in boards)]
    for name in names:
        yield wr.LinePlot(title=name, x="epoch", y=[name], groupby_aggfunc="mean", groupby_rangefunc="minmax")
    for name in WITHIN_EPOCHS:
        yield wr.LinePlot(title=name, x="step", y=[name], groupby_aggfunc="mean", groupby_rangefunc="minmax")


def _tested(wr: Any) -> Iterator[Any]:
    for name, chart in CHARTS.items():
        yield _custom(wr, name, chart)
    yield wr.WeavePanelSummaryTable(table_name="per-class")


def _hardest_clips(wr: Any) -> Iterator[Any]:
    yield wr.MediaBrowser(title="Spectrograms", media_keys=["worst/spectrograms"], num_columns=4)
    yield wr.MediaBrowser(title="Sounds", media_keys=["worst/audio"], num_columns=4)
    yield wr.WeavePanelSummaryTable(table_name="worst/clips")


def _custom(wr: Any, name: str, chart: Chart) -> Any:
    """Return the panel of a chart over the table that runs log with it."""
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": f"{name}_table"}},
        chart_name=chart.spec,
        chart_fields=chart.fields,
        chart_strings=chart.words,
    )


def _library() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise BenchError(f"the dashboard needs the package wandb-workspaces: {install('dashboard')}") from error
    return ws, wr


def _own_entity() -> str:
    import wandb

    try:
        found = wandb.Api(timeout=SECONDS).default_entity
    except Exception as error:  # W&B's client documents no exceptions
        raise BenchError(
            f"W&B does not report the account's default entity ({redacted(str(error))}): give --entity"
        ) from error
    if not found:
        raise BenchError("the W&B account has no default entity: give your user or team with --entity")
    return str(found)


def _earlier(path: Path) -> Json:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(content: Json) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
