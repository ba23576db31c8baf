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

_NUMPY = np.random.Generator | np.random.RandomState | np.random.BitGenerator


def state(module: nn.Module) -> dict[str, Any]:
    """Return the states of a module's generators and of its buffers that are not persistent, as plain content.

    Generators are found in attributes of modules at any depth, also in lists, tuples and dictionaries there.
    """
    return {
        "generators": {place: _state(generator) for place, generator in _generators(module)},
        "buffers": {place: owner._buffers[name].detach().cpu().clone() for place, owner, name in _buffers(module)},  # type: ignore[union-attr]
    }


def restore(module: nn.Module, saved: Mapping[str, Any]) -> list[str]:
    """Set generators and buffers to a state, and return the names of those that the module does not have."""
    generators, buffers = dict(saved["generators"]), dict(saved["buffers"])
    for place, generator in _generators(module):
        if place in generators:
            _set_state(generator, generators.pop(place))
    for place, owner, name in _buffers(module):
        if place in buffers:
            _set_buffer(owner, name, buffers.pop(place))
    return [*generators, *buffers]


def _buffers(module: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield the place, the owner and the name of each buffer that is not persistent."""
    for prefix, owner in module.named_modules():
        for name in sorted(owner._non_persistent_buffers_set):
            if owner._buffers.get(name) is not None:
                yield f"{prefix}.{name}".lstrip("."), owner, name


def _set_buffer(owner: nn.Module, name: str, value: Tensor) -> None:
    """Set a buffer, in place where its shape allows that; a constant, which may be a view, is left alone."""
    now = owner._buffers[name]
    assert now is not None
    value = value.to(now.device)
    if now.shape != value.shape or now.dtype != value.dtype:
        owner._buffers[name] = value
    elif not torch.equal(now, value):
        try:
            with torch.no_grad():
                now.copy_(value)
        except RuntimeError:  # an expanded view, or one that was made in inference mode
            owner._buffers[name] = value


def _generators(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the place of each generator, and the generator."""
    for prefix, owner in module.named_modules():
        for name, value in vars(owner).items():
            if name not in _OWN:
                yield from _within(f"{prefix}.{name}".lstrip("."), value, ())


def _within(place: str, value: Any, outer: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the generators in a value; `outer` are the containers around it, one of which it may be itself."""
    if isinstance(value, torch.Generator | random.Random | _NUMPY) and not isinstance(value, random.SystemRandom):
        yield place, value
    elif isinstance(value, dict | list | tuple) and id(value) not in outer:
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _within(f"{place}[{name!r}]", each, (*outer, id(value)))


def _state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    return _plain(_bits(generator).state)


def _set_state(generator: Any, saved: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(saved)
    elif isinstance(generator, random.Random):
        generator.setstate(saved)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(_of_numpy(saved))
    else:
        _bits(generator).state = _of_numpy(saved)


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
