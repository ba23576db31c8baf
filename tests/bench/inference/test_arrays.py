"""Arrays for a trained model: floats of one channel near [-1, 1] are taken, all else is refused with a remedy."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import bench
from bench.errors import ArgumentError
from bench.inference import Classifier
from bench.inference.predict import find, predict

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


@pytest.mark.parametrize("peak", [1.4, 2.5, 9.0])
def test_a_recording_may_exceed_one(peak: float) -> None:
    assert levels().windows(with_value(peak)).clips.max() == pytest.approx(1, abs=1e-4)


def test_what_predict_takes_is_a_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", 8 * SOUND / np.abs(SOUND).max(), 16_000, subtype="FLOAT")
    model = levels()
    windows = model.windows(model.load(tmp_path / "loud.wav"))
    (row,) = predict(model, find([tmp_path / "loud.wav"]))
    expected = model.probabilities(model.logits(windows.clips)).mean(0)
    assert row.probabilities == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (with_value(np.nan), "NaN or infinite.*nan_to_num"),
        (with_value(np.inf), "NaN or infinite.*nan_to_num"),
        (with_value(-np.inf), "NaN or infinite.*nan_to_num"),
        (SOUND * 32768, r"scale them to \[-1, 1\]"),
        (-with_value(129.0), r"scale them to \[-1, 1\]"),
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


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((1, 3, 4), np.uint8), r"divide bytes by 255.* x\.astype\('float32'\) / 255"),
        (torch.zeros(1, 3, 4, dtype=torch.uint8), r"x\.float\(\) / 255"),
        (np.zeros((1, 3, 4), np.int16), r"must become floats: give x\.astype\('float32'\)$"),
        (torch.zeros(1, 3, 4, dtype=torch.int64), r"must become floats: give x\.float\(\)$"),
    ],
)
def test_integers_of_embeddings_are_no_samples(x: object, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        levels(sample_rate=None, clip_shape=(3, 4)).logits(x)


def test_integers_of_logits_are_no_samples() -> None:
    with pytest.raises(ArgumentError, match=r"logits in uint8 must become floats: give x\.astype\('float32'\)$"):
        levels().probabilities(np.zeros((1, 2), np.uint8))


@pytest.mark.parametrize(
    ("kind", "remedy"), [(np.uint8, lambda x: x.astype("float32") / 255), (np.int16, lambda x: x.astype("float32"))]
)
def test_the_remedy_for_embeddings_is_what_predict_does(tmp_path: Path, kind, remedy) -> None:
    model = levels(sample_rate=None, clip_shape=(3, 4))
    x = RNG.integers(0, 256, (3, 4)).astype(kind)
    np.save(tmp_path / "x.npy", x)
    (row,) = predict(model, find([tmp_path / "x.npy"], sound=False))
    assert row.logits.tolist() == model.logits(remedy(x)[None])[0].tolist()


@pytest.mark.parametrize("make", [np.float64, torch.from_numpy, np.ndarray.tolist])
@pytest.mark.filterwarnings("error")
def test_values_beyond_32_bits_are_not_infinite_in_silence(make) -> None:
    model = levels(sample_rate=None, clip_shape=(3, 4))
    with pytest.raises(ArgumentError, match="infinite, in 32-bit floats"):
        model.logits(make(np.full((1, 3, 4), 1e300)))


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(1, 800).to_sparse(),
        torch.zeros(1, 800, dtype=torch.int16).to_sparse(),
        torch.zeros(1, 800, device="meta"),
        torch.zeros(1, 800).to(torch.float8_e4m3fn),
    ],
)
def test_tensors_without_plain_values_are_refused(x: torch.Tensor) -> None:
    model = levels()
    for use in (model.logits, model.windows, levels(classes=("a",) * 800).probabilities):
        with pytest.raises(ArgumentError, match=r"give a dense tensor of torch\.float32"):
            use(x)


def test_the_remedies_work() -> None:
    clips = levels().windows(SOUND).clips
    whole = (SOUND * 32768).astype(np.int16)
    for x in (whole.astype("float32") / 32768, np.stack([SOUND, SOUND]).mean(0), np.stack([SOUND, SOUND], 1).mean(1)):
        torch.testing.assert_close(levels().windows(x).clips, clips, atol=1e-4, rtol=0)
    loud = SOUND * 32768
    assert levels().windows(loud / abs(loud).max()).clips.abs().max() == pytest.approx(1, abs=1e-4)
    bad = with_value(np.inf, with_value(np.nan))
    for x in (bad, torch.from_numpy(bad), bad.tolist()):
        mended = np.nan_to_num(np.float32(x), posinf=0, neginf=0)
        assert levels().windows(mended).clips.isfinite().all()


@pytest.mark.parametrize(
    "make", [torch.from_numpy, np.float64, np.ndarray.tolist, lambda x: torch.from_numpy(x).half()]
)
def test_floats_of_any_kind_are_clips(make) -> None:
    x = np.stack([SOUND[:800], SOUND[800:]])
    found = levels().logits(make(x))
    assert found.shape == (2, 2)
    torch.testing.assert_close(found, levels().logits(torch.from_numpy(x)), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (SOUND, r"x\[None\]"),
        (torch.zeros(1, 2, 800), r"\(B, S\).*model\.windows"),
        (torch.zeros(0, 800), "no values"),
        (torch.zeros(1, 0), "no values"),
        (torch.tensor(0.5), r"\(B, S\)"),
        (torch.from_numpy(with_value(np.nan, SOUND[None])), "NaN or infinite.*nan_to_num"),
        (with_value(np.inf, SOUND[None]), "NaN or infinite.*nan_to_num"),
        (torch.from_numpy(SOUND[None] * 32768), r"scale them to \[-1, 1\]"),
        ((SOUND[None] * 32768).astype(np.int16), "32768"),
        (torch.zeros(1, 800, dtype=torch.int16), "32768"),
        ([[0.0], [0.0, 1.0]], "array of floats"),
        (None, "array of floats"),
        ("dog.wav", "bench.predict"),
    ],
)
def test_what_are_no_clips_is_refused(x: object, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        levels().logits(x)


def test_embeddings_have_any_scale_and_the_models_width() -> None:
    model = levels(sample_rate=None, clip_shape=(3, 4))
    assert model.logits(np.full((2, 3, 4), 100.0)).shape == (2, 2)
    for wrong in (np.zeros((2, 3, 5)), np.zeros((3, 4)), np.zeros((1, 2, 3, 4))):
        with pytest.raises(ArgumentError, match=r"embeddings have the shape \(B, T, 4\)"):
            model.logits(wrong)
    with pytest.raises(ArgumentError, match="NaN"):
        model.logits(np.full((2, 3, 4), np.nan))


def test_probabilities_need_a_logit_of_each_class() -> None:
    model = levels()
    both = torch.tensor([[1.0, 2.0]])
    torch.testing.assert_close(model.probabilities(both.numpy()), model.probabilities(both))
    torch.testing.assert_close(model.probabilities(both.tolist()), model.probabilities(both))
    for wrong in (torch.zeros(1, 3), torch.zeros(2, 1), torch.tensor(1.0), np.zeros((1, 5))):
        with pytest.raises(ArgumentError, match=r"\(B, 2\).*model\.logits"):
            model.probabilities(wrong)


@pytest.mark.parametrize("hop", ["1", "0.1", True, [0.1], 0.1j])
def test_a_hop_that_is_no_number_is_named(hop: object) -> None:
    with pytest.raises(ArgumentError, match=r"is no number: give the seconds"):
        levels().windows(SOUND, hop)


def test_a_hop_that_is_a_little_too_long_is_told_from_the_longest() -> None:
    with pytest.raises(ArgumentError, match=r"a hop of 0\.10000001 s .*: give at most 0\.1$"):
        levels().windows(SOUND, 0.10000001)
    for hop in (0.1, np.float32(0.05), np.float64(0.1)):
        assert len(levels().windows(SOUND, hop).clips) == len(levels().windows(SOUND, float(hop)).clips)


@pytest.mark.parametrize("run", [None, 3, np.zeros(3)])
def test_a_run_is_a_name_or_a_model(tmp_path: Path, run: object) -> None:
    with pytest.raises(ArgumentError, match="a run's name or a model"):
        bench.predict(tmp_path, run)
