"""Logits over a recording: the three ways, the same for chunks of any size, and equal to the model's own frames."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bench
from bench.errors import RunError
from bench.inference.classifier import Classifier
from bench.inference.frames import Frames, rounded, timeline, together
from bench.training import build
from models.base import AudioModel

RATE, CLASSES = 16_000, ("a", "b", "c")
SMALL: dict[str, dict[str, Any]] = {
    "ltc": {"units": 16, "steps": 30}, "cfc": {"units": 16, "steps": 30},
    "cnn-ltc": {"units": 16, "steps": 5, "width": 4}, "cnn-cfc": {"units": 16, "steps": 5, "width": 4},
    "cnn10": {"scale": 1 / 16}, "rann": {"width": 1},
}  # fmt: skip


def noise(seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(np.float32)


def classifier(name: str, frontend: str | None = None, seconds: float = 1.0, **arguments: Any) -> Classifier:
    """Return an untrained model with the running statistics of noise."""
    torch.manual_seed(0)
    frontend = frontend or bench.catalog.model(name).frontend
    samples = round(seconds * RATE)
    module = build.sized(name, frontend, {**SMALL.get(name, {}), **arguments}, (samples,), RATE, len(CLASSES))
    for each in module.modules():
        if isinstance(each, (nn.BatchNorm1d, nn.BatchNorm2d)):
            each.momentum = 1
    with torch.no_grad():
        module(torch.from_numpy(noise(4 * seconds)).view(4, -1))
    return Classifier(
        name=name, module=module.eval(), classes=CLASSES, task="single", sample_rate=RATE, clip_shape=(samples,),
        clip_seconds=seconds,
    )  # fmt: skip


def run(model: Classifier, sound: np.ndarray, sizes: list[int], **options: Any) -> Frames:
    line, found, at = timeline(model, **options), [], 0
    for size in itertools.cycle(sizes):
        if at >= len(sound):
            break
        found.append(line.push(sound[at : at + size]))
        at += size
    return together([*found, line.finish()], len(model.classes))


CHUNKS = ([160], [1, 999, 40_000], [7_777])
WITH_STATES = {
    "swishnet": {}, "swishnet-wide": {}, "snn": {}, "ltc": {}, "cfc": {}, "cnn-ltc": {}, "cnn-cfc": {},
    "swishnet-keras": {}, "gmm": {"components": 4}, "cnn-lstm": {},
    "lstm-skip": {"bidirectional": False, "hidden": 8},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_STATES)
def test_a_stream_gives_the_frame_logits_of_the_whole_recording(name: str) -> None:
    model = classifier(name, **WITH_STATES[name])
    assert isinstance(model.module, AudioModel)
    assert timeline(model).way == "states"
    sound = noise(3.21)
    with torch.inference_mode():
        whole = torch.from_numpy(rounded(sound))[None]
        expected = model.module.frame_logits(model.module.extract(whole))[0].numpy()
    for sizes in CHUNKS:
        found = run(model, sound, sizes)
        np.testing.assert_allclose(found.logits, expected, atol=1e-5, rtol=1e-5)
        assert np.allclose(np.diff(found.times), timeline(model).frame_seconds)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swishnet", "ltc"])
def test_single_samples(name: str) -> None:
    model, sound = classifier(name), noise(0.35)
    one, all_at_once = run(model, sound, [1]), run(model, sound, [100_000])
    np.testing.assert_allclose(one.logits, all_at_once.logits, atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(one.times, all_at_once.times)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"), [("cnn10", "clips"), ("rann", "clips"), ("lstm-skip", "clips"), ("cnn", "windows")]
)
def test_other_models_slide_and_chunks_change_nothing(name: str, way: str) -> None:
    model, sound = classifier(name), noise(4.3)
    line = timeline(model)
    assert line.way == way
    whole = run(model, sound, [10_000_000])
    assert (np.diff(whole.times) > 0).all()
    assert whole.times[-1] <= 4.3
    for sizes in CHUNKS:
        found = run(model, sound, sizes)
        np.testing.assert_array_equal(found.times, whole.times)
        np.testing.assert_allclose(found.logits, whole.logits, atol=1e-5, rtol=1e-5)


def test_the_middle_half_of_each_clip_counts() -> None:
    """CNN10 has a frame every 0.16 s; the clip of 1 s from 0.48 s on gives those from 0.735 s to 1.215 s."""
    model = classifier("cnn10")
    assert isinstance(model.module, AudioModel)
    sound = noise(3)
    found = run(model, sound, [4_000])
    clip = torch.from_numpy(model.clip(sound[7_680 : 7_680 + 16_000]))[None]
    with torch.inference_mode():
        own = model.module.frame_logits(model.module.extract(clip))[0].numpy()
    times = 0.48 + 0.16 * np.arange(6) + 0.075
    inside = (times >= 0.48 + 0.26) & (times < 0.48 + 0.26 + 0.48)
    chosen = np.isin(found.times.round(6), times[inside].round(6))
    assert chosen.sum() == inside.sum() == 3
    np.testing.assert_allclose(found.logits[chosen], own[inside], atol=1e-5, rtol=1e-5)


def test_windows_stand_at_their_middle_and_end_with_the_recording() -> None:
    model, sound = classifier("cnn"), noise(2.05)
    found = run(model, sound, [5_000], hop_seconds=0.5)
    np.testing.assert_allclose(found.times, [0.5, 1.0, 1.5, 1.55])
    expected = model.logits(model.windows(sound, 0.5).clips).numpy()
    np.testing.assert_allclose(found.logits, expected, atol=1e-5, rtol=1e-5)
    assert len(run(model, sound, [5_000])) == 12  # a tenth of a clip apart, and the last one


def test_windows_can_be_asked_for() -> None:
    model = classifier("swishnet")
    assert timeline(model, windows=True).way == "windows"
    assert timeline(model, hop_seconds=0.5).frame_seconds == 0.5
    with pytest.raises(RunError, match="a hop of 2 s is not above 0 and at most a window's 1 s"):
        timeline(model, hop_seconds=2)


@pytest.mark.parametrize("name", ["swishnet", "ltc", "cnn10", "cnn", "lstm-skip"])
@pytest.mark.parametrize("seconds", [0.02, 0.4])
def test_recordings_shorter_than_a_clip(name: str, seconds: float) -> None:
    found = run(classifier(name), noise(seconds), [100])
    assert len(found) > 0
    assert found.times[-1] <= seconds
    assert np.isfinite(found.logits).all()


def test_a_front_end_that_depends_on_the_whole_clip_needs_windows() -> None:
    assert timeline(classifier("swishnet", "mfcc-librosa")).way == "windows"


def test_look_ahead_and_memory() -> None:
    swishnet = timeline(classifier("swishnet"))
    assert swishnet.look_ahead == pytest.approx(255 / RATE)  # half the transform of 512
    assert swishnet.memory == pytest.approx(201 * 0.01 + 257 / RATE)  # and the sample before, for the pre-emphasis
    assert timeline(classifier("ltc")).memory is None
    windows = timeline(classifier("cnn"))
    assert (windows.look_ahead, windows.memory) == (0.5, 0.5)


def test_models_of_embeddings_are_refused() -> None:
    model = Classifier(
        name="x", module=nn.Identity(), classes=("a",), task="single", sample_rate=None, clip_shape=(10, 128),
        clip_seconds=10,
    )  # fmt: skip
    with pytest.raises(RunError, match="takes embeddings"):
        timeline(model)
