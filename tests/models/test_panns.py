"""PANNs: published sizes, and checkpoints in the authors' naming."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from bench.profiling import complexity
from bench.training import build
from models import panns
from models.base import AudioModel, ModelError
from models.frontends.logmel import LogMel
from models.frontends.waveform import Waveform

PUBLISHED = [  # parameters and multi-adds of 10 s at 32 kHz with 527 classes, in units of 1e9
    ("cnn6", 4_837_455, 21.986),
    ("cnn10", 5_219_279, 28.166),
    ("cnn14", 80_753_615, 42.220),
    ("resnet22", 63_675_087, 30.081),
    ("resnet38", 73_783_247, 48.962),
    ("resnet54", 104_318_159, 54.563),
    ("mobilenet-v1", 4_796_303, 3.614),
    ("mobilenet-v2", 4_075_343, 2.810),
    ("wavegram-cnn", 80_991_759, 44.234),
    ("wavegram-logmel-cnn", 81_065_487, 53.510),
]


@cache
def published(name: str) -> tuple[AudioModel, tuple[int, ...], float]:
    """Return the model of the paper's size on the meta device, where nothing is computed, its clip and its length."""
    model, shape, seconds = build.untrained(name, 527, None, 32000, None, None)
    return model.to("meta"), shape, seconds


@pytest.mark.parametrize(("name", "parameters", "multiply_adds"), PUBLISHED)
@pytest.mark.slow
def test_sizes_are_the_published_ones(name: str, parameters: int, multiply_adds: float) -> None:
    model, shape, _ = published(name)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == parameters
    assert round(complexity.panns_multiply_adds(model, shape[0]) / 1e9, 3) == multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize(("name", "macs"), [("cnn14", 20_041_926_656), ("resnet38", 23_391_078_400)])
def test_multiply_adds_without_the_transform_are_those_of_other_counters(name: str, macs: int) -> None:
    model, shape, seconds = published(name)
    assert complexity.measure(model, shape, seconds).macs == macs


def official(model: panns.PANN) -> dict[str, Tensor]:
    """A checkpoint's content for this model, named as the authors name it, with a front-end that is left out."""
    torch.manual_seed(7)
    state = {
        name.replace("features_.", "features."): torch.rand_like(tensor.float()).to(tensor.dtype)
        for name, tensor in model.state_dict().items()
        if not name.startswith(("frontend.", "logmel."))
    }
    state["spectrogram_extractor.stft.conv_real.weight"] = torch.zeros(513, 1, 1024)
    state["logmel_extractor.melW"] = torch.zeros(513, 64)
    return state


CNN14_NAMES = {
    "bn0.weight", "bn0.running_mean", "conv_block1.conv1.weight", "conv_block1.bn2.bias", "conv_block6.conv2.weight",
    "conv_block6.bn1.num_batches_tracked", "fc1.weight", "fc1.bias", "fc_audioset.weight", "fc_audioset.bias",
}  # fmt: skip
RESNET38_NAMES = {
    "conv_block1.conv1.weight", "resnet.layer1.0.conv1.weight", "resnet.layer1.2.bn2.weight",
    "resnet.layer2.0.downsample.1.weight", "resnet.layer2.0.downsample.2.running_var", "resnet.layer3.5.conv2.weight",
    "resnet.layer4.2.bn1.bias", "conv_block_after1.conv2.weight", "fc1.weight", "fc_audioset.bias",
}  # fmt: skip
RESNET54_NAMES = {
    "resnet.layer1.0.downsample.0.weight",
    "resnet.layer4.0.downsample.2.bias",
    "resnet.layer4.2.bn3.bias",
}
MOBILENET_NAMES = {"features.0.0.weight", "features.0.2.bias", "features.1.4.weight", "features.13.5.running_mean"}
MOBILENET_V2_NAMES = {"features.0.2.weight", "features.1.conv.0.weight", "features.2.conv.3.weight",
                      "features.17.conv.8.weight", "features.18.1.bias"}  # fmt: skip
WAVEGRAM_NAMES = {"pre_conv0.weight", "pre_bn0.running_var", "pre_block1.conv1.weight", "pre_block3.bn2.weight",
                  "pre_block4.conv2.weight", "conv_block1.conv1.weight", "conv_block2.conv1.weight"}  # fmt: skip
MODELS = [
    (panns.CNN14, CNN14_NAMES), (panns.ResNet38, RESNET38_NAMES), (panns.ResNet54, RESNET54_NAMES),
    (panns.MobileNetV1, MOBILENET_NAMES), (panns.MobileNetV2, MOBILENET_V2_NAMES),
    (panns.WavegramCNN, WAVEGRAM_NAMES), (panns.WavegramLogmelCNN, WAVEGRAM_NAMES),
]  # fmt: skip


def small(kind: type[panns.PANN], classes: int = 5, weights: str | None = None) -> panns.PANN:
    torch.manual_seed(0)
    wave = issubclass(kind, panns.WavegramCNN)
    frontend = Waveform(32000) if wave else LogMel(32000, closing_frame=True)
    return kind(frontend, 1 if wave else 64, 32000 if wave else 101, classes, scale=1 / 16, weights=weights)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "names"), MODELS)
def test_an_official_checkpoint_is_read(tmp_path, kind: type[panns.PANN], names: set[str]) -> None:
    model = small(kind)
    content = official(model)
    assert names <= set(content)
    path = tmp_path / "Model_mAP=0.4.pth"
    torch.save({"iteration": 600000, "model": content}, path)
    panns.load_official(model, path)
    state = model.state_dict()
    for name, tensor in content.items():
        if not name.startswith(("spectrogram_extractor.", "logmel_extractor.")):
            own = name.replace("features.", "features_.", 1) if name.startswith("features.") else name
            assert torch.equal(state[own], tensor), name
    assert torch.equal(small(kind, weights=str(path)).fc1.weight, content["fc1.weight"])


@pytest.mark.parametrize("rate", [16000, 32000, 44100])
def test_the_logmel_beside_the_wavegram_keeps_step_with_it(rate: int) -> None:
    model = panns.WavegramLogmelCNN(Waveform(rate), 1, rate, 5, scale=1 / 16)
    samples = 320 * 64
    assert model.logmel(torch.zeros(1, samples)).shape[2] == model.logmel.power.frames(samples) == 64 + 1


@pytest.mark.slow
def test_another_number_of_classes_keeps_the_models_last_layer(tmp_path) -> None:
    torch.save({"model": official(small(panns.CNN14, classes=527))}, tmp_path / "a.pth")
    model = small(panns.CNN14, classes=5)
    before = model.fc_audioset.weight.clone()
    panns.load_official(model, tmp_path / "a.pth")
    assert torch.equal(model.fc_audioset.weight, before)
    assert model.fc1.weight.min() >= 0  # from the file, whose numbers are in [0, 1)


def test_a_wrong_checkpoint_is_explained(tmp_path) -> None:
    model = small(panns.CNN14)
    with pytest.raises(ModelError, match="zenodo"):
        panns.load_official(model, tmp_path / "none.pth")
    (tmp_path / "page.pth").write_text("<html>")
    with pytest.raises(ModelError, match="a web page and no file of weights: fetch it again"):
        panns.load_official(model, tmp_path / "page.pth")
    torch.save({"model": official(small(panns.ResNet38))}, tmp_path / "b.pth")
    with pytest.raises(ModelError, match=r"does not belong to a CNN14 with these arguments: .* missing such as"):
        panns.load_official(model, tmp_path / "b.pth")
    torch.save({"model": nn.Linear(2, 2).state_dict()}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="unknown such as"):
        panns.load_official(model, tmp_path / "c.pth")


@pytest.mark.slow
def test_a_wavegram_listens_to_the_waveform_only_through_its_learned_bands() -> None:
    model = small(panns.WavegramCNN).eval()
    maps = model.wavegram(torch.randn(2, 1, 32000))
    assert maps.shape == (2, 4, 50, 32)


@pytest.mark.parametrize("content", [{"model": [1, 2]}, {"model": {"conv_block1.bn1.bias": 3}}])
def test_a_checkpoint_of_something_else_is_explained(tmp_path, content) -> None:
    torch.save(content, tmp_path / "d.pth")
    with pytest.raises(ModelError, match="no state dict of tensors"):
        panns.load_official(small(panns.CNN6), tmp_path / "d.pth")
