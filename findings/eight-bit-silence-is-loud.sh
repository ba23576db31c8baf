#!/usr/bin/env bash
# auditok takes silence in 8-bit WAV files for louder than a sine at full scale.
#
# Guess:    the energy of a recording is the same whether its samples have 8 bits, 16 bits or are floats; the documentation says that
#           values are comparable across storage formats. So the default threshold of 50 dB finds the same events in each.
# Happens:  silence has 42.1 dB in 8 bits and none elsewhere; a sine at full scale has 35.7 dB in 8 bits and 87.3 dB elsewhere. With the
#           default nothing is ever found in an 8-bit file. With a threshold low enough for it, the silence is found and the sound is not.
# Cause:    8-bit samples of WAV files are unsigned, with silence at 128. They are read as signed numbers, which makes silence -128 and
#           folds the sine, and they are not scaled to 16 bits.
# Matters:  sets from the web have such files (UrbanSound8K, Freesound). Cut into events or checked for silence, they lose all sound,
#           with no error.
# Versions: auditok 0.5.2, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   auditok 0.5.2
#   8 bits: silence 42.1 dB, sine at full scale 35.7 dB; found: nothing; above 40 dB: 0.0-1.0 2.0-3.0
#   16 bits: silence -200.0 dB, sine at full scale 87.3 dB; found: 1.0-2.0; above 40 dB: 1.0-2.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 auditok==0.5.2

cat > check.py <<'PYTHON'
import sys
import wave
from importlib.metadata import version

import auditok
import numpy as np
from auditok.signal import calculate_energy, to_array

RATE = 16_000
SINE = np.sin(0.3 * np.arange(RATE))
NONE = np.zeros(RATE)


def written(sound, width):
    """Write a WAV file with samples of this many bytes."""
    samples = np.round(127 * sound + 128).astype("u1") if width == 1 else np.round(32_767 * sound).astype("<i2")
    with wave.open("a.wav", "wb") as file:
        file.setnchannels(1)
        file.setframerate(RATE)
        file.setsampwidth(width)
        file.writeframes(samples.tobytes())
    return "a.wav"


def energy(sound, width):
    read = auditok.load(written(sound, width))
    return round(float(np.ravel(calculate_energy(to_array(bytes(read.data), read.sw, read.ch)))[0]), 1)


def events(width, **how):
    path = written(np.concatenate([NONE, SINE, NONE]), width)
    found = auditok.split(path, max_trailing_silence=0, **how)
    return " ".join(f"{event.start:.1f}-{event.end:.1f}" for event in found) or "nothing"


print("auditok", version("auditok"))
seen = []
for width in (1, 2):
    one = energy(NONE, width), energy(SINE, width), events(width), events(width, energy_threshold=40)
    print(
        f"{8 * width} bits: silence {one[0]} dB, sine at full scale {one[1]} dB; found: {one[2]}; above 40 dB: {one[3]}"
    )
    seen.append(one)
right = seen[1][2:] == ("1.0-2.0", "1.0-2.0")
wrong = seen[0][0] > seen[0][1] and seen[0][2] == "nothing" and "1.0-2.0" not in seen[0][3]
sys.exit(0 if right and wrong else "the behaviour has changed")
PYTHON
venv/bin/python check.py
