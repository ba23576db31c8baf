"""Padding of sequences: the frames at the end that are all zero, as in AudioSet's shorter embeddings."""

from typing import Literal

import torch
from torch import Tensor

from models.base import ModelError

Padding = Literal["masked", "unmasked"]


def check(padding: str) -> None:
    """Check a value of `Padding`.

    Raises:
        ModelError: it is neither "masked" nor "unmasked".
    """
    if padding not in ("masked", "unmasked"):
        raise ModelError(f"padding is 'masked' or 'unmasked', not {padding!r}")


def real_frames(features: Tensor, padding: Padding) -> Tensor:
    """Return which frames of `(B, F, T)` are not padding `(B, T)`, at least one in each clip.

    A zero frame before a nonzero one is silence and not padding; with "unmasked" no frame is padding.
    """
    frames = torch.arange(features.shape[2], device=features.device)  # (T,)
    if padding == "unmasked":
        return (frames >= 0).expand(len(features), -1)
    last = ((features != 0).any(1) * frames).amax(1, keepdim=True)  # (B, 1)
    return frames <= last
