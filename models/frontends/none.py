"""For embeddings, which are features already."""

from torch import Tensor

from models.base import Frontend, ModelError


class NoFrontend(Frontend):
    """Embeddings `(B, T, F)` to features `(B, F, T)`.

    Args:
        sample_rate: not used; every front-end takes it.
        frames_per_second: of the embeddings; VGGish has one a second.
    """

    def __init__(self, sample_rate: int | None = None, frames_per_second: float = 1) -> None:
        super().__init__()
        self.frame_rate = frames_per_second

    def forward(self, waveform: Tensor) -> Tensor:
        """Map `(B, T, F)` to `(B, F, T)`.

        Raises:
            ModelError: the batch holds waveforms.
        """
        if waveform.ndim != 3:
            raise ModelError(
                f"the front-end 'none' takes embeddings (B, T, F), got {tuple(waveform.shape)}: "
                f"name another front-end for waveforms"
            )
        return waveform.transpose(1, 2)

    def macs(self, samples: int) -> int:
        """Nothing is computed."""
        return 0
