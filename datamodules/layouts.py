"""Files that the folder of each dataset must contain.

The functions say in one line what is missing under a dataset's folder and how to get it, or return None where nothing
is missing. They open no file and need no torch, so that a program can ask for all datasets at once and get an answer
immediately. The datasets' classes use the same functions as their `find`.

A dataset's files may lie in the folder itself, or up to three folders deeper, as archives and Kaggle's copies have
them: `ESC-50-master/`, `UrbanSound8K/`, `musan/musan/`.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

ESC50_SOURCE = "https://github.com/karolpiczak/ESC-50"
URBANSOUND8K_SOURCE = "https://zenodo.org/records/1203745"
RAVDESS_SOURCE = "https://zenodo.org/records/1188976"
MUSAN_SOURCE = "https://www.openslr.org/17"
GTZAN_SOURCE = "music_speech.tar.gz of https://marsyas.info/downloads/datasets.html"
VGGSOUND_SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/vggsound/"
AUDIOSET_SOURCE = "https://research.google.com/audioset/download.html"

MUSAN_CLASSES = ("music", "speech", "noise")
GTZAN_FOLDERS = {"music": "music_wav", "speech": "speech_wav"}
DEPTH = 3  # folders below a dataset's own that are looked into
VGGSOUND_LIST = "vggsound.csv"
AUDIOSET_LABELS = "class_labels_indices.csv"
AUDIOSET_BALANCED = ("balanced_train", "eval")
AUDIOSET_EMBEDDINGS = ("bal_train", "eval")
YOUTUBE_FOLDERS = ("audio", "audios")
YOUTUBE_SHARDS = "shards"


def esc50(root: Path) -> str | None:
    """Look for the table and the audio folder."""
    table, audio = esc50_places(root)
    return _unpack((table, audio), ESC50_SOURCE)


def esc50_places(root: Path) -> tuple[Path, Path]:
    """Return the table and the folder of audio.

    The table is `meta/esc50.csv`, or `esc50.csv` as on Kaggle, where the audio is in `audio/audio/` or deeper.
    """
    base = _base(root, lambda here: _table(here, "meta", "esc50.csv").is_file())
    audio = base / "audio"
    deeper = (audio, audio / "44100", audio / "audio", audio / "audio" / "44100")
    found = (here for here in deeper if next(here.glob("[1-5]-*"), None) is not None)
    return _table(base, "meta", "esc50.csv"), next(found, audio)


def urbansound8k(root: Path) -> str | None:
    """Look for the table and the audio folder."""
    table, audio = urbansound8k_places(root)
    return _unpack((table, audio), URBANSOUND8K_SOURCE)


def urbansound8k_places(root: Path) -> tuple[Path, Path]:
    """Return the table and the folder of `fold1` to `fold10`.

    The table is `metadata/UrbanSound8K.csv`, or `UrbanSound8K.csv` as on Kaggle, where the folds lie next to it.
    """
    base = _base(root, lambda here: _table(here, "metadata", "UrbanSound8K.csv").is_file())
    folds = next(base.glob("fold[1-9]*"), None) is not None and not (base / "audio").is_dir()
    return _table(base, "metadata", "UrbanSound8K.csv"), base if folds else base / "audio"


def _table(base: Path, folder: str, name: str) -> Path:
    """Return the place of a table: the folder that it has in the archive, or the dataset's own folder."""
    here = base / name
    return here if here.is_file() and not (base / folder / name).is_file() else base / folder / name


def ravdess(root: Path) -> str | None:
    """Look for any actor's folder."""
    if not _has_actors(ravdess_base(root)):
        return f"missing {root / 'Actor_01'} and so on: unpack Audio_Speech_Actors_01-24.zip of {RAVDESS_SOURCE} there"
    return None


def ravdess_base(root: Path) -> Path:
    """Return the folder that holds the actors': the root, or one such as `Audio_Speech_Actors_01-24/` below it.

    Kaggle's copy has the actors in the root and once more in such a folder, of which nothing is read.
    """
    return _base(root, _has_actors)


def _has_actors(folder: Path) -> bool:
    return next(folder.glob("Actor_[0-9][0-9]"), None) is not None


def musan(root: Path) -> str | None:
    """Look for a folder of each class."""
    base = musan_base(root)
    return _unpack((base / label for label in MUSAN_CLASSES), MUSAN_SOURCE, folders=True)


def musan_base(root: Path) -> Path:
    """Return the folder that holds MUSAN's classes: `musan/` under the root, the root itself, or one below it."""
    named = root / "musan" if (root / "musan").is_dir() else root
    found = _base(root, lambda here: all((here / label).is_dir() for label in MUSAN_CLASSES))
    return found if found != root or named == root or (root / MUSAN_CLASSES[0]).is_dir() else named


def gtzan_music_speech(root: Path) -> str | None:
    """Look for the two folders."""
    return _unpack(gtzan_places(root).values(), GTZAN_SOURCE, folders=True)


def gtzan_places(root: Path) -> dict[str, Path]:
    """Return the folder of each class, `music_wav/` and `speech_wav/`, or `music/` and `speech/`.

    They lie in `music_speech/` under the root, in the root itself, or in another folder below it.
    """
    named = root / "music_speech" if (root / "music_speech").is_dir() else root
    for names in (GTZAN_FOLDERS, {label: label for label in GTZAN_FOLDERS}):
        for start in (named, root):
            base = _base(start, lambda here, names=names: all((here / name).is_dir() for name in names.values()))  # type: ignore[misc]
            places = {label: base / name for label, name in names.items()}
            if all(place.is_dir() for place in places.values()):
                return places
    return {label: named / name for label, name in GTZAN_FOLDERS.items()}


def vggsound(root: Path) -> str | None:
    """Look for the list and for audio."""
    problems = []
    if not vggsound_list(root).is_file():
        problems.append(f"missing {root / VGGSOUND_LIST}: fetch it from {VGGSOUND_SOURCE}")
    if problem := youtube(root):
        problems.append(problem)
    return "; ".join(problems) or None


def vggsound_list(root: Path) -> Path:
    """Return the place of VGGSound's list: the root, or `data/` as in the authors' repository."""
    here = root / VGGSOUND_LIST
    return here if here.is_file() else root / "data" / VGGSOUND_LIST


def audioset(root: Path) -> str | None:
    """Look for the labels, the lists of the balanced and the evaluation part, and for audio."""
    wanted = (AUDIOSET_LABELS, *(f"{part}_segments.csv" for part in AUDIOSET_BALANCED))
    absent = [name for name in wanted if not audioset_table(root, name).is_file()]
    problems = [f"missing {', '.join(absent)} in {root}: fetch from {AUDIOSET_SOURCE}"] if absent else []
    if problem := youtube(root):
        problems.append(problem)
    return "; ".join(problems) or None


def audioset_table(root: Path, name: str) -> Path:
    """Return the place of one of AudioSet's tables: the root, or `metadata/` as PANNs have it."""
    here = root / name
    return here if here.is_file() else root / "metadata" / name


def audioset_embeddings(root: Path) -> str | None:
    """Look for the label table and for records of both parts."""
    if not (root / AUDIOSET_LABELS).is_file():
        return f"missing {root / AUDIOSET_LABELS}: fetch it from {AUDIOSET_SOURCE}"
    for part in AUDIOSET_EMBEDDINGS:
        if next((root / "audioset_v1_embeddings" / part).glob("*.tfrecord"), None) is None:
            return (
                f"missing {root}/audioset_v1_embeddings/{part}/*.tfrecord: fetch features.tar.gz from {AUDIOSET_SOURCE}"
            )
    return None


def youtube(root: Path) -> str | None:
    """Look for audio of YouTube videos, in a folder or in shards."""
    if any((root / name).is_dir() for name in (*YOUTUBE_FOLDERS, YOUTUBE_SHARDS)):
        return None
    return (
        f"no {root / YOUTUBE_FOLDERS[0]} and no {root / YOUTUBE_SHARDS}: YouTube's audio cannot be downloaded from "
        f"here; put yours as {YOUTUBE_FOLDERS[0]}/<video>_<start second in six digits>.wav (or .flac .ogg .mp3), or in "
        f"{YOUTUBE_SHARDS}/*.tar"
    )


def _base(root: Path, complete: Callable[[Path], bool]) -> Path:
    """Return the first folder that is complete: the root, else one below it, the nearest first; else the root."""
    level = [root]
    for _ in range(DEPTH + 1):
        for folder in level:
            if complete(folder):
                return folder
        level = [below for folder in level for below in _folders(folder)]
    return root


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder; no links, and none of those that macOS leaves behind."""
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith((".", "__")) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _unpack(wanted: Iterable[Path], source: str, folders: bool = False) -> str | None:
    """Say which of these paths do not exist (with `folders`: are no folders), and from where to unpack them."""
    missing = [str(path) for path in wanted if not (path.is_dir() if folders else path.exists())]
    return f"missing {' and '.join(missing)}: unpack {source} there" if missing else None
