#!/usr/bin/env bash
# noisereduce removes 30 dB of noise from a mono recording, 16 dB from the same noise in stereo, and 4 dB from eight channels.
#
# Guess:    a recording of several channels is denoised channel by channel, so a channel loses as much noise as it does alone.
# Happens:  with `stationary=True`, white noise becomes 30 dB quieter as one channel. In the two channels of a stereo recording with
#           independent noises it becomes 16 dB quieter, in four channels 8 dB, in eight 4 dB. If the second channel is the first one
#           with the other sign, as in a balanced pair, nothing is removed: 0 dB. No warning is given. A noise of its own (`y_noise`) of
#           several channels is treated alike.
# Cause:    the channels of the noise are averaged before its level per frequency is measured. The average of n independent noises is
#           weaker by 10 lg(n) dB, so the threshold of each channel is too low, and the average of a balanced pair is silent.
# Matters:  the documentation takes arrays of (channels, frames), so recordings of arrays and also batches of clips are passed like this,
#           and then most of the noise stays. Call it once for each channel.
# Versions: noisereduce 3.0.3, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   noisereduce 3.0.3
#   1 channel: -30 dB, alone -30 dB
#   2 channels: -16 dB, alone -30 dB
#   4 channels: -8 dB, alone -30 dB
#   8 channels: -4 dB, alone -30 dB
#   2 channels of opposite sign: 0 dB, alone -30 dB
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
generator = np.random.default_rng(0)


def change(sound, cleaned):
    return 10 * np.log10(np.mean(cleaned[0] ** 2) / np.mean(sound[0] ** 2))


print("noisereduce", version("noisereduce"))
cases = [(f"{n} channel{'s' * (n > 1)}", 0.1 * generator.standard_normal((n, 5 * RATE))) for n in (1, 2, 4, 8)]
mono = cases[0][1]
cases.append(("2 channels of opposite sign", np.concatenate([mono, -mono])))
seen = []
for name, sound in cases:
    together = change(sound, noisereduce.reduce_noise(sound, RATE, stationary=True))
    alone = change(sound, np.stack([noisereduce.reduce_noise(channel, RATE, stationary=True) for channel in sound]))
    print(f"{name}: {round(together)} dB, alone {round(alone)} dB")
    seen.append((round(together), round(alone)))
sys.exit(0 if seen == [(-30, -30), (-16, -30), (-8, -30), (-4, -30), (0, -30)] else "the behaviour has changed")
PYTHON
venv/bin/python check.py
