"""Downloading, against a web server on this machine: interruptions, damage, lies, and two at once."""

import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from fakes import esc50 as fake_esc50
from fakes.server import Server, serving
from typer.testing import CliRunner

from bench import catalog
from bench.cli import app
from bench.errors import BenchError, SuiteError
from datamodules.esc50 import ESC50
from datamodules.fetch import download as downloading
from datamodules.fetch.archives import ArchiveError, DiskFull
from datamodules.fetch.download import ChecksumError, DownloadError, FolderExists, NotThere, download
from datamodules.fetch.sources import SOURCES, DownloadSource, RemoteFile

DATA = Path(os.environ.get("BENCH_DATA", Path(__file__).parents[4] / "shared" / "data"))
SIZE = 3_000_000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloading, "BACKOFF", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as state:
        yield state


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


# The whole way


@pytest.mark.slow
def test_a_dataset_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    fake_esc50.write(tmp_path / "made")
    files = {f"ESC-50-x/{name}": (tmp_path / "made" / name).read_bytes() for name in tree(tmp_path / "made")}
    source = replace(offered(server, zipped(files), inner="ESC-50-x"), contents={"audio/*.wav": 50})
    target = tmp_path / "data" / "esc50"
    told: list[str] = []
    outcome = download(source, target, report=lambda what, done, total: told.append(what))
    assert (outcome.state, outcome.where) == ("downloaded", target)
    assert ESC50.find(target) is None
    assert tree(target) == {*tree(tmp_path / "made"), "download.json"}
    assert all(
        (target / name).read_bytes() == (tmp_path / "made" / name).read_bytes() for name in tree(tmp_path / "made")
    )
    content = server.files["set.zip"]
    wanted = {
        "name": "set.zip",
        "url": server.url("set.zip"),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert outcome.files == (wanted,)
    about = json.loads((target / "download.json").read_text())
    assert about["files"] == [wanted]
    assert (about["licence"], about["citation"]) == ("CC0", "Nobody 2026")
    assert sorted(set(told)) == ["set.zip", "unpacking", "verifying set.zip"]
    assert {path.name for path in part(target).parent.iterdir()} == {"lock"}  # the archive is not kept

    assert download(source, target).state == "here"
    assert len(server.requests) == 1


LAYOUTS = {
    "esc50": (zipped, "ESC-50-33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6/", ["meta/esc50.csv", "audio/1-100032-A-0.wav"]),
    "urbansound8k": (tarred, "UrbanSound8K/", ["metadata/UrbanSound8K.csv", "audio/fold1/101415-3-0-2.wav"]),
    "ravdess": (zipped, "", ["Actor_01/03-01-01-01-01-01-01.wav"]),
    "musan": (
        tarred,
        "musan/",
        ["music/fma/music-fma-0000.wav", "speech/librivox/speech-librivox-0000.wav", "noise/free-sound/n-0.wav"],
    ),
    "gtzan-music-speech": (tarred, "music_speech/", ["music_wav/bagpipe.wav", "speech_wav/acomic.wav"]),
    "audioset-embeddings": (
        tarred,
        "",
        [f"audioset_v1_embeddings/{half}/{name}.tfrecord" for half in ("bal_train", "eval") for name in ("aA", "AA")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_official_layouts(server: Server, tmp_path: Path, name: str) -> None:
    """Archives with the real top folder and names, fewer of them, end where the dataset is looked for."""
    pack, top, files = LAYOUTS[name]
    content = pack({f"{top}{file}": file.encode() for file in files} | {f"{top}._hidden.wav": b"macOS"})
    source, served = SOURCES[name], []
    for file in source.files:
        data = content if file.inner is not None else b"index,mid,display_name\n"
        server.files[file.name] = data
        digest = file.digest and f"sha256:{hashlib.sha256(data).hexdigest()}"
        served.append(replace(file, url=server.url(file.name), size=file.size and len(data), digest=digest))
    plain = {file.name for file in source.files if file.inner is None}
    contents = {p: sum(Path(f).match(p.replace("**/", "*/")) for f in (*files, *plain)) for p in source.contents}
    assert all(contents.values())
    download(replace(source, files=tuple(served), contents=contents), tmp_path / name)
    assert tree(tmp_path / name) == {*files, *plain, "download.json"}


# Interruptions


def naive(server: Server, path: Path) -> None:
    """What a first script does: ask for the rest if there is a part, and append what comes."""
    have = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(server.url("set.zip"), headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request) as response, path.open("ab") as file:
        shutil.copyfileobj(response, file)


def test_a_cut_body_is_gone_on_from(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    size = len(server.files["set.zip"])
    server.cuts = [1_300_000]
    naive(server, tmp_path / "naive")
    assert (tmp_path / "naive").stat().st_size == 1_300_000  # and no error

    server.cuts, server.requests = [1_300_000], []
    download(source, tmp_path / "set")
    first, second = server.requests
    assert (first.range, first.sent) == (None, 1_300_000)
    start = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert 1_300_000 - downloading.CHUNK <= start <= 1_300_000
    assert second.sent == size - start
    assert second.if_range == '"1"'


@pytest.mark.slow
def test_many_cuts_are_no_matter_while_it_gets_further(server: Server, tmp_path: Path) -> None:
    source = offered(server, zipped({"top/audio/a.wav": os.urandom(15_000_000), "top/audio/b.wav": b""}))
    server.cuts = [1_200_000] * 10
    download(source, tmp_path / "set")
    assert len(server.requests) > downloading.TRIES + 3
    assert sum(request.sent for request in server.requests) < 15_000_000 + 15 * downloading.CHUNK


def test_an_interrupted_process_is_gone_on_from(server: Server, tmp_path: Path) -> None:
    source = offered(server)

    def interrupt(what: str, done: int, total: int | None) -> None:
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(source, tmp_path / "set", report=interrupt)
    have = part(tmp_path / "set").stat().st_size
    assert have > 1_000_000
    assert not (tmp_path / "set").exists()
    download(source, tmp_path / "set")
    assert server.requests[1].range == f"bytes={have}-"
    assert server.requests[1].sent == len(server.files["set.zip"]) - have


def test_what_arrived_whole_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    for stage in ("verifying", "unpacking"):

        def interrupt(what: str, done: int, total: int | None, stage: str = stage) -> None:
            if what.startswith(stage):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            download(source, tmp_path / "set", report=interrupt)
        assert not (tmp_path / "set").exists()
    download(source, tmp_path / "set")
    assert len(server.requests) == 1
    assert {path.name for path in part(tmp_path / "set").parent.iterdir()} == {"lock"}


def test_what_a_killed_process_left_is_swept(server: Server, tmp_path: Path) -> None:
    left = part(tmp_path / "set").parent / "unpacked-killed" / "root"
    left.mkdir(parents=True)
    (left / "a.wav").touch()
    download(offered(server), tmp_path / "set")
    assert not left.exists()


def stopped(server: Server, source: DownloadSource, target: Path) -> int:
    """Have a download given up after 1.3 MB, and return how much of it is kept."""
    server.ranges, server.cuts = False, [1_300_000] * 100
    with pytest.raises(DownloadError, match="are kept"):
        download(source, target)
    server.ranges, server.cuts = True, []
    have = part(target).stat().st_size
    assert 1_300_000 - downloading.CHUNK <= have <= 1_300_000
    return have


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.ranges, server.cuts = False, [1_300_000]
    download(source, tmp_path / "set")
    assert [request.sent for request in server.requests] == [1_300_000, len(server.files["set.zip"])]


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("digest", ["sha256", None])
def test_parts_of_two_versions_are_not_mixed(server: Server, tmp_path: Path, heeds: bool, digest: str | None) -> None:
    contents = [zipped({"top/audio/a.wav": os.urandom(SIZE), "top/audio/b.wav": b"b"}) for _ in range(2)]
    source = offered(server, contents[1], digest)
    server.files["set.zip"], server.etag, server.cuts = contents[0], '"old"', [1_300_000]
    naive(server, tmp_path / "naive")
    source_now = replace(source, files=(replace(source.files[0], size=None),)) if digest is None else source
    stopped(server, source_now, tmp_path / "set")
    server.files["set.zip"], server.etag, server.heeds_if_range = contents[1], '"new"', heeds
    naive(server, tmp_path / "naive")
    mixed = (tmp_path / "naive").read_bytes()
    assert mixed not in contents
    assert len(mixed) == len(contents[1])
    download(source_now, tmp_path / "set")
    with zipfile.ZipFile(io.BytesIO(contents[1])) as archive:
        assert (tmp_path / "set" / "audio" / "a.wav").read_bytes() == archive.read("top/audio/a.wav")


def test_a_weak_version_is_not_gone_on_from_without_a_checksum(server: Server, tmp_path: Path) -> None:
    source = offered(server, digest=None)
    server.etag, server.cuts = 'W/"1"', [1_300_000]
    download(source, tmp_path / "set")
    assert [request.range for request in server.requests] == [None, None]


# Damage and lies


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


def test_a_mirror(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.files["copies/set.zip"] = server.files.pop("set.zip")
    download(source, tmp_path / "set", mirror=server.url("copies/"))
    assert [request.path for request in server.requests] == ["/copies/set.zip"]
    server.files["copies/set.zip"] += b"!"
    with pytest.raises(DownloadError, match="published"):
        download(source, tmp_path / "again", mirror=server.url("copies"))


def test_a_mirror_goes_on_where_the_publisher_stopped(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.files["copies/set.zip"] = server.files["set.zip"]
    have = stopped(server, source, tmp_path / "set")
    server.requests, server.etag = [], '"the mirror\'s"'
    download(source, tmp_path / "set", mirror=server.url("copies"))
    assert [(r.range, r.if_range) for r in server.requests] == [(f"bytes={have}-", None)]


def test_a_file_without_checksum_is_trusted_once(server: Server, tmp_path: Path) -> None:
    source = offered(server, digest=None, size=None)
    download(source, tmp_path / "set")
    first = part(tmp_path / "set").parent / "first.json"
    assert json.loads(first.read_text()) == {"set.zip": hashlib.sha256(server.files["set.zip"]).hexdigest()}
    shutil.rmtree(tmp_path / "set")
    download(source, tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    offered(server)  # other content
    with pytest.raises(ChecksumError, match=r"the first time, by '.*first\.json', it was"):
        download(source, tmp_path / "set")
    first.unlink()
    assert download(source, tmp_path / "set").state == "downloaded"


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


# What is there already


def test_a_folder_that_exists_is_left_as_it_is(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    (tmp_path / "set" / "audio").mkdir(parents=True)
    (tmp_path / "set" / "audio" / "mine.wav").write_text("mine")
    with pytest.raises(FolderExists, match=r"has 1 of 2 audio/\*\.wav"):
        download(source, tmp_path / "set")
    assert tree(tmp_path) == {"set/audio/mine.wav"}
    (tmp_path / "file").touch()
    with pytest.raises(FolderExists, match="no folder"):
        download(source, tmp_path / "file")
    assert server.requests == []


def test_a_folder_made_meanwhile_is_left_as_it_is(server: Server, tmp_path: Path) -> None:
    def make(what: str, done: int, total: int | None) -> None:
        if what == "unpacking":
            (tmp_path / "set").mkdir(exist_ok=True)
            (tmp_path / "set" / "mine").touch()

    with pytest.raises(FolderExists, match="meanwhile"):
        download(offered(server), tmp_path / "set", report=make)
    assert tree(tmp_path / "set") == {"mine"}


def test_an_empty_folder_or_a_link_to_another_disk_is_filled(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    (tmp_path / "large" / "real").mkdir(parents=True)
    (tmp_path / "set").symlink_to(tmp_path / "large" / "real")
    assert download(source, tmp_path / "set").where == tmp_path / "large" / "real"
    assert (tmp_path / "set" / "audio" / "a.wav").exists()


# Disks


def test_a_disk_that_is_too_small_is_seen_before_anything(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = offered(server)
    usage = namedtuple("usage", "total used free")
    free = 2 * len(server.files["set.zip"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free, 0, free - 1))
    with pytest.raises(DiskFull, match=rf"at least {free:,} bytes.*{free - 1:,} free"):
        download(source, tmp_path / "set")
    assert server.requests == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free, 0, free))
    download(source, tmp_path / "set")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_gets_full(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    part(tmp_path / "set").parent.mkdir(parents=True)
    part(tmp_path / "set").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match="is full"):
        download(source, tmp_path / "set")
    part(tmp_path / "set").unlink()
    assert download(source, tmp_path / "set").state == "downloaded"


def test_a_place_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="choose a writable folder"):
        download(offered(server), tmp_path / "file" / "set")


# Two at once


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    with ThreadPoolExecutor(4) as pool:
        states = [outcome.state for outcome in pool.map(lambda _: download(source, tmp_path / "set"), range(4))]
    assert sorted(states) == ["downloaded", "here", "here", "here"]
    assert len(server.requests) == 1


BENCH = """
import sys
from dataclasses import replace
from datamodules.fetch import sources
url, size, digest = sys.argv[1], int(sys.argv[2]), sys.argv[3]
file = replace(sources.SOURCES["esc50"].files[0], url=url, name="set.zip", size=size, digest=digest, inner="top")
sources.SOURCES["esc50"] = replace(sources.SOURCES["esc50"], files=(file,), contents={"audio/*.wav": 2})
sys.argv = ["bench", "data", "download", "esc50", "--yes", "--json", "--data-dir", sys.argv[4]]
from bench.cli import main
main()
"""


@pytest.mark.process
def test_processes_interrupted_and_two_at_once(
    server: Server, tmp_path: Path, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    """Ctrl-C in the middle, then two processes together: the rest is sent, once."""
    (file,) = offered(server).files
    command = [sys.executable, "-c", BENCH, file.url, str(file.size), str(file.digest), str(tmp_path)]
    target, pipes = tmp_path / "esc50", {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    server.hold = threading.Event()
    process = start(command, **pipes)
    late = time.monotonic() + 300
    while not (part(target).exists() and part(target).stat().st_size > 1_000_000):
        assert time.monotonic() < late
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert b"CC BY-NC 3.0" in errors
    assert b"Traceback" not in errors
    server.hold.set()
    have = part(target).stat().st_size
    server.requests.clear()
    both = [start(command, **pipes) for _ in range(2)]
    printed = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert sorted(json.loads(words)["state"] for words, _ in printed) == ["downloaded", "here"]
    assert [(r.range, r.sent) for r in server.requests] == [(f"bytes={have}-", file.size - have)]


# The command, and the table of sources


def run(*arguments: str, **options: object) -> object:
    return CliRunner().invoke(app, ["data", "download", *arguments], **options)


def test_the_command(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "esc50", offered(server))
    refused = run("esc50", "--data-dir", str(tmp_path))
    assert isinstance(refused.exception, SuiteError)
    assert "--yes" in str(refused.exception)
    assert "licence:  CC0" in refused.stderr
    assert server.requests == []
    server.files["copies/set.zip"] = server.files.pop("set.zip")
    missing = run("esc50", "--data-dir", str(tmp_path), "--yes")
    assert isinstance(missing.exception, BenchError)
    assert "not there (404)" in str(missing.exception)
    done = run("esc50", "--data-dir", str(tmp_path), "--yes", env={"BENCH_MIRROR": server.url("copies")})
    assert done.exit_code == 0
    assert f"downloaded, verified and unpacked: {tmp_path / 'esc50'}" in done.stdout
    again = json.loads(run("esc50", "--data-dir", str(tmp_path), "--yes", "--json").stdout)
    assert again == {
        "dataset": "esc50",
        "where": str(tmp_path / "esc50"),
        "state": "here",
        "files": [],
        "licence": "CC0",
    }


@pytest.mark.parametrize("name", ["vggsound", "audioset"])
def test_lists_of_videos_are_told_what_to_do(tmp_path: Path, name: str) -> None:
    told = run(name, "--data-dir", str(tmp_path))
    assert told.exit_code == 1
    assert "no direct source" in told.stdout
    assert str(tmp_path) in told.stdout
    about = json.loads(run(name, "--data-dir", str(tmp_path), "--json").stdout)
    assert about["state"] == "by hand"
    assert about["problem"]


def test_names_that_are_not_downloaded() -> None:
    assert "made by code" in str(run("synthetic").exception)
    assert "Did you mean 'esc50'" in str(run("esc5").exception)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_complete(name: str) -> None:
    source = SOURCES[name]
    assert source.licence
    assert source.citation
    assert source.homepage.startswith("http")
    assert source.instructions or source.files
    for file in source.files:
        assert file.url.startswith("https://" if file.size is None else "http")  # http only with a checksum
        kind, _, digest = (file.digest or "").partition(":")
        assert (kind, len(digest)) in {("sha256", 64), ("md5", 32), ("", 0)}
        assert file.digest or file.inner is None  # no archive is trusted at first sight
    assert all(count > 0 for count in source.contents.values())
    assert bool(source.contents) == bool(source.files)


def test_every_dataset_with_a_folder_has_a_source() -> None:
    sources = {name: catalog.load(entry.target).source for name, entry in catalog.DATASETS.items() if entry.folder}
    assert set(sources.values()) <= set(SOURCES)
    assert {name for name, source in sources.items() if name != source} == {"musan-streams"}


@pytest.mark.skipif(
    not (DATA / "audioset_vggish").is_dir(), reason=f"AudioSet's tables are not in {DATA}: set BENCH_DATA"
)
def test_the_real_tables_have_the_sources_checksums() -> None:
    for file in SOURCES["audioset-embeddings"].files:
        if file.inner is None and file.digest:
            content = (DATA / "audioset_vggish" / file.name).read_bytes()
            assert len(content) == file.size
            assert file.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_file_of_unknown_size_that_shrank_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    source = offered(server, digest=None, size=None)
    stopped(server, source, tmp_path / "set")
    server.files["set.zip"], server.heeds_if_range = zipped({"top/audio/a.wav": b"a", "top/audio/b.wav": b"b"}), False
    download(source, tmp_path / "set")
    assert (tmp_path / "set" / "audio" / "a.wav").read_bytes() == b"a"


def test_gzip_is_told_by_its_bytes(server: Server, tmp_path: Path) -> None:
    """A tar.gz that a server sends under a zip's name is unpacked all the same."""
    source = offered(server, tarred({"top/audio/a.wav": b"a", "top/audio/b.wav": b"b"}))
    download(source, tmp_path / "set")
    assert gzip.decompress(server.files["set.zip"])
