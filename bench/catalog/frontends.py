"""Front-ends: what computes features from samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.catalog.kinds import Kind, line
from bench.lookup import Package


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


def _of_package(target: str, package: Package) -> Frontend:
    return Frontend(target=target, line=line(target, package), package=package)


KIND = Kind("frontends", "front-end", FRONTENDS, _of_package)


def frontend(name: str) -> Frontend:
    """Return a front-end's entry."""
    return KIND.entry(name)
