#!/usr/bin/env bash
# dcase_util's sliding mean of probabilities moves events to the front, and leaves the last window of each clip as it was.
#
# Guess:    collapse_probabilities_windowed(p, 5, "sliding_mean") is a moving mean over 5 frames: centred, or over the past. At the ends of
#           the clip the window is shorter. "sliding_sum", the default, is the same times 5.
# Happens:  each frame is the mean of itself and the 4 frames that follow, so that an event appears 4 frames before its start. The last 5
#           frames are not smoothed: a click in the last second stays, and one in the middle is lowered to a fifth. With the default sum a
#           constant 0.5 becomes 2.5, and 0.5 in the last 5 frames. Nothing is said.
# Cause:    the loop takes the frames from stop - 5 to stop, and writes the result at stop - 5. The array of results is a copy of the input,
#           of which no more is overwritten.
# Matters:  starts of events are early by a window, and a threshold on the sums is another one at the end of each clip. Where a window is a
#           second and clips have ten, a tenth of all frames is raw. Smooth with scipy.ndimage.uniform_filter1d.
# Versions: dcase_util 0.2.20, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   dcase_util 0.2.20
#   mean, event from frame 10 on: 0 0 0 0 0 0 0.2 0.4 0.6 0.8 1 1 1 1 1 1 1 1 1 1
#   mean, clicks in frames 8 and 18: 0 0 0 0 0.2 0.2 0.2 0.2 0.2 0 0 0 0 0 0.2 0 0 0 1 0
#   sum, constant 0.5: 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 0.5 0.5 0.5 0.5 0.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 librosa==0.11.0 dcase_util==0.2.20

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from dcase_util.data import ProbabilityEncoder

FRAMES = np.arange(20)
encoder = ProbabilityEncoder(label_list=["dog"])


def smoothed(probabilities, operator):
    return encoder.collapse_probabilities_windowed(np.array([probabilities], float), 5, operator)[0].round(3)


def words(row):
    return " ".join(f"{value:g}" for value in row)


print("dcase_util", version("dcase_util"))
event = smoothed(FRAMES >= 10, "sliding_mean")
print("mean, event from frame 10 on:", words(event))
clicks = smoothed(np.isin(FRAMES, (8, 18)), "sliding_mean")
print("mean, clicks in frames 8 and 18:", words(clicks))
total = smoothed(np.full(20, 0.5), "sliding_sum")
print("sum, constant 0.5:", words(total))
ok = np.flatnonzero(event)[0] == 6 and clicks[18] == 1 and clicks[:18].max() == 0.2
ok &= set(total[:15]) == {2.5} and set(total[15:]) == {0.5}
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
