#!/usr/bin/env bash
# Grain's run with seed 1 is its run with seed 0, an epoch later: its clips come in the same orders, with random numbers one clip on.
#
# Guess:    trainings with the seeds 0 to 4 see their clips in unrelated orders, and draw unrelated crops.
# Happens:  five runs of five epochs have 9 different orders instead of 25. The third epoch of seed 0 is the second of seed 1 and the first
#           of seed 2. Of 25,000 random numbers of their augmentation, 5,004 are different ones: nearly each comes five times. With a
#           sampler that does not shuffle, the crop of clip 5 with seed 0 is the crop of clip 4 with seed 1.
# Cause:    an epoch is shuffled with the seed plus the number of the epoch. A random transformation of a DataLoader gets a generator whose
#           key is the seed plus the number of the record.
# Matters:  the spread over five seeds is the spread over fewer orders and draws, so a mean over seeds looks more certain than it is. Ten
#           passes of augmentation at test time, with ten seeds, share nearly all of their draws. Take seeds that are far apart, such as
#           those of numpy's SeedSequence, or build the pipeline with `MapDataset.seed(seed)`, which derives unrelated ones.
# Versions: grain 0.2.18, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   grain 0.2.18
#   5 runs of 5 epochs with the seeds 0 to 4: 9 different orders of 25
#   their 25,000 random numbers: 5,004 different ones
#   epoch 3 of seed 0, epoch 2 of seed 1 and epoch 1 of seed 2 are one order: True
#   not shuffled: clip 5 with seed 0 draws 0.733746, clip 4 with seed 1 draws 0.733746
#   with MapDataset.seed: 25 different orders of 25
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 grain==0.2.18

cat > check.py <<'PYTHON'
import logging
import sys
from importlib.metadata import version

logging.disable(logging.WARNING)  # a word about JAX, which is not installed
import grain
import grain.python as pygrain

CLIPS, EPOCHS, SEEDS = 1000, 5, range(5)


class Crop(pygrain.RandomMapTransform):
    """Draw where a clip is cropped."""

    def random_map(self, clip, rng):
        return clip, rng.uniform()


def run(seed, shuffle=True):
    """Return the clips of a run, epoch by epoch, and all its draws."""
    sampler = pygrain.IndexSampler(num_records=CLIPS, shuffle=shuffle, seed=seed, num_epochs=EPOCHS)
    source = pygrain.RangeDataSource(0, CLIPS, 1)
    clips, draws = zip(*pygrain.DataLoader(data_source=source, sampler=sampler, operations=[Crop()], worker_count=0), strict=True)
    return [clips[CLIPS * epoch : CLIPS * (epoch + 1)] for epoch in range(EPOCHS)], draws


def pipeline(seed):
    """Return the orders of a MapDataset that derives its seeds."""
    order = list(grain.MapDataset.range(CLIPS).seed(seed).shuffle().repeat(EPOCHS))
    return [tuple(order[CLIPS * epoch : CLIPS * (epoch + 1)]) for epoch in range(EPOCHS)]


print("grain", version("grain"))
runs = [run(seed) for seed in SEEDS]
orders = {order for epochs, _ in runs for order in epochs}
draws = {draw for _, numbers in runs for draw in numbers}
same = runs[0][0][2] == runs[1][0][1] == runs[2][0][0]
derived = {order for seed in SEEDS for order in pipeline(seed)}
crops = run(0, shuffle=False)[1][5], run(1, shuffle=False)[1][4]
print(f"{len(SEEDS)} runs of {EPOCHS} epochs with the seeds 0 to 4: {len(orders)} different orders of {len(SEEDS) * EPOCHS}")
print(f"their {len(SEEDS) * EPOCHS * CLIPS:,} random numbers: {len(draws):,} different ones")
print(f"epoch 3 of seed 0, epoch 2 of seed 1 and epoch 1 of seed 2 are one order: {same}")
print(f"not shuffled: clip 5 with seed 0 draws {crops[0]:.6f}, clip 4 with seed 1 draws {crops[1]:.6f}")
print(f"with MapDataset.seed: {len(derived)} different orders of {len(SEEDS) * EPOCHS}")
changed = not same or len(orders) != 9 or len(draws) != 5004 or crops[0] != crops[1] or len(derived) != 25
sys.exit("the behaviour has changed" if changed else 0)
PYTHON
venv/bin/python check.py
