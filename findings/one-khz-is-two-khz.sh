#!/usr/bin/env bash
# spafe hears a tone of 1 kHz at 2 kHz and one of 6 kHz at 4 kHz, and returns no frames for a sound above a quarter of the rate.
#
# Guess:    get_dominant_frequencies of a sine of 1 kHz returns 1,000 Hz for each frame, within a line of the spectrum (31 Hz).
#           extract_feats gives the same centroid, and, as its types say, single numbers.
# Happens:  at 16 kHz, sines of 0.5 to 3 kHz have twice their frequency. Sines of 5 and 6 kHz have no frames at all (with
#           only_positive=True, the default), or -6.0 and -4.0 kHz. The centroids are 1,992 Hz for 1 kHz and 4,047 Hz for 6 kHz: above
#           4 kHz, the higher the tone the lower its centroid. The spread and the roll-off are arrays of 257 values, the mean and the RMS
#           are complex numbers, and all features stay as they are if the sound behind the first 512 samples changes. Nothing is said.
# Cause:    the spectrum comes from rfft, which has lines from 0 to half the rate; its frequencies come from fftfreq, which lays the same
#           number of lines over the whole rate, the upper half below 0. The roll-off is called as f(rate, spectrum) where f(spectrum, k)
#           is defined, so that it is the spectrum times the rate.
# Matters:  frequencies of calls are wrong by a factor of 2 or folded, and tables of frames lose the high sounds without a gap, so that
#           frames and times no longer match. Use np.fft.rfftfreq(nfft, 1 / rate) and argmax, or librosa.feature.spectral_centroid.
# Versions: spafe 0.3.3, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   spafe 0.3.3
#   500 Hz: dominant 996 Hz, 98 of 98 frames, centroid 996 Hz
#   1,000 Hz: dominant 1,992 Hz, 98 of 98 frames, centroid 1,992 Hz
#   3,000 Hz: dominant 5,977 Hz, 98 of 98 frames, centroid 5,977 Hz
#   5,000 Hz: dominant -6,039 Hz, 0 of 98 frames, centroid 6,039 Hz
#   6,000 Hz: dominant -4,047 Hz, 0 of 98 frames, centroid 4,047 Hz
#   arrays: spectral_spread, spectral_rolloff
#   complex: spectral_mean, spectral_rms
#   with another tone behind the first 512 samples the features are the same
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 spafe==0.3.3

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from spafe.features.spfeats import extract_feats
from spafe.frequencies.dominant_frequencies import get_dominant_frequencies

RATE = 16_000


def tone(frequency):
    return np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)


print("spafe", version("spafe"))
seen = {}
for frequency in (500, 1000, 3000, 5000, 6000):
    sound = tone(frequency)
    found, every = get_dominant_frequencies(sound, RATE), get_dominant_frequencies(sound, RATE, only_positive=False)
    centroid = extract_feats(sound, RATE)["spectral_centroid"]
    seen[frequency] = len(found), round(float(np.median(every))), round(float(np.real(centroid)))
    frames = f"{len(found)} of {len(every)} frames"
    print(f"{frequency:,} Hz: dominant {seen[frequency][1]:,} Hz, {frames}, centroid {seen[frequency][2]:,} Hz")
features = extract_feats(tone(1000), RATE)
arrays = [name for name, value in features.items() if np.shape(value)]
complex_numbers = [name for name, value in features.items() if not np.shape(value) and abs(np.imag(value)) > 0.1]
print("arrays:", ", ".join(arrays))
print("complex:", ", ".join(complex_numbers))
other = np.concatenate([tone(1000)[:512], tone(300)[512:]])
same = all(np.array_equal(value, features[name]) for name, value in extract_feats(other, RATE).items())
print("with another tone behind the first 512 samples the features are", "the same" if same else "others")
ok = all(abs(seen[frequency][1] - 2 * frequency) < 35 and seen[frequency][0] == 98 for frequency in (500, 1000, 3000))
ok &= seen[5000][0] == seen[6000][0] == 0 and abs(seen[6000][2] - 4000) < 100 and "spectral_rolloff" in arrays and same
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
