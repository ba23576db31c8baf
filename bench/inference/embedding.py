"""Embeddings of files: what a trained model computes before its last layer, or what a named layer returns."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.errors import ArgumentError, RunError
from bench.evaluation.fusion import Fused
from bench.inference.classifier import Classifier
from bench.inference.predict import BATCH_SIZE, Source
from bench.inference.recordings import MAX_SECONDS, Window, windows_of
from datamodules.errors import DataError
from models.base import AudioModel

_NOTHING = np.empty(0, np.float32)


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Vectors of one file, or of one clip of a file of several.

    Attributes:
        file: name of the file, with the clip's place in it where it has several.
        source: number of the file among those that were given.
        inside: where the clip is in a file of several; None where the file has one.
        values: `(T, D)` of T windows, or `(1, D)` of the whole clip; None where there is an error.
        starts: `(T,)` start of each window in seconds.
        ends: `(T,)` end of each in seconds.
        error: why the file cannot be used; empty where it can.
    """

    file: str
    source: int = 0
    inside: str | int | None = None
    values: NDArray[np.float32] | None = None
    starts: NDArray[np.float64] | None = None
    ends: NDArray[np.float64] | None = None
    error: str = ""


class Embedder:
    """Maps clips to embeddings.

    Args:
        model: a trained model.
        layer: name of a layer as in `named_modules`; None takes the input of the last layer, of models that are
            combined one after another.

    Raises:
        ArgumentError: there is no such layer.
        RunError: the last layer is not known.
    """

    def __init__(self, model: Classifier, layer: str | None = None) -> None:
        self.model = model
        self.found: dict[int, Tensor] = {}
        if layer is not None:
            self.targets = [(self._layer(layer), False)]
        else:
            self.targets = [(last, True) for last in _last(model.module)]
            if not self.targets:
                raise RunError(
                    f"the last layer of {model.name} is not known, because its class is no AudioModel: name a layer "
                    f"with --layer, such as {', '.join(_names(model.module)[-3:])}"
                )

    @torch.inference_mode()
    def __call__(self, clips: Tensor) -> Tensor:
        """Return the embeddings `(B, D)` float32 of clips `(B, S)`, or of embeddings `(B, T, F)`, on the CPU."""
        self.found.clear()
        handles = [_watch(target, before, self._keeper(place)) for place, (target, before) in enumerate(self.targets)]
        try:
            self.model.module(clips.to(self.model.device))
        finally:
            for handle in handles:
                handle.remove()
        if len(self.found) < len(self.targets):
            raise ArgumentError(f"the layer is not used for a clip by {self.model.name}: name another one with --layer")
        parts = [
            pooled(self.found[place], target if not before else nn.Linear(1, 1))
            for place, (target, before) in enumerate(self.targets)
        ]
        if any(len(part) != len(clips) for part in parts):
            raise ArgumentError(
                f"the layer does not return a value for each clip of {self.model.name}: name another one with --layer"
            )
        return torch.cat(parts, 1).float().cpu()

    def _keeper(self, place: int) -> Callable[[Tensor], None]:
        def keep(value: Tensor) -> None:
            self.found[place] = value

        return keep

    def _layer(self, name: str) -> nn.Module:
        modules: dict[str, nn.Module] = dict(self.model.module.named_modules())
        if name not in modules or not name:
            raise ArgumentError(
                f"{self.model.name} has no layer {name!r}: it has {', '.join(_names(self.model.module)) or 'none'}"
            )
        return modules[name]


def _last(module: nn.Module) -> list[nn.Module]:
    """Return the last layers of a model, or of the models that it combines."""
    if isinstance(module, Fused):
        return [last for member in module.members for last in _last(member)]
    return [module.output] if isinstance(module, AudioModel) else []


def _names(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if name and not list(part.children())]


def _watch(target: nn.Module, before: bool, keep: Callable[[Tensor], None]) -> Any:
    """Pass on what a layer is given, or what it returns; of a tuple the first part."""

    def given(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        keep(inputs[0])

    def returned(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        keep(output[0] if isinstance(output, tuple) else output)

    return target.register_forward_pre_hook(given) if before else target.register_forward_hook(returned)


def pooled(values: Tensor, layer: nn.Module) -> Tensor:
    """Return a layer's values as `(B, D)`, averaged over time and frequency.

    Linear and recurrent layers have channels last, `(B, T, D)`; other layers have them second, `(B, D, T)` or
    `(B, D, F, T)`.
    """
    if values.ndim < 3:
        return values.flatten(1) if values.ndim == 2 else values[:, None]
    last = isinstance(layer, (nn.Linear, nn.LayerNorm, nn.RNNBase, nn.MultiheadAttention))
    return values.flatten(1, -2).mean(1) if last else values.flatten(2).mean(2)


def embed(
    model: Classifier,
    sources: Sequence[Source],
    *,
    layer: str | None = None,
    hop_seconds: float | None = None,
    each_window: bool = False,
    batch_size: int = BATCH_SIZE,
    max_seconds: float = MAX_SECONDS,
) -> Iterator[Embedding]:
    """Yield the embeddings of files, in their order; a file that cannot be used stops no other one.

    A file of several clips, as one of features may be, has an embedding for each of them, or one error.

    Args:
        model: of `load_model`.
        sources: of `bench.inference.predict.find`.
        layer: as for `Embedder`.
        hop_seconds: from the start of one window to the next; None takes the length of a window.
        each_window: whether to yield a row for each window of a clip instead of their mean.
        batch_size: windows that the model gets at once.
        max_seconds: longest file that is accepted.

    Raises:
        ArgumentError: there is no such layer, or the hop is not above 0 or longer than a window.
    """
    model.check_hop(hop_seconds)
    embedder = Embedder(model, layer)
    for number, source in enumerate(sources):
        try:
            if source.error:
                raise DataError(source.error)
            values: list[Tensor] = []
            read: list[Window] = []  # without their samples
            clips: list[NDArray[np.float32]] = []
            for window in windows_of(model, source.path, source.name, hop_seconds, max_seconds):
                clips.append(window.clip)
                read.append(replace(window, clip=_NOTHING))
                if len(clips) == batch_size:
                    values.append(embedder(torch.from_numpy(np.stack(clips))))
                    clips.clear()
            if clips:
                values.append(embedder(torch.from_numpy(np.stack(clips))))
        except ArgumentError:  # of the layer, and so of all files
            raise
        except (DataError, RunError) as error:
            yield Embedding(file=source.name, source=number, error=str(error))
            continue
        found = torch.cat(values).numpy()
        done = 0
        for (name, inside), group in groupby(read, lambda window: (window.name, window.inside)):
            windows = list(group)
            rows, done = found[done : done + len(windows)], done + len(windows)
            starts, ends = np.array([(window.start, window.end) for window in windows]).T
            if not each_window:
                rows, starts, ends = rows.mean(0, keepdims=True), starts[:1], ends[-1:]
            yield Embedding(file=name, source=number, inside=inside, values=rows, starts=starts, ends=ends)
