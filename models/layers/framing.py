"""Maps over time: where their outputs lie, and how they are computed chunk by chunk.

A `Framing` says where each output of a map lies among its inputs, and which inputs it depends on. A `Stage` computes
the outputs of such a map for inputs that arrive in chunks of any size. All chunks together give the outputs that the
map has for the whole sequence, up to the rounding of float32.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor

from models.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Where the outputs of a map over time lie, counted in its inputs (samples or frames).

    Output i lies at `centre + i * stride`. It depends on the inputs from `i * stride - before` up to, and not
    including, `i * stride + after`.

    Attributes:
        stride: inputs from one output to the next.
        centre: place of output 0; the first input lies at 0.
        before: number of inputs, see above; None for all inputs since the start.
        after: number of inputs, see above; None for all inputs until the end.
    """

    stride: Fraction = Fraction(1)
    centre: float = 0.0
    before: int | None = 0
    after: int | None = 1

    def then(self, following: "Framing") -> "Framing":
        """Return the framing of this map followed by another one, in inputs of this map."""
        return Framing(
            stride=self.stride * following.stride,
            centre=self.centre + float(self.stride) * following.centre,
            before=None
            if None in (self.before, following.before)
            else _sum(self.before, self.stride, following.before),
            after=None if None in (self.after, following.after) else _sum(self.after, self.stride, following.after, 1),
        )

    @property
    def look_ahead(self) -> float | None:
        """Inputs from an output's place to the last input that it depends on; None where that is the last of all."""
        return None if self.after is None else self.after - 1 - self.centre

    def places(self, outputs: int) -> Tensor:
        """Return the places `(outputs,)` float64 of the first outputs."""
        return self.centre + torch.arange(outputs, dtype=torch.float64) * float(self.stride)


def _sum(own: int | None, stride: Fraction, other: int | None, less: int = 0) -> int:
    assert own is not None
    assert other is not None
    return own + ceil(stride * (other - less))


class Stage(ABC):
    """A map over time whose inputs arrive in chunks."""

    @abstractmethod
    def push(self, x: Tensor) -> Tensor:
        """Map the next inputs `(B, ..., t)`, t ≥ 0, to the outputs `(B, C, n)`, n ≥ 0, that are known by now."""

    @abstractmethod
    def finish(self) -> Tensor:
        """Return the outputs `(B, C, n)` that only the end of the sequence completes."""


class Chain(Stage):
    """Stages one after another.

    Args:
        stages: the first one receives the inputs.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)

    def push(self, x: Tensor) -> Tensor:
        """Map the next inputs to the outputs of the last stage."""
        for stage in self.stages:
            x = stage.push(x)
        return x

    def finish(self) -> Tensor:
        """Return the outputs of the last stage after the end of the inputs."""
        first, *rest = self.stages
        x = first.finish()
        for stage in rest:
            x = join(stage.push(x), stage.finish())
        return x


class Blocks(Stage):
    """A map whose outputs depend on a limited stretch of inputs, computed on overlapping blocks.

    Args:
        function: maps inputs `(B, ..., T)` to outputs `(B, C, N)`; a shift of the inputs by `framing.stride` shifts
            the outputs by one.
        framing: with a whole number as stride, and limits on both sides.
        least: shortest T that the function takes; a shorter sequence has no outputs.
        settled: shortest T from which on the start of a sequence is computed as in longer ones.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], framing: Framing, least: int = 1, settled: int = 1
    ) -> None:
        if framing.stride.denominator != 1 or framing.before is None or framing.after is None:
            raise ModelError(f"blocks need a whole stride and limits on both sides, got {framing}")
        self.function = function
        self.stride = int(framing.stride)
        self.after = framing.after
        self.context = 1 + ceil(framing.before / self.stride)  # outputs that are computed again; one for rounded edges
        self.least = least
        self.settled = max(least, settled)
        self.next = 0  # number of the next output
        self.origin = 0  # number of the first input in `held`
        self.held: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        """Map the next inputs `(B, ..., t)` to the outputs whose inputs have all arrived."""
        if not x.shape[-1]:
            return x.new_empty(len(x), 0, 0)
        self.held = x if self.held is None else torch.cat([self.held, x], -1)
        length = self.held.shape[-1]
        known = (self.origin + length - self.after) // self.stride + 1  # outputs
        if known <= self.next or length < self.settled:
            return x.new_empty(len(x), 0, 0)
        return self._outputs(known)

    def finish(self) -> Tensor:
        """Return the outputs at the end, which the function computes with its own padding."""
        if self.held is None or self.held.shape[-1] < self.least:
            return torch.empty(1 if self.held is None else len(self.held), 0, 0)
        return self._outputs(None)

    def _outputs(self, known: int | None) -> Tensor:
        assert self.held is not None
        first = self.origin // self.stride
        found = self.function(self.held)[..., self.next - first : None if known is None else known - first]
        self.next += found.shape[-1]
        origin = max(0, self.next - self.context) * self.stride
        self.held = self.held[..., origin - self.origin :]
        self.origin = origin
        return found


class Averages(Stage):
    """Means over bins of a rational number of inputs, as `torch.nn.functional.adaptive_avg_pool1d` has them.

    Output i is the mean of the inputs from floor(i r) up to ceil((i + 1) r). A last bin that is not complete is left
    out, unless it is the only one.

    Args:
        ratio: r, inputs for one output.
    """

    def __init__(self, ratio: Fraction) -> None:
        self.ratio = ratio
        self.next = 0
        self.origin = 0
        self.held: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        """Map the next inputs `(B, C, t)` to the means of complete bins `(B, C, n)`."""
        if x.shape[-1]:
            self.held = x if self.held is None else torch.cat([self.held, x], -1)
        if self.held is None:
            return x
        end = self.origin + self.held.shape[-1]
        known = max(self.next, floor(end / self.ratio))
        bins = [self.bounds(i) for i in range(self.next, known)]
        if not bins:
            return self.held[..., :0]
        if self.ratio.denominator == 1:  # bins of one size, which do not overlap
            low, high = bins[0][0] - self.origin, bins[-1][1] - self.origin
            found = self.held[..., low:high].reshape(*self.held.shape[:-1], len(bins), -1).mean(-1)
        else:
            found = torch.stack([self.held[..., a - self.origin : b - self.origin].mean(-1) for a, b in bins], -1)
        self.next = known
        origin = self.bounds(known)[0]
        self.held, self.origin = self.held[..., origin - self.origin :], origin
        return found

    def bounds(self, output: int) -> tuple[int, int]:
        """Return the first input of an output's bin, and the one after its last."""
        return floor(output * self.ratio), ceil((output + 1) * self.ratio)

    def finish(self) -> Tensor:
        """Return the mean of all inputs where they are fewer than a bin."""
        if self.held is None:
            return torch.empty(1, 0, 0)
        if self.next or not self.held.shape[-1]:
            return self.held[..., :0]
        return self.held.mean(-1, keepdim=True)


class Stateful(Stage):
    """A map of all inputs so far, which keeps a state.

    Args:
        function: maps inputs `(B, C, t)`, t ≥ 1, and the state to outputs `(B, C', t)` and the next state; the first
            state is None.
    """

    def __init__(self, function: Callable[[Tensor, Any], tuple[Tensor, Any]]) -> None:
        self.function = function
        self.state: Any = None

    def push(self, x: Tensor) -> Tensor:
        """Map the next inputs to as many outputs."""
        if not x.shape[-1]:
            return x.new_empty(len(x), 0, 0)
        found, self.state = self.function(x, self.state)
        return found

    def finish(self) -> Tensor:
        """Return nothing: each input has its output already."""
        return torch.empty(1, 0, 0)


def averages(x: Tensor, ratio: Fraction) -> Tensor:
    """Return the means of all bins of a whole sequence `(B, C, T)`, see `Averages`."""
    if ratio == 1:
        return x
    stage = Averages(ratio)
    return join(stage.push(x), stage.finish())


def join(*parts: Tensor) -> Tensor:
    """Return the outputs `(B, C, n)` of parts one after another; a part without outputs may be of any shape."""
    full = [part for part in parts if part.shape[-1]]
    return torch.cat(full, -1) if full else parts[-1]
