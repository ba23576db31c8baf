"""Noise added to waveforms `(B, S)` at a signal-to-noise ratio, each clip by its own draw.

The ratio is of the clip's power to the noise's, both over the whole clip, in decibels. A sum may leave [-1, 1]; it is
not clipped. A silent clip, of which no ratio can be told, stays silent.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.errors import RunError
from bench.training.augment.chance import uniform
from datamodules.audio import ENDINGS, AudioError, decode


def noise(waveform: Tensor, lowest_snr_db: float, highest_snr_db: float) -> Tensor:
    """Add white Gaussian noise at a ratio uniform in decibels: `(B, S)` to `(B, S)`.

    Raises:
        ValueError: the lowest ratio is above the highest.
    """
    return added(waveform, torch.randn_like(waveform), _ratios(waveform, lowest_snr_db, highest_snr_db))


def added(waveform: Tensor, disturbance: Tensor, snr_db: Tensor) -> Tensor:
    """Add to each clip a noise, scaled to be at exactly this ratio; silence on either side changes nothing.

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

    Every file is decoded once, when this is made, and kept on the CPU in half precision, whose error is 66 dB below the
    noise: MUSAN's 6 hours take 1.4 GB at 32 kHz.

    Args:
        folder: with audio files at any depth; files of other endings are left out.
        sample_rate: of the clips, in hertz.

    Attributes:
        files: how many noises there are.

    Raises:
        RunError: no such folder, no audio in it, or a file that cannot be used.
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
        """Add to each clip a part of a random file: `(B, S)` to `(B, S)`.

        Any file is as likely as another, and so is any place in it; a noise that is too short starts again. The ratio
        is uniform in decibels. Where the part is silent the clip stays as it is. The file and the place are drawn from
        the CPU's generator, as the noises are there.

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
