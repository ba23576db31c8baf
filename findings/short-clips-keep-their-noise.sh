#!/usr/bin/env bash
# noisereduce takes the noise of a short clip for signal: white noise becomes 4 dB quieter in a clip of 1 s and 33 dB in one of 30 s.
#
# Guess:    the default noise reduction treats the same noise alike: white noise becomes about as much quieter in a short clip as in a long
#           one, and at the ends of a clip as in its middle.
# Happens:  in clips of white noise at 16 kHz, the noise becomes 1 dB quieter in half a second, 4 dB in 1 s, 19 dB in 4 s and 33 dB in 30 s.
#           In a minute of noise, the first and the last second become 20 dB quieter, and the middle 49 dB. With `padding=0` it is
#           25 dB instead of 4 dB in the clip of 1 s.
# Cause:    each chunk is padded with 30,000 zeros on either side, and the noise floor is an average over 2 s of the padded sound. The
#           zeros pull the floor down near the ends, so the noise stands out from it as a signal does.
# Matters:  clips of 1 s to 5 s, as of keywords or ESC-50, keep more noise the shorter they are, and detections at the ends of recordings
#           see other noise than the rest. The padding is counted in samples, so it is 1.9 s at 16 kHz and 0.7 s at 44.1 kHz. Clean
#           whole recordings before you cut them, and pass `padding=0` for clips, or pad them with their own reflection.
# Versions: noisereduce 3.0.3, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   noisereduce 3.0.3
#   0.5 s of noise: -1 dB, with padding=0 -20 dB
#   1 s of noise: -4 dB, with padding=0 -25 dB
#   4 s of noise: -19 dB, with padding=0 -39 dB
#   30 s of noise: -33 dB, with padding=0 -46 dB
#   60 s of noise: -20 dB in the first second, -49 dB in the middle, -20 dB in the last
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scipy==1.17.1 joblib==1.6.0 matplotlib==3.11.2 noisereduce==3.0.3

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import noisereduce
import numpy as np

RATE = 16_000
noise = 0.1 * np.random.default_rng(0).standard_normal(60 * RATE)


def change(sound, cleaned):
    return round(10 * np.log10(np.mean(cleaned**2) / np.mean(sound**2)))


print("noisereduce", version("noisereduce"))
seen = []
for seconds in (0.5, 1, 4, 30):
    clip = noise[: int(seconds * RATE)]
    changes = [change(clip, noisereduce.reduce_noise(clip, RATE, **options)) for options in ({}, {"padding": 0})]
    print(f"{seconds:g} s of noise: {changes[0]} dB, with padding=0 {changes[1]} dB")
    seen.append(changes)
cleaned = noisereduce.reduce_noise(noise, RATE)
first, middle, last = (change(noise[part], cleaned[part]) for part in (slice(0, RATE), slice(15 * RATE, 45 * RATE), slice(59 * RATE, None)))
print(f"60 s of noise: {first} dB in the first second, {middle} dB in the middle, {last} dB in the last")
holds = seen[1][0] > -6 and seen[1][1] < -20 and seen[3][0] < -30 and min(first, last) > -25 and middle < -40
sys.exit(0 if holds else "the behaviour has changed")
PYTHON
venv/bin/python check.py
