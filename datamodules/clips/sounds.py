"""Synthesised sounds after real sources, each with its own pitch, timbre and rhythm. Never imports torch."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Wave = NDArray[np.float64]
CHANNEL_DB = 3.0


def _filtered(outs: Sequence[float] | Wave, ins: Sequence[float] | Wave, sound: Wave) -> Wave:
    """Filter by the two polynomials of a rational transfer function, numerator first."""
    from scipy.signal import lfilter  # takes up to a second to import, which only who makes sounds needs

    filtered: Wave = lfilter(outs, ins, sound)
    return filtered


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
    envelope: Wave = _filtered([1.0], [1.0, -np.exp(-step / decay_seconds)], hits)
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
    filtered: Wave = _filtered([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hertz * step), radius**2], noise)
    return filtered


def normal(sound: Wave) -> Wave:
    """Return a sound at unit power."""
    scaled: Wave = sound / np.sqrt(np.mean(sound**2))
    return scaled


def coloured(scene: Generator, samples: int, slope: float) -> Wave:
    """Return noise of unit power whose amplitude spectrum goes as frequency ** slope."""
    spectrum = np.fft.rfft(scene.standard_normal(samples))
    spectrum *= np.maximum(np.arange(len(spectrum)) / len(spectrum), 0.005) ** slope
    noise: Wave = np.fft.irfft(spectrum, samples)
    return normal(noise)


def channel(sound: Wave, scene: Generator, sample_rate: int) -> Wave:
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
    sound: Wave = _filtered([1.0], loop, plucks)
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
    rough = 0.3 * np.sin(phase / 2) * coloured(scene, len(time), -0.5)
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
    hiss = coloured(scene, len(time), voice.uniform(-0.2, 0.4))
    drops = np.where(scene.random(len(time)) < voice.uniform(60, 300) * time[1], 1.0, 0.0)
    drops *= scene.exponential(1, len(time))
    splash = _resonance(drops, voice.uniform(800, 3_500), voice.uniform(200, 800), time[1])
    return hiss + voice.uniform(1, 4) * normal(splash)


def helicopter(voice: Generator, scene: Generator, time: Wave) -> Wave:
    """A rotor: noise that thumps many times a second."""
    rate, depth = voice.uniform(9, 22), voice.uniform(3, 8)
    thump: Wave = np.exp(depth * (np.cos(2 * np.pi * (rate * time + scene.uniform())) - 1))
    return coloured(scene, len(time), voice.uniform(-0.8, -0.2)) * (0.1 + thump)


SOUNDS: dict[str, Callable[[Generator, Generator, Wave], Wave]] = {
    sound.__name__: sound for sound in (pluck, bell, bird, siren, engine, speech, dog, clock, rain, helicopter)
}
