"""Speed, tempo and pitch of waveforms `(B, S)`, with one factor per clip.

A function `random_*` draws the factors; `resample`, `time_stretch` and `pitch_shift` take them as arguments. Clips wrap
around; clips that became longer are cropped at random, as in `features.random_resized_crop`.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from models.training.augment.chance import uniform

OVERSAMPLING = 2
"""Oversampling factor before the cubic interpolation."""

WINDOW = 2048
"""Samples of the phase vocoder's Hann window (64 ms at 32 kHz); a quarter of it is the hop."""

GROUP = 4
"""Number of clips per group on a CPU. Larger groups allocate new memory in every operation and take twice the time."""


def random_speed(waveform: Tensor, max_change: float) -> Tensor:
    """Change each clip's speed by a random factor; tempo and pitch change together (Ko et al., Interspeech 2015).

    The paper uses three fixed speeds (0.9, 1, 1.1). Here the speed is uniform from 1 - `max_change` to
    1 + `max_change`.

    Args:
        waveform: `(B, S)`.
        max_change: largest change of the speed, as a share of the speed, in [0, 1).

    Returns:
        `(B, S)`.

    Raises:
        ValueError: `max_change` is not in [0, 1).
    """
    factors = _factors(waveform, max_change)
    return _in_groups(resample, waveform, factors, _starts(waveform, factors))


def random_time_stretch(waveform: Tensor, max_change: float) -> Tensor:
    """Change each clip's tempo by a random factor without changing its pitch: `(B, S)` to `(B, S)`.

    Args:
        waveform: `(B, S)`.
        max_change: as for `random_speed`.

    Raises:
        ValueError: `max_change` is not in [0, 1).
    """
    factors = _factors(waveform, max_change)
    return _in_groups(time_stretch, waveform, factors, _starts(waveform, factors))


def random_pitch_shift(waveform: Tensor, max_semitones: float) -> Tensor:
    """Shift each clip's pitch by up to ± `max_semitones`, uniform, without changing its tempo: `(B, S)` to `(B, S)`."""
    semitones = uniform(waveform, -max_semitones, max_semitones)
    return _in_groups(partial(pitch_shift, max_semitones=max_semitones), waveform, semitones)


def resample(waveform: Tensor, speeds: Tensor, starts: Tensor, length: int | None = None) -> Tensor:
    """Resample each clip by its own speed, without aliasing.

    The FFT treats the clip as periodic. Frequencies above the new Nyquist frequency are removed, so that they do not
    alias; the clip is then oversampled and read by cubic interpolation (Catmull-Rom). The amplitude error is below 1 %
    up to half of the old Nyquist frequency, and 1 dB at the old Nyquist frequency.

    Args:
        waveform: `(B, S)`.
        speeds: `(B, 1)`, > 0; a speed of 2 turns a tone of 440 Hz into one of 880 Hz.
        starts: `(B, 1)` start positions in the clip, in samples.
        length: number of samples of the result; None gives the length of the clip.
    """
    samples = waveform.shape[1]
    spectrum = torch.fft.rfft(waveform)  # (B, S // 2 + 1)
    bins = torch.arange(spectrum.shape[1], device=waveform.device)
    spectrum = torch.where(bins < samples / 2 / speeds.clamp(min=1), spectrum, 0)
    fine = torch.fft.irfft(spectrum, OVERSAMPLING * samples) * OVERSAMPLING
    fine = torch.cat([fine[:, -1:], fine, fine[:, :2]], 1)  # neighbours across the boundary, as clips wrap around
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


def time_stretch(waveform: Tensor, rates: Tensor, starts: Tensor, length: int | None = None) -> Tensor:
    """Change each clip's tempo by a phase vocoder with identity phase locking (Laroche and Dolson 1999, III-C).

    Magnitudes are interpolated between frames. The phase of a peak advances as in the clip, and the bins around the
    peak keep their phases relative to it. Without this locking (torchaudio and librosa do not have it), a tone loses
    level where the frames' phases do not match, such as at the edges of a clip. The paper also follows a peak that
    moves to another bin; here the phase of each bin advances independently, for all frames at once.

    Args:
        waveform: `(B, S)`, S ≥ 8.
        rates: `(B, 1)`, > 0; a rate of 2 halves the duration.
        starts: `(B, 1)` start positions in the clip, in samples.
        length: number of samples of the result; None gives the length of the clip.
    """
    clips, samples = waveform.shape
    length = length or samples
    size = min(WINDOW, 2 ** int(math.log2(samples)))
    hop = size // 4
    window = torch.hann_window(size, device=waveform.device)
    whole = torch.nn.functional.pad(waveform, (0, -samples % hop))  # so that the frames reach the end of the clip
    spectrum = torch.stft(whole, size, hop, window=window, pad_mode="constant", return_complex=True)
    spectrum = spectrum.transpose(1, 2)  # (B, N, F)
    frames = spectrum.shape[1]
    magnitude, angle = spectrum.abs(), spectrum.angle()
    advance = angle.roll(-1, 1) - angle  # modulo 2π, which is enough because both hops are equal

    place = (starts / hop + rates * torch.arange(math.ceil(length / hop) + 1, device=waveform.device)) % frames
    before = place.long().clamp(max=frames - 1)  # float32's remainder may round up to `frames`
    clip = torch.arange(clips, device=waveform.device)[:, None]
    early, late = magnitude[clip, before], magnitude[clip, (before + 1) % frames]  # (B, N', F)
    own = angle[clip, before]
    turned = torch.cat([own[:, :1], advance[clip, before[:, :-1]]], 1).cumsum(1) - own
    phase = own + turned.gather(2, _nearest_peak(early))
    stretched = torch.polar(torch.lerp(early, late, (place - before)[..., None]), phase)
    return torch.istft(stretched.transpose(1, 2), size, hop, window=window, length=length)


def _nearest_peak(magnitude: Tensor) -> Tensor:
    """Return for each bin of `(B, N, F)` the nearest peak: a bin that is not below its two neighbours on each side."""
    bins = torch.arange(magnitude.shape[2], device=magnitude.device, dtype=torch.int32)  # half the memory to move
    peak = magnitude == torch.nn.functional.max_pool1d(magnitude, 5, 1, 2)
    below = torch.where(peak, bins, -len(bins)).cummax(2).values
    above = torch.where(peak, bins, 2 * len(bins)).flip(2).cummin(2).values.flip(2)
    return torch.where(bins - below <= above - bins, below, above).long()


def pitch_shift(waveform: Tensor, semitones: Tensor, max_semitones: float) -> Tensor:
    """Shift each clip's pitch: stretch its time, then resample it by the same factor, as librosa's `pitch_shift` does.

    Args:
        waveform: `(B, S)`, S ≥ 8.
        semitones: `(B, 1)`; 12 shift up by an octave.
        max_semitones: upper bound of their magnitudes; reading it from the device would cost a synchronisation.
    """
    factors = 2 ** (semitones / 12)
    beginning = torch.zeros_like(factors)
    # A whole number of windows suits the FFT; clips with a smaller factor wrap around before the end.
    length = math.ceil(waveform.shape[1] * 2 ** (max_semitones / 12) / WINDOW) * WINDOW
    return resample(time_stretch(waveform, 1 / factors, beginning, length), factors, beginning, waveform.shape[1])


def _in_groups(function: Callable[..., Tensor], *per_clip: Tensor) -> Tensor:
    """Call a function that treats clips independently: in groups on a CPU, once on any other device."""
    group = GROUP if per_clip[0].device.type == "cpu" else len(per_clip[0])
    return torch.cat([function(*parts) for parts in zip(*(torch.split(x, group) for x in per_clip), strict=True)])


def _factors(waveform: Tensor, max_change: float) -> Tensor:
    if not 0 <= max_change < 1:
        raise ValueError(f"the largest change must be in [0, 1), not {max_change}")
    return uniform(waveform, 1 - max_change, 1 + max_change)


def _starts(waveform: Tensor, factors: Tensor) -> Tensor:
    """Return random start positions from which a slowed clip does not reach its end; 0 for any other clip."""
    return uniform(waveform, 0, (waveform.shape[1] * (1 - factors)).clamp(min=0))
