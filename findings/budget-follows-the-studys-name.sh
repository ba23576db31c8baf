#!/usr/bin/env bash
# The same search with the same seed trains for other numbers of epochs if the study has another name, or none.
#
# Guess:    a study with a seeded sampler and HyperbandPruner is the same each time that it runs: the trials, and the epochs
#           after which each of them is stopped. A study's name is a label.
# Happens:  the sampled values are the same, but the pruning is not. A search of 30 trials over 27 epochs takes 320 epochs as
#           "esc50", 270 as "esc50-again" and 402 as "a". A study without a name gets a new one each time: it takes another
#           number of epochs in each run, and TPE, which learns from what was not pruned, then samples other values, too.
# Cause:    the pruner deals the trials out to its brackets by a checksum of the study's name and the trial's number, and
#           takes no seed.
# Matters:  "seeded" searches are not repeated by their seed, and two searches for two models that are to have the same
#           budget do not have it: a longer name can be worth half as many epochs again.
# Versions: optuna 5.0.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   optuna 5.0.0
#   study "esc50": 320 epochs, 10 trials to the end
#   study "esc50-again": 270 epochs, 8 trials to the end
#   study "a": 402 epochs, 13 trials to the end
#   sampled values equal: True
#   the same name again: 320 epochs
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check optuna==5.0.0

cat > check.py <<'PYTHON'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
EPOCHS = 27


def train(trial):
    rate = trial.suggest_float("learning_rate", 0, 1)
    score = 0.0
    for epoch in range(1, EPOCHS + 1):
        score = 1 - abs(rate - 0.3) * (1 - 0.5**epoch)
        trial.report(score, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


def search(name):
    study = optuna.create_study(
        study_name=name, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
    )
    study.optimize(train, n_trials=30)
    epochs = [trial.last_step for trial in study.trials]
    return sum(epochs), epochs.count(EPOCHS), [trial.params["learning_rate"] for trial in study.trials]


print(f"optuna {optuna.__version__}")
found = {name: search(name) for name in ("esc50", "esc50-again", "a")}
for name, (epochs, whole, _) in found.items():
    print(f'study "{name}": {epochs} epochs, {whole} trials to the end')
same = all(values == found["a"][2] for _, _, values in found.values())
print(f"sampled values equal: {same}")
again = search("esc50")
print(f"the same name again: {again[0]} epochs")
assert same
assert len({epochs for epochs, _, _ in found.values()}) == 3
assert again == found["esc50"]
assert max(epochs for epochs, _, _ in found.values()) > 1.4 * min(epochs for epochs, _, _ in found.values())
PYTHON
venv/bin/python check.py 2> errors || { cat errors >&2; exit 1; }
