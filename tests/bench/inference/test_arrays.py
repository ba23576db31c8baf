"""What a caller may give to a trained model: floats of one channel, near [-1, 1]; all else is refused with a remedy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.errors import ArgumentError
from bench.inference import Classifier

RNG = np.random.default_rng(0)
SOUND = RNG.uniform(-0.5, 0.5, 1600).astype(np.float32)


class Levels(torch.nn.Module):
    """Logits of a clip: its mean, and its negative."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([10 * mean, -10 * mean], 1)


def levels(**changes) -> Classifier:
    about = {
        "name": "levels", "module": Levels(), "classes": ("up", "down"), "task": "single", "sample_rate": 8_000,
        "clip_shape": (800,), "clip_seconds": 0.1,
    }  # fmt: skip
    return Classifier(**about | changes)


def with_value(value: float, x: np.ndarray = SOUND) -> np.ndarray:
    x = x.copy()
    x.flat[5] = value
    return x


@pytest.mark.parametrize("make", [np.float64, np.float32, torch.from_numpy, list, np.ndarray.tolist])
def test_floats_of_any_kind_are_a_recording(make) -> None:
    clips = levels().windows(make(SOUND)).clips
    assert clips.dtype == torch.float32
    assert torch.equal(clips, levels().windows(SOUND).clips)


def test_a_recording_may_exceed_one_a_little() -> None:
    assert levels().windows(with_value(1.4)).clips.max() == pytest.approx(1, abs=1e-4)
    lifted = levels(prepare=lambda x, rate: x)  # equal loudness lifts clicks
    assert lifted.windows(with_value(9.0)).clips.max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (with_value(np.nan), "NaN or infinite.*nan_to_num"),
        (with_value(np.inf), "NaN or infinite.*nan_to_num"),
        (with_value(-np.inf), "NaN or infinite.*nan_to_num"),
        (SOUND * 32768, r"scale them to \[-1, 1\]"),
        (-with_value(3.0), r"scale them to \[-1, 1\]"),
        ((SOUND * 32768).astype(np.int16), "astype.*32768"),
        ((SOUND * 2**31).astype(np.int32), "2147483648"),
        ((SOUND * 128 + 128).astype(np.uint8), "128"),
        ((SOUND * 32768).astype(np.int64), "greatest value"),
        (torch.zeros(800, dtype=torch.int16), "32768"),
        ([0, 1, 2], "floats"),
        ([[0.0], [0.0, 1.0]], "array of floats"),
        (np.zeros(800, bool), "array of floats"),
        (np.zeros(800, complex), "array of floats"),
        (None, "array of floats"),
        (np.zeros((1600, 2), np.float32), r"mean\(1\)"),
        (np.zeros((2, 1600), np.float32), r"mean\(0\)"),
        (np.zeros((1600, 1), np.float32), r"mean\(1\)"),
        (np.zeros((1, 1600), np.float32), r"mean\(0\)"),
        (np.zeros((1, 2, 1600), np.float32), r"shape \(S,\)"),
        (np.float32(0.5), r"shape \(S,\)"),
        (np.zeros(0, np.float32), "no samples"),
        ([], "no samples"),
        ("dog.wav", r"model\.load\('dog\.wav'\)"),
        (Path("dog.wav"), r"model\.load\('dog\.wav'\)"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_recording_is_refused(x: object, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        levels().windows(x)


def test_the_remedies_work() -> None:
    clips = levels().windows(SOUND).clips
    whole = (SOUND * 32768).astype(np.int16)
    for x in (whole.astype("float32") / 32768, np.stack([SOUND, SOUND]).mean(0), np.stack([SOUND, SOUND], 1).mean(1)):
        torch.testing.assert_close(levels().windows(x).clips, clips, atol=1e-4, rtol=0)
    loud = SOUND * 32768
    assert levels().windows(loud / abs(loud).max()).clips.abs().max() == pytest.approx(1, abs=1e-4)
    bad = with_value(np.inf, with_value(np.nan))
    assert levels().windows(np.nan_to_num(bad, posinf=0, neginf=0)).clips.isfinite().all()
