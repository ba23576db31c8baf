"""A table as each format draws it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A table cell: its text, the number it sorts by, and whether it is too uncertain to print in full ink."""

    text: str
    number: float | None = None
    grey: bool = False


@dataclass(frozen=True)
class Head:
    """A column's head, and whether its cells are text."""

    text: str
    is_text: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a title above it and a footnote below it.

    Attributes:
        title: in one line.
        heads: one per column.
        rows: cells in the order of the columns.
        footnote: what a reader has to know; may be empty.
    """

    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnote: str = ""
