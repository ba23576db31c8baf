"""Every model of the catalogue keeps the contract, and the published models have the published size."""

import copy
from dataclasses import dataclass, replace

import pytest
import torch
from fakes.closeness import assert_close_at_scale
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench import catalog
from bench.profiling.complexity import measure
from models.base import AudioModel, Frontend, ModelError
from models.cnn import CNN
from models.fc import FC
from models.frontends.none import NoFrontend
from models.layers.dropout import CheapDropout
from models.lstm_skip import LSTMSkip
from models.rann import RANN
from models.swishnet import SwishNet, every

SAMPLE_RATE = 16000
CLASSES = 7
PANNS = [name for name, entry in catalog.MODELS.items() if entry.target.startswith("models.panns:")]
SMALL = {
    "rann": {"width": 1},
    "ltc": {"steps": 5},
    "cfc": {"steps": 5},
    **{name: {"scale": 1 / 16} for name in PANNS},
}
"""The papers' widths have 50 million parameters and more, and an export unrolls every step; sizes are tested apart."""


@dataclass(frozen=True)
class Case:
    model: str
    kind: str
    seconds: int = 1

    def batch(self, clips: int) -> Tensor:
        torch.manual_seed(1)
        if self.kind == "waveform":
            pitch = 200.0 * torch.arange(1, clips + 1)[:, None] ** 1.5
            time = torch.arange(self.seconds * SAMPLE_RATE) / SAMPLE_RATE
            return 0.3 * torch.sin(2 * torch.pi * pitch * time) + 0.01 * torch.randn(clips, len(time))
        return torch.rand(clips, 10, 128)

    def build(self) -> AudioModel:
        torch.manual_seed(0)
        entry = catalog.MODELS[self.model]
        chosen = catalog.FRONTENDS[entry.frontend if self.kind == "waveform" else "none"]
        frontend = catalog.load(chosen.target)(SAMPLE_RATE, **chosen.arguments)
        _, features, frames = frontend(self.batch(1)).shape
        arguments = {**entry.arguments, **SMALL.get(self.model, {})}
        return catalog.load(entry.target)(frontend, features, frames, CLASSES, **arguments)


def cases() -> list[object]:
    """Every model of the catalogue with every kind of data it takes."""
    found: list[object] = []
    for name, entry in catalog.MODELS.items():
        found += [
            pytest.param(Case(name, kind), id=f"{name}-{kind}")
            for kind in ("waveform", "embedding")
            if kind == "waveform" or entry.embeddings
        ]
    return found


every_model = pytest.mark.parametrize("case", cases())


@every_model
def test_logits_have_one_value_per_clip_and_class(case: Case) -> None:
    model = case.build().eval()
    logits = model(case.batch(3))
    assert logits.shape == (3, CLASSES)
    assert logits.isfinite().all()
    assert case.kind in model.inputs


def settled(case: Case, x: Tensor) -> AudioModel:
    """The model in eval mode with the running statistics of `x`: from their start deep networks hear no difference."""
    model = case.build()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 1
    model(x)
    return model.eval()


def in_float64(model: AudioModel) -> AudioModel:
    """Return a copy in double precision, but for a front-end inside the model, which computes in float32."""
    exact = copy.deepcopy(model).double()
    for module in exact.modules():
        if isinstance(module, Frontend) and module.fixed:
            module.float()
            module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
            module.register_forward_hook(lambda _, __, features: features.double())
    return exact


@pytest.mark.slow
@every_model
def test_a_clip_scored_alone_equals_the_clip_in_a_batch(case: Case) -> None:
    x = case.batch(2)
    model = settled(case, x)
    with torch.inference_mode():
        together = model(x)
        alone = torch.cat([model(clip[None]) for clip in x])
        assert_close_at_scale(alone, together, 1e-3)  # another batch adds sums of float32 in another order
        exact, features = in_float64(model), model.frontend(x).double()
        of_each = torch.cat([exact.classify(clip[None]) for clip in features])
        assert_close_at_scale(of_each, exact.classify(features), 1e-9)
    assert not torch.allclose(together[0], together[1], atol=1e-4)


@pytest.mark.slow
@every_model
def test_a_model_in_bfloat16_gives_finite_logits(case: Case) -> None:
    """Backends of a GPU convert models."""
    model = case.build().eval().to(torch.bfloat16)
    with torch.inference_mode():
        logits = model.classify(model.extract(case.batch(3).to(torch.bfloat16)))
    assert logits.dtype == torch.bfloat16
    assert logits.shape == (3, CLASSES)
    assert logits.isfinite().all()


@pytest.mark.slow
@every_model
def test_gradients_reach_every_parameter(case: Case) -> None:
    case = replace(case, seconds=2)  # a single pooled frame uses no recurrent weight
    model = case.build().eval()  # no dropout, which may hide a unit
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad and not p.any():  # the last norm of a residual block starts at 0
                p.fill_(0.1)
    nn.functional.cross_entropy(model(case.batch(2)), torch.arange(2)).backward()
    used = [
        (name, p) for name, p in model.named_parameters() if p.requires_grad and name.split(".")[0] not in model.idle
    ]
    without = [name for name, p in used if p.grad is None or not p.grad.any()]
    assert without == []


@every_model
def test_saved_and_loaded_weights_give_the_same_logits(case: Case) -> None:
    model = case.build()
    x = case.batch(3)
    model(x)
    torch.manual_seed(2)
    other = case.build()
    with torch.no_grad():
        for p in other.parameters():
            if p.requires_grad:
                p.add_(torch.rand_like(p))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    with torch.inference_mode():
        assert torch.equal(model.eval()(x), other.eval()(x))


@every_model
def test_the_output_starts_at_the_prior(case: Case) -> None:
    model = case.build()
    prior = torch.linspace(0.05, 0.6, CLASSES)
    model.start_at_prior(prior)
    torch.testing.assert_close(model.output.bias.sigmoid(), prior)
    nn.init.zeros_(model.output.weight)
    torch.testing.assert_close(model.eval()(case.batch(2)).sigmoid(), prior.expand(2, -1))


@pytest.mark.slow
@every_model
def test_the_models_size_is_measured(case: Case) -> None:
    """On the meta device, where no layer may count 0."""
    clip = case.batch(1)[0]
    found = measure(case.build(), tuple(clip.shape), 1.0)
    assert found.macs > 0
    assert (found.frontend_macs > 0) == (case.kind == "waveform" and catalog.MODELS[case.model].frontend != "waveform")


@every_model
@pytest.mark.filterwarnings("ignore:The tensor attributes .* were assigned during export")  # nn.LSTM's own list
@pytest.mark.slow
def test_the_exported_program_gives_the_same_logits(case: Case) -> None:
    """From the waveform on, and for other clips than it was exported with."""
    x = case.batch(2)
    model = settled(case, x)
    program = torch.export.export(model, (x,))
    with torch.inference_mode():
        other = case.batch(3)[1:]
        # (a program has the liquid layer's definition, the model its kernel: they round differently)
        assert_close_at_scale(program.module()(other), model(other), 1e-3)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def macs(model: AudioModel, frames: int) -> int:
    """Multiply-adds of the model for one clip, by PyTorch's own counter."""
    model = model.eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        model.classify(torch.empty(1, model.features, frames, device="meta"))
    flops: int = counter.get_total_flops()
    return flops // 2


def test_fc_has_the_published_size() -> None:
    model = FC(NoFrontend(), 128, 10, 527)
    assert parameters(model) == 904_527
    assert macs(model, 10) == 1280 * 500 + 500 * 527


def test_fc_refuses_clips_of_another_length() -> None:
    with pytest.raises(ModelError, match="built for 128 features in 10 frames, got 128 in 9: cut or pad"):
        FC(NoFrontend(), 128, 10, 527)(torch.rand(2, 9, 128))


@pytest.mark.parametrize(("hidden", "expected"), [(64, 720_719), (100, 1_056_527), (300, 4_432_527)])
def test_lstm_skip_has_the_size_of_its_formula(hidden: int, expected: int) -> None:
    model = LSTMSkip(NoFrontend(), 128, 10, 527, hidden=hidden)
    assert parameters(model) == expected
    body = 10 * 2 * 4 * hidden * ((128 + hidden) + (128 + 3 * hidden))
    assert macs(model, 10) == body + (128 + 4 * hidden) * 500 + 500 * 527


def test_lstm_skip_in_one_direction_has_half_the_states() -> None:
    model = LSTMSkip(NoFrontend(), 128, 10, 527, bidirectional=False)
    assert parameters(model) == 400 * (128 + 100 + 2) + 400 * (228 + 100 + 2) + 500 * (328 + 1) + 527 * 501


@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_lstm_skip_does_not_hear_padding(pooling: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    model = LSTMSkip(NoFrontend(), 16, 10, 5, hidden=8, pooling=pooling, bidirectional=bidirectional).double()
    x = torch.rand(4, 10, 16, dtype=torch.float64)
    lengths = [10, 7, 4, 1]
    for clip, length in zip(x, lengths, strict=True):
        clip[length:] = 0
    x[1, 2] = 0  # a silent frame inside a clip is no padding
    model(x)
    model.eval()
    padded = model(x)
    cut = torch.cat([model(clip[None, :length]) for clip, length in zip(x, lengths, strict=True)])
    torch.testing.assert_close(padded, cut, atol=1e-12, rtol=0)


def test_lstm_skip_equals_torchs_packed_bidirectional_lstm() -> None:
    torch.manual_seed(0)
    model = LSTMSkip(NoFrontend(), 16, 6, 5, hidden=8, layers=1).eval().double()
    lengths = torch.tensor([6, 3, 1])
    x = torch.rand(3, 6, 16, dtype=torch.float64) * (torch.arange(6) < lengths[:, None])[..., None]
    reference = nn.LSTM(16, 8, batch_first=True, bidirectional=True).double()
    layer = model.layers[0]
    reference.load_state_dict(
        layer.forwards.state_dict() | {f"{k}_reverse": v for k, v in layer.backwards.state_dict().items()}
    )
    standard = model.standardise(x.transpose(1, 2)).transpose(1, 2)
    packed = nn.utils.rnn.pack_padded_sequence(standard, lengths, batch_first=True)
    states, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    pooled = torch.stack([torch.cat([standard, states], 2)[i, :n].mean(0) for i, n in enumerate(lengths)])
    torch.testing.assert_close(model(x), model.logits(model.hidden(pooled).relu()), atol=1e-12, rtol=0)


def test_lstm_skip_takes_one_frame_and_silence() -> None:
    model = LSTMSkip(NoFrontend(), 128, 10, 527).eval()
    assert model(torch.rand(2, 1, 128)).isfinite().all()
    assert model(torch.zeros(2, 10, 128)).isfinite().all()


def test_lstm_skip_refuses_an_unknown_pooling() -> None:
    with pytest.raises(ModelError, match="pooling is 'mean', 'max', 'last' or 'flatten', not 'median'"):
        LSTMSkip(NoFrontend(), 128, 10, 527, pooling="median")


@pytest.mark.parametrize(
    ("width", "classes", "expected"), [(1, 3, 5483), (1, 2, 5466), (2, 3, 18_267), (2, 2, 18_234), (1, 10, 5602)]
)
def test_swishnet_has_the_published_size(width: int, classes: int, expected: int) -> None:
    """Ten classes: seven more rows of 16 weights and a bias."""
    assert parameters(SwishNet(NoFrontend(), 20, 200, classes, width=width)) == expected


@pytest.mark.parametrize(
    ("width", "frames", "expected"),
    [
        (1, 50, 130_880),
        (1, 100, 259_152),
        (1, 200, 515_696),
        (2, 50, 363_024),
        (2, 100, 715_712),
        (2, 200, 1_421_088),
    ],
)
def test_swishnet_has_the_multiply_adds_of_the_strided_form(width: int, frames: int, expected: int) -> None:
    assert macs(SwishNet(NoFrontend(), 20, frames, 3, width=width), frames) == expected


LENGTHS = [1, 2, 3, 201, 202, 203, *torch.randint(1, 600, (100,), generator=torch.Generator().manual_seed(0)).tolist()]


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.slow
def test_swishnets_strided_and_dilated_forms_agree(width: int, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    model = SwishNet(NoFrontend(), 20, 200, 3, width=width).to(dtype).eval()
    for frames in LENGTHS:
        x = torch.randn(2, 20, frames).to(dtype)
        with torch.inference_mode():
            model.read_out = "last"
            at_each = model.frame_logits(x).mT
            last = model.classify(x)
            model.read_out = "mean"
            said = model.gated(model.trunk(x), strided=False)[1:]
            means = [every(block, stride).mean(2, True) for block, stride in zip(said, (6, 12, 24, 48), strict=True)]
            mean, expected = model.classify(x), model.decide(means)[..., 0]
        assert at_each.shape == (2, 3, frames)
        torch.testing.assert_close(last, at_each[..., -1], atol=tolerance, rtol=0)
        torch.testing.assert_close(mean, expected, atol=tolerance, rtol=0)


def test_swishnet_decides_at_the_end_of_the_papers_clips_and_over_the_whole_of_longer_ones() -> None:
    assert SwishNet(NoFrontend(), 20, 249, 3).read_out == "last"
    assert SwishNet(NoFrontend(), 20, 250, 3).read_out == "mean"
    assert SwishNet(NoFrontend(), 20, 500, 3, read_out="last").read_out == "last"


@pytest.mark.parametrize("width", [1, 2])
def test_swishnet_hears_202_frames(width: int) -> None:
    """3 · 5 + 2 · (3 + 6 + 12 + 24 + 48) before its own."""
    torch.manual_seed(0)
    model = SwishNet(NoFrontend(), 20, 300, 3, width=width, read_out="last").eval().double()
    x = torch.randn(1, 20, 300, dtype=torch.float64, requires_grad=True)
    model.frame_logits(x)[0, 250].sum().backward()
    heard = x.grad[0].abs().sum(0).nonzero().flatten()
    assert heard.min() == 250 - 201
    assert heard.max() == 250
    x.grad = None
    model(x.mT).sum().backward()
    assert x.grad[0].abs().sum(0).nonzero().min() == 300 - 202


@pytest.mark.parametrize(
    ("t_c", "t_m", "width", "size", "multiply_adds"),
    [
        (4, 4, 6, 54_919_313, 23_568_788_736),
        (8, 1, 6, 54_435_473, 101_230_521_600),
        (8, 2, 6, 54_532_241, 61_745_343_744),
        (8, 4, 6, 54_919_313, 47_136_582_912),
        (8, 8, 6, 56_467_601, 42_399_116_544),
        (8, 4, 5, 38_198_545, 32_742_532_480),
        (8, 4, 4, 24_504_849, 20_963_663_360),
    ],
)
def test_rann_has_the_published_size(t_c: int, t_m: int, width: int, size: int, multiply_adds: int) -> None:
    entry = catalog.model(f"rann-{t_c}x{t_m}-{width}")
    with torch.device("meta"):
        model = catalog.load(entry.target)(NoFrontend(), 128, 1024, 527, **entry.arguments)
    assert parameters(model) == size
    assert macs(model, 1024) == multiply_adds


@pytest.mark.parametrize(
    ("t_c", "t_m", "frames", "expected"),
    [(None, 4, 640, 640), (None, 4, 641, 704), (None, 8, 1, 128), (2, 1, 256, 256), (2, 1, 1103, 256), (3, 1, 50, 384)],
)
def test_rann_brings_clips_to_a_length_it_can_divide(t_c: int | None, t_m: int, frames: int, expected: int) -> None:
    model = RANN(NoFrontend(), 128, frames, 3, t_c=t_c, t_m=t_m, width=1)
    fitted = model.fit(torch.full((1, 128, frames), -40.0))
    assert fitted.shape == (1, 128, expected)
    torch.testing.assert_close(fitted, torch.full_like(fitted, -40))  # neither silence nor 0 dB is put in


def test_rann_keeps_the_order_of_time_when_it_resamples() -> None:
    ramp = torch.linspace(0, 1, 1103).expand(1, 128, -1)
    fitted = RANN(NoFrontend(), 128, 1103, 3, t_c=8, width=1).fit(ramp)
    torch.testing.assert_close(fitted[0, 0], torch.linspace(0, 1, 1024), atol=1e-3, rtol=0)


@pytest.mark.parametrize("arguments", [{"t_m": 3}, {"width": 0}, {"t_c": 0}])
def test_rann_refuses_sizes_that_do_not_exist(arguments: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="need t_m 1, 2, 4 or 8"):
        RANN(NoFrontend(), 128, 1024, 527, **arguments)


def test_cnn_has_the_size_of_its_layers() -> None:
    a, b, c = 24, 48, 96
    stem = 25 * a + 2 * a
    blocks = 9 * a * b + 9 * b * b + 4 * b + 9 * b * c + 9 * c * c + 4 * c
    model = CNN(NoFrontend(), 64, 500, 10, channels=(a, b, c))
    assert parameters(model) == 2 * 64 + stem + blocks + (c * c + c) + (10 * c + 10)
    convolutions = 25 * a * 32 * 250 + 9 * (a * b + b * b) * 16 * 125 + 9 * (b * c + c * c) * 8 * 63
    assert macs(model, 500) == convolutions + c * c + 10 * c


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "swishnet", "lstm-skip", "rann"])
def test_clips_of_any_length_are_taken(name: str) -> None:
    model = Case(name, "waveform").build().eval()
    for samples in (400, SAMPLE_RATE // 2, 3 * SAMPLE_RATE + 1):
        assert model(0.1 * torch.randn(2, samples)).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "swishnet", "lstm-skip", "fc", "rann"])
def test_silence_has_finite_logits_and_gradients(name: str) -> None:
    model = Case(name, "waveform").build()
    loss = nn.functional.cross_entropy(model(torch.zeros(4, SAMPLE_RATE)), torch.arange(4))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "lstm-skip", "fc", "swishnet"])
def test_a_few_clips_are_learned(name: str) -> None:
    """Six clips of other pitch are told apart after at most 60 steps."""
    case = Case(name, "waveform")
    model = case.build()
    features = model.frontend(case.batch(6))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model.classify(features), torch.arange(6))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.1:
            break
    assert loss < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("t_m", [1, 8])
def test_a_narrow_rann_learns(t_m: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 16, 128)
    features[:2, :4] += 1
    model = RANN(NoFrontend(), 16, 128, 2, t_m=t_m, width=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.001)
    losses = []
    for _ in range(6):
        loss = nn.functional.cross_entropy(model.classify(features), torch.tensor([0, 0, 1, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < 0.4 < losses[0]


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_cheap_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    dropout, x = CheapDropout(p), torch.ones(1000, 1001, requires_grad=True)
    y = dropout(x)
    y.sum().backward()
    dropped = (y == 0).double()
    assert abs(dropped.mean().item() - p) < 4 * (p * (1 - p) / x.numel()) ** 0.5 + 0.5 / 65_536
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - p)), atol=0, rtol=1e-4)
    torch.testing.assert_close(x.grad, y.detach(), atol=0, rtol=0)
    neighbours = (dropped[:, 1:] * dropped[:, :-1]).mean().item()  # the draws of a word are independent
    assert abs(neighbours - p * p) < 0.002


def test_cheap_dropout_is_repeated_by_its_seed_and_silent_in_evaluation() -> None:
    dropout, x = CheapDropout(0.5), torch.rand(3, 5, 7)
    torch.manual_seed(1)
    first = dropout(x)
    torch.manual_seed(1)
    torch.testing.assert_close(dropout(x), first, atol=0, rtol=0)
    assert not torch.equal(dropout(x), first)
    assert dropout.eval()(x) is x
    assert CheapDropout(0.0)(x) is not None
    assert not CheapDropout(1.0)(x).any()
    assert CheapDropout(0.999999)(x).isfinite().all()
