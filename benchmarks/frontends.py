"""Every front-end against its reference library: the same numbers on real clips, and time as a ratio on one thread.

    .venv/bin/python benchmarks/frontends.py --agreement --data-dir DATA
    .venv/bin/python benchmarks/frontends.py --speed [--device cuda]

With `--kernels` the kernels for a CPU compute our side, as `bench predict` has them for many files
(`benchmarks/frontend_kernels.py` compares them with torch).

`--agreement` takes 50 clips of ESC-10 at 32 kHz (`esc10/audio` under --data-dir or BENCH_DATA) and prints the worst
clip's value next to the bound; it exits with 1 if a value exceeds its bound. `--speed` takes a batch of noise, 5 s per
clip. Our front-end and the reference take turns in one process; each turn gives a ratio, so a change of the machine's
clock affects both. The median ratio is printed with the smallest and the largest. The next column is the time of only
the Fourier transforms of as many frames and one matrix product with the filters, as a share of our time.

A new front-end needs a new entry in `ENTRIES`.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench import catalog
from datamodules.audio import decode
from models.base import use_kernels
from models.frontends._torchaudio import transforms
from models.frontends.cqt import CQT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # librosa's own dependencies warn when they are imported
    import librosa
    import spafe.features.gfcc
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

RATE = 32_000
CLIPS = 50
SECONDS = 5
BATCH = 16
ROUNDS = 11
TURN = 0.05
"""Seconds of a turn. A single call between two of the other library would be measured with cold caches."""

Features = Callable[[Tensor], Tensor]
"""Waveforms `(B, S)` to features `(B, F, T)`."""


@dataclass(frozen=True)
class Measure:
    """How close two features of one clip are, and how close they have to be.

    Args:
        name: with its unit.
        function: of two features `(F, T)` in float64, ours and the reference's.
        bound: the most that is allowed, or the least.
        least: whether `bound` is the least, as for a correlation.
    """

    name: str
    function: Callable[[Tensor, Tensor], float]
    bound: float
    least: bool = False

    def worst(self, values: list[float]) -> float:
        """Return the value furthest from agreement; not a number counts as such."""
        if any(v != v for v in values):
            return float("nan")
        return min(values) if self.least else max(values)

    def holds(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.bound if self.least else value <= self.bound


@dataclass(frozen=True)
class Entry:
    """One front-end against one reference.

    Args:
        name: of the front-end, and of the reference.
        ours: builds the front-end.
        reference: builds its reference for a device; libraries on numpy stay on the CPU.
        measures: what `--agreement` prints; none where the reference is one of speed only.
        ratio: the least that `--speed` should show, in times the reference; none where agreement is all that is wanted.
        transform: points of the Fourier transform, hop in samples and number of filters, for the limit of `--speed`.
        clips: in the batch of `--speed`.
        bare: builds the limit of `--speed` for a device where it is not one kind of frames and one product.
    """

    name: str
    ours: Callable[[], nn.Module]
    reference: Callable[[str], Features]
    measures: tuple[Measure, ...] = ()
    ratio: float | None = None
    transform: tuple[int, int, int] | None = None
    clips: int = BATCH
    bare: Callable[[str], Callable[[], None]] | None = None


def max_error(ours: Tensor, theirs: Tensor) -> float:
    """Return the greatest difference of two features."""
    return float((ours - theirs).abs().max())


def correlation(ours: Tensor, theirs: Tensor) -> float:
    """Return Pearson's correlation over all values of a clip."""
    return float(torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1])


def ours(name: str) -> Callable[[], nn.Module]:
    """Return what builds a front-end of the catalogue."""
    entry = catalog.frontend(name)
    return lambda: catalog.load(entry.target)(RATE, **entry.arguments)


def clip_by_clip(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[str], Features]:
    """Make a reference of a numpy function of one clip `(S,)` in float64 to `(F, T)`."""

    def features(waveform: Tensor) -> Tensor:
        return torch.stack([torch.from_numpy(function(clip)) for clip in waveform.cpu().double().numpy()])

    return lambda device: features


def torchlibrosa_logmel(device: str) -> Features:
    """PANNs' own front-end."""
    spectrogram = Spectrogram(n_fft=1024, hop_length=320, freeze_parameters=True).to(device)
    bank = LogmelFilterBank(
        sr=RATE, n_fft=1024, n_mels=64, fmin=50, fmax=14000, ref=1.0, amin=1e-10, top_db=None, freeze_parameters=True
    ).to(device)
    return lambda waveform: bank(spectrogram(waveform))[:, 0].transpose(1, 2)


def torchaudio_logmel(device: str) -> Features:
    """MelSpectrogram and AmplitudeToDB with PANNs' settings."""
    return nn.Sequential(
        transforms.MelSpectrogram(RATE, 1024, None, 320, 50, 14000, n_mels=64, norm="slaney", mel_scale="slaney"),
        transforms.AmplitudeToDB(),
    ).to(device)


def torchaudio_mfcc(device: str) -> Features:
    """MFCC with the settings of `mfcc`, which has pre-emphasis and lifter besides; for its time."""
    mel = {"n_fft": 1024, "win_length": 800, "hop_length": 320, "n_mels": 32, "f_min": 0.0, "f_max": 16000.0}
    transform: nn.Module = transforms.MFCC(RATE, 20, log_mels=True, melkwargs=mel)
    return transform.to(device)


@clip_by_clip
def librosa_logmel(clip: np.ndarray) -> np.ndarray:
    """Mel spectrogram and power_to_db with PANNs' settings."""
    power = librosa.feature.melspectrogram(
        y=clip, sr=RATE, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=14000, pad_mode="reflect"
    )
    return librosa.power_to_db(power, top_db=None)


@clip_by_clip
def librosa_mfcc(clip: np.ndarray) -> np.ndarray:
    """The coefficients of librosa.feature.mfcc with its defaults."""
    return librosa.feature.mfcc(y=clip, sr=RATE, n_mfcc=20)


@clip_by_clip
def spafe_gfcc(clip: np.ndarray) -> np.ndarray:
    """The coefficients with spafe's defaults, but for a transform that holds a whole frame at 32 kHz."""
    return spafe.features.gfcc.gfcc(clip, RATE, nfft=1024).T


def in_single(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[str], Features]:
    """Make a reference of a numpy function of one clip `(S,)`, in float32 as ours, to `(F, T)`."""

    def features(waveform: Tensor) -> Tensor:
        return torch.stack([torch.from_numpy(function(clip)) for clip in waveform.cpu().numpy()])

    return lambda device: features


@in_single
def librosa_cqt(clip: np.ndarray) -> np.ndarray:
    """Magnitude of the constant-Q transform with its defaults, but no estimate of the tuning."""
    return np.abs(librosa.cqt(clip, sr=RATE, tuning=0.0))


@in_single
def librosa_chroma(clip: np.ndarray) -> np.ndarray:
    """Chroma with its defaults, but no estimate of the tuning."""
    return librosa.feature.chroma_stft(y=clip, sr=RATE, tuning=0.0)


@in_single
def librosa_tempogram(clip: np.ndarray) -> np.ndarray:
    """Tempogram with its defaults."""
    return librosa.feature.tempogram(y=clip, sr=RATE)


def defined_cqt(device: str) -> Features:
    """The sum over librosa's filters itself, in float64, without their spectra or a second sample rate."""
    frequencies = librosa.cqt_frequencies(n_bins=84, fmin=librosa.note_to_hz("C1"))
    filters, lengths = librosa.filters.wavelet(freqs=frequencies, sr=RATE, dtype=np.complex128)
    scaled = torch.from_numpy(filters * np.sqrt(lengths)[:, None]).flip(1)  # the product of spectra turns them round
    half = scaled.shape[1] // 2

    def features(waveform: Tensor) -> Tensor:
        padded = nn.functional.pad(waveform.cpu().double(), (half - 1, half + 1))
        clips = [clip.unfold(0, 2 * half, 512) for clip in padded]
        return torch.stack([torch.complex(x @ scaled.real.T, x @ scaled.imag.T).abs().T for x in clips])

    return features


def bare_cqt(device: str) -> Callable[[], None]:
    """Return what only transforms a clip's blocks and multiplies them with the filters' answers."""
    frontend = CQT(RATE).to(device)
    blocks = -(-(1 + SECONDS * RATE // frontend.hop) // (frontend.points - 2 * frontend.lead))
    x = torch.randn(blocks, frontend.points * frontend.hop, device=device)
    answers = [torch.view_as_complex(part) for part in frontend.buffers()]
    rows = [part.new_ones(len(part), blocks, part.shape[1]) for part in answers]

    def run() -> None:
        torch.fft.rfft(x)
        for left, right in zip(rows, answers, strict=True):
            torch.bmm(left, right)

    return run


def bare_tempogram(device: str) -> Callable[[], None]:
    """Return what only transforms a clip's frames, multiplies with the mel filters, and transforms windows twice."""
    mel = limit(Entry("", nn.Identity, lambda device: nn.Identity(), transform=(2048, 512, 128), clips=1), device)
    windows = torch.randn(64 if device == "cpu" else 1 + SECONDS * RATE // 512, 768, device=device)
    count = max(1, (1 + SECONDS * RATE // 512) // len(windows))

    def run() -> None:
        mel()
        for _ in range(count):
            torch.fft.irfft(torch.fft.rfft(windows))

    return run


def audible_error(ours: Tensor, theirs: Tensor) -> float:
    """Return the greatest difference of bands that are within 60 dB of their frame's loudest."""
    return float((ours - theirs).abs()[theirs.amax(0) - theirs <= 60].max())


LOGMEL = (
    Measure("dB, to 60 below the loudest", audible_error, 1e-3),
    # Below that the references differ from each other: float32 has 7 digits, and bands go to 120 dB below the loudest.
    Measure("dB, all bands", max_error, 3e-2),
)

SAME = Measure("correlation", correlation, 0.999, least=True)
RATIO = Measure("greatest error, of 1", max_error, 1e-4)
SHARE = Measure("error / clip's greatest", lambda a, b: max_error(a, b) / max(float(b.max()), 1e-30), 1e-3)

ENTRIES = (
    Entry("cqt / librosa", partial(CQT, RATE, decibels=False), librosa_cqt, (SAME,), 9.0, clips=1, bare=bare_cqt),
    Entry("cqt / definition", partial(CQT, RATE, decibels=False), defined_cqt, (SAME, SHARE)),
    Entry("chroma / librosa", ours("chroma"), librosa_chroma, (SAME, RATIO), 5.5, (2048, 512, 12), clips=1),
    Entry(
        "tempogram / librosa", ours("tempogram"), librosa_tempogram, (SAME, RATIO), 2.5, clips=1, bare=bare_tempogram
    ),
    Entry("logmel-panns / torchlibrosa", ours("logmel-panns"), torchlibrosa_logmel, LOGMEL, 6.0, (1024, 320, 64)),
    Entry("logmel-panns / torchaudio", ours("logmel-panns"), torchaudio_logmel, (), 3.0, (1024, 320, 64)),
    Entry("logmel-panns / librosa", ours("logmel-panns"), librosa_logmel, LOGMEL),
    Entry(
        "mfcc-librosa / librosa",
        ours("mfcc-librosa"),
        librosa_mfcc,
        (Measure("greatest error, dB", max_error, 1e-3),),
        4.0,
        (2048, 512, 128),
    ),
    Entry(
        "gfcc / spafe",
        ours("gfcc"),
        spafe_gfcc,
        (Measure("greatest error", max_error, 1e-3), Measure("least correlation", correlation, 0.999, least=True)),
        5.0,
        (1024, 320, 24),
    ),
    Entry("mfcc / torchaudio", ours("mfcc"), torchaudio_mfcc, (), 4.0, (1024, 320, 32)),
)


def real_clips(folder: Path) -> Tensor:
    """Decode 50 clips of ESC-10, spread over its classes and folds."""
    files = sorted(path for path in (folder / "esc10" / "audio").iterdir() if path.is_file())
    if len(files) < CLIPS:
        sys.exit(f"{folder / 'esc10' / 'audio'} has {len(files)} files, {CLIPS} are needed")
    chosen = files[:: len(files) // CLIPS][:CLIPS]
    clips = torch.zeros(CLIPS, SECONDS * RATE)
    for row, path in zip(clips, chosen, strict=True):
        samples = torch.from_numpy(decode(path, RATE))[: len(row)]
        row[: len(samples)] = samples
    return clips


def agreement(entries: list[Entry], clips: Tensor, device: str, kernels: bool = False) -> bool:
    """Print the worst clip of every measure; return whether all are within their bounds."""
    print(f"{'front-end / reference':34} {'measure':28} {'worst clip':>12} {'bound':>8}")
    good = True
    for entry in entries:
        if not entry.measures:
            continue
        frontend, reference = entry.ours().to(device), entry.reference(device)
        use_kernels(frontend, kernels)
        found: dict[str, list[float]] = {measure.name: [] for measure in entry.measures}
        for batch in clips.split(10):
            with torch.inference_mode():
                a = frontend(batch.to(device)).cpu().double()
                b = reference(batch.to(device)).cpu().double()
            if a.shape != b.shape:
                raise ValueError(f"{entry.name}: shapes {tuple(a.shape)} and {tuple(b.shape)}")
            for measure in entry.measures:
                found[measure.name] += [measure.function(x, y) for x, y in zip(a, b, strict=True)]
        for measure in entry.measures:
            value = measure.worst(found[measure.name])
            holds = measure.holds(value)
            good &= holds
            sign = "≥" if measure.least else "≤"
            verdict = "" if holds else "BEYOND"
            print(f"{entry.name:34} {measure.name:28} {value:12.3g} {sign} {measure.bound:<6g} {verdict}")
    return good


def seconds_of(function: Callable[[], object], device: str) -> float:
    """Return the seconds that one call takes, the mean of as many as take `TURN` seconds, until the device is done."""
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - start < TURN:
        function()
        calls += 1
        if device == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def limit(entry: Entry, device: str) -> Callable[[], None]:
    """Return what only transforms the frames of a batch, and multiplies their power with the filters once."""
    if entry.bare is not None:
        return entry.bare(device)
    if entry.transform is None:
        return lambda: None
    n_fft, hop, filters = entry.transform
    frames = entry.clips * SECONDS * RATE // hop
    chunk = 128 if device == "cpu" else frames  # stays in the cache
    x = torch.randn(chunk, n_fft, device=device)
    power = torch.rand(frames, n_fft // 2 + 1, device=device)
    bank = torch.rand(n_fft // 2 + 1, filters, device=device)
    product = torch.empty(frames, filters, device=device)

    def run() -> None:
        for start in range(0, frames, chunk):
            torch.fft.rfft(x[: min(chunk, frames - start)])
        torch.mm(power, bank, out=product)

    return run


def speed(entries: list[Entry], device: str, kernels: bool = False) -> None:
    """Print the ratios."""
    torch.manual_seed(0)
    x = 0.1 * torch.randn(BATCH, SECONDS * RATE, device=device)
    print(
        f"{'front-end / reference':34} {'ratio (least to greatest)':>26} {'wanted':>7} {'audio s/s':>10} {'limit':>6}"
    )
    for entry in entries:
        if entry.ratio is None:
            continue
        frontend, reference, bare = entry.ours().to(device), entry.reference(device), limit(entry, device)
        use_kernels(frontend, kernels)
        clips = x[: entry.clips]
        turns = (lambda f=frontend, x=clips: f(x)), (lambda f=reference, x=clips: f(x)), bare
        with torch.inference_mode():
            for turn in turns:  # libraries load and tables are made
                turn()
            times = np.array([[seconds_of(turn, device) for turn in turns] for _ in range(ROUNDS)])
        ratios = times[:, 1] / times[:, 0]
        shares = f"{np.median(times[:, 2] / times[:, 0]):.0%}" if entry.transform or entry.bare else ""
        spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        rate = len(clips) * SECONDS / np.median(times[:, 0])
        print(f"{entry.name:34} {spread:>26} {entry.ratio:>7g} {rate:>10.0f} {shares:>6}")


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agreement", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA"))
    parser.add_argument("--kernels", action="store_true", help="let kernels compute our side")
    parser.add_argument("--only", default="", help="part of the names of the entries to take")
    options = parser.parse_args()
    if not options.agreement and not options.speed:
        parser.error("name --agreement, --speed or both")
    if options.agreement and options.data_dir is None:
        parser.error("--agreement needs --data-dir or BENCH_DATA")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    entries = [entry for entry in ENTRIES if options.only in entry.name]
    if options.speed:
        speed(entries, options.device, options.kernels)
    if options.agreement:
        clips = real_clips(Path(options.data_dir))
        if not agreement(entries, clips, options.device, options.kernels):
            sys.exit(1)


if __name__ == "__main__":
    main()
