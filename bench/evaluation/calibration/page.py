"""The page of a suite's calibration, as Markdown, HTML, CSV and plots."""

import csv
import hashlib
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.evaluation.calibration import plot
from bench.evaluation.calibration.study import NAMES, Calibrated, Study, study
from bench.leaderboard import files
from bench.leaderboard.render import THEMES, templating
from bench.leaderboard.render.html import page_parts
from bench.leaderboard.render.table import Cell, Head, Table
from bench.records import Snapshot, Store, write_whole
from bench.statistics import Difference
from bench.suites import Suite
from bench.text import NONE, csv_cell

FOLDER = "calibration"
LONGEST = 200
"""Characters of a plot's name; of a longer one, its beginning and a digest."""
PLOTS = 6
"""Number of systems, from the best down, whose plots the page shows."""

LEGEND = (
    "From kept logits; nothing is trained. Each run's temperature is fitted on its validation clips, and all measures "
    "are of its test clips, before → after. Lower is better."
)
_HEADS = (
    *("dataset", "model", "frontend", "runs", "temperature_low", "temperature", "temperature_high"),
    *(f"{name}_{when}" for name in NAMES for when in ("before", "after")),
    *(f"{name}_change_{end}" for name in ("brier", "nll") for end in ("low", "high")),
    *("conflict_auroc", "confidence_auroc", "conflict_spearman"),
)


def texts(suite: Suite, store: Store) -> tuple[dict[Path, str], dict[str, str]]:
    """Return the text of each file of a suite's page, by path, and the runs that are left out, with the reason."""
    boards = files.boards(Snapshot(store, suite.runs()), suite)
    found = [each for board in boards if (each := study(board, store)).systems or each.left]
    left = {key: why for each in found for key, why in each.left.items()}
    found = [each for each in found if each.systems]
    if not found:
        return {}, left
    folder = store.root / FOLDER
    drawn: dict[Path, str] = {}
    sections: list[dict[str, Any]] = []
    for each in found:
        shown = _shown(each)
        pictures = []
        for one in shown:
            title, words = _title(one), _temperature(one)
            name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{suite.name}-{each.board.name}-{title}").strip("-")
            if len(name) > LONGEST:
                name = f"{name[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            for theme in THEMES:
                drawn[folder / f"{name}-{theme}.svg"] = plot.svg(title, one.bins, one.bins_after, words, theme)
            pictures.append(
                templating.render(
                    "picture.html.j2", address=name, alternative=f"Reliability of {title}", width=plot.WIDTH - 30
                ).rstrip("\n")
            )
        plots = [plot.svg(_title(one), one.bins, one.bins_after, _temperature(one)) for one in shown]
        conflicts = [one for one in each.systems if one.conflict is not None]
        sections.append({
            "name": each.board.name, "header": list(_header(each)), "main": _main(each), "plots": plots,
            "pictures": pictures, "footnotes": list(_footnotes(each)),
            "details": [_conflict(conflicts, each)] if conflicts else [],
        })  # fmt: skip
    command = f"bench calibration --suite {shlex.quote(suite.file or suite.name)}"
    title = f"Calibration: {suite.title or suite.name}"
    given = {"title": title, "note": "", "papers": "", "legend": LEGEND, "command": command, "sections": sections}
    drawn[folder / f"{suite.name}.md"] = templating.render("page.md.j2", **given)
    drawn[folder / f"{suite.name}.html"] = templating.render("page.html.j2", **given, **page_parts())
    drawn[folder / f"{suite.name}.csv"] = _csv(found)
    return drawn, left


def draw(suite: Suite, store: Store) -> tuple[list[Path], dict[str, str]]:
    """Write a suite's page to its store; return its files, and the runs that are left out, with the reason."""
    drawn, left = texts(suite, store)
    for path, text in drawn.items():
        write_whole(path, text.encode())
    return list(drawn), left


def _shown(found: Study) -> list[Calibrated]:
    return found.systems[:PLOTS]


def _title(one: Calibrated) -> str:
    return one.row.label if one.row.frontend == "none" else f"{one.row.label} on {one.row.frontend}"


def _temperature(one: Calibrated) -> str:
    values = sorted(one.temperatures.values())
    return f"{values[0]:.2f}" if len(values) == 1 else f"{median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def _header(found: Study) -> Iterator[tuple[str, str]]:
    folds, seeds = (", ".join(map(str, numbers)) for numbers in (found.board.folds, found.board.seeds))
    yield "Runs", f"{sum(one.done for one in found.systems)} with kept logits; folds {folds}, seeds {seeds}"
    if found.left:
        yield "Left out", f"{len(found.left)} runs: {next(iter(found.left.values()))}"


def _footnotes(found: Study) -> Iterator[tuple[str, str]]:
    single = found.task == "single"
    yield "T", "the median over the runs, and the lowest and the highest; above 1 the model was too sure of itself"
    yield (
        "Brier",
        "squared difference of probabilities and labels, "
        + ("summed over the classes (0 to 2)" if single else "averaged over the labels (0 to 1)"),
    )
    yield "NLL" if single else "BCE", "log-loss in nats" + ("" if single else ", averaged over the labels")
    yield (
        "ECE",
        "expected calibration error in points, 15 bins of equal width, "
        + ("of the most probable class" if single else "of all labels of all clips"),
    )
    yield "Class-wise ECE", "the same for each class being present, averaged over the classes"
    yield "Interval", "95 %, of the change by the temperature, paired over the sources of the clips; grey contains 0"


def _main(found: Study) -> Table:
    loss = "NLL" if found.task == "single" else "BCE"
    heads = (
        Head("system", is_text=True), Head("front-end", is_text=True), Head("T"), Head("Brier"), Head("Brier change"),
        Head(loss), Head(f"{loss} change"), Head("ECE"), Head("class-wise ECE"),
    )  # fmt: skip
    rows = []
    for one in found.systems:
        rows.append((
            Cell(one.row.label), Cell(one.row.frontend),
            Cell(_temperature(one), median(one.temperatures.values())),
            _both(one, "brier", 1, 3), _change(one.change["brier"]), _both(one, "nll", 1, 3),
            _change(one.change["nll"]),
            _both(one, "ece", 100, 1), _both(one, "class_wise_ece", 100, 1),
        ))  # fmt: skip
    return Table("Calibration", heads, tuple(rows))


def _both(one: Calibrated, name: str, scale: float, digits: int) -> Cell:
    before, after = scale * one.before[name], scale * one.after[name]
    return Cell(f"{before:.{digits}f} → {after:.{digits}f}", after)


def _change(change: Difference | None) -> Cell:
    if change is None:
        return Cell(NONE, grey=True)
    words = f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
    return Cell(words, change.mean, grey=not change.significant)


def _conflict(systems: Sequence[Calibrated], found: Study) -> Table:
    single = found.task == "single"
    what = "wrong" if single else "log-loss"
    ordinals = ("least conflict", "2nd fifth", "3rd fifth", "4th fifth", "most conflict")
    heads = [Head("fusion", is_text=True), *(Head(f"{name}: {what}") for name in ordinals)]
    heads += [Head("AUROC of conflict"), Head("AUROC of doubt")] if single else []
    heads.append(Head("Spearman with log-loss"))
    rows = []
    for one in systems:
        c = one.conflict
        assert c is not None  # as selected
        cells = [Cell(one.row.label)]
        for k, error in c.error:
            cells.append(Cell(f"{100 * error:.1f} % (k = {k:.2f})" if single else f"{error:.3f} (k = {k:.2f})", error))
        cells += [Cell(NONE)] * (len(ordinals) - len(c.error))
        for value in (c.auroc, c.confidence_auroc) if single else ():
            cells.append(Cell(NONE) if value is None else Cell(f"{value:.3f}", value))
        rows.append((*cells, Cell(f"{c.spearman:.3f}", c.spearman)))
    note = (
        "k is the conflict mass of Dempster's rule between the members, on each test clip; a fifth of the clips each. "
        "AUROC is the probability that a wrong clip has more conflict than a right one; doubt is 1 minus the highest "
        "probability of the fusion. Many members that are unsure leave a high k, too."
    )
    return Table("Conflict of the members against the fusion's errors", tuple(heads), tuple(rows), note)


def _csv(found: Sequence[Study]) -> str:
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(_HEADS)
    for each in found:
        for one in each.systems:
            t = sorted(one.temperatures.values())
            changes = [
                getattr(change, end, None)
                for change in (one.change[n] for n in ("brier", "nll"))
                for end in ("low", "high")
            ]
            c = one.conflict
            values = (
                each.board.name, one.row.label, one.row.frontend, one.done, t[0], median(t), t[-1],
                *(value[name] for name in NAMES for value in (one.before, one.after)), *changes,
                *((c.auroc, c.confidence_auroc, c.spearman) if c else (None,) * 3),
            )  # fmt: skip
            writer.writerow(csv_cell(value) for value in values)
    return content.getvalue()
