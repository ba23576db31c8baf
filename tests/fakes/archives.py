"""Hostile archives, each a function that writes one, and what a naive extraction does with them."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unicodedata import normalize

Builder = Callable[[Path], None]
HOSTILE: dict[str, Builder] = {}
"""By name; "outside" and "secret" are siblings of the folder that is unpacked to."""


def hostile(builder: Builder) -> Builder:
    HOSTILE[builder.__name__] = builder
    return builder


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


@hostile
def tar_slip(path: Path) -> None:
    with tar(path, "w:gz") as archive:
        put(archive, "data/../../outside/evil")


@hostile
def tar_absolute(path: Path) -> None:
    with tar(path) as archive:
        put(archive, str(path.parent.resolve() / "outside" / "evil"))


@hostile
def tar_backslash(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "..\\outside\\evil")


@hostile
def zip_slip(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("../outside/evil", b"x")


@hostile
def zip_absolute(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(str(path.parent.resolve() / "outside" / "evil"), b"x")


@hostile
def zip_backslash(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("..\\outside\\evil", b"x")


@hostile
def zip_drive_letter(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("C:evil", b"x")


@hostile
def zip_nul(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("evil.wav#.png", b"x")
    patched(path, b"evil.wav#.png", b"evil.wav\0.png")


@hostile
def tar_nul(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "x", pax_headers={"path": "evil\0.wav"})


@hostile
def tar_newline(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "evil\n.wav")


@hostile
def tar_not_utf8(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        put(archive, "év\xeel.wav")


@hostile
def zip_long_name(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a" * 256, b"x")


@hostile
def tar_long_path(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "/".join(["a" * 200] * 6))


@hostile
def tar_deep(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "/".join("a" * 33))


@hostile
def zip_only_dots(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("./.", b"x")


# Things that are neither files nor folders


@hostile
def tar_symlink(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "link", b"", type=tarfile.SYMTYPE, linkname="../secret")


@hostile
def tar_symlink_inside(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "link", b"", type=tarfile.SYMTYPE, linkname="data/first.wav")


@hostile
def tar_link_then_write_through(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "way", b"", type=tarfile.SYMTYPE, linkname="../outside")
        put(archive, "way/evil")


@hostile
def tar_hardlink(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "link", b"", type=tarfile.LNKTYPE, linkname="../secret")


@hostile
def tar_fifo(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "pipe.wav", b"", type=tarfile.FIFOTYPE)


@hostile
def tar_device(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "zero.wav", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5)


@hostile
def tar_block_device(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "disk.wav", b"", type=tarfile.BLKTYPE, devmajor=8, devminor=0)


@hostile
def tar_unknown_kind(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "thing", b"", type=b"Z")


@hostile
def zip_symlink(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(entry("link", stat.S_IFLNK | 0o777), "../secret")


@hostile
def zip_fifo(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(entry("pipe.wav", stat.S_IFIFO | 0o644), "")


@hostile
def zip_folder_with_content(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr(entry("folder/", stat.S_IFREG | 0o644), "content")


# Names that take each other's place


@hostile
def zip_twice(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("meta.csv", b"good")
        archive.writestr("meta.csX", b"evil")
    patched(path, b"meta.csX", b"meta.csv")


@hostile
def tar_twice(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "meta.csv", b"good")
        put(archive, "./meta.csv", b"evil")


@hostile
def tar_case(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "Meta.csv", b"good")
        put(archive, "meta.csv", b"evil")


@hostile
def zip_case_of_a_folder(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("DATA/second.wav", b"x")


@hostile
def tar_unicode(path: Path) -> None:
    with tar(path) as archive:
        put(archive, normalize("NFC", "é.wav"), b"good")
        put(archive, normalize("NFD", "é.wav"), b"evil")


@hostile
def tar_file_as_folder(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "data/first.wav/inside")


# More than is good


@cache  # several tests want it, and packing 200 MB takes a second
def zeros(packer: str) -> bytes:
    """200 MB in 195 kB."""
    packed = io.BytesIO()
    if packer == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb", bytes(200 << 20))
    else:
        with gzip.open(packed, "wb") as file, tarfile.open(fileobj=file, mode="w") as written:
            put(written, "bomb", bytes(200 << 20))
    return packed.getvalue()


@hostile
def tar_bomb(path: Path) -> None:
    path.write_bytes(zeros("gzip"))


@hostile
def zip_bomb(path: Path) -> None:
    path.write_bytes(zeros("zip"))


@hostile
def tar_sparse(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "sparse", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 30)})


@hostile
def tar_entries(path: Path) -> None:
    """100,001 empty files, 51 MB in 0.5 MB."""
    header = tarfile.TarInfo("000000").tobuf(tarfile.USTAR_FORMAT)
    zero = int(header[148:154], 8) - 6 * ord("0")  # the sum of all bytes but the name's
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number in range(100_001):
            name = b"%06d" % number
            file.write(name + header[6:148] + b"%06o" % (zero + sum(name)) + header[154:])
        file.write(bytes(1024))


@hostile
def zip_entries(path: Path) -> None:
    """A directory of 100,001 entries for one file, 4.6 MB."""
    with packed(path):
        pass
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    directory = content[start:end] * 100_001
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), start, 0)
    path.write_bytes(content[:start] + directory + last)


@hostile
def tar_header_of_a_gigabyte(path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 16))


# Sizes that lie, and damage


@hostile
def zip_says_less(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", bytes(77_777))
    patched(path, struct.pack("<L", 77_777), struct.pack("<L", 5))


@hostile
def zip_says_more(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", bytes(77_777))
    patched(path, struct.pack("<L", 77_777), struct.pack("<L", 99_999))


@hostile
def tar_says_less_than_nothing(path: Path) -> None:
    """CVE-2025-8194: the next header is where this one is, for ever."""
    first, second = tarfile.TarInfo("a.wav"), tarfile.TarInfo("b.wav")
    second.size = -tarfile.BLOCKSIZE
    path.write_bytes(first.tobuf() + second.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


@hostile
def tar_says_more(path: Path) -> None:
    info = tarfile.TarInfo("a.wav")
    info.size = 5000
    path.write_bytes(info.tobuf() + bytes(1024))


@hostile
def tar_cut_between_files(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second.wav")
    path.write_bytes(path.read_bytes()[:1024])


@hostile
def tar_damaged_header(path: Path) -> None:
    with tar(path) as archive:
        put(archive, "second.wav")
    patched(path, b"second.wav", b"secOnd.wav")


@hostile
def tar_gz_cut(path: Path) -> None:
    with tar(path, "w:gz") as archive:
        put(archive, "second.wav", os.urandom(100_000))
    path.write_bytes(path.read_bytes()[:60_000])


@hostile
def tar_gz_wrong_sum(path: Path) -> None:
    with tar(path, "w:gz"):
        pass
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)


@hostile
def zip_cut(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("second.wav", os.urandom(1000))
    path.write_bytes(path.read_bytes()[:-100])


@hostile
def zip_damaged(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.wav", b"the sound of music")
    patched(path, b"the sound of music", b"the sound of mosic")


@hostile
def zip_encrypted(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", b"x")
        archive.infolist()[-1].flag_bits |= 1
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\3\4") + 6] |= 1
    path.write_bytes(content)


@hostile
def zip_lzma(path: Path) -> None:
    with packed(path) as archive:
        archive.writestr("a.wav", b"x", zipfile.ZIP_LZMA)


@hostile
def web_page(path: Path) -> None:
    path.write_text("<html>Please log in</html>" * 100)


@hostile
def nothing(path: Path) -> None:
    path.touch()


def naive(path: Path, into: Path) -> None:
    """Extract as is often done: tarfile's default before Python 3.14, and zip as the tools do that keep links."""
    into.mkdir()
    if path.read_bytes().startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                target = into / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                if stat.S_ISLNK(info.external_attr >> 16):
                    target.symlink_to(archive.read(info).decode())
                elif not info.is_dir():
                    target.write_bytes(archive.read(info))
        return
    with tarfile.open(path) as opened:
        opened.extractall(into, filter="fully_trusted")
