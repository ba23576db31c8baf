"""Front-end of models that take the samples themselves."""

from torch import Tensor

from models.base import Frontend
from models.layers.framing import Framing


class Waveform(Frontend):
    """Waveform `(B, S)` to features `(B, 1, S)`.

    Args:
        sample_rate: of the waveform, in hertz.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.frame_rate = sample_rate

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, S)` to `(B, 1, S)`."""
        return waveform[:, None]

    def framing(self) -> Framing:
        """Return where the frames lie among the samples: each is one."""
        return Framing()

    def macs(self, samples: int) -> int:
        """Return 0: nothing is computed."""
        return 0
