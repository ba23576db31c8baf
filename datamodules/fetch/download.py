"""Download of datasets: resumed after interruptions, verified, unpacked next to the target, and moved when complete.

Next to the dataset's folder, `.downloads/<folder>/` holds unfinished downloads:

* `<file>.part` has the bytes so far, `<file>.part.json` their address and version (RFC 9110: ETag, If-Range);
* `first.json` has the SHA-256, from the first download, of files without a published checksum;
* `lock` is held during a download; `unpacked-*` and `.tmp-*` of killed processes are removed by the next one.

A dataset's folder appears by one rename, so it is never incomplete; an existing folder is never changed.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import requests
from filelock import FileLock, Timeout

from datamodules.clips.array_cache import write_whole
from datamodules.errors import DataError
from datamodules.fetch import archives
from datamodules.fetch.archives import ArchiveError, DiskFull, Report, silent
from datamodules.fetch.sources import DownloadSource, RemoteFile

CHUNK = 1 << 16
TRIES = 5
"""Attempts in a row without progress, after which a download is given up."""

PROGRESS = 1 << 20
"""Bytes that an attempt has to add to count as progress."""

BACKOFF = 1.0
"""Seconds before the second attempt, doubled before each further one up to `MAX_BACKOFF`."""

MAX_BACKOFF = 60.0
TIMEOUT = (15.0, 60.0)
"""Timeouts in seconds: to connect, and between two bytes."""

MAX_UNKNOWN_BYTES = 1 << 30
"""Largest accepted file whose size is not known in advance."""


class DownloadError(DataError):
    """A failed download; the message names the remedy. Bytes so far are kept unless the message says otherwise."""


class NotThere(DownloadError):  # noqa: N818 - it is a state of the server more than a fault
    """An address without a file (404 or 410)."""


class ChecksumError(DownloadError):
    """A file that differs from the published one; it has been removed."""


class FolderExists(DownloadError):  # noqa: N818 - it is a state of the disk more than a fault
    """An existing, incomplete folder of the dataset; it is left unchanged."""


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """A failed attempt that is worth repeating; `after` is the waiting time that the server asks for, in seconds."""

    def __init__(self, why: object, after: float | None = None) -> None:
        super().__init__(str(why))
        self.after = after


@dataclass(frozen=True)
class Downloaded:
    """Result of a download.

    Attributes:
        where: the dataset's folder.
        state: "downloaded", or "here" if the complete dataset was there already.
        files: name, url, bytes and sha256 of each file that was fetched.
    """

    where: Path
    state: Literal["downloaded", "here"]
    files: tuple[dict[str, Any], ...] = ()


def download(source: DownloadSource, target: Path, mirror: str | None = None, report: Report = silent) -> Downloaded:
    """Download a dataset unless it is there; of several processes one downloads, and the other ones wait.

    Args:
        source: source of the dataset.
        target: its folder, which is missing, empty or contains the complete dataset.
        mirror: address of a folder with the source's files under their names, used instead of their own addresses;
            the same sizes and checksums are required.
        report: called with the progress.

    Raises:
        DownloadError: the download failed.
        ArchiveError: an archive contains an entry that must not be unpacked.
        DiskFull: there is not enough space.
    """
    if not source.files:
        raise DownloadError(source.instructions)
    try:
        target = target.resolve()  # a link may lead to a larger disk
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        raise DownloadError(f"{str(target)!r} cannot be followed ({error}): remove that link") from error
    work = target.parent / ".downloads" / target.name
    try:
        if _is_whole(source, target):
            return Downloaded(target, "here")
        work.mkdir(parents=True, exist_ok=True)
        with _locked(work / "lock", report):
            if _is_whole(source, target):  # another process may have finished it
                return Downloaded(target, "here")
            for left in work.glob("unpacked-*"):
                shutil.rmtree(left)
            for left in work.glob(".tmp-*"):
                left.unlink()
            return _download(source, target, work, mirror, report)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"the disk of {str(target.parent)!r} is full ({error.strerror}): free space and run again (the "
                f"bytes so far are kept in {str(work)!r}), or choose another folder"
            ) from error
        raise DownloadError(f"{error}: choose a writable folder") from error


def missing(source: DownloadSource, root: Path) -> list[str]:
    """Return a few words for each pattern of `source.contents` that has a wrong number of files under `root`."""
    found = {
        pattern: sum(1 for path in root.glob(pattern) if path.is_file() and not path.name.startswith("."))
        for pattern in source.contents
    }
    return [f"{found[p]:,} of {n:,} {p}" for p, n in source.contents.items() if found[p] != n]


def _is_whole(source: DownloadSource, target: Path) -> bool:
    """Return whether the dataset is there; raise `FolderExists` if something else is there."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    if target.is_dir() and not (wrong := missing(source, target)):
        return True
    has = f"has {', '.join(wrong)}" if target.is_dir() else "is no folder"
    raise FolderExists(
        f"{str(target)!r} exists and {has}, so it is neither used nor overwritten: move it away and run again, or keep "
        f"it and use its files"
    )


def _download(source: DownloadSource, target: Path, work: Path, mirror: str | None, report: Report) -> Downloaded:
    parts = {file: work / f"{file.name}.part" for file in source.files}
    sizes = {file: file.size or 0 for file in source.files}
    needed = sum(sizes[file] - min(_size(part), sizes[file]) for file, part in parts.items())
    needed += sum(
        size for file, size in sizes.items() if file.inner is not None
    )  # the unpacked size is at least the archive's
    if (free := shutil.disk_usage(work).free) < needed:
        raise DiskFull(f"this needs at least {needed:,} bytes, but the disk of {str(work)!r} has {free:,} free")

    fetched: list[dict[str, Any]] = []
    for file, part in parts.items():
        url = file.url if mirror is None else f"{mirror.rstrip('/')}/{file.name}"
        _fetch(file, url, part, report)
        sha256 = _verify(file, url, part, work / "first.json", source.homepage, report)
        fetched.append({"name": file.name, "url": url, "bytes": _size(part), "sha256": sha256})

    try:
        _install(source, parts, target, _provenance(source, fetched), report)
    except (ArchiveError, DownloadError):
        for file, part in parts.items():
            if not file.digest:  # its content was never verified
                _drop(part)
        raise
    _remember(work / "first.json", {f.name: d["sha256"] for f, d in zip(parts, fetched, strict=True) if not f.digest})
    for part in parts.values():
        _drop(part)
    return Downloaded(target, "downloaded", tuple(fetched))


def _install(
    source: DownloadSource, parts: dict[RemoteFile, Path], target: Path, about: dict[str, Any], report: Report
) -> None:
    """Unpack the files next to the target, check that they are the dataset, and move them to the target."""
    work = next(iter(parts.values())).parent
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=work) as folder:
        root = Path(folder) / "root"
        root.mkdir()
        for file, part in parts.items():
            _place(file, part, Path(folder) / "archive", root, report)
        if wrong := missing(source, root):
            raise DownloadError(
                f"what was downloaded has {', '.join(wrong)}, so it is not this dataset: see {source.homepage}; files "
                f"with a checksum are kept in {str(work)!r}"
            )
        (root / "download.json").write_text(json.dumps(about, indent=1) + "\n")
        if hasattr(os, "sync"):  # else a power cut could leave the folder in place with empty files; Windows has none
            os.sync()
        try:
            root.replace(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise FolderExists(f"{str(target)!r} was created meanwhile and is left unchanged") from error
            raise


def _provenance(source: DownloadSource, fetched: list[dict[str, Any]]) -> dict[str, Any]:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"homepage": source.homepage, "licence": source.licence, "citation": source.citation}
    return {**about, "downloaded": when, "files": fetched}


def _place(file: RemoteFile, part: Path, scratch: Path, root: Path, report: Report) -> None:
    """Copy a file, or unpack an archive's inner folder, to `root`."""
    if file.inner is None:
        shutil.copyfile(part, root / file.name)
        return
    archives.unpack(part, scratch, case_matters=file.case_matters, report=report)
    inner = scratch / file.inner
    if not inner.is_dir():
        raise DownloadError(f"{file.name} has no folder {file.inner!r} in it, so it is not this dataset")
    for child in inner.iterdir():
        if (root / child.name).exists():
            raise DownloadError(f"{file.name} has {child.name!r}, which another file of this dataset also has")
        child.rename(root / child.name)
    shutil.rmtree(scratch)


@contextlib.contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        report("waiting for another process that downloads this", 0, None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


# One file


def _fetch(file: RemoteFile, url: str, part: Path, report: Report) -> None:
    """Download a file to `part`, repeating attempts as long as they make progress."""
    vain, best = 0, _size(part)
    while True:
        try:
            _attempt(file, url, part, report)
            return
        except _Broken as error:
            size = _size(part)
            vain = 0 if size >= best + PROGRESS else vain + 1
            best = max(best, size)
            if vain == TRIES:
                raise DownloadError(
                    f"{url}: {error}; {TRIES} attempts in a row made no progress. {size:,} bytes are kept in "
                    f"{str(part)!r}: run again later to continue from there, or try another address with --mirror"
                ) from error
            report(f"{file.name}: {error}; trying again", size, file.size)
            asked = BACKOFF * 2 ** max(vain - 1, 0) if error.after is None else error.after
            time.sleep(min(asked, MAX_BACKOFF))


def _attempt(file: RemoteFile, url: str, part: Path, report: Report) -> None:
    """Request the missing bytes of a file, and append them; raise `_Broken` if another attempt may succeed."""
    have, seen = _kept(file, url, part)
    if have and have == (file.size or seen.get("total")):
        return
    known = seen.get("version", "") if seen.get("url") == url else ""
    headers = {"Accept-Encoding": "identity"}  # a compressed transfer would change the meaning of sizes and ranges
    if have:
        headers["Range"] = f"bytes={have}-"
        if known:
            headers["If-Range"] = known
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            _check_status(file, url, part, response)
            if response.status_code == requests.codes.partial_content:
                total = _rest(have, known, part, response)
            else:  # the whole file: no range was requested or supported, or the file has changed
                have, total, known = 0, _length(response), ""
            if file.size is not None and total not in (None, file.size):
                raise DownloadError(f"{url} has {total:,} bytes, but {file.size:,} are published: it is another file")
            if total is None and not response.raw.chunked and not file.size:
                raise DownloadError(
                    f"{url} is sent without its length, so a truncated file would not be noticed: try --mirror"
                )
            if not have:
                part.write_bytes(b"")
            _note(part, {"url": url, "version": _version(response) or known, "total": total})
            _receive(file, url, part, have, total, response, report)
    except (
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.SSLError,
        requests.exceptions.TooManyRedirects,
    ) as error:
        raise DownloadError(f"{url} cannot be requested ({error}): see --mirror") from error
    except requests.RequestException as error:
        raise _Broken(error) from error


def _receive(
    file: RemoteFile, url: str, part: Path, have: int, total: int | None, response: requests.Response, report: Report
) -> None:
    """Append a response's body to `part`, up to its expected length."""
    most = total or file.size or MAX_UNKNOWN_BYTES
    with part.open("ab") as out:
        for chunk in response.iter_content(CHUNK):
            have += len(chunk)
            if have > most:
                raise DownloadError(f"{url} is longer than the expected {most:,} bytes: it is another file")
            out.write(chunk)
            report(file.name, have, total or file.size)
    whole = total or file.size or have
    if have != whole:
        raise _Broken(f"cut off after {have:,} of {whole:,} bytes")
    if total is None:
        _note(part, {"url": url, "version": _version(response), "total": have})


def _check_status(file: RemoteFile, url: str, part: Path, response: requests.Response) -> None:
    status = response.status_code
    if status in (404, 410):
        raise NotThere(
            f"{url} is not there ({status}): the file has moved, see --mirror, or the mirror has no {file.name}"
        )
    if status == 416:  # the part is as long as the server's file or longer
        if file.size is not None:  # and shorter than the published file
            raise DownloadError(f"{url} has less than the {file.size:,} published bytes: it is another file")
        _drop(part)
        raise _Broken("the file there is shorter than what is here")
    if status in (408, 425, 429) or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise _Broken(f"the server answers {status} {response.reason}", float(after) if after.isdecimal() else None)
    if status not in (200, 206) or (status == 206 and "Range" not in response.request.headers):
        raise DownloadError(f"{url}: the server answers {status} {response.reason}: see --mirror")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{url} was sent compressed although the request forbids it: see --mirror")
    onward = [each.url for each in (*response.history, response) if each.url.startswith("http:")]
    if url.startswith("https:") and onward:
        raise DownloadError(f"{url} redirects to the unencrypted address {onward[0]}: see --mirror")


def _rest(have: int, known: str, part: Path, response: requests.Response) -> int | None:
    """Return the file's length from a response with the bytes from `have` on; drop the part if they do not fit.

    `known` is the version of the part, "" if it is not known.
    """
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if known and _version(response) not in ("", known):
        _drop(part)
        raise _Broken("the file there has changed")
    if match is None or int(match[1]) != have:
        _drop(part)
        raise _Broken("the server sent another part than the requested one")
    return None if match[3] == "*" else int(match[3])


def _kept(file: RemoteFile, url: str, part: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of bytes that a download can resume from, and the note on them."""
    try:
        seen = json.loads(part.with_name(f"{part.name}.json").read_text())
        same = seen["url"] == url
        # Without a version, or at another address, only a checksum shows that both parts are of one file.
        if (same and seen["version"]) or file.digest or (same and seen["total"] == _size(part)):
            have = _size(part)
            return (have, seen) if have <= (file.size or have) else (0, {})
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return 0, {}


def _version(response: requests.Response) -> str:
    """Return the version of a file for `If-Range`; "" if the response has none."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _verify(file: RemoteFile, url: str, part: Path, first: Path, homepage: str, report: Report) -> str:
    """Return the SHA-256 of a file after comparing it with the published checksum, or with the first download's."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    done, total = 0, _size(part)
    with part.open("rb") as content:
        while chunk := content.read(1 << 20):
            sha256.update(chunk)
            md5.update(chunk)
            done += len(chunk)
            report(f"verifying {file.name}", done, total)
    found = sha256.hexdigest()
    if file.digest:
        kind, _, wanted = file.digest.partition(":")
        has, who = {"sha256": found, "md5": md5.hexdigest()}[kind], "published is"
    else:
        kind, has, who = "sha256", found, f"the first time, by {str(first)!r}, it was"
        wanted = _remembered(first).get(file.name, found)
    if has != wanted:
        _drop(part)
        raise ChecksumError(
            f"{url}: {kind} is {has}, {who} {wanted}. The {total:,} bytes were removed: run again, or try another "
            f"address with --mirror; if this repeats, the file at this address has changed, see {homepage}"
        )
    return found


def _remembered(first: Path) -> dict[str, str]:
    try:
        return dict(json.loads(first.read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise DownloadError(
            f"{str(first)!r} is damaged ({error}): remove it to trust the next download of these files"
        ) from error


def _remember(first: Path, digests: dict[str, str]) -> None:
    if digests:
        _save(first, {**_remembered(first), **digests})


def _note(part: Path, seen: dict[str, Any]) -> None:
    _save(part.with_name(f"{part.name}.json"), seen)


def _save(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, lambda file: file.write(json.dumps(content).encode()))


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    part.with_name(f"{part.name}.json").unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
