"""F12 to F14, F17, F24, F25: artifacts, names from files, secrets, metrics, old records, and the locked packages."""

import json
import os
import pickle
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from faults import trained
from faults.damage import WAYS, damage
from faults.tally import Fault, Tally

from bench.errors import BenchError, RunError
from bench.records import Failure, Record, Store, artifacts
from bench.records import record as record_module
from bench.records.redaction import redacted
from datamodules.errors import DataError

PROJECT = Path(__file__).parents[2]

# --- F12: artifacts that are damaged, and checkpoints that would run code


def damage_artifacts(count: int, folder: Path) -> Tally:
    """Damage each kind of artifact in each way; whatever uses it must name it."""
    tally, rng = Tally(), random.Random(12)
    store = trained.copy(folder)
    readers = _readers()
    kinds = [*readers]
    for number in range(count):
        name, way = kinds[number % len(kinds)], [*WAYS][number // len(kinds) % len(WAYS)]
        model, read = readers[name]
        record = trained.one(store, model)
        path = store.artifacts(record.key) / name
        whole = path.read_bytes()
        damage(path, way, rng)
        tally.injected += 1
        try:
            read(store, record)
        except RunError as error:
            if str(path) not in str(error):
                tally.note("crashed", f"{name} with {way}: {error} names no file")
        except Exception as error:
            tally.note("crashed", f"{name} with {way}: {error!r}")
        else:
            tally.note("wrong", f"{name} with {way} was used")
        path.write_bytes(whole)
        read(store, record)
    return tally


Read = Callable[[Store, Record], object]


def _readers() -> dict[str, tuple[str, Read]]:
    """Return the kinds of artifacts: whose they are, and what reads them."""
    from bench.training import lineage, stored

    def weights(store: Store, record: Record) -> object:
        return stored.read_weights(store.artifacts(record.key), record.key, record)

    return {
        "weights.safetensors": ("cnn", weights),
        "logits.npz": ("cnn", artifacts.logits),
        "model.json": ("cnn", lambda store, record: stored.read_description(store.artifacts(record.key), record)),
        "training_clips.json": ("cnn", lambda store, record: lineage.form(store, record.key)),
    }  # fmt: skip


@contextmanager
def digests_unread() -> Iterator[None]:
    """Read artifacts without a look at the digests in the record."""
    read = artifacts.read

    def unchecked(path: Path, record: Record | None, key: str) -> bytes:
        return read(path, None, key)

    with mock.patch.object(artifacts, "read", unchecked):
        yield


class _Mark:
    """Makes a folder when it is unpickled: harmless, and seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def run_code(count: int, folder: Path) -> Tally:
    """Give files that make a folder when they are unpickled to everything that reads files of others."""
    import torch

    from bench.evaluation.segmentation import streams
    from bench.runner import outside
    from bench.training import stored
    from datamodules.clips.own import features
    from models.checkpoints import files

    tally = Tally()
    folder.mkdir(parents=True)
    record = Record(run=trained.one(trained.store(), "cnn").run, status="ok")
    store, marker = Store(folder / "runs"), folder / "executed"
    place = store.artifacts(record.key)
    place.mkdir(parents=True)

    def torch_file(path: Path, content: object) -> None:
        torch.save(content, path)

    def plain_pickle(path: Path, content: object) -> None:
        path.write_bytes(pickle.dumps(content, 2))

    def arrays(path: Path, content: object) -> None:
        held = np.empty(1, object)
        held[0] = content
        if path.suffix == ".npy":
            np.save(path, held, allow_pickle=True)
        else:
            names = ("logits", "targets", "val_scores", "val_frames")
            np.savez(path, allow_pickle=True, **dict.fromkeys(names, held))

    readers: list[tuple[Path, Callable[[Path, object], None], Callable[[Path], object]]] = [
        (place / "model.pt", torch_file, lambda path: stored.read_weights(place, record.key, record)),
        (place / "model.pt", plain_pickle, lambda path: stored.read_weights(place, record.key, record)),
        (folder / "a.ckpt", torch_file, lambda path: files.read(path)),
        (folder / "a.pth", plain_pickle, lambda path: files.read(path)),
        (folder / "b.ckpt", torch_file, outside.loaded),
        (folder / "b.ckpt", plain_pickle, outside.loaded),
        (place / "logits.npz", arrays, lambda path: artifacts.logits(store, record)),
        (place / "streams.npz", arrays, lambda path: streams.load(store, record)),
        (folder / "a.npy", arrays, features.clips_of),
        (folder / "a.npz", arrays, features.clips_of),
    ]
    wraps: list[Callable[[object], object]] = [
        lambda mark: mark,
        lambda mark: {"state_dict": mark},
        lambda mark: {"state_dict": {"w": mark}},
        lambda mark: [mark],
        lambda mark: {"audio_model": {"class": mark}},
        lambda mark: {"hyper_parameters": {"x": (1, mark)}},
    ]
    for number in range(count):
        path, write, read = readers[number % len(readers)]
        write(path, wraps[number // len(readers) % len(wraps)](_Mark(marker)))
        tally.injected += 1
        try:
            read(path)
        except (BenchError, DataError) as error:
            if str(path.name) not in str(error):
                tally.note("crashed", f"{path.name}: {error} names no file")
        except Exception as error:
            if type(error).__name__ != "ModelError":
                tally.note("crashed", f"{path.name}: {error!r}")
        else:
            tally.note("wrong", f"{path.name} was read")
        if marker.exists():
            tally.note("executed", f"{path.name} by {write.__name__}")
            marker.rmdir()
        path.unlink()
    return tally


@contextmanager
def unpickled() -> Iterator[None]:
    """Unpickle whatever comes."""
    import torch

    load, read = torch.load, np.load

    def trusting(*given: Any, **named: Any) -> Any:
        return load(*given, **named | {"weights_only": False})

    def all_objects(*given: Any, **named: Any) -> Any:
        return read(*given, **named | {"allow_pickle": True})

    with mock.patch.object(torch, "load", trusting), mock.patch.object(np, "load", all_objects):
        yield


# --- F13: names in files


SUITES = (
    'name = "../../README"', 'name = "a/b"', 'name = ".hidden"', 'name = ""', 'name = "a b"', 'name = "/x/y"',
    "seeds = [-1]", "seeds = [4294967296]", "folds = [7]", "folds = [-1]", 'folder = "/"',
    'file = "x"', 'wandb_key = "x"', "models = " + 5_000 * "[" + 5_000 * "]", "seeds = [" + 5_000 * "1" + "]",
    '[model.cnn]\nmodel = "os:system"', 'datasets = ["os:system"]',
    'models = ["../../evil"]', 'models = ["evil"]', 'models = ["evil:"]', 'models = [":Model"]',
    'models = ["evil:a.b"]',
    '[model.cnn]\nclass_path = "os.system"', '[model.cnn]\n_target_ = "os.system"', '[recipe]\ninit = "!!python/x"',
    '[recipe]\nteacher = "../../x"', '[recipe]\nepochs = "${oc.env:SECRET_CANARY}"', "[recipe]\nepochs = nan",
    "[recipe]\nlr = inf", "\x00", "models = [", '[model.cnn]\nweights = 7',
)  # fmt: skip
"""Lines that no suite may have."""

NAMED = ("evil:Model", "evil_package.module:Model", "os:system", "builtins:exec", "subprocess:Popen")


def name_in_files(count: int, folder: Path) -> Tally:
    """Read suites with false names, and let records and descriptions name classes; nothing of it is imported."""
    from bench import lookup
    from bench.inference import references

    tally = Tally()
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(folder / 'executed')!r}).mkdir(exist_ok=True)\nclass Model: pass\n"
    )
    store = trained.copy(folder)
    record = trained.one(store, "cnn")
    place, known = store.artifacts(record.key), lookup.permitted()
    description = json.loads((place / "model.json").read_text())
    with mock.patch.dict(os.environ, {"SECRET_CANARY": "canary-1234567890"}), mock.patch("sys.path", [str(folder)]):
        for number in range(count):
            tally.injected += 1
            words = ""
            try:
                if number % 2 == 0:
                    words = SUITES[number // 2 % len(SUITES)]
                    path = folder / f"{number}.toml"
                    head = "" if "models =" in words else 'models = ["cnn"]\n'
                    head += "" if "datasets =" in words else 'datasets = ["synthetic"]\n'
                    path.write_text(f"{words}\n{head}" if "[" not in words[:1] else f"{head}{words}\n")
                    read = partial(_expanded, str(path))
                else:
                    words = NAMED[number // 2 % len(NAMED)]
                    what = ("model", "frontend", "dataset")[number // 10 % 3]
                    moved = folder / f"moved-{number}"
                    shutil.copytree(place, moved)
                    (moved / "record.json").unlink()
                    (moved / "model.json").write_text(json.dumps(description | {what: words}))
                    if (
                        what == "dataset"
                    ):  # only how recordings are prepared follows from it; such a name is passed over
                        words = ""
                    read = partial(references.load_model, str(moved), store.root, device="cpu")
                read()
                if words:
                    tally.note("wrong", f"{words[:60]!r} was accepted")
            except (BenchError, DataError) as error:
                if "canary-" in str(error):
                    tally.note("executed", f"{words[:60]!r} leaks the environment")
            except Exception as error:
                tally.note("crashed", f"{words[:60]!r}: {error!r:.300}")
            if number % 2 and lookup.permitted() != known:
                tally.note("wrong", f"{words!r} of a file was permitted")
            known = lookup.permitted()
            if (folder / "executed").exists():
                tally.note("executed", f"{words[:60]!r} was imported")
                (folder / "executed").rmdir()
    return tally


def _expanded(path: str) -> object:
    from bench import suites
    from bench.training import build

    suite = suites.read(path)
    for run in suite.runs():
        build.check(run)
    return suite


@contextmanager
def any_name() -> Iterator[None]:
    """Import whatever a file names."""
    import importlib
    import sys

    from bench import lookup

    def load(target: str) -> Any:
        module, _, name = target.removeprefix(lookup._UNNAMED).partition(":")
        sys.modules.pop(module if module.startswith("evil") else "", None)
        return getattr(importlib.import_module(module), name)

    with mock.patch.object(lookup, "load", load):
        yield


# --- F14: secrets


def keep_secrets(count: int, folder: Path) -> Tally:
    """Put secrets into variables, suites, errors and data; no record, page or message may have them."""
    from bench import suites

    tally, rng = Tally(), random.Random(14)
    folder.mkdir(parents=True)
    for number in range(count):
        secret = "".join(rng.choices("abcdefghijkmnpqrstuvwxyz23456789", k=24))
        shapes = (
            ({}, f"https://user:{secret}@example.org/x"), ({}, f"api_key={secret}"),
            ({}, f"Authorization: Bearer {secret}"), ({}, f"hf_{secret}"), ({}, f"sk-{secret}"), ({}, f"ghp_{secret}"),
            ({"WANDB_API_KEY": secret}, f"got {secret}"), ({"MY_TOKEN": secret}, f"'{secret}'"),
        )  # fmt: skip
        environment, text = shapes[number % len(shapes)]
        tally.injected += 1
        with mock.patch.dict(os.environ, environment):
            kind = number // len(shapes) % 3
            if kind == 0:  # an error of a run, in its record
                try:
                    raise ValueError(f"cannot fetch {text}")
                except ValueError as error:
                    failure = Failure.of(error)
                kept = Record(run=trained.one(trained.store(), "cnn").run, status="failed", error=failure).to_json()
            elif kind == 1:  # a suite
                path = folder / "secret.toml"
                path.write_text(
                    f'models = ["cnn"]\ndatasets = ["synthetic"]\n[model.cnn]\nweights = {json.dumps(text)}\n'
                )
                try:
                    suites.read(str(path))
                    kept = secret
                except BenchError as error:
                    kept = str(error)
            else:
                kept = redacted(text)
        if secret in kept:
            tally.note("executed", f"a secret is kept: {text}")
    return tally


@contextmanager
def unredacted() -> Iterator[None]:
    """Keep every text as it is."""
    from bench.records import record
    from bench.suites import reading

    with (
        mock.patch.object(record, "redacted", lambda text: text),
        mock.patch.object(reading, "find_secret", return_value=None),
        mock.patch(f"{__name__}.redacted", lambda text: text),
    ):
        yield


# --- F17: metrics of degenerate predictions


def degenerate_metrics(count: int, folder: Path) -> Tally:
    """Score what has no score, or one that is known by hand."""
    from bench.evaluation.metrics import score
    from models.errors import TrainingError

    tally, rng = Tally(), np.random.default_rng(17)
    for number in range(count):
        classes, clips = 2 + number % 5, 4 + number % 7
        targets = np.arange(clips) % classes
        right = np.eye(classes)[targets] * 5.0
        what = number % 8
        logits = right.copy()
        refused = what in (0, 1, 2, 6)
        if what in (0, 1, 2):
            logits[rng.integers(clips), rng.integers(classes)] = (np.nan, np.inf, -np.inf)[what]
        elif what == 3:  # one class alone: no area under a curve, all right
            targets = np.zeros(clips, int)
            logits = np.eye(classes)[targets] * 5.0
        elif what == 4:  # all tie: the first class
            logits = np.zeros((clips, classes))
        elif what == 6:
            logits, targets = logits[:0], targets[:0]
        elif what == 7:  # the next class, always
            logits = np.roll(right, 1, 1)
        tally.injected += 1
        try:
            found = score(logits, targets, "single").values
        except TrainingError as error:
            if not refused:
                tally.note("wrong", f"case {what}: {error}")
            continue
        except Exception as error:
            tally.note("crashed", f"case {what}: {error!r}")
            continue
        wanted = {3: 1.0, 4: float((targets == 0).mean()), 5: 1.0, 7: 0.0}.get(what)
        if refused or found["accuracy"] != wanted or (what == 3 and found["mAUC"] is not None):
            tally.note("wrong", f"case {what}: {found}")
    return tally


@contextmanager
def finite_or_not() -> Iterator[None]:
    """Score logits that are not finite, too."""
    with mock.patch("numpy.isfinite", lambda x, *_: np.ones(np.shape(x), bool)):
        yield


# --- F24: what earlier versions have written


def read_published(count: int, folder: Path) -> Tally:
    """Read published records from all over the store, as they were written by each version, and write them again."""
    tally, store = Tally(), Store(PROJECT / "leaderboards")
    keys = store.keys()
    for key in keys[:: max(1, len(keys) // count)][:count]:
        tally.injected += 1
        try:
            record = store.get(key)
            if record is None or record.to_json().encode() != store.path(key).read_bytes():
                tally.note("wrong", f"{key} is another when it is written again")
        except BenchError as error:
            tally.note("lost", str(error))
    return tally


@contextmanager
def all_fields() -> Iterator[None]:
    """Write every field of a record, also those that its version did not have."""
    with mock.patch.object(record_module, "_leave_out_later_fields"):
        yield


# --- F25: the locked packages

BANNED = {
    "lightning": [(0, 2, 6, 6)], "pytorch-lightning": [(0, 2, 6, 6)], "torch": [(0, 2, 10)], "starlette": [(0, 0, 40)],
    "gradio": [(0, 6, 7)], "ray": [(0, 2, 54)],
}  # fmt: skip
"""Package to the first release that may be locked."""


def locked_packages(count: int, folder: Path) -> Tally:
    """Look for releases that are known to be harmful in the file of constraints, and for ranges."""
    tally = Tally()
    for line in CONSTRAINTS().splitlines():
        if not (found := re.fullmatch(r"([\w.\[\]-]+)==([\w.+]+)(\s.*)?", line.strip())):
            if line.strip() and not line.strip().startswith(("#", "--")):
                tally.injected += 1
                tally.note("wrong", f"{line!r} locks no release")
            continue
        tally.injected += 1
        version = (0, *(int(part) for part in re.findall(r"\d+", found[2])[:3]))
        if any(version < first for first in BANNED.get(found[1].lower(), [])):
            tally.note("wrong", f"{line} is known to be harmful")
    return tally


def CONSTRAINTS() -> str:  # noqa: N802 - replaced in a proof
    """Return the file of constraints."""
    return (PROJECT / "constraints.txt").read_text()


@contextmanager
def old_lightning() -> Iterator[None]:
    """Lock a release that must not be."""
    text = re.sub(r"(?m)^lightning==.*$", "lightning==2.6.2", CONSTRAINTS())
    with mock.patch(f"{__name__}.CONSTRAINTS", return_value=text):
        yield


FAULTS = (
    Fault("F12a", "weights, logits, descriptions and lists of clips, damaged in 9 ways", 144, 900, damage_artifacts,
          "a record names the SHA-256 of its artifacts", digests_unread, 72),
    Fault("F12b", "files that run code when they are unpickled, in 10 places", 60, 120, run_code,
          "tensors and arrays only, no objects", unpickled, 20),
    Fault("F13", "suites with false names, and names of classes in descriptions", 70, 140, name_in_files,
          "only a suite's names are imported", any_name, 40),
    Fault("F14", "secrets in variables, suites, URLs and errors", 48, 480, keep_secrets,
          "secrets are refused or removed", unredacted, 24),
    Fault("F17", "logits that are not finite, ties, absent classes, no clip", 80, 800, degenerate_metrics,
          "logits have to be finite", finite_or_not, 16),
    Fault("F24", "published records of all versions, read again", 200, 200, read_published,
          "fields that came later are left out where they say nothing", all_fields, 20),
    Fault("F25", "locked packages", 1, 1, locked_packages, "the list of harmful releases", old_lightning, 1),
)  # fmt: skip
