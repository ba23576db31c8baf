#!/usr/bin/env bash
# dcase_util cuts a long event short if another one lies inside it, and calls the rest silence.
#
# Guess:    process_events(minimum_event_gap=0.1) joins events of one class that touch or overlap. Of 0 to 10 s and 2 to 3 s it makes 0 to
#           10 s. event_inactivity() returns what lies between the events, as its documentation says.
# Happens:  the joined event is 0 to 3 s. For music from 0 to 10 s with speech from 2 to 3 s, event_inactivity() returns 3 to 10 s, where
#           music plays. stats(calculate_event_activity=True) counts 3 s of sound and 7 s of silence. Events that overlap without one lying
#           inside the other are right.
# Cause:    the end of the joined event is the end of the event that starts last, not the latest of their ends.
# Matters:  polyphonic annotations are full of short events inside long ones. Segments of "silence" that are drawn as negatives hold sound,
#           and merged labels of a long event end early. Merge intervals with the maximum of their ends before you pass them on.
# Versions: dcase_util 0.2.20, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   dcase_util 0.2.20
#   car 0 to 10 s and 2 to 3 s, joined: [(0.0, 3.0)]
#   music 0 to 10 s with speech 2 to 3 s, inactivity: [(3.0, 10.0)]
#   the same, counted by stats(): 3 s of sound, 7 s of silence
#   music 0 to 6 s and speech 2 to 10 s, inactivity: []
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 librosa==0.11.0 dcase_util==0.2.20

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

from dcase_util.containers import MetaDataContainer

DURATION = {"a.wav": 10}


def events(*rows):
    keys = ("onset", "offset", "event_label")
    return MetaDataContainer([{"filename": "a.wav", **dict(zip(keys, row))} for row in rows])


def times(container):
    return [(float(item.onset), float(item.offset)) for item in container]


print("dcase_util", version("dcase_util"))
inside = events((0, 10, "music"), (2, 3, "speech"))
joined = times(events((0, 10, "car"), (2, 3, "car")).process_events(minimum_event_gap=0.1))
print("car 0 to 10 s and 2 to 3 s, joined:", joined)
silent = times(inside.event_inactivity(duration_list=DURATION))
print("music 0 to 10 s with speech 2 to 3 s, inactivity:", silent)
counted = inside.stats(calculate_event_activity=True, duration_list=DURATION)["events"]
sound, silence = (counted[f"overall_event_flatten_{kind}_length"] for kind in ("active", "inactive"))
print(f"the same, counted by stats(): {sound:g} s of sound, {silence:g} s of silence")
beside = times(events((0, 6, "music"), (2, 10, "speech")).event_inactivity(duration_list=DURATION))
print("music 0 to 6 s and speech 2 to 10 s, inactivity:", beside)
ok = (sound, silence) == (3, 7) and joined == [(0.0, 3.0)] and silent == [(3.0, 10.0)] and beside == []
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
