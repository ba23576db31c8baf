#!/usr/bin/env bash
# mosqito calls a steady low tone three times as sharp, and half as loud again, when it measures it in segments, as it does by default.
#
# Guess:    loudness_zwst_perseg() and sharpness_din_perseg() of a tone that does not change give in each segment what loudness_zwst() and
#           sharpness_din_st() give of the whole: the package says that they are for stationary signals.
# Happens:  a tone of 100 Hz has 1.77 sone and 0.24 acum as a whole, and 2.67 sone and 0.79 acum in segments of the default 4,096 points. A
#           tone of 1 kHz and 60 dB, which has 4 sone by definition, has 4.07 as a whole and 4.73 in segments. The shorter the segments
#           are, the more. The method for time-varying sounds agrees with the whole, and a tone of 4 kHz is nearly right.
# Cause:    each segment goes through the third-octave filters by itself, without a window, from filters at rest. Its abrupt beginning is a
#           click, which has power in bands far from the tone, and the level of a band is the mean over the whole segment.
# Matters:  these are features of engines, fans and soundscapes, and the steady hum of a machine is the case that is wrong. Values of other
#           lengths of segments do not compare. Take loudness_zwtv() and sharpness_din_tv(), or long segments.
# Versions: mosqito 1.2.1, scipy 1.17.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   mosqito 1.2.1, tones of 60 dB, two seconds
#   100 Hz, whole: 1.77 sone, 0.24 acum; time-varying method: 1.78 sone
#   100 Hz, segments of 341 ms: 2.01 sone, 0.41 acum
#   100 Hz, segments of 85 ms, the default: 2.67 sone, 0.79 acum
#   100 Hz, segments of 21 ms: 3.20 sone, 1.24 acum
#   1000 Hz, whole: 4.07 sone, 1.01 acum; time-varying method: 4.02 sone
#   1000 Hz, segments of 341 ms: 4.30 sone, 1.07 acum
#   1000 Hz, segments of 85 ms, the default: 4.73 sone, 1.16 acum
#   1000 Hz, segments of 21 ms: 5.49 sone, 1.32 acum
#   4000 Hz, whole: 6.15 sone, 2.83 acum; time-varying method: 6.10 sone
#   4000 Hz, segments of 341 ms: 6.18 sone, 2.82 acum
#   4000 Hz, segments of 85 ms, the default: 6.30 sone, 2.79 acum
#   4000 Hz, segments of 21 ms: 6.61 sone, 2.70 acum
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pyuff==2.5.8 matplotlib==3.11.2 mosqito==1.2.1

cat > check.py <<'PYTHON'
from importlib.metadata import version

import mosqito
import numpy as np

RATE = 48_000
TIME = np.arange(2 * RATE) / RATE
print(f"mosqito {version('mosqito')}, tones of 60 dB, two seconds")
found = {}
for frequency in (100, 1000, 4000):
    tone = np.sqrt(2) * 2e-5 * 10 ** (60 / 20) * np.sin(2 * np.pi * frequency * TIME)
    sones, acums = mosqito.loudness_zwst(tone, RATE)[0], mosqito.sharpness_din_st(tone, RATE)
    changing = np.median(mosqito.loudness_zwtv(tone, RATE)[0])
    print(f"{frequency} Hz, whole: {sones:.2f} sone, {acums:.2f} acum; time-varying method: {changing:.2f} sone")
    found[frequency, "whole"] = sones, acums
    for points in (16_384, 4096, 1024):
        settings = {} if points == 4096 else {"nperseg": points}
        loud = np.median(mosqito.loudness_zwst_perseg(tone, RATE, **settings)[0])
        sharp = np.median(mosqito.sharpness_din_perseg(tone, RATE, **settings)[0])
        found[frequency, points] = loud, sharp
        default = "" if settings else ", the default"
        print(f"{frequency} Hz, segments of {points / RATE * 1000:.0f} ms{default}: {loud:.2f} sone, {sharp:.2f} acum")
assert abs(found[1000, "whole"][0] - 4) < 0.15 and abs(found[1000, "whole"][1] - 1) < 0.05  # 4 sone by definition, about 1 acum
assert found[100, 4096][0] > 1.25 * found[100, "whole"][0]
assert found[100, 4096][1] > 2 * found[100, "whole"][1]
assert found[1000, 4096][0] > 1.08 * found[1000, "whole"][0]
assert abs(found[4000, 4096][0] / found[4000, "whole"][0] - 1) < 0.05
PYTHON
venv/bin/python check.py
