"""Clips of YouTube videos: the files that users have of the clips in a list, in a folder or in tar shards.

Such audio may not be redistributed, so users' files come from different tools. These file names, before the extension,
are understood:

* `<video>_<start>`: seconds, in six digits as VGGSound writes them (`FwVYUHKoLtQ_000034.wav`), in fewer, or with
  decimals (`<video>_30.000.wav`);
* `<video>_<start>_<end>` or `<video>_<start>-<end>`: seconds (`<video>_30.0-40.0.ogg`), or milliseconds as audiosetdl
  writes them, which VGGSound's authors recommend;
* `<video>`: where the list has one clip of the video;
* each of them with a `Y` before it (`Y--PJHxphWEs.wav`), as in PANNs' AudioSet, because ids may start with a dash;
* `<title> [<video>]`, as yt-dlp names what it fetches, with the meaning of `<video>`: the excerpt, not the whole video.

A start that is no whole second (7 of the 22,160 balanced segments of AudioSet) is found by all its decimals, rounded to
fewer, rounded down to the second, or in milliseconds.

Files may be at any depth below `audio/` (or `audios/`, PANNs' name), or members of `shards/**/*.tar`, under the same
names or under any key whose `key.json` holds such a name as `"id"`.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor

from datamodules import layouts
from datamodules.audio import ENDINGS, ShardMember, is_track
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips.array_clips import WaveformClips, decode_all
from datamodules.clips.shards import ShardClips, index
from datamodules.tables.csv_table import inside, safe

FOLDERS = layouts.YOUTUBE_FOLDERS
SHARDS = layouts.YOUTUBE_SHARDS
VALIDATION_PERCENT = 5
_SECONDS = r"\d+(?:\.\d+)?"
_NAME = re.compile(rf"(?P<video>[\w-]{{11}})(?:_(?P<start>{_SECONDS})(?:[_-](?P<end>{_SECONDS}))?)?", re.ASCII)


_TITLED = re.compile(r".* \[([\w-]{11})\]", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Excerpt:
    """An excerpt of a video, as a list names it: the video, and the start of the excerpt in seconds."""

    video: str
    start: float

    @property
    def name(self) -> str:
        """The clip's name in records: `<video>_<start>`, seconds in six digits."""
        return f"{self.video}_{self.start:06g}"


@dataclass(frozen=True)
class Found:
    """The audio on disk of a list.

    Attributes:
        rows: row of the list for each audio, ascending.
        sources: the files, or the members of shards.
        digests: SHA-256 of each member's content; empty for files.
        unlisted: number of audio files or members that the list does not name.
    """

    rows: list[int]
    sources: list[Path] | list[ShardMember]
    digests: list[str]
    unlisted: int


def find(root: Path, excerpts: Sequence[Excerpt], cache: Path | None) -> Found:
    """Find the audio of these clips.

    Args:
        root: folder of the dataset.
        excerpts: the clips.
        cache: folder for the shards' index; None makes it each time.

    Raises:
        DatasetMissing: there is no audio, or none that the list names.
        DataError: there are files and shards, a clip twice, or a damaged shard.
    """
    folders = [root / name for name in FOLDERS if (root / name).is_dir()]
    shards = sorted((root / SHARDS).rglob("*.tar"))
    if folders and shards:
        raise DataError(
            f"{root} has {folders[0].name}/ and {SHARDS}/: remove one of them, because clips would be read twice"
        )
    which = _lookup(excerpts)
    rows: dict[int, int] = {}
    doubled: list[str] = []
    unlisted: list[str] = []

    def sort(names: Iterable[str], said: Callable[[int], str]) -> None:
        for i, name in enumerate(names):
            row = which(name)
            if row is None:
                unlisted.append(said(i))
            elif (first := rows.setdefault(row, i)) != i:
                if is_track(said(first)) == is_track(said(i)):
                    doubled.append(f"{said(first)} and {said(i)}")
                elif is_track(said(first)):  # a video next to its sound
                    rows[row] = i

    sources: list[Path] | list[ShardMember]
    if shards:
        clips = index(shards, cache)
        sources = [clip.member for clip in clips]
        sort((str(clip.about.get("id", clip.key.rpartition("/")[2])) for clip in clips), lambda i: str(clips[i].member))
    else:
        sources = paths = sorted(path for folder in folders for path in _audio(folder))
        sort((path.stem for path in paths), lambda i: safe(str(paths[i].relative_to(root))))
    if doubled:
        raise DataError(f"{len(doubled)} clips are on disk twice: {'; '.join(doubled[:10])}: remove one of each")
    if not rows:
        raise DatasetMissing(
            layouts.youtube(root)
            or f"none of {len(sources)} audio files under {root} is a clip of the list"
            + (f" (such as {unlisted[0]})" if unlisted else "")
            + "; name them <video>_<start second in six digits>.wav"
        )
    order = sorted(rows)
    kept = [sources[rows[row]] for row in order]
    digests = [clips[rows[row]].digest for row in order] if shards else []
    return Found(order, cast("list[Path] | list[ShardMember]", kept), digests, len(unlisted))


def clip_set(
    found: Found,
    excerpts: Sequence[Excerpt],
    targets: Tensor,
    sample_rate: int,
    seconds: float,
    cache: Path | None,
    name: str,
    rates: list[int] | None = None,
) -> WaveformClips | ShardClips:
    """Return the clips that were found: files decoded through the cache, members of shards still encoded.

    Args:
        found: the audio on disk.
        excerpts: the list.
        targets: targets of the clips that were found.
        sample_rate: to resample to, in hertz.
        seconds: length of the clips.
        cache: as in `decode_all`.
        name: as in `decode_all`.
        rates: as in `decode_all`; members of shards have none yet.
    """
    ids = [excerpts[row].name for row in found.rows]
    groups = [excerpts[row].video for row in found.rows]
    if found.digests:
        members = cast(list[ShardMember], found.sources)
        return ShardClips(members, ids, groups, found.digests, targets, sample_rate, round(sample_rate * seconds))
    samples, hashes = decode_all(found.sources, sample_rate, seconds, cache, name, rates)
    return WaveformClips(samples, ids, groups, hashes, targets)


def splits(
    clips: WaveformClips | ShardClips,
    train: Sequence[int],
    val: Sequence[int],
    test: Sequence[int],
    cache: Path | None,
    name: str,
    rates: list[int] | None = None,
) -> tuple[Splits, list[str]]:
    """Return the clips in three parts, and remarks for the record.

    Two silent clips look like a leak but are none: silent clips that a later part also has are left out of the earlier
    part. `AudioDataModule.setup` refuses all other duplicates. Validation and test are always decoded through the
    cache.

    Args:
        clips: all clips.
        train: rows of the training clips.
        val: rows of the validation clips.
        test: rows of the test clips.
        cache: as in `decode_all`.
        name: as in `decode_all`.
        rates: as in `decode_all`, of the validation and test clips in shards.

    Raises:
        DataError: a part has no clips.
    """
    drawn = [clips.select(rows) for rows in (train, val, test)]
    parts = [drawn[2]]
    notes: list[str] = []
    for name_of, part in (("validation", drawn[1]), ("training", drawn[0])):
        taken = {digest for later in parts for digest in later.hashes}
        silent = {i for i in range(len(part)) if part.hashes[i] in taken and not part.load([i]).any()}
        parts.insert(0, part.select([i for i in range(len(part)) if i not in silent]))
        if silent:
            notes.append(f"{len(silent)} silent {name_of} clips left out, for a later part has the same silence")
    for name_of, part in zip(("training", "validation", "test"), parts, strict=True):
        if not len(part):
            raise DataError(f"there are no {name_of} clips among the {len(clips)} on disk: add clips of that part")
    decoded = [part.decoded(cache, name, rates) if isinstance(part, ShardClips) else part for part in parts[1:]]
    if quiet := sum(not row.any() for part in decoded for row in part.array[part.rows]):
        notes.append(f"{quiet} validation and test clips are silent")
    return Splits(parts[0], decoded[0], decoded[1]), notes


def is_validation(video: str, percent: int = VALIDATION_PERCENT) -> bool:
    """Return whether a video is for validation, by its name alone, so that no video moves when others vanish."""
    return _draw(video) % 100 < percent


def validation(videos: Iterable[str]) -> set[str]:
    """Return the videos for validation: 5 % of these, or one where the part is too small for that."""
    known = sorted(set(videos), key=_draw)
    return {video for video in known if is_validation(video)} or set(known[:1])


def _draw(video: str) -> int:
    return int.from_bytes(hashlib.sha256(f"validation {video}".encode()).digest()[:4])


def _lookup(excerpts: Sequence[Excerpt]) -> Callable[[str], int | None]:
    """Return a function that maps a file's name, without extension, to its row of the list, or to None."""
    of_video: dict[str, list[int]] = {}
    for row, excerpt in enumerate(excerpts):
        of_video.setdefault(excerpt.video, []).append(row)

    def find_row(name: str) -> int | None:
        name = titled[1] if (titled := _TITLED.fullmatch(name)) else name
        for text in (name, name[1:]) if name.startswith("Y") else (name,):
            parts = _NAME.fullmatch(text)
            rows = of_video.get(parts["video"], []) if parts else []
            if parts and (start := parts["start"]):
                rows = [i for i in rows if _begins(excerpts[i].start, start)]
            if len(rows) == 1:
                return rows[0]
        return None

    return find_row


def _begins(second: float, text: str) -> bool:
    """Say whether a name's number means this start."""
    whole, _, decimals = text.partition(".")
    if decimals:
        return abs(float(text) - second) < 0.5001 * 10.0 ** -len(decimals) or (
            not decimals.strip("0") and int(whole) == math.floor(second)
        )
    return int(whole) in (round(second), math.floor(second), round(1000 * second))


def _audio(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
            yield inside(folder, str(path.relative_to(folder)), repr(folder.name))
