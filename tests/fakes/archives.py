"""Archives that our unpacking refuses, each a function that writes one. All are harmless to other software.

Names that lead elsewhere still end inside the folder that is unpacked to, links are ordinary ones, no archive holds a
pipe or a device, and nothing grows beyond a megabyte: `LIMITS` and `MIN_RATIO_BYTES` are small enough to refuse that.
"""

import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from datamodules.fetch.archives import Limits

LIMITS = Limits(entries=50)
MIN_RATIO_BYTES = 16 << 10
"""Replaces `datamodules.fetch.archives.MIN_RATIO_BYTES`: a small archive may then unpack to 320 KiB."""

GROWN = 1 << 20
"""Bytes that the archives unpack to which are refused for growing."""


class Hostile(NamedTuple):
    """An archive that is refused.

    Attributes:
        build: writes it; "outside" and "secret" are siblings of the folder "into", which it is unpacked to.
        said: pattern of what the refusal says.
    """

    build: Callable[[Path], None]
    said: str


HOSTILE: dict[str, Hostile] = {}
"""By name."""


def hostile(said: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Enter a builder in `HOSTILE`."""

    def enter(build: Callable[[Path], None]) -> Callable[[Path], None]:
        HOSTILE[build.__name__] = Hostile(build, said)
        return build

    return enter


@contextmanager
def tar(path: Path, mode: str = "w") -> Iterator[tarfile.TarFile]:
    with tarfile.open(path, mode) as archive:
        put(archive, "data/first.wav", b"first")
        yield archive


def put(archive: tarfile.TarFile, name: str, content: bytes = b"x", **attributes: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


@contextmanager
def packed(path: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/first.wav", b"first")
        yield archive


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def patched(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))


# Names that lead elsewhere


@hostile("leads out of its folder")
def tar_slip(path: Path) -> None:
    with tar(path, "w:gz") as archive:
        put(archive, "data/../second.wav")


@hostile("is an absolute path")
def tar_absolute(path: Path) -> None:
    with tar(path) as archive:
        put(archive, str(path.parent.resolve() / "into" / "second.wav"))


@hostile("a Windows path")
def tar_backslash(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "data\\second.wav")


@hostile("leads out of its folder")
def zip_slip(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("../outside/second.wav", b"x")  # which zipfile and unzip strip to outside/second.wav


@hostile("is an absolute path")
def zip_absolute(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(str(path.parent.resolve() / "into" / "second.wav"), b"x")


@hostile("a Windows path")
def zip_backslash(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("data\\second.wav", b"x")


@hostile("a Windows path")
def zip_drive_letter(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("C:/data/second.wav", b"x")


@hostile("control character")
def zip_tab(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("second\t.wav", b"x")


@hostile("control character")
def tar_delete_character(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "x", pax_headers={"path": "second\x7f.wav"})


@hostile("control character")
def tar_newline(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second\n.wav")


@hostile("is not UTF-8")
def tar_not_utf8(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        put(archive, "év\xeel.wav")


@hostile("is too long")
def zip_long_name(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a" * 256, b"x")


@hostile("is too long")
def tar_long_path(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "/".join(["a" * 200] * 6))


@hostile("is too long")
def tar_deep(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "/".join("a" * 33))


@hostile("is not the name of a file")
def zip_only_dots(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("./.", b"x")


# Things that are neither files nor folders


@hostile("but a link")
def tar_symlink(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "link", b"", type=tarfile.SYMTYPE, linkname="data/../data/first.wav")


@hostile("but a link")
def tar_symlink_inside(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "link", b"", type=tarfile.SYMTYPE, linkname="data/first.wav")


@hostile("but a link")
def tar_file_below_a_link(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "way", b"", type=tarfile.SYMTYPE, linkname="data")
        put(archive, "way/second.wav")


@hostile("but a hard link")
def tar_hardlink(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "link", b"", type=tarfile.LNKTYPE, linkname="data/first.wav")


@hostile("but a contiguous file")
def tar_contiguous(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second.wav", b"", type=tarfile.CONTTYPE)


@hostile("but a thing of an unknown kind")
def tar_volume_label(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "label", b"", type=b"V")  # as GNU tar writes


@hostile("but a thing of an unknown kind")
def tar_continued(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second.wav", b"", type=b"M")  # as GNU tar writes


@hostile("but a thing of an unknown kind")
def tar_unknown_kind(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "thing", b"", type=b"Z")


@hostile("a link or a device")
def zip_symlink(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(entry("link", stat.S_IFLNK | 0o777), "data/first.wav")


@hostile("a link or a device")
def zip_socket(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(entry("socket", stat.S_IFSOCK | 0o644), "")


@hostile("a folder by its name")
def zip_folder_with_content(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(entry("folder/", stat.S_IFREG | 0o644), "content")


# Names that take each other's place


@hostile("would overwrite")
def zip_twice(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("meta.csv", b"one")
        archive.writestr("meta.csX", b"two")
    patched(path, b"meta.csX", b"meta.csv")


@hostile("would overwrite")
def tar_twice(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "meta.csv", b"one")
        put(archive, "./meta.csv", b"two")


@hostile("would overwrite")
def tar_case(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "Meta.csv", b"one")
        put(archive, "meta.csv", b"two")


@hostile("would overwrite")
def zip_case_of_a_folder(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("DATA/second.wav", b"x")


@hostile("would overwrite")
def tar_unicode(path: Path) -> None:
    with tar(path) as archive:
        put(archive, normalize("NFC", "é.wav"), b"one")
        put(archive, normalize("NFD", "é.wav"), b"two")


@hostile("would overwrite")
def tar_file_as_folder(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "data/first.wav/inside")


# More than is good


@hostile("may be a bomb")
def tar_bomb(path: Path) -> None:
    with tar(path, "w:gz") as archive:
        put(archive, "grown", bytes(GROWN))


@hostile("may be a bomb")
def zip_bomb(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("grown", bytes(GROWN))


@hostile("but a sparse file")
def tar_sparse(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "sparse", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(GROWN)})


@hostile("more than 50 entries")
def tar_entries(path: Path) -> None:
    with tar(path, "w:gz") as archive:
        for number in range(LIMITS.entries):
            put(archive, f"{number}.wav")


@hostile("more than 50 entries")
def zip_entries(path: Path) -> None:
    with packed(path) as archive:
        for number in range(LIMITS.entries):
            archive.writestr(f"{number}.wav", b"x")


@hostile("a header of 20,")
def tar_long_header(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second.wav", pax_headers={"comment": "c" * 20_000})


# Sizes that lie, and damage


@hostile("Bad CRC-32")
def zip_says_less(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", bytes(77_777))
    patched(path, struct.pack("<L", 77_777), struct.pack("<L", 5))


@hostile("has 77,777 bytes, but states 99,999")
def zip_says_more(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", bytes(77_777))
    patched(path, struct.pack("<L", 77_777), struct.pack("<L", 99_999))


@hostile("says that it has 5 bytes")
def tar_folder_with_size(path: Path) -> None:
    info = tarfile.TarInfo("folder")
    info.type, info.size = tarfile.DIRTYPE, 5
    path.write_bytes(info.tobuf() + bytes(1024))


@hostile("damaged or cut off")
def tar_says_more(path: Path) -> None:
    info = tarfile.TarInfo("a.wav")
    info.size = 5000
    path.write_bytes(info.tobuf() + bytes(1024))


@hostile("damaged or cut off")
def tar_cut_between_files(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second.wav")
    path.write_bytes(path.read_bytes()[:1024])


@hostile("damaged or cut off")
def tar_damaged_header(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second.wav")
    patched(path, b"second.wav", b"secOnd.wav")


@hostile("damaged or cut off")
def tar_gz_cut(path: Path) -> None:
    with tar(path, "w:gz") as archive:
        put(archive, "second.wav", os.urandom(100_000))
    path.write_bytes(path.read_bytes()[:60_000])


@hostile("damaged or cut off")
def tar_gz_wrong_sum(path: Path) -> None:
    with tar(path, "w:gz"):
        pass
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)


@hostile("damaged or cut off")
def zip_cut(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("second.wav", os.urandom(1000))
    path.write_bytes(path.read_bytes()[:-100])


@hostile("damaged or cut off")
def zip_damaged(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.wav", b"the sound of music")
    patched(path, b"the sound of music", b"the sound of mosic")


@hostile("is encrypted")
def zip_encrypted(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", b"x")
        archive.infolist()[-1].flag_bits |= 1
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\3\4") + 6] |= 1
    path.write_bytes(content)


@hostile("packed by a method")
def zip_lzma(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", b"x", zipfile.ZIP_LZMA)


@hostile("damaged or cut off")
def web_page(path: Path) -> None:
    path.write_text("<html>Please log in</html>" * 100)


@hostile("damaged or cut off")
def nothing(path: Path) -> None:
    path.touch()
