#!/usr/bin/env bash
# A validation pass without anything random in it changes the training that follows.
#
# Guess:    With a fixed seed, a validation pass changes nothing about the training: the model is in eval() under
#           no_grad(), the loader does not shuffle and has no workers. Validating more often only costs time.
# Happens:  The weights after training differ from those of a training without validation. Every `iter(loader)` of a
#           torch DataLoader, shuffled or not, takes one number from PyTorch's global generator, and all later dropout
#           masks, augmentations and orders move on by it. If the loader has a generator of its own, the weights are
#           bit-identical to those without validation.
# Cause:    The constructor of _BaseDataLoaderIter draws `_base_seed`, the seed of the workers, with
#           `.random_(generator=loader.generator)`, even if there are no workers.
# Matters:  Two runs with equal seeds that differ in how often they validate, in a sanity check before training, or in a
#           look at one batch for a plot are different runs. A difference between them is not an effect of what was
#           changed. `DataLoader(..., generator=torch.Generator())` for validation and test loaders prevents it.
# Versions: torch 2.13.0 on the CPU, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torch 2.13.0+cpu
#   largest difference of a weight, repeated without validation: 0.0000
#   with validation: 0.0557
#   with validation by a loader with its own generator: 0.0000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0

cat > check.py <<'PYTHON'
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
train = TensorDataset(torch.linspace(-1, 1, 64).reshape(16, 4), torch.arange(16) % 2)
held_out = TensorDataset(torch.linspace(-1, 1, 32).reshape(8, 4), torch.arange(8) % 2)


def weights_after_training(validation):
    """Train for three epochs of fixed order; dropout is the only thing that draws random numbers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model.train()
        for x, y in DataLoader(train, batch_size=4):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        if validation is not None:
            model.eval()
            with torch.no_grad():
                for x, _ in validation:
                    model(x)
    return nn.utils.parameters_to_vector(model.parameters()).detach()


without = weights_after_training(None)
again = weights_after_training(None)
plain = weights_after_training(DataLoader(held_out, batch_size=4))
own = weights_after_training(DataLoader(held_out, batch_size=4, generator=torch.Generator()))
print("torch", torch.__version__)
print(f"largest difference of a weight, repeated without validation: {(again - without).abs().max():.4f}")
print(f"with validation: {(plain - without).abs().max():.4f}")
print(f"with validation by a loader with its own generator: {(own - without).abs().max():.4f}")

assert torch.equal(again, without)
assert (plain - without).abs().max() > 0.001
assert torch.equal(own, without)
PYTHON
venv/bin/python check.py
