#!/usr/bin/env bash
# The log-MMSE package returns a shorter sound than it was given; the end is missing.
#
# Guess:    logmmse(x, rate) returns as many samples as x has.
# Happens:  At least 20 ms are missing at the end, at most 30 ms: 320 of 16,000 samples at 16 kHz, 479 of 15,999; and
#           613 of 22,050 at 22.05 kHz, the rate of GTZAN. The samples that are returned are not moved.
# Cause:    Windows of 20 ms overlap by half. The package takes one window less than fits, and drops the half of the last
#           one that no other completes.
# Matters:  Frame labels, targets that are cut into clips afterwards, and clips of exactly one length: a clip of 1 s is
#           too short for a model of 1 s after it. Pad the end by 30 ms before it and cut to the old length after it.
# Versions: logmmse 1.5, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   logmmse 1.5
#   16000 Hz, 16000 samples: 15680 returned, 320 missing (20.0 ms), moved by 0
#   16000 Hz, 15999 samples: 15520 returned, 479 missing (29.9 ms), moved by 0
#   22050 Hz, 22050 samples: 21437 returned, 613 missing (27.8 ms), moved by 0
#   22050 Hz, 661500 samples: 661011 returned, 489 missing (22.2 ms), moved by 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 logmmse==1.5

cat > check.py <<'PYTHON'
from importlib.metadata import version

import numpy as np
from logmmse import logmmse
from scipy.signal import correlate

print("logmmse", version("logmmse"))
rng = np.random.default_rng(0)
for rate, samples, missing in ((16000, 16000, 320), (16000, 15999, 479), (22050, 22050, 613), (22050, 661500, 489)):
    time = np.arange(samples) / rate
    sweep = 8000 * np.sin(2 * np.pi * (100 + 50 * time) * time) * (time > 0.2)  # silence first: the noise is learnt there
    sound = (sweep + rng.normal(0, 100, samples)).astype(np.int16)
    cleaned = logmmse(sound, rate)
    match = correlate(cleaned.astype(float), sound.astype(float)[: len(cleaned)])
    moved = int(np.argmax(match)) - (len(cleaned) - 1)
    lost = samples - len(cleaned)
    print(f"{rate} Hz, {samples} samples: {len(cleaned)} returned, {lost} missing ({1e3 * lost / rate:.1f} ms), moved by {moved}")
    assert lost == missing and moved == 0
PYTHON
venv/bin/python check.py
