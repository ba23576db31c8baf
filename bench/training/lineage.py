"""Which clips a run has trained on, kept with its artifacts, and whether another run may start from it.

A model that starts from a run, or learns from it as a teacher, must not be tested on that run's training clips. On one
split that is certain. Between two datasets the digests of their clips decide.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import AGAIN, RecordError, RunError
from bench.records import Json, Record, Run, Store, artifacts, is_weights_file, write_whole
from bench.records.store import RECORD, WEIGHTS
from datamodules.base import AudioDataModule, ClipSet

NAME = "training_clips.json"
PARTS = ("train", "val", "before")
"""Parts of what is kept: the last has the clips of the run's teacher and of the run that it started from."""

UNKNOWN = "on which clips they were trained is not known, so test clips of this run may be among them"
"""Note on the weights of a file."""

SHOWN = 5
FORM = frozenset({"sample_rate", "clip_seconds", "hop_seconds"})
"""Arguments of a dataset that change the form of its clips and not their division."""


@dataclass(frozen=True)
class Clips:
    """Clips of one part: name to the digests of the sound in its file and of the clip; empty digests are of silence."""

    digests: Mapping[str, tuple[str, str]]

    @staticmethod
    def of(part: ClipSet, contents: Mapping[str, str]) -> "Clips":
        """Return the clips of a part."""
        names = part.ids if part.files is None else part.files
        silent = part.silent_hashes
        return Clips({
            name: (contents.get(name, ""), "" if digest in silent else digest)
            for name, digest in zip(names, part.hashes, strict=True)
        })  # fmt: skip

    def shared(self, others: Iterable["Clips"]) -> list[str]:
        """Return the names of these clips that other clips are, too, and the others' names."""
        known: dict[str, str] = {}
        for other in others:
            for name, digests in other.digests.items():
                known |= {digest: name for digest in digests if digest}
        found = []
        for name, digests in self.digests.items():
            if twin := next((known[digest] for digest in digests if digest in known), None):
                found.append(name if name == twin else f"{name} (there {twin})")
        return found


def keep(run: Run, store: Store, data: AudioDataModule, folder: Path) -> None:
    """Write the digests of the training and validation clips to a folder, with those of the runs before this one."""
    before: dict[str, Any] = {}
    named = (run.arguments.get("weights"), run.recipe.init)
    files = [Path(name).expanduser() for name in named if isinstance(name, str) and is_weights_file(name)]
    earlier = [(key, store) for key in run.needs]
    earlier += [(found[0].key, found[1]) for path in files if (found := _run_of(path, store)) is not None]
    for key, place in earlier:
        if (kept := _kept(place, key)) is not None:
            for part in PARTS:
                before |= kept[part].digests
    content = {
        "sample_rate": data.sample_rate, "clip_shape": list(data.clip_shape),
        "train": Clips.of(data.splits.train, data.contents).digests,
        "val": Clips.of(data.splits.val, data.contents).digests,
        "before": before,
    }  # fmt: skip
    write_whole(folder / NAME, json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def check(other: Run, run: Run, store: Store, data: AudioDataModule, role: Literal["teacher", "init"]) -> str | None:
    """Check that a run may start from another run, or have it as its teacher.

    Args:
        other: the finished run.
        run: the run that needs it.
        store: has the other run's artifacts.
        data: this run's dataset, set up.
        role: of the other run.

    Returns:
        A line on how their clips differ in form, or None.

    Raises:
        RunError: they share clips; the message names them. Or it is not known which clips the other run had.
    """
    if (other.dataset, other.data, other.fold) == (run.dataset, run.data, run.fold):
        return None
    who = f"the teacher {other.key}" if role == "teacher" else other.key
    if (other.dataset, other.data) == (run.dataset, run.data):
        raise RunError(
            f"{who} was trained on another split of {run.dataset}, so its training clips may include this run's test "
            f"clips: name a run on fold {run.fold}"
        )
    kept = _kept(store, other.key)
    if kept is None and role == "init" and other.dataset != run.dataset:
        return None  # as before digests were kept
    if kept is None:
        raise RunError(
            f"it is not known on which clips {who} was trained, because it was done before they were kept, so they may "
            f"include this run's test clips: {AGAIN.format(other.key)}"
        )
    train, val, test = (
        Clips.of(part, data.contents) for part in (data.splits.train, data.splits.val, data.splits.test)
    )
    if (other.dataset, _division(other.data), other.fold) == (run.dataset, _division(run.data), run.fold):
        shared = [*test.shared(kept[part] for part in PARTS), *val.shared((kept["train"], kept["before"]))]
    else:
        shared = [name for part in (test, val, train) for name in part.shared([kept[each] for each in PARTS])]
    if shared:
        shared = list(dict.fromkeys(shared))
        more = f" and {len(shared) - SHOWN} more" if len(shared) > SHOWN else ""
        raise RunError(
            f"{who} was trained on {len(shared)} clips that this run's data have, too: "
            f"{', '.join(shared[:SHOWN])}{more}. Remove them from one of the two datasets and run again, "
            f"or name a run on other clips"
        )
    if kept["sample_rate"] != data.sample_rate:
        return f"{who} was trained at {kept['sample_rate']} Hz, and these clips are at {data.sample_rate} Hz"
    return None


def check_file(path: Path, run: Run, store: Store, data: AudioDataModule) -> str:
    """Check that a run may start from the weights in a file, and return what is known of their training clips.

    A file that is the weights of a run in the store, or that lies among the artifacts of a run elsewhere, is checked as
    that run.

    Raises:
        RunError: as from `check`.
    """
    found = _run_of(path, store)
    if found is None:
        return UNKNOWN
    other, place = found
    note = check(other, run, place, data, "init")
    alike = (other.dataset, other.data, other.fold) == (run.dataset, run.data, run.fold)
    known = alike or _kept(place, other.key) is not None
    return "; ".join(filter(None, (f"these are the weights of {other.key}", note, "" if known else UNKNOWN)))


def _run_of(path: Path, store: Store) -> tuple[Run, Store] | None:
    """Return the run whose weights a file has, and the store of its artifacts; None where none is known."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:  # a folder of some other program's checkpoint
        return None
    for key in tuple(store.keys()):
        record = store.get(key)
        if record is not None and record.artifacts.get(WEIGHTS) == digest:
            return record.run, store
    beside = path.resolve().parent
    try:
        record = Record.from_json((beside / RECORD).read_text(encoding="utf-8"), beside.name)
    except (OSError, UnicodeDecodeError, RecordError):
        return None
    return record.run, Store(beside.parent.parent)


def _division(data: Json) -> Json:
    """Return the arguments of a dataset that say which clips it has and how they are divided."""
    return {name: value for name, value in data.items() if name not in FORM}


def _kept(store: Store, key: str) -> dict[str, Any] | None:
    """Return what was kept of a run; None where nothing was."""
    path = store.artifacts(key) / NAME
    if not path.exists():
        return None
    record = store.get(key)
    try:
        read = artifacts.read(path, record, key)
        content = json.loads(read.decode("utf-8", "surrogatepass"))
        parts = {part: Clips({name: tuple(pair) for name, pair in content[part].items()}) for part in PARTS}
        return {"sample_rate": content["sample_rate"], "clip_shape": tuple(content["clip_shape"]), **parts}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}): {AGAIN.format(key)}") from error


def form(store: Store, key: str) -> tuple[int | None, tuple[int, ...]] | None:
    """Return sample rate and shape of the clips that a run was trained on; None where they were not kept."""
    kept = _kept(store, key)
    return None if kept is None else (kept["sample_rate"], kept["clip_shape"])
