#!/usr/bin/env bash
# pyannote.metrics' collar of 200 ms forgives 100 ms: half of it lies on each side of a boundary.
#
# Guess:    collar=0.2 leaves out 200 ms before and after each boundary of the reference, as NIST's scoring tool and the
#           event-based scores of sed_eval mean by a collar: a start that is 150 ms late costs nothing.
# Happens:  A start that is 100 ms late costs nothing, at 150 ms the detection error rate is 6.2 % and at 200 ms 12.5 %.
#           With collar=0.4 the error begins beyond 200 ms.
# Cause:    The collar is the whole length of what is left out around a boundary.
# Matters:  "collar 0.25 s" of a paper that scored with NIST's tool is collar=0.5 here. The same segmentation is compared
#           under a rule twice as strict, and looks worse than it is.
# Versions: pyannote.metrics 4.2.0, pyannote.core 6.1.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   pyannote.metrics 4.2.0
#   collar 0.2 s: 100 ms late 0.0%, 150 ms late 6.2%, 200 ms late 12.5%, 250 ms late 18.7%
#   collar 0.4 s: 100 ms late 0.0%, 150 ms late 0.0%, 200 ms late 0.0%, 250 ms late 8.3%
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pyannote.core==6.1.0 pyannote.metrics==4.2.0

cat > check.py <<'PYTHON'
from importlib.metadata import version

from pyannote.core import Annotation, Segment
from pyannote.metrics.detection import DetectionErrorRate


def error(late, collar):
    """Return the detection error rate of an event from 1 s to 2 s that is found late."""
    reference, found = Annotation(), Annotation()
    reference[Segment(1, 2)] = "event"
    found[Segment(1 + late, 2)] = "event"
    return DetectionErrorRate(collar=collar)(reference, found, uem=Segment(0, 3))


print("pyannote.metrics", version("pyannote.metrics"))
for collar in (0.2, 0.4):
    print(f"collar {collar} s:", ", ".join(f"{1000 * late:.0f} ms late {error(late, collar):.1%}" for late in (0.1, 0.15, 0.2, 0.25)))
assert error(0.1, 0.2) < 1e-9 < 0.05 < error(0.15, 0.2)
assert error(0.2, 0.4) < 1e-9 < 0.05 < error(0.25, 0.4)
PYTHON
venv/bin/python check.py
