"""Division of a user's own clips to train, validate and test: as the user says, or else by source."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.clips.dealing import grouped_folds, grouped_shares, one_hot
from datamodules.clips.own.reading import MIN_FOLDS, Options, OwnClips, counted, fewest_sources, read
from datamodules.errors import DataError

DEFAULT_FOLDS = 5
SEED = 0  # the division belongs to the dataset and does not depend on the run's seed
VALIDATION_SHARE = 0.2  # of the training clips, where the user names no clips to validate
THIN = 3  # fewer clips of a class in a fold are shown before training
COLUMNS = 12  # folds of the table of counts
ROWS = 20  # classes of the table of counts

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Division:
    """The folds or parts of a user's clips.

    Attributes:
        names: of the folds in order, or of the parts.
        of: fold or part of each clip, as a place in `names`.
        numbers: number of each fold in suites, keys and records: the user's own, or from 0 on; one for parts.
        official: whether the user has said the folds or parts.
        parts: whether these are parts of one split.
        rule: in words.
        warnings: facts that the user should look at.
    """

    names: tuple[str, ...]
    of: tuple[int, ...]
    numbers: tuple[int, ...]
    official: bool
    parts: bool
    rule: str
    warnings: tuple[str, ...] = ()


def divide(own: OwnClips) -> Division:
    """Return the division of a user's clips.

    Raises:
        DataError: there are too few folds, or classes with too few sources.
    """
    if own.given and own.options.n_folds:
        raise DataError("n_folds is for clips without folds or parts of their own: leave it out, or leave these out")
    if own.given == "parts":
        return _parts(own)
    if own.given == "folds":
        return _given_folds(own)
    return _dealt(own)


def _parts(own: OwnClips) -> Division:
    present = {file.fold for file in own.files}
    if "train" not in present or "test" not in present:
        found = ", ".join(name for name in ("train", "val", "test") if name in present)
        remedy = (
            'call "val" "test", and clips to validate are taken from the training clips'
            if {"train", "val"} <= present
            else "name both, or leave the split out to divide the clips by source"
        )
        if own.options.csv is not None:
            remedy += '; columns = {fold = "", split = ""} in [dataset.folder] does not use the split'
        raise DataError(f"the clips have the parts {found}, and none to {_lacking(present)}: {remedy}")
    names = tuple(name for name in ("train", "val", "test") if name in present)
    rule = "own clips: the given training, validation and test parts"
    if "val" not in present:
        rule = f"own clips: the given training and test parts; {_taken()}"
    return Division(names, tuple(names.index(file.fold) for file in own.files), (0,), True, True, rule)


def _lacking(present: set[str]) -> str:
    return " or ".join(name for name in ("train", "test") if name not in present)


def _taken() -> str:
    return f"{100 * VALIDATION_SHARE:g} % of the training clips, grouped by source, validate"


def _given_folds(own: OwnClips) -> Division:
    present = {file.fold for file in own.files}
    numeric = all(name.isdecimal() for name in present)
    names = tuple(sorted(present, key=int)) if numeric else tuple(sorted(present, key=natural))
    numbers = tuple(map(int, names)) if numeric else tuple(range(len(names)))
    if len(names) < 2:
        raise DataError(f"all clips are in fold {names[0]}: give them two or more folds, or leave the folds out")
    rule = "own clips: the given folds; test = k, validation = k + 1"
    if len(names) == 2:
        rule = f"own clips: two given folds; test = k; {_taken()}"
    if not numeric:
        rule += "; folds " + ", ".join(f"{number} = {name}" for number, name in zip(numbers, names, strict=True))
    return Division(names, tuple(names.index(file.fold) for file in own.files), numbers, True, False, rule)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts names with the numbers in them in numeric order."""
    return tuple((int(part[:9]), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name))


def _dealt(own: OwnClips) -> Division:
    groups = [file.group for file in own.files]
    targets = own.targets()
    each = [label for file in own.files for label in (file.labels or ("",))]
    whose = [file.group for file in own.files for _ in (file.labels or ("",))]
    fewest, rarest = fewest_sources(each, whose)
    if own.task == "multi":  # a rare class may be missing in a fold
        fewest, rarest = len(set(groups)), ""
    wanted = own.options.n_folds or min(DEFAULT_FOLDS, max(fewest, MIN_FOLDS))
    tried = (wanted,) if own.options.n_folds else tuple(range(wanted, MIN_FOLDS - 1, -1))
    found: Division | None = None
    for n in tried:
        if len(set(groups)) < n:
            continue
        of = grouped_folds(groups, targets, n, SEED)
        names = tuple(map(str, range(n)))
        division = Division(names, tuple(of), tuple(range(n)), False, False, _rule(n), _fewer(own, n, rarest, fewest))
        if own.task == "multi" or not (table(own, division) == 0).any():
            return division
        found = found or division
    if found is not None:
        raise DataError(_too_few(own, found))
    if words := _one_class(own):
        raise DataError(words)
    count = len(own.files)
    regroup = f", or {own.group_remedy}" if count >= tried[-1] else ""  # which makes no more sources than clips
    raise DataError(
        f"the {count} clips have {len(set(groups))} sources, and {tried[-1]} folds need at least {tried[-1]}: each "
        f"source is {own.group_rule}; add clips{regroup}"
    )


def _rule(n: int) -> str:
    return f"own clips: {n} folds grouped by source; test = k, validation = k + 1"


def _fewer(own: OwnClips, n: int, rarest: str, fewest: int) -> tuple[str, ...]:
    if n >= DEFAULT_FOLDS or own.options.n_folds:
        return ()
    whose = f"{rarest!r} has clips of {fewest} sources" if rarest else f"the clips have {fewest} sources"
    return (f"{n} folds instead of {DEFAULT_FOLDS}, because {whose} ({own.group_rule})",)


def table(own: OwnClips, division: Division) -> NDArray[np.int64]:
    """Return the number of clips of each class in each fold or part, `(C, folds)`."""
    counts = np.zeros((len(division.names), len(own.classes)), np.int64)
    positives = one_hot(own.targets())
    padded = np.zeros((len(own.files), len(own.classes)), np.int64)
    padded[:, : positives.shape[1]] = positives
    np.add.at(counts, np.array(division.of, np.int64), padded)
    return counts.T


def table_lines(own: OwnClips, division: Division) -> list[str]:
    """Return the table of clips per class and fold, as lines of text."""
    counts = table(own, division)
    shown = division.names[:COLUMNS]
    width = max(6, *(len(name[:10]) + 2 for name in shown))
    head = "clips per part" if division.parts else "clips per fold"
    more = f"  … {len(division.names) - COLUMNS} more" if len(division.names) > COLUMNS else ""
    lines = [f"  {head:24}" + "".join(f"{name[:10]:>{width}}" for name in shown) + more]
    rows = list(zip(own.classes, counts.tolist(), strict=True))
    thin = [row for row in rows if min(row[1]) < THIN]
    chosen = rows if len(rows) <= ROWS else thin[:ROWS]
    for label, row in chosen:
        lines.append(f"  {label[:24]:24}" + "".join(f"{count:>{width}}" for count in row[:COLUMNS]))
    if len(chosen) < len(rows):
        left = len(thin) - len(chosen)
        more = f"{left} more with fewer than {THIN} somewhere, and " if left else ""
        lines.append(f"  … {more}{len(rows) - len(thin)} classes with {THIN} or more everywhere")
    return lines


def is_thin(own: OwnClips, division: Division) -> bool:
    """Return whether a class has few clips in a fold or part."""
    return bool((table(own, division) < THIN).any())


def indices(own: OwnClips, division: Division, number: int) -> tuple[Indices, Indices, Indices]:
    """Return the indices of the training, validation and test clips.

    Args:
        own: the clips.
        division: their division.
        number: of the test fold.

    Raises:
        DataError: the training clips lack a class.
    """
    of = np.array(division.of, np.int64)
    if division.parts:
        place = {name: of == division.names.index(name) for name in division.names}
        train, test = np.flatnonzero(place["train"]), np.flatnonzero(place["test"])
        val = np.flatnonzero(place["val"]) if "val" in place else None
    else:
        k = division.numbers.index(number)
        count = len(division.names)
        is_test, is_val = of == k, of == (k + 1) % count
        test, val = np.flatnonzero(is_test), np.flatnonzero(is_val)
        train = np.flatnonzero(~is_test & ~is_val)
        if count == 2:
            train, val = np.flatnonzero(~is_test), None
    if val is None:
        train, val = _validation(own, train)
    targets = one_hot(own.targets())
    lacking = len(own.classes) - int((targets[train].sum(0) > 0).sum())
    few = 2 if own.task == "single" else 1
    if len(own.classes) < few or (lacking and own.task == "single") or not len(val) or not len(test):
        none = [label for label, count in zip(own.classes, targets[train].sum(0), strict=False) if count == 0]
        none += own.classes[targets.shape[1] :]
        raise DataError(_too_few(own, division, none))
    return train, val, test


def _validation(own: OwnClips, train: Indices) -> tuple[Indices, Indices]:
    """Divide the training clips to train and to validate; a class's only source trains."""
    groups = [own.files[i].group for i in train]
    if len(set(groups)) < 2:
        raise DataError(
            f"all training clips have one source, so none can validate: each source is {own.group_rule}; "
            f"{own.group_remedy}, or name clips to validate"
        )
    targets = one_hot(own.targets())[train]
    parts = np.array(grouped_shares(groups, targets, (1 - VALIDATION_SHARE, VALIDATION_SHARE), SEED))
    for label in np.flatnonzero((targets.sum(0) > 0) & (targets[parts == 0].sum(0) == 0)):
        back = {groups[i] for i in np.flatnonzero(targets[:, label])}
        parts[[group in back for group in groups]] = 0
    return train[parts == 0], train[parts == 1]


def _one_class(own: OwnClips) -> str:
    """Say that one class is none to tell apart; an empty text where there are more, or several labels per clip."""
    if len(own.classes) > 1 or own.task == "multi":
        return ""
    only = own.classes[0] if own.classes else "none"
    words = f"there is one class, {only!r}, and at least two are needed"
    if own.options.csv is None and own.classes and any(f.id.count("/") > 1 for f in own.files):
        words += f": if its folders are the classes, set root = {str(own.options.place / only)!r}"
    return words


def _too_few(own: OwnClips, division: Division, untrained: Sequence[str] = ()) -> str:
    """Say which clips are missing, with the table; `untrained` are classes without training clips."""
    if words := _one_class(own):
        return words
    what = "the given parts" if division.parts else f"{len(division.names)} folds"
    needed = (
        f"clips of the training {'part' if division.parts else 'folds'}"
        if division.official
        else f"clips of {len(division.names)} sources"
    )
    advice = "add clips"
    if not division.official:
        sources: dict[str, set[str]] = defaultdict(set)
        for file in own.files:
            for label in file.labels:
                sources[label].add(file.group)
        low = Counter({label: len(each) for label, each in sources.items()}).most_common()[-3:]
        advice += f", or {own.group_remedy}: each source is {own.group_rule}, and " + ", ".join(
            f"{label!r} has {count}" for label, count in reversed(low)
        )
    if untrained:
        advice = f"no training clip has {counted(list(untrained))}; {advice}"
    lines = "\n".join(table_lines(own, division))
    return f"too few clips for {what}: at least two classes are needed, each with {needed}; {advice}\n{lines}"


def folds_of(arguments: Mapping[str, Any]) -> dict[int, str] | None:
    """Return number and name of each fold of a user's clips, in order; None where they cannot be divided now.

    Args:
        arguments: the dataset's arguments, as a suite has them.
    """
    try:
        division = divide(read(Options.of(arguments)))
    except DataError:  # reading the clips will say what is wrong
        return None
    return dict(zip(division.numbers, ("",) if division.parts else division.names, strict=True))
