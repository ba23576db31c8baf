"""Synthesised sounds: a dataset without a download, the same on every machine.

Ten classes after real sources, each with its own pitch, timbre, rhythm and level, under coloured background noise and
through a random recording channel (equaliser). So the mean spectrum says little, and a model has to use how a
sound changes over time. Each source (one bird, one engine) is recorded twice; both takes are one group and share a
fold.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

from datamodules.base import DataError, Splits
from datamodules.clips.array_cache import ArrayCache, Facts
from datamodules.clips.array_clips import WaveformClips, content_hash
from datamodules.clips.folds import rotated
from datamodules.clips.waveform_data import WaveformDataModule

Wave = NDArray[np.float64]
TAKES = 2
SNR_DB = (6.0, 25.0)
CHANNEL_DB = 3.0


def _phase(hertz: Wave, step: float) -> Wave:
    """Return the phase in radians of an oscillator whose frequency changes, `step` seconds a sample."""
    phase: Wave = 2 * np.pi * step * np.cumsum(hertz)
    return phase


def _harmonics(phase: Wave, amplitudes: Wave) -> Wave:
    """Return the sum of the sines of the multiples of a phase, each from the two before it."""
    twice_cosine = 2 * np.cos(phase)
    before, sine = np.zeros_like(phase), np.sin(phase)
    total = np.zeros_like(phase)
    for amplitude in amplitudes:
        total += amplitude * sine
        before, sine = sine, twice_cosine * sine - before
    return total


def _beats(scene: Generator, time: Wave, per_second: float, jitter: float) -> Wave:
    """Return times of events of a steady rhythm, each but the first early or late by up to `jitter` of a period."""
    period = 1 / per_second
    times = np.arange(scene.uniform(0, min(period, 0.6 * time[-1])), time[-1], period)
    times[1:] += jitter * period * scene.uniform(-1, 1, len(times) - 1)
    starts: Wave = np.minimum(times, time[-1])
    return starts


def _strikes(time: Wave, starts: Wave, decay_seconds: float) -> Wave:
    """Return an envelope that jumps up by 1 at each start and decays exponentially."""
    step = time[1]
    hits = np.zeros_like(time)
    np.add.at(hits, (starts / step).astype(int), 1.0)
    envelope: Wave = lfilter([1.0], [1.0, -np.exp(-step / decay_seconds)], hits)
    return envelope


def _span(time: Wave, start: float, seconds: float) -> tuple[slice, Wave]:
    """Return where an event of this length lies, and how far it has come there, 0 to 1."""
    step = time[1]
    where = slice(int(start / step), min(int((start + seconds) / step) + 1, len(time)))
    return where, np.clip((time[where] - start) / seconds, 0, 1)


def _hump(done: Wave) -> Wave:
    """Return an envelope that swells and falls."""
    envelope: Wave = np.sin(np.pi * done) ** 2
    return envelope


def _resonance(noise: Wave, hertz: float, width_hertz: float, step: float) -> Wave:
    """Filter by a two-pole resonator."""
    radius = np.exp(-np.pi * width_hertz * step)
    filtered: Wave = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hertz * step), radius**2], noise)
    return filtered


def _normal(sound: Wave) -> Wave:
    """Return a sound at unit power."""
    scaled: Wave = sound / np.sqrt(np.mean(sound**2))
    return scaled


def _coloured(scene: Generator, samples: int, slope: float) -> Wave:
    """Return noise of unit power whose amplitude spectrum goes as frequency ** slope."""
    spectrum = np.fft.rfft(scene.standard_normal(samples))
    spectrum *= np.maximum(np.arange(len(spectrum)) / len(spectrum), 0.005) ** slope
    noise: Wave = np.fft.irfft(spectrum, samples)
    return _normal(noise)


def _channel(sound: Wave, scene: Generator, sample_rate: int) -> Wave:
    """Colour a sound as an unknown microphone and room would: smooth random gains in octave steps."""
    spectrum = np.fft.rfft(sound)
    octave = np.log2(np.maximum(np.arange(len(spectrum)) * sample_rate / len(sound), 62.5) / 62.5)
    gains_db = scene.uniform(-CHANNEL_DB, CHANNEL_DB, 9)
    spectrum *= 10 ** (np.interp(octave, np.arange(9), gains_db) / 20)
    return np.fft.irfft(spectrum, len(sound))


def pluck(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """A plucked string after Karplus and Strong, Computer Music Journal 7(2), 1983: noise in a loop that smooths it."""
    step = time[1]
    period, keep, rate = round(1 / (step * voice.uniform(120, 500))), voice.uniform(0.985, 0.998), voice.uniform(1.2, 3)
    plucks = np.zeros_like(time)
    for start in _beats(scene, time, rate, 0.3):
        where, done = _span(time, start, period * step)
        burst = scene.uniform(-1, 1, len(done))
        plucks[where] += burst - burst.mean()
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1, -keep / 2, -keep / 2
    sound: Wave = lfilter([1.0], loop, plucks)
    return sound


def bell(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """Struck bells: inharmonic partials, the higher the shorter."""
    base, decay, rate = voice.uniform(300, 900), voice.uniform(0.3, 0.9), voice.uniform(0.8, 2.5)
    starts = _beats(scene, time, rate, 0.2)
    sound = np.zeros_like(time)
    for ratio in (0.5, 1, 1.19, 2, 2.74, 3.76):
        partial = np.sin(2 * np.pi * base * ratio * time + scene.uniform(0, 6))
        sound += voice.uniform(0.3, 1) * partial * _strikes(time, starts, decay / ratio)
    return sound


def bird(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """Chirps: short glides up or down, in a rhythm."""
    centre, octaves = voice.uniform(1_500, 4_000), voice.uniform(0.3, 1.0) * voice.choice([-1, 1])
    seconds, rate = voice.uniform(0.05, 0.15), voice.uniform(2.5, 6)
    sound = np.zeros_like(time)
    for start in _beats(scene, time, rate, 0.15):
        where, done = _span(time, start, seconds)
        sound[where] += np.sin(_phase(centre * 2 ** (octaves * (done - 0.5)), time[1])) * _hump(done)
    return sound


def siren(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """A siren: pitch that rises and falls without end."""
    centre, octaves, rate = voice.uniform(500, 1_200), voice.uniform(0.4, 1.0), voice.uniform(0.4, 3)
    swing = np.sin(2 * np.pi * (rate * time + scene.uniform()))
    return _harmonics(_phase(centre * 2 ** (octaves / 2 * swing), time[1]), 0.5 ** np.arange(4.0))


def engine(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """An engine: many harmonics of a low pitch that drifts, firing unevenly."""
    base, strength = voice.uniform(35, 110), voice.uniform(0.6, 1, 24) * np.arange(1, 25) ** -voice.uniform(0.2, 0.8)
    drift = 1 + 0.08 * np.sin(2 * np.pi * (voice.uniform(0.2, 0.8) * time + scene.uniform()))
    phase = _phase(base * drift, time[1])
    rough = 0.3 * np.sin(phase / 2) * _coloured(scene, len(time), -0.5)
    return _harmonics(phase, strength) * (1 + 0.3 * np.sin(phase / 2)) + rough


def speech(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """Speech-like: a buzz at the pitch of a voice through formants that change with each syllable."""
    step = time[1]
    base, rate = voice.uniform(90, 260), voice.uniform(3, 5.5)
    melody = 1 + 0.1 * np.sin(2 * np.pi * (voice.uniform(0.5, 1.5) * time + scene.uniform()))
    buzz = _harmonics(_phase(base * melody, time[1]), np.ones(20))
    sound = np.zeros_like(time)
    for start in _beats(scene, time, rate, 0.2):
        where, done = _span(time, start, 0.9 / rate)
        syllable = buzz[where] * _hump(done)
        first, second = scene.uniform(280, 850), scene.uniform(900, 2_400)
        sound[where] += _resonance(syllable, first, 90, step) + 0.6 * _resonance(syllable, second, 130, step)
    return sound


def dog(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """Barks: short, loud, harsh, the pitch falling."""
    base, rate, seconds = voice.uniform(300, 700), voice.uniform(1, 3.5), voice.uniform(0.1, 0.25)
    sound = np.zeros_like(time)
    for start in _beats(scene, time, rate, 0.3):
        where, done = _span(time, start, seconds)
        voiced = _harmonics(_phase(base * 2 ** (-1.2 * done), time[1]), 0.75 ** np.arange(8.0))
        sound[where] += voiced * (1 + 0.8 * scene.standard_normal(len(done))) * _hump(done)
    return sound


def clock(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """Clock ticks: very short resonant clicks, evenly spaced, tick and tock unlike."""
    rate, decay = voice.uniform(2, 6), voice.uniform(0.004, 0.02)
    starts = _beats(scene, time, rate, 0.0)
    sound = np.zeros_like(time)
    for every_other in (starts[::2], starts[1::2]):
        sound += np.sin(2 * np.pi * voice.uniform(1_500, 5_000) * time) * _strikes(time, every_other, decay)
    return sound


def rain(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """Rain: a hiss, and many drops at random."""
    hiss = _coloured(scene, len(time), voice.uniform(-0.2, 0.4))
    drops = np.where(scene.random(len(time)) < voice.uniform(60, 300) * time[1], 1.0, 0.0)
    drops *= scene.exponential(1, len(time))
    splash = _resonance(drops, voice.uniform(800, 3_500), voice.uniform(200, 800), time[1])
    return hiss + voice.uniform(1, 4) * _normal(splash)


def helicopter(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """A rotor: noise that thumps many times a second."""
    rate, depth = voice.uniform(9, 22), voice.uniform(3, 8)
    thump: Wave = np.exp(depth * (np.cos(2 * np.pi * (rate * time + scene.uniform())) - 1))
    return _coloured(scene, len(time), voice.uniform(-0.8, -0.2)) * (0.1 + thump)


SOUNDS: dict[str, Callable[[Generator, Generator, Wave], Wave]] = {
    sound.__name__: sound for sound in (pluck, bell, bird, siren, engine, speech, dog, clock, rain, helicopter)
}


class _Synthetic(WaveformDataModule):
    """The part that both datasets share; `root` is not used."""

    folds = 5
    split = "5 folds by source (two takes each): test = k, validation = k + 1, training = the rest"

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        clips_per_class: int = 50,
        clip_seconds: float = 1.5,
        sample_rate: int = 16_000,
        data_seed: int = 0,
    ) -> None:
        super().__init__(root, cache, fold, seed, batch_size, sample_rate=sample_rate, clip_seconds=clip_seconds)
        self.classes = tuple(SOUNDS)
        if clips_per_class < TAKES * self.folds or clip_seconds < 0.5 or self.sample_rate < 8_000:
            raise DataError(
                f"need clips_per_class ≥ {TAKES * self.folds}, clip_seconds ≥ 0.5 and sample_rate ≥ 8000, got "
                f"{clips_per_class}, {clip_seconds:g} and {self.sample_rate}"
            )
        self.sources_per_class = clips_per_class // TAKES
        self.data_seed = data_seed
        self.clip_shape = (round(clip_seconds * self.sample_rate),)

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Return None: nothing can be missing."""
        return None

    def _clips(self, sounding: list[list[int]], names: list[str], targets: torch.Tensor) -> Splits:
        """Record each source, a list of the classes that sound together, and return this fold's splits."""
        samples, hashes = self._recordings(sounding)
        ids = [f"{name}-{take + 1}" for name in names for take in range(TAKES)]
        groups = [name for name in names for _ in range(TAKES)]
        clips = WaveformClips(samples, ids, groups, hashes, targets.repeat_interleave(TAKES, 0))
        folds = [source // len(SOUNDS) % self.folds for source in range(len(names)) for _ in range(TAKES)]
        return rotated(clips, folds, self.fold)

    def _recordings(self, sounding: list[list[int]]) -> tuple[NDArray[np.int16], list[str]]:
        """Return all clips `(N, S)` and their content hashes, from the cache where this very code has made them."""

        def build(facts: Facts) -> Iterator[NDArray[np.int16]]:
            hashes = facts["hashes"] = []
            for source, labels in enumerate(sounding):
                for take in range(TAKES):
                    clip = self._record(labels, source, take)
                    hashes.append(content_hash(clip))
                    yield clip[np.newaxis]

        recipe = [sounding, self.clip_shape, self.sample_rate, self.data_seed, np.__version__, scipy.__version__]
        code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        samples, facts = ArrayCache(self.cache).array("synthetic", f"{recipe!r} {code}", build)
        return samples, facts["hashes"]

    def _record(self, sounding: list[int], source: int, take: int) -> NDArray[np.int16]:
        """Return one take of a source: its sounds, the channel, the background, a level."""
        scene = np.random.default_rng([self.data_seed, source, take])
        time = np.arange(self.clip_shape[0]) / self.sample_rate
        mixed = np.zeros_like(time)
        for label in sounding:
            # The source's own generator starts afresh in each take, so both takes are of the same bird.
            voice = np.random.default_rng([self.data_seed, source, 1_000 + label])
            sound = list(SOUNDS.values())[label](voice, scene, time)
            mixed += _normal(sound) * 10 ** (scene.uniform(-3, 3) / 20)
        mixed = _channel(mixed, scene, self.sample_rate)
        background = _coloured(scene, len(time), scene.uniform(-0.8, 0.0))
        snr_db = scene.uniform(*SNR_DB)
        mixed = _normal(mixed) + background * 10 ** (-snr_db / 20)
        peak = 10 ** (scene.uniform(-20, -1) / 20)
        clip: NDArray[np.int16] = np.rint(mixed / np.abs(mixed).max() * peak * 32767).astype(np.int16)
        return clip


class Synthetic(_Synthetic):
    """One sound a clip, ten classes.

    Args:
        root: not used.
        cache: folder for the clips; None synthesises them, in a few seconds.
        fold: as in `AudioDataModule`.
        seed: as in `AudioDataModule`; does not change the clips.
        batch_size: as in `AudioDataModule`.
        clips_per_class: an even number, two takes of each source.
        clip_seconds: length of a clip.
        sample_rate: in hertz.
        data_seed: another seed gives another dataset.
    """

    def read(self) -> Splits:
        """Make the clips."""
        labels = [label for _ in range(self.sources_per_class) for label in range(len(SOUNDS))]
        names = [f"{self.classes[label]}-{i // len(SOUNDS) + 1}" for i, label in enumerate(labels)]
        return self._clips([[label] for label in labels], names, torch.tensor(labels))


class SyntheticTags(_Synthetic):
    """One to three sounds at once, to be named all; arguments as for `Synthetic`.

    There are ten times `clips_per_class` clips; a class sounds in twice as many as in `Synthetic`.
    """

    task = "multi"

    def read(self) -> Splits:
        """Make the clips."""
        chance = np.random.default_rng([self.data_seed, 1_000_000])
        scenes = [
            [
                i % len(SOUNDS),
                *chance.permutation(np.delete(np.arange(len(SOUNDS)), i % len(SOUNDS)))[: i // len(SOUNDS) % 3],
            ]
            for i in range(len(SOUNDS) * self.sources_per_class)
        ]
        targets = torch.zeros(len(scenes), len(SOUNDS))
        for scene, sounding in enumerate(scenes):
            targets[scene, sounding] = 1
        return self._clips(scenes, [f"scene-{i + 1}" for i in range(len(scenes))], targets)
