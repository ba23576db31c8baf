"""Random draws, one per clip."""

import torch
from torch import Tensor


def uniform(clips: Tensor, lowest: float | Tensor, highest: float | Tensor) -> Tensor:
    """Return one number per clip `(B, 1)`, uniform from `lowest` to `highest`; a bound may be per clip `(B, 1)`."""
    return lowest + (highest - lowest) * torch.rand(len(clips), 1, device=clips.device)


def replace_at_random(clips: Tensor, changed: Tensor, share: float) -> Tensor:
    """Replace each clip by its `changed` version with probability `share`; both `(B, S)`."""
    return torch.where(uniform(clips, 0, 1) < share, changed, clips)
