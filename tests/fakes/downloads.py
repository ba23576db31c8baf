"""A dataset that a server offers, and what a download of it leaves on disk."""

import hashlib
import io
import os
import shutil
import tarfile
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.server import Server

from datamodules.fetch import download as downloading
from datamodules.fetch.download import DownloadError, download
from datamodules.fetch.sources import DownloadSource, RemoteFile

SIZE = 3_000_000


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def offered(
    server: Server, content: bytes | None = None, digest: str | None = "md5", **about: object
) -> DownloadSource:
    """Have a server offer a dataset of two clips, 3 MB in a zip, and return its description."""
    content = content or zipped({"top/audio/a.wav": os.urandom(SIZE), "top/audio/b.wav": b"b", "top/LICENSE": b"CC"})
    server.files["set.zip"] = content
    known = f"{digest}:{hashlib.new(digest, content).hexdigest()}" if digest else None
    file = RemoteFile(url=server.url("set.zip"), name="set.zip", size=len(content), digest=known, inner="top")
    return DownloadSource(
        licence="CC0",
        citation="Nobody 2026",
        homepage="https://example.org",
        files=(replace(file, **about),),
        contents={"audio/*.wav": 2},
    )


def part(target: Path) -> Path:
    return target.parent / ".downloads" / target.name / "set.zip.part"


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def naive(server: Server, path: Path) -> None:
    """Download as a first script would: ask for the rest if there is a part, and append what comes."""
    have = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(server.url("set.zip"), headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request) as response, path.open("ab") as file:
        shutil.copyfileobj(response, file)


def stopped(server: Server, source: DownloadSource, target: Path) -> int:
    """Have a download given up after 1.3 MB, and return how much of it is kept."""
    server.ranges, server.cuts = False, [1_300_000] * 100
    with pytest.raises(DownloadError, match="are kept"):
        download(source, target)
    server.ranges, server.cuts = True, []
    have = part(target).stat().st_size
    assert 1_300_000 - downloading.CHUNK <= have <= 1_300_000
    return have
