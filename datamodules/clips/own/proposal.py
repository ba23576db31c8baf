"""A survey of a user's clips, and the arguments with which they can be read."""

import json
import math
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from datamodules.audio import AudioError, inspect, length_and_rate, renamed
from datamodules.clips.own.division import Division, divide, indices, is_thin, table_lines
from datamodules.clips.own.labels import there
from datamodules.clips.own.reading import SHOWN, Options, OwnClips, counted, read
from datamodules.clips.own.tables_found import agree, arguments_of, one_or_parts, usable_tables
from datamodules.clips.own.tree import Tree, scan
from datamodules.errors import DataError, DatasetMissing

MEASURED = 200  # files whose lengths are read, spread over all
LONGEST_SECONDS = 7200.0  # of a file that is cut to pieces
CROPPED = 10.0  # seconds of a clip unless the user says otherwise
CLIPS = (2.0, 1.0, 0.5, 0.2, 0.1, 0.05)  # seconds of a training clip inside a segment, the first that fits
RATE = 32_000  # hertz of a clip unless the user says otherwise
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass
class Proposal:
    """How clips can be read.

    Attributes:
        arguments: of the dataset, as a suite has them.
        training_clips: fewest of a fold, estimated where files are cut; None where their lengths are not known.
        about: number of clips and classes, in words.
        lines: what was found, one fact a line.
        warnings: things that the user should look at.
        problems: one line for each thing that has to be corrected or said first.
    """

    arguments: dict[str, Any]
    training_clips: int | None = None
    about: str = ""
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def propose(place: Path, given: Mapping[str, Any]) -> Proposal:
    """Look at clips, and return how they can be read.

    Args:
        place: a folder, or a table.
        given: arguments that the user has decided.

    Raises:
        DataError: there is nothing that can be read as clips with classes.
    """
    proposed = _place(place, given)
    found = Proposal(
        proposed | {name: value for name, value in given.items() if name != "columns" or name not in proposed}
    )
    skip = bool(found.arguments.get("skip_unreadable"))
    own = read(Options.of(found.arguments))
    found.about = f"{len(own.files):,} clips of {len(own.classes):,} classes"
    if own.options.segments:
        rows = sum(map(len, own.segments.values()))
        found.about = f"{rows:,} segments of {len(own.classes):,} classes in {len(own.files):,} files"
    found.lines.append(f"{found.about}: {_per_class(own)}")
    found.lines += own.notes
    found.warnings += own.warnings
    found.problems += own.problems
    if own.unreadable and skip:
        found.warnings.append(f"{len(own.unreadable)} audio files are left out: {counted(list(own.unreadable))}")
    elif own.unreadable:
        found.problems += [f"{name!r}: {why}" for name, why in own.unreadable.items()]
        if own.files:
            found.problems.append("--skip-unreadable goes on without the audio that cannot be read")
    if found.problems:
        return found
    try:
        division = divide(own)
        fewest = min(len(indices(own, division, number)[0]) for number in division.numbers)  # raises as a run does
    except DataError as error:
        found.problems.append(str(error))
        return found
    found.problems += _copies(own, division)
    if found.problems:
        return found
    names = division.names if len(division.names) <= SHOWN else (*division.names[:SHOWN], "…")
    if division.official:
        what = "parts" if division.parts else "folds"
        found.lines.append(f"split: the given {what} {', '.join(names)}; a source is {own.group_rule}")
    else:
        found.lines.append(f"split: {len(division.names)} folds, grouped by source; a source is {own.group_rule}")
    found.lines += _nesting(own)
    if own.options.csv is None:
        found.lines += [
            f"{table.name!r} names these clips, too: `bench data init {shlex.quote(str(table))}` uses its columns"
            for table in usable_tables(own.options.place, {})[:3]
        ]
    found.warnings += division.warnings
    if is_thin(own, division):
        found.lines += table_lines(own, division)
    if own.options.segments:
        _clip_length(own, division, found)
    usual = _lengths(own, found)
    clip, hop = found.arguments.get("clip_seconds"), found.arguments.get("hop_seconds")
    if own.options.segments and clip is not None:
        found.training_clips = _clips_in_segments(own, division, clip, clip / 2 if hop is None else hop)
    elif hop is None:
        found.training_clips = fewest
    elif usual is not None and clip is not None:
        found.training_clips = fewest * max(1, math.ceil((usual - clip) / hop) + 1)
    return found


def _copies(own: OwnClips, division: Division) -> Iterator[str]:
    """Yield the problem of files that are copies of others in another fold or part, which a run refuses."""
    alike: dict[tuple[int, bytes], dict[Path, int]] = defaultdict(dict)
    for n, file in enumerate(own.files):
        if isinstance(file.source, Path):
            alike[_middle(file.source)].setdefault(file.source, n)
    pairs = []
    for those in alike.values():
        first: dict[str, int] = {}
        for source, n in those.items() if len(those) > 1 else ():
            with suppress(AudioError):  # said elsewhere
                sound = inspect(source, LONGEST_SECONDS)
                original = n if sound.silent else first.setdefault(sound.content, n)
                if division.of[original] != division.of[n]:
                    pairs.append(f"{own.files[n].id!r} of {own.files[original].id!r}")
    if pairs:
        remedy = "give a copy and its original one name in a column `group`, and one fold"
        if own.options.csv is None:
            remedy = "put a copy and its original into one folder inside the class"
        more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
        yield (
            f"{len(pairs)} of the files are copies, and would be both trained on and tested on: "
            f"{'; '.join(pairs[:SHOWN])}{more}; remove the copies, or {remedy}"
        )


def _middle(path: Path) -> tuple[int, bytes]:
    """Return a file's size and bytes of its middle, which tell most files apart."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size // 2)
        return size, file.read(256)


def toml(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else toml(name)


def _per_class(own: OwnClips) -> str:
    counts = dict.fromkeys(own.classes, 0)
    for file in own.files:
        for label in file.labels:
            counts[label] = counts.get(label, 0) + 1
    shown = [f"{label} {count:,}" for label, count in list(counts.items())[:12]]
    return ", ".join(shown) + (f" and {len(counts) - 12} more" if len(counts) > 12 else "")


def _place(place: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that say where the clips are, and what the columns of a table mean."""
    place = there(place)
    if place.is_file():
        return arguments_of([place], given)
    if not place.is_dir():
        raise DatasetMissing(f"{str(place)!r} is neither a folder nor a table: correct the path")
    tree = scan(place, follow_links=bool(given.get("follow_links")))
    while (inner := _only_folder(tree)) is not None:  # an archive's own folder around the classes
        within = place / inner
        below = scan(within, follow_links=bool(given.get("follow_links")))
        if len({file.label for file in below.files}) < 2 and _only_folder(below) is None:
            break
        place, tree = within, below
    tables = usable_tables(place, given)
    classes = {file.label for file in tree.files}
    if tables and (len(classes) < 2 or any("/" not in name for name in tree.unreadable) or not agree(tables, tree)):
        if len(chosen := one_or_parts(tables)) == len(tables) == 1 or len(chosen) > 1:
            return arguments_of(chosen, given)
        names = ", ".join(str(path) for path in tables)
        raise DataError(f"{str(place)!r} has several tables: name the one with the labels instead ({names})")
    return {"root": str(place)}


def _only_folder(tree: Tree) -> str | None:
    """Return the only folder of a tree, if all audio is in folders inside it; None otherwise."""
    labels = {file.label for file in tree.files}
    if len(labels) != 1 or any(file.part or not file.inner for file in tree.files):
        return None
    return None if any("/" not in name for name in tree.unreadable) else next(iter(labels))


def _nesting(own: OwnClips) -> Iterator[str]:
    """Yield which folders are taken as classes and which as sources, where a folder of classes has folders inside."""
    inner = sorted({file.id.split("/")[1] for file in own.files if file.id.count("/") > 1})
    if own.options.csv is None and not own.given and inner:
        if own.options.class_level == 2:
            yield f"classes are the inner folders ({_few(own.classes)}), and the outer ones are sources"
            return
        yield (
            f"classes are the outer folders ({_few(own.classes)}), and folders inside them are {_few(inner)}; "
            f"--set 'class_level = 2' takes those inside as classes, and the outer ones as sources"
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _clips_in_segments(own: OwnClips, division: Division, clip: float, hop: float) -> int:
    """Return the fewest training clips of a fold, of clips and hops of some seconds inside segments."""
    counts = []
    for number in division.numbers:
        inside = chain.from_iterable(own.segments[own.files[i].id] for i in indices(own, division, number)[0].tolist())
        counts.append(sum(max(0, math.floor((end - start - clip) / hop + 1e-6) + 1) for start, end, _ in inside))
    return min(counts)


def _clip_length(own: OwnClips, division: Division, found: Proposal) -> None:
    """Propose the length of a training clip: half of each class's segments, and one in each part, hold it."""
    given = found.arguments.get("clip_seconds")
    limit, where = math.inf, ""
    for number in division.numbers:
        for part, files in zip(("training", "validation", "test"), indices(own, division, number), strict=True):
            longest = dict.fromkeys(own.classes, 0.0)
            for start, end, label in chain.from_iterable(own.segments[own.files[i].id] for i in files.tolist()):
                longest[label] = max(longest[label], end - start)
            label = min(longest, key=lambda each: longest[each])
            if longest[label] < limit:
                fold = "" if division.parts else f" of fold {number}"
                limit, where = longest[label], f"the {part} files{fold} have no segment of {label!r}"
    if limit < (CLIPS[-1] if given is None else given):
        found.problems.append(
            f"{where} that holds a clip of {given or CLIPS[-1]:g} s: "
            + ("--set a smaller clip_seconds, or add files" if limit >= CLIPS[-1] else "add files, or remove the class")
        )
    elif given is None:
        lengths: dict[str, list[float]] = {label: [] for label in own.classes}
        for start, end, label in chain.from_iterable(own.segments.values()):
            lengths[label].append(end - start)
        usual = min(limit, *map(median, lengths.values()))
        clip = next((each for each in CLIPS if each <= usual), CLIPS[-1])
        found.arguments["clip_seconds"] = clip
        found.lines.append(f"each row is a segment; training clips of {clip:g} s are cut inside segments")


def _lengths(own: OwnClips, found: Proposal) -> float | None:
    """Look at some files, and propose to cut them to pieces where more than half of the sound would not be used.

    Returns:
        Their mean length in seconds; None where none can be read.
    """
    seconds, rates, bad = [], [], []
    looked = own.files[:: max(1, len(own.files) // MEASURED)]
    for file in looked:
        try:
            duration, rate = length_and_rate(file.source, LONGEST_SECONDS)
            seconds.append(duration)
            rates.append(rate)
        except AudioError as error:
            bad.append(renamed(str(error), file.source, file.id))
    if bad and not found.arguments.get("skip_unreadable"):
        found.problems += bad
        found.problems.append(f"--skip-unreadable goes on without them ({len(bad)} of {len(looked)} files looked at)")
    elif bad:
        found.warnings.append(f"{len(bad)} of {len(looked)} files that were looked at are left out: {bad[0]}")
    if not seconds:
        return None
    usual = sum(seconds) / len(seconds)
    shortest, longest = map(_seconds, (min(seconds), max(seconds)))
    found.lines.append(f"lengths: {longest if shortest == longest else f'{shortest} to {longest}'} s")
    _rates(rates, len(rates) == len(own.files), found)
    used = sum(min(each, CROPPED) for each in seconds)
    if not {"clip_seconds", "hop_seconds"} & found.arguments.keys() and used < 0.5 * sum(seconds):
        found.arguments |= {"clip_seconds": CROPPED, "hop_seconds": CROPPED}
        found.lines.append(f"files are cut to pieces of {CROPPED:g} s, because they are longer")
    return usual


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _rates(rates: Sequence[int], all_known: bool, found: Proposal) -> None:
    """Say the files' sample rates, and propose the highest where all are below the default."""
    least, most = min(rates), max(rates)
    words = f"{most:,} Hz" if least == most else f"{least:,} to {most:,} Hz"
    chosen = found.arguments.get("sample_rate")
    if chosen is not None or most >= RATE:
        found.lines.append(f"sample rates: {words}; clips have {chosen or f'{RATE:,}'} Hz")
    elif all_known:
        found.arguments["sample_rate"] = most
        found.lines.append(
            f"sample rates: {words}; clips have {most:,} Hz, because nothing is above that; the default is {RATE:,} Hz"
        )
    else:
        found.lines.append(
            f"sample rates: {words} in {len(rates)} files that were looked at; clips have {RATE:,} Hz; if all files "
            f"are like these, --set 'sample_rate = {most}' loses nothing"
        )
