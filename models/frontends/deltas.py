"""Slopes of features over time, for any front-end.

The slope of a feature c at frame t is the slope of the least-squares line through the `reach` frames on either side, Σ
n (c[t + n] - c[t - n]) / (2 Σ n²), with the first and the last frame repeated beyond the ends: the convention of HTK
and python_speech_features (`delta(feat, 2)`), and librosa's `delta(width=5, mode="nearest")`. The second differences
are slopes of slopes, not librosa's `order=2`.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from models.base import Frontend, ModelError
from models.frontends.filterbank import full_precision
from models.layers.framing import Framing


class Deltas(Frontend):
    """Waveform `(B, S)` to a front-end's features, their slopes and the slopes of these `(B, 3F, T)`.

    Args:
        frontend: maps `(B, S)` to `(B, F, T)`.
        reach: frames on either side.

    Raises:
        ModelError: `reach` is less than 1.
    """

    weights: Tensor

    def __init__(self, frontend: Frontend, reach: int = 2) -> None:
        super().__init__()
        if reach < 1:
            raise ModelError(f"reach must be ≥ 1 frame, got {reach}")
        self.frontend = frontend
        self.frame_rate = frontend.frame_rate
        n = torch.arange(-reach, reach + 1.0)
        self.register_buffer("weights", (n / n.square().sum())[None, None], persistent=False)  # (1, 1, 2 reach + 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, 3F, T)`."""
        features = self.frontend(waveform)  # (B, F, T)
        delta = self.slope(features)
        return torch.cat([features, delta, self.slope(delta)], 1)

    def slope(self, x: Tensor) -> Tensor:
        """Map `(B, F, T)` to its slope `(B, F, T)`."""
        reach = self.weights.shape[2] // 2
        rows = F.pad(x, (reach, reach), "replicate").flatten(0, 1)[:, None]  # (B F, 1, T + 2 reach)
        with full_precision(x.device.type):
            return F.conv1d(rows, self.weights).view_as(x)

    def framing(self) -> Framing:
        """Return where the frames lie among the samples; a slope of slopes reaches twice as far as a slope."""
        both = self.weights.shape[2] - 1  # frames on either side
        return self.frontend.framing().then(Framing(before=both, after=both + 1))

    def macs(self, samples: int) -> int:
        """Return the multiply-adds for one clip of `samples` samples."""
        twin = copy.deepcopy(self.frontend).to("meta")  # only shapes are needed
        values: int = twin(torch.empty(1, samples, device="meta")).numel()
        own: int = 2 * values * self.weights.numel()
        return self.frontend.macs(samples) + own
