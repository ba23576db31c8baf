#!/usr/bin/env bash
# A loss that became infinite is a finite number in MLflow: 1.7976931348623157e+308.
#
# Guess:    log_metric("loss", inf) keeps infinity, as it keeps NaN, or refuses it.
# Happens:  the run's metrics and its history give the largest double, for which math.isfinite() is True. NaN stays NaN. A
#           filter for diverged runs by isfinite() finds those with NaN and lets those with infinity pass, and a mean over
#           runs is a number of 308 digits instead of infinite.
# Cause:    the default store is SQLite since MLflow 3; values beyond the largest double are cut to it when they are written,
#           because not every database has infinity.
# Matters:  infinity is the loss of a softmax whose correct class has probability 0, and of an overflow in half precision.
# Versions: mlflow 3.17.2, Python 3.11.7.
# Date:     2026-11
# Output:
#   mlflow 3.17.2, a store in SQLite
#   logged inf, read 1.7976931348623157e+308, finite: True
#   logged -inf, read -1.7976931348623157e+308, finite: True
#   logged nan, read nan, finite: False
#   history of the loss: 0.7, 1.7976931348623157e+308
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check mlflow==3.17.2

cat > check.py <<'PYTHON'
import math

import mlflow

mlflow.set_tracking_uri("sqlite:///here.db")
print(f"mlflow {mlflow.__version__}, a store in SQLite")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.7, step=0)
    mlflow.log_metric("loss", math.inf, step=1)
    mlflow.log_metric("log_likelihood", -math.inf, step=1)
    mlflow.log_metric("norm", math.nan, step=1)
client = mlflow.MlflowClient()
found = client.get_run(run.info.run_id).data.metrics
for name, logged in (("loss", math.inf), ("log_likelihood", -math.inf), ("norm", math.nan)):
    print(f"logged {logged}, read {found[name]}, finite: {math.isfinite(found[name])}")
history = [each.value for each in client.get_metric_history(run.info.run_id, "loss")]
print("history of the loss:", ", ".join(map(str, history)))
assert math.isfinite(found["loss"])
assert math.isfinite(found["log_likelihood"])
assert math.isnan(found["norm"])
PYTHON
MLFLOW_DISABLE_TELEMETRY=true venv/bin/python check.py 2> errors || { cat errors >&2; exit 1; }
