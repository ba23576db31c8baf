"""The log-mel spectrogram that PANNs' checkpoints were trained with (Kong et al. 2020, arXiv 1912.10211).

The modules are torchlibrosa's own `Spectrogram` and `LogmelFilterBank`, at 32 kHz with PANNs' settings: a window of
1,024 samples, a hop of 320, 64 bands from 50 to 14,000 Hz, and no limit below the clip's loudest band. The Fourier
transform is two convolutions, with the cosines and with the sines of 513 points, so it takes about 50 times as many
multiply-adds as a fast transform. The front-end `logmel-panns` gives the same numbers within the rounding of float32.
"""

import warnings
from fractions import Fraction
from typing import ClassVar

from torch import Tensor

from models.base import Frontend, ModelError
from models.frontends.filterbank import band_centres, check_range, full_precision, next_power_of_two
from models.layers.framing import Framing


class TorchlibrosaLogMel(Frontend):
    """Waveform `(B, S)` to log-mel spectrogram `(B, F, T)` in dB, T = floor(S / hop) + 1.

    torchlibrosa is imported when the first one is built. The names of its tensors are those of PANNs' checkpoints.

    Args:
        sample_rate: of the waveform, in hertz.
        bands: F.
        n_fft: points of the Fourier transform, and samples of its window; by default 32 ms, up to a power of two.
        hop: samples between frames; by default 10 ms.
        f_min: lower edge of the first band, in hertz.
        f_max: upper edge of the last band, in hertz; by default 14 kHz or half the sample rate, whichever is less.

    Raises:
        ModelError: bands outside of the spectrum, or, at a call, a clip too short to be reflected at its ends.
    """

    axis: ClassVar[str] = "Hz"

    def __init__(
        self,
        sample_rate: int,
        bands: int = 64,
        n_fft: int | None = None,
        hop: int | None = None,
        f_min: float = 50,
        f_max: float | None = None,
    ) -> None:
        super().__init__()
        with warnings.catch_warnings(action="ignore"):  # of librosa's own dependencies, when they are imported
            from torchlibrosa.stft import LogmelFilterBank, Spectrogram

        f_max = f_max or min(14000, sample_rate / 2)
        check_range(f_min, f_max, sample_rate)
        self.sample_rate = sample_rate
        self.n_fft = n_fft or next_power_of_two(0.032 * sample_rate)
        self.least_samples = self.n_fft // 2 + 1  # to be reflected at both ends
        self.hop = hop or round(sample_rate / 100)
        self.frame_rate = sample_rate / self.hop
        self.spectrogram_extractor = Spectrogram(n_fft=self.n_fft, hop_length=self.hop)
        del self.spectrogram_extractor.stft.W  # 16 MB that nothing uses after the weights are made
        self.logmel_extractor = LogmelFilterBank(
            sr=sample_rate, n_fft=self.n_fft, n_mels=bands, fmin=f_min, fmax=f_max, ref=1.0, amin=1e-10, top_db=None
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, F, T)`."""
        if waveform.shape[1] < self.least_samples:
            raise ModelError(
                f"logmel-torchlibrosa reflects a clip at its ends, which takes more than {self.n_fft // 2} samples, "
                f"not {waveform.shape[1]}: use longer clips or logmel-panns"
            )
        with full_precision(waveform.device.type):
            power = self.spectrogram_extractor(waveform.to(self.logmel_extractor.melW))  # (B, 1, T, n_fft / 2 + 1)
            level: Tensor = self.logmel_extractor(power)  # (B, 1, T, F)
        return level[:, 0].transpose(1, 2).contiguous()

    def framing(self) -> Framing:
        """Return where the frames lie among the samples."""
        return Framing(stride=Fraction(self.hop), before=self.n_fft // 2, after=self.n_fft // 2)

    def macs(self, samples: int) -> int:
        """Multiply-adds for one clip: both convolutions, two for the power of each point, and the filters."""
        points, bands = map(int, self.logmel_extractor.melW.shape)
        return (samples // self.hop + 1) * points * (2 * self.n_fft + 2 + bands)

    def band_centres(self) -> Tensor:
        """Return the mean frequency of each band's filter in hertz `(F,)`, float64."""
        return band_centres(self.logmel_extractor.melW.T, self.sample_rate)
