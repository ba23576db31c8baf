"""Logits of single frames: shape, places, what they have in common with the clip's, and the same chunk by chunk."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import catalog
from bench.training import build
from models.base import AudioModel, ModelError
from models.frontends.none import NoFrontend
from models.layers.framing import Averages, Blocks, Framing, averages, join
from models.lstm_skip import LSTMSkip
from models.rann import RANN
from models.swishnet import LOOK_BACK, SwishNet

RATE, CLASSES = 16_000, 3
PANNS = [name for name, entry in catalog.MODELS.items() if entry.target.startswith("models.panns:")]
SMALL: dict[str, dict[str, Any]] = {
    "rann": {"width": 1},
    "ltc": {"units": 16, "steps": 30},
    "cfc": {"units": 16, "steps": 30},
    "cnn-ltc": {"units": 16, "steps": 5, "width": 4},
    "cnn-cfc": {"units": 16, "steps": 5, "width": 4},
    "cnn-lstm": {"units": 16, "steps": 5, "width": 4},
    "cnn-gru": {"units": 16, "steps": 5, "width": 4},
    "gmm": {"components": 8},
    **{name: {"scale": 1 / 16} for name in PANNS},
}
CLIPS_ALONE = {"fc", "lstm-plain", "cnn", "gru", "mobilenet-025", "knn", "linear-probe"}
AVERAGED = {"snn", "gmm", "swishnet-keras", "ltc", "cfc", "cnn-ltc", "cnn-cfc", "cnn-lstm", "cnn-gru"}
WITH_STATE = {"swishnet", "swishnet-wide", *AVERAGED}
FRAMES = {  # of a clip of 1 s: frames of the features, and features for each
    "swishnet": (100, 1), "swishnet-wide": (100, 1), "snn": (100, 1), "lstm-skip": (1, 1), "ltc": (30, Fraction(10, 3)),
    "cfc": (30, Fraction(10, 3)), "cnn-ltc": (5, Fraction(96, 5)), "cnn-cfc": (5, Fraction(96, 5)),
    "cnn-lstm": (5, Fraction(96, 5)), "cnn-gru": (5, Fraction(96, 5)), "gmm": (100, 1), "swishnet-keras": (100, 1), "rann": (2, 64),
    "cnn6": (6, 16), "cnn10": (6, 16), "wavegram-cnn": (1, 10_240), "wavegram-logmel-cnn": (1, 10_240),
    **{name: (3, 32) for name in PANNS if name not in ("cnn6", "cnn10", "wavegram-cnn", "wavegram-logmel-cnn")},
}  # fmt: skip


def built(name: str, seconds: float = 1.0) -> AudioModel:
    """Return a model whose running statistics are those of noise, in eval mode."""
    torch.manual_seed(0)
    entry = catalog.model(name)
    arguments = {**entry.arguments, **SMALL.get(name, {})}
    model = build.sized(name, entry.frontend, arguments, (round(seconds * RATE),), RATE, CLASSES)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 1
    with torch.no_grad():
        model(noise(4, seconds))
    return model.eval()


def noise(clips: int = 1, seconds: float = 1.0) -> Tensor:
    return 0.1 * torch.randn(clips, round(seconds * RATE), generator=torch.Generator().manual_seed(1))


def chunked(stage: Any, x: Tensor, sizes: list[int]) -> Tensor:
    """Return a stage's outputs for a sequence `(B, ..., T)` in chunks of these sizes, again and again."""
    found, at, turn = [], 0, 0
    while at < x.shape[-1]:
        size = sizes[turn % len(sizes)]
        found.append(stage.push(x[..., at : at + size]))
        at, turn = at + size, turn + 1
    return join(*found, stage.finish())


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.MODELS)
def test_every_model_has_logits_of_frames_or_says_that_it_has_none(name: str) -> None:
    model = built(name)
    with torch.inference_mode():
        features = model.extract(noise(2))
        if name in CLIPS_ALONE:
            for ask in (model.framing, model.stage, lambda: model.frame_logits(features)):
                with pytest.raises(ModelError, match=f"{type(model).__name__} has no logits of single frames"):
                    ask()
            return
        frames, stride = FRAMES[name]
        found = model.frame_logits(features)
        assert found.shape == (2, frames, CLASSES)
        assert found.isfinite().all()
        assert model.framing().stride == stride
        if name in WITH_STATE:
            model.stage()
        else:
            assert model.framing().after is None
            with pytest.raises(ModelError, match="depends on all of the clip"):
                model.stage()


@pytest.mark.parametrize("name", sorted(AVERAGED))
def test_the_mean_of_the_frames_logits_is_the_clips(name: str) -> None:
    model = built(name)
    with torch.inference_mode():
        features = model.extract(noise(3))
        torch.testing.assert_close(model.frame_logits(features).mean(1), model.classify(features), atol=1e-5, rtol=1e-5)


ONE_FRAME = {"wavegram-cnn": 10_240, "wavegram-logmel-cnn": 10_240, "rann": 8_000}
"""Samples of a clip of one frame; CNN6 and CNN10 pad to two."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*PANNS, "rann"} - {"cnn6", "cnn10"}))
def test_a_clip_of_one_frame_has_the_logits_of_the_frame(name: str) -> None:
    model = built(name)
    with torch.inference_mode():
        features = model.extract(noise(2)[:, : ONE_FRAME.get(name, 5_200)])
        frames = model.frame_logits(features)
        assert frames.shape == (2, 1, CLASSES)
        torch.testing.assert_close(frames[:, 0], model.classify(features), atol=1e-5, rtol=1e-5)


def test_a_frame_of_panns_is_twice_its_mean_over_bands_before_the_last_layers() -> None:
    model = built("cnn10")
    with torch.inference_mode():
        features = model.extract(noise(2))
        maps = model.maps(features).mean(3)  # type: ignore[operator]
        third = torch.relu(2 * maps[:, :, 3] @ model.fc1.weight.T + model.fc1.bias)  # type: ignore[union-attr, operator]
        expected = third @ model.output.weight.T + model.output.bias
        torch.testing.assert_close(model.frame_logits(features)[:, 3], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["swishnet", "swishnet-wide"])
def test_a_frame_of_swishnet_is_the_decision_on_the_clip_that_ends_there(name: str) -> None:
    model = built(name)
    assert isinstance(model, SwishNet)
    assert model.read_out == "last"
    with torch.inference_mode():
        features = model.extract(noise(2))
        found = model.frame_logits(features)
        for t in (0, 1, 50, 99):
            torch.testing.assert_close(found[:, t], model.classify(features[..., : t + 1]), atol=1e-5, rtol=1e-5)
    assert model.framing() == Framing(before=LOOK_BACK)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_frame_of_an_lstm_is_its_output_without_pooling(bidirectional: bool) -> None:
    torch.manual_seed(0)
    last = LSTMSkip(NoFrontend(), 8, 6, 3, hidden=5, bidirectional=bidirectional, pooling="last").eval()
    flat = LSTMSkip(NoFrontend(), 8, 6, 3, hidden=5, bidirectional=bidirectional, head_units=0).eval()
    x = torch.rand(2, 8, 6) + 0.1
    with torch.inference_mode():
        torch.testing.assert_close(last.frame_logits(x)[:, -1], last.classify(x))
        torch.testing.assert_close(flat.frame_logits(x).mean(1), flat.classify(x))  # a linear head
    whole = LSTMSkip(NoFrontend(), 8, 6, 3, pooling="flatten")
    with pytest.raises(ModelError, match="no logits of single frames with pooling 'flatten'"):
        whole.frame_logits(x)


def test_resampled_rann_has_no_frames() -> None:
    with pytest.raises(ModelError, match="clips of 300 frames are resampled to 128"):
        RANN(NoFrontend(), 128, 300, 3, t_c=1, width=1).framing()
    assert RANN(NoFrontend(), 128, 128, 3, t_c=1, width=1).framing().stride == 64


CHUNKS = ([1], [7], [100], [3, 50, 1, 200], [1000])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*sorted(WITH_STATE), "lstm"])
def test_chunks_of_any_size_give_the_frames_of_the_whole(name: str) -> None:
    """For a recording of more than twice a clip's length."""
    if name == "lstm":
        torch.manual_seed(0)
        model: AudioModel = LSTMSkip(NoFrontend(), 8, 6, 3, hidden=5, bidirectional=False).eval()
        features = torch.rand(1, 8, 300)
    else:
        model = built(name)
        features = model.extract(noise(1, 2.57))
    with torch.inference_mode():
        expected = model.frame_logits(features).mT  # (B, C, T')
        for sizes in CHUNKS:
            found = chunked(model.stage(), features, sizes)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_short_recordings_have_a_frame_or_none() -> None:
    """A liquid network takes a step that is not complete where there is no other; convolutions need 13 frames."""
    with torch.inference_mode():
        ltc, cnn = built("ltc"), built("cnn-ltc")
        two = torch.randn(1, 64, 2)
        assert chunked(ltc.stage(), two, [1]).shape == (1, CLASSES, 1)
        torch.testing.assert_close(chunked(ltc.stage(), two, [1]).mT, ltc.frame_logits(two))
        assert chunked(cnn.stage(), torch.randn(1, 64, 12), [5]).shape[-1] == 0
        assert chunked(cnn.stage(), torch.randn(1, 64, 13), [5]).shape == (1, CLASSES, 1)


@pytest.mark.parametrize("name", sorted(WITH_STATE))
def test_frames_depend_on_what_the_framing_says(name: str) -> None:
    """Inputs outside change nothing, and the first and last inside do."""
    model = built(name)
    assert isinstance(model, AudioModel)
    framing = model.framing()
    features = model.extract(noise(1, 3)).detach().requires_grad_()
    found = model.frame_logits(features)
    one = found.shape[1] - 3
    found[0, one].sum().backward()
    assert features.grad is not None
    used = features.grad[0].abs().sum(0).nonzero().flatten()
    assert framing.after is not None
    start = one * framing.stride
    assert int(used.max()) < start + framing.after
    slack = int(framing.stride) if framing.stride.denominator > 1 else 0  # bins that begin and end within frames
    assert int(used.max()) >= start + framing.after - 1 - slack
    if framing.before is not None:
        assert int(used.min()) >= start - framing.before


def test_framings_one_after_another() -> None:
    """Windows of 5 samples every 2, about their middle; then means of 3 of these windows."""
    windows = Framing(stride=Fraction(2), before=2, after=3)
    means = Framing(stride=Fraction(3), centre=1.0, after=3)
    found = windows.then(means)
    assert found == Framing(stride=Fraction(6), centre=2.0, before=2, after=7)
    assert found.look_ahead == 4  # from sample 2 to sample 6
    assert found.places(3).tolist() == [2.0, 8.0, 14.0]
    assert windows.then(Framing(before=None, after=None)) == Framing(stride=Fraction(2), before=None, after=None)
    assert Framing(after=None).look_ahead is None


@pytest.mark.parametrize(("frames", "bins"), [(12, 5), (96, 96), (100, 7), (500, 50), (31, 30)])
def test_bins_are_those_of_adaptive_pooling_and_go_on(frames: int, bins: int) -> None:
    x = torch.randn(2, 3, 2 * frames, dtype=torch.float64)
    ratio = Fraction(frames, bins)
    found = averages(x, ratio)
    assert found.shape[-1] == 2 * bins
    torch.testing.assert_close(found[..., :bins], nn.functional.adaptive_avg_pool1d(x[..., :frames], bins))
    for sizes in ([1], [5, 2]):
        torch.testing.assert_close(chunked(Averages(ratio), x, sizes), found)


def test_blocks_refuse_what_has_no_limits() -> None:
    for framing in (Framing(before=None), Framing(after=None), Framing(stride=Fraction(3, 2))):
        with pytest.raises(ModelError, match="a whole stride and limits on both sides"):
            Blocks(nn.Identity(), framing)
