"""Complexity of a model for one clip: parameters, multiply-adds, bytes.

Counters fail silently: on the CPU a fused LSTM or attention counts 0. On the `meta` device the same operators are
decomposed into products that are counted, and nothing is computed. A layer that still counts 0 there is an error.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import ProfileError
from bench.records import Complexity
from models.base import AudioModel, Frontend
from models.frontends.filterbank import FilterbankPower


def measure(model: AudioModel, input_shape: tuple[int, ...], clip_seconds: float) -> Complexity:
    """Count one clip at batch 1, separately for front-end and model.

    The model's part is counted by operator; the model declares multiply-adds that no operator shows
    (`uncounted_macs`). Biases, activations, normalisation and pooling do not count; a model whose main work they are
    declares them (`elementwise`). The front-end gives its own closed form, since no counter sees an FFT.

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

    Args:
        module: in eval mode.
        x: its input.
        formulas: whether modules with `counted_by_formula = True` may count 0, because their work is in the model's
            `uncounted_macs`.

    Raises:
        ProfileError: a layer with weights counted 0, or the module does not run on the `meta` device.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_VECTOR_PRODUCTS)
    try:
        with torch.no_grad(), counter, _per_module(module, counter) as flops:
            module(x)
    except (RuntimeError, NotImplementedError) as error:
        raise ProfileError(
            f"{_name(module)} does not run on the meta device ({str(error).splitlines()[0]}): make tensors on the "
            f"input's device and do not read their values in `classify`"
        ) from error
    silent = [name for name in _silent(module, flops) if not (formulas and _declares(module.get_submodule(name)))]
    if silent:
        raise ProfileError(
            f"{_name(module)}: {', '.join(name.removeprefix('model.') for name in silent)} have weights but counted 0 "
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
        if isinstance(module, FilterbankPower):
            total += 2 * module.frames(samples) * 2 * (module.n_fft // 2 + 1) * module.n_fft
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


class _Classify(nn.Module):
    """`classify` as a module, without the front-end."""

    def __init__(self, model: AudioModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> Tensor:
        return self.model.classify(features)


def _features(model: AudioModel, shape: tuple[int, ...]) -> torch.Size:
    """Return the shape `(1, F, T)` of the front-end's features for one clip of noise."""
    device = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    noise = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        return cast(Tensor, model.frontend(noise)).shape


@contextmanager
def _per_module(root: nn.Module, counter: FlopCounterMode) -> Iterator[dict[nn.Module, int]]:
    """Yield a dict of the FLOPs inside each module and its children; a module that is never called is not in it.

    The counter's own table uses names, which are ambiguous for a module that is used in two places.
    """
    spent: dict[nn.Module, int] = {}
    starts: list[int] = []

    def enter(module: nn.Module, _: Any) -> None:
        starts.append(counter.get_total_flops())

    def leave(module: nn.Module, _: Any, __: Any) -> None:
        spent[module] = spent.get(module, 0) + counter.get_total_flops() - starts.pop()

    handles = []
    for module in root.modules():
        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield spent
    finally:
        for handle in handles:
            handle.remove()


def _silent(root: nn.Module, spent: dict[nn.Module, int]) -> Iterator[str]:
    """Yield the names of modules that have their own matrices but no counted products."""
    model = getattr(root, "model", root)
    separate = ("model.frontend", *(f"model.{name}" for name in getattr(model, "idle", ())))
    for name, module in root.named_modules():
        if name.startswith(separate) or isinstance(module, (ParametrizationList, nn.Embedding)):
            continue  # counted separately, or without products of its own
        own = (p for n, p in module.named_parameters() if "." not in n or n.startswith("parametrizations."))
        if not any(p.ndim >= 2 for p in own) or spent.get(module):
            continue
        owner = name.rpartition(".")[0]
        while owner not in ("", "model") and root.get_submodule(owner) not in spent:
            owner = owner.rpartition(".")[0]  # a container is not called
        parent = root.get_submodule(owner)
        if module not in spent and spent.get(parent, 0) > _inside(parent, spent):
            continue  # its parent multiplies by the weights, as nn.MultiheadAttention does
        yield name


def _inside(module: nn.Module, spent: dict[nn.Module, int]) -> int:
    """Return the FLOPs spent in the modules that `module` calls."""
    return sum(spent[child] if child in spent else _inside(child, spent) for child in module.children())


def _declares(module: nn.Module) -> bool:
    return bool(getattr(module, "counted_by_formula", False))


def _name(module: nn.Module) -> str:
    return type(module.model if isinstance(module, _Classify) else module).__name__


# The counter knows products of two matrices, but not of a matrix and a vector (attention pooling: `h @ w`).
_VECTOR_PRODUCTS = {
    torch.ops.aten.mv: lambda matrix, vector, **_: 2 * matrix[0] * matrix[1],
    torch.ops.aten.addmv: lambda bias, matrix, vector, **_: 2 * matrix[0] * matrix[1],
    torch.ops.aten.dot: lambda a, b, **_: 2 * a[0],
}
