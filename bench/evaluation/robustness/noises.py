"""Recordings of noise and speech that are added to test clips, from folders such as MUSAN's."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.errors import RunError
from datamodules.audio import ENDINGS, AudioError, decode

Floats = npt.NDArray[np.float64]


class Recordings:
    """All recordings of a folder at one sample rate, kept in memory.

    Args:
        folder: contains audio files at any depth.
        rate: in hertz.

    Attributes:
        digest: of the samples of all files; two folders with the same sounds have the same.
        files: number of recordings that are not silent.

    Raises:
        RunError: the folder has no sound, or a file that cannot be decoded.
    """

    def __init__(self, folder: Path, rate: int) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
        try:
            read = [decode(path, rate) for path in paths]
        except AudioError as error:
            raise RunError(f"the disturbance cannot be read: {error}") from error
        self._sounds = [samples for samples in read if np.any(samples)]
        if not self._sounds:
            raise RunError(f"{folder} has no sound to disturb test clips with: name another folder with --musan")
        self.files = len(self._sounds)
        digest = hashlib.sha256()
        for samples in self._sounds:
            digest.update(hashlib.sha256(np.ascontiguousarray(samples).tobytes()).digest())
        self.digest = digest.hexdigest()[:16]

    def piece(self, samples: int, rng: np.random.Generator) -> Floats:
        """Return a random piece of a random recording `(S,)` that is not silent; a short recording wraps around."""
        for _ in range(100):
            sound = self._sounds[rng.integers(self.files)]
            start = rng.integers(len(sound))
            found: Floats = sound[(start + np.arange(samples)) % len(sound)].astype(np.float64)
            if np.any(found):
                return found
        raise RunError("the disturbing recordings are nearly always silent: name another folder with --musan")

    def voices(self, samples: int, count: int, rng: np.random.Generator) -> Floats:
        """Return the sum of pieces `(S,)`, each of the same power: babble where the recordings are speech."""
        pieces = [self.piece(samples, rng) for _ in range(count)]
        return np.asarray(np.sum([each / np.sqrt(np.mean(each**2)) for each in pieces], axis=0))
