"""Complexity of a model for one clip: parameters, multiply-adds, bytes.

Counters fail silently: on the CPU a fused LSTM or attention counts 0. On the `meta` device the same operators are
decomposed into products that are counted, and nothing is computed. A layer that still counts 0 there is an error.
"""

import copy
import math
import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakTensorKeyDictionary

from bench.errors import ProfileError
from bench.evaluation.segmentation import HOP_SECONDS
from bench.evaluation.segmentation.decisions import framing
from bench.records import Complexity, Segmentation
from models.base import AudioModel, FourierTransform, Frontend


def measure(model: AudioModel, input_shape: tuple[int, ...], clip_seconds: float) -> Complexity:
    """Count one clip at batch 1, separately for front-end and model.

    The model's part is counted by operator; the model declares multiply-adds that no operator shows
    (`uncounted_macs`). Biases, activations, normalisation and pooling do not count; a model whose main work they are
    declares them (`elementwise`). The front-end has its own closed form.

    Args:
        model: the model; it is not changed.
        input_shape: shape of one clip without the batch, `(S,)` or `(T, F)`.
        clip_seconds: length of that clip.

    Raises:
        ProfileError: a layer with weights counted 0, or the model does not run without data.
    """
    twin = copy.deepcopy(model).eval()
    features = _features(twin, input_shape)
    twin.to("meta")
    if isinstance(model.frontend, Frontend):
        frontend_macs = model.frontend.macs(input_shape[0])
    else:
        frontend_macs = count(twin.frontend, torch.empty(1, *input_shape, device="meta"))
    declared = model.uncounted_macs()
    counted = count(_Classify(twin), torch.empty(features, device="meta"), formulas=declared > 0)
    weights = (*model.parameters(), *model.buffers())
    return Complexity(
        parameters=trainable(model),
        macs=counted + declared,
        frontend_macs=frontend_macs,
        elementwise=model.elementwise(),
        bytes=sum(t.numel() * t.element_size() for t in weights),
        clip_seconds=clip_seconds,
    )


def trainable(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count(module: nn.Module, x: Tensor, *, formulas: bool = False) -> int:
    """Count the multiply-adds of `module(x)`, both on the `meta` device.

    Products of matrices and vectors, convolutions and Fourier transforms are counted. A complex product is four real
    ones; torch computes a complex convolution as three real ones, so those three are counted. A transform of N points
    is N/2 log2 N complex products, as in a front-end's `macs`. Any other operator that multiplies and adds is refused.

    Args:
        module: in eval mode.
        x: its input.
        formulas: whether modules with `counted_by_formula = True` may count 0, because their work is in the model's
            `uncounted_macs`.

    Raises:
        ProfileError: a matrix of weights is in no product that was counted, an operator's work is unknown, or the
            module does not run on the `meta` device.
    """
    inside: list[nn.Module] = []
    transforms = _transforms(lambda: formulas and any(map(_declares, inside)))
    counter = FlopCounterMode(display=False, custom_mapping=_PRODUCTS | transforms)
    watch = _Watch(module, counter)
    try:
        with torch.no_grad(), counter, watch, _stack(module, inside):
            module(x)
    except (RuntimeError, NotImplementedError) as error:
        raise ProfileError(
            f"{_name(module)} does not run on the meta device ({str(error).splitlines()[0]}): make tensors on the "
            f"input's device and do not read their values in `classify`"
        ) from error
    silent = [name for name in _silent(module, watch) if not (formulas and _declares(module.get_submodule(name)))]
    if silent:
        names = (name.removeprefix("model.") if name not in ("", "model") else "its own matrices" for name in silent)
        raise ProfileError(
            f"{_name(module)}: {', '.join(names)} have weights but counted 0 "
            f"multiply-adds: build them of products and convolutions, or count them in `uncounted_macs` and set "
            f"`counted_by_formula = True` on them; remove layers that are not used"
        )
    return counter.get_total_flops() // 2


def panns_multiply_adds(model: AudioModel, samples: int) -> int:
    """Count one clip as PANNs' tables do (Kong et al. 2020, https://arxiv.org/abs/1912.10211), at batch 1.

    Their "multi-adds" are twice the multiply-adds of convolutions and linear layers, plus biases, plus two for each
    input value of a batch norm or a ReLU module, plus the values that pooling modules read. The Fourier transform
    counts as two convolutions. Mel filters, logarithms and functions that are not modules count 0.
    """
    total = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        taken, given = inputs[0].numel(), output.numel()
        if isinstance(module, FourierTransform):
            total += 2 * module.dft_macs(samples)
        elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
            total += 2 * given * module.weight[0].numel() + (given if module.bias is not None else 0)
        elif isinstance(module, nn.Linear):
            total += 2 * module.weight.numel() + (len(module.bias) if module.bias is not None else 0)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.ReLU)):
            total += 2 * taken
        elif isinstance(module, nn.AvgPool2d):
            size = module.kernel_size
            total += given * (size**2 if isinstance(size, int) else size[0] * size[1])

    twin = copy.deepcopy(model).eval()
    for module in twin.modules():
        module.register_forward_hook(add)
    with torch.inference_mode():
        twin(torch.zeros(1, samples, device=next(twin.parameters()).device))
    return total


def per_second(model: AudioModel, sample_rate: int, clip_shape: Sequence[int], seconds: float = 10.0) -> Segmentation:
    """Count a time line's multiply-adds for one second of sound.

    A model with logits of single frames computes each frame once. Any other computes front-end and model for windows of
    a clip's length, one every `HOP_SECONDS`.

    Args:
        model: the model; it is not changed.
        sample_rate: in hertz.
        clip_shape: `(S,)` of a clip.
        seconds: length of the sound that is counted, if that is longer than a clip.

    Raises:
        ProfileError: as for `measure`.
    """
    found = framing(model)
    if found is None:
        size = measure(model, tuple(clip_shape), clip_shape[0] / sample_rate)
        return Segmentation(
            form="windows", hop_seconds=HOP_SECONDS, macs_per_second=round(size.macs / HOP_SECONDS),
            frontend_macs_per_second=round(size.frontend_macs / HOP_SECONDS), streams=0, stream_seconds=0.0,
        )  # fmt: skip
    samples = max(round(seconds * sample_rate), clip_shape[0])
    twin = copy.deepcopy(model).eval()
    features = _features(twin, (samples,))
    frontend_macs = (
        model.frontend.macs(samples)
        if isinstance(model.frontend, Frontend)
        else count(twin.frontend.to("meta"), torch.empty(1, samples, device="meta"))
    )
    declared = model.uncounted_macs()
    counted = count(_Frames(twin.to("meta")), torch.empty(features, device="meta"), formulas=declared > 0)
    clip_frames = _features(copy.deepcopy(model).eval(), tuple(clip_shape))[2]
    each = sample_rate / samples
    return Segmentation(
        form="frames", hop_seconds=round(float(found.stride) / sample_rate, 9),
        macs_per_second=round(each * (counted + declared * features[2] / clip_frames)),
        frontend_macs_per_second=round(each * frontend_macs), streams=0, stream_seconds=0.0,
    )  # fmt: skip


class _Classify(nn.Module):
    """`classify` as a module, without the front-end."""

    def __init__(self, model: AudioModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> Tensor:
        return self.model.classify(features)


class _Frames(_Classify):
    """`frame_logits` as a module, without the front-end."""

    def forward(self, features: Tensor) -> Tensor:
        return self.model.frame_logits(features)


def _features(model: AudioModel, shape: tuple[int, ...]) -> torch.Size:
    """Return the shape `(1, F, T)` of the front-end's features for one clip of noise."""
    device = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    noise = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        return cast(Tensor, model.frontend(noise)).shape


@contextmanager
def _stack(root: nn.Module, inside: list[nn.Module]) -> Iterator[None]:
    """Keep the modules whose `forward` is running in `inside`."""

    def enter(module: nn.Module, _: Any) -> None:
        inside.append(module)

    def leave(*_: Any) -> None:
        inside.pop()

    handles = []
    for module in root.modules():
        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Watch(TorchDispatchMode):
    """A dispatch mode that records which weights are in a counted product, and refuses uncounted operators.

    A tensor that is computed only from weights and constants represents these weights: a slice, a transposed or a
    normalised matrix.

    Attributes:
        multiplied: weights in at least one counted product.
        added: weights that a sum, a look-up or a normalisation combines with data.
        scaling: weights that any other operator combines with data.

    Raises:
        ProfileError: an operator has uncounted multiply-adds, or is control flow of torch (`while_loop`, `scan`,
            `cond`, `map`).
    """

    supports_higher_order_operators = True

    def __init__(self, root: nn.Module, counter: FlopCounterMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.name = _name(root)
        self.counter = counter
        self.multiplied: set[int] = set()
        self.added: set[int] = set()
        self.scaling: set[int] = set()
        self._sources: MutableMapping[Tensor, frozenset[int]] = WeakTensorKeyDictionary()
        for buffer in root.buffers():
            self._sources[buffer] = frozenset()
        for parameter in root.parameters():
            self._sources[parameter] = frozenset((id(parameter),))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if isinstance(func, HigherOrderOperator):
            raise ProfileError(
                f"{self.name} uses torch's {func.__name__}, whose multiply-adds cannot be counted: write it as a "
                f"loop or a condition of Python, such as `for frame in features.unbind(2)`; attention as "
                f"`scaled_dot_product_attention`"
            )
        kwargs = kwargs or {}
        before = self.counter.get_total_flops()
        given = func(*args, **kwargs)
        counted = self.counter.get_total_flops() > before
        namespace, _, name = func.name().partition("::")
        name = name.partition(".")[0].strip("_")
        known = func.overloadpacket in self.counter.flop_registry
        if not counted and not known and (namespace not in _NAMESPACES or _UNCOUNTED.search(name)):
            raise ProfileError(
                f"{self.name} uses the operator {namespace}::{name}, whose multiply-adds cannot be counted: build it "
                f"of matrix products and convolutions of torch"
            )
        sources = [self._sources.get(x) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        weights = frozenset[int]().union(*(x for x in sources if x is not None))
        if counted:
            self.multiplied |= weights
        elif None in sources:
            (self.added if _ADDING.fullmatch(name) else self.scaling).update(weights)
        for out in tree_leaves(given):
            if not isinstance(out, Tensor):
                continue
            if _SHAPE_ONLY.fullmatch(name):
                self._sources[out] = frozenset()
            elif None not in sources:
                self._sources[out] = weights
            elif out in self._sources:
                del self._sources[out]  # data was written into it
        return given


def _silent(root: nn.Module, watch: _Watch) -> Iterator[str]:
    """Yield the names of modules with a matrix that is in no counted product and is not only added to data."""
    model = getattr(root, "model", root)
    separate = ("model.frontend", *(f"model.{name}" for name in getattr(model, "idle", ())))
    for name, module in root.named_modules():
        if name.startswith(separate) or isinstance(module, (ParametrizationList, nn.Embedding, nn.EmbeddingBag)):
            continue  # counted separately, or without products of its own
        own = [p for n, p in module.named_parameters() if "." not in n or n.startswith("parametrizations.")]
        matrices = {id(p) for p in own if p.ndim >= 2 and p.numel() > max(p.shape)}
        if matrices - watch.multiplied - (watch.added - watch.scaling):
            yield name


def _declares(module: nn.Module) -> bool:
    return bool(getattr(module, "counted_by_formula", False))


def _name(module: nn.Module) -> str:
    return type(module.model if isinstance(module, _Classify) else module).__name__


def _transforms(declared: Callable[[], bool]) -> dict[Any, Any]:
    """Return the formulas of Fourier transforms.

    Args:
        declared: whether the transform is in a module whose work the model declares.
    """

    def flops(signal: Tensor, axes: Sequence[int]) -> int:
        """Return the FLOPs: two for each of the four real products of a complex product."""
        if declared():
            return 0
        points = [signal.shape[axis] for axis in axes]
        return 2 * sum(4 * round(n / 2 * math.log2(n)) * (signal.numel() // n) for n in points)

    def of_input(x: Tensor, axes: Sequence[int], *_: Any, **__: Any) -> int:
        return flops(x, axes)

    def of_output(x: Tensor, axes: Sequence[int], *_: Any, out_val: Tensor, **__: Any) -> int:
        return flops(out_val, axes)

    aten = torch.ops.aten
    return {
        aten._fft_r2c: _raw(of_input),
        aten._fft_c2c: _raw(of_input),
        aten._fft_c2r: _raw(of_output),
    }


def _raw(formula: Callable[..., int]) -> Callable[..., int]:
    """Mark a formula, so that the counter passes it tensors instead of shapes."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


def _real(shapes: Callable[..., int]) -> Callable[..., int]:
    """Return the formula of a product; for complex numbers the result is four times as large."""

    def flops(*args: Any, out_val: Tensor, **kwargs: Any) -> int:
        each = [x.shape if isinstance(x, Tensor) else x for x in args]
        return (4 if out_val.is_complex() else 1) * shapes(*each)

    return _raw(flops)


# The counter knows neither products of a matrix and a vector (attention pooling: `h @ w`) nor complex numbers.
_PRODUCTS = {
    torch.ops.aten.mm: _real(lambda a, b, *_: 2 * a[0] * a[1] * b[1]),
    torch.ops.aten.addmm: _real(lambda bias, a, b, *_: 2 * a[0] * a[1] * b[1]),
    torch.ops.aten.bmm: _real(lambda a, b, *_: 2 * a[0] * a[1] * a[2] * b[2]),
    torch.ops.aten.baddbmm: _real(lambda bias, a, b, *_: 2 * a[0] * a[1] * a[2] * b[2]),
    torch.ops.aten.addbmm: _real(lambda bias, a, b, *_: 2 * a[0] * a[1] * a[2] * b[2]),
    torch.ops.aten.mv: _real(lambda matrix, vector, *_: 2 * matrix[0] * matrix[1]),
    torch.ops.aten.addmv: _real(lambda bias, matrix, vector, *_: 2 * matrix[0] * matrix[1]),
    torch.ops.aten.dot: _real(lambda a, b, *_: 2 * a[0]),
    torch.ops.aten.vdot: _real(lambda a, b, *_: 2 * a[0]),
}

_NAMESPACES = frozenset({"aten", "prim", "prims", "profiler"})
"""Namespaces of torch's own operators; operators of `quantized`, `mkldnn` and other packages may do any work."""

_UNCOUNTED = re.compile(
    r"(^|_)([a-z]*mm|mv|addmv|v?dot|matmul|conv([1-3]d|_\w*)?|convolution|rnn|lstm|gru|attention|[cp]dist|euclidean_dist|"
    r"trilinear|fft|linalg(?!_(vector_norm|_powsum|cross|diagonal))|matrix_exp|solve|cholesky|orgqr|ormqr)(_|$)"
)
"""Names of torch's operators that multiply and add, and for which the counter may have no formula."""

_ADDING = re.compile(
    r"add|sub|rsub|cat|stack|where|copy|embedding|embedding_bag|index|index_select|index_put|gather|scatter|"
    r"masked_fill|maximum|minimum|[a-z_]*norm[a-z_]*"
)
"""Names of operators on weights and data that are not products: sums, look-ups, choices and normalisations."""

_SHAPE_ONLY = re.compile(r"new_\w+|\w+_like")
"""Names of operators that do not read the values of their argument."""
