#!/usr/bin/env bash
# m2cgen and treelite export an XGBoost model with the trees that were grown after its best round, which the model itself leaves out.
#
# Guess:    a classifier that was trained with early stopping gives the same probabilities after its export.
# Happens:  training stopped at round 30, and round 10 was the best. The model predicts with 10 rounds: its test loss is 1.232. The code
#           that m2cgen writes, and treelite with the saved file of the model, predict with all 30: 1.306. A probability differs by 0.51.
#           Nothing is said.
# Cause:    XGBoost keeps all trees and notes the best round, which its scikit-learn classes follow. m2cgen 0.10.0 asks the model for
#           `best_ntree_limit`, which XGBoost had up to version 1; treelite does not read the note, though the saved file has it.
# Matters:  the exported model is the overfitted one, and the longer the patience, the more so. Accuracy may be alike, so a check of labels
#           alone passes. Stop with the callback `xgboost.callback.EarlyStopping(rounds=20, save_best=True)`: it drops the later trees.
# Versions: m2cgen 0.10.0, treelite 4.8.1, xgboost-cpu 3.2.0, scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   m2cgen 0.10.0 treelite 4.8.1
#   best round 10 of 30
#   XGBoost: test loss 1.232, accuracy 0.503, a probability differs by 0.00
#   XGBoost, all trees: test loss 1.306, accuracy 0.502, a probability differs by 0.51
#   m2cgen: test loss 1.306, accuracy 0.502, a probability differs by 0.51
#   treelite: test loss 1.306, accuracy 0.502, a probability differs by 0.51
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 xgboost-cpu==3.2.0 m2cgen==0.10.0 \
    treelite==4.8.1

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import m2cgen
import numpy as np
import treelite
import xgboost

RANDOM = np.random.default_rng(0)


def clips(number):
    labels = RANDOM.integers(0, 5, number)
    return (RANDOM.normal(size=(number, 8)) + 1.2 * np.eye(8)[labels]).astype("float32"), labels


training, validation, (features, labels) = clips(300), clips(300), clips(1000)
model = xgboost.XGBClassifier(
    n_estimators=300, learning_rate=0.3, max_depth=3, early_stopping_rounds=20, n_jobs=1, random_state=0,
    base_score=0.5, num_parallel_tree=1,  # m2cgen raises without these two
)
model.fit(*training, eval_set=[validation], verbose=False)
model.save_model("model.json")

python = {}
exec(m2cgen.export_to_python(model), python)
probabilities = {
    "XGBoost": model.predict_proba(features),
    "XGBoost, all trees": model.predict_proba(features, iteration_range=(0, model.get_booster().num_boosted_rounds())),
    "m2cgen": np.array([python["score"](row.tolist()) for row in features]),
    "treelite": treelite.gtil.predict(treelite.frontend.load_xgboost_model("model.json"), features).reshape(len(features), -1),
}
print("m2cgen", version("m2cgen"), "treelite", version("treelite"))
print(f"best round {model.best_iteration + 1} of {model.get_booster().num_boosted_rounds()}")
losses = {}
for name, table in probabilities.items():
    losses[name] = -np.log(table[np.arange(len(labels)), labels]).mean()
    accuracy = (table.argmax(1) == labels).mean()
    difference = np.abs(table - probabilities["XGBoost"]).max()
    print(f"{name}: test loss {losses[name]:.3f}, accuracy {accuracy:.3f}, a probability differs by {difference:.2f}")
all_trees = losses["XGBoost, all trees"]
same = max(abs(losses[name] - all_trees) for name in ("m2cgen", "treelite")) < 1e-4
sys.exit(0 if same and all_trees - losses["XGBoost"] > 0.02 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
