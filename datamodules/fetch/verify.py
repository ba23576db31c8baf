"""`bench data verify`: decode every file of a dataset once, list everything that is wrong, and keep a manifest.

The manifest is one JSON file: for each clip its id, SHA-256, true length, rate, channels, container, labels, group and
fold. It is written when nothing is wrong, and later verifications are compared with it. So a flipped bit in plain
samples, which no decoder notices, is found and named. The manifest covers the files on disk. The digest in records and
caches, `AudioDataModule.manifest`, covers the decoded clips; it is kept here, too. The digest shows that data differ,
and the manifest shows which files differ.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datamodules.audio import AudioError, Sound, inspect, renamed
from datamodules.base import AudioDataModule, ClipSet
from datamodules.clips.array_cache import write_whole
from datamodules.errors import DataError, DatasetMissing
from datamodules.listing import AudioFile
from datamodules.tables.csv_table import safe

VERSION = 1


@dataclass(frozen=True)
class ManifestRow:
    """One clip in the manifest.

    Attributes:
        id: its name.
        sha256: digest of its file; of its content where the dataset does not consist of files.
        samples: true length, per channel; None without a file, like the next three.
        sample_rate: rate of the file, in hertz.
        channels: channels of the file.
        container: container and coding of the file, "WAV PCM_16".
        labels: names of its classes.
        group: its recording, speaker or video.
        fold: the official fold or part.
    """

    id: str
    sha256: str
    samples: int | None
    sample_rate: int | None
    channels: int | None
    container: str | None
    labels: tuple[str, ...]
    group: str
    fold: str


@dataclass
class Verdict:
    """Result of a verification.

    Attributes:
        clips: the usable clips, in order.
        problems: one line for each problem.
        changes: one line for each difference from the existing manifest; None without one.
        silent: number of clips that are digital silence.
        notes: the different values of `AudioDataModule.note` of all readable folds.
        digest: `AudioDataModule.manifest` of the first readable fold; None without one.
        clips_official: as in `AudioDataModule`.
        left_out: reason to names of the audio files that were left out because they cannot be read.
        warnings: things that the user should look at.
        remarks: lines such as a table of thin classes.
        unreadable: number of audio files that cannot be read.
    """

    clips: list[ManifestRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    changes: list[str] | None = None
    silent: int = 0
    notes: list[str] = field(default_factory=list)
    digest: str | None = None
    clips_official: int | None = None
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    unreadable: int = 0

    @property
    def sound(self) -> bool:
        """Whether there is no problem and no difference from the existing manifest."""
        return not self.problems and not self.changes

    def count(self, what: str) -> dict[str, int]:
        """Return the number of clips for each value of "fold", "labels" or "container", in order."""
        if what == "labels":
            found = Counter(label for clip in self.clips for label in clip.labels)
        else:
            found = Counter(str(getattr(clip, what)) for clip in self.clips)
        return {name: found[name] for name in sorted(found, key=_natural)}


def verify(
    make: Callable[[int | None], AudioDataModule],
    manifest: Path | None = None,
    workers: int | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Verdict:
    """Verify a whole dataset.

    Args:
        make: returns the dataset, not yet read, at a fold; None is its first.
        manifest: file to compare the clips with, if it exists.
        workers: number of files decoded at the same time; one per core by default.
        report: called with the number of files decoded so far and of all files.
    """
    verdict = Verdict()
    try:
        data = make(None)
        listing = data.listing()
    except DataError as error:
        verdict.problems.append(str(error))
        return verdict
    verdict.clips_official = data.clips_official
    if listing is not None:
        verdict.problems += listing.problems
        verdict.unreadable = listing.unreadable
        _decode(listing.files, data, verdict, workers or _cores(), report)
    if not verdict.problems:  # reading would otherwise repeat the same problems
        data.report = report
        read = _read(make, data, verdict)
        if listing is None:
            verdict.clips = read
    if manifest is not None and manifest.exists():
        try:
            verdict.changes = compare(load(manifest), verdict.clips)
        except DataError as error:
            verdict.problems.append(str(error))
    return verdict


def _cores() -> int:
    """Return the number of cores that this process may use; macOS and Windows do not say, so there all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode(
    files: Sequence[AudioFile],
    data: AudioDataModule,
    verdict: Verdict,
    workers: int,
    report: Callable[[int, int], None],
) -> None:
    """Decode all files once, and add their content and problems to the verdict."""

    def one(file: AudioFile) -> Sound | AudioError:
        try:
            return inspect(file.source, data.longest_seconds, data.boundary)
        except AudioError as error:
            return error

    first: dict[str, AudioFile] = {}
    sounding: dict[str, AudioFile] = {}  # by the file's content
    with ThreadPoolExecutor(workers) as pool:  # decoding and hashing release the interpreter lock
        for done, (file, found) in enumerate(zip(files, pool.map(one, files), strict=True), 1):
            if (other := first.setdefault(file.id, file)) is not file:
                verdict.problems.append(
                    f"{_where(file)}{file.id!r} is there twice (also {other.where or other.source})"
                )
            if isinstance(found, AudioError) and data.skip_unreadable:
                pass  # reading names it
            elif isinstance(found, AudioError):
                verdict.unreadable += 1
                verdict.problems.append(f"{_where(file)}{renamed(str(found), file.source, file.id)}")
            else:
                verdict.silent += found.silent
                same = sounding.setdefault(found.sha256, file)
                if same.labels != file.labels and data.task == "single" and not found.silent:
                    verdict.problems.append(
                        f"{_where(file)}{safe(file.id)!r} of {', '.join(file.labels)} is the same file as "
                        f"{safe(same.id)!r} of {', '.join(same.labels)}: remove the one of the wrong class"
                    )
                verdict.clips.append(
                    ManifestRow(
                        safe(file.id), found.sha256, found.samples, found.sample_rate, found.channels,
                        f"{found.container} {found.subtype}", file.labels, file.group, file.fold,
                    )
                )  # fmt: skip
            report(done, len(files))


def _where(file: AudioFile) -> str:
    return f"{file.where}: " if file.where else ""


def _read(make: Callable[[int | None], AudioDataModule], data: AudioDataModule, verdict: Verdict) -> list[ManifestRow]:
    """Read every fold as a run does, including its checks for leaks, and return the clips."""
    clips: dict[str, ManifestRow] = {}
    missing: list[str] = []
    for fold in data.fold_numbers:
        try:
            data = data if fold == data.fold else make(fold)
            data.setup()
        except DatasetMissing as error:  # an incomplete dataset can lack some folds
            missing.append(str(error))
            continue
        except DataError as error:
            if str(error) not in verdict.problems:
                verdict.problems.append(str(error))
            continue
        if verdict.digest is None:
            verdict.digest = data.manifest()
        verdict.left_out = verdict.left_out or dict(data.left_out)
        verdict.warnings = verdict.warnings or list(data.warnings)
        verdict.remarks = verdict.remarks or [line for line in data.remarks if line not in data.note]
        if data.note and data.note not in verdict.notes:
            verdict.notes.append(data.note)
        parts = {"train": data.splits.train, "val": data.splits.val, "test": data.splits.test}
        for name, part in parts.items():
            if data.folds == 1 or name == "test":
                clips |= {clip.id: clip for clip in _clips(data, part, name if data.folds == 1 else str(fold))}
    if verdict.digest is None and not verdict.problems:
        verdict.problems += missing[:1]
    return list(clips.values())


def _clips(data: AudioDataModule, part: ClipSet, fold: str) -> Iterator[ManifestRow]:
    for name, group, content, target in zip(part.ids, part.groups, part.hashes, part.targets, strict=True):
        positive = [int(target)] if data.task == "single" else target.nonzero().flatten().tolist()
        labels = tuple(data.classes[i] for i in positive)
        yield ManifestRow(safe(name), content, None, None, None, None, labels, group, fold)


def compare(before: Mapping[str, ManifestRow], clips: Sequence[ManifestRow]) -> list[str]:
    """Return one line for each clip that is changed, missing or new compared with a manifest."""
    changes: list[str] = []
    now = {clip.id: clip for clip in clips}
    was = {clip.sha256: clip.id for clip in before.values()}
    for name, clip in now.items():
        if name not in before:
            copied = was.get(clip.sha256)
            changes.append(f"{name!r} is new" + (f", with the content of {copied!r}" if copied else ""))
            continue
        old, new = asdict(before[name]), asdict(clip)
        if differing := [f"{key} was {old[key]}, is {new[key]}" for key in old if old[key] != new[key]]:
            other = was.get(clip.sha256)
            if old["sha256"] != new["sha256"]:
                differing = [f"it has the content that {other!r} had" if other else "its content is another"] + [
                    each for each in differing if not each.startswith("sha256")
                ]
            changes.append(f"{name!r} has changed: {'; '.join(differing)}")
    changes += [f"{name!r} is missing" for name in before if name not in now]
    return changes


def save(path: Path, name: str, verdict: Verdict) -> None:
    """Write a manifest, completely or not at all, one line per clip.

    Raises:
        DataError: the file cannot be written.
    """
    head = {"version": VERSION, "dataset": name, "digest": verdict.digest, "notes": verdict.notes}
    lines = ",\n".join(json.dumps(asdict(clip), ensure_ascii=False) for clip in verdict.clips)
    text = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "clips": [\n{lines}\n]}}\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be written ({error.strerror}): name another file with --manifest"
        ) from error


def load(path: Path) -> dict[str, ManifestRow]:
    """Return a manifest's clips by id.

    Raises:
        DataError: the file cannot be read or is not a manifest.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content["version"] != VERSION:
            raise DataError(f"{str(path)!r} is a manifest of version {content['version']}, not {VERSION}: remove it")
        return {row["id"]: ManifestRow(**{**row, "labels": tuple(row["labels"])}) for row in content["clips"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{str(path)!r} is not a manifest ({error}): remove it, or name another file") from error


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 62, name)
