"""Power in bands with librosa's framing: the common part of chroma and tempogram."""

import torch
from torch import Tensor

from models.base import ModelError
from models.frontends.filterbank import FilterbankPower


class CentredPower(FilterbankPower):
    """Waveform `(B, S)` to power in bands `(B, F, T)`, T = 1 + floor(S / hop).

    Frames are centred on multiples of the hop, weighted by a periodic Hann window as long as the transform; the clip
    has zeros around it.

    Args:
        filters: weights of the power at every point of the transform `(F, n_fft / 2 + 1)`.
        hop: samples from frame to frame.

    Raises:
        ModelError: `hop` is less than 1.
    """

    def __init__(self, filters: Tensor, hop: int) -> None:
        if hop < 1:
            raise ModelError(f"hop must be ≥ 1 sample, got {hop}")
        n_fft = 2 * (filters.shape[1] - 1)
        window = torch.hann_window(n_fft, dtype=torch.float64).float()  # rounded once
        super().__init__(window, filters.float(), n_fft, hop, reflect=False)
        self.filters = self.filters.T.contiguous().T  # point by point, as the product takes them

    def frames(self, samples: int) -> int:
        """Return T for a clip of `samples` samples."""
        return 1 + samples // self.hop

    def before(self) -> int:
        """Return the number of samples between the start of the first frame and that of the clip."""
        return self.n_fft // 2


def transform_points(n_fft: int) -> int:
    """Return `n_fft`.

    Raises:
        ModelError: it is not a power of two, or is less than 4.
    """
    if n_fft < 4 or n_fft & (n_fft - 1):
        raise ModelError(f"n_fft must be a power of two ≥ 4, got {n_fft}")
    return n_fft
