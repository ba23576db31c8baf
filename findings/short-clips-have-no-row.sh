#!/usr/bin/env bash
# audinterface leaves clips that are shorter than its window out of the table of features, without a word.
#
# Guess:    features of three files in windows of one second have rows of three files; a clip of 0.7 s has one, of what there is, or the
#           call fails.
# Happens:  the table has rows of two files. The third one's name is nowhere, and nothing is said. Alone, it gives an empty table. Of a
#           clip of 1.9 s the last 0.4 s are left out as well.
# Cause:    a window that does not fit is dropped, and of a clip that is shorter than the window there is no other.
#           `min_signal_dur="1s"` pads such clips with zeros; it is off by default.
# Matters:  short clips (dog barks, keywords, UrbanSound8K has hundreds under a second) vanish from training and test. Accuracy is that of
#           the long ones, and features that are joined with labels by position belong to other files.
# Versions: audinterface 1.4.0, audiofile 1.6.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   audinterface 1.4.0
#   files with rows: long.wav medium.wav; rows of short.wav alone: 0; messages: 0
#   the last window of 1.9 s ends at: 1.5 s
#   with min_signal_dur: long.wav medium.wav short.wav
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 audinterface==1.4.0 audiofile==1.6.1

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import audinterface
import numpy as np
import soundfile

RATE = 16_000
LENGTHS = {"long": 2.0, "short": 0.7, "medium": 1.9}
files = [f"{name}.wav" for name in LENGTHS]
for name, seconds in LENGTHS.items():
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    soundfile.write(f"{name}.wav", noise, RATE)


def rms(signal, rate):
    return float(np.sqrt(np.mean(signal**2)))


def rows(of, **how):
    return audinterface.Process(process_func=rms, win_dur="1s", hop_dur="0.5s", **how).process_files(of)


def names(table):
    return " ".join(sorted({Path(index[0]).name for index in table.index}))


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    found, alone = rows(files), rows(files[1:2])
ends = [index[2].total_seconds() for index in found.index if Path(index[0]).name == "medium.wav"]
padded = names(rows(files, min_signal_dur="1s"))

print("audinterface", version("audinterface"))
print(f"files with rows: {names(found)}; rows of short.wav alone: {len(alone)}; messages: {len(said)}")
print(f"the last window of 1.9 s ends at: {max(ends)} s")
print("with min_signal_dur:", padded)
ok = (names(found), len(alone), len(said), max(ends)) == ("long.wav medium.wav", 0, 0, 1.5)
sys.exit(0 if ok and padded == "long.wav medium.wav short.wav" else "the behaviour has changed")
PYTHON
venv/bin/python check.py
