"""Your own clips: one folder per class, or a table of files."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.audio import AudioError, AudioSource, length
from datamodules.audio.preparation import Samples, segments
from datamodules.base import ClipSet, DataError, Splits, StreamSplits
from datamodules.clips.array_clips import WaveformClips, decode_files, each, silent
from datamodules.clips.own import Division, Options, OwnClips, divide, read
from datamodules.clips.own.division import indices, is_thin, table, table_lines
from datamodules.clips.own.reading import CUT, TOO_LONG, by_reason, counted
from datamodules.clips.segments import Prepared, SegmentClips, prepare_all
from datamodules.clips.stream_data import clips_inside
from datamodules.clips.timeline import Segment, Streams, segments_within
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing, refuse
from datamodules.tables.csv_table import safe

MAX_DEFAULT_SECONDS = 10.0
LONGEST_RECORDING = 7200.0
DEFAULT_FOLDS = 5
GO_ON = "; to go on without them, add --skip-unreadable, or skip_unreadable = true in [dataset.folder]"


class Folder(WaveformDataModule):
    """Clips in `root/<class>/`, or named by a table with the columns `path,label` and, optionally, more.

    Files are read at any depth below the folder of their class. Folders `train`, `val` and `test` above the classes, or
    columns `fold` and `split` of a table, say the split. Without them, the clips are divided into five folds that keep
    every source together, or into fewer where a class has fewer sources.

    Args:
        root: folder with one folder per class.
        cache: as in `AudioDataModule`.
        fold: number of the test fold, the user's own where a table numbers them; None takes the first.
        seed: as in `AudioDataModule`.
        batch_size: as in `AudioDataModule`.
        csv: table instead of `root`, separated by commas, semicolons, tabs or "|", or JSON. Its columns are `path` and
            `label`, and optionally `fold` (any numbers or names), `split` (train, val, test) and `group`. A list of
            tables has one for each part, such as `["train.csv", "test.csv"]`.
        audio_root: folder from which the table's paths start; None takes the table's own folder.
        columns: role (path, label, fold, split, group) to the column that has it, where the name differs; "" says that
            no column has it.
        label_columns: columns of 0 and 1, one for each class, instead of a label column.
        label_separator: separates several classes in one label; "" says that each label is one class.
        row_per_label: whether a file with several classes has a row for each.
        segments: whether each row is a segment of its file, with columns `start` and `end` in seconds. Clips of
            `clip_seconds` are then cut inside segments, and validation and test files are streams whose time lines are
            scored.
        classes: all classes in their order; by default numbers in numeric order, and other names by name.
        group_by: what counts as the source of a clip without a column `group`: "folder" (the folder inside its class),
            "name" (the file's name without the ending) or "file". None takes the folder where there is one, and the
            name otherwise; where the split is given, files in no such folder count one by one.
        class_level: 1 if the outer folders are the classes; 2 if those inside them are, and the outer ones are sources.
        n_folds: number of folds where none are given; None takes five, or as many as the rarest class has sources.
        follow_links: whether links may lead outside the folder.
        allow_outside: whether absolute paths and ".." in a table may lead outside its folder.
        skip_unreadable: whether audio that cannot be read is left out; the record names it.
        sample_rate: to resample to, in hertz.
        clip_seconds: clips are padded with zeros or cropped at the end to this length; by default the length of the
            longest clip, at most 10 s.
        hop_seconds: cut every file to pieces of `clip_seconds` that start every `hop_seconds`; a last piece ends with
            the file. Results are then also given per file.
    """

    own_folds = True
    folds = DEFAULT_FOLDS
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
        segments: bool = False,
        classes: Sequence[str] | None = None,
        group_by: str | None = None,
        class_level: int = 1,
        n_folds: int | None = None,
        follow_links: bool = False,
        allow_outside: bool = False,
        skip_unreadable: bool = False,
        sample_rate: int = 32_000,
        clip_seconds: float | None = None,
        hop_seconds: float | None = None,
    ) -> None:
        _check_lengths(clip_seconds, hop_seconds)
        self.own = read(
            Options.of({
                "root": root, "csv": csv, "audio_root": audio_root, "columns": columns, "label_columns": label_columns,
                "label_separator": label_separator, "row_per_label": row_per_label, "segments": segments,
                "classes": classes, "class_level": class_level if class_level != 1 else None,
                "group_by": group_by, "n_folds": n_folds, "follow_links": follow_links, "allow_outside": allow_outside,
            })
        )  # fmt: skip
        self.task = "single" if segments else self.own.task
        if segments and clip_seconds is None:
            raise DataError("segments needs clip_seconds, the length of a training clip: set both in [dataset.folder]")
        self.hop_seconds = hop_seconds
        self._division: Division | None = None
        self._undivided: DataError | None = None
        if self.own.files:
            try:
                self._division = divide(self.own)
            except DataError as error:
                self._undivided = error
        if self._division is not None:
            self.folds = len(self._division.numbers)
            self.split = self._division.rule
            self.group_rule, self.group_remedy = self.own.group_rule, self.own.group_remedy
        numbers = self.fold_numbers
        self.test_fold = numbers[0] if fold is None else fold
        if self._division is not None and self.test_fold not in numbers:
            raise DataError(f"fold {fold} does not exist: Folder has {_folds_in_words(numbers)}")
        super().__init__(
            self.own.options.place,
            cache,
            0,
            seed,
            batch_size,
            sample_rate=sample_rate,
            clip_seconds=clip_seconds or 0.0,
        )
        self.fold = self.test_fold
        self.skip_unreadable = skip_unreadable
        if hop_seconds is not None or segments:
            self.longest_seconds = LONGEST_RECORDING  # type: ignore[misc]

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the folder."""
        return None if root.is_dir() else f"missing {root}: make one folder per class there"

    @property
    def fold_numbers(self) -> tuple[int, ...]:
        """Numbers of the folds: the user's own, or else from 0 on."""
        return tuple(range(self.folds)) if self._division is None else self._division.numbers

    @property
    def boundary(self) -> Path | None:
        """Folder that has to contain every file after links are followed; None where the user allows other places."""
        return self.root if self.own.options.confined else None

    def watched(self) -> tuple[Path | None, Sequence[Path]]:
        """Return the folder, or the table and the files that it names."""
        if self.own.options.csv is None:
            return self.root, ()
        named = [file.source for file in self.own.files if isinstance(file.source, Path)]
        return None, (*self.own.options.tables, *named)

    def listing(self) -> Listing:
        """Return the files; those without a fold of their own are divided by source."""
        self.classes = self.own.classes
        if self.skip_unreadable:
            self.left_out = by_reason(self.own.unreadable)
        unreadable = [] if self.skip_unreadable else [f"{name!r}: {why}" for name, why in self.own.unreadable.items()]
        problems = [*self.own.problems, *unreadable]
        if self._undivided is not None and not problems:  # they may be the reason
            problems.append(str(self._undivided))
        if self._division is None:
            problems = problems or ["there is no audio that can be read"]
            return Listing(self.own.files, problems, len(unreadable))
        names = self._division.names
        files = [replace(file, fold=names[of]) for file, of in zip(self.own.files, self._division.of, strict=True)]
        return Listing(files, problems, len(unreadable))

    def check(self) -> None:
        """Look at names, tables and folds without decoding anything.

        Raises:
            DataError: they show already that the clips cannot be read.
        """
        self._refuse()
        assert self._division is not None  # or there would be a problem
        indices(self.own, self._division, self.test_fold)

    def read(self) -> Splits:
        """Decode the clips and divide them."""
        self._refuse()
        division = self._division
        assert division is not None
        if self.own.options.segments:
            return self._segments(division)
        return self._pieces(division) if self.hop_seconds is not None else self._clips(division)

    def _refuse(self) -> None:
        """Raise `DataError` where something has to be corrected before the clips can be read."""
        problems = self.listing().problems
        unreadable = {f"{name!r}: {why}" for name, why in self.own.unreadable.items()}
        if problems and unreadable >= set(problems):
            count = len(problems)
            of = count + len(self.own.files)
            raise DataError(
                f"{count} of {of} audio files cannot be read: {counted(list(self.own.unreadable))} "
                f"({'; '.join(by_reason(self.own.unreadable))}){GO_ON}"
            )
        refuse(problems)

    def _clips(self, division: Division) -> Splits:
        """Decode every file to one clip."""
        indices(self.own, division, self.test_fold)  # before decoding, which takes long
        paths = [file.source for file in self.own.files]
        self.clip_seconds = self.clip_seconds or _default_seconds(paths)
        with self._going_on():
            found = decode_files(
                paths, self.sample_rate, self.clip_seconds, self.cache, "folder",
                names=[file.id for file in self.own.files], skip=self.skip_unreadable, report=self.report,
            )  # fmt: skip
        self.clip_shape = (found.clips.shape[1],)
        self.own_rates = found.rates
        own, division = self._without(division, found.unreadable)
        ids, groups = [file.id for file in own.files], [file.group for file in own.files]
        self.contents = dict(zip(ids, found.contents, strict=True))
        clips = WaveformClips(found.clips, ids, groups, found.hashes, _tensor(own))
        unused = sum(max(0, samples - self.clip_shape[0]) for samples in found.lengths)
        self._note(own, division, silent(clips.hashes, self.clip_shape[0]), unused, sum(found.lengths))
        self._name_copies(own, clips.hashes, clips.silent_hashes)
        train, val, test = indices(own, division, self.test_fold)
        return Splits(clips.select(train), clips.select(val), clips.select(test))

    def _pieces(self, division: Division) -> Splits:
        """Decode every file whole, and cut it to pieces."""
        found, own, division = self._whole(division)
        samples = round(self.clip_seconds * self.sample_rate)
        self.clip_shape = (samples,)
        assert self.hop_seconds is not None
        pieces = segments(found.lengths, self.sample_rate, self.clip_seconds, 1 - self.hop_seconds / self.clip_seconds)
        first = np.cumsum([0, *found.lengths])
        targets = _tensor(own)
        silence = frozenset(digest for digest, quiet in zip(found.hashes, found.silent, strict=True) if quiet)
        self.clips_available = len(own.files)
        self._note(own, division, sum(found.silent), 0, sum(found.lengths))
        self._name_copies(own, found.hashes, silence)

        def part(chosen_files: NDArray[np.int64]) -> ClipSet:
            chosen = pieces[np.isin(pieces[:, 0], chosen_files)]
            of, start = chosen[:, 0], np.maximum(chosen[:, 1], 0)
            return SegmentClips(
                found.audio,
                np.stack([first[of], np.asarray(found.lengths)[of], start], axis=1),
                samples,
                [f"{own.files[i].id}[{begin}:{begin + samples}]" for i, begin in zip(of, start, strict=True)],
                [own.files[i].group for i in of],
                [found.hashes[i] for i in of],
                targets[torch.from_numpy(of)],
                files=[own.files[i].id for i in of],
                silence=silence,
                padded=True,
            )

        train, val, test = map(part, indices(own, division, self.test_fold))
        return Splits(train, val, test)

    def _whole(self, division: Division) -> tuple[Prepared, OwnClips, Division]:
        """Decode every file whole; return the recordings, and the clips and their division without unreadable files."""
        indices(self.own, division, self.test_fold)  # before decoding, which takes long
        files = [file for file in self.own.files if isinstance(file.source, Path)]
        with self._going_on():
            found = prepare_all(
                [Path(str(file.source)) for file in files], _as_it_is, self.sample_rate, self.longest_seconds,
                self.cache, "folder", names=[file.id for file in files], skip=self.skip_unreadable, report=self.report,
            )  # fmt: skip
        self.own_rates = found.rates
        own, division = self._without(division, found.unreadable)
        self.contents = {file.id: content for file, content in zip(own.files, found.contents, strict=True)}
        return found, own, division

    def _segments(self, division: Division) -> Splits:
        """Decode every file whole, cut clips inside its segments, and keep validation and test files as streams."""
        found, own, division = self._whole(division)
        self.clip_shape = (round(self.clip_seconds * self.sample_rate),)
        self.clips_available = len(own.files)
        self._note(own, division, sum(found.silent), 0, sum(found.lengths))
        first = np.cumsum([0, *found.lengths])
        places = {label: place for place, label in enumerate(own.classes)}
        parts = [
            Streams(
                audio=found.audio,
                places=tuple((int(first[i]), found.lengths[i]) for i in chosen),
                ids=tuple(own.files[i].id for i in chosen),
                groups=tuple(own.files[i].group for i in chosen),
                hashes=tuple(found.hashes[i] for i in chosen),
                segments=tuple(
                    segments_within(
                        [Segment(start, end, places[label]) for start, end, label in own.segments[own.files[i].id]],
                        found.lengths[i] / self.sample_rate, own.files[i].id,
                    )
                    for i in chosen
                ),
                sample_rate=self.sample_rate,
            )
            for chosen in (each.tolist() for each in indices(own, division, self.test_fold))
        ]  # fmt: skip
        self.streams = StreamSplits(parts[1], parts[2])
        train, val, test = (
            clips_inside(
                part, [(group,) * len(rows) for group, rows in zip(part.groups, part.segments, strict=True)],
                self.classes, self.clip_seconds, hop_seconds=self.hop_seconds, part=name,
            )
            for name, part in zip(("training", "validation", "test"), parts, strict=True)
        )  # fmt: skip
        return Splits(train, val, test)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Add to an error of decoding how to go on without the files that cannot be used."""
        try:
            yield
        except DataError as error:
            if self.skip_unreadable:
                raise
            advice = f"  {CUT}\n" if self.hop_seconds is None and TOO_LONG in str(error) else ""
            raise DataError(f"{error}\n{advice}  {GO_ON.removeprefix('; ')}") from error

    def _without(self, division: Division, unreadable: Mapping[int, str]) -> tuple[OwnClips, Division]:
        """Return the clips and their division without the files that could not be decoded, and keep their names."""
        if not unreadable:
            return self.own, division
        reasons = dict(self.own.unreadable)
        for place, reason in unreadable.items():
            file = self.own.files[place]
            reasons[file.id] = reason.removeprefix(f"{safe(Path(str(file.source)).name)!r} ")
        self.left_out = by_reason(reasons)
        kept = [place for place in range(len(self.own.files)) if place not in unreadable]
        own = replace(self.own, files=[self.own.files[place] for place in kept])
        return own, replace(division, of=tuple(division.of[place] for place in kept))

    def _note(self, own: OwnClips, division: Division, quiet: int, unused: int, samples: int) -> None:
        """Set `note`, `warnings` and `remarks`."""
        absent = int((table(own, division) == 0).sum())
        counts = {"silent clips": quiet, "times a fold lacks a class": absent}
        notes = [f"{count} {what}" for what, count in counts.items() if count]
        warnings = [*own.warnings, *division.warnings]
        if unused:
            warnings.append(
                f"{_duration(unused / self.sample_rate)} of {_duration(samples / self.sample_rate)} of sound "
                f"({100 * unused / samples:.0f} %) are not used, because clips are cropped to {self.clip_seconds:g} s: "
                f"set hop_seconds in [dataset.folder] to cut files to pieces"
            )
        if self.own.options.segments:
            notes.append(f"clips of {self.clip_seconds:g} s are cut inside segments")
        elif self.hop_seconds is not None:
            notes.append(f"files are cut to pieces of {self.clip_seconds:g} s every {self.hop_seconds:g} s")
        self.note = "; ".join([*notes, *own.notes, *warnings])
        left_out = [
            f"{len(names)} audio file{'' if len(names) == 1 else 's'} left out ({reason}): {counted(names)}"
            for reason, names in self.left_out.items()
        ]
        self.warnings = (*left_out, *warnings)
        self.remarks = (*own.notes, *(table_lines(own, division) if is_thin(own, division) else ()))

    def _name_copies(self, own: OwnClips, hashes: Sequence[str], silence: Collection[str]) -> None:
        """Add a warning on clips that are copies of one another and have other classes."""
        first: dict[str, AudioFile] = {}
        pairs = []
        for file, content in zip(own.files, hashes, strict=True):
            other = first.setdefault(content, file)
            if other.labels != file.labels and content not in silence:
                pairs.append((other.id, file.id))
        if pairs:
            warning = (
                f"{len(pairs)} clips are copies of clips of another class, such as {pairs[0][1]!r} of {pairs[0][0]!r}: "
                f"remove one of each"
            )
            self.warnings = (*self.warnings, warning)
            self.note = "; ".join(filter(None, (self.note, warning)))


def _check_lengths(clip_seconds: float | None, hop_seconds: float | None) -> None:
    for name, value in (("clip_seconds", clip_seconds), ("hop_seconds", hop_seconds)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
            raise DataError(f"{name} is {value!r}: give a number of seconds above 0")
    if hop_seconds is None:
        return
    if clip_seconds is None:
        raise DataError("hop_seconds needs clip_seconds, the length of a piece: set both in [dataset.folder]")
    if hop_seconds > clip_seconds:
        raise DataError(
            f"pieces of {clip_seconds:g} s every {hop_seconds:g} s leave gaps: set hop_seconds to at most clip_seconds"
        )


def _folds_in_words(numbers: Sequence[int]) -> str:
    if list(numbers) == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 1:
        return f"folds {numbers[0]} to {numbers[-1]}"
    return f"the fold{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _tensor(own: OwnClips) -> Tensor:
    targets = torch.from_numpy(own.targets())
    return targets.float() if own.task == "multi" else targets


def _as_it_is(waveform: Samples, sample_rate: int) -> Samples:
    """Return a recording as it is."""
    return waveform


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 90
        else f"{seconds / 60:.1f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _default_seconds(paths: Sequence[AudioSource]) -> float:
    """Return the longest clip's length, rounded up to a tenth, 10 s at most."""
    longest = max((0.1, *each(_length, paths)))
    return min(math.ceil(10 * longest - 1e-6) / 10, MAX_DEFAULT_SECONDS)


def _length(path: AudioSource) -> float:
    """Return a file's length; 0 for one that cannot be read, which decoding will name."""
    try:
        return length(path)
    except AudioError:
        return 0.0
