#!/usr/bin/env bash
# soundfile writes other bytes each time for the same samples, depending on the format.
#
# Guess:    The encoder has no clock and no dice: writing the same samples twice gives the same file, at least without
#           compression.
# Happens:  16-bit WAV, FLAC, MP3, and 32-bit float in W64, RF64 and CAF are equal. 32-bit float in WAV, WAVEX and AIFF
#           differs from one second to the next: the samples are the same, the header is not. Ogg Vorbis and Ogg Opus
#           differ at every write.
# Cause:    Float WAV and AIFF get a PEAK chunk, which holds the time of writing. A stream in Ogg gets a random serial
#           number, on which the checksum of every page depends.
# Matters:  A dataset that is prepared twice (resampled, cut, remixed as float WAV) has other SHA-256 sums, although
#           not one sample differs. A manifest over file bytes then says "other data"; duplicates between training and
#           test that were written at different times are not found; caches by file digest are never hit. Hash decoded
#           samples.
# Versions: soundfile 0.14.0 with libsndfile 1.2.2, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundfile 0.14.0 1.2.2
#   WAV PCM_16: equal bytes
#   WAV FLOAT: other bytes, equal samples
#   WAVEX FLOAT: other bytes, equal samples
#   AIFF FLOAT: other bytes, equal samples
#   RF64 FLOAT: equal bytes
#   W64 FLOAT: equal bytes
#   CAF FLOAT: equal bytes
#   FLAC PCM_16: equal bytes
#   MP3 MPEG_LAYER_III: equal bytes
#   OGG VORBIS: other bytes, equal samples
#   OGG OPUS: other bytes, equal samples
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 soundfile==0.14.0

cat > check.py <<'PYTHON'
import io
import time

import numpy as np
import soundfile

FORMATS = {
    ("WAV", "PCM_16"): True, ("WAV", "FLOAT"): False, ("WAVEX", "FLOAT"): False, ("AIFF", "FLOAT"): False,
    ("RF64", "FLOAT"): True, ("W64", "FLOAT"): True, ("CAF", "FLOAT"): True, ("FLAC", "PCM_16"): True,
    ("MP3", "MPEG_LAYER_III"): True, ("OGG", "VORBIS"): False, ("OGG", "OPUS"): False,
}


def written(sound):
    files = {}
    for form, kind in FORMATS:
        file = io.BytesIO()
        soundfile.write(file, sound, 16_000, format=form, subtype=kind)
        files[form, kind] = file.getvalue()
    return files


print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
sound = (0.1 * np.sin(np.arange(16_000) * 0.05)).astype(np.float32)
first = written(sound)
time.sleep(1.5)
second = written(sound)
for (form, kind), wanted in FORMATS.items():
    a, b = first[form, kind], second[form, kind]
    assert np.array_equal(soundfile.read(io.BytesIO(a))[0], soundfile.read(io.BytesIO(b))[0])
    assert (a == b) == wanted, (form, kind)
    print(f"{form} {kind}: {'equal bytes' if a == b else 'other bytes, equal samples'}")
PYTHON
venv/bin/python check.py
