"""Your own features: one folder per class, or a table, of arrays that another program has computed.

Any embedding, `(T, F)` for a clip of T frames with F values each, in `.npy`, `.npz`, Parquet or TFRecord
files. Folders, tables, classes, sources and splits are those of your own sounds (`datamodules.folder`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.base import AudioDataModule, ClipSet, DataError, Splits
from datamodules.clips.array_cache import ArrayCache, Facts, recheck
from datamodules.clips.array_clips import state
from datamodules.clips.own import Division, divide
from datamodules.clips.own.division import indices, is_thin, table, table_lines
from datamodules.clips.own.features import Features, OwnFeatures, in_words_of_features, load, read_features, said
from datamodules.listing import Listing, refuse

CODE_VERSION = 1
"""Increase it when reading changes the arrays; older caches are then not read."""

DEFAULT_FOLDS = 5


class FeatureClips(ClipSet):
    """Clips over a float32 array `(N, T, F)`; `x` is `(B, T, F)`.

    Args:
        array: `(N, T, F)`, the clips of this and other splits.
        ids: name of each clip.
        groups: source of each clip.
        hashes: content hash of each clip.
        targets: `(n,)` int64 or `(n, C)` float32.
        rows: `(n,)` row of each clip in `array`.
    """

    def __init__(
        self,
        array: NDArray[np.float32],
        ids: Sequence[str],
        groups: Sequence[str],
        hashes: Sequence[str],
        targets: Tensor,
        rows: NDArray[np.int64],
    ) -> None:
        super().__init__(ids, groups, hashes, targets)
        self.array = array
        self.rows = rows

    @property
    def silent_hashes(self) -> frozenset[str]:
        """Content hash of a clip of zeros, which tells nothing of its source."""
        return frozenset((_digest(np.zeros(self.array.shape[1:], np.float32)),))

    def load(self, indices: Sequence[int]) -> Tensor:
        """Return `x` of these clips, `(B, T, F)` float32.

        Raises:
            DataError: the cache was damaged while it was in use.
        """
        recheck()
        return torch.from_numpy(np.array(self.array[self.rows[indices]]))


class Embeddings(AudioDataModule):
    """Embeddings in `root/<class>/`, or named by a table with the columns `path,label` and, optionally, more.

    Numbers are taken as they are; bytes (uint8) become shares of 255, as AudioSet's. Every clip gets the same number of
    frames: shorter ones are padded with zeros, longer ones are cropped.

    Args:
        root: folder with one folder per class.
        cache: as in `AudioDataModule`.
        fold: as in `datamodules.folder.Folder`.
        seed: as in `AudioDataModule`.
        batch_size: as in `AudioDataModule`.
        csv: as in `datamodules.folder.Folder`.
        audio_root: as in `datamodules.folder.Folder`.
        columns: as in `datamodules.folder.Folder`.
        label_columns: as in `datamodules.folder.Folder`.
        label_separator: as in `datamodules.folder.Folder`.
        row_per_label: as in `datamodules.folder.Folder`.
        classes: as in `datamodules.folder.Folder`.
        class_level: as in `datamodules.folder.Folder`.
        group_by: as in `datamodules.folder.Folder`.
        n_folds: as in `datamodules.folder.Folder`.
        follow_links: as in `datamodules.folder.Folder`.
        allow_outside: as in `datamodules.folder.Folder`.
        frames: T of every clip; None takes the longest clip's.
        frame_seconds: length of a frame in seconds, for the clip's length in the tables.
    """

    own_folds = True
    kind = "embedding"
    folds = DEFAULT_FOLDS
    sample_rate = None
    split = "own clips: the table's folds, or else 5 folds grouped by source; test = k, validation = k + 1"

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int | None = None,
        seed: int = 0,
        batch_size: int = 32,
        *,
        csv: str | Path | Sequence[str | Path] | None = None,
        audio_root: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        label_columns: Sequence[str] | None = None,
        label_separator: str | None = None,
        row_per_label: bool = False,
        classes: Sequence[str] | None = None,
        class_level: int = 1,
        group_by: str | None = None,
        n_folds: int | None = None,
        follow_links: bool = False,
        allow_outside: bool = False,
        frames: int | None = None,
        frame_seconds: float = 1.0,
    ) -> None:
        for name, value, kind in (("frames", frames, int), ("frame_seconds", frame_seconds, (int, float))):
            if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or not value > 0):
                raise DataError(f"{name} is {value!r}: give a number above 0 in [dataset.embeddings]")
        self.found: OwnFeatures = read_features({
            "root": root, "csv": csv, "audio_root": audio_root, "columns": columns, "label_columns": label_columns,
            "label_separator": label_separator, "row_per_label": row_per_label, "classes": classes,
            "class_level": class_level if class_level != 1 else None,
            "group_by": group_by, "n_folds": n_folds, "follow_links": follow_links, "allow_outside": allow_outside,
        })  # fmt: skip
        own = self.found.own
        self.task = own.task
        self.frames = frames
        self.frame_seconds = frame_seconds
        self._division: Division | None = None
        self._problems = list(own.problems)
        if own.files:
            try:
                with in_words_of_features():
                    self._division = divide(own)
            except DataError as error:
                self._problems.append(str(error))
        if self._division is not None:
            self.folds = len(self._division.numbers)
            self.split = self._division.rule
            self.group_rule, self.group_remedy = own.group_rule, own.group_remedy
        numbers = self.fold_numbers
        test_fold = numbers[0] if fold is None else fold
        if self._division is not None and test_fold not in numbers:
            raise DataError(f"fold {fold} does not exist: the folds are {', '.join(map(str, numbers))}")
        super().__init__(own.options.place, cache, 0, seed, batch_size)
        self.fold = test_fold

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the folder."""
        return None if root.is_dir() else f"missing {root}: make one folder per class there"

    @property
    def fold_numbers(self) -> tuple[int, ...]:
        """Numbers of the folds: the user's own, or else from 0 on."""
        return tuple(range(self.folds)) if self._division is None else self._division.numbers

    def watched(self) -> tuple[Path | None, Sequence[Path]]:
        """Return the folder, or the table and the files that it names."""
        own = self.found.own
        if own.options.csv is None:
            return self.root, ()
        named = dict.fromkeys(file.source for file in own.files if isinstance(file.source, Path))
        return None, (*own.options.tables, *named)

    def listing(self) -> Listing:
        """Return the clips, with the fold or part of each."""
        own = self.found.own
        self.classes = own.classes
        if self._division is None:
            return Listing(own.files, self._problems or ["there are no features that can be read"])
        names = self._division.names
        dealt = [replace(file, fold=names[of]) for file, of in zip(own.files, self._division.of, strict=True)]
        return Listing(dealt, self._problems)

    def check(self) -> None:
        """Look at names, tables and folds without reading the features themselves.

        Raises:
            DataError: they show already that the features cannot be used.
        """
        super().check()
        assert self._division is not None  # or there would be a problem
        with in_words_of_features():
            indices(self.found.own, self._division, self.fold)

    def read(self) -> Splits:
        """Read the features and divide them."""
        if problems := self.listing().problems:
            refuse([*problems, *self._loaded([Path(str(file.source)) for file in self.found.own.files])[1]])
        own, division = self.found.own, self._division
        assert division is not None
        with in_words_of_features():
            parts = indices(own, division, self.fold)
        array, facts = self._arrays()
        self.clip_shape = (int(array.shape[1]), int(array.shape[2]))
        self.clip_seconds = self.clip_shape[0] * self.frame_seconds
        ids, groups = [file.id for file in own.files], [file.group for file in own.files]
        self.contents = dict(zip(ids, facts["contents"], strict=True))
        self._note(division, facts["lengths"])
        targets = own.targets()
        tensor = torch.from_numpy(targets.astype(np.float32) if self.task == "multi" else targets)

        def part(rows: NDArray[np.int64]) -> FeatureClips:
            chosen_ids, chosen_groups, hashes = ([values[i] for i in rows] for values in (ids, groups, facts["hashes"]))
            return FeatureClips(array, chosen_ids, chosen_groups, hashes, tensor[torch.from_numpy(rows)], rows)

        train, val, test = map(part, parts)
        return Splits(train, val, test)

    def _arrays(self) -> tuple[NDArray[np.float32], Facts]:
        """Return all clips `(N, T, F)`, through the cache, and their hashes, contents and lengths."""
        paths = [Path(str(file.source)) for file in self.found.own.files]

        def build(facts: Facts) -> Iterator[NDArray[np.float32]]:
            clips = self._load(paths)
            longest = self.frames or max(len(clip) for clip in clips)
            facts.update(
                lengths=[len(clip) for clip in clips],
                contents=[_digest(clip) if clip.any() else "" for clip in clips],
            )
            hashes = facts["hashes"] = []
            for clip in clips:
                row = np.zeros((longest, clip.shape[1]), np.float32)
                row[: len(clip)] = clip[:longest]
                hashes.append(_digest(row))
                yield row[np.newaxis]

        places = hashlib.sha256(repr(self.found.places).encode()).hexdigest()
        key = f"embeddings {state(paths)} {places} {self.frames} {CODE_VERSION}"
        return ArrayCache(self.cache).array("embeddings", key, build)

    def _load(self, paths: Sequence[Path]) -> list[Features]:
        """Return the features of all clips; every file is read once.

        Raises:
            DataError: files cannot be used, or differ in F.
        """
        clips, problems = self._loaded(paths)
        refuse(problems)
        return clips

    def _loaded(self, paths: Sequence[Path]) -> tuple[list[Any], list[str]]:
        """Return the features of each clip, None where its file cannot be used; and a line for each problem."""
        rows: dict[Path, list[int]] = {}
        for row, path in enumerate(paths):
            rows.setdefault(path, []).append(row)
        clips: list[Any] = [None] * len(paths)
        problems: list[str] = []
        files = self.found.own.files
        for done, (path, own) in enumerate(rows.items(), start=1):
            try:
                found = load(path, files[own[0]].id.partition("[")[0], [self.found.places[row] for row in own])
            except DataError as error:
                problems.append(str(error))
                continue
            for row, clip in zip(own, found, strict=True):
                clips[row] = clip
            self.report(done, len(rows))
        widths = Counter(clip.shape[1] for clip in clips if clip is not None)
        if len(widths) > 1:
            usual = widths.most_common(1)[0][0]
            row = next(row for row, clip in enumerate(clips) if clip is not None and clip.shape[1] != usual)
            problems.append(
                f"{widths.total() - widths[usual]} of {widths.total()} clips do not have {usual} values a frame, such "
                f"as {files[row].id!r} with {clips[row].shape[1]}: compute all features by the same program, as frames "
                f"times values (T, F)"
            )
        return clips, problems

    def _note(self, division: Division, lengths: Sequence[int]) -> None:
        """Set `note`, `warnings` and `remarks`."""
        own, (frames, width) = self.found.own, self.clip_shape
        notes = [f"{frames} frames of {width} values"]
        if short := sum(each < frames for each in lengths):
            notes.append(f"{short} clips are padded with zeros")
        if absent := int((table(own, division) == 0).sum()):
            notes.append(f"{absent} times a fold lacks a class")
        warnings = [*own.warnings, *map(said, division.warnings)]
        if unused := sum(max(0, each - frames) for each in lengths):
            warnings.append(
                f"{unused:,} of {sum(lengths):,} frames are not used, because clips are cropped to {frames}: raise "
                f"`frames` in [dataset.embeddings]"
            )
        self.note = "; ".join([*notes, *own.notes, *warnings])
        self.warnings = tuple(warnings)
        self.remarks = (*own.notes, *(table_lines(own, division) if is_thin(own, division) else ()))


def _digest(clip: NDArray[np.float32]) -> str:
    """Return the SHA-256 of a clip's values and shape."""
    return hashlib.sha256(repr(clip.shape).encode() + clip.astype("<f4", copy=False).tobytes()).hexdigest()
