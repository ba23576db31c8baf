"""Files of embeddings that the dataset `embeddings` reads back: `.npy`, Parquet and TFRecord."""

import errno
import hashlib
import io
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import ArgumentError, RunError
from bench.inference.classifier import Classifier
from bench.inference.embedding import Embedding
from bench.records import scratch, write_whole
from datamodules.tables import parquet, tfrecord
from datamodules.tables.csv_table import safe

FORMATS = ("npy", "parquet", "tfrecord")

_ENDINGS = (".npy", ".npz", ".parquet", ".tfrecord")

ORIGIN = ".bench-embed.json"
"""File in the folder that says what made its embeddings, and which files; its name is hidden, so datasets pass over
it."""

_FILES = "files"
"""Entry of the origin: for each file that was written, by its path in the folder, its SHA-256 and a digest of the names
of the files and folders that were read."""

_TEMPORARY = re.compile(r"\.tmp-[a-z0-9_]{8}")
"""Name of a temporary file of `write_whole`, which nobody but its owner may read until it is complete."""


def origin(model: Classifier, layer: str | None, hop_seconds: float | None, each_window: bool) -> dict[str, Any]:
    """Return what embeddings are made by; arguments as for `bench.inference.embedding.embed`."""
    hop = model.clip_seconds if hop_seconds is None else hop_seconds
    return {"runs": list(model.keys), "layer": layer, "each_window": each_window, "hop_seconds": hop}


class UnfitNameError(RunError):
    """A sound's name cannot be that of its vector; other sounds' can."""


class Writer:
    """Writes a folder of embeddings with the folders of the sounds: `<out>/<class>/`.

    In the format npy each sound has a file `(T, D)`. In the formats parquet and tfrecord each folder has one file,
    `embeddings.parquet` or `embeddings.tfrecord`, with a row or a record for each sound. Each clip of a file of several
    counts as a sound of its own, called `<file>[<clip>]`.

    Files that an earlier call on the same folders wrote, and this one does not, are removed at the end, unless a sound
    could not be used; those of other folders, and files that are not as `bench` wrote them, stay.

    Attributes:
        written: number of sounds that were taken.
        removed: number of files of an earlier call that `close` has removed.
        kept: files and rows of an earlier call that `close` would have removed if every sound could be used.
        foreign: files of embeddings in the folder that no call is known to have written, after `close`.

    Args:
        out: the folder.
        format: "npy", "parquet" or "tfrecord".
        made: of `origin`; a folder holds embeddings of one origin and in one format.
        roots: files and folders that are read.

    Raises:
        ArgumentError: the format is unknown, the folder is a file, or it has embeddings of another origin.
        DataError: the package of the format is not installed.
    """

    def __init__(self, out: Path, format: str, made: Mapping[str, Any], roots: Iterable[Path] = ()) -> None:
        if format not in FORMATS:
            raise ArgumentError(f"there is no format {format!r}: choose one of {', '.join(FORMATS)}")
        if os.path.lexists(out) and not out.is_dir():
            what = "a file" if out.exists() else "a link to a folder that is not there"
            raise ArgumentError(f"{out} is {what}: name a folder, which the dataset `embeddings` reads as its root")
        if format == "parquet":
            parquet.package()
        self.made = dict(made) | {"format": format}
        _refuse_others(out, self.made)
        self.out, self.format = out, format
        self.before = _listed(_origin_of(out))
        self.files: dict[str, str] = {}
        names = "\n".join(sorted(str(root.resolve()) for root in roots))
        self.read = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()[:16]
        self.removed = 0
        self.kept: list[str] = []
        self.foreign: list[Path] = []
        self.rows: dict[Path, dict[str, Any]] = {}
        self.seen: set[Path] = set()
        self.written = 0

    def add(self, place: Path, found: Embedding) -> None:
        """Take the embedding of a file, or of one clip of it.

        Args:
            place: of the file, relative to its folder.
            found: without an error.

        Raises:
            UnfitNameError: the sound's name is too long for a file, or is no text; other sounds can be taken.
            RunError: two sounds have one name, or a file is in the way.
        """
        assert found.values is not None  # the caller has looked for an error
        if found.inside is not None:
            place = place.with_name(f"{place.name}[{_as_part(str(found.inside))}]")
        if place in self.seen:
            raise RunError(f"two sounds are called {place}: give one folder for both, or write them apart")
        self.seen.add(place)
        if not self.written:
            self.note()
        if self.format == "npy":
            path = self.out / place.with_name(f"{place.name}.npy")
            self._make(path.parent)
            buffer = io.BytesIO()
            np.save(buffer, found.values, allow_pickle=False)
            is_anothers = self._refuse_anothers(path, buffer.getvalue())
            try:
                if not is_anothers:
                    write_whole(path, buffer.getvalue())
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                remedy = "rename the file" if found.inside is None else "rename the clip"
                raise UnfitNameError(
                    f"its name is too long for a file of its vector, {safe(f'{path.name[:20]}...{path.name[-20:]}')}: "
                    f"{remedy}, or write --format tfrecord"
                ) from error
            if not is_anothers:
                self._wrote(path)
        else:
            try:
                place.name.encode()
            except UnicodeEncodeError as error:
                raise UnfitNameError(
                    f"its name is not UTF-8, as names in --format {self.format} are: rename the file, or write "
                    f"--format npy"
                ) from error
            if place.parent not in self.rows:  # or else it is known after all the work that the call cannot end well
                self._make(self.out / place.parent)
                self._refuse_anothers(self.out / place.parent / f"embeddings.{self.format}")
            self.rows.setdefault(place.parent, {})[place.name] = found
        self.written += 1

    def note(self) -> None:
        """Write the origin, with the files of this call and of earlier ones; for a call that ends early, too."""
        content = self.made | {_FILES: dict(sorted((self.before | self.files).items()))}
        write_whole(self.out / ORIGIN, (json.dumps(content, indent=1) + "\n").encode())

    def close(self, all_used: bool = True) -> None:
        """Write what has been collected, and remove what earlier calls wrote and this one did not.

        Args:
            all_used: whether every sound could be used. Or else nothing is removed, neither a file nor a row, because
                the rest are perhaps only out of reach.
        """
        for folder, rows in self.rows.items():
            self._make(self.out / folder)
            path = self.out / folder / f"embeddings.{self.format}"
            self._refuse_anothers(path)
            if not all_used and path.exists():
                before = _rows(path)
                self.kept += [f"{path.relative_to(self.out).as_posix()}[{name}]" for name in before if name not in rows]
                rows = before | rows
            values = {name: found.values for name, found in rows.items()}
            if self.format == "tfrecord":
                try:
                    content = tfrecord.written([tfrecord.Example(name, frames) for name, frames in values.items()])
                except ValueError as error:
                    raise RunError(f"{path}: {error}: write --format npy") from error
            else:
                times = {name: (found.starts, found.ends) for name, found in rows.items()}
                content = parquet.written(values, times)
            write_whole(path, content)
            self._wrote(path)
        self._sweep()
        stale = self._stale()
        if not all_used or not self.written:
            self.kept += stale
        else:
            self._remove(stale)
        if self.written:
            self.note()
            self.foreign = [
                path for path in _embeddings(self.out)
                if path.relative_to(self.out).as_posix() not in self.before | self.files
            ]  # fmt: skip

    def _make(self, folder: Path) -> None:
        """Make a folder, or raise a RunError where a link leads elsewhere, or something else is in the way."""
        try:
            if not folder.resolve().is_relative_to(self.out.resolve()):
                raise RunError(f"{folder} leads out of {self.out}: move that link away, or name another --out")
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, RuntimeError) as error:  # the last one of a loop of links
            raise RunError(
                f"{folder} cannot be made a folder for vectors, because a file or a link is in its place or above it: "
                f"move that away, or name another --out"
            ) from error

    def _refuse_anothers(self, path: Path, content: bytes | None = None) -> bool:
        """Return whether a path has the content already, of somebody else, who keeps the file.

        Raises:
            RunError: it has another content, which no call on the same folders wrote.
        """
        known = self.before.get(path.relative_to(self.out).as_posix(), "")
        own = known.endswith(f" {self.read}") and _is_own(path, known, self.out)
        if own or not os.path.lexists(path):
            return False
        if path.is_symlink() or content is None or path.read_bytes() != content:
            raise RunError(
                f"{path} is there already, and it is not as an earlier call on the same folders wrote it: "
                f"move it away, or name another --out"
            )
        return True

    def _wrote(self, path: Path) -> None:
        self.files[path.relative_to(self.out).as_posix()] = f"{_digest(path)} {self.read}"

    def _sweep(self) -> None:
        """Remove the temporary files that `write_whole` left in the folders of vectors when its process was killed."""
        inside = [self.out, *((self.out / name).parent for name in self.before | self.files)]
        for folder in dict.fromkeys(inside):
            if not folder.resolve().is_relative_to(self.out.resolve()):
                continue
            for path in folder.glob(".tmp-*"):
                with suppress(OSError):
                    about = path.lstat()
                    own = _TEMPORARY.fullmatch(path.name) and stat.S_ISREG(about.st_mode) and not about.st_mode & 0o077
                    if own and scratch.abandoned(path):
                        path.unlink()

    def _stale(self) -> list[str]:
        """Return the files that an earlier call on the same folders wrote, and this one did not."""
        of_these = {name: digest for name, digest in self.before.items() if digest.endswith(f" {self.read}")}
        return [
            name for name, digest in of_these.items()
            if name not in self.files and _is_own(self.out / name, digest, self.out)
        ]  # fmt: skip

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            path = self.out / name
            del self.before[name]
            path.unlink()
            self.removed += 1
            folder = path.parent
            while folder != self.out and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent


def _rows(path: Path) -> dict[str, Embedding]:
    """Return what a file of rows or records holds, as it was written."""
    if path.suffix == ".tfrecord":
        found = [tfrecord.example(data) for _, _, data in tfrecord.records([path])]
        return {each.name: Embedding(file=each.name, values=each.frames) for each in found}
    values, times = parquet.clips(path), parquet.times(path)
    return {
        name: Embedding(file=name, values=values[name], starts=starts, ends=ends)
        for name, (starts, ends) in times.items()
    }


def _as_part(inside: str) -> str:
    """Return a clip's name as part of a file's name: what leads to another folder is escaped, so names stay apart."""
    return re.sub(r"[%/\\\x00-\x1f]", lambda found: f"%{ord(found[0]):02X}", inside)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_own(path: Path, digest: str, out: Path) -> bool:
    """Whether a file lies in the folder and is as `bench` wrote it."""
    return (
        path.suffix in _ENDINGS
        and not path.is_symlink()
        and path.is_file()
        and path.resolve().is_relative_to(out.resolve())
        and _digest(path) == digest.partition(" ")[0]
    )


def _embeddings(out: Path) -> list[Path]:
    return sorted(path for path in out.rglob("*") if path.suffix in _ENDINGS)


def _origin_of(out: Path) -> dict[str, Any] | None:
    """Return what a folder says of its embeddings; None where it says nothing that can be used."""
    try:
        there: Any = json.loads((out / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return there if isinstance(there, dict) else None


def _listed(there: dict[str, Any] | None) -> dict[str, str]:
    """Return the files of an origin with their digests; none for one of an earlier version."""
    files = there.get(_FILES) if there else None
    if not isinstance(files, dict):
        return {}
    return {name: str(digest) for name, digest in files.items() if ".." not in Path(name).parts}


def _only_own(out: Path, files: Mapping[str, str]) -> bool:
    """Whether a folder has nothing but what `bench` wrote, and nobody works in it."""
    if Path.cwd().is_relative_to(out.resolve()):
        return False
    for path in out.rglob("*"):
        if (path.is_dir() and not path.is_symlink()) or path == out / ORIGIN:
            continue
        digest = files.get(path.relative_to(out).as_posix())
        if digest is None or not _is_own(path, digest, out):
            return False
    return True


def _refuse_others(out: Path, made: dict[str, Any]) -> None:
    """Raise an ArgumentError where a folder has embeddings that were not made so."""
    there = _origin_of(out)
    own = None if there is None else {name: value for name, value in there.items() if name != _FILES}
    if own == made or not _embeddings(out):
        return
    if own is not None:
        words = "; ".join(
            f"{name} {own.get(name)}, not {value}" for name, value in made.items() if own.get(name) != value
        )
    else:
        words = "nothing in it says by which run"
    remedy = f", or remove {out}" if _only_own(out, _listed(there)) else ""
    raise ArgumentError(f"{out} has other embeddings already ({words}): name another --out{remedy}")


def refuse_among_sounds(out: Path, roots: Iterable[Path]) -> None:
    """Raise an ArgumentError where embeddings would lie among the sounds, whose data they would change.

    The folder of a file that is named holds sounds, too, unless it is the current folder.

    Args:
        out: folder of the embeddings.
        roots: files and folders that are read.
    """
    target = out.resolve()
    for root in roots:
        place = root.resolve()
        folder = root.parent if root.is_file() else root
        of_file = {folder.resolve(), place.parent} - {Path.cwd()}
        folders = of_file if root.is_file() else {place} if root.is_dir() else set()
        if place.is_relative_to(target) or any(target.is_relative_to(each) for each in folders):
            raise ArgumentError(
                f"embeddings in {out} would lie among the sounds of {folder}, and runs on those would be done again: "
                f"name another --out, a folder apart from the sounds"
            )


def places(files: Iterable[Path], roots: Iterable[Path]) -> list[Path]:
    """Return where each file's embedding belongs: its path below the folder that was named, or else its name.

    Raises:
        ArgumentError: two of them belong in one place.
    """
    folders = [root for root in roots if root.is_dir()]

    def place(path: Path) -> Path:
        own = next((root for root in folders if path.is_relative_to(root)), None)
        return path.relative_to(own) if own else Path(path.name)

    found = [place(path) for path in files]
    twice = [place for place, count in Counter(found).items() if count > 1 and place.name]  # or else it has an error
    if twice:
        raise ArgumentError(f"two sounds are called {twice[0]}: give one folder for both, or write them apart")
    return found
