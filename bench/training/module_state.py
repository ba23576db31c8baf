"""State of modules that their state dict lacks: random generators, and buffers that are not persistent.

A training that goes on needs both as they were. Plain attributes are not saved, because only the module knows which of
them change.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_OWN = frozenset({"_modules", "_parameters", "_buffers"})
"""Attributes of every module, which `nn.Module` itself keeps its content in."""

_WANTED = (
    torch.Generator, random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator,
    dict, list, tuple,
)  # fmt: skip
"""Generators, and what may hold them."""


def state(module: nn.Module) -> dict[str, Any]:
    """Return the states of a module's generators and of its buffers that are not persistent, as plain content.

    Generators are found in attributes of modules at any depth, also in lists, tuples and dictionaries there.
    """
    return {
        "generators": {place: _state(generator) for place, generator in _generators(module)},
        "buffers": {place: _copy(owner._buffers[name]) for place, owner, name in _buffers(module)},
    }


def restore(module: nn.Module, saved: Mapping[str, Any]) -> list[str]:
    """Set generators and buffers to a state, and return the names of those that the module does not have."""
    generators, buffers = dict(saved["generators"]), dict(saved["buffers"])
    for place, generator in _generators(module):
        if place in generators:
            _set_state(generator, generators.pop(place))
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    for place, owner, name in _buffers(module):
        if place in buffers:
            _set_buffer(owner, name, buffers.pop(place), device)
    return [*generators, *buffers]


def fit_buffers(module: nn.Module, saved: Mapping[str, Tensor], of_same_training: bool = False) -> None:
    """Create the buffers of a state dict that are None in a module.

    A buffer that is None is no part of a state dict, so a new module could not load the weights of one that has set it
    while it was trained.

    Args:
        module: that is to load the state dict.
        saved: the state dict.
        of_same_training: what the state dict lacks was None at that time, and becomes None; elsewhere it is left for
            the loading to refuse.
    """
    for prefix, owner in module.named_modules():
        for name, value in owner._buffers.items():
            place = f"{prefix}.{name}".lstrip(".")
            if value is None and place in saved:
                owner._buffers[name] = saved[place].clone()
            elif of_same_training and place not in saved and name not in owner._non_persistent_buffers_set:
                owner._buffers[name] = None


def _buffers(module: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield the place, the owner and the name of each buffer that is not persistent, also of those that are None."""
    for prefix, owner in module.named_modules():
        for name in sorted(owner._non_persistent_buffers_set & owner._buffers.keys()):
            yield f"{prefix}.{name}".lstrip("."), owner, name


def _copy(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach().cpu().clone()


def _set_buffer(owner: nn.Module, name: str, value: Tensor | None, device: torch.device) -> None:
    """Set a buffer, in place where its shape allows that; a constant, which may be a view, is left alone."""
    now = owner._buffers[name]
    if now is None or value is None:
        owner._buffers[name] = None if value is None else value.to(device)
        return
    value = value.to(now.device)
    same = (now.shape, now.dtype, now.layout) == (value.shape, value.dtype, value.layout)
    try:
        if not same or not torch.equal(now, value):
            with torch.no_grad():
                owner._buffers[name] = now.copy_(value) if same else value
    except RuntimeError:  # an expanded view, one that was made in inference mode, or a sparse one
        owner._buffers[name] = value


def _generators(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the place of each generator, and the generator; what is in several places is found in one of them."""
    seen: set[int] = set()
    for prefix, owner in module.named_modules():
        found = [(f"{prefix}.{name}".lstrip("."), value) for name, value in vars(owner).items() if name not in _OWN]
        while found:
            place, value = found.pop()
            if not isinstance(value, _WANTED) or id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, dict | list | tuple):
                within = value.items() if isinstance(value, dict) else enumerate(value)
                found += [(f"{place}[{name!r}]", each) for name, each in within if isinstance(each, _WANTED)]
            elif not isinstance(value, random.SystemRandom):
                yield place, value


def _state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    bits = _bits(generator)
    return {"spawned": getattr(bits.seed_seq, "n_children_spawned", 0), "state": _plain(bits.state)}


def _set_state(generator: Any, saved: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(saved)
    elif isinstance(generator, random.Random):
        generator.setstate(saved)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(_of_numpy(saved))
    else:
        bits = _bits(generator)
        bits.state = _of_numpy(saved["state"])
        if missing := saved["spawned"] - getattr(bits.seed_seq, "n_children_spawned", 0):
            bits.seed_seq.spawn(missing)  # the next ones then differ from those that were spawned before


def _bits(generator: Any) -> Any:
    return generator.bit_generator if isinstance(generator, np.random.Generator) else generator


def _plain(content: Any) -> Any:
    """Return a state of NumPy's with each array as the name of its type and a tensor of its bytes."""
    if isinstance(content, Mapping):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, np.ndarray):
        return content.dtype.str, torch.frombuffer(bytearray(content.tobytes()), dtype=torch.uint8)
    return content.item() if isinstance(content, np.generic) else content


def _of_numpy(content: Any) -> Any:
    """Return what `_plain` was given."""
    if isinstance(content, Mapping):
        return {name: _of_numpy(value) for name, value in content.items()}
    if isinstance(content, tuple):
        return np.frombuffer(content[1].numpy().tobytes(), dtype=content[0]).copy()
    return content
