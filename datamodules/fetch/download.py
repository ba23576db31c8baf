"""Downloading a dataset: resumed where it broke off, verified, unpacked elsewhere, and moved into place when whole.

Beside the dataset's folder, `.downloads/<folder>/` keeps what is not done yet:

* `<file>.part`, what has arrived, and `<file>.part.json`, of which address and version (RFC 9110: ETag, If-Range);
* `first.json`, the SHA-256 of files whose publisher gives no checksum, as they were the first time;
* `lock`, held while a process is at it, and `unpacked-*`, swept by the next one.

A dataset's folder appears by one rename, so it is never half there; a folder that exists is never written to.
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
"""Attempts in a row that get no further, after which a download is given up until it is started again."""

PROGRESS = 1 << 20
"""Bytes by which an attempt must get further not to count as one of those."""

BACKOFF = 1.0
"""Seconds before the second attempt; twice as many before each further one, up to `MAX_BACKOFF`."""

MAX_BACKOFF = 60.0
TIMEOUT = (15.0, 60.0)
"""Seconds to connect, and without any byte."""

MAX_UNKNOWN_BYTES = 1 << 30
"""Most bytes of a file whose size is not known beforehand."""


class DownloadError(DataError):
    """A download cannot be done; the message says what to change. What has arrived is kept unless it says otherwise."""


class NotThere(DownloadError):  # noqa: N818 - it is a state of the server more than a fault
    """The address leads nowhere (404 or 410)."""


class ChecksumError(DownloadError):
    """A file is not what was published; it has been removed."""


class FolderExists(DownloadError):  # noqa: N818 - it is a state of the disk more than a fault
    """The dataset's folder exists and is not whole; it is left as it is."""


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """An attempt failed in a way that another one may not; `after` is how long the server asks to wait, in seconds."""

    def __init__(self, why: object, after: float | None = None) -> None:
        super().__init__(str(why))
        self.after = after


@dataclass(frozen=True)
class Downloaded:
    """What a download did.

    Attributes:
        where: the dataset's folder.
        state: "downloaded", or "here" if it was there and whole.
        files: name, url, bytes and sha256 of each file that was fetched.
    """

    where: Path
    state: Literal["downloaded", "here"]
    files: tuple[dict[str, Any], ...] = ()


def download(source: DownloadSource, target: Path, mirror: str | None = None, report: Report = silent) -> Downloaded:
    """Download a dataset unless it is there; any number of processes may do so at once, one of them works.

    Args:
        source: where it comes from.
        target: its folder, which must not exist, be empty, or hold the whole dataset.
        mirror: address of a folder with the source's files under their names, in the place of their own addresses;
            sizes and checksums hold for it too.
        report: is told how far it is.

    Raises:
        DownloadError: or one of its kinds.
        ArchiveError: an archive holds what must not be unpacked.
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
            if _is_whole(source, target):  # by now
                return Downloaded(target, "here")
            for left in work.glob("unpacked-*"):
                shutil.rmtree(left)
            for left in work.glob(".tmp-*"):
                left.unlink()
            return _download(source, target, work, mirror, report)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"the disk of {str(target.parent)!r} is full ({error.strerror}): free space and run again, what has "
                f"arrived is kept in {str(work)!r}, or choose another folder"
            ) from error
        raise DownloadError(f"{error}: choose a folder that can be written") from error


def missing(source: DownloadSource, root: Path) -> list[str]:
    """Say which patterns of `source.contents` have another number of files under `root`, each in a few words."""
    found = {
        pattern: sum(1 for path in root.glob(pattern) if path.is_file() and not path.name.startswith("."))
        for pattern in source.contents
    }
    return [f"{found[p]:,} of {n:,} {p}" for p, n in source.contents.items() if found[p] != n]


def _is_whole(source: DownloadSource, target: Path) -> bool:
    """Say whether the dataset is there; raise `FolderExists` if something else is."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    if target.is_dir() and not (wrong := missing(source, target)):
        return True
    has = f"has {', '.join(wrong)}" if target.is_dir() else "is no folder"
    raise FolderExists(
        f"{str(target)!r} exists and {has}, so it is neither used nor overwritten: move it away and run again, or keep "
        f"it and use what is there"
    )


def _download(source: DownloadSource, target: Path, work: Path, mirror: str | None, report: Report) -> Downloaded:
    parts = {file: work / f"{file.name}.part" for file in source.files}
    sizes = {file: file.size or 0 for file in source.files}
    needed = sum(sizes[file] - min(_size(part), sizes[file]) for file, part in parts.items())
    needed += sum(size for file, size in sizes.items() if file.inner is not None)  # unpacked, it is not smaller
    if (free := shutil.disk_usage(work).free) < needed:
        raise DiskFull(f"this takes {needed:,} bytes at least, and where {str(work)!r} is {free:,} are free")

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
            if not file.digest:  # nothing says that it was right
                _drop(part)
        raise
    _remember(work / "first.json", {f.name: d["sha256"] for f, d in zip(parts, fetched, strict=True) if not f.digest})
    for part in parts.values():
        _drop(part)
    return Downloaded(target, "downloaded", tuple(fetched))


def _install(
    source: DownloadSource, parts: dict[RemoteFile, Path], target: Path, about: dict[str, Any], report: Report
) -> None:
    """Unpack what has arrived beside it, check that it is the dataset, and move it to its place."""
    work = next(iter(parts.values())).parent
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=work) as folder:
        root = Path(folder) / "root"
        root.mkdir()
        for file, part in parts.items():
            _place(file, part, Path(folder) / "archive", root, report)
        if wrong := missing(source, root):
            raise DownloadError(
                f"what was downloaded has {', '.join(wrong)}, so it is not this dataset: see {source.homepage}; what "
                f"has a checksum is kept in {str(work)!r}"
            )
        (root / "download.json").write_text(json.dumps(about, indent=1) + "\n")
        if hasattr(os, "sync"):  # else a power cut could leave the folder in place with empty files; Windows has none
            os.sync()
        try:
            root.replace(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise FolderExists(f"{str(target)!r} was made meanwhile, and is left as it is") from error
            raise


def _provenance(source: DownloadSource, fetched: list[dict[str, Any]]) -> dict[str, Any]:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"homepage": source.homepage, "licence": source.licence, "citation": source.citation}
    return {**about, "downloaded": when, "files": fetched}


def _place(file: RemoteFile, part: Path, scratch: Path, root: Path, report: Report) -> None:
    """Put a file, or the content of an archive's inner folder, into `root`."""
    if file.inner is None:
        shutil.copyfile(part, root / file.name)
        return
    archives.unpack(part, scratch, case_matters=file.case_matters, report=report)
    inner = scratch / file.inner
    if not inner.is_dir():
        raise DownloadError(f"{file.name} has no folder {file.inner!r} in it, so it is not this dataset")
    for child in inner.iterdir():
        if (root / child.name).exists():
            raise DownloadError(f"{file.name} has {child.name!r}, which another file of this dataset has too")
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
    """Get a file to `part`, in as many attempts as it takes while they get further."""
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
                    f"{url}: {error}; {TRIES} attempts in a row got no further. {size:,} bytes are kept in "
                    f"{str(part)!r}: run again later to go on from there, or try another place with --mirror"
                ) from error
            report(f"{file.name}: {error}; trying again", size, file.size)
            asked = BACKOFF * 2 ** max(vain - 1, 0) if error.after is None else error.after
            time.sleep(min(asked, MAX_BACKOFF))


def _attempt(file: RemoteFile, url: str, part: Path, report: Report) -> None:
    """Ask for what is missing of a file, and append it; raise `_Broken` if another attempt may get further."""
    have, seen = _kept(file, url, part)
    if have and have == (file.size or seen.get("total")):
        return
    known = seen.get("version", "") if seen.get("url") == url else ""
    headers = {"Accept-Encoding": "identity"}  # packed in transit, sizes and ranges would mean other bytes
    if have:
        headers["Range"] = f"bytes={have}-"
        if known:
            headers["If-Range"] = known
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            _check_status(file, url, part, response)
            if response.status_code == requests.codes.partial_content:
                total = _rest(have, known, part, response)
            else:  # all of it: no range was asked for, the server has none, or the file has changed
                have, total, known = 0, _length(response), ""
            if file.size is not None and total not in (None, file.size):
                raise DownloadError(f"{url} has {total:,} bytes, {file.size:,} are published: that is another file")
            if total is None and not response.raw.chunked and not file.size:
                raise DownloadError(f"{url} comes without its length, so a cut could not be seen: try --mirror")
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
        raise DownloadError(f"{url} cannot be asked ({error}): see --mirror") from error
    except requests.RequestException as error:
        raise _Broken(error) from error


def _receive(
    file: RemoteFile, url: str, part: Path, have: int, total: int | None, response: requests.Response, report: Report
) -> None:
    """Append a response's body to `part`, up to the length it must have."""
    most = total or file.size or MAX_UNKNOWN_BYTES
    with part.open("ab") as out:
        for chunk in response.iter_content(CHUNK):
            have += len(chunk)
            if have > most:
                raise DownloadError(f"{url} goes on after {most:,} bytes, where it should end: that is another file")
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
    if status == 416:  # what is here is as long as the file there or longer
        if file.size is not None:  # and shorter than what is published
            raise DownloadError(f"{url} has less than the {file.size:,} bytes published: that is another file")
        _drop(part)
        raise _Broken("the file there is shorter than what is here")
    if status in (408, 425, 429) or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise _Broken(f"the server answers {status} {response.reason}", float(after) if after.isdecimal() else None)
    if status not in (200, 206) or (status == 206 and "Range" not in response.request.headers):
        raise DownloadError(f"{url}: the server answers {status} {response.reason}: see --mirror")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{url} comes packed though it was asked for as it is: see --mirror")
    onward = [each.url for each in (*response.history, response) if each.url.startswith("http:")]
    if url.startswith("https:") and onward:
        raise DownloadError(f"{url} leads on to {onward[0]}, which nothing protects on its way: see --mirror")


def _rest(have: int, known: str, part: Path, response: requests.Response) -> int | None:
    """Return the file's length, given a response with the bytes from `have` on; if they do not fit, drop what is here.

    `known` is the version of what is here, "" if that is not known.
    """
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if known and _version(response) not in ("", known):
        _drop(part)
        raise _Broken("the file there has changed")
    if match is None or int(match[1]) != have:
        _drop(part)
        raise _Broken("the server sends another part than it was asked for")
    return None if match[3] == "*" else int(match[3])


def _kept(file: RemoteFile, url: str, part: Path) -> tuple[int, dict[str, Any]]:
    """Return how many bytes are here and can be gone on from, and what was noted of them."""
    try:
        seen = json.loads(part.with_name(f"{part.name}.json").read_text())
        same = seen["url"] == url
        # Without a version or at another address only a checksum can tell whether both parts are of one file.
        if (same and seen["version"]) or file.digest or (same and seen["total"] == _size(part)):
            have = _size(part)
            return (have, seen) if have <= (file.size or have) else (0, {})
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return 0, {}


def _version(response: requests.Response) -> str:
    """Return what names the version of a file in `If-Range`; "" if nothing does."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _verify(file: RemoteFile, url: str, part: Path, first: Path, homepage: str, report: Report) -> str:
    """Return the SHA-256 of a file that is what was published, or what was trusted the first time."""
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
            f"place with --mirror; if it is the same every time the file there was changed, see {homepage}"
        )
    return found


def _remembered(first: Path) -> dict[str, str]:
    try:
        return dict(json.loads(first.read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise DownloadError(
            f"{str(first)!r} is damaged ({error}): remove it to trust the files as they come"
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
