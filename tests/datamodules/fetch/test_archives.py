"""Unpacking: hostile archives leave nothing behind; archives in the datasets' layouts come out as they went in."""

import bz2
import gzip
import io
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
from fakes.archives import GROWN, HOSTILE, LIMITS, MIN_RATIO_BYTES, entry, packed, put, tar

from datamodules.fetch import archives
from datamodules.fetch.archives import ArchiveError, DiskFull, Limits, unpack


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


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the limits so small that a harmless archive is over them."""
    monkeypatch.setattr(archives, "MIN_RATIO_BYTES", MIN_RATIO_BYTES)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.slow
def test_a_hostile_archive_leaves_nothing(place: Path, name: str) -> None:
    archive = place / "archive"
    HOSTILE[name].build(archive)
    before = state(place)
    with pytest.raises(ArchiveError, match=f"archive.*({HOSTILE[name].said})"):
        unpack(archive, place / "into", LIMITS)
    assert state(place) == before


def test_there_are_52_hostile_archives() -> None:
    assert len(HOSTILE) == 52


@pytest.mark.parametrize(
    "name", ["../x", "a/../x", "a/..", "/x", "//x", "C:/x", "a\\x", "a\n", "\x9b", "\ud800", "a" * 256]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match="archive: "):
        archives._parts(Path("archive"), name, Limits())


@pytest.mark.parametrize(
    ("kind", "said"), [(tarfile.FIFOTYPE, "a pipe"), (tarfile.CHRTYPE, "a device"), (tarfile.BLKTYPE, "a device")]
)
def test_pipes_and_devices_are_refused(place: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes, said: str) -> None:
    """The archive holds a file; only what our reader returns of its header is changed."""
    exchange(monkeypatch, archives._TarInfo, type=kind)
    with tar(place / "archive"):
        pass
    with pytest.raises(ArchiveError, match=f"first.wav' is neither a file nor a folder but {said}"):
        unpack(place / "archive", place / "into")
    assert not (place / "into").exists()


@pytest.mark.parametrize(
    ("reader", "said"), [(tarfile.TarInfo, "a header of -1 bytes"), (archives._TarInfo, "says that it has -1 bytes")]
)
def test_sizes_below_zero_are_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, reader: type[tarfile.TarInfo], said: str
) -> None:
    """Where a header states them, and where a later one does; the archive itself is sound."""
    exchange(monkeypatch, reader, size=-1)
    with tar(place / "archive"):
        pass
    with pytest.raises(ArchiveError, match=said):
        unpack(place / "archive", place / "into")
    assert not (place / "into").exists()


def exchange(monkeypatch: pytest.MonkeyPatch, reader: type[tarfile.TarInfo], **attributes: object) -> None:
    """Have a reader of headers return other attributes than the header has."""
    read = reader.frombuf.__func__

    def changed(cls: type[tarfile.TarInfo], *arguments: object) -> tarfile.TarInfo:
        info = read(cls, *arguments)
        for name, value in attributes.items():
            setattr(info, name, value)
        return info

    monkeypatch.setattr(reader, "frombuf", classmethod(changed))


def test_the_whole_name_in_a_zip_is_checked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`filename` is what zipfile makes of a name; what the archive says is in `orig_filename`."""
    with packed(place / "archive"):
        pass
    listed = zipfile.ZipFile.infolist

    def changed(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        for info in listed(archive):
            info.orig_filename = "../first.wav"
        return listed(archive)

    monkeypatch.setattr(zipfile.ZipFile, "infolist", changed)
    with pytest.raises(ArchiveError, match="leads out"):
        unpack(place / "archive", place / "into")


def test_a_file_that_is_longer_than_it_says(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a reader of archives gives, no more than the stated size is written."""
    member = archives.RawEntry("second.wav", False, 5, lambda: io.BytesIO(bytes(6)))
    monkeypatch.setattr(archives, "_zip_members", lambda archive: iter([member]))
    with packed(place / "archive"):
        pass
    with pytest.raises(ArchiveError, match="is longer than the 5 bytes that it states"):
        unpack(place / "archive", place / "into")
    assert not (place / "into").exists()


def test_entries_that_a_flipped_bit_hides_are_missed(place: Path) -> None:
    """The bit makes an entry's comment so long that it covers the next entries; zipfile lists one of three."""
    with packed(place / "archive") as archive:
        for name in ("a", "b"):
            archive.writestr(entry(name, 0o100644), b"x")
    content = bytearray((place / "archive").read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 32] ^= 128  # of the length of the first entry's comment
    (place / "archive").write_bytes(content)
    with zipfile.ZipFile(place / "archive") as opened:
        assert len(opened.infolist()) < 3
    with pytest.raises(ArchiveError, match=r"its end states 3 entries, but 1 are listed"):
        unpack(place / "archive", place / "into")
    assert not (place / "into").exists()


def test_rights_are_those_of_new_files(place: Path) -> None:
    with tar(place / "archive") as archive:
        put(archive, "second.wav", mode=0o1777, uid=0, gid=0)
        put(archive, "shared", b"", type=tarfile.DIRTYPE, mode=0o1777)
    assert unpack(place / "archive", place / "into") == 2
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((place / "into" / "second.wav").stat().st_mode) == 0o666 & ~mask
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
    with pytest.raises(ArchiveError, match=r"'bal_train/Aa\.tfrecord' would overwrite 'bal_train/AA"):
        unpack(tmp_path / "archive", tmp_path / "into")
    assert unpack(tmp_path / "archive", tmp_path / "into", case_matters=True) == 6
    assert tree(tmp_path / "into") == names

    monkeypatch.setattr(Path, "exists", lambda self: os.path.exists(str(self).replace("CASE", "case")))  # noqa: PTH110
    with pytest.raises(ArchiveError, match="does not distinguish upper from lower"):
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
    for limits in (Limits(entries=1), Limits(bytes=999), Limits(ratio=999 / archives.MIN_RATIO_BYTES), Limits(name=9)):
        with pytest.raises(ArchiveError):
            unpack(tmp_path / "archive", tmp_path / "into", limits)
    assert not (tmp_path / "into").exists()


def test_a_directory_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with packed(tmp_path / "archive") as archive:
        archive.writestr("second.wav", b"x")
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 50)
    with pytest.raises(ArchiveError, match=r"has a directory of \d+ bytes"):
        unpack(tmp_path / "archive", tmp_path / "into")


def test_zeros_after_the_end_are_counted(tmp_path: Path) -> None:
    """A tar may end in zeros; those that its packing hides count like its files."""
    with tar(tmp_path / "archive"):
        pass
    content = (tmp_path / "archive").read_bytes() + bytes(GROWN)
    (tmp_path / "archive").write_bytes(gzip.compress(content))
    assert unpack(tmp_path / "archive", tmp_path / "fits", Limits(bytes=len(content))) == 1
    with pytest.raises(ArchiveError, match="may be a bomb"):
        unpack(tmp_path / "archive", tmp_path / "into", Limits(bytes=len(content) - 1))
    assert not (tmp_path / "into").exists()


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tar(tmp_path / "archive"):
        pass
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 96, 4))
    with pytest.raises(DiskFull, match=r"5 bytes.*4 free"):
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


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["tar_bomb", "zip_bomb", "tar_long_header"])
def test_refusing_takes_little_memory(tmp_path: Path, name: str) -> None:
    HOSTILE[name].build(tmp_path / "archive")
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError):
            unpack(tmp_path / "archive", tmp_path / "into", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < GROWN / 4
    finally:
        tracemalloc.stop()


@pytest.mark.slow
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
