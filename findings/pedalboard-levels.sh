#!/usr/bin/env bash
# Three effects of pedalboard change the level of a sound although their settings say that nothing changes.
#
# Guess:    Convolution with the impulse response [1] returns the sound, and [0.1] returns it 20 dB quieter. Reverb without
#           a wet part and with dry_level=1 returns the sound. A Limiter leaves alone what is below its threshold.
# Happens:  Convolution returns -18.06 dB for both responses. Reverb returns +6.02 dB; dry_level=0.5 returns the sound.
#           Limiter with its threshold of -10 dB makes a tone of -60 dB 13.75 dB louder, with a threshold of 0 dB still
#           3.75 dB louder, and a tone of 0 dB comes out at -3.56 dB.
# Cause:    The classes are JUCE's. Its convolution scales every response to an energy of 1/64, its reverberation doubles
#           the dry part, and its limiter consists of two compressors with make-up gain and a clipper.
# Matters:  Noise that is mixed at a signal-to-noise ratio before such an effect, clipping after it, and every model that
#           is not invariant to gain. Scale the output to the level that is wanted, or use scipy.signal.fftconvolve.
# Versions: pedalboard 0.9.26, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   pedalboard 0.9.26
#   Convolution [1.0]: -18.06 dB
#   Convolution [0.1]: -18.06 dB
#   Convolution [0.0, 0.0, 0.0, 1.0]: -18.06 dB
#   Reverb dry_level=1: 6.02 dB
#   Reverb dry_level=0.5: 0.00 dB
#   Limiter threshold -10 dB: a tone of -60 dB has -46.25 dB
#   Limiter threshold 0 dB: a tone of -60 dB has -56.25 dB
#   Limiter threshold 0 dB: a tone of 0 dB has -3.56 dB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pedalboard==0.9.26

cat > check.py <<'PYTHON'
from importlib.metadata import version

import numpy as np
from pedalboard import Convolution, Limiter, Reverb

RATE = 16000
noise = (np.random.default_rng(0).standard_normal(RATE) * 0.05).astype("float32")
tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype("float32")


def gain(effect):
    """Return the level of the noise after the effect over its level before it, in dB."""
    return 20 * np.log10(np.std(effect(noise, RATE)) / np.std(noise))


def peak_after(effect, level):
    """Return the peak of a tone of a given peak after the effect, in dB; the first half second is left out."""
    return 20 * np.log10(np.abs(np.ravel(effect(tone * np.float32(10 ** (level / 20)), RATE))[RATE // 2 :]).max())


print("pedalboard", version("pedalboard"))
for response in ([1.0], [0.1], [0.0, 0.0, 0.0, 1.0]):
    seen = gain(Convolution(np.array(response, "float32"), mix=1.0, sample_rate=RATE))
    print(f"Convolution {response}: {seen:.2f} dB")
    assert abs(seen + 18.06) < 0.05
for dry, expected in ((1, 6.02), (0.5, 0.0)):
    seen = gain(Reverb(wet_level=0, dry_level=dry))
    print(f"Reverb dry_level={dry}: {seen:.2f} dB")
    assert abs(seen - expected) < 0.05
for threshold, level, expected in ((-10, -60, -46.25), (0, -60, -56.25), (0, 0, -3.56)):
    seen = peak_after(Limiter(threshold_db=threshold), level)
    print(f"Limiter threshold {threshold} dB: a tone of {level} dB has {seen:.2f} dB")
    assert abs(seen - expected) < 0.05
PYTHON
venv/bin/python check.py
