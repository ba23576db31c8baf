"""Unpacking: hostile archives leave nothing behind; archives in the datasets' layouts come out as they went in."""

import bz2
import gzip
import itertools
import lzma
import os
import random
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from fakes.archives import HOSTILE, entry, naive, packed, put, tar

from datamodules import archives
from datamodules.archives import ArchiveError, DiskFull, Limits, unpack


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, number of links and content of everything under a folder, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_nlink, content)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with things that an archive may be after."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "secret").write_text("secret")
    return tmp_path


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.slow
def test_a_hostile_archive_leaves_nothing(place: Path, name: str) -> None:
    archive = place / "archive"
    HOSTILE[name](archive)
    before = state(place)
    with pytest.raises(ArchiveError, match="archive"):
        unpack(archive, place / "into")
    assert state(place) == before


# What the naive way does with them; those that are not here it refuses too, or lets pass in silence


@pytest.mark.parametrize(
    "name", ["tar_slip", "tar_absolute", "tar_link_then_write_through", "zip_slip", "zip_absolute"]
)
def test_naively_a_file_is_written_outside(place: Path, name: str) -> None:
    HOSTILE[name](place / "archive")
    naive(place / "archive", place / "into")
    assert (place / "outside" / "evil").exists()


@pytest.mark.parametrize("name", ["tar_symlink", "tar_symlink_inside", "tar_hardlink", "tar_fifo", "zip_symlink"])
def test_naively_links_and_pipes_are_made(place: Path, name: str) -> None:
    HOSTILE[name](place / "archive")
    naive(place / "archive", place / "into")
    kinds = [path.lstat() for path in (place / "into").rglob("*") if not path.is_dir()]
    assert any(not stat.S_ISREG(kind.st_mode) or kind.st_nlink > 1 for kind in kinds)


@pytest.mark.parametrize("name", ["zip_twice", "tar_twice"])
def test_naively_the_second_file_of_a_name_wins(place: Path, name: str) -> None:
    HOSTILE[name](place / "archive")
    naive(place / "archive", place / "into")
    assert (place / "into" / "meta.csv").read_bytes() == b"evil"


@pytest.mark.parametrize(("name", "size"), [("tar_bomb", 200 << 20), ("zip_bomb", 200 << 20), ("tar_sparse", 1 << 30)])
def test_naively_a_bomb_goes_off(place: Path, name: str, size: int) -> None:
    HOSTILE[name](place / "archive")
    assert (place / "archive").stat().st_size < 250_000
    naive(place / "archive", place / "into")
    assert sum(path.stat().st_size for path in (place / "into").rglob("*")) >= size


@pytest.mark.parametrize("name", ["tar_cut_between_files", "tar_damaged_header"])
def test_naively_files_are_lost_in_silence(place: Path, name: str) -> None:
    HOSTILE[name](place / "archive")
    naive(place / "archive", place / "into")
    assert [path.name for path in (place / "into").rglob("*.wav")] == ["first.wav"]


def test_naively_a_cut_archive_is_left_half_unpacked(place: Path) -> None:
    HOSTILE["tar_gz_cut"](place / "archive")
    with pytest.raises(EOFError):
        naive(place / "archive", place / "into")
    assert (place / "into" / "data" / "first.wav").exists()


def test_naively_a_nul_hides_an_ending(place: Path) -> None:
    HOSTILE["zip_nul"](place / "archive")
    naive(place / "archive", place / "into")
    assert (place / "into" / "evil.wav").exists()


def test_naively_a_negative_size_never_ends(place: Path) -> None:
    HOSTILE["tar_says_less_than_nothing"](place / "archive")
    try:
        with tarfile.open(place / "archive") as opened:
            assert len(list(itertools.islice(opened, 5000))) == 5000
    except tarfile.ReadError:
        pytest.skip("this Python has CVE-2025-8194 mended")


def test_naively_setuid_is_kept_and_here_it_is_not(place: Path) -> None:
    with tar(place / "archive") as archive:
        put(archive, "evil", mode=0o6777, uid=0, gid=0)
        put(archive, "shared", b"", type=tarfile.DIRTYPE, mode=0o2777)
    naive(place / "archive", place / "naive")
    assert (place / "naive" / "evil").stat().st_mode & stat.S_ISUID
    assert unpack(place / "archive", place / "into") == 2
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((place / "into" / "evil").stat().st_mode) == 0o666 & ~mask
    assert not (place / "into" / "shared").exists()  # folders are made for files


# Honest archives


TREE = {"meta/table.csv": b"a,b\n", "audio/1-é.wav": os.urandom(3_000_000), "audio/empty.wav": b"", "LICENSE": b"CC"}


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("packer", ["zip", "tar", "gzip", "gzip twice", "bzip2", "xz", "pax", "gnu", "zip by Windows"])
@pytest.mark.slow
def test_archives_come_out_as_they_went_in(tmp_path: Path, packer: str) -> None:
    archive = tmp_path / "archive.bin"
    if packer.startswith("zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.comment = b"33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"  # as GitHub's
            opened.writestr(entry("top/", stat.S_IFDIR | 0o755) if packer == "zip" else "top/", b"")
            for name, content in TREE.items():
                opened.writestr(f"top/{name}", content)
    else:
        form = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}.get(packer, tarfile.DEFAULT_FORMAT)
        with tarfile.open(archive, "w", format=form) as written:
            put(written, "./", b"", type=tarfile.DIRTYPE, mode=0o755)
            put(written, "./top/", b"", type=tarfile.DIRTYPE, mode=0o755)
            for name, content in TREE.items():
                put(written, f"./top/{name}", content, pax_headers={"comment": "c"} if packer == "pax" else {})
        pack = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}.get(packer, bytes)
        if packer == "gzip twice":  # as pigz writes: one after the other
            content = archive.read_bytes()
            archive.write_bytes(gzip.compress(content[:5000]) + gzip.compress(content[5000:]))
        else:
            archive.write_bytes(pack(archive.read_bytes()))
    told: list[tuple[str, int, int | None]] = []
    files = unpack(archive, tmp_path / "into", report=lambda *news: told.append(news))
    assert files == 4
    assert tree(tmp_path / "into" / "top") == TREE
    total = sum(map(len, TREE.values()))
    assert told[-1] == ("unpacking", total, total)


def test_long_names_of_both_kinds(tmp_path: Path) -> None:
    for number, form in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        with tarfile.open(tmp_path / "archive", "w", format=form) as archive:
            put(archive, f"{'a' * 200}/{'b' * 255}")
        assert unpack(tmp_path / "archive", tmp_path / str(number)) == 1


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    with packed(tmp_path / "archive") as archive:
        for name in ("__MACOSX/data/._first.wav", "data/._first.wav", "data/.DS_Store", "data/.hidden.wav"):
            archive.writestr(name, b"x")
    assert unpack(tmp_path / "archive", tmp_path / "into") == 2
    assert set(tree(tmp_path / "into")) == {"data/first.wav", "data/.hidden.wav"}


def test_case_may_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"bal_train/{name}.tfrecord": name.encode() for name in ("AA", "Aa", "aA", "aa", "-_", "__")}
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        for name, content in names.items():
            put(archive, name, content)
    with pytest.raises(ArchiveError, match=r"'bal_train/Aa\.tfrecord' would take the place of 'bal_train/AA"):
        unpack(tmp_path / "archive", tmp_path / "into")
    assert unpack(tmp_path / "archive", tmp_path / "into", case_matters=True) == 6
    assert tree(tmp_path / "into") == names

    monkeypatch.setattr(Path, "exists", lambda self: os.path.exists(str(self).replace("CASE", "case")))  # noqa: PTH110
    with pytest.raises(ArchiveError, match="does not tell upper from lower"):
        unpack(tmp_path / "archive", tmp_path / "blind", case_matters=True)
    assert not (tmp_path / "blind").exists()


def test_only_new_folders(tmp_path: Path) -> None:
    with tar(tmp_path / "archive"):
        pass
    (tmp_path / "into").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("into", "link"):
        with pytest.raises(ArchiveError, match="exists"):
            unpack(tmp_path / "archive", tmp_path / name)
    assert not any((tmp_path / "into").iterdir())


def test_limits(tmp_path: Path) -> None:
    with packed(tmp_path / "archive") as archive:
        archive.writestr("second.wav", os.urandom(995))
    assert unpack(tmp_path / "archive", tmp_path / "fits", Limits(entries=2, bytes=1000)) == 2
    for limits in (Limits(entries=1), Limits(bytes=999), Limits(ratio=999 / archives.LEAST_SIZE), Limits(name=9)):
        with pytest.raises(ArchiveError):
            unpack(tmp_path / "archive", tmp_path / "into", limits)
    assert not (tmp_path / "into").exists()


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tar(tmp_path / "archive"):
        pass
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 96, 4))
    with pytest.raises(DiskFull, match=r"5 bytes.*4 are free"):
        unpack(tmp_path / "archive", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_an_error_or_an_interruption_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with tar(tmp_path / "archive") as archive:
        put(archive, "second.wav")

    def interrupt(what: str, done: int, total: int | None) -> None:
        if done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "archive", tmp_path / "into", report=interrupt)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("name", ["tar_bomb", "zip_bomb", "tar_header_of_a_gigabyte"])
def test_refusing_takes_little_memory(tmp_path: Path, name: str) -> None:
    HOSTILE[name](tmp_path / "archive")
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError):
            unpack(tmp_path / "archive", tmp_path / "into")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_mutated_archives_are_unpacked_or_refused(tmp_path: Path, kind: str) -> None:
    """Whatever comes out is what went in, under names that stay inside; no other error, nothing left behind."""
    source = tmp_path / "source"
    if kind == "zip":
        with packed(source) as archive:
            archive.writestr("second.wav", b"second " * 50)
    else:
        with tar(source, "w" if kind == "tar" else "w:gz") as written:
            put(written, "second.wav", b"second " * 50)
    content, random_ = source.read_bytes(), random.Random(0)
    useful = len(content) if kind != "tar" else 3072  # the rest is padding
    place = tmp_path / "place"
    refused = 0
    for number in range(300):
        damaged = bytearray(content)
        for _ in range(random_.choice([1, 1, 2, 8])):
            damaged[random_.randrange(useful)] = random_.choice([0, 0xFF, ord("/"), ord("."), random_.randrange(256)])
        place.mkdir()
        (place / "archive").write_bytes(damaged)
        try:
            unpack(place / "archive", place / "into")
            assert not any(path.is_symlink() for path in place.rglob("*"))
        except ArchiveError:
            refused += 1
            assert not (place / "into").exists(), number
        assert {path.name for path in place.iterdir()} <= {"archive", "into"}
        shutil.rmtree(place)
    assert refused > 100
