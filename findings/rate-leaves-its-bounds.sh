#!/usr/bin/env bash
# Learning rates of pytorch_optimizer leave their bounds: PolyScheduler ends at 9 times max_lr, LinearScheduler below 0.
#
# Guess:    PolyScheduler(max_lr=0.1, min_lr=0, t_max=100) decays from 0.1 to 0 with the given power, as PolynomialLR of torch does. No
#           scheduler leaves the range from min_lr to max_lr. After its last step a rate stays as it is.
# Happens:  PolyScheduler rises from 0.1 without a bound and ignores t_max. LinearScheduler goes on below 0 after t_max, where each step
#           goes uphill: the loss of a small model rises again. CosineScheduler rises again. The default decay of get_wsd_schedule with
#           min_lr_ratio=0.1 falls to 0.01 of the rate, and jumps up to 0.1 when the decay is over.
# Cause:    PolyScheduler computes min_lr + (max_lr - min_lr) * n ** poly_order of the number n of steps since the warm-up, which is not
#           divided by their total and not subtracted from 1. Nothing limits the steps. The decays of get_wsd_schedule that are not
#           a cosine do not know min_lr_ratio.
# Matters:  the documentation of PolyScheduler has the formula, under "max_lr: learning rate at the end of warmup". Trainings go past t_max
#           by a step when the last batch of an epoch was not counted. torch's PolynomialLR and LinearLR hold the last value then.
# Versions: pytorch_optimizer 4.1.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   pytorch_optimizer 4.1.0 torch 2.13.0+cpu
#   step                     1      10      11      30      60      99     100     101     102     130
#   PolynomialLR        0.0995  0.0949  0.0943  0.0837  0.0632  0.0100  0.0000  0.0000  0.0000  0.0000
#   PolyScheduler       0.0000  0.0900  0.1000  0.4359  0.7000  0.9381  0.9434  0.9487  0.9539  1.0909
#   LinearScheduler     0.0000  0.0900  0.1000  0.0789  0.0456  0.0022  0.0011  0.0000 -0.0011 -0.0322
#     its loss: 8.18e-07 in step 101, 2.53e-06 in step 130
#   CosineScheduler     0.0000  0.0900  0.1000  0.0894  0.0430  0.0001  0.0000  0.0000  0.0000  0.0235
#   wsd, cosine         0.0100  0.1000  0.1000  0.1000  0.0914  0.0101  0.0100  0.0100  0.0100  0.0100
#   wsd, by default     0.0100  0.1000  0.1000  0.1000  0.0553  0.0010  0.0100  0.0100  0.0100  0.0100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 pytorch_optimizer==4.1.0

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import torch
from pytorch_optimizer.lr_scheduler import CosineScheduler, LinearScheduler, PolyScheduler, get_wsd_schedule

warnings.simplefilter("ignore")
SHOWN = (1, 10, 11, 30, 60, 99, 100, 101, 102, 130)  # steps, from 1


def rates(make):
    """The rate of each step, with the scheduler called before it, as the package's schedulers return the rate of "this step"."""
    torch.manual_seed(0)
    model = torch.nn.Linear(10, 1)
    inputs = torch.randn(200, 10)
    wanted = inputs.sum(1, keepdim=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler, found, losses = make(optimizer), [], []
    for _ in range(130):
        scheduler.step()
        loss = torch.nn.functional.mse_loss(model(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(optimizer.param_groups[0]["lr"]))
        losses.append(loss.item())
    return found, losses


print("pytorch_optimizer", version("pytorch_optimizer"), "torch", torch.__version__)
print("step              " + "".join(f"{step:8d}" for step in SHOWN))
bounds = dict(t_max=100, max_lr=0.1, min_lr=0.0, warmup_steps=10)
found = {}
for name, make in {
    "PolynomialLR": lambda given: torch.optim.lr_scheduler.PolynomialLR(given, total_iters=100, power=0.5),
    "PolyScheduler": lambda given: PolyScheduler(given, poly_order=0.5, **bounds),
    "LinearScheduler": lambda given: LinearScheduler(given, **bounds),
    "CosineScheduler": lambda given: CosineScheduler(given, **bounds),
    "wsd, cosine": lambda given: get_wsd_schedule(given, 10, 40, 50, min_lr_ratio=0.1, cooldown_type="cosine"),
    "wsd, by default": lambda given: get_wsd_schedule(given, 10, 40, 50, min_lr_ratio=0.1),
}.items():
    found[name], losses = rates(make)
    print(f"{name:18}" + "".join(f"{found[name][step - 1]:8.4f}" for step in SHOWN))
    if name == "LinearScheduler":
        print(f"  its loss: {losses[100]:.2e} in step 101, {losses[129]:.2e} in step 130")
        uphill = losses[129] > losses[100]
ok = max(found["PolyScheduler"]) > 0.9 and found["PolyScheduler"][10:] == sorted(found["PolyScheduler"][10:])
ok &= min(found["LinearScheduler"]) < -0.02 and uphill and found["CosineScheduler"][129] > 0.01 > found["CosineScheduler"][100]
ok &= min(found["wsd, cosine"][9:]) >= 0.01 > 0.002 > min(found["wsd, by default"][9:]) and found["wsd, by default"][129] > 0.009
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
