"""Points of a training: their names, their units, and which of them a log has already."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Point = dict[str, float]
"""Name to value. Every point has an `epoch`, from 0 as in Lightning."""


@dataclass(frozen=True)
class Quantity:
    """A quantity of a training.

    Attributes:
        unit: its unit; empty for a number without one.
        when: "epoch" if it is logged at the end of every epoch, "step" if it is also logged within an epoch.
        about: one line.
    """

    unit: str
    when: str
    about: str


QUANTITIES: Mapping[str, Quantity] = {
    "train_loss": Quantity("nats", "epoch", "mean loss of the epoch's batches"),
    "train_loss_step": Quantity("nats", "step", "loss of the training within the epoch"),
    "val_loss": Quantity("nats", "epoch", "loss of the validation clips"),
    "val_accuracy": Quantity("share from 0 to 1", "epoch", "accuracy of the validation clips, one label per clip"),
    "val_mAP": Quantity("share from 0 to 1", "epoch", "mean average precision of the validation clips, several labels"),
    "learning_rate": Quantity("", "step", "learning rate of the optimiser"),
    "gradient_norm": Quantity("", "step", "L2 norm of all gradients before clipping"),
    "clips_per_second": Quantity("clips/s", "step", "training clips per second"),
    "epoch": Quantity("epochs", "step", "number of the epoch, from 0"),
    "step": Quantity("steps of the optimiser", "step", "number of steps so far"),
}
"""By name. The names are the same for W&B, CSV and TensorBoard."""

WITHIN_EPOCHS = ("train_loss_step", "learning_rate", "gradient_norm", "clips_per_second")
"""Quantities that are drawn over the steps of the optimiser."""


def epoch_point(epoch: int, metric: str, score: float, values: Mapping[str, float]) -> Point:
    """Return the point of an epoch that has ended.

    Args:
        epoch: number of epochs done.
        metric: name of the primary metric.
        score: its value on validation.
        values: further quantities by name.
    """
    return {"epoch": epoch - 1, f"val_{metric}": score} | dict(values)


def step_point(epoch: int, values: Mapping[str, float]) -> Point:
    """Return a point within an epoch; its `train_loss` is no mean of an epoch, so it has another name.

    Args:
        epoch: number of epochs done, without the running one.
        values: quantities by name.
    """
    names = {"train_loss": "train_loss_step"}
    return {"epoch": epoch} | {names.get(name, name): value for name, value in values.items()}


def finite(values: Mapping[str, float]) -> Point:
    """Return the values that are numbers; JSON and charts have no place for NaN and infinity."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


class Logged:
    """The quantities of a run that a log has, by epoch."""

    def __init__(self) -> None:
        self._names: dict[int, set[str]] = {}
        self._steps: dict[int, float] = {}

    def add(self, point: Mapping[str, float]) -> None:
        """Note that the log has a point."""
        epoch = int(point["epoch"])
        self._names.setdefault(epoch, set()).update(point)
        if "step" in point:
            self._steps[epoch] = point["step"]

    def where(self, epoch: int) -> Point:
        """Return the beginning of a point at the end of an epoch: the epoch, and the optimiser's steps if known."""
        return {"epoch": epoch} | ({"step": self._steps[epoch]} if epoch in self._steps else {})

    def missing(self, curves: Mapping[str, Sequence[float]]) -> Iterator[Point]:
        """Yield one point for each epoch of which the log lacks a value; the curves have one value per epoch."""
        for epoch in range(max(map(len, curves.values()), default=0)):
            known = self._names.get(epoch, set())
            values = {name: curve[epoch] for name, curve in curves.items() if epoch < len(curve) and name not in known}
            if values:
                yield self.where(epoch) | values
