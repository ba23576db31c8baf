"""A machine of a cluster: what it is, and a run on it. Never imports torch; the run itself has a process of its own."""

import hashlib
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs

from bench import lookup
from bench.errors import BenchError, RunError, code_of
from bench.profiling.environment import PROJECT, versions
from bench.records import Failure, Store, sources
from bench.runner.executors import Event, Failed, Job, Limits, Reported, processes
from bench.runner.news import RunEnded
from bench.runner.parcels import ChangedError, Complete, File, Parcel, Part, Piece, Read, Shelf, check_fixed, sent
from bench.runner.settings import RunSettings

FOLDER = "BENCH_NODE_DIR"
"""Variable of the environment: where a machine keeps what it has received."""

PAUSES = (1.0, 4.0)
"""Seconds between the attempts to read a file below a URL."""

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
        try:
            shelf.fetch(parcel.data, from_url(parcel.settings.data_url))
        except ChangedError as error:
            words = f"--data-url {parcel.settings.data_url} holds other files than the data folder of the driver"
            failure = Failure.of(RunError(f"{words} ({error}): copy the data folder there, or leave --data-url out"))
            yield Failed(parcel.run.key, failure, "run")
            return
        except BenchError as error:
            yield Failed(parcel.run.key, Failure.of(error), code_of(error))
            return
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


def from_url(url: str) -> Read:
    """Return a function that reads the files of the data below a URL of fsspec's.

    What fails is tried three times, because networks fail for moments. A server that sends whole files where a part is
    asked for, as that of Python does, is asked once for each file.

    Args:
        url: of the data folder, such as s3://bucket/data.

    Raises:
        RunError: it cannot be reached, or a package for it is not installed; by the function, if a file cannot be read.
    """
    system, root = _tried(lambda: _opened(url), f"--data-url {url}")

    whole: dict[File, bytes] = {}  # at most one

    def content(part: Part) -> bytes:
        start, end = part.start, part.start + part.length
        if part.file in whole:
            return whole[part.file][start:end]
        name = quote(part.file.name) if url.startswith(("http:", "https:")) else part.file.name
        path, what = f"{root.rstrip('/')}/{name}", f"{part.file.name} below --data-url {url}"
        found = bytes(_tried(lambda: system.cat_file(path, start=start, end=end), what))
        if len(found) <= part.length:
            return found
        whole.clear()
        whole[part.file] = found
        return found[start:end]

    return lambda parts: [content(part) for part in parts]


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    return found


def _tried(action: Callable[[], Any], what: str) -> Any:
    """Return what reading gives.

    Raises:
        RunError: it failed each time.
    """
    for pause in (*PAUSES, None):
        try:
            return action()
        except Exception as error:  # each file system has errors of its own
            if pause is None or isinstance(error, FileNotFoundError | PermissionError | ImportError | ValueError):
                raise RunError(
                    f"{platform.node()} cannot read {what} ({type(error).__name__}: {error}): copy the data folder "
                    f"there, or leave --data-url out"
                ) from error
            time.sleep(pause)
    raise AssertionError
