"""Tones that rise, fall or stay, made by code."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.base import AudioDataModule, Splits
from datamodules.clips.array_clips import WaveformClips, content_hash
from datamodules.clips.folds import rotated

CLASSES = ("falling", "rising", "steady")


class Sweeps(AudioDataModule):
    """Clips of half a second at 8 kHz in three folds; group = the pitch and the noise that a clip was made from.

    Args:
        clips_per_class: in all three folds together.
        **given: as in `AudioDataModule`.
    """

    folds = 3
    split = "three folds of equal size"
    sample_rate = 8000
    clip_seconds = 0.5

    def __init__(self, clips_per_class: int = 30, **given: Any) -> None:
        super().__init__(**given)
        self.clips_per_class = clips_per_class

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Return None: there are no files."""
        return None

    def read(self) -> Splits:
        """Make the clips, the same on every machine."""
        samples = round(self.sample_rate * self.clip_seconds)
        time = np.arange(samples) / self.sample_rate  # (S,)
        random = np.random.default_rng(0)
        clips, targets = [], []
        for _ in range(self.clips_per_class):
            for target, slope in enumerate((-600, 600, 0)):
                start = random.uniform(900, 1800)
                phase = 2 * np.pi * (start * time + slope * time**2 / (2 * self.clip_seconds))
                wave = 0.2 * np.sin(phase) + random.uniform(0.02, 0.15) * random.standard_normal(samples)
                clips.append(np.clip(np.rint(wave * 32767), -32768, 32767).astype(np.int16))
                targets.append(target)
        self.classes = CLASSES
        self.clip_shape = (samples,)
        ids = [f"{CLASSES[target]} {i // len(CLASSES)}" for i, target in enumerate(targets)]
        folds = [1 + i // len(CLASSES) % self.folds for i in range(len(ids))]
        hashes = [content_hash(clip) for clip in clips]
        return rotated(WaveformClips(np.stack(clips), ids, ids, hashes, torch.tensor(targets)), folds, self.fold)
