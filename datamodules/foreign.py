"""Any LightningDataModule that yields `(x, target)`, as a dataset of the benchmark.

The module's own training loader trains: its augmentation, its sampler and its batch size stay. The validation and test
clips are read in order. What such a module does not say (which clips come from one recording) is in `note`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from datamodules.base import AudioDataModule, ClipSet, DataError, Splits

NO_GROUPS = (
    "no groups: clips of one recording may be in two splits and the intervals take clips as independent; copies of a "
    "clip are found by their audio"
)
MAX_CHANNELS = 8
_REREAD = 8  # clips that are read twice, to see whether they change
_WHOLE_ORDERS = (SequentialSampler, RandomSampler, WeightedRandomSampler, DistributedSampler)


class ForeignData(AudioDataModule):
    """A wrapped LightningDataModule; one fold, the splits are those of its three loaders.

    `x` of its batches is a waveform `(B, S)` or `(B, 1, S)` in [-1, 1], or an embedding sequence `(B, T, F)`; all clips
    have one shape. `target` is `(B,)` whole numbers or `(B, C)` of 0 and 1. For waveforms the module has an attribute
    `sample_rate`, in hertz; it may have `classes` or `class_names`. `setup` reads every clip once. The module stays set
    up for as long as this object: a second `setup` of its own might divide the clips again, so its `teardown` is its
    owner's to call.

    Args:
        wrapped: the module.
        cache: as in `AudioDataModule`, for features.
        seed: as in `AudioDataModule`.
        batch_size: clips per validation and test batch; None takes the module's `batch_size`, or 32.

    Attributes:
        wrapped: the module.
    """

    own_training_loader = True

    def __init__(
        self,
        wrapped: pl.LightningDataModule,
        cache: str | Path | None = None,
        *,
        seed: int = 0,
        batch_size: int | None = None,
    ) -> None:
        own = getattr(wrapped, "batch_size", None)
        super().__init__(None, cache, 0, seed, batch_size or (own if isinstance(own, int) and own > 0 else 32))
        self.wrapped = wrapped
        self.prepare_data_per_node = wrapped.prepare_data_per_node
        self.name = type(wrapped).__qualname__
        self.split = f"as {self.name} divides its clips"

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Return None: only the module knows where its files are."""
        return None

    def prepare_data(self) -> None:
        """Let the module prepare its data."""
        self.wrapped.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Set the module up for training and test, and read its clips; once, whatever the stage.

        Raises:
            DataError: a loader or an attribute is missing, batches are not `(x, target)`, or splits share audio.
        """
        self.wrapped.trainer = self.trainer
        super().setup(stage)

    def state_dict(self) -> dict[str, Any]:
        """Return the module's state."""
        return self.wrapped.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give the module its state."""
        self.wrapped.load_state_dict(state_dict)

    def read(self) -> Splits:
        """Read each loader's clips once."""
        for stage in ("fit", "test"):
            self.wrapped.setup(stage)
        remarks = [NO_GROUPS]
        parts: list[ClipSet] = []
        shapes: dict[str, tuple[int, ...]] = {}
        for split, name in (("train", "training"), ("val", "validation"), ("test", "test")):
            clips, shape, stable = _clips(self._loader(split), split, f"the {split} loader of {self.name}")
            parts.append(clips)
            shapes[f"{split} {shape}"] = shape
            if not stable:
                remarks.append(
                    f"{name} clips change with each reading, so copies of them in other splits are not found"
                )
        train, val, test = parts
        if len(set(shapes.values())) > 1:
            raise DataError(f"{self.name}: clips differ in shape ({', '.join(shapes)}): pad or crop them to one")
        self.clip_shape = next(iter(shapes.values()))
        remarks += self._describe_clips()
        self._describe_targets([part.targets for part in parts])
        if is_overridden("on_after_batch_transfer", self.wrapped) or is_overridden(
            "on_before_batch_transfer", self.wrapped
        ):
            remarks.append("what the module does to batches when they are transferred is left out")
        self.note = "; ".join(remarks)
        return Splits(train, val, test)

    def train_dataloader(self) -> Any:
        """Return the module's own training loader.

        Raises:
            DataError: `balanced` is set.
        """
        if self.balanced:
            raise DataError(f"{self.name} draws its training clips itself: balance them by its own sampler")
        loader = self._loader("train")
        if isinstance(loader, DataLoader):
            if not isinstance(loader.collate_fn, Adapted):
                loader.collate_fn = Adapted(loader.collate_fn)
            return loader
        return AdaptedLoader(loader)

    def _loader(self, split: str) -> Iterable[Any]:
        """Return one of the module's loaders; raise `DataError` if there is none, or several."""
        method = f"{split}_dataloader"
        loader = getattr(self.wrapped, method)() if is_overridden(method, self.wrapped) else None
        if isinstance(loader, list | tuple) and len(loader) == 1:
            loader = loader[0]
        if loader is None or _length(loader) == 0:
            raise DataError(
                f"{self.name} has no {split} clips: give it a `{method}`; training, validation and test are needed"
            )
        if isinstance(loader, list | tuple | dict) or not isinstance(loader, Iterable):
            raise DataError(f"{self.name}.{method} returns a {type(loader).__name__}: return one loader")
        return loader

    def _describe_clips(self) -> list[str]:
        """Set kind, sample rate and length of the clips; return remarks."""
        rate = getattr(self.wrapped, "sample_rate", None)
        if len(self.clip_shape) == 1:
            self.kind = "waveform"
            if not isinstance(rate, int) or rate < 1:
                raise DataError(
                    f"{self.name} has waveforms, and its `sample_rate` is {rate!r}: set `self.sample_rate = 16_000`, "
                    f"or what it is, in its constructor"
                )
            self.sample_rate = rate
            self.clip_seconds = self.clip_shape[0] / rate
            return []
        if rate is not None and self.clip_shape[0] <= MAX_CHANNELS:
            raise DataError(
                f"{self.name}: waveforms have {self.clip_shape[0]} channels: mix them to one; embeddings have no "
                f"`sample_rate`"
            )
        self.kind, self.sample_rate = "embedding", None
        if (seconds := getattr(self.wrapped, "clip_seconds", None)) is not None:
            self.clip_seconds = float(seconds)
            return []
        self.clip_seconds = float(self.clip_shape[0])
        return ["no `clip_seconds`: each frame is taken for a second"]

    def _describe_targets(self, targets: Sequence[Tensor]) -> None:
        """Set the task and the classes."""
        widths = {part.shape[1:] for part in targets}
        if len(widths) > 1:
            raise DataError(f"{self.name}: targets differ in shape: {', '.join(str(tuple(width)) for width in widths)}")
        self.task = "multi" if targets[0].ndim == 2 else "single"
        found = targets[0].shape[1] if self.task == "multi" else max(int(part.max()) for part in targets) + 1
        names = next(
            (n for key in ("classes", "class_names") if (n := getattr(self.wrapped, key, None)) is not None), ()
        )
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise DataError(f"{self.name}: its classes are {names!r}: give a list of their names")
        self.classes = tuple(str(name) for name in names) or tuple(str(number) for number in range(found))
        if self.task == "single" and len(self.classes) < 2:
            raise DataError(f"{self.name} has clips of one class: at least two are needed")
        if found != len(self.classes) if self.task == "multi" else found > len(self.classes):
            raise DataError(
                f"{self.name} names {len(self.classes)} classes, and its targets have {found}: correct `classes`"
            )


def adapted(batch: Any) -> tuple[Tensor, Tensor]:
    """Return a batch as `(x, target)` in the project's shapes and types.

    Raises:
        DataError: it is none; the message says what to yield.
    """
    if not isinstance(batch, list | tuple) or len(batch) != 2 or not all(isinstance(part, Tensor) for part in batch):
        what = f"{len(batch)} parts" if isinstance(batch, list | tuple) else f"a {type(batch).__name__}"
        raise DataError(f"a batch is {what}: yield two tensors, (x, target)")
    x, target = cast(tuple[Tensor, Tensor], tuple(batch))
    if x.ndim == 3 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim not in (2, 3) or not x.is_floating_point():
        raise DataError(
            f"x is {x.dtype} of shape {tuple(x.shape)}: yield float waveforms (B, S) in [-1, 1] or embeddings "
            f"(B, T, F); spectrograms are made by the models' front-ends"
        )
    if not x.isfinite().all():
        raise DataError("x has values that are not finite: leave out or repair those clips")
    if target.ndim == 1 and not target.is_floating_point() and len(target) == len(x) and not (target < 0).any():
        return x.float(), target.long()
    if target.ndim == 2 and len(target) == len(x) and ((target == 0) | (target == 1)).all():
        return x.float(), target.float()
    raise DataError(
        f"target is {target.dtype} of shape {tuple(target.shape)} for {len(x)} clips: yield the number of each clip's "
        f"class (B,), from 0, or a 0 or 1 for each label (B, C)"
    )


class Adapted:
    """A collate function whose batches are adapted; a class, so that worker processes can receive it.

    Args:
        collate: the loader's own.
    """

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: Any) -> tuple[Tensor, Tensor]:
        """Collate the samples and adapt the batch."""
        return adapted(self.collate(samples))


class AdaptedLoader:
    """A loader of any kind whose batches are adapted.

    Args:
        loader: yields batches.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return map(adapted, self.loader)

    def __len__(self) -> int:
        """Return the number of batches.

        Raises:
            TypeError: the loader does not know it.
        """
        return len(cast(Sized, self.loader))


class DatasetClips(ClipSet):
    """Clips of a map-style dataset, read from it whenever they are asked for.

    Args:
        dataset: has the clips.
        rows: index of each clip in the dataset.
        collate: makes a batch of samples.
        ids: as in `ClipSet`.
        hashes: as in `ClipSet`.
        targets: as in `ClipSet`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        rows: Sequence[int],
        collate: Callable[[Any], Any],
        ids: Sequence[str],
        hashes: Sequence[str],
        targets: Tensor,
    ) -> None:
        super().__init__(ids, ids, hashes, targets)
        self.dataset = dataset
        self.rows = tuple(rows)
        self.collate = collate

    def load(self, indices: Sequence[int]) -> Tensor:
        """Return `x` of these clips."""
        return _fetched(self.dataset, [self.rows[i] for i in indices], self.collate)[0]


class TensorClips(ClipSet):
    """Clips in memory, of a dataset that can only be iterated.

    Args:
        x: `(N, S)` or `(N, T, F)`.
        ids: as in `ClipSet`.
        hashes: as in `ClipSet`.
        targets: as in `ClipSet`.
    """

    def __init__(self, x: Tensor, ids: Sequence[str], hashes: Sequence[str], targets: Tensor) -> None:
        super().__init__(ids, ids, hashes, targets)
        self.x = x

    def load(self, indices: Sequence[int]) -> Tensor:
        """Return `x` of these clips."""
        return self.x[list(indices)]


def _clips(loader: Iterable[Any], split: str, where: str) -> tuple[ClipSet, tuple[int, ...], bool]:
    """Return a loader's clips, the shape of one, and whether they are the same whenever they are read."""
    with torch.random.fork_rng(devices=[]):  # reading leaves the random numbers of the training as they are
        rows = _rows(loader)
        batches: Iterable[Any] = loader
        if rows is not None:
            assert isinstance(loader, DataLoader)
            batches = DataLoader(
                loader.dataset,
                sampler=rows,
                batch_size=loader.batch_size or 32,
                collate_fn=loader.collate_fn,
                num_workers=loader.num_workers,
                worker_init_fn=loader.worker_init_fn,
            )
        kept: list[Tensor] = []
        targets: list[Tensor] = []
        hashes: list[str] = []
        shapes: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        for batch in batches:
            x, target = _adapted(batch, where)
            hashes += _hashes(x)
            targets.append(target)
            shapes.add((tuple(x.shape[1:]), tuple(target.shape[1:])))
            if len(shapes) > 1:
                raise DataError(f"{where} gives clips or targets of several shapes: pad or crop clips to one")
            if rows is None:
                kept.append(x)
        if not targets:
            raise DataError(f"{where} gives no batch: training, validation and test need clips")
        ids = [f"{split}-{number:04}" for number in range(len(hashes))]
        if rows is None:
            memory = TensorClips(torch.cat(kept), ids, hashes, torch.cat(targets))
            return memory, tuple(memory.x.shape[1:]), True
        assert isinstance(loader, DataLoader)
        clips = DatasetClips(loader.dataset, rows, loader.collate_fn, ids, hashes, torch.cat(targets))
        again = clips.load(range(min(_REREAD, len(clips))))
        return clips, tuple(again.shape[1:]), _hashes(again) == hashes[: len(again)]


def _hashes(x: Tensor) -> list[str]:
    return [hashlib.sha256(clip.detach().cpu().numpy().tobytes()).hexdigest() for clip in x]


def _length(loader: Any) -> int | None:
    """Return the number of batches; None where the loader does not know it."""
    try:
        return len(loader)
    except TypeError:
        return None


def _rows(loader: Iterable[Any]) -> list[Any] | None:
    """Return the clips of a loader's dataset that it gives; None where it can only be iterated."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    if loader.batch_sampler is None:  # the dataset gives batches
        return None
    if type(loader.batch_sampler) is not BatchSampler:
        return sorted({row for batch in loader.batch_sampler for row in batch})
    if isinstance(loader.sampler, _WHOLE_ORDERS):
        return list(range(len(cast(Sized, loader.dataset))))
    return sorted(set(loader.sampler))


def _fetched(dataset: Any, rows: list[int], collate: Callable[[Any], Any]) -> tuple[Tensor, Tensor]:
    """Return these clips of a dataset as one adapted batch."""
    several = getattr(dataset, "__getitems__", None)
    return adapted(collate(several(rows) if several else [dataset[row] for row in rows]))


def _adapted(batch: Any, where: str) -> tuple[Tensor, Tensor]:
    try:
        return adapted(batch)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
