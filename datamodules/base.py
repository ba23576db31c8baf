"""The interface of every dataset.

The batch, shared with `models`, is `(x, target)`:

* `x` is a waveform `(B, S)` float32 in [-1, 1] at the data's sample rate, or an embedding sequence `(B, T, F)` float32
  in [0, 1];
* `target` is `(B,)` int64 for single-label data, `(B, C)` float32 for multi-label data.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.audio import MAX_SECONDS
from datamodules.audio.background import BackgroundNoise
from datamodules.clips.array_cache import REPAIRED
from datamodules.clips.draws import place_among_ranks, rarity, training_loader
from datamodules.clips.draws import whole as whole
from datamodules.clips.timeline import StreamSplits as StreamSplits
from datamodules.errors import DataError as DataError
from datamodules.errors import DatasetMissing as DatasetMissing
from datamodules.fetch.sources import SOURCES
from datamodules.listing import Listing, Report, refuse, silently


class ClipSet(Dataset[tuple[Tensor, Tensor]], ABC):
    """One split: clips with a target, an id, a group and a content hash each.

    Args:
        ids: name of each clip, unique in the dataset.
        groups: source of each clip (recording, speaker, video); clips of one group are never in two splits.
        hashes: content hash of each clip (hex).
        targets: `(N,)` int64 or `(N, C)` float32.

    Attributes:
        files: name of the file from which each clip was cut; None where clips are whole files.
    """

    files: tuple[str, ...] | None = None

    def __init__(self, ids: Sequence[str], groups: Sequence[str], hashes: Sequence[str], targets: Tensor) -> None:
        if not len(ids) == len(groups) == len(hashes) == len(targets):
            raise DataError("ids, groups, hashes and targets differ in length")
        self.ids = tuple(ids)
        self.groups = tuple(groups)
        self.hashes = tuple(hashes)
        self.targets = targets

    @property
    def silent_hashes(self) -> frozenset[str]:
        """Content hashes of digital silence."""
        return frozenset()

    @abstractmethod
    def load(self, indices: Sequence[int]) -> Tensor:
        """Return `x` of these clips, `(B, S)` or `(B, T, F)` float32."""

    def stream(
        self,
        batch_size: int,
        seed: int,
        workers: int = 0,
        weights: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> DataLoader[Any] | None:
        """Return a loader of training batches where sequential reading is faster; None where every order is as fast.

        Args:
            batch_size: clips of the largest batch.
            seed: seed of the order, which differs from epoch to epoch.
            workers: processes that read ahead; they do not change the order.
            weights: `(N,)` sampling weight of each clip; None takes every clip once.
            extra: `(N, ...)` values that become a third part of the batch.
        """
        return None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.load([index])[0], self.targets[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Return a whole batch; the loader's collate function returns it unchanged."""
        return self.load(indices), self.targets[indices]


@dataclass(frozen=True)
class Splits:
    """Train, validation and test clips of one fold."""

    train: ClipSet
    val: ClipSet
    test: ClipSet


class AudioDataModule(pl.LightningDataModule, ABC):
    """A dataset with its official split.

    A Trainer calls `prepare_data` once on each machine, then `setup` in every process. The splits outlive `teardown`,
    so a test after a training does not read them again.

    Args:
        root: folder of this dataset, "~" is the user's home; None for synthesised data.
        cache: folder for decoded audio; None keeps it in memory.
        fold: 0-based; the test set is fold `fold`, the validation set the next one (wrapping). None is the first.
        seed: seed of the random parts of the split, and of the loader's order.
        batch_size: clips per training batch.
        download: whether `prepare_data` may download the dataset where it is not under the root.

    Attributes:
        source: name of its download source in `datamodules.fetch.sources`; None where it has none.
        own_training_loader: whether `train_dataloader` does more than give the training clips in the seed's order, such
            as augmenting them; then nothing that was computed once from these clips can take its place.
        own_folds: whether the folds are a user's own, so that only the data say how many there are.
        task: "single" or "multi" label.
        kind: "waveform" or "embedding".
        folds: number of official folds.
        classes: names of the C classes (after `setup`).
        sample_rate: in hertz, for waveforms; None for embeddings.
        clip_shape: `(S,)` or `(T, F)` of one clip (after `setup`).
        clip_seconds: length of one clip.
        split: how the split is made, in words, for the record.
        clips_official: number of clips in the complete official dataset; None where there is no such number.
        clips_available: number of those on disk, where they are cut to shorter clips; None where they are the clips of
            the splits (after `setup`).
        longest_seconds: longest file that is accepted.
        note: coverage and omissions that a reader of the record needs to know (after `setup`).
        workers: processes that read clips ahead, and live as long as their loader; 0 reads them in the main process.
            They do not change the order.
        balanced: whether training clips are drawn with replacement, each with a probability that is inverse to the
            number of clips of its rarest class; otherwise each epoch has every clip once.
        splits: the clips of this fold (after `setup`).
        left_out: reason to names of the audio files that were left out because `skip_unreadable` is set.
        remarks: lines that a user should read before a training, such as a table of thin classes (after `setup`).
        warnings: lines of things that a user should look at (after `setup`).
        group_rule: what counts as the source of a clip, in words; empty where that is the dataset's own rule.
        group_remedy: how the user says something else.
        skip_unreadable: whether audio that cannot be read is left out; only a user's own clips allow that.
        contents: name of a clip, or of the file that it was cut from, to the digest of the sound in that file before it
            was resampled; empty for silence. It is the same in every dataset that has the sound (after `setup`).
        streams: validation and test streams, for scores of time lines; None where the data are clips only (after
            `setup`).
        report: called with the number of files decoded so far and of all files.
    """

    source: ClassVar[str | None] = None
    own_training_loader: ClassVar[bool] = False
    own_folds: ClassVar[bool] = False
    task: Literal["single", "multi"] = "single"
    kind: Literal["waveform", "embedding"] = "waveform"
    folds: int = 1
    split: str
    clips_official: int | None = None
    clips_available: int | None = None
    longest_seconds: ClassVar[float] = MAX_SECONDS
    note: str = ""
    workers: int = 0
    balanced: bool = False
    classes: tuple[str, ...]
    sample_rate: int | None
    clip_shape: tuple[int, ...]
    clip_seconds: float
    splits: Splits
    left_out: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    group_rule: str = ""
    group_remedy: str = ""
    skip_unreadable: bool = False
    contents: Mapping[str, str] = MappingProxyType({})
    streams: StreamSplits | None = None
    report: Report = staticmethod(silently)

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int | None = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        download: bool = False,
    ) -> None:
        super().__init__()
        fold = 0 if fold is None else fold
        if not 0 <= fold < self.folds:
            raise DataError(f"fold {fold} does not exist: {type(self).__name__} has folds 0 to {self.folds - 1}")
        self.root = None if root is None else Path(root).expanduser()
        self.cache = None if cache is None else Path(cache).expanduser()
        self.fold = fold
        self.seed = seed
        self.batch_size = batch_size
        self.download = download
        self._found = False

    @classmethod
    @abstractmethod
    def find(cls, root: Path) -> str | None:
        """Return one line on what is missing under `root`; None where the dataset is complete. Must be fast."""

    def checked_root(self) -> Path:
        """Return the dataset's folder after `find` has found it complete; `find` is called until it has, then no more.

        Raises:
            DatasetMissing: no folder was given, or something is missing in it.
        """
        if self.root is None:
            raise DatasetMissing(f"{type(self).__name__} needs a folder: give `root`")
        if not self._found and (problem := self.find(self.root)):
            raise DatasetMissing(problem)
        self._found = True
        return self.root

    @abstractmethod
    def read(self) -> Splits:
        """Read the dataset, set `classes`, `clip_shape`, `clip_seconds`, `sample_rate`; return this fold's splits."""

    def listing(self) -> Listing | None:
        """Return the audio files, each with its name, labels, group and fold, without decoding them.

        None where the clips are not files, or where they are not known before `read`; `datamodules.fetch.verify` then
        uses the clips that were read.

        Raises:
            DataError: the list itself cannot be made.
        """
        return None

    def check(self) -> None:
        """Look at names and tables without decoding anything.

        Raises:
            DataError: they show already that the clips cannot be read.
        """
        if (listing := self.listing()) is not None:
            refuse(listing.problems)

    def watched(self) -> tuple[Path | None, Sequence[Path]]:
        """Return where a change of the files is a change of the data: a folder, and further files."""
        return self.root, ()

    def prepare_data(self) -> None:
        """Download the dataset where it is not there and `download` is set.

        In distributed training it also fills the cache, so that the clips are decoded once and not by every process.

        Raises:
            DatasetMissing: it is not there, and `download` is not set or there is no direct source.
            DataError: the download failed.
        """
        if self.root is None:
            return
        if (problem := self.find(self.root)) is not None:
            self._download(problem)
        if self.cache is not None and place_among_ranks()[1] > 1:
            self.read()

    def _download(self, problem: str) -> None:
        assert self.root is not None
        source = SOURCES.get(self.source or "")
        if source is None:
            raise DatasetMissing(problem)
        if not source.files:
            raise DatasetMissing(f"{problem}. {source.instructions}")
        if not self.download:
            size = sum(file.size or 0 for file in source.files)
            raise DatasetMissing(
                f"{problem}. {type(self).__name__}(..., download=True) fetches its {size / 1e6:,.0f} MB from "
                f"{source.homepage}; licence: {source.licence}"
            )
        from datamodules.fetch.download import download  # it needs modules that nothing else here needs

        download(source, self.root)

    def setup(self, stage: str | None = None) -> None:
        """Read the dataset once, whatever the stage.

        Raises:
            DataError: the dataset cannot be used, or two of its splits share a source or audio.
        """
        if not hasattr(self, "splits"):
            repaired = len(REPAIRED)
            splits = self.read()
            check_disjoint(splits, self.group_rule, self.group_remedy)
            self.remarks += tuple(REPAIRED[repaired:])
            self.splits = splits

    @property
    def fold_numbers(self) -> tuple[int, ...]:
        """Numbers of the folds: 0 to `folds` - 1, or a user's own."""
        return tuple(range(self.folds))

    @property
    def boundary(self) -> Path | None:
        """Folder that has to contain every file after links are followed; None where the user allows other places."""
        return self.root

    def prior(self) -> Tensor:
        """Return each class's share `(C,)` of the training clips."""
        targets = self.splits.train.targets
        if self.task == "multi":
            return targets.mean(0)
        return torch.bincount(targets, minlength=len(self.classes)) / len(targets)

    def background(self, folder: str | Path) -> BackgroundNoise:
        """Return the noises of a folder at the data's sample rate, to be mixed with training clips.

        Args:
            folder: contains audio files at any depth. A relative one is looked for next to the dataset's folder first.

        Raises:
            DataError: the data are embeddings; or as in `BackgroundNoise`.
        """
        if self.sample_rate is None:
            raise DataError(f"{type(self).__name__} has embeddings: background noise can be added to waveforms only")
        return BackgroundNoise(self.background_folder(folder), self.sample_rate)

    def background_folder(self, folder: str | Path) -> Path:
        """Return where the noises of a folder are looked for, as in `background`."""
        place = Path(folder).expanduser()
        if self.root is None:
            return place
        beside = self.root.parent / place  # the place itself where that is absolute
        return beside if beside.is_dir() or not place.is_dir() else place

    def manifest(self) -> str:
        """Return a digest of every clip's id, group, content and target, and of streams; it changes with the data.

        The digest is part of every record and of the name of cached features. It covers decoded and resampled clips;
        the manifest that `datamodules.fetch.verify` writes covers the files on disk and names them.
        """
        digest = hashlib.sha256("\n".join(self.classes).encode())
        rows: list[tuple[str, str, str, bytes]] = []
        for clips in (self.splits.train, self.splits.val, self.splits.test):
            targets = [target.tobytes() for target in clips.targets.numpy()]
            rows.extend(zip(clips.ids, clips.groups, clips.hashes, targets, strict=True))
        for *names, target in sorted(rows):
            digest.update("\0".join(names).encode() + b"\0" + target + b"\n")
        if self.streams is not None:
            digest.update(f"{self.streams.val.digest()} {self.streams.test.digest()}".encode())
        return digest.hexdigest()

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training clips in the seed's order; in distributed training, this rank's share of them."""
        train = self.splits.train
        weights = rarity(train.targets, self.task, len(self.classes)) if self.balanced else None
        if (streamed := train.stream(self.batch_size, self.seed, self.workers, weights)) is not None:
            streamed.pin_memory = self.on_gpu()
            return streamed
        return training_loader(train, self)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the validation clips in order."""
        return self._in_order(self.splits.val)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the test clips in order."""
        return self._in_order(self.splits.test)

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the test clips in order; the batches have their targets, too."""
        return self._in_order(self.splits.test)

    def _in_order(self, clips: ClipSet) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(
            clips,
            batch_size=self.batch_size,  # by its name: Lightning may replace it
            collate_fn=whole,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=self.on_gpu(),
        )

    def on_gpu(self) -> bool:
        """Whether the Trainer that has these data trains on CUDA, to which copies from pinned memory are faster."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"


def check_disjoint(splits: Splits, rule: str = "", remedy: str = "") -> None:
    """Raise `DataError`, naming the clips, if two splits share a group or a content hash other than that of silence.

    Args:
        splits: to check.
        rule: what counts as a clip's group, in words.
        remedy: how the user says something else.
    """
    for what in ("groups", "hashes"):
        where: dict[str, tuple[str, str]] = {}
        leaks: list[str] = []
        for name in ("train", "val", "test"):
            clips: ClipSet = getattr(splits, name)
            ignored = clips.silent_hashes if what == "hashes" else frozenset()
            for clip, value in zip(clips.ids, getattr(clips, what), strict=True):
                if value in ignored:
                    continue
                first = where.setdefault(value, (name, clip))
                if first[0] != name:
                    of = f" of {value!r}" if rule and what == "groups" else ""
                    leaks.append(f"{first[1]} ({first[0]}) and {clip} ({name}){of}")
        if leaks:
            same = "source group" if what == "groups" else "audio"
            advice = "Give clips of one source the same group (and one fold), and remove copies."
            if rule and what == "groups":
                advice = f"The group of a clip is {rule}: give clips of one group one fold, or {remedy}."
            more = f" and {len(leaks) - 10} more" if len(leaks) > 10 else ""
            raise DataError(
                f"{len(leaks)} clips have the same {same} in two splits, so the test would leak: "
                f"{'; '.join(leaks[:10])}{more}. {advice}"
            )
