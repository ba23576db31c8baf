#!/usr/bin/env bash
# auglib's white noise and tones are added to the clip that is given, too: a clip in memory drowns in a few epochs.
#
# Guess:    noisy = transform(clip, rate) returns a new array, and clip stays clean. Mix, PinkNoise and Shift of the same package do that.
# Happens:  after WhiteNoiseGaussian, WhiteNoiseUniform, Tone, or Mask around one of them, a clip of float32 is the noisy clip. A float64
#           clip stays as it was. With clips that are kept in memory and an SNR of 10 dB, the network sees 10.0 dB in the first epoch,
#           3.8 dB in the second, and -18.6 dB in the tenth. The interface auglib.Augment does the same.
# Cause:    these transforms compute `signal += noise`, on a view of the input. The input is only copied if it has to be converted to
#           float32, or cannot be written to.
# Matters:  pairs of clean and noisy clips for a denoiser are pairs of equal arrays. Validation on the clips in memory is on noisy clips.
#           float32 is what audiofile and librosa return. Give the transform a copy.
# Versions: auglib 1.1.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   auglib 1.1.0
#   WhiteNoiseGaussian: the float32 clip is changed, the float64 clip is the same
#   WhiteNoiseUniform: the float32 clip is changed, the float64 clip is the same
#   Tone: the float32 clip is changed, the float64 clip is the same
#   Mask: the float32 clip is changed, the float64 clip is the same
#   PinkNoise: the float32 clip is the same, the float64 clip is the same
#   Mix: the float32 clip is the same, the float64 clip is the same
#   SNR in epochs 1, 2, 3, 5, 10: white 10.0, 3.8, -0.2, -6.2, -18.6; pink 10.0, 10.0, 10.0, 10.0, 10.0
#   through auglib.Augment: the clip is changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 auglib==1.1.0

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import auglib
import numpy as np
from auglib.transform import Mask, Mix, PinkNoise, Tone, WhiteNoiseGaussian, WhiteNoiseUniform

RATE = 16_000
CLEAN = np.random.default_rng(5).normal(0, 0.1, RATE).astype("float32")


def changed(transform, kind):
    clip = CLEAN.astype(kind)
    transform(clip, RATE)
    return not np.array_equal(clip, CLEAN)


def ratios(transform):
    clip, seen = CLEAN.copy(), []
    for _ in range(10):
        noise = transform(clip, RATE) - CLEAN
        seen.append(10 * np.log10(np.mean(CLEAN**2) / np.mean(noise**2)))
    return [round(float(seen[epoch - 1]), 1) for epoch in (1, 2, 3, 5, 10)]


print("auglib", version("auglib"))
seen = []
for transform in (
    WhiteNoiseGaussian(snr_db=10),
    WhiteNoiseUniform(snr_db=10),
    Tone(440, snr_db=10),
    Mask(WhiteNoiseGaussian(snr_db=10), start_pos=0.1, duration=0.2),
    PinkNoise(snr_db=10),
    Mix(CLEAN[::-1].copy(), snr_db=10),
):
    result = [changed(transform, kind) for kind in ("float32", "float64")]
    words = ["changed" if word else "the same" for word in result]
    print(f"{type(transform).__name__}: the float32 clip is {words[0]}, the float64 clip is {words[1]}")
    seen.append(result)
white, pink = ratios(WhiteNoiseGaussian(snr_db=10)), ratios(PinkNoise(snr_db=10))
print(f"SNR in epochs 1, 2, 3, 5, 10: white {', '.join(map(str, white))}; pink {', '.join(map(str, pink))}")
interface = changed(auglib.Augment(WhiteNoiseGaussian(snr_db=10)), "float32")
print("through auglib.Augment: the clip is", "changed" if interface else "the same")
ok = seen == [[True, False]] * 4 + [[False, False]] * 2 and interface and white[-1] < -15 and min(pink) > 9.5
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
