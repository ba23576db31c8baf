#!/usr/bin/env bash
# Fused AdamW on the CPU updates weights with the gradients of other weights if their memory layouts differ.
#
# Guess:    AdamW(fused=True) gives what AdamW gives, up to rounding. A checkpoint of a model in the usual memory format can
#           be loaded into the same model in channels-last, and the training goes on.
# Happens:  Without fusion, three more steps in channels-last end with the weights of the usual format, up to rounding. With
#           fused=True they end up to 0.05 away after steps of 0.01. There is no error and no warning.
# Cause:    load_state_dict copies the values of the weights into their new layout, but the optimiser's moments keep the
#           layout of the checkpoint. The fused kernel of the CPU walks through weight, gradient and moments in the order
#           of memory, as if all had one layout.
# Matters:  Whoever switches a convolutional network to channels-last between two trainings, or loads somebody else's
#           checkpoint with its optimiser, trains on with moments of other weights. Bring the moments into the layout of
#           their weights after load_state_dict, or resume with fused=False.
# Versions: torch 2.13.0 on the CPU, Python 3.11.7.
# Date:     2026-11
# Output:
#   torch 2.13.0+cpu
#   fused=False, channels-last after the checkpoint: largest difference 0.00
#   fused=True, the usual layout: largest difference 0.00
#   fused=True, channels-last after the checkpoint: largest difference 0.05
#   layouts of weight and moment agree: False
#   fused=True, channels-last, moments in the weight's layout: largest difference 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0

cat > check.py <<'PYTHON'
import torch

torch.manual_seed(0)
images = torch.randn(4, 32, 9, 9)


def train(net, optimizer, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()


def resumed(fused, layout, moved=False):
    """Load the checkpoint into a net of a layout, train three steps more; return its weights and whether layouts agree."""
    weights, moments = torch.load("half.pt")
    net = torch.nn.Conv2d(32, 64, 3)
    net.load_state_dict(weights)
    net = net.to(memory_format=layout)
    optimizer = torch.optim.AdamW(net.parameters(), 0.01, fused=fused)
    optimizer.load_state_dict(moments)
    optimizer.param_groups[0]["fused"] = fused
    state = optimizer.state[net.weight]
    if moved:
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = state[name].contiguous(memory_format=layout)
    agree = state["exp_avg"].stride() == net.weight.stride()
    train(net, optimizer)
    return net.weight.detach(), agree


net = torch.nn.Conv2d(32, 64, 3)
optimizer = torch.optim.AdamW(net.parameters(), 0.01)
train(net, optimizer)
torch.save([net.state_dict(), optimizer.state_dict()], "half.pt")

print("torch", torch.__version__)
usual, last = torch.contiguous_format, torch.channels_last
expected, _ = resumed(False, usual)


def away(*arguments):
    return (resumed(*arguments)[0] - expected).abs().max().item()


plain, fused, mixed, moved = away(False, last), away(True, usual), away(True, last), away(True, last, True)
print(f"fused=False, channels-last after the checkpoint: largest difference {plain:.2f}")
print(f"fused=True, the usual layout: largest difference {fused:.2f}")
print(f"fused=True, channels-last after the checkpoint: largest difference {mixed:.2f}")
agree = resumed(True, last)[1]
print("layouts of weight and moment agree:", agree)
print(f"fused=True, channels-last, moments in the weight's layout: largest difference {moved:.2f}")
assert not agree and mixed > 0.01 and max(plain, fused, moved) < 1e-4
PYTHON
venv/bin/python check.py
