"""Which frames of a sequence are padding: those at the end that are all zero, as in AudioSet's shorter embeddings."""

from typing import Literal

import torch
from torch import Tensor

from models.base import ModelError

Padding = Literal["masked", "unmasked"]


def check(padding: str) -> None:
    """Refuse what is no `Padding`.

    Raises:
        ModelError: it is another word.
    """
    if padding not in ("masked", "unmasked"):
        raise ModelError(f"padding is 'masked' or 'unmasked', not {padding!r}")


def real_frames(features: Tensor, padding: Padding) -> Tensor:
    """Return which frames of `(B, F, T)` are none of the padding `(B, T)`, the first ones and at least one of a clip.

    A zero frame before one that is not zero is silence, no padding; "unmasked", so is every zero frame.
    """
    frames = torch.arange(features.shape[2], device=features.device)  # (T,)
    if padding == "unmasked":
        return (frames >= 0).expand(len(features), -1)
    last = ((features != 0).any(1) * frames).amax(1, keepdim=True)  # (B, 1)
    return frames <= last
