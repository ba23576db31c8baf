"""Datasets, and what follows from their arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import lookup
from bench.catalog.kinds import Kind, line
from bench.catalog.names import load
from bench.lookup import Package


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset's entry.

    Attributes:
        target: "module:Class".
        line: what it is.
        folder: its folder's name under the data directory; None where it is made by code.
        facts: what a reader of its scores should know of it, whatever is on disk.
        aliases: names that archives and Kaggle's copies give that folder; case, hyphens and underscores do not count.
        folds: number of official folds; for a user's own clips, what "all" stands for.
        task: "single" or "multi" label.
        kind: "waveform" or "embedding".
        find: "module:function", the class's `find` without importing torch; None asks the class.
        folds_of: "module:function" from the dataset's arguments to number and name of each fold, or None if that is not
            known now; without importing torch. None where the folds are 0 to `folds` - 1.
        streams: whether it has streams with boundaries, on which time lines are scored.
        multi: arguments that make the labels several per clip where one of them is set.
        package: the package that it comes from; None for this project. Its class attributes `folder`, `folds`, `task`
            and `kind` are read from its source where they are literals.
    """

    target: str
    line: str
    folder: str | None
    folds: int
    task: str = "single"
    kind: str = "waveform"
    find: str | None = None
    folds_of: str | None = None
    multi: tuple[str, ...] = ()
    package: Package | None = None
    aliases: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    streams: bool = False


DATASETS = {
    "synthetic": Dataset(
        target="datamodules.synthetic:Synthetic", line="ten classes of sounds made by code", folder=None, folds=5
    ),
    "synthetic-tags": Dataset(
        target="datamodules.synthetic:SyntheticTags",
        line="one to three overlapping sounds made by code, multi-label",
        folder=None,
        folds=5,
        task="multi",
    ),
    "synthetic-streams": Dataset(
        target="datamodules.synthetic_streams:SyntheticStreams",
        line="streams of speech, music and noise made by code, with known boundaries",
        folder=None,
        facts=(
            "its sounds are simpler than real ones, and classes never overlap: scores say how well boundaries are "
            "found",
        ),
        folds=1,
        streams=True,
    ),
    "esc10": Dataset(
        target="datamodules.esc50:ESC10",
        line="ESC-10: 400 clips, 10 classes",
        folder="esc10",
        folds=5,
        find="datamodules.layouts:esc50",
    ),
    "esc50": Dataset(
        target="datamodules.esc50:ESC50",
        line="ESC-50: 2,000 clips, 50 classes",
        folder="esc50",
        aliases=("ESC-50-master", "environmental-sound-classification-50"),
        folds=5,
        find="datamodules.layouts:esc50",
    ),
    "urbansound8k": Dataset(
        target="datamodules.urbansound8k:UrbanSound8K",
        line="UrbanSound8K: 8,732 clips, 10 classes",
        folder="urbansound8k",
        facts=(
            "five recordings (77751, 106905, 132016, 176638, 180937; 152 slices) stand in two official folds under two "
            "labels: what shares a recording with a later split is left out of training and validation",
        ),
        folds=10,
        find="datamodules.layouts:urbansound8k",
    ),
    "ravdess": Dataset(
        target="datamodules.ravdess:RAVDESS",
        line="RAVDESS speech: 1,440 clips, 8 emotions, split by actor",
        folder="ravdess",
        aliases=("ravdess-emotional-speech-audio", "Audio_Speech_Actors_01-24"),
        folds=4,
        find="datamodules.layouts:ravdess",
    ),
    "musan": Dataset(
        target="datamodules.musan:MUSAN",
        line="MUSAN: pieces of music, speech and noise",
        folder="musan",
        aliases=("musan-dataset",),
        folds=1,
        find="datamodules.layouts:musan",
    ),
    "musan-streams": Dataset(
        target="datamodules.musan_streams:MUSANStreams",
        line="streams of MUSAN's music, speech and noise, joined with cross-fades",
        folder="musan",
        facts=(
            "a segment is an excerpt of one file between cross-fades of 100 ms: real programmes also overlap, and "
            "MUSAN's labels are of whole files",
        ),
        aliases=("musan-dataset",),
        folds=1,
        find="datamodules.layouts:musan",
        streams=True,
    ),
    "gtzan-music-speech": Dataset(
        target="datamodules.gtzan:GTZANMusicSpeech",
        line="GTZAN's music and speech: pieces of 128 tracks",
        folder="gtzan_music_speech",
        aliases=("music_speech", "gtzan-musicspeech-collection"),
        folds=1,
        find="datamodules.layouts:gtzan_music_speech",
    ),
    "vggsound": Dataset(
        target="datamodules.vggsound:VGGSound",
        line="VGGSound: YouTube clips, 309 classes, a folder or tar shards",
        folder="vggsound",
        facts=(
            "595 test videos have two clips (1,190 of 15,446): intervals are drawn over videos",
            '"playing timpani" and "playing tympani" are two classes and one instrument',
            "VGGSounder labels 15,069 of the test clips again, 2.48 labels a clip; 79.0 % keep the official one: with "
            "the extra [vggsounder], scores by its audible labels stand next to the official ones",
        ),
        folds=1,
        find="datamodules.layouts:vggsound",
    ),
    "audioset": Dataset(
        target="datamodules.audioset:AudioSet",
        line="AudioSet's audio, balanced or full to eval, 527 labels, a folder or tar shards",
        folder="audioset",
        folds=1,
        find="datamodules.layouts:audioset",
        task="multi",
    ),
    "audioset-embeddings": Dataset(
        target="datamodules.audioset_embeddings:AudioSetEmbeddings",
        line="AudioSet's VGGish features, balanced train to eval, 527 labels",
        folder="audioset_vggish",
        folds=1,
        find="datamodules.layouts:audioset_embeddings",
        task="multi",
        kind="embedding",
    ),
    "folder": Dataset(
        target="datamodules.folder:Folder",
        line="your own clips: root/<class>/*.wav or a CSV",
        folder=None,
        folds=5,
        folds_of="datamodules.clips.own.division:folds_of",
        multi=("label_separator", "label_columns", "row_per_label"),
    ),
    "embeddings": Dataset(
        target="datamodules.embeddings:Embeddings",
        line="your own features: root/<class>/*.npy, .npz, .parquet or .tfrecord, or a CSV",
        folder=None,
        folds=5,
        kind="embedding",
        folds_of="datamodules.clips.own.features:folds_of",
        multi=("label_separator", "label_columns", "row_per_label"),
    ),
}


def _of_package(target: str, package: Package) -> Dataset:
    """Return the entry of another package's dataset; a value that its source does not say has the usual default."""
    known = target in lookup.permitted() or lookup.is_uninstalled(target)
    found = lookup.class_values(target, ("folder", "folds", "task", "kind")) if known else {}
    folder, folds = found.get("folder"), found.get("folds")
    return Dataset(
        target=target,
        line=line(target, package),
        folder=folder if isinstance(folder, str) else None,
        folds=folds if isinstance(folds, int) else 1,
        task="multi" if found.get("task") == "multi" else "single",
        kind="embedding" if found.get("kind") == "embedding" else "waveform",
        package=package,
    )


KIND = Kind("datasets", "dataset", DATASETS, _of_package)


def dataset(name: str) -> Dataset:
    """Return a dataset's entry."""
    return KIND.entry(name)


def has_files(name: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a dataset is read from files with these arguments, not made by code."""
    return dataset(name).folder is not None or any(arguments.get(key) for key in ("root", "csv"))


def task(name: str, arguments: Mapping[str, Any]) -> str:
    """Return "single" or "multi" label for a dataset with these arguments."""
    entry = dataset(name)
    return "multi" if any(arguments.get(key) for key in entry.multi) else entry.task


def folds(name: str, arguments: Mapping[str, Any]) -> dict[int, str] | None:
    """Return number and name of each fold of a dataset, in order; None where only reading the data can say.

    A name is empty where a fold has none but its number.
    """
    entry = dataset(name)
    if entry.folds_of is None:
        return None if entry.package is not None else dict.fromkeys(range(entry.folds), "")
    found: dict[int, str] | None = load(entry.folds_of)(arguments)
    return found
