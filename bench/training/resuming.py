"""Trainings that go on at the last epoch that was saved, bit for bit as if nothing had interrupted them.

A checkpoint is taken where an epoch begins, before anything of it has happened. It holds everything that the epochs to
come follow from: Lightning's own checkpoint (weights, optimiser, schedule, averages, early stopping), the states of all
random generators, those of modules included, and of the loader's order, buffers that no state dict has, the files of
the best epoch, and what was reported so far.

Where several processes train together, the first one writes the checkpoint. It has the generators, orders and buffers
of each of them; everything else is the same in all.
"""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader

from bench.evaluation import pulse
from bench.training import agreement, module_state, stopping
from bench.training.checkpoints import SHARE, Checkpoints
from datamodules.clips.draws import place_among_ranks

Report = Callable[[int, int, float | None, Mapping[str, float]], None]

_STATE = "state of the training"
"""Name under which Lightning saves and loads what is kept in memory here; every other name is a file."""


class InMemory(TorchCheckpointIO):
    """Takes a Trainer's checkpoint without a file, and gives one; all others are files.

    Attributes:
        content: the checkpoint.
    """

    content: dict[str, Any]

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Keep the checkpoint, or write a file."""
        if path == _STATE:
            self.content = checkpoint
        else:
            super().save_checkpoint(checkpoint, path, storage_options)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the kept checkpoint, or that of a file."""
        if path == _STATE:
            return self.content
        return super().load_checkpoint(path, map_location, weights_only)


class Resuming(Callback):
    """Saves epochs, continues a training, and ends it when it is asked to.

    It has to come before every callback that does anything when an epoch begins.

    Args:
        checkpoints: of the run; None saves nothing.
        loader: of the training clips.
        validation: loader of the validation clips.
        scratch: folder of the best weights.
        report: gets the reports of the training.
        note: gets lines that a user should read.

    Attributes:
        epochs: number of epochs that were done before this process; 0 for a training from the beginning.
        resumed: how often the training was continued.
        seconds: time that earlier processes have spent on these epochs.
        io: for the Trainer's plugins.
        path: for `Trainer.fit`; None for a training from the beginning.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        loader: DataLoader[Any],
        validation: DataLoader[Any],
        scratch: Path,
        report: Report,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.checkpoints = checkpoints
        self.loader = loader
        self.scratch = scratch
        self._report = report
        self._note = note
        self._noted = 0
        self._rank = place_among_ranks()[0]
        self.io = InMemory()
        self.epochs = self.resumed = 0
        self.seconds = 0.0
        self.path: str | None = None
        self._history: list[tuple[int, int, float, dict[str, float]]] = []
        self._since = self._saved = self._epoch_since = time.monotonic()
        self._epoch_seconds = 0.0
        self._on_disk = 0  # epochs that the newest checkpoint has
        self._interval = checkpoints.seconds if checkpoints else 0.0
        self._random: dict[str, Any] = {}
        self._curves: dict[str, list[float]] = {}
        self._files: dict[str, Tensor] = {}
        self._modules: dict[str, Any] | None = None
        found = self._found(checkpoints) if checkpoints else None
        if found is not None:
            self._take(found, validation)
        self._tell()

    def report(self, done: int, epochs: int, score: float | None, values: Mapping[str, float]) -> None:
        """Pass a report on, and remember that of an epoch."""
        if score is not None:
            self._history.append((done, epochs, float(score), {name: float(value) for name, value in values.items()}))
        self._report(done, epochs, score, values)

    def _found(self, checkpoints: Checkpoints) -> dict[str, Any] | None:
        """Return the checkpoint that the first process has found."""
        own = checkpoints.load() if self._rank == 0 else None
        path = agreement.of_first(checkpoints.read)
        return own if self._rank == 0 else checkpoints.load_as(path)

    def _take(self, found: dict[str, Any], validation: DataLoader[Any]) -> None:
        """Take over a checkpoint, as far as that is done before the Trainer has it."""
        state = found["trainer"]
        # The files of the best epoch are in the first process's folder, and all processes name that.
        state["callbacks"] = _moved(state["callbacks"], found["scratch"], agreement.of_first(str(self.scratch)))
        self.io.content = state
        self.path = _STATE
        self.epochs = self._on_disk = found["epochs"]
        self.resumed, self.seconds = found["resumed"] + 1, found["seconds"]
        own = found["processes"][self._rank]
        self._random, self._curves = own["random"], found["curves"]
        self._files = found["files"] if self._rank == 0 else {}
        self._modules = own["modules"]
        _restore_order(self.loader, own["order"])
        if validation.persistent_workers:  # a new loader draws a seed for its workers; the interrupted one had its own
            validation.generator = torch.Generator()
        for done, epochs, score, values in found["history"]:
            self.report(done, epochs, score, values)
        if self._note is not None:
            self._note(f"goes on after epoch {self.epochs}, the last one that was saved")

    def _tell(self) -> None:
        """Pass on what the checkpoints have noted since the last call."""
        notes = self.checkpoints.notes if self.checkpoints else []
        for line in notes[self._noted :]:
            if self._note is not None:
                self._note(line)
        self._noted = len(notes)

    # -- Lightning's hooks ------------------------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let the module have the buffers that the checkpoint has; the Trainer loads it next."""
        if self.path is not None:
            module_state.fit_buffers(pl_module, self.io.content["state_dict"], of_same_training=True)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore files, learning curves and random generators: the Trainer asks the loader for an epoch next."""
        for name, content in self._files.items():
            (self.scratch / name).write_bytes(content.numpy().tobytes())
        if self._curves:
            pl_module.curves = {name: list(values) for name, values in self._curves.items()}  # type: ignore[assignment]
        _restore_random(self._random)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with a whole epoch, where Lightning would repeat the end of the last one."""
        trainer.fit_loop.restarting = False
        if stopping.training():
            stopping.catch()  # Lightning has set its own handler
        self._since = self._saved = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epochs that are done, if it is time to, and stop if that was asked for.

        What modules keep outside their state dict is restored here, where it was saved: what a module does before its
        first epoch has changed it.
        """
        self._restore_modules(pl_module)
        done = trainer.current_epoch
        now = time.monotonic()
        self._epoch_seconds = now - self._epoch_since if done > self.epochs else 0.0
        self._epoch_since = now
        stops = agreement.any_of(stopping.asked(), pl_module.device)
        due = done > self._on_disk and (stops or now - self._saved >= self._interval)
        if self.checkpoints is not None and agreement.any_of(due, pl_module.device):
            self._save(trainer, pl_module, self.checkpoints)
        if stops:
            raise stopping.Stopped

    def _restore_modules(self, module: pl.LightningModule) -> None:
        if self._modules is None:
            return
        absent = module_state.restore(module, self._modules)
        self._modules = None
        if absent and self._note is not None:
            names = " and no ".join(map(repr, absent))
            self._note(
                f"{type(module).__name__} has no {names} before its first step, which was saved: this training may end "
                f"otherwise than one that was not interrupted; create such attributes in __init__"
            )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Say that the training goes on; stop it where nothing would be gained by waiting for the epoch's end."""
        self._batch_ended(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Say that the training goes on; stop it where nothing would be gained by waiting for the epoch's end."""
        self._batch_ended(trainer)

    def _batch_ended(self, trainer: pl.Trainer) -> None:
        pulse.beat()
        if not stopping.asked():
            return
        left = self._epoch_seconds - (time.monotonic() - self._epoch_since)
        lost = trainer.current_epoch > self._on_disk and self.checkpoints is not None
        if left >= stopping.SOON_SECONDS or (left <= 0 and not lost):
            raise stopping.Stopped

    def _save(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoints: Checkpoints) -> None:
        began = time.monotonic()
        trainer.save_checkpoint(_STATE, weights_only=False)
        processes = agreement.of_all({
            "random": _random_state(), "modules": module_state.state(module), "order": _order(self.loader),
        })  # fmt: skip
        written = self._rank > 0 or self._write(trainer, module, checkpoints, began, processes)
        self._saved = time.monotonic()
        self._interval = max(checkpoints.seconds, (self._saved - began) / SHARE if checkpoints.seconds else 0.0)
        if written:
            self._on_disk = trainer.current_epoch
        self._tell()

    def _write(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        checkpoints: Checkpoints,
        began: float,
        processes: list[dict[str, Any]],
    ) -> bool:
        """Write the checkpoint, and return whether that went well."""
        state = self.io.content
        state.pop(module.CHECKPOINT_HYPER_PARAMS_KEY, None)  # the run names them, and a file cannot hold all
        progress = state["loops"]["fit_loop"]["epoch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts["ready"] = counts["completed"]  # the epoch that begins is not part of it
        state["loops"]["fit_loop"].pop("state_dict", None)
        curves: Any = getattr(module, "curves", {})
        written = checkpoints.save({
            "trainer": state,
            "epochs": trainer.current_epoch,
            "resumed": self.resumed,
            "seconds": self.seconds + began - self._since,
            "processes": processes,
            "curves": {name: list(values) for name, values in curves.items()},
            "scratch": str(self.scratch),
            "files": {path.name: _bytes(path) for path in sorted(self.scratch.iterdir()) if path.is_file()},
            "history": [list(each) for each in self._history],
        })  # fmt: skip
        del self.io.content
        return written


def _bytes(path: Path) -> Tensor:
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def _moved(content: Any, old: str, new: str) -> Any:
    """Return states of callbacks with the paths in them moved to another folder."""
    if isinstance(content, str):
        return new + content[len(old) :] if content.startswith(old) else content
    if isinstance(content, dict):
        return type(content)((_moved(key, old, new), _moved(value, old, new)) for key, value in content.items())
    if isinstance(content, list):
        return [_moved(value, old, new) for value in content]
    return content


def _random_state() -> dict[str, Any]:
    """Return the states of the generators that a training may draw from, as plain content."""
    name, keys, place, has_gauss, gauss = np.random.get_state()
    version, internal, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), place, has_gauss, gauss],
        "python": [version, list(internal), gauss_next],
    }


def _restore_random(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, place, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))


def _order(loader: Any) -> dict[str, Any]:
    """Return the state of a loader: its own where it has one, and that of its generators."""
    own = {"own": loader.state_dict()} if hasattr(loader, "state_dict") else {}
    return own | {"generators": [generator.get_state() for generator in _generators(loader)]}


def _restore_order(loader: Any, state: Mapping[str, Any]) -> None:
    if "own" in state:
        loader.load_state_dict(state["own"])
    for generator, saved in zip(_generators(loader), state["generators"], strict=True):
        generator.set_state(saved)


def _generators(loader: Any) -> list[torch.Generator]:
    """Return the generators of a loader's order, each once."""
    sampler = getattr(loader, "sampler", None)
    batches = getattr(loader, "batch_sampler", None)
    owners = (loader, sampler, batches, getattr(batches, "sampler", None), getattr(sampler, "order", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    kept: list[torch.Generator] = []
    for generator in found:
        if isinstance(generator, torch.Generator) and all(generator is not other for other in kept):
            kept.append(generator)
    return kept
