"""Folders and disks that a download meets: those that exist, are full or cannot be written."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from fakes.downloads import offered, part, tree
from fakes.server import Server

from datamodules.fetch.archives import DiskFull
from datamodules.fetch.download import DownloadError, FolderExists, download


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
