#!/usr/bin/env bash
# openSMILE's eGeMAPS calls the same sound 1.8 times as loud at 48 kHz as at 16 kHz.
#
# Guess:    eGeMAPSv02 describes a voice in physical units (loudness, Hz, dB). A sound without energy above 3.5 kHz gives
#           the same 88 values, within a few per cent, whether its file has 16, 44.1 or 48 kHz.
# Happens:  Mean loudness is 0.77 at 16 kHz, 1.35 at 44.1 kHz and 1.39 at 48 kHz. Spectral flux triples and the slope from
#           500 to 1,500 Hz grows 4.5 times. 27 of the 88 values move by more than 20 %. At 8 kHz, loudness is 0.55.
#           The pitch stays. No warning is given.
# Cause:    Spectral flux grows in proportion to the rate, as unscaled Fourier magnitudes of frames of one duration do;
#           loudness compresses them.
# Matters:  RAVDESS has 48 kHz and most speech corpora 16 kHz. A classifier of emotions that was trained on one and is
#           tested on the other takes every voice for a louder one. Bring all sound to one rate first; `process_file` and
#           `process_signal` keep the file's own rate unless `Smile(sampling_rate=..., resample=True)` says otherwise.
# Versions: opensmile 2.6.0 (openSMILE 3.0.2), numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   16 kHz: mean loudness 0.769, flux 0.087, pitch 37.5 semitones
#   44.1 kHz: mean loudness 1.349, flux 0.238, pitch 37.5 semitones
#   48 kHz: mean loudness 1.388, flux 0.261, pitch 37.5 semitones
#   27 of 88 values differ by more than 20 % between 16 and 48 kHz
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check opensmile==2.6.0 numpy==2.4.6

cat > check.py <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import numpy as np
import opensmile


def vowel(rate, seconds=3.0):
    """Return a vowel of three formants: 26 harmonics of about 120 Hz, computed at the rate, nothing above 3.6 kHz."""
    t = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * t)) / rate
    sound = np.zeros_like(t)
    for n in range(1, 27):
        level = sum(1 / (1 + ((120 * n - centre) / width) ** 2) for centre, width in ((700, 60), (1200, 80), (2600, 120)))
        sound += level * np.sin(n * phase)
    return (0.05 * (0.6 + 0.4 * np.sin(4 * np.pi * t)) * sound).astype(np.float32)


smile = opensmile.Smile(
    feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals
)
found = {rate: smile.process_signal(vowel(rate), rate).iloc[0] for rate in (16000, 44100, 48000)}
for rate, values in found.items():
    loudness, flux, pitch = (
        values[name] for name in ("loudness_sma3_amean", "spectralFlux_sma3_amean", "F0semitoneFrom27.5Hz_sma3nz_amean")
    )
    print(f"{rate / 1000:g} kHz: mean loudness {loudness:.3f}, flux {flux:.3f}, pitch {pitch:.1f} semitones")
low, high = found[16000], found[48000]
moved = int(((low - high).abs() > 0.2 * low.abs()).sum())
print(f"{moved} of {len(low)} values differ by more than 20 % between 16 and 48 kHz")
assert 1.7 < high["loudness_sma3_amean"] / low["loudness_sma3_amean"] < 1.9
assert high["spectralFlux_sma3_amean"] > 2.5 * low["spectralFlux_sma3_amean"]
assert abs(high["F0semitoneFrom27.5Hz_sma3nz_amean"] - low["F0semitoneFrom27.5Hz_sma3nz_amean"]) < 0.1
assert moved >= 20
PYTHON
venv/bin/python check.py
