"""Synthesised sounds: a dataset without a download, the same on every machine.

Ten classes after real sources, each with its own pitch, timbre, rhythm and level, under coloured background noise and
through a random recording channel (equaliser). So the mean spectrum says little, and a model has to use how a
sound changes over time. Each source (one bird, one engine) is recorded twice; both takes are one group and share a
fold.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from datamodules.base import DataError, Splits
from datamodules.clips import sounds
from datamodules.clips.array_cache import ArrayCache, Facts
from datamodules.clips.array_clips import WaveformClips, content_hash
from datamodules.clips.folds import rotated
from datamodules.clips.sounds import SOUNDS as SOUNDS
from datamodules.clips.sounds import channel, coloured, normal
from datamodules.clips.waveform_data import WaveformDataModule

TAKES = 2
SNR_DB = (6.0, 25.0)


class _Synthetic(WaveformDataModule):
    """The part that both datasets share; `root` is not used."""

    folds = 5
    split = "5 folds by source (two takes each): test = k, validation = k + 1, training = the rest"

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        clips_per_class: int = 50,
        clip_seconds: float = 1.5,
        sample_rate: int = 16_000,
        data_seed: int = 0,
    ) -> None:
        super().__init__(root, cache, fold, seed, batch_size, sample_rate=sample_rate, clip_seconds=clip_seconds)
        self.classes = tuple(SOUNDS)
        if clips_per_class < TAKES * self.folds or clip_seconds < 0.5 or self.sample_rate < 8_000:
            raise DataError(
                f"need clips_per_class ≥ {TAKES * self.folds}, clip_seconds ≥ 0.5 and sample_rate ≥ 8000, got "
                f"{clips_per_class}, {clip_seconds:g} and {self.sample_rate}"
            )
        self.sources_per_class = clips_per_class // TAKES
        self.data_seed = data_seed
        self.clip_shape = (round(clip_seconds * self.sample_rate),)

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Return None: nothing can be missing."""
        return None

    def _clips(self, sounding: list[list[int]], names: list[str], targets: torch.Tensor) -> Splits:
        """Record each source, a list of the classes that sound together, and return this fold's splits."""
        samples, hashes = self._recordings(sounding)
        ids = [f"{name}-{take + 1}" for name in names for take in range(TAKES)]
        groups = [name for name in names for _ in range(TAKES)]
        clips = WaveformClips(samples, ids, groups, hashes, targets.repeat_interleave(TAKES, 0))
        folds = [source // len(SOUNDS) % self.folds for source in range(len(names)) for _ in range(TAKES)]
        return rotated(clips, folds, self.fold)

    def _recordings(self, sounding: list[list[int]]) -> tuple[NDArray[np.int16], list[str]]:
        """Return all clips `(N, S)` and their content hashes, from the cache where this very code has made them."""

        def build(facts: Facts) -> Iterator[NDArray[np.int16]]:
            hashes = facts["hashes"] = []
            for source, labels in enumerate(sounding):
                for take in range(TAKES):
                    clip = self._record(labels, source, take)
                    hashes.append(content_hash(clip))
                    yield clip[np.newaxis]

        recipe = [sounding, self.clip_shape, self.sample_rate, self.data_seed, np.__version__, scipy.__version__]
        code = hashlib.sha256(b"".join(Path(file).read_bytes() for file in (__file__, sounds.__file__))).hexdigest()
        samples, facts = ArrayCache(self.cache).array("synthetic", f"{recipe!r} {code}", build)
        return samples, facts["hashes"]

    def _record(self, sounding: list[int], source: int, take: int) -> NDArray[np.int16]:
        """Return one take of a source: its sounds, the channel, the background, a level."""
        scene = np.random.default_rng([self.data_seed, source, take])
        time = np.arange(self.clip_shape[0]) / self.sample_rate
        mixed = np.zeros_like(time)
        for label in sounding:
            # The source's own generator starts afresh in each take, so both takes are of the same bird.
            voice = np.random.default_rng([self.data_seed, source, 1_000 + label])
            sound = list(SOUNDS.values())[label](voice, scene, time)
            mixed += normal(sound) * 10 ** (scene.uniform(-3, 3) / 20)
        mixed = channel(mixed, scene, self.sample_rate)
        background = coloured(scene, len(time), scene.uniform(-0.8, 0.0))
        snr_db = scene.uniform(*SNR_DB)
        mixed = normal(mixed) + background * 10 ** (-snr_db / 20)
        peak = 10 ** (scene.uniform(-20, -1) / 20)
        clip: NDArray[np.int16] = np.rint(mixed / np.abs(mixed).max() * peak * 32767).astype(np.int16)
        return clip


class Synthetic(_Synthetic):
    """One sound a clip, ten classes.

    Args:
        root: not used.
        cache: folder for the clips; None synthesises them, in a few seconds.
        fold: as in `AudioDataModule`.
        seed: as in `AudioDataModule`; does not change the clips.
        batch_size: as in `AudioDataModule`.
        clips_per_class: an even number, two takes of each source.
        clip_seconds: length of a clip.
        sample_rate: in hertz.
        data_seed: another seed gives another dataset.
    """

    def read(self) -> Splits:
        """Make the clips."""
        labels = [label for _ in range(self.sources_per_class) for label in range(len(SOUNDS))]
        names = [f"{self.classes[label]}-{i // len(SOUNDS) + 1}" for i, label in enumerate(labels)]
        return self._clips([[label] for label in labels], names, torch.tensor(labels))


class SyntheticTags(_Synthetic):
    """One to three sounds at once, to be named all; arguments as for `Synthetic`.

    There are ten times `clips_per_class` clips; a class sounds in twice as many as in `Synthetic`.
    """

    task = "multi"

    def read(self) -> Splits:
        """Make the clips."""
        chance = np.random.default_rng([self.data_seed, 1_000_000])
        scenes = [
            [
                i % len(SOUNDS),
                *chance.permutation(np.delete(np.arange(len(SOUNDS)), i % len(SOUNDS)))[: i // len(SOUNDS) % 3],
            ]
            for i in range(len(SOUNDS) * self.sources_per_class)
        ]
        targets = torch.zeros(len(scenes), len(SOUNDS))
        for scene, sounding in enumerate(scenes):
            targets[scene, sounding] = 1
        return self._clips(scenes, [f"scene-{i + 1}" for i in range(len(scenes))], targets)
