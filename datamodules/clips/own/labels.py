"""Classes of a user's own clips: their order, and whether a label is one class or several."""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from datamodules.errors import DataError

CERTAIN = (";", "|")
"""Separators that names of classes hardly ever contain."""
POSSIBLE = (",", "+", "&", "/", "_and_", " and ")
"""Separators that names of classes do contain; labels are in doubt only where their pieces are labels themselves."""
SHOWN = 3


def there(path: Path) -> Path:
    """Return a path with its parts as the disk has them, where they differ only in their Unicode normal form."""
    path = path.expanduser()
    if str(path).isascii() or path.exists():
        return path
    found = Path(path.anchor)
    for part in path.parts[1 if path.anchor else 0 :]:
        alike = [part]
        if not (found / part).exists() and found.is_dir():
            alike = [each.name for each in found.iterdir() if composed(each.name) == composed(part)] or alike
        found /= alike[0]
    return found


def composed(name: str) -> str:
    """Return a name in the form (NFC) in which names are equal that differ only in the form of their accents."""
    return unicodedata.normalize("NFC", name)


def separated(label: str, separator: str) -> tuple[str, ...]:
    """Return the classes in a label, each once, without blanks around them; a label may be a list in brackets."""
    if is_list(label):
        inside = label.strip()[1:-1].split(separator)
        return tuple(dict.fromkeys(part for each in inside if (part := each.strip().strip("'\"").strip())))
    return tuple(dict.fromkeys(part for each in label.split(separator) if (part := each.strip())))


def is_list(label: str) -> bool:
    """Return whether a label is a list as Python or JSON write it, such as `["cat", "rain"]`."""
    inside = label.strip()
    return inside == "[]" or (inside[:2] in ("['", '["') and inside[-2:] in ("']", '"]'))


def doubtful(labels: Sequence[str], *, certain: bool = False, plural: bool = False) -> tuple[str, list[str]] | None:
    """Return the separator at which labels look like several classes, and these labels; None where none does.

    Args:
        labels: the different labels.
        certain: only look for separators that names of classes hardly ever contain.
        plural: whether the column is called "labels" or the like, so that a comma separates classes.
    """
    if not certain and (lists := [label for label in labels if is_list(label)]):
        return ",", lists
    for separator in (*CERTAIN, ",") if plural and not certain else CERTAIN:
        if several := [label for label in labels if len(separated(label, separator)) > 1]:
            return separator, several
    for separator in () if certain else POSSIBLE:
        parts = Counter(part for label in labels for part in separated(label, separator))
        several = [
            label
            for label in labels
            if len(pieces := separated(label, separator)) > 1 and all(parts[piece] > 1 for piece in pieces)
        ]
        if several:
            return separator, several
    return None


def question(labels: Sequence[str], *, certain: bool = False, plural: bool = False) -> str | None:
    """Return the question whether some labels are several classes; None where no label is in doubt."""
    found = doubtful(labels, certain=certain, plural=plural)
    if found is None:
        return None
    separator, several = found
    more = f" and {len(several) - SHOWN} more" if len(several) > SHOWN else ""
    named = ", ".join(map(repr, several[:SHOWN]))
    return (
        f"is {named}{more} one class or several? In [dataset.folder], set label_separator = {_toml(separator)} if a "
        f'clip has several classes, or label_separator = "" if each label is one class'
    )


def _toml(text: str) -> str:
    return f'"{text}"'


def ordered(labels: Iterable[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the classes in the wanted order; without one, numbers in numeric order and other names by name.

    Args:
        labels: the different labels.
        wanted: all classes in the user's order; empty without one.

    Raises:
        DataError: the wanted order lacks a label, or has one twice.
    """
    found = set(labels)
    if wanted:
        if len(set(wanted)) != len(wanted):
            twice = next(name for name, count in Counter(wanted).items() if count > 1)
            raise DataError(f"classes has {twice!r} twice: name each class once")
        if missing := sorted(found - set(wanted)):
            named = ", ".join(map(repr, missing[:10]))
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            raise DataError(f"classes lacks {named}{more}, which clips have: add them, or leave classes out")
        return tuple(wanted)
    numbers = {label: _number(label) for label in found}
    if found and all(number is not None for number in numbers.values()):
        return tuple(sorted(found, key=lambda label: (numbers[label] or 0.0, label)))
    return tuple(sorted(found))


def _number(label: str) -> float | None:
    """Return the number that a label is; None for any other name."""
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in label else None


def alike(classes: Sequence[str]) -> list[str]:
    """Return a warning for each group of classes whose names differ in case, blanks or Unicode form only."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in classes:
        groups[" ".join(unicodedata.normalize("NFKC", label).split()).casefold()].append(label)
    return [
        f"the classes {', '.join(map(repr, group))} differ in blanks or capitals only: rename them if they are one"
        for group in groups.values()
        if len(group) > 1
    ] + [
        f"the class {group[0]!r} has blanks at its ends: rename it if they are not meant"
        for group in groups.values()
        if len(group) == 1 and group[0] != group[0].strip()
    ]
