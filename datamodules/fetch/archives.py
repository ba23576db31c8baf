"""Unpacking archives that nobody vouches for: all of it is checked before anything is written.

Zip, and tar as it is or packed by gzip, bzip2 or xz, told apart by their first bytes. Only regular files and folders
come out, with the rights of new files, so that no setuid bit, owner or time of the archive's is kept; an archive with
anything else in it, or with a name that could lead elsewhere, is refused as a whole. Python's own `extractall` trusts
a tar by default before 3.14, and its filter "data" could be led outside up to the releases of June 2025 (CVE-2025-4517,
-4330, -4138); `zipfile` has no limits. So tarfile and zipfile read here, and the files are written by this module.
"""

import bz2
import gzip
import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Self, cast

from datamodules.errors import DataError

CHUNK = 1 << 20
MAX_HEADER_BYTES = 16 << 10
"""Most bytes of a tar's extended header, which has some hundred; tarfile reads it at once, by slow patterns."""

MAX_DIRECTORY_BYTES = 16 << 20
"""Most bytes of a zip's directory, some 150,000 entries; zipfile reads it at once."""

MIN_RATIO_BYTES = 4 << 20
"""An archive that is smaller may still unpack to `Limits.ratio` times this."""


class ArchiveError(DataError):
    """An archive is damaged, cut off, or holds what must not be unpacked; nothing of it has been kept."""


class DiskFull(DataError):  # noqa: N818 - it is a state of the disk more than a fault
    """There is not enough space; the message says how much is needed and where."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold.

    Attributes:
        entries: files and folders.
        bytes: of all files together, unpacked.
        ratio: the same, in sizes of the archive; audio packs to a half or a third at best.
        path: bytes of a path.
        depth: parts of a path.
        name: bytes of each part.
    """

    entries: int = 50_000
    bytes: int = 256 << 30
    ratio: float = 20.0
    path: int = 1000
    depth: int = 32
    name: int = 255


@dataclass(frozen=True)
class RawEntry:
    """An entry as it stands in the archive: nothing is checked but its kind; `open` gives a file's content."""

    name: str
    folder: bool
    size: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Entry:
    """An entry that may be unpacked: the parts of its path, none of which leads elsewhere, and a file's size."""

    parts: tuple[str, ...]
    folder: bool
    size: int

    @property
    def wanted(self) -> bool:
        """Whether it is a file of the archive's makers, not of macOS."""
        name = self.parts[-1] if self.parts else ""
        return not (self.folder or "__MACOSX" in self.parts or name.startswith("._") or name == ".DS_Store")


Report = Callable[[str, int, int | None], None]
"""Is told what is being done, how many bytes of it are done, and of how many."""


def silent(what: str, done: int, total: int | None) -> None:
    """Tell nobody."""


def unpack(
    archive: Path, into: Path, limits: Limits | None = None, case_matters: bool = False, report: Report = silent
) -> int:
    """Unpack an archive to a new folder; after an error there is no such folder.

    What macOS adds (`__MACOSX`, `._name`, `.DS_Store`) is checked like the rest, then left out.

    Args:
        archive: the file; its name does not matter.
        into: folder to make; its parent exists.
        limits: what the archive may hold.
        case_matters: whether names that differ by upper and lower case alone are meant; otherwise they are refused,
            because on some disks one would take the other's place.
        report: is told how far it is.

    Returns:
        Number of files written.

    Raises:
        ArchiveError: see its description; the message names the entry.
        DiskFull: the files would not fit.
        OSError: they cannot be written.
    """
    limits = limits or Limits()
    if into.exists() or into.is_symlink():
        raise ArchiveError(f"{str(into)!r} exists: archives are unpacked to new folders only")
    entries = _checked(archive, into, limits, case_matters)
    total = sum(entry.size for entry in entries)
    if (free := shutil.disk_usage(into.parent).free) < total:
        raise DiskFull(
            f"{archive.name} unpacks to {total:,} bytes, and where {str(into.parent)!r} is {free:,} are free"
        )
    into.mkdir()
    try:
        if case_matters:
            _probe_case(into)
        return _write(archive, into, limits, entries, report)
    except BaseException:
        shutil.rmtree(into)
        raise


def _checked(archive: Path, into: Path, limits: Limits, case_matters: bool) -> list[Entry]:
    """Return every entry in the archive's order.

    Raises:
        ArchiveError: some entry, or all of them together, must not be unpacked.
    """
    entries: list[Entry] = []
    seen: dict[str, tuple[str, bool]] = {}
    total, most = 0, _most(archive, limits)
    for member in _members(archive, into, limits):
        if len(entries) == limits.entries:
            raise ArchiveError(f"{archive.name} has more than {limits.entries:,} entries")
        entry = Entry(_parts(archive, member.name, limits), member.folder, member.size)
        total += entry.size
        if total > most:
            raise ArchiveError(f"{archive.name} would unpack to more than {most:,} bytes: it may be a bomb")
        if not entry.parts and not entry.folder:
            raise ArchiveError(f"{archive.name}: {member.name!r} is no name of a file")
        for depth in range(1, len(entry.parts) + 1):
            path, folder = "/".join(entry.parts[:depth]), entry.folder or depth < len(entry.parts)
            key = unicodedata.normalize("NFC", path)
            if not case_matters:
                key = unicodedata.normalize("NFC", key.casefold())
            if key not in seen:
                seen[key] = (path, folder)
            elif seen[key] != (path, True) or not folder:  # only a folder may come again, spelt the same
                raise ArchiveError(f"{archive.name}: {path!r} would take the place of {seen[key][0]!r}")
        entries.append(entry)
    return entries


def _write(archive: Path, into: Path, limits: Limits, entries: list[Entry], report: Report) -> int:
    """Write the files of an archive that has been checked, and check their sizes on the way; return their number."""
    total, done, files = sum(entry.size for entry in entries), 0, 0
    for member, entry in zip(_members(archive, into, limits), entries, strict=True):
        if not entry.wanted:
            continue
        path = into.joinpath(*entry.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with _typed(archive):
            content = member.open()
        with path.open("xb") as file:  # x: never through a link, never over a file
            while True:
                with _typed(archive):
                    chunk = content.read(CHUNK)
                if not chunk:
                    break
                written += len(chunk)
                if written > entry.size:
                    raise ArchiveError(
                        f"{archive.name}: {member.name!r} is longer than the {entry.size:,} bytes it says"
                    )
                file.write(chunk)
                report("unpacking", done + written, total)
        if written != entry.size:
            raise ArchiveError(f"{archive.name}: {member.name!r} has {written:,} bytes and says {entry.size:,}")
        done += written
        files += 1
    return files


def _most(archive: Path, limits: Limits) -> int:
    """Return how many bytes an archive of this size may unpack to."""
    return min(limits.bytes, round(limits.ratio * max(archive.stat().st_size, MIN_RATIO_BYTES)))


def _parts(archive: Path, name: str, limits: Limits) -> tuple[str, ...]:
    """Split a path in an archive; () is the archive's root.

    Raises:
        ArchiveError: it leads elsewhere, here or on another system, or cannot be a path.
    """
    shown = f"{archive.name}: {name[:100]!r}"
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise ArchiveError(f"{shown} is not UTF-8") from error
    if re.search(r"[\x00-\x1f\x7f-\x9f]", name):
        raise ArchiveError(f"{shown} has a control character")
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name):
        raise ArchiveError(f"{shown} is an absolute path, or one of Windows")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ArchiveError(f"{shown} leads out of its folder")
    if len(encoded) > limits.path or len(parts) > limits.depth or any(len(p.encode()) > limits.name for p in parts):
        raise ArchiveError(f"{shown}... is too long")
    return parts


def _probe_case(into: Path) -> None:
    """Raise `ArchiveError` if this disk does not tell upper from lower case."""
    probe = into / "case"
    probe.touch()
    blind = (into / "CASE").exists()
    probe.unlink()
    if blind:
        raise ArchiveError(
            f"{str(into.parent)!r} does not tell upper from lower case, and this archive's names need it"
        )


def _members(archive: Path, into: Path, limits: Limits) -> Iterator[RawEntry]:
    """Yield the entries of a zip or tar; each must be read, if at all, before the next is asked for.

    Raises:
        ArchiveError: it is neither, is damaged, cut off or encrypted, or an entry is neither file nor folder.
    """
    with _typed(archive), archive.open("rb") as file:
        start = file.read(6)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _zip_members(archive)
            return
        file.seek(0)
        plain = next((cast(IO[bytes], unpacker(file)) for magic, unpacker in _PACKED if start.startswith(magic)), file)
        yield from _tar_members(archive, into, _Counted(archive, plain, _most(archive, limits)))


_PACKED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))


def _zip_members(archive: Path) -> Iterator[RawEntry]:
    with _ZipFile(archive) as file, zipfile.ZipFile(cast(IO[bytes], file)) as opened:
        for info in opened.infolist():
            shown = f"{archive.name}: {info.orig_filename[:100]!r}"
            kind = stat.S_IFMT(info.external_attr >> 16)  # how Unix says what it is; 0 elsewhere
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(f"{shown} is neither a file nor a folder but a link or a device")
            if info.flag_bits & 0x41:
                raise ArchiveError(f"{shown} is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ArchiveError(f"{shown} is packed by a method ({info.compress_type}) that datasets do not use")
            folder = info.is_dir()
            if (kind and folder != (kind == stat.S_IFDIR)) or (folder and info.file_size):
                raise ArchiveError(f"{shown} is a file by its attributes and a folder by its name, or the reverse")
            # orig_filename: zipfile cuts `filename` at a NUL
            yield RawEntry(info.orig_filename, folder, info.file_size, partial(opened.open, info))


def _tar_members(archive: Path, into: Path, plain: "_Counted") -> Iterator[RawEntry]:
    # "r|" reads the tar once from its start on, so that what a header says of places in the file is never followed
    with tarfile.open(fileobj=cast(IO[bytes], plain), mode="r|", tarinfo=_TarInfo, encoding="utf-8") as opened:
        for info in opened:
            shown = f"{archive.name}: {info.name[:100]!r}"
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or info.issparse():
                raise ArchiveError(
                    f"{shown} is neither a file nor a folder but a {_KINDS.get(info.type, 'thing unknown')}"
                )
            if info.size < 0 or (info.isdir() and info.size):
                raise ArchiveError(f"{shown} says that it has {info.size} bytes")
            yield RawEntry(info.name, info.isdir(), info.size, partial(_content, opened, info))
            if hasattr(tarfile, "data_filter"):  # Python's own opinion, from 3.11.4 on, after ours
                tarfile.data_filter(info, str(into))
    while plain.read(CHUNK):  # what packed it has a checksum at the end
        pass


def _content(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = opened.extractfile(info)
    assert content is not None  # it is a regular file
    return content


_KINDS = {
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
    tarfile.FIFOTYPE: "pipe",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.CONTTYPE: "contiguous file",
    tarfile.GNUTYPE_SPARSE: "sparse file",
    tarfile.REGTYPE: "sparse file",
}


class _TarInfo(tarfile.TarInfo):
    """A header, where tarfile would take a damaged one for the end of the archive, or read gigabytes of names."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the mark at the end
            raise tarfile.ReadError(str(error)) from error  # no HeaderError: tarfile would end there quietly
        extended = info.type not in tarfile.SUPPORTED_TYPES or info.type in _EXTENSIONS
        if info.size < 0 or (extended and info.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {info.size:,} bytes")
        return info


_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class _Counted:
    """A stream that may give so many bytes and no more."""

    def __init__(self, archive: Path, stream: IO[bytes], most: int) -> None:
        self.archive = archive
        self.stream = stream
        self.most = most
        self.count = 0

    def read(self, size: int) -> bytes:
        chunk = self.stream.read(size)
        self.count += len(chunk)
        if self.count > self.most:
            raise ArchiveError(f"{self.archive.name} would unpack to more than {self.most:,} bytes: it may be a bomb")
        return chunk


class _ZipFile(io.FileIO):
    """A file that is not read by the gigabyte."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise ArchiveError(f"{self.name!r} has a directory of {size:,} bytes")
        return super().read(-1 if size is None else size)


@contextmanager
def _typed(archive: Path) -> Iterator[None]:
    """Turn what readers of archives raise into `ArchiveError`."""
    try:
        yield
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        OSError,
        ArithmeticError,
        AssertionError,
        LookupError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ArchiveError(f"{archive.name} is damaged or cut off: {error or type(error).__name__}") from error
