#!/usr/bin/env bash
# nlpaug's noise runs backwards after its middle, and its colour sets its level: violet is 200 dB louder than brown.
#
# Guess:    NoiseAug adds random noise of the colour that is asked for, at one level; colours differ in how the power is distributed.
# Happens:  the second half of the noise is the first half played backwards, with a correlation of 1. On one second of silence at 16 kHz,
#           white noise has -42 dB, "pink" -82 dB, "brown" -94 dB, "blue" +31 dB and "violet" +107 dB of full scale. Ten seconds have 10 dB
#           less white noise and 30 dB more violet noise. "pink" falls by 6 dB an octave, as brown noise does, and "blue" rises by 6 dB.
# Cause:    the spectrum is real, which makes a sound symmetric in time. It is weighted by powers of the number of the line, and neither
#           the weights nor the inverse transform are brought to a common level. MaskAug writes noise with a deviation of 1, whatever the
#           level of the clip.
# Matters:  with `color="random"` a clip is either untouched or destroyed. A study of robustness to coloured noise compares levels, not
#           colours. A masked part of a clip is its loudest part by far. Draw noise in time, and scale it by the clip's own level.
# Versions: nlpaug 1.1.11, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   nlpaug 1.1.11
#   white: -42 dB in 1 s, -52 dB in 10 s, +0 dB an octave, backwards 1.000
#   pink: -82 dB in 1 s, -102 dB in 10 s, -6 dB an octave, backwards 1.000
#   brown: -94 dB in 1 s, -114 dB in 10 s, -12 dB an octave, backwards 1.000
#   blue: +31 dB in 1 s, +41 dB in 10 s, +6 dB an octave, backwards 1.000
#   violet: +107 dB in 1 s, +137 dB in 10 s, +12 dB an octave, backwards 1.000
#   a sine of 0.1: peak 3.8 where it is masked
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 nlpaug==1.1.11

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from nlpaug.augmenter.audio import MaskAug, NoiseAug

RATE = 16_000
EXPECTED = {  # dB in 1 s, dB in 10 s, dB an octave
    "white": (-42, -52, 0),
    "pink": (-82, -102, -6),
    "brown": (-94, -114, -12),
    "blue": (31, 41, 6),
    "violet": (107, 137, 12),
}


def noise(color, seconds):
    np.random.seed(0)
    return np.asarray(NoiseAug(zone=(0, 1), color=color).augment(np.zeros(seconds * RATE))[0])


def level(sound):
    return 20 * np.log10(np.std(sound))


def slope(sound):
    """Return how much more power a line has between 2 and 4 kHz than between 1 and 2 kHz, in dB."""
    power, octave = np.abs(np.fft.rfft(sound)) ** 2, len(sound) // 16
    return 10 * np.log10(power[2 * octave : 4 * octave].mean() / power[octave : 2 * octave].mean())


print("nlpaug", version("nlpaug"))
ok = True
for color, expected in EXPECTED.items():
    short, long = noise(color, 1), noise(color, 10)
    backwards = np.corrcoef(long[1:], long[:0:-1])[0, 1]
    seen = level(short), level(long), slope(long)
    one, ten, octave = (round(number) + 0 for number in seen)
    print(f"{color}: {one:+d} dB in 1 s, {ten:+d} dB in 10 s, {octave:+d} dB an octave, backwards {backwards:.3f}")
    ok &= backwards > 0.999 and np.abs(np.subtract(seen, expected)).max() < 1.5
np.random.seed(0)
masked = np.asarray(MaskAug().augment(0.1 * np.sin(0.3 * np.arange(RATE)))[0])
print(f"a sine of 0.1: peak {np.abs(masked).max():.1f} where it is masked")
sys.exit(0 if ok and np.abs(masked).max() > 3 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
