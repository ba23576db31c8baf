"""The page `complexity.md`: sizes that are counted here next to those that the papers publish. Nothing is trained.

No weights are drawn and nothing is computed: the page takes seconds.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.leaderboard import published
from bench.leaderboard.published import Size, SizeTable
from bench.leaderboard.render import templating
from bench.leaderboard.render.table import Cell, Head, Table
from bench.profiling import complexity
from bench.text import NONE
from bench.training import build

_HEADS = ("model", "published as")
_NUMBERS = ("parameters", "published", "MACs, 1e9", "front-end MACs, 1e9", "multiply-adds, 1e9", "published", "mAP, %")


def page(command: str) -> str:
    """Count every model of the papers' tables and return the page as GitHub Markdown.

    Args:
        command: shell command that makes the page again.
    """
    papers = [
        (f"{paper.paper}. {_CONVENTION[paper.convention]} {paper.note}", _table(paper)) for paper in published.sizes()
    ]
    return templating.render("complexity.md.j2", command=command, papers=papers)


_CONVENTION = {
    "macs": "The paper counts each product of convolutions and linear layers once and leaves the front-end out.",
    "panns": "The paper counts each product twice (as a multiplication and an addition) and also counts biases, batch "
    "norms, ReLUs, pooling and the Fourier transform.",
    "none": "The paper publishes parameters only.",
}


def _table(paper: SizeTable) -> Table:
    rows = [_row(paper, size) for size in paper.rows]
    same = sum(cells[2].text == cells[3].text and cells[7].text in (NONE, cells[6].text) for cells in rows)
    compared = "Parameters" if paper.convention == "none" else "Parameters and multiply-adds"
    return Table(
        title=f"{paper.title}: {paper.classes} classes, clips of {paper.seconds:g} s",
        heads=(*(Head(words, is_text=True) for words in _HEADS), *map(Head, _NUMBERS)),
        rows=tuple(rows),
        footnote=f"{compared} equal the published figures in {same} of {len(rows)} rows.",
    )


def _row(paper: SizeTable, size: Size) -> tuple[Cell, ...]:
    with _Undrawn():  # type: ignore[no-untyped-call]
        model, shape, seconds = build.untrained(size.model, paper.classes, paper.seconds, paper.sample_rate, None, None)
    counted = complexity.measure(model, shape, seconds)
    panns = paper.convention == "panns"
    own = complexity.panns_multiply_adds(model.to("meta"), shape[0]) if panns else counted.macs
    texts = (
        f"{counted.parameters:,}",
        f"{size.parameters:,}",
        _billions(counted.macs),
        _billions(counted.frontend_macs),
        _billions(own),
        NONE if size.multiply_adds is None else f"{size.multiply_adds:.3f}",
        NONE if size.mAP is None else f"{100 * size.mAP:.1f}",
    )
    return Cell(size.model), Cell(size.name), *map(Cell, texts)


def _billions(count: int) -> str:
    """Return a count in units of 1e9, with the papers' three decimals; small ones with three digits."""
    return f"{count / 1e9:.3f}" if count >= 1e8 or not count else f"{count / 1e9:#.3g}"


class _Undrawn(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Leaves weights as they are allocated: drawing hundreds of millions of them would take most of the time."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.uniform_.default, torch.ops.aten.normal_.default):
            return args[0]
        return func(*args, **(kwargs or {}))
