"""Files of a folder with one folder per class, at any depth."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datamodules.audio import ENDINGS
from datamodules.clips.own.labels import composed
from datamodules.errors import DataError
from datamodules.tables.csv_table import safe

PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Parts of a split, and the names under which folders and tables have them; case does not count."""

_PART_OF = {name: part for part, names in PARTS.items() for name in names}

OTHER_AUDIO = frozenset((
    ".3gp", ".3gpp", ".8svx", ".aac", ".ac3", ".adts", ".adx", ".aifc", ".alac", ".amr", ".ape", ".au", ".avi", ".avr",
    ".awb", ".caf", ".dff", ".dsf", ".dts", ".eac3", ".f4a", ".flv", ".g722", ".gsm", ".htk", ".ircam", ".m2ts", ".m4a",
    ".m4b", ".m4p", ".m4r", ".mka", ".mkv", ".mlp", ".mov", ".mp4", ".mpc", ".mpeg", ".mpg", ".mts", ".nist", ".oma",
    ".ogv", ".ogx", ".qcp", ".ra", ".ram", ".rf64", ".rm", ".shn", ".sln", ".snd", ".sph", ".spx", ".swf",
    ".tak", ".thd", ".tta", ".voc", ".vob", ".vox", ".w64", ".weba", ".webm", ".wma", ".wv", ".wve",
))  # fmt: skip
"""Endings of audio files that this project may not be able to read; none of them is left out without a word."""

UNREADABLE = "cannot be read by this installation"
_FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)
_FOLDER_OF_FOLD = re.compile(r"(?:k?fold|split|cv|partition)[ _-]?(\d{1,9}|[a-z])", re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d_]+")
_AROUND = frozenset(("audio", "audios", "clips", "data", "dataset", "files", "folder", "list", "set", "sounds", "split",
                     "wav", "wavs", "recordings", "samples", "subset"))  # fmt: skip
"""Words that stand next to "train" and so on in the names of parts."""
_LISTS = (".txt", ".lst")
_SNIFFED = 1000
"""Files with names that say nothing, of which at most the beginnings are read."""
_BEGINNINGS = (b"RF64", b"fLaC", b"OggS", b"ID3", b"caff", b"#!AMR", b".snd", b"NIST_1A")
_NO_AUDIO = frozenset((
    ".csv", ".db", ".gz", ".html", ".ini", ".jpeg", ".jpg", ".json", ".jsonl", ".lab", ".md", ".npy", ".npz", ".pdf",
    ".pkl", ".png", ".py", ".svg", ".tar", ".textgrid", ".tsv", ".txt", ".xml", ".yaml", ".yml", ".zip",
))  # fmt: skip
"""Endings of files that are not opened to see whether they are audio."""


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
        lists: names of the files that say the part of each audio file, and how many of their lines name no file.
    """

    files: list[Found] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    lists: dict[str, int] = field(default_factory=dict)


def part_of(name: str) -> str | None:
    """Return "train", "val" or "test" for a name of that part; None for any other name."""
    words = _WORDS.findall(name.casefold())
    if len(words) == 1:  # "trainset"
        words = [words[0].removesuffix("set") if words[0].removesuffix("set") in _PART_OF else words[0]]
    parts = [_PART_OF[word] for word in words if word in _PART_OF]
    return parts[0] if len(parts) == 1 and all(word in _PART_OF or word in _AROUND for word in words) else None


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
    parts = walker.parts(folders)
    for entry, folder in entries:
        if not folder:
            walker.loose(entry, "it is in no class's folder: move it into one, or name the clips in a table")
    for each in folders:
        if parts is None:
            walker.read_class(each, "")
        elif each.name not in parts:
            walker.read_aside(each, "it is in none of the parts of the split: move it into one, or out of this folder")
        elif walker.may_enter(each):
            for entry in walker.entries(Path(each.path)):
                if _is_folder(entry):
                    walker.read_class(entry, parts[each.name])
                else:
                    walker.loose(
                        entry,
                        f"it is in no class's folder below {safe(each.name)!r}: move it into one, name the clips in a "
                        f"table, or set root to the folder of one part",
                    )
    if parts is None:
        _apply_lists(tree, [Path(entry.path) for entry, folder in entries if not folder])
    return tree


def _apply_lists(tree: Tree, files: Sequence[Path]) -> None:
    """Set the parts of audio files that lists such as `testing_list.txt` name; those in no list train."""
    parts: dict[str, str] = {}
    for path in files:
        part = part_of(path.stem) if path.suffix.lower() in _LISTS else None
        if part is None:
            continue
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        names = [composed(line.strip().replace("\\", "/").removeprefix("./")) for line in lines if line.strip()]
        known = {composed(file.name) for file in tree.files}
        if found := [name for name in names if name in known]:
            tree.lists[safe(path.name)] = len(names) - len(found)
            parts |= dict.fromkeys(found, part)
    if len(tree.lists) and "test" in parts.values():
        others = "" if "train" in parts.values() else "train"
        placed = [replace(file, part=parts.get(composed(file.name), others)) for file in tree.files]
        for file in placed:
            if not file.part:
                tree.unreadable[file.name] = f"it is in none of the lists ({', '.join(tree.lists)}): add it to one"
        tree.files = [file for file in placed if file.part]
    else:
        tree.lists.clear()


def _fold_of(name: str) -> str | None:
    """Return the number or letter in a folder's name like "fold3", "split_3" or "foldA"; None for any other name."""
    match = _FOLDER_OF_FOLD.fullmatch(name.strip())
    return match and (str(int(match[1])) if match[1].isdecimal() else match[1].upper())


def _hidden(name: str) -> bool:
    """Return whether a name is hidden, or is that of the folder which macOS puts into its archives."""
    return name.startswith(".") or name == "__MACOSX"


def _begins_as_audio(entry: "os.DirEntry[str]") -> bool:
    """Return whether a regular file begins as a common kind of audio does."""
    try:
        if not entry.is_file(follow_symlinks=False):
            return False
        with open(entry.path, "rb") as file:  # noqa: PTH123
            head = file.read(12)
    except OSError:
        return False
    if head[:4] in (b"RIFF", b"RIFX"):
        return head[8:] in (b"WAVE", b"AVI ")
    return head.startswith(_BEGINNINGS) or head[4:8] == b"ftyp" or head[:2] in (b"\xff\xfb", b"\xff\xf3")


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
        self.sniffed = 0

    def parts(self, folders: "Sequence[os.DirEntry[str]]") -> dict[str, str] | None:
        """Return the part or fold that each folder stands for; None where folders are classes.

        Folders of other names may stand next to parts only if these hold folders of classes, and no audio themselves.
        """
        for named, needed in ((part_of, "train"), (_fold_of, None)):
            parts = {entry.name: part for entry in folders if (part := named(entry.name))}
            if needed and set(parts.values()) == {"val", "test"}:  # "development" and "evaluation"
                parts = {name: "train" if part == "val" else part for name, part in parts.items()}
            if len(parts) < 2 or (needed and needed not in parts.values()):
                continue
            if len(parts) == len(folders) or all(self._holds_classes(e) for e in folders if e.name in parts):
                return parts
        return None

    def _holds_classes(self, folder: "os.DirEntry[str]") -> bool:
        entries = self.entries(Path(folder.path))
        return any(map(_is_folder, entries)) and not any(self._is_audio(e) for e in entries if not _is_folder(e))

    def _is_audio(self, entry: "os.DirEntry[str]") -> bool:
        ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path for each entry takes longer
        return ending in self.endings or ending in self.others

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
        if self._is_audio(entry):
            self.tree.unreadable[self.name(entry.path)] = why
        else:
            self._other(entry, self.name(entry.path))

    def _other(self, entry: "os.DirEntry[str]", name: str) -> None:
        """Count a file whose name is none of audio; one that begins as audio does is not left out without a word."""
        ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path for each entry takes longer
        if self.others and ending not in _NO_AUDIO and self.sniffed < _SNIFFED:
            self.sniffed += 1
            if _begins_as_audio(entry):
                self.tree.unreadable[name] = "it is audio, and its name does not say so: rename it, such as to .wav"
                return
        self.tree.others[ending or "no ending"] += 1

    def read_aside(self, folder: "os.DirEntry[str]", why: str) -> None:
        """Keep what is in a folder that is neither a class nor a part."""
        before = len(self.tree.unreadable)
        for entry, _ in self._below(Path(folder.path), "", (os.path.realpath(folder.path),)):
            self.loose(entry, why)
        if before == len(self.tree.unreadable):
            self.tree.empty.append(self.name(folder.path))

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
            self._other(entry, name)
