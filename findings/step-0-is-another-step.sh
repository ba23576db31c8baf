#!/usr/bin/env bash
# dvclive's logger for Lightning and Fabric has no step 0: what is logged in it is put into the next step, after what is already there.
#
# Guess:    three losses that are logged with step=0, 1, 2 are in the history with the steps 0, 1, 2, and two metrics of one step share it.
# Happens:  the steps are 1, 1, 2: the first two values have the same step. Of two metrics that are logged in two calls with step=0, the
#           second has step 2. A recall that is logged as step 0 after 100 steps has step 101.
# Cause:    the logger asks `if step:`, and takes 0 as if no step were given; then it adds 1 to the last step. Live itself has a step 0.
# Matters:  the first value is a curve's baseline, for example the loss before training. Two values at one step make a curve go back, and
#           tables that are joined by step compare the wrong epochs. Count from 1, or set `logger.experiment.step` and use its log_metric.
# Versions: dvclive 3.49.1, lightning 2.6.6, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   dvclive 3.49.1 lightning 2.6.6
#   losses of the steps 0, 1, 2: {'loss': [1, 1, 2]}
#   a loss and an accuracy of the steps 0, 1: {'loss': [1, 1], 'accuracy': [2, 1]}
#   a recall that is logged as step 0 after 100 steps: [101]
#   the same three losses with Live: [0, 1, 2]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 lightning==2.6.6 dvclive==3.49.1 dvc==3.67.1
export DVC_NO_ANALYTICS=1 DVCLIVE_LOGLEVEL=ERROR

cat > check.py <<'PYTHON'
import csv
import sys
import warnings
from importlib.metadata import version

from dvclive import Live
from dvclive.fabric import DVCLiveLogger
from lightning.fabric import Fabric

warnings.simplefilter("ignore")
OPTIONS = dict(report=None, save_dvc_exp=False, dvcyaml=None)


def steps(folder, name):
    with open(f"{folder}/plots/metrics/{name}.tsv") as file:
        return [int(row["step"]) for row in csv.DictReader(file, delimiter="\t")]


def logged(folder, values):
    logger = DVCLiveLogger(dir=folder, **OPTIONS)
    fabric = Fabric(accelerator="cpu", devices=1, loggers=[logger])
    for step, name in values:
        fabric.log(name, 1.0, step=step)
    return {name: steps(folder, name) for name in dict.fromkeys(name for _, name in values)}


print("dvclive", version("dvclive"), "lightning", version("lightning"))
three = logged("three", [(0, "loss"), (1, "loss"), (2, "loss")])
print("losses of the steps 0, 1, 2:", three)
pair = logged("pair", [(0, "loss"), (0, "accuracy"), (1, "loss"), (1, "accuracy")])
print("a loss and an accuracy of the steps 0, 1:", pair)
late = logged("late", [(step, "loss") for step in range(1, 101)] + [(0, "recall")])
print("a recall that is logged as step 0 after 100 steps:", late["recall"])
with Live("live", **OPTIONS) as live:
    for _ in range(3):
        live.log_metric("loss", 1.0)
        live.next_step()
plain = steps("live", "loss")
print("the same three losses with Live:", plain)
ok = three == {"loss": [1, 1, 2]} and pair == {"loss": [1, 1], "accuracy": [2, 1]} and late["recall"] == [101] and plain == [0, 1, 2]
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
