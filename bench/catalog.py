"""Every component by name, as strings: adding one is a new file and a line here. Importing this never imports torch.

Packages add components with entry points, and a name "package.module:Class" stands for a class of any package
(`bench.lookup` says which names may be imported).
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench import lookup
from bench.errors import PluginError, SuiteError
from bench.lookup import Package

Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's entry.

    Attributes:
        target: "module:Class".
        line: what it is.
        frontend: the front-end it uses unless a suite names another.
        arguments: constructor arguments that this name stands for.
        embeddings: whether it also takes embedding sequences; a model of another package is tried on them.
        package: the package that it comes from; None for this project.
    """

    target: str
    line: str
    frontend: str = "logmel"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    embeddings: bool = False
    package: Package | None = None


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """A fusion's entry: a rule that combines the results of trained models; suites name it among their models.

    Attributes:
        target: "module:function" of the rule, which maps log-probabilities of N members `(N, B, C)` to fused ones
            `(B, C)` and the members' conflict `(B,)`.
        line: what it is.
        weighted: whether the rule takes `weights`, one of each member, which are fitted on validation clips.
    """

    target: str
    line: str
    weighted: bool = False
    package: None = None


@dataclass(frozen=True, kw_only=True)
class Frontend:
    """A front-end's entry.

    Attributes:
        target: "module:Class".
        line: what it is.
        arguments: the constructor arguments that this name stands for.
        package: that provides it, other than this project.
        kernel_exact: whether its kernel for a CPU gives features as close to torch's as torch's own rounding, so that
            logits agree to about 1e-5. Decibels of almost nothing, and what is normed by almost nothing, do not.
    """

    target: str
    line: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    package: Package | None = None
    kernel_exact: bool = True


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset's entry.

    Attributes:
        target: "module:Class".
        line: what it is.
        folder: its folder's name under the data directory; None where it is made by code.
        facts: what a reader of its scores should know of it, whatever is on disk.
        aliases: names that archives and Kaggle's copies give that folder; case, hyphens and underscores do not count.
        folds: number of official folds; for a user's own clips, what "all" stands for.
        task: "single" or "multi" label.
        kind: "waveform" or "embedding".
        find: "module:function", the class's `find` without importing torch; None asks the class.
        folds_of: "module:function" from the dataset's arguments to number and name of each fold, or None if that is not
            known now; without importing torch. None where the folds are 0 to `folds` - 1.
        streams: whether it has streams with boundaries, on which time lines are scored.
        multi: arguments that make the labels several per clip where one of them is set.
        package: the package that it comes from; None for this project. Its class attributes `folder`, `folds`, `task`
            and `kind` are read from its source where they are literals.
    """

    target: str
    line: str
    folder: str | None
    folds: int
    task: str = "single"
    kind: str = "waveform"
    find: str | None = None
    folds_of: str | None = None
    multi: tuple[str, ...] = ()
    package: Package | None = None
    aliases: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    streams: bool = False


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A backend's entry: "module:Class", what it is, and its package."""

    target: str
    line: str
    package: Package | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's entry: what it is, the tasks it fits, and whether more is better.

    Attributes:
        line: what it is.
        tasks: "single" or "multi" label.
        higher_is_better: whether more is better.
        target: "module:function" of another package's metric; this project's are in `bench.evaluation.metrics`.
        package: the package that it comes from; None for this project.
    """

    line: str
    tasks: tuple[str, ...] = ("single", "multi")
    higher_is_better: bool = True
    target: str = ""
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

FUSIONS = {
    "fusion-average": Fusion(
        target="models.fusion:weighted_average", line="members' probabilities, weighted average", weighted=True
    ),
    "fusion-ds": Fusion(target="models.fusion:dempster_shafer", line="members combined by Dempster's rule"),
    "fusion-murphy": Fusion(
        target="models.fusion:murphy", line="members averaged, then combined with themselves by Dempster's rule"
    ),
    "fusion-deng": Fusion(
        target="models.fusion:deng", line="as fusion-murphy, members far from the others weighing little"
    ),
    "fusion-ids": Fusion(
        target="models.fusion:improved_dempster_shafer",
        line="members weighted by distance and purity, then Dempster's rule",
    ),
}

FRONTENDS = {
    "logmel": Frontend(target="models.frontends.logmel:LogMel", line="log-mel spectrogram, 64 bands, 10 ms hop"),
    "logmel-20ms": Frontend(
        target="models.frontends.logmel:LogMel",
        line="log-mel spectrogram, 64 bands, 20 ms hop",
        arguments={"frames_per_second": 50},
    ),
    "logmel-128": Frontend(
        target="models.frontends.logmel:LogMel",
        line="log-mel spectrogram, 128 bands, 128 frames a second",
        arguments={"bands": 128, "frames_per_second": 128},
    ),
    "mfcc-20ms": Frontend(
        target="models.frontends.mfcc:MFCC",
        line="20 mel-frequency cepstral coefficients, 20 ms hop",
        arguments={"frames_per_second": 50},
    ),
    "logmel-1s": Frontend(
        target="models.frontends.logmel:PooledLogMel", line="log-mel spectrogram, 128 bands, mean of each second"
    ),
    "mfcc": Frontend(
        target="models.frontends.mfcc:MFCC", line="20 mel-frequency cepstral coefficients, 25 ms frames, 10 ms hop"
    ),
    "mfcc-librosa": Frontend(
        target="models.frontends.mfcc:LibrosaMFCC", line="20 coefficients as librosa.feature.mfcc"
    ),
    "gfcc": Frontend(
        target="models.frontends.gfcc:GFCC", line="13 gammatone cepstral coefficients as spafe, 10 ms hop"
    ),
    "mfcc-deltas": Frontend(
        target="models.frontends.mfcc:MFCCDeltas", line="mfcc with first and second differences, 60 coefficients"
    ),
    "logmel-panns": Frontend(
        target="models.frontends.logmel:LogMel",
        line="log-mel spectrogram of PANNs: as logmel, with a frame on the clip's end",
        arguments={"closing_frame": True},
    ),
    "logmel-torchlibrosa": Frontend(
        target="models.frontends.torchlibrosa:TorchlibrosaLogMel",
        line="as logmel-panns, by torchlibrosa's own modules, for PANNs' checkpoints",
    ),
    "vggish-like": Frontend(  # logmel-1s by the name of what it stands for; models keep the older name, and their keys
        target="models.frontends.logmel:PooledLogMel",
        line="as logmel-1s: in the place of VGGish, 128 values a second in about [0, 1]",
    ),
    "cqt": Frontend(
        target="models.frontends.cqt:CQT",
        line="constant-Q transform in dB, 84 bins of a semitone from C1, hop 512",
        kernel_exact=False,
    ),
    "chroma": Frontend(
        target="models.frontends.chroma:Chroma", line="power of the 12 pitch classes, frame's greatest 1, hop 512"
    ),
    "tempogram": Frontend(
        target="models.frontends.tempogram:Tempogram",
        line="autocorrelation of onset strength, 384 lags, hop 512",
        kernel_exact=False,
    ),
    "wavegram": Frontend(
        target="models.frontends.wavegram:Wavegram", line="learned: PANNs' convolutions on samples, 128 bands, hop 320"
    ),
    "wavegram-rann": Frontend(
        target="models.frontends.wavegram:StridedWavegram",
        line="learned: four strided convolutions on samples, 128 bands, hop 320",
    ),
    "waveform": Frontend(target="models.frontends.waveform:Waveform", line="the samples themselves"),
    "none": Frontend(target="models.frontends.none:NoFrontend", line="embeddings as they are"),
}

DATASETS = {
    "synthetic": Dataset(
        target="datamodules.synthetic:Synthetic", line="ten classes of sounds made by code", folder=None, folds=5
    ),
    "synthetic-tags": Dataset(
        target="datamodules.synthetic:SyntheticTags",
        line="one to three overlapping sounds made by code, multi-label",
        folder=None,
        folds=5,
        task="multi",
    ),
    "synthetic-streams": Dataset(
        target="datamodules.synthetic_streams:SyntheticStreams",
        line="streams of speech, music and noise made by code, with known boundaries",
        folder=None,
        facts=(
            "its sounds are simpler than real ones, and classes never overlap: scores say how well boundaries are "
            "found",
        ),
        folds=1,
        streams=True,
    ),
    "esc10": Dataset(
        target="datamodules.esc50:ESC10",
        line="ESC-10: 400 clips, 10 classes",
        folder="esc10",
        folds=5,
        find="datamodules.layouts:esc50",
    ),
    "esc50": Dataset(
        target="datamodules.esc50:ESC50",
        line="ESC-50: 2,000 clips, 50 classes",
        folder="esc50",
        aliases=("ESC-50-master", "environmental-sound-classification-50"),
        folds=5,
        find="datamodules.layouts:esc50",
    ),
    "urbansound8k": Dataset(
        target="datamodules.urbansound8k:UrbanSound8K",
        line="UrbanSound8K: 8,732 clips, 10 classes",
        folder="urbansound8k",
        facts=(
            "five recordings (77751, 106905, 132016, 176638, 180937; 152 slices) stand in two official folds under two "
            "labels: what shares a recording with a later split is left out of training and validation",
        ),
        folds=10,
        find="datamodules.layouts:urbansound8k",
    ),
    "ravdess": Dataset(
        target="datamodules.ravdess:RAVDESS",
        line="RAVDESS speech: 1,440 clips, 8 emotions, split by actor",
        folder="ravdess",
        aliases=("ravdess-emotional-speech-audio", "Audio_Speech_Actors_01-24"),
        folds=4,
        find="datamodules.layouts:ravdess",
    ),
    "musan": Dataset(
        target="datamodules.musan:MUSAN",
        line="MUSAN: pieces of music, speech and noise",
        folder="musan",
        aliases=("musan-dataset",),
        folds=1,
        find="datamodules.layouts:musan",
    ),
    "musan-streams": Dataset(
        target="datamodules.musan_streams:MUSANStreams",
        line="streams of MUSAN's music, speech and noise, joined with cross-fades",
        folder="musan",
        facts=(
            "a segment is an excerpt of one file between cross-fades of 100 ms: real programmes also overlap, and "
            "MUSAN's labels are of whole files",
        ),
        aliases=("musan-dataset",),
        folds=1,
        find="datamodules.layouts:musan",
        streams=True,
    ),
    "gtzan-music-speech": Dataset(
        target="datamodules.gtzan:GTZANMusicSpeech",
        line="GTZAN's music and speech: pieces of 128 tracks",
        folder="gtzan_music_speech",
        aliases=("music_speech", "gtzan-musicspeech-collection"),
        folds=1,
        find="datamodules.layouts:gtzan_music_speech",
    ),
    "vggsound": Dataset(
        target="datamodules.vggsound:VGGSound",
        line="VGGSound: YouTube clips, 309 classes, a folder or tar shards",
        folder="vggsound",
        facts=(
            "595 test videos have two clips (1,190 of 15,446): intervals are drawn over videos",
            '"playing timpani" and "playing tympani" are two classes and one instrument',
            "VGGSounder labels 15,069 of the test clips again, 2.48 labels a clip; 79.0 % keep the official one: with "
            "the extra [vggsounder], scores by its audible labels stand next to the official ones",
        ),
        folds=1,
        find="datamodules.layouts:vggsound",
    ),
    "audioset": Dataset(
        target="datamodules.audioset:AudioSet",
        line="AudioSet's audio, balanced or full to eval, 527 labels, a folder or tar shards",
        folder="audioset",
        folds=1,
        find="datamodules.layouts:audioset",
        task="multi",
    ),
    "audioset-embeddings": Dataset(
        target="datamodules.audioset_embeddings:AudioSetEmbeddings",
        line="AudioSet's VGGish features, balanced train to eval, 527 labels",
        folder="audioset_vggish",
        folds=1,
        find="datamodules.layouts:audioset_embeddings",
        task="multi",
        kind="embedding",
    ),
    "folder": Dataset(
        target="datamodules.folder:Folder",
        line="your own clips: root/<class>/*.wav or a CSV",
        folder=None,
        folds=5,
        folds_of="datamodules.clips.own.division:folds_of",
        multi=("label_separator", "label_columns", "row_per_label"),
    ),
    "embeddings": Dataset(
        target="datamodules.embeddings:Embeddings",
        line="your own features: root/<class>/*.npy, .npz, .parquet or .tfrecord, or a CSV",
        folder=None,
        folds=5,
        kind="embedding",
        folds_of="datamodules.clips.own.features:folds_of",
        multi=("label_separator", "label_columns", "row_per_label"),
    ),
}

METRICS = {
    "accuracy": Metric(line="share of clips whose most probable class is correct", tasks=("single",)),
    "macro_f1": Metric(line="F1 averaged over classes", tasks=("single",)),
    "macro_precision": Metric(line="precision averaged over classes", tasks=("single",)),
    "macro_recall": Metric(line="recall averaged over classes", tasks=("single",)),
    "top5_accuracy": Metric(
        line="share of clips whose class is among the five most probable (more than 10 classes)", tasks=("single",)
    ),
    "sns": Metric(
        line='share of clips correctly classified as speech or not (three or more classes, one called "speech")',
        tasks=("single",),
    ),
    "mAP": Metric(line="average precision, mean over classes (one versus rest)"),
    "mAUC": Metric(line="area under the ROC curve, mean over classes (one versus rest)"),
    "d_prime": Metric(line="sensitivity index of the mean AUC", tasks=("multi",)),
    "ece": Metric(line="expected calibration error, 15 bins", tasks=("single",), higher_is_better=False),
    "nll": Metric(line="negative log-likelihood per clip", tasks=("single",), higher_is_better=False),
}

SECOND_METRICS = {
    "vggsounder_hit": Metric(
        line="share of VGGSound's test clips whose most probable class is among VGGSounder's audible labels (with the "
        "extra [vggsounder])",
        tasks=("single",),
    ),
    "vggsounder_mAP": Metric(
        line="average precision by VGGSounder's audible labels, mean over classes", tasks=("single",)
    ),
}
"""By other labels of the same test clips, next to the scores by the official ones; `bench.evaluation.second_labels`."""

STREAM_METRICS = {
    "frame_accuracy": Metric(
        line="share of the frames of 10 ms of all test streams whose class is right", tasks=("single",)
    ),
    "frame_sns": Metric(
        line="share of the frames that are correctly classified as speech or not (three or more classes, one called "
        '"speech")',
        tasks=("single",),
    ),
    "event_f1": Metric(
        line="F1 of events, all classes together: start within 200 ms, end within 200 ms or 20 % of the event's length",
        tasks=("single",),
    ),
    "segment_f1": Metric(line="F1 of the classes in each second, all classes together", tasks=("single",)),
    "psds": Metric(
        line="polyphonic sound detection score, scenario 1 (with the extra [segmentation])", tasks=("single",)
    ),
    "segment_mAP": Metric(
        line="average precision of the classes in each second, mean over classes (with the extra [segmentation])",
        tasks=("single",),
    ),
}
"""Metrics of time lines, for datasets of streams; `bench.evaluation.segmentation`."""

STREAM_PRIMARY = "frame_accuracy"
"""The metric that ranks on datasets of streams."""

BACKENDS = {
    "eager": Backend(target="bench.profiling.backends.eager:Eager", line="PyTorch as it trains"),
    "compile": Backend(target="bench.profiling.backends.compiled:Compile", line="torch.compile; needs a C++ compiler"),
    "channels-last": Backend(
        target="bench.profiling.backends.channels_last:ChannelsLast",
        line="PyTorch, 2-D convolutions with channels last",
    ),
    "onnxruntime": Backend(
        target="bench.profiling.backends.onnx_runtime:OnnxRuntime",
        line="exported to ONNX Runtime, on the CPU; needs [export]",
    ),
    "int8": Backend(
        target="bench.profiling.backends.int8:Int8",
        line="ONNX Runtime in 8 bits, ranges from training clips; needs [export]",
    ),
    "cuda-graphs": Backend(
        target="bench.profiling.backends.cuda_graphs:CudaGraphs", line="a GPU's kernels played back at once"
    ),
    "cuda-graphs-bf16": Backend(
        target="bench.profiling.backends.cuda_graphs:CudaGraphsBf16", line="the same in bfloat16 from the features on"
    ),
}

PRIMARY = {"single": "accuracy", "multi": "mAP"}
"""The metric that ranks and that selects the best epoch on validation, by task."""

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
    everything: Mapping[str, Model | Fusion] = {**MODELS, **FUSIONS}
    return _entry(everything, name, "model", "models", _model)


def model(name: str) -> Model:
    """Return a model's entry.

    Raises:
        SuiteError: there is no such name, or it is a fusion's.
    """
    entry = system(name)
    if isinstance(entry, Fusion):
        raise SuiteError(f"{name} combines the results of trained models and is no model itself: name a model")
    return entry


def fusion(name: str) -> Fusion:
    """Return a fusion's entry."""
    return find(FUSIONS, name, "fusion")


def frontend(name: str) -> Frontend:
    """Return a front-end's entry."""
    return _entry(FRONTENDS, name, "front-end", "frontends", _frontend)


def dataset(name: str) -> Dataset:
    """Return a dataset's entry."""
    return _entry(DATASETS, name, "dataset", "datasets", _dataset)


def backend(name: str) -> Backend:
    """Return a backend's entry."""
    return _entry(BACKENDS, name, "backend", "backends", _backend)


def metric(name: str) -> Metric:
    """Return a metric's entry."""
    return _entry(METRICS, name, "metric", "metrics", _metric)


def added(kind: str) -> dict[str, Any]:
    """Return the entries that installed packages add, by name; a name of this project keeps its meaning.

    Args:
        kind: "models", "frontends", "datasets", "metrics" or "backends".
    """
    known, make = _KINDS[kind]
    return {name: make(one.target, one.package) for name, one in lookup.entry_points(kind).items() if name not in known}


def clashes() -> list[str]:
    """Return a line for each name that two packages add to the catalogue, or that this project has, too."""
    return [line for kind, (known, _) in _KINDS.items() for line in lookup.clashes(kind, known)]


def _entry(table: Mapping[str, Entry], name: str, what: str, kind: str, make: Callable[[str, Package], Entry]) -> Entry:
    """Return the entry of a name in the catalogue, of an entry point, or of "package.module:Class"."""
    if name in table:
        return table[name]
    if lookup.is_target(name):
        return make(lookup.guarded(name), lookup.package_of(name))
    everything: Mapping[str, Entry] = {**added(kind), **table}
    if name not in everything and (gone := lookup.uninstalled(kind, name)):
        return make(*gone)
    return find(everything, name, what)


def _model(target: str, package: Package) -> Model:
    return Model(target=target, line=_line(target, package), frontend="waveform", embeddings=True, package=package)


def _frontend(target: str, package: Package) -> Frontend:
    return Frontend(target=target, line=_line(target, package), package=package)


def _backend(target: str, package: Package) -> Backend:
    return Backend(target=target, line=_line(target, package), package=package)


def _metric(target: str, package: Package) -> Metric:
    return Metric(target=target, line=_line(target, package), package=package)


def _dataset(target: str, package: Package) -> Dataset:
    """Return the entry of another package's dataset; a value that its source does not say has the usual default."""
    known = target in lookup.permitted() or lookup.is_uninstalled(target)
    found = lookup.class_values(target, ("folder", "folds", "task", "kind")) if known else {}
    folder, folds = found.get("folder"), found.get("folds")
    return Dataset(
        target=target,
        line=_line(target, package),
        folder=folder if isinstance(folder, str) else None,
        folds=folds if isinstance(folds, int) else 1,
        task="multi" if found.get("task") == "multi" else "single",
        kind="embedding" if found.get("kind") == "embedding" else "waveform",
        package=package,
    )


def _line(target: str, package: Package) -> str:
    return f"{target.rpartition(':')[2]} of {package}"


_KINDS: Mapping[str, tuple[Mapping[str, Any], Callable[[str, Package], Any]]] = {
    "models": ({**MODELS, **FUSIONS}, _model),
    "frontends": (FRONTENDS, _frontend),
    "datasets": (DATASETS, _dataset),
    "metrics": (METRICS, _metric),
    "backends": (BACKENDS, _backend),
}


def place(name: str, data_dir: Path) -> Path | None:
    """Return a dataset's folder under the data directory; None for one without a folder of its own.

    It has the entry's name. Where there is none of that name, one is taken that is called the same but for case,
    hyphens and underscores, or by an alias.
    """
    entry = dataset(name)
    if entry.folder is None:
        return None
    usual = data_dir / entry.folder
    if not usual.exists() and data_dir.is_dir():
        names = {_plain(each) for each in (entry.folder, *entry.aliases)}
        for here in sorted(data_dir.iterdir()):
            if _plain(here.name) in names and here.is_dir():
                return here
    return usual


def missing(name: str, data_dir: Path) -> str | None:
    """Say in one line what of a dataset is missing under the data directory; None where nothing is.

    Everything that wants to know whether a dataset is on disk asks this function. Nothing is missing of a dataset
    without a folder of its own.
    """
    entry, folder = dataset(name), place(name, data_dir)
    if folder is None:
        return None
    try:
        look: Callable[[Path], str | None] = load(entry.find) if entry.find else load(entry.target).find
    except PluginError as error:
        return str(error)
    return look(folder)


def why_absent(name: str, data_dir: Path, arguments: Mapping[str, Any]) -> str | None:
    """Say why a run cannot read its dataset and what to do, as far as that is known without reading it; else None.

    Args:
        name: of the dataset.
        data_dir: the folder with one folder per dataset.
        arguments: the dataset's own, in which a user's clips have their place.
    """
    folder = dataset(name).folder
    if folder is None:
        there = load("datamodules.clips.own.labels:there")
        given = [there(Path(arguments[key])) for key in ("root", "csv") if arguments.get(key)]
        absent = [str(path) for path in given if not path.exists()]
        return f"dataset {name}: missing {' and '.join(absent)}: correct [dataset.{name}]" if absent else None
    problem = missing(name, data_dir)
    return problem and (
        f"dataset {name} is not in {place(name, data_dir)}: {problem}. Put it there, or name the folder that holds "
        f"{folder}/ with --data-dir or BENCH_DATA"
    )


def has_files(name: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a dataset is read from files with these arguments, not made by code."""
    return dataset(name).folder is not None or any(arguments.get(key) for key in ("root", "csv"))


def task(name: str, arguments: Mapping[str, Any]) -> str:
    """Return "single" or "multi" label for a dataset with these arguments."""
    entry = dataset(name)
    return "multi" if any(arguments.get(key) for key in entry.multi) else entry.task


def folds(name: str, arguments: Mapping[str, Any]) -> dict[int, str] | None:
    """Return number and name of each fold of a dataset, in order; None where only reading the data can say.

    A name is empty where a fold has none but its number.
    """
    entry = dataset(name)
    if entry.folds_of is None:
        return None if entry.package is not None else dict.fromkeys(range(entry.folds), "")
    found: dict[int, str] | None = load(entry.folds_of)(arguments)
    return found


def on_disk(name: str, data_dir: Path) -> bool:
    """Whether nothing of a dataset is missing; quick also for a dataset without `find` whose folder does not exist."""
    folder = place(name, data_dir)
    return folder is None or (folder.is_dir() and missing(name, data_dir) is None)


def find(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """Return `table[name]`.

    Raises:
        SuiteError: there is no such name; the message proposes the nearest.
    """
    try:
        return table[name]
    except KeyError:
        near = nearest(name, table)
        hint = f"Did you mean {near!r}? " if near else ""
        raise SuiteError(f"no {what} is called {name!r}. {hint}There are: {', '.join(table)}.") from None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like a misspelt one, or None if none is similar.

    Case, hyphens, underscores, dots and spaces do not count: "CNN_14" is nearest to "cnn14".
    """
    plain = {_plain(each): each for each in reversed(list(known))}  # of equal ones, the first
    found = difflib.get_close_matches(_plain(name), plain, n=1)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]", "", name).casefold()


def load(target: str) -> Any:
    """Import and return what "module:name" names.

    Targets come from this file, from entry points and from what a user has named; never from data.

    Raises:
        SuiteError: the target is a name that only a record has.
        PluginError: a class of another package cannot be imported.
    """
    return lookup.load(target)
