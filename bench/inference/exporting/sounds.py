"""Real clips for the check of a file."""

from pathlib import Path

from torch import Tensor

from bench.errors import ArgumentError, RunError
from bench.inference.classifier import Classifier
from datamodules.audio import ENDINGS


def labelled(model: Classifier, folder: Path, limit: int) -> list[tuple[Tensor, str | None]]:
    """Return the first window of up to `limit` sounds, taken evenly, with their folders' names where these are classes.

    Args:
        model: cuts the sounds to its length.
        folder: searched with all its folders.
        limit: most sounds.

    Raises:
        RunError: there is no such folder, or it has no sounds.
    """
    if not folder.is_dir():
        raise ArgumentError(f"{folder} is no folder: name one with sounds")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise RunError(f"{folder} has no sounds: name a folder with files such as .wav or .flac")
    chosen = [files[i * len(files) // min(limit, len(files))] for i in range(min(limit, len(files)))]
    labels = [path.parent.name if path.parent.name in model.classes else None for path in chosen]
    return [(model.windows(model.load(path)).clips[0], label) for path, label in zip(chosen, labels, strict=True)]
