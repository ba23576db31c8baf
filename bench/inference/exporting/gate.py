"""The check of a written file: its own runtime against the model, at several lengths and numbers of clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import RunError
from bench.inference.exporting.program import cause
from bench.inference.exporting.subject import Subject

TOLERANCE = 1e-4
"""Largest difference of a logit in 32-bit floats, as a share of the greatest logit, or of 1 where that is less."""

Runner = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Found:
    """Results of a check.

    Attributes:
        difference: largest difference of a logit, as a share of the greatest or of 1.
        agreement: share of the clips whose most likely class is the same.
        shortest: shortest length that the file takes.
        longest: longest length that was tried.
        lengths: number of lengths that were tried.
        clips: number of clips that were tried.
    """

    difference: float
    agreement: float
    shortest: int
    longest: int
    lengths: int
    clips: int


def check(of: Subject, run: Runner, is_open: bool, exact: bool, given: Sequence[Tensor] = (), more: int = 0) -> Found:
    """Compare a file with the model.

    Args:
        of: the model.
        run: runs the file.
        is_open: whether the file takes other lengths than the model's own.
        exact: whether logits must agree.
        given: inputs of one clip each, such as real clips, besides the test signals.
        more: number of further lengths, drawn between the shortest and twice the model's own.

    Raises:
        RunError: logits differ, or the file answers for a length that it was not made for.
    """
    length = of.length
    worst, same, clips = 0.0, 0, 0
    tried: list[int] = []

    def compare(x: Tensor) -> None:
        nonlocal worst, same, clips
        expected = of.reference(x)
        try:
            found = run(x)
        except Exception as error:  # each runtime has its own
            raise RunError(
                f"the file of {of.name} fails at a length of {x.shape[of.axis]}: {cause(error)}: it was not kept"
            ) from error
        if found.shape != expected.shape:
            raise RunError(f"the file of {of.name} returns {tuple(found.shape)} for {tuple(x.shape)}")
        difference = float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))
        worst = max(worst, difference if difference == difference else float("inf"))
        same += int((found.argmax(1) == expected.argmax(1)).sum())
        clips += len(x)
        tried.append(x.shape[of.axis])
        if exact and not worst <= TOLERANCE:
            raise RunError(
                f"the file of {of.name} differs from the model by {worst:.1e} at a length of {x.shape[of.axis]}, more "
                f"than {TOLERANCE:g}: it was not kept"
            )

    for x in given:
        compare(x)
    compare(of.signals(1, length))
    compare(of.signals(3, length))
    if not is_open:
        for other in {of.odd_length, length + 1, max(1, length // 2)} - {length}:
            if (logits := _answer(run, of.signals(1, other))) is not None and not _right(of, other, logits):
                raise RunError(f"the file of {of.name} answers for a length of {other}, but it was made for {length}")
        return Found(worst, same / clips, length, length, 1, clips)
    shortest = next((n for n in _ladder(of.least, length) if _answer(run, of.signals(2, n)) is not None), length)
    draws = torch.rand(more, generator=torch.Generator().manual_seed(0)).tolist()
    others = [shortest + round(share * (2 * length - shortest)) for share in draws]
    for n in sorted({shortest, of.odd_length, max(shortest, length // 3 | 1), 2 * length, *others}):
        compare(of.signals(2, n))
    return Found(worst, same / clips, shortest, max(tried), len(set(tried)), clips)


def _ladder(least: int, length: int) -> list[int]:
    """Return lengths from the shortest on, each twice the one before."""
    found = [least]
    while found[-1] < length:
        found.append(min(length, 2 * found[-1]))
    return found


def _answer(run: Runner, x: Tensor) -> Tensor | None:
    """Return the logits of an input; None where the runtime refuses it, or returns another number of clips."""
    try:
        logits = run(x)
    except Exception:  # each runtime has its own
        return None
    return logits if len(logits) == len(x) else None


def _right(of: Subject, length: int, logits: Tensor) -> bool:
    """Return whether logits are what the model itself gives for this length."""
    try:
        expected = of.reference(of.signals(1, length))
    except Exception:  # the model refuses the length, too
        return False
    return bool(torch.allclose(expected, logits, atol=TOLERANCE))
