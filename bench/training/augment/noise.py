"""Noise added to waveforms `(B, S)` at a random signal-to-noise ratio per clip.

The ratio is the clip's power divided by the noise's power, both over the whole clip, in decibels. The sum may leave
[-1, 1]; it is not clipped. A silent clip has no such ratio and stays silent.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.errors import RunError
from bench.training.augment.chance import uniform
from datamodules.audio import ENDINGS, AudioError, decode


def noise(waveform: Tensor, lowest_snr_db: float, highest_snr_db: float) -> Tensor:
    """Add white Gaussian noise at a ratio that is uniform in decibels: `(B, S)` to `(B, S)`.

    Raises:
        ValueError: the lowest ratio is above the highest.
    """
    return added(waveform, torch.randn_like(waveform), _ratios(waveform, lowest_snr_db, highest_snr_db))


def added(waveform: Tensor, disturbance: Tensor, snr_db: Tensor) -> Tensor:
    """Add a noise to each clip, scaled to exactly this ratio; nothing changes if the clip or the noise is silent.

    Args:
        waveform: `(B, S)`.
        disturbance: `(B, S)` of any level.
        snr_db: `(B, 1)`.
    """
    signal, power = (x.square().mean(1, keepdim=True) for x in (waveform, disturbance))
    scale = torch.where(power > 0, (signal / power).sqrt() * 10 ** (-snr_db / 20), 0)
    return waveform + scale * disturbance


class Background:
    """Noises of a folder and its subfolders, such as MUSAN's `noise` (arXiv 1510.08484).

    The constructor decodes every file and keeps it on the CPU in half precision, whose error is 66 dB below the noise.
    MUSAN's 6 hours take 1.4 GB at 32 kHz.

    Args:
        folder: contains audio files at any depth; files with other endings are ignored.
        sample_rate: of the clips, in hertz.

    Attributes:
        files: number of noises.

    Raises:
        RunError: the folder does not exist, has no audio, or has a file that cannot be decoded.
    """

    def __init__(self, folder: str | Path, sample_rate: int) -> None:
        place = Path(folder).expanduser()
        if not place.is_dir():
            raise RunError(f"background noise: no folder {str(place)!r}: unpack it there or name another one")
        paths = sorted(path for path in place.rglob("*") if path.suffix.lower() in ENDINGS)
        if not paths:
            raise RunError(f"background noise: no audio file ({', '.join(ENDINGS)}) in {str(place)!r}")
        try:
            noises = [decode(path, sample_rate).astype(np.float16) for path in paths]
        except AudioError as error:
            raise RunError(f"background noise: {error}") from error
        self.files = len(noises)
        self._samples = torch.from_numpy(np.concatenate(noises))
        self._lengths = torch.tensor([len(samples) for samples in noises])
        self._starts = self._lengths.cumsum(0) - self._lengths

    def __call__(self, waveform: Tensor, lowest_snr_db: float, highest_snr_db: float) -> Tensor:
        """Add a part of a random file to each clip: `(B, S)` to `(B, S)`.

        File and start position are uniformly distributed; a noise that is too short wraps around. The ratio is uniform
        in decibels. A clip stays unchanged if the part is silent. The file and the position come from the CPU's random
        generator, because the noises are on the CPU.

        Raises:
            ValueError: the lowest ratio is above the highest.
        """
        clips, samples = waveform.shape
        file = torch.randint(self.files, (clips, 1))
        length = self._lengths[file]
        offset = (torch.rand(clips, 1, dtype=torch.float64) * length).long()
        piece = self._samples[self._starts[file] + (offset + torch.arange(samples)) % length]
        return added(waveform, piece.to(waveform), _ratios(waveform, lowest_snr_db, highest_snr_db))


def _ratios(waveform: Tensor, lowest: float, highest: float) -> Tensor:
    if lowest > highest:
        raise ValueError(f"the lowest signal-to-noise ratio, {lowest} dB, is above the highest, {highest} dB")
    return uniform(waveform, lowest, highest)
