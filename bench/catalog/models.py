"""Models: what is trained. A system is a model or a fusion."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.catalog.fusions import FUSIONS, Fusion
from bench.catalog.kinds import Kind, line
from bench.errors import SuiteError
from bench.lookup import Package


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's entry.

    Attributes:
        target: "module:Class".
        line: what it is.
        frontend: the front-end it uses unless a suite names another.
        arguments: constructor arguments that this name stands for.
        embeddings: whether it also takes embedding sequences; a model of another package is tried on them.
        one_epoch: whether one epoch is its whole training.
        package: the package that it comes from; None for this project.
    """

    target: str
    line: str
    frontend: str = "logmel"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    embeddings: bool = False
    one_epoch: bool = False
    package: Package | None = None


MODELS = {
    "fc": Model(
        target="models.fc:FC",
        line="two-layer fully connected baseline, 1280-500-C on 10 x 128 input",
        frontend="logmel-1s",
        embeddings=True,
    ),
    "linear-probe": Model(
        target="models.linear_probe:LinearProbe",
        line="one linear layer on the mean over time of features or embeddings",
        frontend="logmel-1s",
        embeddings=True,
    ),
    "knn": Model(
        target="models.knn:KNN",
        line="the training clips nearest by the angle of their mean features or embeddings; train it for one epoch",
        frontend="logmel-1s",
        embeddings=True,
        one_epoch=True,
    ),
    "cnn": Model(target="models.cnn:CNN", line="log-mel CNN baseline", frontend="logmel-20ms"),
    "lstm-skip": Model(
        target="models.lstm_skip:LSTMSkip",
        line="bidirectional LSTM layers with skip connections",
        frontend="logmel-1s",
        embeddings=True,
    ),
    "lstm-plain": Model(
        target="models.lstm_plain:LSTMPlain",
        line="lstm-skip without its skip connections",
        frontend="logmel-1s",
        embeddings=True,
    ),
    "swishnet": Model(
        target="models.swishnet:SwishNet", line="SwishNet slim: gated causal 1-D convolutions on MFCC", frontend="mfcc"
    ),
    "swishnet-wide": Model(
        target="models.swishnet:SwishNet",
        line="SwishNet with twice the channels",
        frontend="mfcc",
        arguments={"width": 2},
    ),
    "mobilenet-025": Model(  # Keras' name for alpha = 0.25; mobilenet-v1 is PANNs', at alpha = 1
        target="models.mobilenet:MobileNet", line="SwishNet's rival and teacher: Keras' MobileNet, alpha = 0.25"
    ),
    "snn": Model(
        target="models.snn:SNN",
        line="SwishNet's baseline: self-normalising network on single frames",
        frontend="mfcc-deltas",
    ),
    "swishnet-keras": Model(
        target="models.swishnet_keras:SwishNetKeras",
        line="SwishNet as the public Keras port has it: plain convolutions, no hidden layer, mean over the clip",
        frontend="mfcc",
    ),
    "gru": Model(
        target="models.gru:GRU",
        line="SwishNet's rival of its authors' report: one convolution, one GRU",
        frontend="mfcc",
    ),
    "gmm": Model(
        target="models.gmm:GMM",
        line="SwishNet's baseline: a mixture of 256 diagonal Gaussians of each class, by expectation maximisation",
        frontend="mfcc-deltas",
    ),
    "ltc": Model(
        target="models.liquid:LTC",
        line="liquid time-constant network with NCP wiring",
        frontend="logmel",
        embeddings=True,
    ),
    "cnn-ltc": Model(target="models.liquid:CNNLTC", line="CNN whose frames feed a liquid time-constant network"),
    "cfc": Model(
        target="models.liquid:CfC", line="closed-form continuous-time network", frontend="logmel", embeddings=True
    ),
    "cnn-cfc": Model(target="models.liquid:CNNCfC", line="CNN whose frames feed a closed-form network"),
    "cnn-lstm": Model(target="models.liquid:CNNRecurrent", line="CNN whose frames feed an LSTM, of cnn-ltc's size"),
    "cnn-gru": Model(
        target="models.liquid:CNNRecurrent",
        line="CNN whose frames feed a GRU, of cnn-ltc's size",
        arguments={"cell": "gru", "units": 77},
    ),
    "rann": Model(
        target="models.rann:RANN",
        line="residual audio network; rann-{t_c}x{t_m}-{W} names a size of the paper",
        frontend="logmel-128",
    ),
    "cnn6": Model(target="models.panns:CNN6", line="PANNs, four 5x5 convolutions", frontend="logmel-panns"),
    "cnn10": Model(target="models.panns:CNN10", line="PANNs, eight 3x3 convolutions", frontend="logmel-panns"),
    "cnn14": Model(target="models.panns:CNN14", line="PANNs, twelve 3x3 convolutions", frontend="logmel-panns"),
    "resnet22": Model(target="models.panns:ResNet22", line="PANNs, 8 residual blocks", frontend="logmel-panns"),
    "resnet38": Model(target="models.panns:ResNet38", line="PANNs, 16 residual blocks", frontend="logmel-panns"),
    "resnet54": Model(target="models.panns:ResNet54", line="PANNs, 16 bottleneck blocks", frontend="logmel-panns"),
    "mobilenet-v1": Model(target="models.panns:MobileNetV1", line="PANNs, MobileNet V1", frontend="logmel-panns"),
    "mobilenet-v2": Model(target="models.panns:MobileNetV2", line="PANNs, MobileNet V2", frontend="logmel-panns"),
    "wavegram-cnn": Model(
        target="models.panns:WavegramCNN", line="PANNs, CNN14 on a learned spectrogram", frontend="waveform"
    ),
    "wavegram-logmel-cnn": Model(
        target="models.panns:WavegramLogmelCNN",
        line="PANNs, CNN14 on a learned spectrogram and the log-mel",
        frontend="waveform",
    ),
}


def _of_package(target: str, package: Package) -> Model:
    return Model(target=target, line=line(target, package), frontend="waveform", embeddings=True, package=package)


KIND: Kind[Model | Fusion] = Kind("models", "model", {**MODELS, **FUSIONS}, _of_package)

_RANN = re.compile(r"rann-(\d+)x(\d+)-(\d+)")


def system(name: str) -> Model | Fusion:
    """Return the entry of a model or of a fusion; `rann-8x4-6` stands for t_c = 8, t_m = 4, W = 6."""
    if match := _RANN.fullmatch(name):
        t_c, t_m, width = map(int, match.groups())
        entry = MODELS["rann"]
        return Model(
            target=entry.target,
            line=entry.line,
            frontend=entry.frontend,
            arguments={"t_c": t_c, "t_m": t_m, "width": width},
        )
    return KIND.entry(name)


def model(name: str) -> Model:
    """Return a model's entry.

    Raises:
        SuiteError: there is no such name, or it is a fusion's.
    """
    entry = system(name)
    if isinstance(entry, Fusion):
        raise SuiteError(f"{name} combines the results of trained models and is no model itself: name a model")
    return entry
