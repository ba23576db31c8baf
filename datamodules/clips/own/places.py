"""Files that a table names: found as other programs write their names, and refused outside the folder."""

import os
from collections.abc import Collection
from pathlib import Path

from datamodules.audio import ENDINGS
from datamodules.clips.own.labels import composed
from datamodules.errors import DataError

MOST = 1_000_000
"""Files that are looked at to find names without folders."""


class Places:
    """Finds the files that a table names, and refuses those outside its folder.

    Args:
        root: the folder from which paths start.
        follow_links: whether links may lead outside it.
        allow_outside: whether absolute paths and ".." may lead outside it.
        endings: of the files, which names in the table may lack.

    Attributes:
        found_below: number of names without folders whose files are deeper in the folder.
    """

    def __init__(
        self, root: Path, *, follow_links: bool, allow_outside: bool, endings: Collection[str] = ENDINGS
    ) -> None:
        self.root = root
        self.top = os.path.abspath(root)  # noqa: PTH100 - links stay as they are
        self.real = os.path.realpath(root)
        self.follow_links = follow_links
        self.allow_outside = allow_outside
        self.folders: dict[str, tuple[str, dict[str, str] | None]] = {}
        self.plain: dict[str, dict[str, str]] = {}
        self.endings = endings
        self.found_below = 0
        self.below: dict[str, list[str]] | None = None
        self.stems: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str, where: str) -> tuple[Path, str]:
        """Return the file that a row names, and its path without links.

        The file may not exist. Names that differ only in the Unicode form of their accents are the same. A name may
        lack its ending, and one without a folder may be that of a file anywhere below, if only one file is called so.

        Args:
            name: as in the table.
            where: the row.

        Raises:
            DataError: the file is outside the folder, or the name cannot be one.
        """
        if "\0" in name:
            raise DataError(f"{where}: the path has a NUL character: correct the row")
        try:
            path = os.path.normpath(os.path.join(self.top, name))  # noqa: PTH118
            if not self.allow_outside and not _within(path, self.top) and not _within(path, self.real):
                words = f"{where}: {name!r} is outside {str(self.root)!r}"
                if not os.path.lexists(path):
                    raise DataError(f"{words}, and there is no such file: {self.absent(name).partition(': ')[2]}")
                raise DataError(
                    f"{words}: set allow_outside = true in [dataset.folder] to read it, or audio_root to the folder "
                    f"from which paths start"
                )
            path = self._existing(path, name, where)
            folder = os.path.dirname(path)  # noqa: PTH120
            real = os.path.join(self._folder(folder)[0], os.path.basename(path))  # noqa: PTH118, PTH119
            if os.path.islink(real):  # noqa: PTH114
                real = os.path.realpath(real)
        except OSError as error:
            raise DataError(f"{where}: {name!r} cannot be followed ({error.strerror}): correct the path") from error
        if not self.follow_links and _within(path, self.top) and not _within(real, self.real):
            raise DataError(
                f"{where}: {name!r} is a link to a place outside {str(self.root)!r}: set follow_links = true in "
                f"[dataset.folder] to read it, or put the file itself there"
            )
        return Path(path), real

    def absent(self, name: str) -> str:
        """Return why a row's file is not found, and what to do: the likeliest file, if there is one.

        Args:
            name: as in the table; there is no such file.
        """
        words = f"there is no such file in {str(self.root)!r}"
        near = self._near(name)
        if near is not None:
            return f"{words}, but {near!r} is there: write the name as it is on the disk"
        if os.path.isabs(name):  # noqa: PTH117
            return (
                "there is no such file on this machine: correct the path, or write paths that start from audio_root in "
                "[dataset.folder]"
            )
        return f"{words}: correct the path, or set audio_root in [dataset.folder] to the folder from which paths start"

    def _near(self, name: str) -> str | None:
        """Return a file whose name differs in capitals, in blanks at its ends, or in its ending."""
        head, tail = os.path.split(os.path.normpath(os.path.join(self.top, name.strip())))  # noqa: PTH118
        wanted = composed(tail).casefold()
        if head not in self.plain:
            self.plain[head] = {}
            for form, each in sorted(self._names(head).items(), reverse=True):
                stem = os.path.splitext(form)[0]  # noqa: PTH122
                self.plain[head].setdefault(stem.casefold(), each)
                self.plain[head][form.casefold()] = each
        found = self.plain[head].get(wanted) or self.plain[head].get(os.path.splitext(wanted)[0])  # noqa: PTH122
        return None if found is None else os.path.join(os.path.dirname(name.strip()), found)  # noqa: PTH118, PTH120

    def _existing(self, path: str, name: str, where: str) -> str:
        """Return a path in the Unicode form that the disk has; the path itself where no file has it."""
        if os.path.lexists(path):
            return path
        if (other := self._in_any_form(path)) is not None:
            return other
        if (other := self._without_ending(path)) is not None:
            return other
        if not os.path.dirname(name.strip()) and (other := self._below(name, where)) is not None:  # noqa: PTH120
            self.found_below += 1
            return other
        if "\\" in name:
            slashes = name.replace("\\", "/")
            raise DataError(f"{where}: {name!r} has backslashes: separate folders with slashes, {slashes!r}")
        return path

    def _without_ending(self, path: str) -> str | None:
        """Return the only file of a folder whose name is this one and an ending of such files."""
        head, tail = os.path.split(path)
        if head not in self.stems:
            self.stems[head] = {}
            for form, each in self._names(head).items():
                stem, ending = os.path.splitext(form)  # noqa: PTH122
                if ending.lower() in self.endings:
                    self.stems[head].setdefault(stem, []).append(each)
        found = self.stems[head].get(composed(tail), [])
        return os.path.join(head, found[0]) if len(found) == 1 else None  # noqa: PTH118

    def _below(self, name: str, where: str) -> str | None:
        """Return the only file anywhere below the folder with this name, with or without its ending."""
        if self.below is None:
            self.below = {}
            seen = 0
            for folder, folders, files in os.walk(self.top):
                folders[:] = sorted(each for each in folders if not each.startswith((".", "__MACOSX")))
                seen += len(files)
                if seen > MOST:
                    self.below = {}
                    break
                for each in sorted(files):
                    stem, ending = os.path.splitext(composed(each))  # noqa: PTH122
                    if ending.lower() in self.endings and not each.startswith("."):
                        for key in (composed(each), stem):
                            self.below.setdefault(key, []).append(os.path.join(folder, each))  # noqa: PTH118
        found = self.below.get(composed(name.strip()), [])
        if len(found) > 1:
            some = " and ".join(repr(os.path.relpath(each, self.top)) for each in found[:2])
            more = f" and {len(found) - 2} more" if len(found) > 2 else ""
            raise DataError(f"{where}: {name!r} can be {some}{more}: write the folder, too")
        return found[0] if found else None

    def _in_any_form(self, path: str) -> str | None:
        head, tail = os.path.split(path)
        if not tail or head == path:
            return None
        if not os.path.isdir(head):  # noqa: PTH112
            found = self._in_any_form(head)
            if found is None or not os.path.isdir(found):  # noqa: PTH112
                return None
            head = found
        names = self._names(head)
        match = names.get(composed(tail))
        return None if match is None else os.path.join(head, match)  # noqa: PTH118

    def _names(self, folder: str) -> dict[str, str]:
        real, names = self._folder(folder)
        if names is None:
            try:
                names = {composed(each): each for each in os.listdir(folder)}  # noqa: PTH208
            except OSError:
                names = {}
            self.folders[folder] = real, names
        return names

    def _folder(self, folder: str) -> tuple[str, dict[str, str] | None]:
        """Return a folder's path without links, and the names in it by their composed form once they are known."""
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder), None
        return self.folders[folder]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
