#!/usr/bin/env bash
# speechpy's temporal derivatives do not look at time, and are no differences; its mel filters end at a quarter of the sample rate.
#
# Guess:    `extract_derivative_feature` returns "temporal derivative features" of frames in rows: 0 where nothing changes, and the slope of
#           a ramp. The mel filters cover what is asked for, by default from 0 Hz to half of the rate.
# Happens:  the derivative of features that are always 5 is 1.5, and the second one 0.45. That of a ramp in time is 0.3 times the ramp. If
#           the frames are shuffled, each keeps its derivatives. The 40 filters at 16 kHz reach from 156 to 3,969 Hz: of a tone of 6 kHz
#           the mel energies hold nothing (1e-24 of its power), and of one of 100 Hz 4 %. Nothing is said.
# Cause:    the differences are taken along the features of a frame, and the second half of the formula stands on a line of its own, so
#           that nothing is subtracted. The filters are placed by the number of bins of a half spectrum (257) instead of the points of the
#           transform (512). The lower edge is `low_freq or 300`, so that 0 becomes 300 Hz.
# Matters:  a "cube" of static features and two derivatives, as published models of speaker recognition have it, holds nearly the same thing
#           three times, and MFCCs of 16 kHz are those of a telephone. Use librosa or python_speech_features.
# Versions: speechpy 2.4, numpy 1.26.4 (with numpy 2 the derivatives raise, the filters are the same), scipy 1.13.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   speechpy 2.4
#   derivatives of 5, 5, 5...: 1.50 and 0.45
#   derivatives of 0, 1, 2, 3, 4...: 0.0 0.3 0.6 0.9 1.2...
#   shuffled frames keep their derivatives: True
#   filters from 156 to 3969 Hz of a rate of 16000 Hz
#   tone of 100 Hz: 4 % of its power is in the mel energies
#   tone of 1000 Hz: 100 % of its power is in the mel energies
#   tone of 5000 Hz: 0 % of its power is in the mel energies
#   tone of 6000 Hz: 0 % of its power is in the mel energies
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==1.26.4 scipy==1.13.1 speechpy==2.4

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import speechpy

RATE = 16_000
print("speechpy", version("speechpy"))
constant = speechpy.feature.extract_derivative_feature(np.full((10, 13), 5.0))
print(f"derivatives of 5, 5, 5...: {constant[5, 6, 1]:.2f} and {constant[5, 6, 2]:.2f}")
ramp = speechpy.feature.extract_derivative_feature(np.repeat(np.arange(10.0)[:, None], 13, axis=1))[:, 6, 1]
print("derivatives of 0, 1, 2, 3, 4...:", *(f"{each:.1f}" for each in ramp[:4]), f"{ramp[4]:.1f}...")
generator = np.random.default_rng(0)
frames, order = generator.standard_normal((50, 13)), generator.permutation(50)
extract = speechpy.feature.extract_derivative_feature
timeless = np.array_equal(extract(frames)[order], extract(frames[order]))
print("shuffled frames keep their derivatives:", timeless)
used = np.flatnonzero(speechpy.feature.filterbanks(40, 257, RATE, 0, RATE / 2).sum(axis=0)) * RATE / 512
print(f"filters from {round(used[0])} to {round(used[-1])} Hz of a rate of {RATE} Hz")
shares = {}
for frequency in (100, 1000, 5000, 6000):
    tone = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
    bands, energy = speechpy.feature.mfe(tone, RATE, frame_length=0.032)
    shares[frequency] = bands.sum() / energy.sum()
    print(f"tone of {frequency} Hz: {100 * shares[frequency]:.0f} % of its power is in the mel energies")
holds = abs(constant[5, 6, 1] - 1.5) < 1e-9 and abs(ramp[4] - 1.2) < 1e-9 and timeless and used[-1] < 4000 and shares[6000] < 1e-9
sys.exit(0 if holds else "the behaviour has changed")
PYTHON
venv/bin/python check.py
