#!/usr/bin/env bash
# dcase_util reads a WAV file from its beginning if only the start of a segment is given.
#
# Guess:    AudioContainer().load("a.wav", start=5) reads from 5 s to the end, as `start` is documented ("Segment start time in seconds"),
#           and stop=5 reads the first 5 s. The same call reads the same part of a WAV and of a FLAC.
# Happens:  both calls return the whole file of 10 s, without a word; only start and stop together cut. Of a FLAC, start=5 returns the last
#           5 s, but stop=5 also returns the whole file. load(start=12) of the file of 10 s does raise an error, so the start is looked at.
# Cause:    the branch for WAV uses the two times only if both are given. The branch for other formats has a case for the start alone.
# Matters:  a loop over the second halves of recordings trains on the first halves, too, and times of events are off by the start. Results
#           change if a dataset is converted to FLAC. Pass both times.
# Versions: dcase_util 0.2.20, librosa 0.11.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   dcase_util 0.2.20
#   start=5: wav 10 s, flac 5 s
#   stop=5: wav 10 s, flac 10 s
#   start=5, stop=7: wav 2 s, flac 2 s
#   start=12 of the WAV: OSError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 librosa==0.11.0 dcase_util==0.2.20

cat > check.py <<'PYTHON'
import logging
import sys
from importlib.metadata import version
from unittest import mock

import numpy as np
import soundfile
from dcase_util.containers import AudioContainer

RATE = 16_000
logging.disable(logging.CRITICAL)


def info(filename, **options):
    """Return what ffprobe, which dcase_util asks for a FLAC, says of this one, so that the check does not need ffprobe."""
    found = soundfile.info(filename)
    return {"fs": RATE, "duration_sec": found.duration, "duration_samples": found.frames, "subtype": {"name": "", "info": ""}}


def seconds(kind, **part):
    if kind == "wav":
        return AudioContainer().load("a.wav", **part).duration_sec
    with mock.patch("dcase_util.containers.audio.get_audio_info", info):
        return AudioContainer().load("a.flac", **part).duration_sec


print("dcase_util", version("dcase_util"))
sound = np.random.default_rng(0).normal(0, 0.1, 10 * RATE)
seen = []
for kind in ("wav", "flac"):
    soundfile.write(f"a.{kind}", sound, RATE)
for part in ({"start": 5}, {"stop": 5}, {"start": 5, "stop": 7}):
    lengths = [seconds(kind, **part) for kind in ("wav", "flac")]
    print(f"{', '.join(f'{key}={value}' for key, value in part.items())}: wav {lengths[0]:g} s, flac {lengths[1]:g} s")
    seen.append(lengths)
try:
    error = f"{seconds('wav', start=12):g} s"
except Exception as exception:
    error = type(exception).__name__
print(f"start=12 of the WAV: {error}")
ok = seen == [[10, 5], [10, 10], [2, 2]] and not error.endswith(" s")
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
