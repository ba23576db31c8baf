#!/usr/bin/env bash
# Hugging Face's Dataset.map returns the old features after the file that computes them was edited.
#
# Guess:    map(extract) computes anew when the code of extract() has changed: the cache is found by a hash of the function.
# Happens:  extract() is in features.py, which train.py imports. The number in features.py is edited from 40 to 128, and the next run of
#           train.py still gets 40. A function of train.py that calls it, and a lambda, get 40 as well. Nothing is said. The same edit in
#           train.py itself is noticed.
# Cause:    only functions of the main script, notebooks and lambdas are hashed with their code. A function of an imported module is
#           hashed as the name of its module and its own.
# Matters:  features in a module of their own are the usual layout. A change of the number of mel bands, of the decoder or of the
#           sampling rate then has no effect, and two settings that are compared have equal scores. Arguments in fn_kwargs are part of the
#           hash; so put settings there, or pass `load_from_cache_file=False`.
# Versions: datasets 5.2.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   datasets 5.2.0
#   features.py says 40: imported 40, called by a function 40, called by a lambda 40, in train.py 40, by an argument 40
#   features.py says 128: imported 40, called by a function 40, called by a lambda 40, in train.py 128, by an argument 128
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 datasets==5.2.0
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home" PYTHONDONTWRITEBYTECODE=1

cat > train.template <<'PYTHON'
import datasets
from features import BANDS, extract, extract_with

datasets.disable_progress_bars()


def calling(row):
    return extract(row)


def own(row):
    return {"bands": NUMBER}


clips = datasets.load_dataset("csv", data_files="clips.csv", split="train")
bands = [
    clips.map(extract),
    clips.map(calling),
    clips.map(lambda row: extract(row)),
    clips.map(own),
    clips.map(extract_with, fn_kwargs={"bands": BANDS}),
]
print(*(mapped[0]["bands"] for mapped in bands))
PYTHON
cat > check.py <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

WAYS = "imported {}, called by a function {}, called by a lambda {}, in train.py {}, by an argument {}"
Path("clips.csv").write_text("clip,target\na.wav,0\n")


def run(bands):
    """Edit both files to this number of bands, and return the numbers that the features have."""
    Path("features.py").write_text(
        f"BANDS = {bands}\n\n\n"
        "def extract(row):\n"
        f'    return {{"bands": {bands}}}\n\n\n'
        "def extract_with(row, bands):\n"
        '    return {"bands": bands}\n'
    )
    Path("train.py").write_text(Path("train.template").read_text().replace("NUMBER", str(bands)))
    done = subprocess.run([sys.executable, "train.py"], check=True, text=True, capture_output=True)
    return done.stdout.split(), done.stderr


print("datasets", version("datasets"))
first, _ = run(40)
print("features.py says 40:", WAYS.format(*first))
second, said = run(128)
print("features.py says 128:", WAYS.format(*second))
ok = first == ["40"] * 5 and second == ["40", "40", "40", "128", "128"] and not said
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
