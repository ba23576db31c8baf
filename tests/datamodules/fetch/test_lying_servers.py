"""Servers that send damaged, cut, other or no content."""

import hashlib
import time
from pathlib import Path

import pytest
import requests
from fakes.downloads import offered, part, stopped, tree, zipped
from fakes.server import Server

from datamodules.fetch import download as downloading
from datamodules.fetch.archives import ArchiveError
from datamodules.fetch.download import ChecksumError, DownloadError, NotThere, download


@pytest.mark.parametrize("digest", ["md5", "sha256"])
def test_a_wrong_checksum(server: Server, tmp_path: Path, digest: str) -> None:
    source = offered(server, digest=digest)
    content = bytearray(server.files["set.zip"])
    content[1000] ^= 1  # in the sound, where no naive reader would see it
    server.files["set.zip"] = bytes(content)
    with pytest.raises(ChecksumError, match=rf"{digest} is {hashlib.new(digest, content).hexdigest()}, published is"):
        download(source, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    assert not part(tmp_path / "set").exists()
    content[1000] ^= 1
    server.files["set.zip"] = bytes(content)
    assert download(source, tmp_path / "set").state == "downloaded"


@pytest.mark.slow
def test_a_body_that_is_always_cut(server: Server, tmp_path: Path) -> None:
    source = offered(server, b"PK\3\4" + bytes(90_000))
    server.ranges, server.cuts = False, [60_000] * 100
    with pytest.raises(DownloadError, match="5 attempts in a row made no progress"):
        download(source, tmp_path / "set")
    assert len(server.requests) == downloading.TRIES
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_cut_body_without_content_length(server: Server, tmp_path: Path, framing: str) -> None:
    source = offered(server)
    server.framing, server.cuts = framing, [1_300_000]
    download(source, tmp_path / "set")
    assert len(server.requests) == 2


def test_a_length_that_nothing_tells_is_refused(server: Server, tmp_path: Path) -> None:
    source = offered(server, digest=None, size=None)
    server.framing = "close"
    with pytest.raises(DownloadError, match="without its length"):
        download(source, tmp_path / "set")
    server.framing = "chunked"  # has an end mark
    assert download(source, tmp_path / "set").state == "downloaded"


def test_another_size_than_published_is_seen_before_the_body(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    have = stopped(server, source, tmp_path / "set")
    server.files["set.zip"] = b"<html>Log in</html>"
    for server.ranges, said in (
        (False, r"19 bytes, but 3,000,\d+ are"),
        (True, r"less than the 3,000,\d+ published bytes"),
    ):
        with pytest.raises(DownloadError, match=said):
            download(source, tmp_path / "set")
    assert part(tmp_path / "set").stat().st_size == have > 1_000_000  # a page in its place spoils nothing


def test_a_body_that_goes_on(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.files["set.zip"] += bytes(10_000_000)
    server.framing = "chunked"
    with pytest.raises(DownloadError, match="is longer than the expected"):
        download(source, tmp_path / "set")


def test_not_there(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.files.clear()
    with pytest.raises(NotThere, match=r"set\.zip is not there \(404\)"):
        download(source, tmp_path / "set")
    assert len(server.requests) == 1
    assert not (tmp_path / "set").exists()


def test_a_busy_server_is_asked_again_and_not_for_ever(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(downloading, "BACKOFF", 1.0)
    monkeypatch.setattr(time, "sleep", waits.append)
    source = offered(server)
    server.statuses, server.headers = [503, 429, 500], {"Retry-After": "7"}
    download(source, tmp_path / "set")
    assert waits == [7, 7, 7]
    server.statuses, server.headers = [500] * 100, {}
    waits.clear()
    with pytest.raises(DownloadError, match="500 Internal Server Error; 5 attempts"):
        download(source, tmp_path / "again")
    assert waits == [1, 2, 4, 8]


def test_refused_at_once(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.statuses = [403]
    with pytest.raises(DownloadError, match="403"):
        download(source, tmp_path / "set")
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(DownloadError, match="sent compressed"):
        download(source, tmp_path / "set")
    for url in ("ftp://127.0.0.1/set.zip", "file:///etc/passwd", "nowhere"):
        with pytest.raises(DownloadError, match="cannot be requested"):
            download(source, tmp_path / "set", mirror=url)
    assert len(server.requests) == 2


def test_nobody_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="5 attempts"):
        download(offered(server), tmp_path / "set", mirror="http://127.0.0.1:1")


def test_redirects_are_followed_but_not_to_what_is_unprotected(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.statuses, server.headers = [302], {"Location": "/set.zip"}
    download(source, tmp_path / "set")
    answer = requests.Response()
    answer.status_code, answer.url = 200, "http://elsewhere/set.zip"
    with pytest.raises(DownloadError, match="unencrypted address"):
        downloading._check_status(source.files[0], "https://here/set.zip", Path("x.part"), answer)


def test_what_is_not_the_dataset_is_not_installed(server: Server, tmp_path: Path) -> None:
    few = zipped({"top/audio/a.wav": b"a", "top/audio/.b.wav": b"b"})
    for content, said in ((few, r"1 of 2 audio/\*\.wav"), (zipped({"other/a.wav": b""}), "no folder 'top'")):
        for digest in ("md5", None):
            with pytest.raises(DownloadError, match=said):
                download(offered(server, content, digest), tmp_path / "set")
            assert not (tmp_path / "set").exists()
            assert part(tmp_path / "set").exists() == (digest is not None)
            part(tmp_path / "set").unlink(missing_ok=True)


def test_a_hostile_archive_is_not_installed(server: Server, tmp_path: Path) -> None:
    source = offered(server, zipped({"top/audio/a.wav": b"a", "top/../evil": b"x"}))
    with pytest.raises(ArchiveError, match="leads out"):
        download(source, tmp_path / "data" / "set")
    assert tree(tmp_path) == {f"data/.downloads/set/{name}" for name in ("lock", "set.zip.part", "set.zip.part.json")}
