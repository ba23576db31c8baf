"""A RAVDESS tree in the real layout, with short sounds in the place of speech."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import soundfile


def names(actor: int, modality: int = 3, channel: int = 1, emotions: Iterable[int] = range(1, 9)) -> list[str]:
    """Return an actor's file names without ending: two intensities, of neutral one; two statements, twice each."""
    return [
        f"{modality:02}-{channel:02}-{emotion:02}-{intensity:02}-{statement:02}-{repetition:02}-{actor:02}"
        for emotion, intensity, statement, repetition in product(emotions, (1, 2), (1, 2), (1, 2))
        if (emotion, intensity) != (1, 2)
    ]


def write(root: Path, actors: Iterable[int] = range(1, 25), suffix: str = "wav") -> Path:
    """Sixty clips of 20 ms at 48 kHz for each actor; one of actor 1 is stereo, as in the original."""
    rng = np.random.default_rng(0)
    for actor in actors:
        folder = root / f"Actor_{actor:02}"
        folder.mkdir(parents=True)
        for name in names(actor):
            channels = 2 if name == "03-01-02-01-01-02-01" else 1
            soundfile.write(folder / f"{name}.{suffix}", 0.1 * rng.standard_normal((960, channels)), 48_000)
    return root
