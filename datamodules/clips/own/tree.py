"""Files of a folder with one folder per class, at any depth."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.audio import ENDINGS
from datamodules.errors import DataError
from datamodules.tables.csv_table import safe

PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Parts of a split, and the names under which folders and tables have them; case does not count."""

OTHER_AUDIO = frozenset((
    ".3gp", ".3gpp", ".aac", ".ac3", ".adts", ".aifc", ".alac", ".amr", ".ape", ".au", ".awb", ".caf", ".dsf", ".dts",
    ".flv", ".gsm", ".m4a", ".m4b", ".m4r", ".mka", ".mkv", ".mov", ".mp2", ".mp4", ".mpc", ".nist", ".ra", ".rf64",
    ".snd", ".sph", ".spx", ".tta", ".voc", ".w64", ".weba", ".webm", ".wma", ".wv",
))  # fmt: skip
"""Endings of audio files that this project may not be able to read; none of them is left out without a word."""

UNREADABLE = "cannot be read by this installation"
_FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """An audio file of a tree.

    Attributes:
        name: its path below the root, with "/", as valid text.
        path: the file.
        label: the folder of its class.
        inner: the folder below that of the class, in which it is; empty for a file directly in its class.
        part: "train", "val", "test", or the number of its fold; empty where folders do not say.
    """

    name: str
    path: Path
    label: str
    inner: str
    part: str


@dataclass
class Tree:
    """Content of a folder of classes.

    Attributes:
        files: the audio files, in order.
        unreadable: name of each audio file that cannot be read, and the reason.
        problems: one line for each link that is not followed.
        others: number of files that are no audio.
        empty: folders of classes without any audio.
    """

    files: list[Found] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)


def part_of(name: str) -> str | None:
    """Return "train", "val" or "test" for a name of that part; None for any other name."""
    return next((part for part, names in PARTS.items() if name.strip().casefold() in names), None)


def fold_number(name: str) -> str | None:
    """Return the number in a name like "fold3"; None for any other name."""
    match = _FOLD.fullmatch(name.strip())
    return str(int(match[1])) if match and len(match[1]) < 10 else None


def scan(root: Path, *, follow_links: bool = False, endings: Collection[str] = ENDINGS) -> Tree:
    """Find the audio files of `root/<class>/…`, or of `root/<train, val or test>/<class>/…`.

    Args:
        root: an existing folder.
        follow_links: whether files and folders outside the root are read through links.
        endings: of the files to find, in lower case; those of audio by default.
    """
    tree = Tree()
    walker = _Walker(root, tree, follow_links, endings)
    entries = [(entry, _is_folder(entry)) for entry in walker.entries(root)]
    folders = [entry for entry, folder in entries if folder]
    parts = _parts([entry.name for entry in folders])
    for entry, folder in entries:
        if not folder:
            walker.loose(entry, "it is in no class's folder: move it into one, or name the clips in a table")
    for each in folders:
        if parts is None:
            walker.read_class(each, "")
        elif walker.may_enter(each):
            for entry in walker.entries(Path(each.path)):
                if _is_folder(entry):
                    walker.read_class(entry, parts[each.name])
                else:
                    walker.loose(entry, f"it is in no class's folder below {safe(each.name)!r}: move it into one")
    return tree


def _parts(names: list[str]) -> dict[str, str] | None:
    """Return the part that each folder stands for; None where folders are classes."""
    parts = {name: part for name in names if (part := part_of(name))}
    if len(parts) == len(names) >= 2 and "train" in parts.values():
        return parts
    folds = {name: number for name in names if (number := fold_number(name))}
    return folds if len(folds) == len(names) >= 2 else None


def _hidden(name: str) -> bool:
    """Return whether a name is hidden, or is that of the folder which macOS puts into its archives."""
    return name.startswith(".") or name == "__MACOSX"


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


class _Walker:
    """Reads classes of a tree into `tree`."""

    def __init__(self, root: Path, tree: Tree, follow_links: bool, endings: Collection[str]) -> None:
        self.root = root
        self.real = os.path.realpath(root)
        self.tree = tree
        self.follow_links = follow_links
        self.endings = endings
        self.others = OTHER_AUDIO if endings is ENDINGS else frozenset[str]()

    def entries(self, folder: Path) -> "list[os.DirEntry[str]]":
        """Return what is in a folder, in order, without what is hidden."""
        try:
            with os.scandir(folder) as found:
                return sorted((entry for entry in found if not _hidden(entry.name)), key=lambda e: e.name)
        except OSError as error:
            self.tree.problems.append(
                f"{self.name(folder)!r} cannot be read ({error.strerror}): change its permissions"
            )
            return []

    def name(self, path: str | Path) -> str:
        return safe(Path(os.path.relpath(path, self.root)).as_posix())

    def may_enter(self, entry: "os.DirEntry[str]") -> bool:
        """Return whether a file or folder may be read; a link that leads outside is a problem otherwise."""
        if not entry.is_symlink() or self.follow_links:
            return True
        try:
            target = os.path.realpath(entry.path, strict=False)
            if target == self.real or target.startswith(self.real.rstrip(os.sep) + os.sep):
                return True
        except OSError:
            pass
        self.tree.problems.append(
            f"{self.name(entry.path)!r} is a link to a place outside {str(self.root)!r}: set follow_links = true in "
            f"[dataset.folder] to read it, or put the files themselves there"
        )
        return False

    def loose(self, entry: "os.DirEntry[str]", why: str) -> None:
        """Keep a file that is in no class's folder; audio is never left out without a word."""
        ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path for each entry takes longer
        if ending in self.endings or ending in self.others:
            self.tree.unreadable[self.name(entry.path)] = why
        else:
            self.tree.others[ending or "no ending"] += 1

    def read_class(self, folder: "os.DirEntry[str]", part: str) -> None:
        """Read a folder of one class and everything below it."""
        before = len(self.tree.files) + len(self.tree.unreadable) + len(self.tree.problems)
        if self.may_enter(folder):
            prefix = self.name(folder.path)
            for entry, below in self._below(Path(folder.path), "", (os.path.realpath(folder.path),)):
                self._read_file(entry, f"{prefix}/{below}", folder.name, part, below)
        if before == len(self.tree.files) + len(self.tree.unreadable) + len(self.tree.problems):
            self.tree.empty.append(self.name(folder.path))

    def _below(self, folder: Path, prefix: str, within: tuple[str, ...]) -> "Iterator[tuple[os.DirEntry[str], str]]":
        """Yield the files below a folder with their paths from there, in the order of these paths' parts."""
        for entry in self.entries(folder):
            below = f"{prefix}{entry.name}"
            if not _is_folder(entry):
                yield entry, below
                continue
            if not self.may_enter(entry):
                continue
            real = os.path.realpath(entry.path) if entry.is_symlink() else ""
            if real and any(each == real or each.startswith(real + os.sep) for each in within):
                self.tree.problems.append(f"{self.name(entry.path)!r} is a link to a folder that holds it: remove it")
                continue
            yield from self._below(Path(entry.path), f"{below}/", (*within, real or os.path.realpath(entry.path)))

    def _read_file(self, entry: "os.DirEntry[str]", name: str, label: str, part: str, below: str) -> None:
        ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path for each entry takes longer
        name = safe(name)
        if ending in self.endings:
            try:
                if self.may_enter(entry):
                    inner = below.partition("/")[0] if "/" in below else ""
                    self.tree.files.append(Found(name, Path(entry.path), safe(label), safe(inner), part))
            except OSError as error:
                raise DataError(f"{name!r} cannot be followed ({error}): put the file itself there") from error
        elif ending in self.others:
            self.tree.unreadable[name] = f"{ending} {UNREADABLE}: convert it to wav or flac"
        else:
            self.tree.others[ending or "no ending"] += 1
