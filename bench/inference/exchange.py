"""Trained models as one file that goes from one store to another: `bench pack` and `bench unpack`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors

from bench.errors import AGAIN, RecordError, RunError
from bench.inference import card, packing, references
from bench.inference.parts import Part
from bench.records import Record, Store, artifacts, scratch, write_whole
from bench.records.store import RECORD, WEIGHTS
from bench.training import stored
from bench.training.stored import DESCRIPTION

CARD = "card.md"
"""Name of the model's card in a packed file."""


@dataclass(frozen=True)
class Unpacked:
    """Result of unpacking a file.

    Attributes:
        keys: of the runs that the file is of.
        written: keys of the runs that the store did not have.
        kept: keys of the runs that the store had already, with the same files.
    """

    keys: tuple[str, ...]
    written: tuple[str, ...]
    kept: tuple[str, ...]


def pack(run: str | Path, store: str | Path, out: str | Path) -> Path:
    """Write a trained model, with the members of a fusion, to one file, and return its path.

    The file has no data and nothing that runs: weights (safetensors), descriptions, records and a card.

    Args:
        run: a reference as `load_model` takes it; `SUITE:SYSTEM@all` packs every fold.
        store: folder of records and artifacts.
        out: the file; an existing one is replaced if it is such a file.

    Raises:
        ArgumentError: there is another file.
        RunError: there is no such run, or it has too little to stand alone.
        SuiteError: there is no such suite or system.
    """
    place, target = Store(Path(store).expanduser()), Path(out).expanduser()
    packing.refuse_other(target)
    with packing.opened(run) as unpacked, scratch.folder("pack") as folder:
        parts = references.find(run, place, unpacked)
        everything = references.with_members(parts, unpacked or place)
        folders = [(key, _staged(part, folder / key)) for key, part in everything.items()]
        text = card.text(parts, everything, target.name)
        packing.write(folders, {CARD: text}, target, [part.key for part in parts])
    return target


def unpack(path: str | Path, store: str | Path) -> Unpacked:
    """Unpack a file of `pack` into a store, where its runs are found by their keys.

    Nothing is written unless all of it can be: a run of which the store has other files is refused.

    Args:
        path: the file.
        store: folder of records and artifacts; it is made where it is not there.

    Raises:
        RunError: the file is damaged or no file of `pack`, or the store has another training of one of its runs, or
            damaged files of one.
    """
    file, place = Path(path).expanduser(), Store(Path(store).expanduser())
    if not file.is_file():
        raise RunError(f"there is no file {file}: name a file of `bench pack`")
    with scratch.folder("unpack") as folder:
        found = Store(folder / "store")
        keys = packing.extract(file, found)
        with packing.in_words_of(file, found):
            runs = [_checked(each, file) for each in sorted((found.root / "artifacts").iterdir())]
        new = [key for key in runs if not _is_there(key, found, place)]
        for key in new:
            for source in _files(key, found):
                write_whole(place.artifacts(key) / source.name, source.read_bytes())
        for key in new:
            if (record := found.artifacts(key) / RECORD).is_file():
                write_whole(place.path(key), record.read_bytes())
        if len(keys) == 1 and keys[0] in new and (found.root / CARD).is_file():
            write_whole(place.artifacts(keys[0]) / CARD, (found.root / CARD).read_bytes())
    return Unpacked(keys, tuple(new), tuple(key for key in runs if key not in new))


def _staged(part: Part, folder: Path) -> Path:
    """Write what a run needs to stand alone to a folder, in the form of this version, and return the folder."""
    about, record = part.description, part.record
    if about is None:
        raise RunError(
            f"{part.key} was done before models were described, so it cannot be used without its data: "
            f"{AGAIN.format(part.key)}"
        )
    folder.mkdir(parents=True)
    whole = bool(about.weights) or not about.members
    if whole and (part.folder / DESCRIPTION).is_file():
        (folder / DESCRIPTION).write_bytes(artifacts.read(part.folder / DESCRIPTION, record, part.key))
    else:
        if not whole:
            about = replace(about, weights=tuple(map(float, references.fusion_weights(part))))
        (folder / DESCRIPTION).write_text(about.to_json(), encoding="utf-8")
    if not about.members:
        if (part.folder / WEIGHTS).is_file():
            (folder / WEIGHTS).write_bytes(artifacts.read(part.folder / WEIGHTS, record, part.key))
        else:
            (folder / WEIGHTS).write_bytes(stored.weights_file(stored.read_weights(part.folder, part.key)))
    if record is not None:
        (folder / RECORD).write_text(record.to_json(), encoding="utf-8")
    return folder


def _checked(folder: Path, file: Path) -> str:
    """Check that a run in an unpacked file is whole, and return its key."""
    about = stored.read_description(folder)
    if about is None or about.key != folder.name:
        raise RunError(f"{file} has the folder {folder.name}, which describes another run or none: pack it again")
    if missing := [key for key in about.members if not (folder.parent / key / DESCRIPTION).is_file()]:
        raise RunError(f"{file} lacks {', '.join(missing)}, which {about.key} combines: pack it again")
    record = None
    if (path := folder / RECORD).is_file():
        try:
            record = Record.from_json(path.read_text(encoding="utf-8"), about.key)
        except (UnicodeDecodeError, RecordError) as error:
            raise RunError(f"{file}: the record of {about.key} cannot be used: {error}") from error
    for name in (DESCRIPTION,) if about.members else (DESCRIPTION, WEIGHTS):
        try:
            artifacts.read(folder / name, record, about.key)
            if name == WEIGHTS:
                with safetensors.safe_open(folder / WEIGHTS, "pt"):
                    pass
        except (RunError, OSError, safetensors.SafetensorError) as error:
            raise RunError(
                f"{file} is damaged: {name} of {about.key} is missing, or is not the one that its record names: pack "
                f"it again"
            ) from error
    return about.key


def _files(key: str, store: Store) -> Iterator[Path]:
    return (path for name in packing.FILES if (path := store.artifacts(key) / name).is_file())


def _is_there(key: str, found: Store, place: Store) -> bool:
    """Return whether a store has the files of a run already.

    Raises:
        RunError: it has other ones. Records are not compared where the weights are the same: timings may differ.
    """
    wanted = [path for path in _files(key, found) if path.name != RECORD]
    if any(place.artifacts(key).glob("*")):
        same = all(_same(path, place.artifacts(key) / path.name) for path in wanted)
    else:
        same = not place.path(key).exists() or _same(found.artifacts(key) / RECORD, place.path(key))
        if same:
            return False
    if not same:
        names = [path.name for path in wanted]
        if any(place.artifacts(key).glob("*")) and (lost := _damaged(key, names, place)):
            raise RunError(
                f"{place.root} has {key} already, but its {lost} is damaged or missing: it is not the file that its "
                f"own record names. Remove {place.artifacts(key)} and {place.path(key)}, then unpack again"
            )
        raise RunError(
            f"{place.root} has another training of {key}, which is not overwritten: name another --store, or remove "
            f"{place.artifacts(key)} and {place.path(key)} first"
        )
    return True


def _damaged(key: str, names: list[str], place: Store) -> str | None:
    """Return the first of a run's files that is not the one that the store's own record names; None where all are."""
    path = next((path for path in (place.path(key), place.artifacts(key) / RECORD) if path.is_file()), None)
    try:
        record = None if path is None else Record.from_json(path.read_text(encoding="utf-8"), key)
    except (UnicodeDecodeError, RecordError):
        return RECORD
    for name in names:
        try:
            artifacts.read(place.artifacts(key) / name, record, key)
        except RunError:
            return name
    return None


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()
