#!/usr/bin/env bash
# kaldi-native-fbank's features of a clip depend on how many clips the process has computed before, and no seed can be set.
#
# Guess:    log-mel features are a function of the clip and the options.
# Happens:  five calls for the same clip give five arrays. NumPy's and Python's seeds change nothing. Two new processes agree on their first
#           clip; a process that computes another clip before it does not. Two calls differ by up to 1.7 on silence, by up to
#           1.0 on noise at -80 dB, and by 0.02 on noise at -40 dB, in units of the natural logarithm.
# Cause:    a dither of 0.00003 is on by default, drawn from a generator that starts with a fixed seed in each process and that Python does
#           not reach. torchaudio's version of the same features has a dither of 0.
# Matters:  features change with the number of workers, the order of the clips and a resumed run. A cache, a hash or a test of equality
#           fails for no visible reason, and quiet clips differ most. `frame_opts.dither = 0` makes the features repeatable; silence is then
#           the constant -15.94.
# Versions: kaldi-native-fbank 1.23.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   kaldi-native-fbank 1.23.0
#   different results in five calls: 5; without dither: 1
#   new processes: the first clip equal, the second other
#   silence: two calls differ by up to 1.72
#   noise at -80 dB: two calls differ by up to 1.05
#   noise at -40 dB: two calls differ by up to 0.02
#   silence without dither: -15.94 to -15.94
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 kaldi-native-fbank==1.23.0

cat > check.py <<'PYTHON'
import random
import subprocess
import sys
from importlib.metadata import version

import kaldi_native_fbank
import numpy as np

RATE = 16_000
NOISE = np.random.default_rng(0).standard_normal(RATE)


def features(clip, dither=None):
    np.random.seed(0)
    random.seed(0)
    options = kaldi_native_fbank.FbankOptions()
    if dither is not None:
        options.frame_opts.dither = dither
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(RATE, clip.tolist())
    bank.input_finished()
    return np.stack([bank.get_frame(frame) for frame in range(bank.num_frames_ready)])


def in_a_new_process(before):
    """Return the features of a clip as text, after those of `before` others."""
    done = subprocess.run([sys.executable, __file__, str(before)], check=True, text=True, capture_output=True)
    return done.stdout


if len(sys.argv) > 1:
    for _ in range(int(sys.argv[1])):
        features(NOISE)
    print(features(0.001 * NOISE).tobytes().hex())
    sys.exit()

print("kaldi-native-fbank", version("kaldi-native-fbank"))
different = len({features(0.001 * NOISE).tobytes() for _ in range(5)})
without = len({features(0.001 * NOISE, 0).tobytes() for _ in range(5)})
print(f"different results in five calls: {different}; without dither: {without}")
first, again, later = in_a_new_process(0), in_a_new_process(0), in_a_new_process(1)
print(f"new processes: the first clip {'equal' if first == again else 'other'}, the second {'equal' if first == later else 'other'}")
spread = []
for name, level in (("silence", 0), ("noise at -80 dB", 0.0001), ("noise at -40 dB", 0.01)):
    one, two = features(level * NOISE), features(level * NOISE)
    spread.append(np.abs(one - two).max())
    print(f"{name}: two calls differ by up to {spread[-1]:.2f}")
silence = features(0 * NOISE, 0)
print(f"silence without dither: {silence.min():.2f} to {silence.max():.2f}")
ok = (different, without) == (5, 1) and first == again != later
sys.exit(0 if ok and spread[0] > 1 and spread[1] > 0.5 and 0.005 < spread[2] < 0.1 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
