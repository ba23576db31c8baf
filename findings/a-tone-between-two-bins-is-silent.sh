#!/usr/bin/env bash
# biosonic finds no dominant frequency in one steady tone of twelve, nor in most frames of a fast sweep, and its table of features then fails.
#
# Guess:    dominant_frequencies() gives a bin next to the frequency of a loud, steady tone in each frame, whatever that frequency is.
# Happens:  a tone of 3,000 Hz has its bin in all frames, one of 3,047 Hz has NaN in all frames, and so have 8 % of all tones. A sweep from 2
#           to 8 kHz in half a second has NaN in 8 % of its frames; in 50 ms, which is a call of a bird, in 75 %. Where all frames are NaN,
#           extract_all_features() raises an error about a "zero-size array", and no feature at all comes out.
# Cause:    a peak must exceed both of its neighbours by `threshold`, 5 % of the range of its frame. A tone between two bins has two bins
#           of the same height, and a sweep spreads over several, so no single bin stands out. The documentation describes the parameters
#           for height, distance and prominence, and leaves this one out.
# Matters:  the mean, range and modulation of the dominant frequency are the usual features of calls. They come from a choice of frames that
#           depends on the grid of bins: steep sweeps, which tell species apart, are left out. threshold=0 finds all of them.
# Versions: biosonic 0.1.8, scipy 1.17.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   biosonic 0.1.8
#   frames without a dominant frequency: a tone of 3000 Hz 0%, one of 3047 Hz 100%, with threshold=0 0%
#   tones from 2 to 8 kHz in steps of 10 Hz of which nothing is found: 8.0%
#   sweeps from 2 to 8 kHz, frames without one: in 0.5 s 8%, in 0.1 s 24%, in 0.05 s 75%
#   extract_all_features, on a bin: mean_dom 3000 Hz
#   extract_all_features, between: zero-size array to reduction operation minimum which has no identity
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 biosonic==0.1.8

cat > check.py <<'PYTHON'
from importlib.metadata import version

import numpy as np
from biosonic.compute.spectrotemporal import dominant_frequencies
from biosonic.compute.utils import extract_all_features
from scipy.signal import chirp

RATE = 48_000
TIME = np.arange(RATE) / RATE
STEP = RATE / 512  # between two bins of the default window


def missing(sound, **settings):
    """Return the share of frames in which nothing was found."""
    return np.isnan(dominant_frequencies(sound, RATE, **settings)).mean()


def sweep(seconds):
    time = TIME[: round(seconds * RATE)]
    return chirp(time, 2000, time[-1], 8000)


print("biosonic", version("biosonic"))
on, between = np.sin(2 * np.pi * 32 * STEP * TIME), np.sin(2 * np.pi * 32.5 * STEP * TIME)
print(f"frames without a dominant frequency: a tone of {32 * STEP:.0f} Hz {missing(on):.0%},", end=" ")
print(f"one of {32.5 * STEP:.0f} Hz {missing(between):.0%}, with threshold=0 {missing(between, threshold=0):.0%}")
lost = [missing(np.sin(2 * np.pi * frequency * TIME)) == 1 for frequency in np.arange(2000, 8000, 10)]
print(f"tones from 2 to 8 kHz in steps of 10 Hz of which nothing is found: {np.mean(lost):.1%}")
print("sweeps from 2 to 8 kHz, frames without one:", end=" ")
print(", ".join(f"in {seconds} s {missing(sweep(seconds)):.0%}" for seconds in (0.5, 0.1, 0.05)))
features = {}
for name, sound in (("on a bin", on), ("between", between)):
    call = np.hanning(RATE) * sound + 1e-3 * np.random.default_rng(0).standard_normal(RATE)  # it comes and goes, 60 dB above noise
    try:
        features[name] = extract_all_features(call, RATE)
        print(f"extract_all_features, {name}: mean_dom {features[name]['mean_dom']:.0f} Hz")
    except ValueError as error:
        print(f"extract_all_features, {name}: {error}")
assert missing(on) == 0 == missing(between, threshold=0)
assert missing(between) == 1
assert 0.05 < np.mean(lost) < 0.12
assert missing(sweep(0.05)) > 0.5
assert list(features) == ["on a bin"]
PYTHON
venv/bin/python check.py
