#!/usr/bin/env bash
# opensoundscape plays a stereo recording backwards by exchanging its channels, and loops it into one channel with the sides in turn.
#
# Guess:    `MultiChannelAudio.change_speed(-1)` reverses both channels in time, and `loop(length=2)` of one second repeats both once.
# Happens:  after `change_speed(-1)`, left is right and right is left, and time runs forwards. With one channel, nothing is changed at all.
#           `loop(length=2)` returns left and then right, one after the other, in one channel, and saves it as a mono file of the right
#           length. `loop(n=2)` is right, and so is the class for mono, `Audio`.
# Cause:    the methods of the mono class are inherited. They reverse and resize along the first axis, which is the channels here. The
#           documentation says "Audio is reversed if speed_factor is negative" and "a new Audio object of the desired length".
# Matters:  reversed clips are used as negatives and as augmentation: these are the originals, with their labels changed. Short stereo clips
#           that are looped to a length hold twice the sound in sequence. Reverse and repeat `samples` along the last axis yourself.
# Versions: opensoundscape 0.13.2, torch 2.14.1, soundfile 0.14.0, numpy 2.0.2, Python 3.11.7.
# Date:     2026-11
# Output:
#   opensoundscape 0.13.2
#   stereo at speed -1: reversed in time False, channels exchanged True
#   one channel at speed -1: reversed in time False, unchanged True
#   Audio at speed -1: reversed in time True
#   stereo looped to 2 s: shape (16000,), left and then right True, saved with 1 channel(s)
#   stereo looped twice: both channels repeated True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.0.2 scikit-learn==1.9.1 pandas==3.1.1 torch==2.14.1 \
    torchaudio==2.11.1 torchvision==0.29.1 lightning==2.6.6 soundfile==0.14.0 opensoundscape==0.13.2

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import soundfile

warnings.simplefilter("ignore")  # of optional packages
from opensoundscape.audio import Audio, MultiChannelAudio

RATE = 8000
random = np.random.default_rng(0)
stereo = random.uniform(-0.5, 0.5, (2, RATE)).astype("float32")
sound = MultiChannelAudio(stereo, RATE)


def same(first, second):
    return first.shape == second.shape and bool((first == second).all())


print("opensoundscape", version("opensoundscape"))
backwards = sound.change_speed(-1).samples
one = MultiChannelAudio(stereo[:1], RATE).change_speed(-1).samples
mono = Audio(stereo[0], RATE).change_speed(-1).samples
print(f"stereo at speed -1: reversed in time {same(backwards, stereo[:, ::-1])}, channels exchanged {same(backwards, stereo[::-1])}")
print(f"one channel at speed -1: reversed in time {same(one, stereo[:1, ::-1])}, unchanged {same(one, stereo[:1])}")
print(f"Audio at speed -1: reversed in time {same(mono, stereo[0, ::-1])}")
looped = sound.loop(length=2)
looped.save("looped.wav", metadata_format=None)
info = soundfile.info("looped.wav")
sides = same(looped.samples, np.concatenate(stereo))
twice = same(sound.loop(n=2).samples, np.tile(stereo, 2))
print(f"stereo looped to 2 s: shape {looped.samples.shape}, left and then right {sides}, saved with {info.channels} channel(s)")
print(f"stereo looped twice: both channels repeated {twice}")
changed = not same(backwards, stereo[::-1]) or not same(one, stereo[:1]) or not sides or info.channels != 1
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
venv/bin/python check.py
