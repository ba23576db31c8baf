"""Downloads that are interrupted, and two at once, go on from what is there."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.downloads import SIZE, naive, offered, part, stopped, zipped
from fakes.server import Server

from datamodules.fetch import download as downloading
from datamodules.fetch.download import download


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


def test_a_mirror_goes_on_where_the_publisher_stopped(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.files["copies/set.zip"] = server.files["set.zip"]
    have = stopped(server, source, tmp_path / "set")
    server.requests, server.etag = [], '"the mirror\'s"'
    download(source, tmp_path / "set", mirror=server.url("copies"))
    assert [(r.range, r.if_range) for r in server.requests] == [(f"bytes={have}-", None)]


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


def test_a_file_of_unknown_size_that_shrank_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    source = offered(server, digest=None, size=None)
    stopped(server, source, tmp_path / "set")
    server.files["set.zip"], server.heeds_if_range = zipped({"top/audio/a.wav": b"a", "top/audio/b.wav": b"b"}), False
    download(source, tmp_path / "set")
    assert (tmp_path / "set" / "audio" / "a.wav").read_bytes() == b"a"
