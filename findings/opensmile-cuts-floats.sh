#!/usr/bin/env bash
# openSMILE makes 16-bit numbers of float samples, cut towards zero and at full scale, without a word.
#
# Guess:    process_signal takes floats, so features that do not depend on the level (harmonics-to-noise ratio, spectral slopes, jitter)
#           are the same for a voice and for the same voice at any level.
# Happens:  all 88 eGeMAPS features of a float signal are exactly those of its samples cut to 16 bits towards zero. At 4 times the
#           level, where the peaks are at 1.6, the harmonics-to-noise ratio falls from 10.7 to 7.7 dB and the alpha ratio rises from
#           -11.6 to -7.8 dB. At a thousandth of the level no frame counts as voiced: both are 0, and so is the pitch (semitones above 27.5 Hz).
# Cause:    the Python interface converts to the format of a 16-bit WAV file before it analyses.
# Matters:  features for the recognition of emotions (RAVDESS) are often computed after a gain, mixing, resampling or denoising in
#           floats, whose peaks exceed 1; those clips get other features than the rest of their class. Cutting towards zero makes a dead
#           zone of two steps, which matters in quiet recordings. Zeros are valid values of the features, so nothing warns.
# Versions: opensmile 2.6.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   opensmile 2.6.0
#   floats against 16 bits: cut towards zero, 0 of 88 features differ; rounded, 74 differ
#   level 1: HNR 10.7 dB, alpha ratio -11.6 dB, pitch 29.4 semitones
#   level 4: HNR 7.7 dB, alpha ratio -7.8 dB, pitch 29.4 semitones
#   level 0.001: HNR 0.0 dB, alpha ratio 0.0 dB, pitch 0.0 semitones
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 opensmile==2.6.0

cat > check.py <<'PYTHON'
import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import opensmile

RATE = 16_000
extractor = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def features(samples):
    return extractor.process_signal(samples.astype(np.float32), RATE).iloc[0]


time = np.arange(2 * RATE) / RATE
voice = sum(np.sin(2 * np.pi * 150 * k * time + k) / k for k in range(1, 20)) * (1 + 0.3 * np.sin(2 * np.pi * 3 * time))
voice = 0.4 * voice / np.abs(voice).max() + 0.002 * np.random.default_rng(0).standard_normal(len(time))
voice = voice.astype(np.float32)

print("opensmile", opensmile.__version__)
found = features(voice)
cut, rounded = (int((found != features(each(voice * 32768) / 32768)).sum()) for each in (np.trunc, np.round))
print(
    f"floats against 16 bits: cut towards zero, {cut} of {len(found)} features differ; rounded, {rounded} differ"
)
values = {}
for level in (1, 4, 0.001):
    each = features(level * voice)
    hnr, alpha = each["HNRdBACF_sma3nz_amean"], each["alphaRatioV_sma3nz_amean"]
    values[level] = (hnr, alpha, each["F0semitoneFrom27.5Hz_sma3nz_amean"])
    print(f"level {level:g}: HNR {hnr:.1f} dB, alpha ratio {alpha:.1f} dB, pitch {values[level][2]:.1f} semitones")
ok = cut == 0 < rounded and values[4][0] < values[1][0] - 2 and values[4][1] > values[1][1] + 3
sys.exit(0 if ok and values[0.001] == (0, 0, 0) else "the behaviour has changed")
PYTHON
venv/bin/python check.py
