#!/usr/bin/env bash
# crowsetta gives one label different names, depending on what else is in its file: 007 is "7" among numbers and "007" among words.
#
# Guess:    a label is text: what stands in a label track of Audacity is the label that the sequence has, in every file.
# Happens:  007 beside 012 is "7", 007 beside dog is "007", and 3 beside 2.5 is "3.0". A generic CSV that crowsetta wrote itself with the
#           label 007 comes back with "7". Nothing is said.
# Cause:    the table is read with guessed types. A column of nothing but numbers becomes numbers, and these become text afterwards. The
#           type is guessed for each file.
# Matters:  sets with numbered classes or speakers (00 to 59) get classes twice, under two names, and a class of the one name is never
#           predicted in files of the other. Joined with a list of the classes, clips are lost. Give the labels a letter before they are
#           written.
# Versions: crowsetta 5.1.2, pandas 3.1.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   crowsetta 5.1.2
#   Audacity: 007 and 012 become 7 and 12
#   Audacity: 007 and dog become 007 and dog
#   Audacity: 3 and 2.5 become 3.0 and 2.5
#   CSV: 007 and 012 become 7 and 12
#   CSV: 007 and dog become 007 and dog
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pandas==3.1.1 crowsetta==5.1.2

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

warnings.simplefilter("ignore")  # what its dependencies say when they are imported
from crowsetta import Annotation, Sequence
from crowsetta.formats.seq import AudSeq, GenericSeq

warnings.simplefilter("error")


def audacity(*labels):
    """Return the labels that a label track of Audacity comes back with."""
    Path("a.txt").write_text("".join(f"{i}.25\t{i}.75\t{label}\n" for i, label in enumerate(labels)))
    return list(AudSeq.from_file("a.txt").to_seq().labels)


def generic(*labels):
    """Return the labels that a CSV of crowsetta comes back with."""
    starts = [i + 0.25 for i in range(len(labels))]
    ends = [start + 0.5 for start in starts]
    sequence = Sequence.from_keyword(labels=list(labels), onsets_s=starts, offsets_s=ends)
    GenericSeq(annots=[Annotation(seq=sequence, notated_path="a.wav", annot_path="a.csv")]).to_file("a.csv")
    return list(GenericSeq.from_file("a.csv").to_annot()[0].seq.labels)


print("crowsetta", version("crowsetta"))
ok = True
for name, read, labels, expected in (
    ("Audacity", audacity, ("007", "012"), ["7", "12"]),
    ("Audacity", audacity, ("007", "dog"), ["007", "dog"]),
    ("Audacity", audacity, ("3", "2.5"), ["3.0", "2.5"]),
    ("CSV", generic, ("007", "012"), ["7", "12"]),
    ("CSV", generic, ("007", "dog"), ["007", "dog"]),
):
    seen = read(*labels)
    print(f"{name}: {' and '.join(labels)} become {' and '.join(seen)}")
    ok &= seen == expected
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
