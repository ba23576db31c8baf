"""Clips that are too short: every model of the catalogue pads them or is refused by name before any training."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fakes.calls import bench, records, run

from bench import catalog
from bench.training import build
from models.base import ModelError
from models.frontends.logmel import LogMel
from models.frontends.torchlibrosa import TorchlibrosaLogMel
from models.frontends.wavegram import Wavegram
from models.layers import lengths
from models.liquid import CNNLTC

LEARNT = ("cnn-ltc", "cnn-cfc")


def small(model: str) -> dict[str, float]:
    """Arguments of a quick model."""
    if model == "rann":
        return {"width": 1}
    return {"scale": 0.03} if catalog.model(model).target.startswith("models.panns") else {}


def clicks(folder: Path, seconds: float, rate: int = 32_000) -> str:
    """Write clips of this length, and return a suite's tables of them."""
    rng = np.random.default_rng(0)
    for label in ("cat", "cow"):
        (folder / "mine" / label).mkdir(parents=True)
        for i in range(10):
            clip = 0.1 * rng.standard_normal(round(seconds * rate))
            soundfile.write(folder / "mine" / label / f"{label}{i}.wav", clip, rate)
    return f'datasets = ["folder"]\n[recipe]\nepochs = 1\n[dataset.folder]\nroot = "{folder / "mine"}"\n'


@pytest.mark.slow
@pytest.mark.parametrize("frontend", [name for name in catalog.FRONTENDS if name != "none"])
def test_every_model_takes_50_ms_or_says_what_it_needs(frontend: str) -> None:
    for model in catalog.MODELS:
        wavegram = "wavegram" in model
        if (wavegram and frontend != "waveform") or (frontend == "waveform" and not wavegram):
            continue
        try:
            built = build.sized(model, frontend, small(model), (400,), 8_000, 3)
        except ModelError as error:
            assert model in LEARNT or frontend == "wavegram", model
            words = str(error)
            assert "choose another" in words or "feature channels" in words
            continue
        logits = built.train()(0.1 * torch.randn(4, 400))
        assert logits.isfinite().all(), model
        logits.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("samples", [1, 50, 319, 640, 1_600, 10_239])
def test_wavegram_models_pad_what_is_short(samples: int) -> None:
    for model in ("wavegram-cnn", "wavegram-logmel-cnn"):
        built = build.sized(model, "waveform", {"scale": 0.03}, (samples,), 32_000, 3).eval()
        x = 0.1 * torch.randn(2, samples)
        with torch.no_grad():
            torch.testing.assert_close(built(x), built(torch.nn.functional.pad(x, (0, 10_240 - samples))))


def test_wavegram_models_on_another_frontend_name_the_right_one() -> None:
    with pytest.raises(ModelError, match="use the front-end waveform"):
        build.sized("wavegram-cnn", "logmel", {"scale": 0.03}, (32_000,), 32_000, 3)


@pytest.mark.slow
def test_the_shortest_clip_is_the_shortest() -> None:
    frontend = LogMel(16_000)
    least = CNNLTC.shortest_clip(frontend)
    assert lengths.fitting(CNNLTC, frontend, (least,)) == (64, 13)
    with pytest.raises(ModelError, match=r"CNNLTC on LogMel takes clips of 0\.125 s or more, and these last 0\.125 s"):
        lengths.fitting(CNNLTC, frontend, (least - 1,))
    for short in (Wavegram(32_000), TorchlibrosaLogMel(32_000)):
        fewest = short.least_samples
        assert short(torch.randn(2, fewest)).isfinite().all()
        with pytest.raises(ModelError):
            short(torch.randn(2, fewest - 1))


def test_looking_at_a_frontends_shape_leaves_its_statistics() -> None:
    frontend = Wavegram(16_000)
    before = frontend.bn.running_var.clone()  # type: ignore[union-attr]
    lengths.fitting(CNNLTC, frontend, (16_000,))
    assert frontend.training
    torch.testing.assert_close(frontend.bn.running_var, before)


@pytest.mark.slow
@pytest.mark.process
def test_a_suite_of_50_ms_clips_says_before_training_which_models_cannot_have_them(tmp_path: Path) -> None:
    models = ("fc", "cnn-ltc", "wavegram-cnn", "cnn6")
    tables = "".join(f"[model.{name}]\nscale = 0.03\n" for name in ("wavegram-cnn", "cnn6"))
    call = run(f"models = {json.dumps(models)}\n{clicks(tmp_path, 0.05)}clip_seconds = 0.05\n{tables}", tmp_path)
    assert call.code == 1
    found = {record.run.model: record for record in records(tmp_path)}
    assert {name for name, record in found.items() if record.status == "ok"} == set(models) - {"cnn-ltc"}
    error = found["cnn-ltc"].error
    assert error is not None
    assert error.kind == "ModelError"
    assert "takes clips of 0.125 s or more, and these last 0.05 s: set clip_seconds = 0.13" in error.message
    assert "wavegram-cnn pads clips of 0.05 s with silence to 0.32 s" in call.words
    assert call.out.index("pads clips of") < call.out.index("epoch 1/1")
    # The remedy works.
    call = run((tmp_path / "own.toml").read_text().replace("clip_seconds = 0.05", "clip_seconds = 0.13"), tmp_path)
    assert call.code == 0, call.words


@pytest.mark.slow
def test_complexity_shows_the_shortest_clip() -> None:
    assert "shortest clip    0.125 s" in bench("complexity", "cnn-ltc", "--sample-rate", 16_000).out
    told = json.loads(bench("complexity", "cnn", "--json").out)
    assert told["shortest_clip_seconds"] < 0.01
