"""Optimiser and schedule of a recipe."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from models.errors import TrainingError
from models.recipe import Recipe


def optimizer_and_schedule(
    parameters: Iterable[nn.Parameter], recipe: Recipe, steps: float, epochs: int, *, fused: bool
) -> Any:
    """Return what `configure_optimizers` returns: the recipe's optimiser and its schedule, a step of it per batch.

    Args:
        parameters: of the model; those without a gradient are left out.
        recipe: names both.
        steps: optimiser steps of the whole training; infinite where the Trainer has no end.
        epochs: of the whole training.
        fused: whether torch's fused Adam is used. In mixed precision, Lightning clips no gradients of it.

    Raises:
        TrainingError: the schedule needs an end, and the training has none.
    """
    trained = [p for p in parameters if p.requires_grad]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(trained, rate, momentum=0.9, weight_decay=decay)
    else:
        kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(trained, rate, weight_decay=decay, amsgrad=recipe.amsgrad, fused=fused)
    if recipe.schedule == "constant":
        return optimizer
    if steps == float("inf"):
        raise TrainingError(
            f"the schedule {recipe.schedule!r} needs to know the training's end: give the Trainer max_epochs or "
            f"max_steps, or take Recipe(schedule='constant')"
        )
    schedule = _schedule(optimizer, recipe, max(int(steps), 1), epochs)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int, epochs: int) -> lr_scheduler.LRScheduler:
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if recipe.schedule == "one-cycle":
        return lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    period = max(steps // max(epochs, 1), 1)
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, period, T_mult=2, eta_min=rate / 50)
