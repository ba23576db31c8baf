#!/usr/bin/env bash
# scikit-maad resamples a stereo sound from one channel to the other: its channels change in number, and its length stays.
#
# Guess:    `resample` and `trim` take a "mono or stereo signal", as their documentation says, and return as many channels as they got; the
#           default method of resampling and the other one return arrays of one shape.
# Happens:  one second of stereo at 44.1 kHz, (2, 44100), becomes (1, 44100) at 22.05 kHz and (3, 44100) at 48 kHz; the method "scipy"
#           returns (2, 22050) and (2, 48000). A stereo sound that `trim` pads to two seconds is a mono sound, (88200,): its second
#           channel. Without padding, trim returns both channels. Nothing is said.
# Cause:    the default method calls SciPy's resample_poly without an axis, whose default is the first one; the other method names the last
#           one. The loop over channels in `trim` replaces the result by each padded channel, so the last one is left.
# Matters:  the package's own `trim` and `write` put channels first. What is written with the new rate plays twice as long and an octave
#           lower, and clips of a folder have two channels or one, depending on their lengths. Go through the channels yourself.
# Versions: scikit-maad 1.5.2, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   scikit-maad 1.5.2
#   (2, 44100) from 44100 to 22050 Hz: (1, 44100), with method scipy (2, 22050)
#   (2, 44100) from 44100 to 48000 Hz: (3, 44100), with method scipy (2, 48000)
#   trim (2, 44100) to 0.5 s: (2, 22050)
#   trim (2, 44100) to 2 s with pad: (88200,), which is the second channel: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 matplotlib==3.11.2 scikit-image==0.26.0 scikit-maad==1.5.2

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from maad import sound

RATE = 44_100
stereo = 0.1 * np.random.default_rng(0).standard_normal((2, RATE))
print("scikit-maad", version("scikit-maad"))
shapes = []
for rate in (22_050, 48_000):
    default, other = sound.resample(stereo, RATE, rate), sound.resample(stereo, RATE, rate, res_type="scipy")
    print(f"{stereo.shape} from {RATE} to {rate} Hz: {default.shape}, with method scipy {other.shape}")
    shapes += [default.shape, other.shape]
short = sound.trim(stereo, RATE, 0, 0.5)
print(f"trim {stereo.shape} to 0.5 s: {short.shape}")
padded = sound.trim(stereo, RATE, 0, 2, pad=True)
second = np.array_equal(padded[:RATE], stereo[1])
print(f"trim {stereo.shape} to 2 s with pad: {padded.shape}, which is the second channel: {second}")
holds = shapes == [(1, RATE), (2, 22_050), (3, RATE), (2, 48_000)] and short.shape == (2, 22_050) and padded.shape == (2 * RATE,) and second
sys.exit(0 if holds else "the behaviour has changed")
PYTHON
venv/bin/python check.py
