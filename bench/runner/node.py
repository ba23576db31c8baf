"""A machine of a cluster: what it is, and a run on it. Never imports torch; the run itself has a process of its own."""

import hashlib
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import platformdirs

from bench import lookup
from bench.errors import BenchError, RunError, code_of
from bench.extras import install
from bench.profiling.environment import PROJECT, versions
from bench.records import Failure, Store, sources
from bench.runner.executors import Event, Failed, Job, Limits, Reported, processes
from bench.runner.news import RunEnded
from bench.runner.parcels import Complete, Parcel, Part, Piece, Read, Shelf, check_fixed, sent
from bench.runner.settings import RunSettings

FOLDER = "BENCH_NODE_DIR"
"""Variable of the environment: where a machine keeps what it has received."""

TARGET = "bench.runner.worker:execute"
"""The one job that is done on other machines."""


@cache
def identity() -> dict[str, str]:
    """Return what has to be equal on all machines: versions of Python and packages, and a digest of the source."""
    digest = hashlib.sha256()
    for package in sorted(lookup.PROJECT):
        for path in sorted((PROJECT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(PROJECT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    packages = {name: version.partition("+")[0] for name, version in versions().items()}  # +cpu, +cu129
    return {"python": platform.python_version(), **packages, "the source of bench": digest.hexdigest()[:12]}


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Say how a machine differs from this one; empty where it does not."""
    return ", ".join(
        f"{name} {there.get(name, 'is absent')} there, {here.get(name, 'absent')} here"
        for name in dict.fromkeys([*here, *there])
        if there.get(name) != here.get(name)
    )


def folder() -> Path:
    """Return where this machine keeps what it has received."""
    given = os.environ.get(FOLDER) or platformdirs.user_cache_path("audio-classification-bench") / "node"
    return Path(given).expanduser().absolute()


def do(parcel: Parcel, read: Read, named: Mapping[str, Path | None]) -> Iterator[Event | Piece | Complete]:
    """Do a run on this machine: yield its events, and before its end its artifacts.

    Args:
        parcel: the run.
        read: asks the driver for files.
        named: classes of other packages that the user has named.
    """
    shelf = Shelf(folder())
    try:
        check_fixed(parcel, platform.node())
        _bring_code(parcel, shelf, read, named)
    except BenchError as error:
        yield Failed(parcel.run.key, Failure.of(error), code_of(error))
        return
    if parcel.settings.data_url:
        read = from_url(parcel.settings.data_url, read, frozenset(file.sha256 for file in parcel.data))
    shelf.fetch((*parcel.data, *(file for _, files in parcel.needs.values() for file in files)), read)
    code = identity()["the source of bench"]
    store = Store(shelf.folder / "stores" / code)
    shelf.bring_needs(parcel, store)
    settings = replace(
        parcel.settings, store=store.root, data_dir=shelf.tree(parcel.data) if parcel.data else shelf.folder,
        places=(), workers=max(1, parcel.settings.workers),
    )  # fmt: skip
    yield from _followed(parcel, store, settings)


def _bring_code(parcel: Parcel, shelf: Shelf, read: Read, named: Mapping[str, Path | None]) -> None:
    """Receive the source that lies next to the suite, and check that all components have the driver's source.

    Raises:
        RunError: one has another source, or is not here.
    """
    permitted: dict[str, Path | None] = dict(named)
    for target, files in parcel.code.items():
        shelf.fetch(files, read)
        permitted[target] = shelf.tree(files)
    lookup.permit(permitted)
    here = sources.digests(parcel.run)
    for name, digest in parcel.sources.items():
        if here.get(name) != digest:
            problem = "has no source of" if name not in here else "has another source of"
            named_so = getattr(parcel.run, name)
            raise RunError(f"{platform.node()} {problem} {named_so}: install the package there in the same version")


def _followed(parcel: Parcel, store: Store, settings: RunSettings) -> Iterator[Event | Piece | Complete]:
    key = parcel.run.key
    place = os.environ.get("CUDA_VISIBLE_DEVICES")  # Ray's, for a task that asks for GPUs
    places = () if place is None or settings.device == "cpu" else (place,)
    limits = Limits(settings.stall_seconds, settings.run_seconds)
    for event in processes.execute([Job(key, TARGET, (parcel.run, settings, parcel.force), limits)], 1, places):
        if isinstance(event, Reported) and isinstance(event.news, RunEnded) and event.news.result == "done":
            yield from sent(store, key)
        yield event
    store.path(key).unlink(missing_ok=True)  # the driver has it
    shutil.rmtree(store.artifacts(key), ignore_errors=True)


def from_url(url: str, otherwise: Read, known: frozenset[str]) -> Read:
    """Return a function that reads the files of the data below a URL of fsspec's, and others from the driver.

    Args:
        url: of the data folder, such as s3://bucket/data.
        otherwise: reads the other files.
        known: SHA-256 of the files of the data.

    Raises:
        BenchError: fsspec is not installed.
    """
    try:
        import fsspec
    except ImportError as error:
        raise BenchError(f"--data-url needs fsspec: {install('ray')}") from error
    system, root = fsspec.core.url_to_fs(url)

    def read(parts: "list[Part] | tuple[Part, ...]") -> list[bytes]:
        contents = []
        for part in parts:
            if part.file.sha256 in known:
                name = f"{root.rstrip('/')}/{part.file.name}"
                contents.append(system.cat_file(name, start=part.start, end=part.start + part.length))
            else:
                contents += otherwise([part])
        return contents

    return read  # type: ignore[return-value]
