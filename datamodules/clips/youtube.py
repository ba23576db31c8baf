"""Clips that a list names by YouTube video: the files that users have of them, in a folder or in tar shards.

Nobody may hand such audio on, so everybody's files come from another tool. Names that are understood, before the
ending:

* `<video>_<start>`: seconds, in six digits as VGGSound writes them (`FwVYUHKoLtQ_000034.wav`) or in fewer;
* `<video>_<start>_<end>`: milliseconds, as audiosetdl writes them, which VGGSound's authors recommend;
* `<video>`: where the list has one clip of the video;
* each of them with a `Y` before it (`Y--PJHxphWEs.wav`), as PANNs write AudioSet's, for ids may start with a dash.

Where they are: any depth below `audio/` (or `audios/`, PANNs' name), or as members of `shards/**/*.tar`, under the same
names or under any key beside a `key.json` that holds such a name as `"id"`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor

from datamodules.audio import ENDINGS, ShardMember
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips.array_clips import WaveformClips, decode_all
from datamodules.clips.shards import ShardClips, index
from datamodules.tables.csv_table import inside, safe

FOLDERS = ("audio", "audios")
SHARDS = "shards"
VALIDATION_PERCENT = 5
_NAME = re.compile(r"(?P<video>[\w-]{11})(?:_(?P<start>\d+)(?:_(?P<end>\d+))?)?", re.ASCII)


@dataclass(frozen=True)
class Excerpt:
    """A clip as a list names it: the video, and where the clip starts in it, in seconds."""

    video: str
    start: float

    @property
    def name(self) -> str:
        """The clip's name in records: `<video>_<start>`, seconds in six digits."""
        return f"{self.video}_{self.start:06g}"


@dataclass(frozen=True)
class Found:
    """What there is of a list.

    Attributes:
        rows: which of the list's clips each audio is, ascending.
        sources: their files, or their members of shards.
        digests: SHA-256 of each member's content; empty for files.
        unlisted: how many audio files or members the list does not name.
    """

    rows: list[int]
    sources: list[Path] | list[ShardMember]
    digests: list[str]
    unlisted: int


def missing(root: Path) -> str | None:
    """Say that there is no audio under `root`; None where there is. Quick: nothing is opened."""
    if any((root / name).is_dir() for name in (*FOLDERS, SHARDS)):
        return None
    return (
        f"no {root / FOLDERS[0]} and no {root / SHARDS}: YouTube's audio cannot be downloaded from here; put yours as "
        f"{FOLDERS[0]}/<video>_<start second in six digits>.wav (or .flac .ogg .mp3), or in {SHARDS}/*.tar"
    )


def find(root: Path, excerpts: Sequence[Excerpt], cache: Path | None) -> Found:
    """Find the audio of these clips.

    Args:
        root: folder of the dataset.
        excerpts: the clips.
        cache: folder for the shards' index; None makes it each time.

    Raises:
        DatasetMissing: no audio, or none that the list names.
        DataError: both forms are there, a clip is there twice, or a shard is damaged.
    """
    folders = [root / name for name in FOLDERS if (root / name).is_dir()]
    shards = sorted((root / SHARDS).rglob("*.tar"))
    if folders and shards:
        raise DataError(f"{root} has {folders[0].name}/ and {SHARDS}/: move one of them away, they would be read twice")
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
                doubled.append(f"{said(first)} and {said(i)}")

    sources: list[Path] | list[ShardMember]
    if shards:
        clips = index(shards, cache)
        sources = [clip.member for clip in clips]
        sort((str(clip.about.get("id", clip.key)) for clip in clips), lambda i: str(clips[i].member))
    else:
        sources = paths = sorted(path for folder in folders for path in _audio(folder))
        sort((path.stem for path in paths), lambda i: safe(str(paths[i].relative_to(root))))
    if doubled:
        raise DataError(f"{len(doubled)} clips are there twice: {'; '.join(doubled[:10])}: remove one of each")
    if not rows:
        raise DatasetMissing(
            missing(root)
            or f"none of {len(sources)} audio files under {root} is a clip of the list"
            + (f" (such as {unlisted[0]})" if unlisted else "")
            + ": call them <video>_<start second in six digits>.wav"
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
) -> WaveformClips | ShardClips:
    """Return the clips that were found: files decoded to the cache, members of shards as they are.

    Args:
        found: what there is.
        excerpts: the list.
        targets: of the clips that were found.
        sample_rate: to resample to, in hertz.
        seconds: length of the clips.
        cache: as in `decode_all`.
        name: as in `decode_all`.
    """
    ids = [excerpts[row].name for row in found.rows]
    groups = [excerpts[row].video for row in found.rows]
    if found.digests:
        members = cast(list[ShardMember], found.sources)
        return ShardClips(members, ids, groups, found.digests, targets, sample_rate, round(sample_rate * seconds))
    samples, hashes = decode_all(found.sources, sample_rate, seconds, cache, name)
    return WaveformClips(samples, ids, groups, hashes, targets)


def splits(
    clips: WaveformClips | ShardClips,
    train: Sequence[int],
    val: Sequence[int],
    test: Sequence[int],
    cache: Path | None,
    name: str,
) -> tuple[Splits, list[str]]:
    """Return the clips in three parts, and what a reader of the record has to know.

    Silence is no leak but looks like one: silent clips that a later part has too are left out of the earlier one.
    Whatever else stands in two parts is refused by `AudioDataModule.setup`. Validation and test are decoded to the
    cache in both forms.

    Args:
        clips: all of them.
        train: rows of the training clips.
        val: rows of the validation clips.
        test: rows of the test clips.
        cache: as in `decode_all`.
        name: as in `decode_all`.

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
            raise DataError(f"there are no {name_of} clips among the {len(clips)} that are here: add some of that part")
    decoded = [part.decoded(cache, name) if isinstance(part, ShardClips) else part for part in parts[1:]]
    if quiet := sum(not row.any() for part in decoded for row in part.array[part.rows]):
        notes.append(f"{quiet} validation and test clips are silent")
    return Splits(parts[0], decoded[0], decoded[1]), notes


def is_validation(video: str) -> bool:
    """Decide by the video's name alone, so that a video stays where it is while others vanish from YouTube."""
    return _draw(video) % 100 < VALIDATION_PERCENT


def validation(videos: Iterable[str]) -> set[str]:
    """Return the videos of these that are validation: 5 %, or the first by its draw where a small part has none."""
    known = sorted(set(videos), key=_draw)
    return {video for video in known if is_validation(video)} or set(known[:1])


def _draw(video: str) -> int:
    return int.from_bytes(hashlib.sha256(f"validation {video}".encode()).digest()[:4])


def _lookup(excerpts: Sequence[Excerpt]) -> Callable[[str], int | None]:
    """Return a function from a file's name, without ending, to the row of the list that it is; None for no row."""
    of_video: dict[str, list[int]] = {}
    for row, excerpt in enumerate(excerpts):
        of_video.setdefault(excerpt.video, []).append(row)

    def find_row(name: str) -> int | None:
        for text in (name, name[1:]) if name.startswith("Y") else (name,):
            parts = _NAME.fullmatch(text)
            rows = of_video.get(parts["video"], []) if parts else []
            if parts and parts["start"]:
                start = int(parts["start"])
                rows = [i for i in rows if start in (round(excerpts[i].start), round(1000 * excerpts[i].start))]
            if len(rows) == 1:
                return rows[0]
        return None

    return find_row


def _audio(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
            yield inside(folder, str(path.relative_to(folder)), repr(folder.name))
