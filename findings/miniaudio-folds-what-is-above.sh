#!/usr/bin/env bash
# miniaudio decodes to a lower rate with nearly everything above the new range folded into it.
#
# Guess:    decode_file(sample_rate=16000) removes what 16 kHz cannot hold, by 60 dB or more, as decoders of other
#           libraries do. Without the argument, a file keeps its own rate and channels.
# Happens:  A tone of 8.8 kHz in a file of 44.1 kHz comes out as one of 7.2 kHz, only 6.8 dB weaker; one of 12 kHz comes
#           out at 4 kHz, 22.4 dB weaker. soxr leaves less than -100 dB. Without the argument, every file becomes 44.1 kHz
#           and stereo: a mono file of 16 kHz has 5.5 times as many values.
# Cause:    miniaudio interpolates linearly after a low-pass of 4th order, and the Python package has no option for it.
# Matters:  Hiss and cymbals of 44.1 kHz recordings become false energy in the upper mel bands at 16 kHz, and only for
#           clips that had a higher rate: a dataset of mixed rates gets a cue. Decode at the file's own rate
#           (get_file_info) and resample with soxr.
# Versions: miniaudio 1.71, soxr 1.1.0, soundfile 0.14.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   miniaudio 1.71
#   tone of 8800 Hz, 44.1 to 16 kHz: miniaudio -6.8 dB at 7200 Hz, soxr below -100 dB: True
#   tone of 12000 Hz, 44.1 to 16 kHz: miniaudio -22.4 dB at 4000 Hz, soxr below -100 dB: True
#   without arguments: 16000 samples of 16 kHz mono become 88200 values at 44100 Hz, 2 channels
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    miniaudio==1.71 soxr==1.1.0 soundfile==0.14.0 numpy==2.4.6

cat > check.py <<'PYTHON'
from importlib.metadata import version

import miniaudio
import numpy as np
import soundfile
import soxr

FLOAT = miniaudio.SampleFormat.FLOAT32
time = np.arange(44_100) / 44_100


def level(samples):
    """Return the level of the middle against a tone of 0.5, in dB, and the frequency of its loudest point."""
    middle = samples[2_000:-2_000].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return 20 * np.log10(np.std(middle) * np.sqrt(2) / 0.5 + 1e-12), spectrum.argmax() * 16_000 / len(middle)


print("miniaudio", version("miniaudio"))
for hertz, folded, wanted in ((8_800, 7_200, -6.8), (12_000, 4_000, -22.4)):
    sound = (0.5 * np.sin(2 * np.pi * hertz * time)).astype("float32")
    soundfile.write("tone.wav", sound, 44_100, subtype="FLOAT")
    decoded = miniaudio.decode_file("tone.wav", output_format=FLOAT, nchannels=1, sample_rate=16_000)
    decibels, at = level(np.frombuffer(decoded.samples, "float32"))
    clean = bool(level(soxr.resample(sound, 44_100, 16_000))[0] < -100)
    print(f"tone of {hertz} Hz, 44.1 to 16 kHz: miniaudio {decibels:.1f} dB at {at:.0f} Hz, soxr below -100 dB: {clean}")
    assert abs(decibels - wanted) < 0.2 and abs(at - folded) < 5 and clean
soundfile.write("mono.wav", np.zeros(16_000, "float32"), 16_000)
decoded = miniaudio.decode_file("mono.wav")
print(f"without arguments: 16000 samples of 16 kHz mono become {len(decoded.samples)} values at {decoded.sample_rate} Hz, "
      f"{decoded.nchannels} channels")
assert (len(decoded.samples), decoded.sample_rate, decoded.nchannels) == (88_200, 44_100, 2)
PYTHON
venv/bin/python check.py
