"""The files that a run needs on a machine without a common disk, and those that come back. Never imports torch or Ray.

Every file is named by its SHA-256. A machine keeps the files that it has received and asks only for others; what comes
back is put into the store when each file is the one that was announced, and the record's own digests agree.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from bench import catalog
from bench.errors import RunError, SuiteError
from bench.extras import install
from bench.records import Record, Run, Store, artifacts, data_files, is_weights_file, sources
from bench.records.data_files import DataFiles
from bench.records.store import RECORD, write_whole
from bench.runner.settings import RunSettings

BLOCK = 8 * 2**20
"""Bytes that are sent at a time."""

Read = Callable[[Sequence["Part"]], Sequence[bytes]]
"""Returns the content of parts of files."""


class ChangedError(RunError):
    """A file that arrives is not the one that was announced."""


@dataclass(frozen=True)
class File:
    """A file by its name below a folder, with slashes, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """A part of a file, from a position on, of a length in bytes."""

    file: File
    start: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A run for another machine.

    Attributes:
        run: the run.
        settings: of the driver; folders are the driver's own.
        force: do the run even if that machine has its result.
        data: files of the run's data, below the data folder.
        fixed: files that the run names by their absolute paths, such as weights and a user's own clips; they are not
            sent.
        code: "module:Class" to the files of its source, for components next to a suite.
        sources: digests of the source of the run's components.
        needs: records, as JSON, and artifacts of the runs that it needs, by key.
    """

    run: Run
    settings: RunSettings
    force: bool
    data: tuple[File, ...]
    fixed: tuple[File, ...] = ()
    code: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, tuple[File, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """A part of an artifact that comes back."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Complete:
    """All artifacts have been sent: the record as JSON, and the files."""

    record: str
    files: tuple[File, ...]


# -- on the driver's machine ------------------------------------------------------------------------------------------


def pack(run: Run, settings: RunSettings, force: bool) -> tuple[Parcel, dict[str, Path], DataFiles | None]:
    """Return a run's parcel, the path of each file by its SHA-256, and the state of its data, for its record.

    Raises:
        RunError: the data have too many files to be sent, a run that it needs has no result, or a path is not absolute.
    """
    store = Store(settings.store)
    paths: dict[str, Path] = {}
    data: list[File] = []
    entry = catalog.dataset(run.dataset)
    place = catalog.place(run.dataset, settings.data_dir) if entry.folder is not None else None
    noises = [settings.data_dir / run.recipe.background] if run.recipe.background is not None else []
    for folder in (*filter(None, [place]), *noises):
        for path in _files(folder, store.root):
            named = _named(path, path.relative_to(settings.data_dir).as_posix())
            paths[named.sha256] = path
            data.append(named)
    code: dict[str, tuple[File, ...]] = {}
    for target, (folder, modules) in sources.own_files(run).items():
        code[target] = tuple(_named(path, path.relative_to(folder).as_posix()) for path in modules)
        paths |= {each.sha256: folder / each.name for each in code[target]}
    needs = {}
    for key in run.needs:
        record = store.finished_record(key, "a run that it needs,")
        found = [_named(path, path.name) for path in _kept(store.artifacts(key))]
        paths |= {each.sha256: store.artifacts(key) / each.name for each in found}
        needs[key] = record.to_json(), tuple(found)
    weights = [str(name) for name in (run.arguments.get("weights"), run.recipe.init) if isinstance(name, str)]
    named_weights = [Path(name).expanduser() for name in weights if is_weights_file(name)]
    state = data_files.take(store, place, named_weights, noises)
    fixed = tuple(_named(path, path.as_posix()) for path in _fixed(run, store.root))
    parcel = Parcel(
        run=run, settings=settings, force=force, data=tuple(data), fixed=fixed, code=code,
        sources=sources.digests(run), needs=needs,
    )  # fmt: skip
    return parcel, paths, state


def _fixed(run: Run, without: Path) -> list[Path]:
    """Return the files that a run names by their paths: weights, tables, and the files of data of folders."""
    init = run.recipe.init
    named = [init] if init is not None and is_weights_file(init) else []
    named += [value for given in (run.arguments, run.data) for value in given.values() if isinstance(value, str)]
    found: list[Path] = []
    for name in named:
        path = Path(name).expanduser()
        if not path.exists():
            continue  # a word, not a path
        if not path.is_absolute():
            if path.is_file() or name == run.data.get("root"):
                raise RunError(f"other machines need the absolute path of {name}: write {path.absolute()} in the suite")
            continue
        if path.is_dir():
            found += _files(path, without)
            continue
        found.append(path)
        if name == run.data.get("csv") and "audio_root" not in run.data:
            found += _files(path.parent, without)
    return list(dict.fromkeys(found))


def check_fixed(parcel: Parcel, machine: str) -> None:
    """Check that this machine has the files that a run names by their paths.

    Args:
        parcel: the run.
        machine: name of this machine.

    Raises:
        RunError: one is not here, or is another file.
    """
    for file in parcel.fixed:
        try:
            same = _named(Path(file.name), file.name) == file
        except OSError:
            same = False
            words = f"{machine} has no file {file.name}"
        else:
            words = f"{file.name} on {machine} is another file than here"
        if not same:
            raise RunError(
                f"{words}: files that a suite names by their paths are not sent. Copy it there, or put a dataset of "
                f"the catalogue into the data folder"
            )


def _files(folder: Path, without: Path) -> list[Path]:
    found = data_files.look(folder.absolute(), (), without.absolute())
    if found is None:
        raise RunError(
            f"{folder} has more than {data_files.MAX_FILES:,} files, which are not sent to other machines one by one: "
            f"pack them into shards, or share the folder and use SLURM's script"
        )
    return [folder / name for name in found]


def _named(path: Path, name: str) -> File:
    status = path.stat()
    return File(name, status.st_size, _digest(path, status.st_size, status.st_mtime_ns))


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    """Return the SHA-256 of a file; it is computed again if its size or the time of its change differ."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_parts(paths: Mapping[str, Path], parts: Iterable[Part]) -> list[bytes]:
    """Return the content of parts of files.

    Args:
        paths: of the files that may be read, by their SHA-256.
        parts: to read.
    """
    contents = []
    for part in parts:
        with paths[part.file.sha256].open("rb") as file:
            file.seek(part.start)
            contents.append(file.read(part.length))
    return contents


class Arriving:
    """Artifacts of a run that come back, in a folder next to where they will be.

    Args:
        store: of the driver.
        run: the run.
        state: of the run's data.
    """

    def __init__(self, store: Store, run: Run, state: DataFiles | None) -> None:
        self.store = store
        self.run = run
        self.state = state
        folder = store.artifacts(run.key)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=".tmp-run-", dir=folder))

    def take(self, piece: Piece) -> None:
        """Append a part to its file."""
        with (self.folder / _plain(piece.name)).open("ab") as file:
            file.write(piece.content)

    def finish(self, complete: Complete) -> None:
        """Check every file, and put artifacts and record into the store.

        Raises:
            RunError: a file or the record is not what was announced.
        """
        for file in complete.files:
            path = self.folder / _plain(file.name)
            path.touch()
            if _named(path, file.name) != file:
                raise RunError(f"{file.name} of {self.run.key} did not arrive whole")
        record = Record.from_json(complete.record, self.run.key)
        if record.artifacts != artifacts.digests(self.folder):
            raise RunError(f"the artifacts of {self.run.key} are not those that its record names")
        data_files.keep(self.store, self.folder, self.state)
        self.store.write_with_artifacts(record, self.folder)

    def close(self) -> None:
        """Remove what is left in the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def check_url(url: str) -> None:
    """Check that the files of the data can be read below a URL, as far as this machine knows.

    Raises:
        SuiteError: it is no URL, or a package for it is not installed, which all machines need.
    """
    if "://" not in url:
        raise SuiteError(f"--data-url is a URL such as s3://bucket/data or file:///shared/data, not {url!r}")
    try:
        import fsspec
    except ImportError as error:
        raise SuiteError(f"--data-url needs fsspec: {install('ray')}") from error
    try:
        for part in url.split("::"):  # such as simplecache::s3://bucket/data
            fsspec.core.get_filesystem_class(part.partition("://")[0])
    except (ImportError, ValueError) as error:
        raise SuiteError(f"--data-url {url} cannot be read ({error}); every machine needs what can") from error


# -- on the machine that does the run ---------------------------------------------------------------------------------

_WHOLE_SINCE = 10**18
"""Time of change, in nanoseconds since 1970, of a file that was compared and that nobody has written to since."""


class Shelf:
    """The files that a machine has received.

    Args:
        folder: on the machine's own disk; its processes may share it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, file: File) -> Path:
        """Return where a file's content is."""
        return self.folder / "files" / file.sha256[:2] / file.sha256

    def fetch(self, files: Iterable[File], read: Read) -> None:
        """Receive the files that are not here yet; each is there whole or not at all.

        Raises:
            ChangedError: a file is not the one that was announced.
        """
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock", poll_interval=0.1):
            for leftover in self.folder.glob("files/*/.tmp-*"):  # of a process that was killed
                leftover.unlink()
            absent = [file for file in dict.fromkeys(files) if not self._is_here(file)]
            for group in _groups(absent):
                if len(group) == 1 and group[0].size > BLOCK:
                    self._fetch_large(group[0], read)
                    continue
                contents = read([Part(file, 0, file.size) for file in group])
                for file, content in zip(group, contents, strict=True):
                    self._check(file, len(content), hashlib.sha256(content).hexdigest())
                    new = self.path(file).with_name(f".tmp-{file.sha256}")
                    write_whole(new, content)
                    self._put(new, file)

    def _is_here(self, file: File) -> bool:
        """Return whether a file is here and whole; its content is read only if somebody has written to it."""
        path = self.path(file)
        try:
            found = path.stat()
            if found.st_size != file.size:
                return False
            if found.st_mtime_ns != _WHOLE_SINCE:
                with path.open("rb") as content:
                    if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                        return False
                os.utime(path, ns=(_WHOLE_SINCE, _WHOLE_SINCE))
        except OSError:
            return False
        return True

    def _put(self, new: Path, file: File) -> None:
        """Put a file that was received into its place; one that was damaged is mended in all trees that it is in."""
        path = self.path(file)
        if path.exists():
            shutil.copyfile(new, path)
            new.unlink()
        else:
            new.replace(path)
        os.utime(path, ns=(_WHOLE_SINCE, _WHOLE_SINCE))

    def _fetch_large(self, file: File, read: Read) -> None:
        path = self.path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, received = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(prefix=".tmp-", dir=path.parent, delete=False) as new:
            try:
                for start in range(0, file.size, BLOCK):
                    (content,) = read([Part(file, start, min(BLOCK, file.size - start))])
                    digest.update(content)
                    received += len(content)
                    new.write(content)
                self._check(file, received, digest.hexdigest())
                new.flush()
                os.fsync(new.fileno())
                self._put(Path(new.name), file)
            except BaseException:
                Path(new.name).unlink(missing_ok=True)
                raise

    @staticmethod
    def _check(file: File, size: int, digest: str) -> None:
        if (size, digest) != (file.size, file.sha256):
            raise ChangedError(f"{file.name} is not the file that the driver announced: it has changed meanwhile")

    def tree(self, files: Sequence[File]) -> Path:
        """Return a folder in which these files, all of them here, have their names."""
        listing = "\n".join(f"{file.sha256} {file.name}" for file in files)
        folder = self.folder / "data" / hashlib.sha256(listing.encode()).hexdigest()[:32]
        if not folder.is_dir():
            self.folder.joinpath("data").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder.parent) as scratch:
                new = Path(scratch) / "tree"
                new.mkdir()
                for file in files:
                    self._place(file, new / PurePosixPath(*map(_plain, file.name.split("/"))))
                try:
                    new.rename(folder)
                except OSError:
                    if not folder.is_dir():  # another process was first
                        raise
        return folder

    def _place(self, file: File, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self.path(file), path)
        except OSError:
            shutil.copyfile(self.path(file), path)

    def bring_needs(self, parcel: Parcel, store: Store) -> None:
        """Put the runs that the parcel's run needs, all of whose files are here, into this machine's store."""
        for key, (text, files) in parcel.needs.items():
            if store.path(key).is_file() and store.path(key).read_text(encoding="utf-8") == text:
                continue
            folder = store.artifacts(key)
            folder.mkdir(parents=True, exist_ok=True)
            for file in files:
                write_whole(folder / _plain(file.name), self.path(file).read_bytes())
            write_whole(store.path(key), text.encode())


def sent(store: Store, key: str) -> Iterator[Piece | Complete]:
    """Yield the artifacts and the record of a run that is finished in this store."""
    record = store.finished_record(key, "the run")
    files = []
    for path in _kept(store.artifacts(key)):
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            while content := file.read(BLOCK):
                digest.update(content)
                size += len(content)
                yield Piece(path.name, content)
        files.append(File(path.name, size, digest.hexdigest()))
    yield Complete(record.to_json(), tuple(files))


def _kept(folder: Path) -> list[Path]:
    """Return a run's artifacts without what belongs to one machine."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name not in (RECORD, data_files.NAME))


def _groups(files: Sequence[File]) -> Iterator[list[File]]:
    """Yield files of a block's size together, a larger one alone."""
    group: list[File] = []
    size = 0
    for file in files:
        if group and size + file.size > BLOCK:
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group


def _plain(name: str) -> str:
    """Return the name of a file.

    Raises:
        RunError: it leads elsewhere.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise RunError(f"{name!r} is no name of a file")
    return name
