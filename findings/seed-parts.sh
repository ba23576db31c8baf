#!/usr/bin/env bash
# Seeds that are made of parts, such as (seed, fold), can give the same random numbers for different parts.
#
# Guess:    numpy.random.default_rng([seed, fold]) is a stream of its own for every pair, and torch.manual_seed, which
#           accepts 64 bits, gives different numbers for different seeds.
# Happens:  NumPy fills a list of fewer than four numbers up with zeros, so that fold 0 repeats the numbers of the bare
#           seed: 5, [5], [5, 0] and [5, 0, 0, 0] are one stream. An integer is split into words of 32 bits, so that
#           [5, 1] and 2**32 + 5 are one stream, too. PyTorch's generator on the CPU keeps the lowest 32 bits of a seed:
#           seed + fold * 2**32 gives all folds the same weights, although initial_seed() returns the whole number.
# Cause:    SeedSequence mixes its entropy into a pool of four words and hashes 0 for a missing word; a fifth word is
#           mixed in even if it is 0. PyTorch's mt19937 starts from `seed & 0xffffffff`.
# Matters:  A bootstrap with seed 0 and a draw of seeds with (0, fold 0) are not independent. Five "folds" or "runs"
#           whose seeds differ only in high bits are one run, and their spread is zero or far too small.
#           `SeedSequence(seed).spawn(n)`, or a hash of all parts, gives independent streams.
# Versions: numpy 2.4.6, torch 2.13.0 on the CPU, Python 3.11.7.
# Date:     2026-11
# Output:
#   numpy 2.4.6 torch 2.13.0+cpu
#   numpy 5: [670, 805, 22, 807]
#   numpy [5]: [670, 805, 22, 807]
#   numpy [5, 0]: [670, 805, 22, 807]
#   numpy [5, 0, 0, 0]: [670, 805, 22, 807]
#   numpy [5, 0, 0, 0, 0]: [220, 403, 968, 753]
#   numpy [5, 1]: [132, 774, 778, 470]
#   numpy 4294967301: [132, 774, 778, 470]
#   torch seed 7, fold 0: initial_seed 7, [615, 892, 721, 286]
#   torch seed 7, fold 1: initial_seed 4294967303, [615, 892, 721, 286]
#   torch seed 7, fold 2: initial_seed 8589934599, [615, 892, 721, 286]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0

cat > check.py <<'PYTHON'
import numpy as np
import torch


def numpy_draws(seed):
    return np.random.default_rng(seed).integers(1000, size=4).tolist()


def torch_draws(seed):
    generator = torch.Generator().manual_seed(seed)
    return generator.initial_seed(), torch.randint(1000, (4,), generator=generator).tolist()


print("numpy", np.__version__, "torch", torch.__version__)
for seed in (5, [5], [5, 0], [5, 0, 0, 0], [5, 0, 0, 0, 0], [5, 1], 2**32 + 5):
    print(f"numpy {seed}: {numpy_draws(seed)}")
for fold in range(3):
    print("torch seed 7, fold {}: initial_seed {}, {}".format(fold, *torch_draws(7 + fold * 2**32)))

assert numpy_draws(5) == numpy_draws([5]) == numpy_draws([5, 0]) == numpy_draws([5, 0, 0, 0])
assert numpy_draws(5) != numpy_draws([5, 0, 0, 0, 0])
assert numpy_draws([5, 1]) == numpy_draws(2**32 + 5) != numpy_draws(5)
initial = [torch_draws(7 + fold * 2**32)[0] for fold in range(3)]
assert initial == [7, 2**32 + 7, 2**33 + 7]
assert torch_draws(7)[1] == torch_draws(2**32 + 7)[1] == torch_draws(2**33 + 7)[1] != torch_draws(8)[1]
PYTHON
venv/bin/python check.py
