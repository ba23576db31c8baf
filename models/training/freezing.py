"""Modules of a model whose weights and batch statistics do not change."""

from collections.abc import Sequence

from torch import nn

from models.errors import TrainingError


def freeze(model: nn.Module, names: Sequence[str]) -> tuple[nn.Module, ...]:
    """Turn off the gradients of modules of the model, and return the modules.

    Raises:
        TrainingError: the model has no module of that name, or no trainable parameter remains.
    """
    known = dict(model.named_modules())
    if unknown := [name for name in names if name not in known]:
        children = ", ".join(name for name, _ in model.named_children())
        raise TrainingError(
            f"{type(model).__name__} has no module {unknown[0]!r} to freeze; its outermost modules are {children}"
        )
    modules = tuple(known[name] for name in names)
    for module in modules:
        module.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise TrainingError(f"no trainable parameter remains: `frozen` names all of {type(model).__name__}")
    return modules
