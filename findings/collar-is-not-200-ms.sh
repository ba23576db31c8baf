#!/usr/bin/env bash
# sed_eval's collar of 200 ms refuses a start that is 200 ms off in one event and takes it in another.
#
# Guess:    With t_collar=0.2, an event whose start is exactly 0.2 s late is within the collar: the rule is "<= collar",
#           and times of annotations and of predictions are multiples of 10 ms.
# Happens:  It depends on where in the recording the event is. Of the events that start at 0, 0.01, 0.02, ... 9.99 s and
#           are found exactly 0.2 s late, 437 of 1000 are hits. With a collar of 0.2000001 all are.
# Cause:    abs(2.2 - 2.0) is 0.20000000000000018 in binary, and the comparison has no tolerance. sed_scores_eval rounds
#           differences to six digits and takes all of them.
# Matters:  Predictions on a grid of 20, 50 or 100 ms are often exactly a collar off. Their F1 then depends on digits
#           that nobody wrote, and two packages with the same rule differ: F1 of 0.44 and 1 in this extreme case.
# Versions: sed_eval 0.2.1, dcase_util 0.2.20, setuptools 80.9.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   collar 0.2 s: 437 of 1000 events that are 0.2 s late are hits; collar 0.2000001 s: 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check setuptools==80.9.0 numpy==2.4.6
venv/bin/python -m pip install --quiet --disable-pip-version-check sed_eval==0.2.1 dcase_util==0.2.20 numpy==2.4.6

cat > check.py <<'PYTHON'
import warnings

warnings.simplefilter("ignore")  # setuptools: "pkg_resources is deprecated"
import sed_eval


def hits(collar):
    count = 0
    for place in range(1000):
        start = round(place / 100, 2)
        true = [{"filename": "f", "onset": start, "offset": round(start + 5, 2), "event_label": "a"}]
        found = [{"filename": "f", "onset": round(start + 0.2, 2), "offset": round(start + 5, 2), "event_label": "a"}]
        metric = sed_eval.sound_event.EventBasedMetrics(["a"], t_collar=collar, percentage_of_length=0.2)
        metric.evaluate(true, found)
        count += metric.overall["Ntp"]
    return int(count)


exact, wide = hits(0.2), hits(0.2000001)
print(f"collar 0.2 s: {exact} of 1000 events that are 0.2 s late are hits; collar 0.2000001 s: {wide}")
assert (exact, wide) == (437, 1000)
PYTHON
venv/bin/python check.py
