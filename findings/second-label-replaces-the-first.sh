#!/usr/bin/env bash
# pyannote.core keeps one label of two that are given to the same segment.
#
# Guess:    An Annotation is a set of labelled segments: speech and music from 0 s to 1 s are two entries after
#           annotation[segment] = "speech" and annotation[segment] = "music".
# Happens:  Only "music" is left. Its duration is right, that of "speech" lacks the second, and nothing says so. Segments
#           that differ by a millisecond are both kept; so are both when each is given a name of its own.
# Cause:    A segment without the name of a track is on the track "_", of which each segment has one. load_rttm of
#           pyannote.database numbers the tracks itself, and keeps both.
# Matters:  Several labels at a time are the rule in sound event detection, and windows on a grid give them equal starts and
#           ends. Recall is then lost where events overlap exactly, and only there.
# Versions: pyannote.core 6.1.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   pyannote.core 6.1.0
#   same segment: 2 of 3 entries, 2.0 s of speech
#   1 ms apart: 3 of 3 entries, 3.0 s of speech
#   same segment, tracks named: 3 of 3 entries, 3.0 s of speech
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pyannote.core==6.1.0

cat > check.py <<'PYTHON'
from importlib.metadata import version

from pyannote.core import Annotation, Segment

EVENTS = [(0.0, 1.0, "speech"), (0.0, 1.0, "music"), (1.0, 3.0, "speech")]
shifted = [(start, end - 0.001 * (label == "music"), label) for start, end, label in EVENTS]


def durations(events, named):
    found = Annotation()
    for number, (start, end, label) in enumerate(events):
        key = (Segment(start, end), number) if named else Segment(start, end)
        found[key] = label
    return len(list(found.itertracks())), found.label_duration("speech")


print("pyannote.core", version("pyannote.core"))
results = {
    "same segment": durations(EVENTS, False),
    "1 ms apart": durations(shifted, False),
    "same segment, tracks named": durations(EVENTS, True),
}
for name, (entries, seconds) in results.items():
    print(f"{name}: {entries} of 3 entries, {seconds:.1f} s of speech")
assert results == {
    "same segment": (2, 2.0),
    "1 ms apart": (3, 3.0),
    "same segment, tracks named": (3, 3.0),
}
PYTHON
venv/bin/python check.py
