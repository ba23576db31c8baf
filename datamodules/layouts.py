"""Files that the folder of each dataset must contain.

The functions say in one line what is missing under a dataset's folder and how to get it, or return None where nothing
is missing. They open no file and need no torch, so that a program can ask for all datasets at once and get an answer
immediately. The datasets' classes use the same functions as their `find`.
"""

from collections.abc import Iterable
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
VGGSOUND_LIST = "vggsound.csv"
AUDIOSET_LABELS = "class_labels_indices.csv"
AUDIOSET_BALANCED = ("balanced_train", "eval")
AUDIOSET_EMBEDDINGS = ("bal_train", "eval")
YOUTUBE_FOLDERS = ("audio", "audios")
YOUTUBE_SHARDS = "shards"


def esc50(root: Path) -> str | None:
    """Look for the table and the audio folder."""
    return _unpack((root / "meta" / "esc50.csv", root / "audio"), ESC50_SOURCE)


def urbansound8k(root: Path) -> str | None:
    """Look for the table and the audio folder."""
    return _unpack((root / "metadata" / "UrbanSound8K.csv", root / "audio"), URBANSOUND8K_SOURCE)


def ravdess(root: Path) -> str | None:
    """Look for any actor's folder."""
    if next(root.glob("Actor_[0-9][0-9]"), None) is None:
        return f"missing {root / 'Actor_01'} and so on: unpack Audio_Speech_Actors_01-24.zip of {RAVDESS_SOURCE} there"
    return None


def musan(root: Path) -> str | None:
    """Look for a folder of each class."""
    base = musan_base(root)
    return _unpack((base / label for label in MUSAN_CLASSES), MUSAN_SOURCE, folders=True)


def musan_base(root: Path) -> Path:
    """Return the folder that holds MUSAN's classes: `musan/` under the root, or the root itself."""
    return root / "musan" if (root / "musan").is_dir() else root


def gtzan_music_speech(root: Path) -> str | None:
    """Look for the two folders."""
    base = gtzan_base(root)
    return _unpack((base / name for name in GTZAN_FOLDERS.values()), GTZAN_SOURCE, folders=True)


def gtzan_base(root: Path) -> Path:
    """Return the folder that holds GTZAN's two: `music_speech/` under the root, or the root itself."""
    return root / "music_speech" if (root / "music_speech").is_dir() else root


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


def _unpack(wanted: Iterable[Path], source: str, folders: bool = False) -> str | None:
    """Say which of these paths do not exist (with `folders`: are no folders), and from where to unpack them."""
    missing = [str(path) for path in wanted if not (path.is_dir() if folders else path.exists())]
    return f"missing {' and '.join(missing)}: unpack {source} there" if missing else None
