"""F8 to F11: sound files and archives that are malformed, damaged, too large or hostile."""

import random
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from fakes import bombs, malformed, mutants, reading
from fakes.archives import HOSTILE, LIMITS, MIN_RATIO_BYTES
from faults.tally import Fault, Tally

from datamodules.fetch import archives
from datamodules.fetch.archives import ArchiveError, Limits, unpack

MEMORY = 300 << 20
"""Most bytes of a process that reads sound files."""


def read_malformed(count: int, folder: Path) -> Tally:
    """Read the corpus of malformed files; each comes to what it must."""
    cases = malformed.write(folder)[:count]
    tally = Tally(injected=len(cases))
    results, peak = reading.read([folder / case.name for case in cases], 300, folder)
    for case, found in zip(cases, results, strict=True):
        words = f"{case.name!a}: {found}"
        if found["result"] == "hung":
            tally.note("hung", words)
        elif found["result"] not in ("refused", "accepted"):
            tally.note("crashed", words)
        elif (case.samples is None) != (found["result"] == "refused") or (
            case.samples is not None and not 0 <= found["samples"] - case.samples <= case.slack
        ):
            tally.note("wrong", words)
    tally.note("crashed", f"{peak >> 20} MiB of memory", count=peak > MEMORY)
    return tally


@contextmanager
def read_by_soundfile_alone() -> Iterator[None]:
    """Read sound files by soundfile, without any check of ours."""
    with mock.patch.object(reading, "read", partial(reading.read, how="alone")):
        yield


def read_mutants(count: int, folder: Path, kind: str = "files") -> Tally:
    """Read sound files that are damaged at random, in child processes."""
    results, bad, peak = mutants.campaign(count, kind=kind)
    tally = Tally(injected=results.total())
    slow = results["slow"] + results["hung"]
    tally.note("hung", "; ".join(bad), count=slow)
    others = results.total() - slow - results["refused"] - results["accepted"]
    tally.note("crashed", "; ".join(bad), count=others)
    tally.note("crashed", f"{peak >> 20} MiB of memory", count=peak > MEMORY)
    return tally


@contextmanager
def errors_as_they_come() -> Iterator[None]:
    """Read mutants by soundfile or PyAV alone, whose errors are then those of the caller."""

    def campaign(count: int, first: int = 0, kind: str = "files") -> tuple[Counter[str], list[str], int]:
        results: Counter[str] = Counter()
        files = mutants.tracks() if kind == "tracks" else mutants.originals()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mutant"
            for number in range(first, first + count):
                path.write_bytes(mutants.mutant(number, files))
                found = reading.alone_by_av(path) if kind == "tracks" else reading.alone(path)
                results["untyped" if found["result"] == "refused" else "accepted"] += 1
        return results, [], 0

    with mock.patch.object(mutants, "campaign", campaign):
        yield


def read_bombs(count: int, folder: Path) -> Tally:
    """Read files that unpack to more than is accepted, or say so."""
    folder.mkdir(parents=True)
    names = [*bombs.BOMBS][:count]
    for name in names:
        bombs.BOMBS[name].build(folder / name)
    results, peak = reading.read([folder / name for name in names], 300, max_seconds=bombs.SECONDS)
    tally = Tally(injected=len(names))
    for name, found in zip(names, results, strict=True):
        words = f"{name}: {found}"
        if found["result"] == "accepted" or not re.search(bombs.BOMBS[name].said, found["error"]):
            tally.note("wrong", words)
        tally.note("hung", words, count=found["seconds"] > 6)
    tally.note("crashed", f"{peak >> 20} MiB of memory", count=peak > MEMORY)
    return tally


@contextmanager
def any_length() -> Iterator[None]:
    """Accept sound of any length."""

    def read(*given: object, max_seconds: float = 0, **named: object) -> object:
        return whole(*given, max_seconds=1e6, **named)  # type: ignore[arg-type]

    whole = reading.read
    with mock.patch.object(reading, "read", read):
        yield


def unpack_archives(count: int, folder: Path) -> Tally:
    """Unpack hostile archives, and sound ones that are damaged at random; all or nothing comes out."""
    tally, rng = Tally(), random.Random(11)
    (folder / "outside").mkdir(parents=True)
    (folder / "secret").write_text("secret")
    for name in [*HOSTILE][:count]:
        archive = folder / "archive"
        HOSTILE[name].build(archive)
        _unpack_one(tally, folder, archive, name, None)
        archive.unlink()
    whole = _sound_archives(folder)
    wanted = {f"into/{name}": content for name, content in CONTENT.items()}
    for number in range(count - tally.injected):
        kind, content = whole[number % len(whole)]
        damaged = bytearray(content)
        if rng.random() < 0.3:
            del damaged[rng.randrange(1, len(damaged)) :]
        else:
            for _ in range(rng.randint(1, 3)):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        archive = folder / "archive"
        archive.write_bytes(damaged)
        _unpack_one(tally, folder, archive, f"{kind} {number}", wanted)
        archive.unlink()
    return tally


CONTENT = {f"clips/{i}.wav": random.Random(i).randbytes(300) for i in range(8)}


def _sound_archives(folder: Path) -> list[tuple[str, bytes]]:
    made = []
    for name in ("a.zip", "a.tar.gz"):
        path = folder / name
        if name.endswith("zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
                for inside, content in CONTENT.items():
                    packed.writestr(inside, content)
        else:
            with tarfile.open(path, "w:gz") as tar:
                for inside, content in CONTENT.items():
                    (folder / "x").write_bytes(content)
                    tar.add(folder / "x", inside)
                (folder / "x").unlink()
        made.append((name, path.read_bytes()))
        path.unlink()
    return made


def _unpack_one(tally: Tally, folder: Path, archive: Path, name: str, wanted: dict[str, bytes] | None) -> None:
    """Unpack one archive. It is refused without a trace, or gives what it should where something is `wanted`."""
    tally.injected += 1
    before = _state(folder)
    with mock.patch.object(archives, "MIN_RATIO_BYTES", UNPACKED.ratio):
        try:
            unpack(archive, folder / "into", UNPACKED.limits)
        except ArchiveError:
            if _state(folder) != before:
                tally.note("wrong", f"{name}: something is left")
        except Exception as error:
            tally.note("crashed", f"{name}: {error!r}")
        else:
            after = {path: content for path, (mode, _, content) in _state(folder).items() if stat.S_ISREG(mode)}
            new = {path: content for path, content in after.items() if path not in before}
            if wanted is None or new != wanted:
                tally.note("wrong", f"{name} was unpacked")
    shutil.rmtree(folder / "into", ignore_errors=True)


UNPACKED = SimpleNamespace(limits=LIMITS, ratio=MIN_RATIO_BYTES)
"""Limits that are so low that the harmless archives of the campaign exceed them."""


@contextmanager
def any_size() -> Iterator[None]:
    """Unpack what grows, too."""
    with mock.patch.multiple(UNPACKED, limits=Limits(), ratio=archives.MIN_RATIO_BYTES):
        yield


def _state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_nlink, content)
    return found


FAULTS = (
    Fault("F8", "malformed sound files: cut off, false headers, no regular files, links", 173, 173, read_malformed,
          "one decoder checks content, header and length", read_by_soundfile_alone, 173),
    Fault("F9a", "sound files of 25 kinds, damaged at random", 6_000, 42_000, read_mutants,
          "one decoder checks files, and its errors name them", errors_as_they_come, 200),
    Fault("F9b", "sound files that FFmpeg decodes, damaged at random", 500, 8_000,
          partial(read_mutants, kind="tracks"), "one decoder checks files, and its errors name them",
          errors_as_they_come, 200),
    Fault("F10", "sound files that unpack to more than is accepted, or say so", 10, 10, read_bombs,
          "length is limited before and while decoding", any_length, 10),
    Fault("F11", "hostile archives of 52 kinds, and damaged ones", 652, 3_052, unpack_archives,
          "entries, sizes and growth are limited", any_size, 52),
)  # fmt: skip
