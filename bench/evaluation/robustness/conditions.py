"""The conditions under which kept models are evaluated again, and the disturbance of a clip under each.

A disturbance depends on the seed, the condition's kind and the name of the clip, and on nothing else: all models get
the same disturbed clips, in batches of any size, and a clip gets the same piece of noise at every ratio. Ratios are of
the power over the whole clip. Sums are not clipped, unless a condition says so.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

from bench.catalog import nearest
from bench.errors import RunError, SuiteError
from bench.evaluation.robustness import codecs, room
from bench.evaluation.robustness.noises import Recordings
from bench.records import Json

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

VERSION = 1
"""Version of the disturbances; another version is evaluated again."""

CLEAN = "clean"
VOICES = 6
"""Voices of the babble."""

ROOM = (7.0, 5.0, 3.0)
"""Size of the reverberant room in metres."""

ROOMS = 16
"""Number of places of source and microphone in each room; a clip gets one of them."""


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        name: such as "noise-10".
        head: of a table's column.
        kind: function of `Disturber`.
        settings: numbers of the disturbance by name.
        line: what it does, in one sentence.
    """

    name: str
    head: str
    kind: str
    settings: Mapping[str, float] = field(default_factory=dict)
    line: str = ""


def _all() -> tuple[Condition, ...]:
    found = [Condition(CLEAN, "clean", "clean", {}, "The test clips as they are.")]
    for snr in (20, 10, 5, 0):
        line = f"A piece of a recording of noise, {snr} dB below the clip."
        found.append(Condition(f"noise-{snr}", f"noise {snr} dB", "noise", {"snr_db": snr}, line))
    for snr in (20, 10, 5, 0):
        line = f"{VOICES} pieces of recordings of speech, equally loud, {snr} dB below the clip."
        found.append(Condition(f"babble-{snr}", f"babble {snr} dB", "babble", {"snr_db": snr}, line))
    for rt60 in (0.3, 0.6, 1.0):
        line = f"A room of 7 by 5 by 3 m, {rt60:g} s by Eyring's formula (image-source method), at the clip's level."
        found.append(Condition(f"room-{rt60:g}", f"room {rt60:g} s", "room", {"rt60": rt60}, line))
    telephone = "8 kHz, 300 to 3,400 Hz (fourth order), 8-bit µ-law: G.711."
    found.append(Condition("telephone", "telephone", "telephone", {}, telephone))
    lowpass = "A low-pass of eighth order at 4,000 Hz."
    found.append(Condition("lowpass-4000", "below 4 kHz", "lowpass", {"hertz": 4000}, lowpass))
    for kbps, at in ((32, 32_000), (16, 16_000)):
        line = f"MP3 at {kbps} kbit/s and {at // 1000} kHz."
        found.append(Condition(f"mp3-{kbps}", f"MP3 {kbps}k", "mp3", {"kbps": kbps, "at": at}, line))
    for kbps, at in ((12, 24_000), (6, 16_000)):
        line = f"Opus at {kbps} kbit/s and {at // 1000} kHz."
        found.append(Condition(f"opus-{kbps}", f"Opus {kbps}k", "opus", {"kbps": kbps, "at": at}, line))
    for decibels in (-20, -40, 6):
        line = f"The level changed by {decibels:+d} dB."
        found.append(Condition(f"gain{decibels:+d}", f"{decibels:+d} dB", "gain", {"db": decibels}, line))
    for decibels in (10, 20):
        line = f"Overdriven by {decibels} dB: amplified, and clipped at the clip's own peak."
        found.append(Condition(f"clipping-{decibels}", f"clipped {decibels} dB", "clipping", {"db": decibels}, line))
    for share in (10, 50):
        line = f"The clip shifted by {share} % of its length, circularly."
        found.append(Condition(f"shift-{share}", f"shift {share} %", "shift", {"share": share / 100}, line))
    return tuple(found)


CONDITIONS: Mapping[str, Condition] = {condition.name: condition for condition in _all()}
"""All conditions by name, in the order of the tables."""

NEEDS = {"noise": "noise", "babble": "speech"}
"""Kind of condition to the folder of MUSAN that it needs."""


def choose(names: Sequence[str]) -> tuple[Condition, ...]:
    """Return conditions by name, or by kind ("noise" for all of its ratios); none named means all. "clean" comes first.

    Raises:
        SuiteError: there is no such condition.
    """
    kinds = {condition.kind for condition in CONDITIONS.values()}
    for name in names:
        if name not in CONDITIONS and name not in kinds:
            near = nearest(name, [*CONDITIONS, *kinds])
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(CONDITIONS)}"
            raise SuiteError(f"there is no condition {name!r}; {hint}")
    return tuple(
        condition
        for condition in CONDITIONS.values()
        if not names or condition.name in names or condition.kind in names or condition.name == CLEAN
    )


@dataclass(frozen=True)
class Disturber:
    """Disturbs clips of one sample rate.

    Attributes:
        rate: in hertz.
        seed: of all random choices.
        recordings: MUSAN's folder ("noise", "speech") to its recordings.
    """

    rate: int
    seed: int = 0
    recordings: Mapping[str, Recordings] = field(default_factory=dict)

    def settings(self, condition: Condition) -> Json:
        """Return everything that decides a condition's clips: two evaluations with equal settings are the same."""
        found: Json = {"version": VERSION, "kind": condition.kind, "rate": self.rate, **condition.settings}
        if condition.kind in ("noise", "babble", "room"):
            found["seed"] = self.seed
        if (folder := NEEDS.get(condition.kind)) is not None:
            found["recordings"] = self._needed(folder).digest
        return found

    def batch(self, condition: Condition, clips: Samples, ids: Sequence[str]) -> Samples:
        """Return disturbed clips `(B, S)` float32, from clips `(B, S)` and their names."""
        return np.stack([self.clip(condition, clip, name) for clip, name in zip(clips, ids, strict=True)])

    def clip(self, condition: Condition, clip: Samples, name: str) -> Samples:
        """Return one disturbed clip `(S,)` float32; a silent clip stays silent."""
        if condition.kind == "clean" or not np.any(clip):
            return clip
        digest = hashlib.sha256(f"{self.seed} {condition.kind} {name}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8]))
        change = getattr(self, f"_{condition.kind}")
        return np.asarray(change(clip, rng, **condition.settings), np.float32)

    def _noise(self, clip: Samples, rng: np.random.Generator, snr_db: float) -> Floats:
        return added(clip, self._needed("noise").piece(len(clip), rng), snr_db)

    def _babble(self, clip: Samples, rng: np.random.Generator, snr_db: float) -> Floats:
        return added(clip, self._needed("speech").voices(len(clip), VOICES, rng), snr_db)

    def _room(self, clip: Samples, rng: np.random.Generator, rt60: float) -> Floats:
        response = _response(rt60, self.rate, self.seed, int(rng.integers(ROOMS)))
        wet = fftconvolve(clip.astype(np.float64), response)[: len(clip)]
        return np.asarray(wet * np.sqrt(np.mean(clip.astype(np.float64) ** 2) / max(np.mean(wet**2), 1e-30)))

    def _telephone(self, clip: Samples, rng: np.random.Generator) -> Floats:
        narrow = soxr.resample(clip.astype(np.float64), self.rate, 8000)
        narrow = sosfilt(butter(4, (300, 3400), "bandpass", fs=8000, output="sos"), narrow)
        wide: Floats = soxr.resample(mu_law(narrow), 8000, self.rate)
        return np.pad(wide, (0, max(0, len(clip) - len(wide))))[: len(clip)]

    def _lowpass(self, clip: Samples, rng: np.random.Generator, hertz: float) -> Floats:
        if 2 * hertz >= self.rate:
            return clip.astype(np.float64)  # nothing is above
        return np.asarray(sosfilt(butter(8, hertz, fs=self.rate, output="sos"), clip.astype(np.float64)))

    def _mp3(self, clip: Samples, rng: np.random.Generator, kbps: float, at: float) -> Samples:
        return codecs.round_trip(clip, self.rate, "mp3", kbps, int(at))

    def _opus(self, clip: Samples, rng: np.random.Generator, kbps: float, at: float) -> Samples:
        return codecs.round_trip(clip, self.rate, "opus", kbps, int(at))

    def _gain(self, clip: Samples, rng: np.random.Generator, db: float) -> Floats:
        return clip.astype(np.float64) * 10 ** (db / 20)

    def _clipping(self, clip: Samples, rng: np.random.Generator, db: float) -> Floats:
        peak = float(np.abs(clip).max())
        return np.clip(clip.astype(np.float64) * 10 ** (db / 20), -peak, peak)

    def _shift(self, clip: Samples, rng: np.random.Generator, share: float) -> Floats:
        return np.roll(clip.astype(np.float64), round(share * len(clip)))

    def _needed(self, folder: str) -> Recordings:
        if folder not in self.recordings:
            raise RunError(f"there are no recordings of MUSAN's {folder}: name the folder of MUSAN with --musan")
        return self.recordings[folder]


def added(clip: Samples, disturbance: Floats, snr_db: float) -> Floats:
    """Return a clip with a disturbance at this signal-to-noise ratio in decibels, over the whole clip."""
    signal, noise = np.mean(clip.astype(np.float64) ** 2), np.mean(disturbance**2)
    return np.asarray(clip + np.sqrt(signal / noise) * 10 ** (-snr_db / 20) * disturbance)


def mu_law(samples: Floats) -> Floats:
    """Return samples after 8-bit µ-law coding (µ = 255), limited to [-1, 1]."""
    limited = np.clip(samples, -1, 1)
    coded = np.sign(limited) * np.log1p(255 * np.abs(limited)) / np.log(256)
    steps = np.round(coded * 127) / 127
    return np.asarray(np.sign(steps) * (256 ** np.abs(steps) - 1) / 255)


@cache
def _response(rt60: float, rate: int, seed: int, number: int) -> Floats:
    """Return the impulse response of one pair of places in the room; all reverberation times have the same places."""
    source, microphone = room.places(ROOM, np.random.default_rng((seed, number)))
    return room.impulse_response(ROOM, rt60, source, microphone, rate)


def find_musan(data_dir: Path) -> Path | None:
    """Return MUSAN's folder in a data folder, or that of `speech_music_noise`; None where there is neither."""
    places = (data_dir / "musan", data_dir / "speech_music_noise" / "musan", data_dir)
    return next((place for place in places if all((place / name).is_dir() for name in NEEDS.values())), None)
