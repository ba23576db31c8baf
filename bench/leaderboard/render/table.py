"""A table, independent of the format that it is drawn in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A table cell.

    Attributes:
        text: what it shows.
        number: what it sorts by.
        grey: whether it is too uncertain to print in full ink.
        heat: name of its colour on a web page; empty without one.
    """

    text: str
    number: float | None = None
    grey: bool = False
    heat: str = ""


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
        footnote: text below the table; may be empty.
    """

    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnote: str = ""
