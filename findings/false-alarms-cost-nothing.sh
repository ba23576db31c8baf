#!/usr/bin/env bash
# soundevent's mean average precision of detections leaves out all false alarms: 160 of them on 8 events still give 1.0.
#
# Guess:    sound_event_detection() reports the mean average precision of object detection: a detection that matches no event is a false
#           positive, and one with a high score lowers the precision.
# Happens:  a detector that finds all 8 events has 1.000. With 20 more detections beside each event, all with a higher score than the right
#           ones, it has 1.000, too. A detector that misses half of the events has 0.750, with and without the 160 false alarms. The
#           accuracy of the same evaluation falls from 1.000 to 0.048, so the matches themselves are right.
# Cause:    a detection without an event has no true class, which becomes NaN, and rows of NaN are dropped before the precision is computed.
#           What is left are the events, each with the scores of its match.
# Matters:  the threshold of a detector, chosen by this value, is 0, and detectors that fire all the time come first in a table. Nothing in
#           the documentation or the result says so. Compute the precision from the list of matches, with 0 as the truth of those
#           without an event.
# Versions: soundevent 2.10.0, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundevent 2.10.0
#   8 of 8 events found, 0 false alarms: mean average precision 1.000, accuracy 1.000
#   8 of 8 events found, 160 false alarms: mean average precision 1.000, accuracy 0.048
#   4 of 8 events found, 0 false alarms: mean average precision 0.750, accuracy 0.500
#   4 of 8 events found, 160 false alarms: mean average precision 0.750, accuracy 0.024
#   scikit-learn, with the 160 false alarms as negatives: 0.048
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 'soundevent[all]==2.10.0'

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import soundfile
from sklearn.metrics import average_precision_score
from soundevent import data, terms
from soundevent.evaluation import sound_event_detection

warnings.simplefilter("ignore")  # of scikit-learn, of the accuracy of the three best of three classes, and of absent classes
RATE, EVENTS = 16_000, 8
soundfile.write("a.wav", np.zeros(60 * RATE), RATE)
recording = data.Recording.from_file("a.wav")
clip = data.Clip(recording=recording, start_time=0, end_time=60)
tags = [data.Tag(term=terms.scientific_name, value=name) for name in ("Troglodytes troglodytes", "Erithacus rubecula")]


def box(start):
    return data.SoundEvent(recording=recording, geometry=data.BoundingBox(coordinates=[start, 1000, start + 1, 2000]))


def detection(start, tag, score):
    return data.SoundEventPrediction(sound_event=box(start), score=score, tags=[data.PredictedTag(tag=tag, score=score)])


def evaluate(found, beside):
    """Return the metrics of a detector with the first events right at 0.9, and wrong detections at 0.99 two seconds later."""
    right = [detection(5 * event, tags[event % 2], 0.9) for event in range(found)]
    wrong = [detection(5 * event + 2 + 0.01 * n, tags[n % 2], 0.99) for event in range(EVENTS) for n in range(beside)]
    result = sound_event_detection([data.ClipPrediction(clip=clip, sound_events=right + wrong)], [truth], tags)
    values = {metric.term.label.lower(): metric.value for metric in result.metrics}
    return round(values["mean average precision"], 3), round(values["accuracy"], 3), len(wrong)


truth = data.ClipAnnotation(
    clip=clip,
    sound_events=[data.SoundEventAnnotation(sound_event=box(5 * event), tags=[tags[event % 2]]) for event in range(EVENTS)],
)
print("soundevent", version("soundevent"))
seen = []
for found in (8, 4):
    for beside in (0, 20):
        precision, accuracy, wrong = evaluate(found, beside)
        print(f"{found} of 8 events found, {wrong} false alarms: mean average precision {precision:.3f}, accuracy {accuracy:.3f}")
        seen.append((precision, accuracy))
# 4 events and 80 false alarms of a class
usual = average_precision_score([1] * 4 + [0] * 80, [0.9] * 4 + [0.99] * 80)
print(f"scikit-learn, with the 160 false alarms as negatives: {usual:.3f}")
ok = [precision for precision, _ in seen] == [1, 1, 0.75, 0.75] and seen[1][1] < 0.1 and usual < 0.1
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
