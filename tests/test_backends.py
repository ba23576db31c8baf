"""Backends give the trained model's logits, or say by how much they differ, or why they cannot run a model."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import build, catalog, latency
from bench.backends import backend
from bench.backends.compiled import compiler
from bench.errors import ProfileError, SuiteError
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
    """Return a model with statistics and weights that are not as drawn, and clips of a second."""
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
    latency.prepare(model, clips[:1], "onnxruntime", [], tmp_path)
    deviation, agreement = latency.compare(model, clips.split(1), "onnxruntime", "cpu", 1, tmp_path)
    assert deviation < 1e-4 * scale(model, clips)
    assert agreement == 1
    with torch.no_grad():
        model.output.bias[0] += 1  # the file holds the model as it was, and is what is run
    with pytest.raises(ProfileError, match=r"logits of .* differ by"):
        latency.compare(model, clips.split(1), "onnxruntime", "cpu", 1, tmp_path)


@pytest.mark.parametrize("name", ["cnn", "mobilenet-025", "cnn10", "rann"])
def test_channels_last_gives_the_logits_of_eager(name: str, tmp_path) -> None:
    model, clips = small(name)
    deviation, _ = latency.compare(model, clips.split(1), "channels-last", "cpu", 1, tmp_path)
    assert deviation < 1e-4 * scale(model, clips)
    assert all(p.is_contiguous() for p in model.parameters())  # the copy changed, not the model


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
@pytest.mark.slow
@pytest.mark.process
def test_compile_gives_the_logits_of_eager() -> None:
    from bench import timing

    model, clips = small("cnn", channels=[4])  # to compile a convolution, not to compile for a minute
    quick = latency.Tier(warm_seconds=0, warm_limit_seconds=0, seconds=0.01, limit_seconds=0.02)
    with timing.Subject(model, clips[:1], 1.0, clips=clips.split(1), tier=quick) as subject:
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
    latency.prepare(model, clips[0], "int8", [train.load([i]) for i in range(0, len(train), 3)], tmp_path)
    deviation, agreement = latency.compare(model, clips, "int8", "cpu", 1, tmp_path)
    assert (tmp_path / "model-int8.onnx").stat().st_size < 0.5 * (tmp_path / "model.onnx").stat().st_size
    assert deviation > 1e-4  # it is another model
    assert agreement >= 0.9  # but decides alike


def test_int8_needs_clips(tmp_path) -> None:
    model, clips = small("cnn")
    with pytest.raises(ProfileError, match="takes its ranges from clips"):
        latency.prepare(model, clips[:1], "int8", [], tmp_path)


@pytest.mark.parametrize("name", ["compile", "onnxruntime", "int8"])
def test_models_with_kernels_of_their_own_are_refused(name: str) -> None:
    model, clips = small("ltc")
    with pytest.raises(ProfileError, match=r"the liquid layer of LTC has kernels of its own.*use eager"):
        latency.measure(model, clips[:1], 1.0, backend_name=name)


def test_a_model_without_2d_convolutions_has_no_channels_last(tmp_path) -> None:
    model, clips = small("fc")
    with pytest.raises(ProfileError, match="FC has no 2-D convolution"):
        latency.compare(model, [clips[:1]], "channels-last", "cpu", 1, tmp_path)


def test_compile_needs_a_compiler(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model, clips = small("swishnet")
    with pytest.raises(ProfileError, match=r"no compiler here: install g\+\+"):
        latency.compare(model, [clips[:1]], "compile", "cpu", 1, tmp_path)


def test_other_logits_are_refused(tmp_path, monkeypatch) -> None:
    class Wrong(backend("eager").__class__):
        def ready(self, model, features, folder, threads):
            return lambda features: model.classify(features) + 2e-4

    monkeypatch.setattr(latency, "backend", lambda *_: Wrong())
    model, clips = small("fc")
    with pytest.raises(ProfileError, match=r"logits of FC differ by 0.0002 from the trained model's"):
        latency.compare(model, [clips[:1]], "eager", "cpu", 1, tmp_path)
    with pytest.raises(ProfileError, match="logits of FC differ"):
        latency.measure(model, clips[:1], 1.0)


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
