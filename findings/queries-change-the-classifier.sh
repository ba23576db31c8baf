#!/usr/bin/env bash
# easyfsl's few-shot classifiers learn on from batch to batch of queries, and a higher temperature makes them surer, not softer.
#
# Guess:    the scores of a batch of queries follow from the support set and this batch. "Higher temperature means softer predictions", as
#           the documentation says.
# Happens:  a batch of 20 queries has other scores after four other batches of the same task: a probability moves by 0.66 with transductive
#           fine-tuning, by 0.85 with TIM and by 0.06 with BD-CSPN. At temperatures of 0.1, 1, 10 and 100, the mean confidence of Finetune
#           is 0.20, 0.25, 0.67 and 0.97.
# Cause:    each call tunes the prototypes in place and leaves them so; only `process_support_set` makes them new. The logits are multiplied
#           by the temperature, in the losses and in the softmax.
# Matters:  queries that are given in batches, or one by one, are judged by a classifier that other queries have moved, and the order of the
#           batches counts. A published temperature has to be inverted. Call `process_support_set` before each call.
# Versions: easyfsl 1.5.0, torch 2.13.0, numpy 2.4.6, pandas 3.1.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   easyfsl 1.5.0
#   Finetune: temperatures 0.1, 1, 10, 100: mean confidence 0.20, 0.25, 0.67, 0.97
#   TransductiveFinetuning: a batch alone: accuracy 0.30, confidence 0.44; after four others 0.20, 0.85; a probability moved by 0.66
#   TIM: a batch alone: accuracy 0.50, confidence 0.88; after four others 0.45, 0.88; a probability moved by 0.85
#   BDCSPN: a batch alone: accuracy 0.45, confidence 0.28; after four others 0.55, 0.28; a probability moved by 0.06
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pandas==3.1.1 torch==2.13.0 matplotlib==3.11.2 tqdm==4.70.1
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps easyfsl==1.5.0

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version
from types import ModuleType

import torch

for name in ("torchvision", "torchvision.models", "torchvision.models.resnet"):  # only needed for backbones, and large
    sys.modules[name] = ModuleType(name)
for name in ("BasicBlock", "Bottleneck", "conv1x1", "conv3x3"):
    setattr(sys.modules["torchvision.models.resnet"], name, torch.nn.Module)
from easyfsl.methods import BDCSPN, TIM, Finetune, TransductiveFinetuning

torch.manual_seed(0)
centres = 0.3 * torch.randn(5, 32)
support_labels, query_labels = torch.arange(5).repeat_interleave(5), torch.arange(5).repeat_interleave(20)
support = centres[support_labels] + torch.randn(25, 32)
queries = centres[query_labels] + torch.randn(100, 32)


def classifier(kind, **arguments):
    model = kind(use_softmax=True, **arguments)
    model.process_support_set(support, support_labels)
    return model


def confidence(scores):
    return scores.max(1).values.mean().item()


def accuracy(scores):
    return (scores.argmax(1) == query_labels[last]).float().mean().item()


print("easyfsl", version("easyfsl"))
levels = []
for temperature in (0.1, 1.0, 10.0, 100.0):
    levels.append(confidence(classifier(Finetune, temperature=temperature)(queries)))
print("Finetune: temperatures 0.1, 1, 10, 100: mean confidence", ", ".join(f"{level:.2f}" for level in levels))
ok = levels == sorted(levels) and levels[-1] > 0.9
order = torch.randperm(100)
batches, last = order.split(20), order[-20:]
for kind in (TransductiveFinetuning, TIM, BDCSPN):
    arguments = {} if kind is BDCSPN else {"fine_tuning_lr": 0.01}
    alone, model = classifier(kind, **arguments)(queries[last]), classifier(kind, **arguments)
    fifth = [model(queries[batch]) for batch in batches][-1]
    moved = (alone - fifth).abs().max().item()
    print(
        f"{kind.__name__}: a batch alone: accuracy {accuracy(alone):.2f}, confidence {confidence(alone):.2f}; "
        f"after four others {accuracy(fifth):.2f}, {confidence(fifth):.2f}; a probability moved by {moved:.2f}"
    )
    if kind in (TransductiveFinetuning, TIM):
        ok = ok and moved > 0.1
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
