#!/usr/bin/env bash
# A model shared by PyTorchModelHubMixin comes back with its defaults where an argument was a number of NumPy's.
#
# Guess:    save_pretrained() writes the arguments of the constructor to config.json, and from_pretrained() builds the same
#           model. An argument that JSON cannot hold is an error, or becomes a number.
# Happens:  a log-mel model is built with the mean and deviation of its training set, which np.mean() of float32 gave.
#           config.json has the defaults 0 and 1 in their place, as if they had been given, without a message. The model
#           that comes back standardises with them: its weights are the same, its logits are others. A float64 is kept,
#           because it is a subclass of float. A number of classes from labels.max() + 1 is left out: from_pretrained()
#           then fails, because the argument has no default.
# Cause:    the mixin starts from the defaults and adds those given arguments that json can write.
# Matters:  numbers that were computed from data are NumPy's more often than not, and a wrong mean still gives scores.
# Versions: huggingface_hub 2.4.0, safetensors 0.8.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   huggingface_hub 2.4.0
#   given: mean float32 -7.25, deviation float32 4.5, fmax float64 11025.0
#   config.json: {"classes": 10, "deviation": 1.0, "fmax": 11025.0, "mean": 0.0}
#   came back: mean 0.0, deviation 1.0, fmax 11025.0; weights equal: True, logits equal: False
#   classes as int64: TypeError, missing 1 required positional argument: 'classes'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 torch==2.13.0 huggingface_hub==2.4.0 safetensors==0.8.0

cat > check.py <<'PYTHON'
import json
import logging
from contextlib import redirect_stdout
from pathlib import Path

import huggingface_hub
import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

logging.disable(logging.CRITICAL)


class Classifier(nn.Module, PyTorchModelHubMixin):
    def __init__(self, classes: int, mean: float = 0.0, deviation: float = 1.0, fmax: float = 8000.0):
        super().__init__()
        self.mean, self.deviation, self.fmax = mean, deviation, fmax
        self.logits = nn.Linear(64, classes)

    def forward(self, logmel):
        return self.logits((logmel - self.mean) / self.deviation)


print(f"huggingface_hub {huggingface_hub.__version__}")
mean, deviation, fmax = np.float32(-7.25), np.float32(4.5), np.float64(11025)
print(f"given: mean {mean.dtype} {mean}, deviation {deviation.dtype} {deviation}, fmax {fmax.dtype} {fmax}")
model = Classifier(10, mean=mean, deviation=deviation, fmax=fmax)
model.save_pretrained("shared")
config = json.loads(Path("shared/config.json").read_text())
print("config.json:", json.dumps(config))
with redirect_stdout(None):  # it says that it loads
    again = Classifier.from_pretrained("shared")
features = torch.full((1, 64), -7.0)
weights = torch.equal(model.logits.weight, again.logits.weight)
logits = torch.allclose(model(features), again(features))
print(
    f"came back: mean {again.mean}, deviation {again.deviation}, fmax {again.fmax}; weights equal: {weights}, logits "
    f"equal: {logits}"
)
assert (again.mean, again.deviation, again.fmax) == (0.0, 1.0, 11025.0)
assert weights
assert not logits

labels = np.array([0, 3, 6])
Classifier(labels.max() + 1).save_pretrained("counted")
try:
    with redirect_stdout(None):
        Classifier.from_pretrained("counted")
except TypeError as error:
    print(f"classes as {(labels.max() + 1).dtype}: TypeError, {str(error).partition(' ')[2]}")
else:
    raise AssertionError("it came back")
PYTHON
venv/bin/python check.py 2> errors || { cat errors >&2; exit 1; }
