"""Arrays that a caller gives to a trained model: what cannot be meant is refused, with what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import ArgumentError

LOUDEST = 64.0
"""Greatest value of sound. Files of floats, resampling and equal loudness exceed 1, rarely 10; integers exceed 100."""
_INTEGERS = {
    "int16": "divide them by 32768, as in x.astype('float32') / 32768",
    "int32": "divide them by 2147483648, as in (x / 2147483648).astype('float32'), if they fill 32 bits",
    "uint8": "subtract 128 and divide by 128, as in (x.astype('float32') - 128) / 128",
}
_BYTES = "divide bytes by 255, as the datasets do: x.astype('float32') / 255"


def recording(x: Any) -> NDArray[np.float32]:
    """Return a recording `(S,)` that a caller has given as an array, a tensor or a list.

    Raises:
        ArgumentError: it is none in floats of about [-1, 1].
    """
    if isinstance(x, (str, Path)):
        raise ArgumentError(f"a recording is an array, not the path {str(x)!r}: give model.load({str(x)!r})")
    found = _floats(x, "a recording")
    if found.ndim == 2:
        axis = int(found.shape[0] > found.shape[1])
        raise ArgumentError(
            f"a recording has one channel, not the shape {found.shape}: give the mean over the channels, as in "
            f"x.mean({axis})"
        )
    if found.ndim != 1:
        raise ArgumentError(f"a recording has the shape (S,), not {found.shape}: give one channel of one recording")
    _check(found, "a recording")
    return found.astype(np.float32, copy=False)


def batch(x: Any, shape: tuple[int, ...], is_sound: bool) -> Tensor:
    """Return clips `(B, S)`, or embeddings `(B, T, F)`, that a caller has given as a tensor, an array or a list.

    Args:
        x: the clips.
        shape: of one clip of the model.
        is_sound: whether they are clips, or else embeddings.

    Raises:
        ArgumentError: they are none, or not in floats, for sound of about [-1, 1].
    """
    what = "clips" if is_sound else "embeddings"
    if isinstance(x, (str, Path)):
        raise ArgumentError(f"{what} are an array, not the path {str(x)!r}: give bench.predict the path")
    if isinstance(x, Tensor):
        _check_dense(x, what)
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        found = _floats(x, what)
        with np.errstate(over="ignore"):  # what is too large for 32 bits is refused below
            x = torch.from_numpy(np.ascontiguousarray(found, np.float32))
    words = "(B, S)" if is_sound else f"(B, T, {shape[-1]})"
    if x.ndim == len(shape):
        raise ArgumentError(f"{what} have the shape {words}, not {tuple(x.shape)}: give one as x[None]")
    if x.ndim != len(shape) + 1 or (not is_sound and x.shape[-1] != shape[-1]):
        how = "give model.windows(recording).clips" if is_sound else "give what the model was trained on"
        raise ArgumentError(f"{what} have the shape {words}, not {tuple(x.shape)}: {how}")
    if not x.numel():
        raise ArgumentError(f"{what} of the shape {tuple(x.shape)} have no values: give at least one, of some length")
    x = x.float()
    low, high = (float(each) for each in torch.aminmax(x.detach()))
    _check_range(low, high, what, is_sound)
    clips: Tensor = x
    return clips


def logits(x: Any, classes: int) -> Tensor:
    """Return logits `(..., C)` that a caller has given as a tensor, an array or a list.

    Raises:
        ArgumentError: they are of another number of classes, or no 32-bit floats.
    """
    if isinstance(x, Tensor):
        _check_dense(x, "logits")
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        given = _floats(x, "logits")
        with np.errstate(over="ignore"):
            x = torch.from_numpy(np.array(given, np.float32))
        if np.isinf(x.numpy()).sum() > np.isinf(given).sum():
            raise ArgumentError("logits beyond 3e38 are no 32-bit floats: give what model.logits returns")
    if not x.ndim or x.shape[-1] != classes:
        raise ArgumentError(
            f"logits have the shape (B, {classes}) for the model's {classes} classes, not {tuple(x.shape)}: give what "
            f"model.logits returns"
        )
    found: Tensor = x
    return found


def _floats(x: Any, what: str) -> NDArray[np.floating[Any]]:
    """Return an array, a tensor or a list of floats as an array."""
    is_tensor = isinstance(x, Tensor)
    if is_tensor:
        _check_dense(x, what)
        x = x.detach().cpu()
        x = x.float().numpy() if x.is_floating_point() else x.numpy()
    try:
        found = np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise ArgumentError(
            f"{what} cannot be made of {type(x).__name__} ({error}): give an array of floats"
        ) from error
    if found.dtype.kind in "iu" and found.size:
        if what in ("embeddings", "logits"):  # which are no samples, and have any scale
            kind, how = "floats", "give x.astype('float32')"
            if what == "embeddings" and found.dtype == np.uint8:
                how = _BYTES
        else:
            kind = "floats in [-1, 1]"
            how = "divide them by the greatest value of their format, 32768 for 16 bits"
            how = _INTEGERS.get(found.dtype.name, how)
        how = how.replace(".astype('float32')", ".float()") if is_tensor else how
        raise ArgumentError(f"{what} in {found.dtype} must become {kind}: {how}")
    if found.dtype.kind != "f" and found.size:
        kind = type(x).__name__ if found.dtype.kind == "O" else f"an array of {found.dtype}"
        raise ArgumentError(f"{what} cannot be made of {kind}: give an array of floats")
    return found


def _check_dense(x: Tensor, what: str) -> None:
    """Raise an error for a tensor whose values are not there one by one: sparse, meta or of 8 bits."""
    eight_bits = x.is_floating_point() and x.dtype.itemsize < 2
    if x.layout is not torch.strided or x.is_nested or x.is_quantized or x.is_meta or eight_bits:
        raise ArgumentError(
            f"{what} cannot be made of a tensor of {x.dtype} on {x.device} with the layout {x.layout}: give a dense "
            f"tensor of torch.float32 with values, on the CPU or a GPU"
        )


def _check(x: NDArray[np.floating[Any]], what: str) -> None:
    if not x.size:
        raise ArgumentError(f"{what} of no samples has no clips: give at least one sample")
    _check_range(float(x.min()), float(x.max()), what, True)


def _check_range(low: float, high: float, what: str, is_sound: bool) -> None:
    """Raise an error where the least and the greatest value are not finite, or far from [-1, 1]; NaN passes on."""
    if not np.isfinite([low, high]).all():
        raise ArgumentError(
            f"{what} with values that are NaN or infinite, in 32-bit floats, cannot be classified: find out where they "
            f"come from, or set them to 0 by np.nan_to_num(np.float32(x), posinf=0, neginf=0)"
        )
    if is_sound and max(-low, high) > LOUDEST:
        raise ArgumentError(
            f"{what} with values up to {max(-low, high):.6g} would be cut off at 1: scale them to [-1, 1], by 32768 if "
            f"they are 16-bit samples, or as in x / abs(x).max()"
        )
