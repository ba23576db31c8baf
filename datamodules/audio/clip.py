"""One file as a clip for a model, such as a recording to be classified.

This module needs torch, so `datamodules.audio` does not import it.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.audio.decoder import MAX_SECONDS, decode


def load_clip(path: str | Path, sample_rate: int, seconds: float | None = None) -> Tensor:
    """Decode an audio file to a batch of one clip, exactly as the datasets decode theirs.

    The file is mixed to mono, resampled, and padded with zeros or cropped at the end.

    Args:
        path: a wav, flac, ogg, opus, mp3, aiff or caf file; "~" is the user's home.
        sample_rate: of the clip, in hertz; a model that was built for a dataset has it as `model.sample_rate`.
        seconds: length of the clip; None takes the whole file.

    Returns:
        The clip `(1, S)` float32 in [-1, 1).

    Raises:
        AudioError: the file cannot be used; the message says why.
    """
    waveform = decode(Path(path).expanduser(), sample_rate, MAX_SECONDS)
    samples = len(waveform) if seconds is None else round(sample_rate * seconds)
    return torch.from_numpy(quantised(waveform, samples).astype(np.float32) / 32768)[None]


def quantised(waveform: NDArray[np.float32], samples: int) -> NDArray[np.int16]:
    """Return a clip as 16-bit samples, padded with zeros or cropped at the end to `samples`."""
    row = np.zeros(samples, np.int16)
    waveform = waveform[:samples]
    row[: len(waveform)] = np.clip(np.rint(waveform * 32768), -32768, 32767)
    return row
