#!/usr/bin/env bash
# The feature "energy" of pyAudioAnalysis does not know how loud a recording is, and one click in it changes all frames.
#
# Guess:    a clip that is 40 dB softer has an energy that is 40 dB lower: a factor of 10,000.
# Happens:  it has the same energy. A click of a single sample, ten times as high as the loudest one before it, lowers the energy of
#           every frame that it is not in by 20 dB.
# Cause:    before anything else the whole recording is moved to a mean of zero and scaled to a peak of one.
# Matters:  a classifier on these features cannot tell a near sound from a far one, or silence with a little noise from speech. A long
#           recording that is read as a whole gives other features than the same recording in pieces, because each piece has its own peak.
# Versions: pyAudioAnalysis 0.3.14, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   pyAudioAnalysis 0.3.14
#   40 dB softer: energy 0.0 dB lower
#   with one click: energy 20.0 dB lower in the frames without it
#   the softer half of a recording, with the louder half and alone: 20.0 dB apart
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2 tqdm==4.70.1
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps pyAudioAnalysis==0.3.14

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pyAudioAnalysis import ShortTermFeatures

RATE, WINDOW = 16_000, 800


def energies(sound):
    """The energy of each frame of 50 ms."""
    found, names = ShortTermFeatures.feature_extraction(sound, RATE, WINDOW, WINDOW)
    return found[names.index("energy")]


def apart(a, b):
    return round(10 * np.log10(np.mean(a) / np.mean(b)), 1) + 0.0


sound = 300 * np.random.default_rng(0).standard_normal(2 * RATE)  # in units of 16-bit samples
click = sound.copy()
click[100] = 10 * np.abs(sound).max()
halves = np.concatenate([10 * sound[:RATE], sound[:RATE]])

softer = apart(energies(sound), energies(sound / 100))
clicked = apart(energies(sound)[1:], energies(click)[1:])
alone = apart(energies(halves[RATE:])[1:], energies(halves)[RATE // WINDOW + 1 :])
print("pyAudioAnalysis", version("pyAudioAnalysis"))
print(f"40 dB softer: energy {softer} dB lower")
print(f"with one click: energy {clicked} dB lower in the frames without it")
print(f"the softer half of a recording, with the louder half and alone: {alone} dB apart")
sys.exit(0 if (softer, clicked, alone) == (0.0, 20.0, 20.0) else "the behaviour has changed")
PYTHON
venv/bin/python check.py
