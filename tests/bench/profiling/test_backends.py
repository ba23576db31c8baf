"""Backends give the trained model's logits, or say by how much they differ, or why they cannot run a model."""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import catalog
from bench.errors import ProfileError, SuiteError
from bench.profiling import measure
from bench.profiling.backends import backend, compiled
from bench.profiling.backends.compiled import compiler
from bench.training import build
from datamodules.synthetic import Synthetic
from models.base import AudioModel

RATE = 16000

MODELS = {
    "cnn": ("logmel-20ms", {}),
    "swishnet": ("mfcc", {}),
    "mobilenet-025": ("logmel", {}),
    "fc": ("logmel-1s", {}),
    "lstm-skip": ("logmel-1s", {"hidden": 20}),
    "snn": ("mfcc-deltas", {}),
    "rann": ("logmel-128", {"t_c": 1, "width": 1}),
    "cfc": ("logmel", {"steps": 4}),
    "cnn10": ("logmel-panns", {"scale": 0.0625}),
}


def small(name: str, **others: Any) -> tuple[AudioModel, Tensor]:
    """Return a model with changed statistics and weights, and clips of one second."""
    torch.manual_seed(0)
    frontend, arguments = MODELS.get(name, ("logmel", {}))
    model = build.sized(name, frontend, arguments | others, (RATE,), RATE, 5)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
    return model.eval(), torch.rand(4, RATE) * 2 - 1


def scale(model: AudioModel, clips: Tensor) -> float:
    """Return the greatest absolute logit, and at least 1."""
    with torch.inference_mode():
        return max(1.0, float(model(clips).abs().max()))


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.slow
def test_onnx_runtime_gives_the_logits_of_eager(name: str, tmp_path) -> None:
    pytest.importorskip("onnxscript", reason="needs the export extra")
    model, clips = small(name)
    measure.prepare(model, clips[:1], "onnxruntime", [], tmp_path)
    deviation, agreement = measure.compare(model, clips.split(1), "onnxruntime", "cpu", 1, tmp_path)
    assert deviation < 1e-4 * scale(model, clips)
    assert agreement == 1
    with torch.no_grad():
        model.output.bias[0] += 1  # the file holds the model as it was, and is what is run
    with pytest.raises(ProfileError, match=r"logits of .* differ by"):
        measure.compare(model, clips.split(1), "onnxruntime", "cpu", 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "mobilenet-025", "cnn10", "rann"])
def test_channels_last_gives_the_logits_of_eager(name: str, tmp_path) -> None:
    model, clips = small(name)
    deviation, _ = measure.compare(model, clips.split(1), "channels-last", "cpu", 1, tmp_path)
    assert deviation < 1e-4 * scale(model, clips)
    assert all(p.is_contiguous() for p in model.parameters())  # the copy changed, not the model


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
@pytest.mark.slow
@pytest.mark.process
def test_compile_gives_the_logits_of_eager() -> None:
    from bench.profiling import isolated

    model, clips = small("cnn", channels=[4])  # to compile a convolution, not to compile for a minute
    quick = measure.Tier(warm_seconds=0, warm_limit_seconds=0, seconds=0.01, limit_seconds=0.02, sentinel_seconds=0.01)
    with isolated.LatencyTarget(model, clips[:1], 1.0, clips=clips.split(1), tier=quick) as subject:
        found = subject.latency("compile", "model")
    assert found.deviation < 1e-4 * scale(model, clips)
    assert any(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).rglob("*.so"))  # was compiled
    assert (found.backend, found.scope, found.agreement) == ("compile", "model", 1)


@pytest.fixture(scope="module")
def trained() -> tuple[AudioModel, Synthetic]:
    """Return a CNN that has learnt a little of the synthetic sounds."""
    data = Synthetic(clips_per_class=10, clip_seconds=0.5)
    data.setup()
    torch.manual_seed(0)
    model = build.sized("cnn", "logmel-20ms", {}, data.clip_shape, data.sample_rate, len(data.classes))
    train = data.splits.train
    x, target = train.load(range(len(train))), train.targets
    with torch.no_grad():
        features = model.frontend(x)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model.classify(features), target).backward()
        optimizer.step()
    return model.eval(), data


@pytest.mark.slow
def test_int8_finds_the_classes_of_eager(trained, tmp_path) -> None:
    pytest.importorskip("onnxscript", reason="needs the export extra")
    model, data = trained
    train, test = data.splits.train, data.splits.test
    clips = [test.load([i]) for i in range(len(test))]
    measure.prepare(model, clips[0], "int8", [train.load([i]) for i in range(0, len(train), 3)], tmp_path)
    deviation, agreement = measure.compare(model, clips, "int8", "cpu", 1, tmp_path)
    assert (tmp_path / "model-int8.onnx").stat().st_size < 0.5 * (tmp_path / "model.onnx").stat().st_size
    assert deviation > 1e-4  # it is another model
    assert agreement >= 0.9  # but decides alike


def test_int8_needs_clips(tmp_path) -> None:
    model, clips = small("cnn")
    with pytest.raises(ProfileError, match="takes its ranges from clips"):
        measure.prepare(model, clips[:1], "int8", [], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compile", "onnxruntime", "int8"])
def test_models_with_kernels_of_their_own_are_refused(name: str) -> None:
    model, clips = small("ltc")
    with pytest.raises(ProfileError, match=r"the liquid layer of LTC has its own kernels.*use eager"):
        measure.measure_latency(model, clips[:1], 1.0, backend_name=name)


@pytest.mark.slow
def test_a_model_without_2d_convolutions_has_no_channels_last(tmp_path) -> None:
    model, clips = small("fc")
    with pytest.raises(ProfileError, match="FC has no 2-D convolution"):
        measure.compare(model, [clips[:1]], "channels-last", "cpu", 1, tmp_path)


class Recurrent(AudioModel):
    """A recurrent layer, alone or between other operators, or the same layer as a loop over its cell."""

    inputs = frozenset({"waveform"})

    def __init__(self, kind: str) -> None:
        super().__init__(nn.Identity(), 3, 4, 2)
        self.kind = kind
        if kind in ("lstm", "gru", "rnn"):
            self.layer = getattr(nn, kind.upper())(3, 5, batch_first=True)
        else:
            self.cell = nn.LSTMCell(3, 5)
        self.head = nn.Linear(5, 2)

    def classify(self, features: Tensor) -> Tensor:
        frames = features.mT.tanh()  # (B, T, F)
        if self.kind in ("lstm", "gru", "rnn"):
            return self.head(self.layer(frames)[0][:, -1])
        state = None
        for frame in frames.unbind(1):
            if self.kind == "interrupted":
                torch._dynamo.graph_break()
            state = self.cell(frame, state)
        return self.head(state[0])

    @property
    def output(self) -> nn.Linear:
        return self.head


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "interrupted"])
def test_compile_refuses_a_model_that_would_be_partly_eager(kind: str, tmp_path) -> None:
    with pytest.raises(ProfileError, match=r"cannot compile all of Recurrent as one graph \(.*\): use eager"):
        backend("compile").ready(Recurrent(kind).eval(), torch.rand(1, 3, 4), tmp_path, 1)


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_compile_refuses_the_lstm_of_the_catalogue(tmp_path) -> None:
    model, clips = small("lstm-skip")
    with pytest.raises(ProfileError, match="cannot compile all of LSTMSkip as one graph"):
        measure.compare(model, [clips[:1]], "compile", "cpu", 1, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_compile_takes_a_loop_over_a_cell_as_one_graph(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(compiled, "OPTIONS", None)  # those of the C++ compiler, which is not what this is about
    torch._dynamo.utils.counters.clear()
    model, features = Recurrent("cell").eval(), torch.rand(1, 3, 4)
    with torch.inference_mode():
        found = backend("compile").ready(model, features, tmp_path, 1)(features)
        torch.testing.assert_close(found, model.classify(features))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_compile_says_that_it_is_switched_off(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    with pytest.raises(ProfileError, match="unset TORCHDYNAMO_DISABLE"):
        backend("compile").ready(Recurrent("cell").eval(), torch.rand(1, 3, 4), tmp_path, 1)


def test_compile_needs_a_compiler(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model, clips = small("swishnet")
    with pytest.raises(ProfileError, match=r"there is none: install g\+\+"):
        measure.compare(model, [clips[:1]], "compile", "cpu", 1, tmp_path)


def test_other_logits_are_refused(tmp_path, monkeypatch) -> None:
    class Wrong(backend("eager").__class__):
        off = 2e-4

        def ready(self, model, features, folder, threads):
            return lambda features: model.classify(features) + self.off

    monkeypatch.setattr(measure, "backend", lambda *_: Wrong())
    model, clips = small("fc")
    with pytest.raises(ProfileError, match=r"logits of FC differ by 0.0002 from the trained model's"):
        measure.compare(model, [clips[:1]], "eager", "cpu", 1, tmp_path)
    with pytest.raises(ProfileError, match=r"logits of FC differ by 0.0002"):
        measure.measure_latency(model, clips[:1], 1.0, scope="model")
    Wrong.off = 2e-3
    with pytest.raises(ProfileError, match=r"logits of FC differ by 0.002"):  # the front-end's kernels may differ more
        measure.measure_latency(model, clips[:1], 1.0)


def test_names_and_devices() -> None:
    pytest.importorskip("onnxruntime", reason="needs the export extra")
    for name in catalog.BACKENDS:
        assert backend(name, "cuda" if "cuda" in name else "cpu").software().startswith(f"torch {torch.__version__}")
    with pytest.raises(SuiteError, match="Did you mean 'onnxruntime'"):
        backend("onnxruntim")
    with pytest.raises(ProfileError, match="cuda-graphs runs on cuda, not on cpu"):
        backend("cuda-graphs")
    with pytest.raises(ProfileError, match="onnxruntime runs on cpu, not on cuda"):
        backend("onnxruntime", "cuda")
