"""Real clips for the check of a file."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from bench.errors import ArgumentError, RunError
from bench.inference.classifier import Classifier
from datamodules.audio import ENDINGS
from datamodules.errors import DataError


def labelled(
    model: Classifier, folder: Path, limit: int, report: Callable[[str], object] | None = None
) -> list[tuple[Tensor, str | None]]:
    """Return the first window of up to `limit` sounds, taken evenly, with their folders' names where these are classes.

    Args:
        model: cuts the sounds to its length.
        folder: searched with all its folders.
        limit: most sounds.
        report: receives the error of each sound that cannot be used and is left out.

    Raises:
        RunError: there is no such folder, or it has no sounds that can be used.
    """
    if not folder.is_dir():
        raise ArgumentError(f"{folder} is no folder: name one with sounds")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise RunError(f"{folder} has no sounds: name a folder with files such as .wav or .flac")
    chosen = [files[i * len(files) // min(limit, len(files))] for i in range(min(limit, len(files)))]
    clips: list[tuple[Tensor, str | None]] = []
    for path in chosen:
        try:
            clip = model.windows(model.load(path)).clips[0]
        except (ArgumentError, DataError) as error:
            if report is not None:
                report(str(error))
            continue
        clips.append((clip, path.parent.name if path.parent.name in model.classes else None))
    if not clips:
        raise RunError(f"none of the {len(chosen)} sounds in {folder} can be used: name another folder")
    return clips
