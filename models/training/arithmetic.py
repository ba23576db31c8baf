"""What a training computes in: the precision and the memory format that `precision = "auto"` means on this machine."""

from dataclasses import replace

import torch
from torch import nn

from models.recipe import Recipe


def resolved(recipe: Recipe, model: nn.Module, device: str) -> Recipe:
    """Return the recipe with the precision and the memory format that "auto" means here; another recipe as it is.

    A model with 2-D convolutions has its maps channels last, and computes in bfloat16 where the device has instructions
    for it (AVX512-BF16 or AMX of a processor, Ampere and later of a GPU). Any other model computes in float32: its
    products are too small to gain from bfloat16, which the recurrent kernels don't take.

    Args:
        recipe: the training recipe.
        model: the model to train.
        device: "cpu" or "cuda".
    """
    if recipe.precision != "auto":
        return recipe
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return replace(recipe, precision="32-true")
    precision = "bf16-mixed" if has_bfloat16(device) else "32-true"
    return replace(recipe, precision=precision, memory_format="channels-last")  # type: ignore[arg-type]


def has_bfloat16(device: str) -> bool:
    """Return whether a device has instructions for products of bfloat16; without, they are slower than float32."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)
