"""A small folder of one's own clips."""

from pathlib import Path

import numpy as np
import soundfile


def write(root: Path, classes: tuple[str, ...] = ("cat", "cow"), files: int = 10, suffix: str = "wav") -> Path:
    """`files` clips of 0.1 to 0.2 s per class, 8 kHz."""
    rng = np.random.default_rng(1)
    for label in classes:
        (root / label).mkdir(parents=True)
        for i in range(files):
            clip = 0.1 * rng.standard_normal(800 + 800 * i // files)
            soundfile.write(root / label / f"{label}{i}.{suffix}", clip, 8_000)
    return root
