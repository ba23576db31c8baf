"""Speed, tempo and pitch of waveforms `(B, S)`, each clip by its own factor.

Each has a function that draws the factors and one that is given them. A clip is a loop, as in `features.excerpt`: one
that ends too early starts again, and of one that has become too long a random part is heard.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bench.training.augment.chance import uniform

OVERSAMPLING = 2
"""Samples between which the cubic interpolates, per sample of the clip."""

WINDOW = 2048
"""Samples of the phase vocoder's Hann window (64 ms at 32 kHz); a quarter of it is the hop."""

GROUP = 4
"""Clips worked on at once on a CPU. With more, every operation's memory is fresh from the system, at twice the time."""


def speed(waveform: Tensor, most: float) -> Tensor:
    """Play each clip faster or slower: tempo and pitch change alike (Ko et al., Interspeech 2015).

    The paper has three fixed speeds (0.9, 1, 1.1); here each clip's is uniform from 1 - `most` to 1 + `most`.

    Args:
        waveform: `(B, S)`.
        most: largest change of the speed, as a share of it, in [0, 1).

    Returns:
        `(B, S)`.

    Raises:
        ValueError: `most` is not in [0, 1).
    """
    factors = _factors(waveform, most)
    return _in_groups(played, waveform, factors, _starts(waveform, factors))


def time_stretch(waveform: Tensor, most: float) -> Tensor:
    """Change each clip's tempo and leave its pitch, as `speed` does otherwise: `(B, S)` to `(B, S)`.

    Raises:
        ValueError: `most` is not in [0, 1).
    """
    factors = _factors(waveform, most)
    return _in_groups(stretched, waveform, factors, _starts(waveform, factors))


def pitch_shift(waveform: Tensor, most_semitones: float) -> Tensor:
    """Move each clip's pitch by up to ± `most_semitones`, uniform, and leave its tempo: `(B, S)` to `(B, S)`."""
    semitones = uniform(waveform, -most_semitones, most_semitones)
    return _in_groups(partial(transposed, most_semitones=most_semitones), waveform, semitones)


def played(waveform: Tensor, speeds: Tensor, starts: Tensor, length: int | None = None) -> Tensor:
    """Read each clip at its own speed, band-limited.

    The clip, a loop to the FFT, is cut off at the new Nyquist frequency lest it fold back, oversampled, and read by
    cubic interpolation (Catmull-Rom): exact to 1 % below half of the old Nyquist frequency, and 1 dB down at it.

    Args:
        waveform: `(B, S)`.
        speeds: `(B, 1)`, > 0; at 2 a tone of 440 Hz is one of 880 Hz.
        starts: `(B, 1)` samples into the clip.
        length: samples of the result; as many as the clip has unless given.
    """
    samples = waveform.shape[1]
    spectrum = torch.fft.rfft(waveform)  # (B, S // 2 + 1)
    bins = torch.arange(spectrum.shape[1], device=waveform.device)
    spectrum = torch.where(bins < samples / 2 / speeds.clamp(min=1), spectrum, 0)
    fine = torch.fft.irfft(spectrum, OVERSAMPLING * samples) * OVERSAMPLING
    fine = torch.cat([fine[:, -1:], fine, fine[:, :2]], 1)  # neighbours across the loop's seam
    steps = torch.arange(length or samples, device=waveform.device, dtype=torch.float64)
    place = (starts + speeds * steps) % samples * OVERSAMPLING  # float32 would be off by 3 % of a sample after 5 s
    before = place.long()
    t = (place - before).to(waveform)
    return (
        fine.gather(1, before) * (((2 - t) * t - 1) * t / 2)
        + fine.gather(1, before + 1) * (((3 * t - 5) * t * t + 2) / 2)
        + fine.gather(1, before + 2) * (((4 - 3 * t) * t + 1) * t / 2)
        + fine.gather(1, before + 3) * ((t - 1) * t * t / 2)
    )


def stretched(waveform: Tensor, rates: Tensor, starts: Tensor, length: int | None = None) -> Tensor:
    """Run through each clip at its own rate by a phase vocoder with locked phases (Laroche and Dolson 1999, III-C).

    Magnitudes are interpolated between frames. The phase of a peak goes on by what it goes on in the clip, and the bins
    around it keep their phases relative to it: without that, as in torchaudio and librosa, a tone loses level wherever
    the frames' phases do not fit, as they do not at a clip's edge. The paper also follows a peak that moves to another
    bin; here each bin's phase goes on by itself, for all frames at once.

    Args:
        waveform: `(B, S)`, S ≥ 8.
        rates: `(B, 1)`, > 0; at 2 a clip is over in half its time.
        starts: `(B, 1)` samples into the clip.
        length: samples of the result; as many as the clip has unless given.
    """
    clips, samples = waveform.shape
    length = length or samples
    size = min(WINDOW, 2 ** int(math.log2(samples)))
    hop = size // 4
    window = torch.hann_window(size, device=waveform.device)
    whole = torch.nn.functional.pad(waveform, (0, -samples % hop))  # so that frames reach its end
    spectrum = torch.stft(whole, size, hop, window=window, pad_mode="constant", return_complex=True)
    spectrum = spectrum.transpose(1, 2)  # (B, N, F)
    frames = spectrum.shape[1]
    magnitude, angle = spectrum.abs(), spectrum.angle()
    advance = angle.roll(-1, 1) - angle  # up to whole turns, which change nothing as both hops are the same

    place = (starts / hop + rates * torch.arange(math.ceil(length / hop) + 1, device=waveform.device)) % frames
    before = place.long().clamp(max=frames - 1)  # float32's remainder may round up to `frames`
    clip = torch.arange(clips, device=waveform.device)[:, None]
    early, late = magnitude[clip, before], magnitude[clip, (before + 1) % frames]  # (B, N', F)
    own = angle[clip, before]
    turned = torch.cat([own[:, :1], advance[clip, before[:, :-1]]], 1).cumsum(1) - own
    phase = own + turned.gather(2, _nearest_peak(early))
    heard = torch.polar(torch.lerp(early, late, (place - before)[..., None]), phase)
    return torch.istft(heard.transpose(1, 2), size, hop, window=window, length=length)


def _nearest_peak(magnitude: Tensor) -> Tensor:
    """Return for each bin of `(B, N, F)` the bin of the nearest peak: one no smaller than two neighbours each side."""
    bins = torch.arange(magnitude.shape[2], device=magnitude.device, dtype=torch.int32)  # half the memory to move
    peak = magnitude == torch.nn.functional.max_pool1d(magnitude, 5, 1, 2)
    below = torch.where(peak, bins, -len(bins)).cummax(2).values
    above = torch.where(peak, bins, 2 * len(bins)).flip(2).cummin(2).values.flip(2)
    return torch.where(bins - below <= above - bins, below, above).long()


def transposed(waveform: Tensor, semitones: Tensor, most_semitones: float) -> Tensor:
    """Move each clip's pitch: it is stretched, then played faster by as much, as in librosa's `pitch_shift`.

    Args:
        waveform: `(B, S)`, S ≥ 8.
        semitones: `(B, 1)`; 12 are an octave up.
        most_semitones: greatest of their magnitudes, known without asking the device.
    """
    factors = 2 ** (semitones / 12)
    beginning = torch.zeros_like(factors)
    # whole windows, whose number of samples suits the FFT; clips that were stretched less start again before its end
    length = math.ceil(waveform.shape[1] * 2 ** (most_semitones / 12) / WINDOW) * WINDOW
    return played(stretched(waveform, 1 / factors, beginning, length), factors, beginning, waveform.shape[1])


def _in_groups(function: Callable[..., Tensor], *per_clip: Tensor) -> Tensor:
    """Call a function whose clips do not depend on each other, in groups on a CPU and once on any other device."""
    group = GROUP if per_clip[0].device.type == "cpu" else len(per_clip[0])
    return torch.cat([function(*parts) for parts in zip(*(torch.split(x, group) for x in per_clip), strict=True)])


def _factors(waveform: Tensor, most: float) -> Tensor:
    if not 0 <= most < 1:
        raise ValueError(f"the largest change must be in [0, 1), not {most}")
    return uniform(waveform, 1 - most, 1 + most)


def _starts(waveform: Tensor, factors: Tensor) -> Tensor:
    """Return places from which a slowed clip does not reach its end; 0 for any other."""
    return uniform(waveform, 0, (waveform.shape[1] * (1 - factors)).clamp(min=0))
