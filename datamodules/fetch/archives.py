"""Unpacking of untrusted archives: every entry is checked before anything is written.

Zip, and tar as it is or packed by gzip, bzip2 or xz, recognised by their first bytes. Only regular files and folders
are written, with the permissions of new files, so no setuid bit, owner or time of the archive is kept. An archive with
other entries, or with a name that could lead outside, is refused completely. Python's own `extractall` trusts a tar by
default before 3.14, and its filter "data" could be led outside up to the releases of June 2025 (CVE-2025-4517, -4330,
-4138); `zipfile` has no limits. So tarfile and zipfile only read, and this module writes the files.
"""

import bz2
import gzip
import io
import lzma
import os
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
"""Largest accepted extended header of a tar, in bytes; usual ones have some hundred, and tarfile reads it at once."""

MAX_DIRECTORY_BYTES = 16 << 20
"""Largest accepted directory of a zip, in bytes, about 150,000 entries; zipfile reads it at once."""

MIN_RATIO_BYTES = 4 << 20
"""Bytes; a smaller archive may still unpack to `Limits.ratio` times this."""


class ArchiveError(DataError):
    """An archive that is damaged, cut off or contains a refused entry; nothing of it has been kept."""


class DiskFull(DataError):  # noqa: N818 - it is a state of the disk more than a fault
    """Too little disk space; the message says how much is needed and where."""


@dataclass(frozen=True)
class Limits:
    """Limits of an archive's content.

    Attributes:
        entries: number of files and folders.
        bytes: unpacked size of all files together.
        ratio: the same, relative to the archive's size; audio is compressed to a third at best.
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
    """An entry as the archive states it, only its kind is checked; `open` returns a file's content."""

    name: str
    folder: bool
    size: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Entry:
    """An entry that may be unpacked: the parts of its path, all inside the folder, and a file's size."""

    parts: tuple[str, ...]
    folder: bool
    size: int

    @property
    def wanted(self) -> bool:
        """Whether it is a file of the dataset, not one that macOS added."""
        name = self.parts[-1] if self.parts else ""
        return not (self.folder or "__MACOSX" in self.parts or name.startswith("._") or name == ".DS_Store")


Report = Callable[[str, int, int | None], None]
"""Called with the current activity, the bytes done so far, and all bytes, None where that is not known."""


def silent(what: str, done: int, total: int | None) -> None:
    """Report nothing."""


def unpack(
    archive: Path, into: Path, limits: Limits | None = None, case_matters: bool = False, report: Report = silent
) -> int:
    """Unpack an archive to a new folder; an error removes the folder.

    Files that macOS adds (`__MACOSX`, `._name`, `.DS_Store`) are checked like all entries, but not written.

    Args:
        archive: the file; its name does not matter.
        into: folder to make; its parent exists.
        limits: what the archive may hold.
        case_matters: whether to accept names that differ only by upper and lower case; otherwise they are refused,
            because one would overwrite the other on some disks.
        report: called with the progress.

    Returns:
        Number of files written.

    Raises:
        ArchiveError: the archive is refused; the message names the entry.
        DiskFull: the files would not fit.
        OSError: the files cannot be written.
    """
    limits = limits or Limits()
    if into.exists() or into.is_symlink():
        raise ArchiveError(f"{str(into)!r} exists: archives are unpacked to new folders only")
    entries = _checked(archive, into, limits, case_matters)
    total = sum(entry.size for entry in entries)
    if (free := shutil.disk_usage(into.parent).free) < total:
        raise DiskFull(
            f"{archive.name} unpacks to {total:,} bytes, but the disk of {str(into.parent)!r} has {free:,} free"
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
        ArchiveError: an entry, or all entries together, must not be unpacked.
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
            raise ArchiveError(f"{archive.name}: {member.name!r} is not the name of a file")
        for depth in range(1, len(entry.parts) + 1):
            path, folder = "/".join(entry.parts[:depth]), entry.folder or depth < len(entry.parts)
            key = unicodedata.normalize("NFC", path)
            if not case_matters:
                key = unicodedata.normalize("NFC", key.casefold())
            if key not in seen:
                seen[key] = (path, folder)
            elif seen[key] != (path, True) or not folder:  # only a folder may occur twice, in the same spelling
                raise ArchiveError(f"{archive.name}: {path!r} would overwrite {seen[key][0]!r}")
        entries.append(entry)
    return entries


def _write(archive: Path, into: Path, limits: Limits, entries: list[Entry], report: Report) -> int:
    """Write the files of a checked archive, compare their sizes, and return their number."""
    total, done, files = sum(entry.size for entry in entries), 0, 0
    for member, entry in zip(_members(archive, into, limits), entries, strict=True):
        if not entry.wanted:
            continue
        path = into.joinpath(*entry.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with _typed(archive):
            content = member.open()
        with path.open("xb") as file:  # x: never follows a link, never overwrites a file
            while True:
                with _typed(archive):
                    chunk = content.read(CHUNK)
                if not chunk:
                    break
                written += len(chunk)
                if written > entry.size:
                    raise ArchiveError(
                        f"{archive.name}: {member.name!r} is longer than the {entry.size:,} bytes that it states"
                    )
                file.write(chunk)
                report("unpacking", done + written, total)
        if written != entry.size:
            raise ArchiveError(f"{archive.name}: {member.name!r} has {written:,} bytes, but states {entry.size:,}")
        done += written
        files += 1
    return files


def _most(archive: Path, limits: Limits) -> int:
    """Return the largest accepted unpacked size of an archive of this size, in bytes."""
    return min(limits.bytes, round(limits.ratio * max(archive.stat().st_size, MIN_RATIO_BYTES)))


def _parts(archive: Path, name: str, limits: Limits) -> tuple[str, ...]:
    """Split a path in an archive; () is the archive's root.

    Raises:
        ArchiveError: it leads outside, on this or another system, or is not a valid path.
    """
    shown = f"{archive.name}: {name[:100]!r}"
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise ArchiveError(f"{shown} is not UTF-8") from error
    if re.search(r"[\x00-\x1f\x7f-\x9f]", name):
        raise ArchiveError(f"{shown} has a control character")
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name):
        raise ArchiveError(f"{shown} is an absolute path or a Windows path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ArchiveError(f"{shown} leads out of its folder")
    if len(encoded) > limits.path or len(parts) > limits.depth or any(len(p.encode()) > limits.name for p in parts):
        raise ArchiveError(f"{shown}... is too long")
    return parts


def _probe_case(into: Path) -> None:
    """Raise `ArchiveError` if this disk does not distinguish upper from lower case."""
    probe = into / "case"
    probe.touch()
    blind = (into / "CASE").exists()
    probe.unlink()
    if blind:
        raise ArchiveError(
            f"{str(into.parent)!r} does not distinguish upper from lower case, and this archive's names need it"
        )


def _members(archive: Path, into: Path, limits: Limits) -> Iterator[RawEntry]:
    """Yield the entries of a zip or tar; the content of an entry can be read only before the next one is requested.

    Raises:
        ArchiveError: the file is not an archive, is damaged, cut off or encrypted, or has an entry that is neither a
            file nor a folder.
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
        _check_count(file, opened)
        for info in opened.infolist():
            shown = f"{archive.name}: {info.orig_filename[:100]!r}"
            kind = stat.S_IFMT(info.external_attr >> 16)  # Unix' kind of file; 0 from other systems
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


def _check_count(file: "_ZipFile", opened: zipfile.ZipFile) -> None:
    """Refuse a zip whose end states another number of entries than its directory has.

    zipfile ignores the number: a bit flipped in the length of an entry's comment makes the comment swallow the entries
    that follow, without an error.
    """
    place = file.seek(0, os.SEEK_END) - _END_BYTES - len(opened.comment)
    file.seek(max(0, place))
    signature, stated = struct.unpack("<4s6xH10x", file.read(_END_BYTES))
    found = len(opened.infolist())
    if signature == b"PK\5\6" and stated not in (found, _IN_ZIP64):
        raise ArchiveError(f"{file.name!r} is damaged: its end states {stated:,} entries, but {found:,} are listed")


_END_BYTES = 22
_IN_ZIP64 = 0xFFFF  # the number is elsewhere, because there are more


def _tar_members(archive: Path, into: Path, plain: "_Counted") -> Iterator[RawEntry]:
    # "r|" reads the tar once from its start, so positions in headers are never followed
    with tarfile.open(fileobj=cast(IO[bytes], plain), mode="r|", tarinfo=_TarInfo, encoding="utf-8") as opened:
        for info in opened:
            shown = f"{archive.name}: {info.name[:100]!r}"
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or info.issparse():
                raise ArchiveError(
                    f"{shown} is neither a file nor a folder but a {_KINDS.get(info.type, 'thing of an unknown kind')}"
                )
            if info.size < 0 or (info.isdir() and info.size):
                raise ArchiveError(f"{shown} says that it has {info.size} bytes")
            yield RawEntry(info.name, info.isdir(), info.size, partial(_content, opened, info))
            if hasattr(tarfile, "data_filter"):  # Python's own check, from 3.11.4 on, after ours
                tarfile.data_filter(info, str(into))
    while plain.read(CHUNK):  # reads the compressor's checksum at the end
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
    """A header that raises where tarfile would take damage for the archive's end, or read a huge extended header."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the mark at the end
            raise tarfile.ReadError(str(error)) from error  # not HeaderError, after which tarfile would stop silently
        extended = info.type not in tarfile.SUPPORTED_TYPES or info.type in _EXTENSIONS
        if info.size < 0 or (extended and info.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {info.size:,} bytes")
        return info


_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class _Counted:
    """A stream that raises after a given number of bytes."""

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
    """A file that refuses to read a huge directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise ArchiveError(f"{self.name!r} has a directory of {size:,} bytes")
        return super().read(-1 if size is None else size)


@contextmanager
def _typed(archive: Path) -> Iterator[None]:
    """Raise `ArchiveError` from the errors of Python's archive readers."""
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
