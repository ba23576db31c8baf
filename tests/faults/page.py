"""The table of the campaign in docs/reliability.md and its sum in README.md, from the figures in docs/faults.json."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faults.tally import BAD

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
README = PAGE.parents[1] / "README.md"
BEGIN, END = "<!-- faults: written by `make faults ARGS=--page` -->", "<!-- end of faults -->"


def processor() -> str:
    """Return the name of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def table(figures: Mapping[str, Any]) -> str:
    """Return the table as Markdown."""
    rows = figures["rows"]
    names = ("injected", "lost", "doubled", "wrong", "hung", "crashed", "executed")
    total = {name: sum(row[name] for row in rows) for name in names}
    commits = sorted({row["commit"] for row in rows if "commit" in row})
    lines = [
        f"Faults injected **{total['injected']:,}** · "
        f"lost **{total['lost']:,}** · doubled **{total['doubled']:,}** · "
        f"silently wrong **{total['wrong']:,}** · hung **{total['hung']:,}** · crashed **{total['crashed']:,}** · "
        f"executed **{total['executed']:,}**, the sum of the kinds below, on two cores of {figures['processor']} with "
        f"Python {figures['python']}, at commit {', '.join(commits)}.",
        "",
        "| kind | fault | guard | injected | bad |",
        "|---|---|---|---:|---:|",
    ]
    for row in rows:
        bad = sum(row[name] for name in names[1:])
        lines.append(f"| {row['name']} | {row['words']} | {row['guard']} | {row['injected']:,} | {bad:,} |")
    return "\n".join(lines)


def written(page: str, figures: Mapping[str, Any]) -> str:
    """Return a page with the table in its place."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(figures)}\n\n{END}{rest.split(END)[1]}"


def summed(readme: str, figures: Mapping[str, Any]) -> str:
    """Return README.md with the sum in its place."""
    total = {name: sum(row[name] for row in figures["rows"]) for name in ("injected", *BAD)}
    bad = ", ".join(f"{total[name]:,} {WORDS.get(name, name)}" for name in BAD)
    return re.sub(r"`make faults`[^|\n]*", f"`make faults`: {total['injected']:,} injected, {bad} ", readme)


WORDS = {"wrong": "silently wrong"}


def write_page(figures: Mapping[str, Any]) -> None:
    """Write docs/reliability.md with the table, and README.md with the sum."""
    PAGE.write_text(written(PAGE.read_text(), figures))
    README.write_text(summed(README.read_text(), figures))
