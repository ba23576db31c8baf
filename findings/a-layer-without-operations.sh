#!/usr/bin/env bash
# PyTorch's counter of operations counts none for an LSTM on the CPU, and three numbers for the same transformer layer, one of them 0.
#
# Guess:    FlopCounterMode counts the same operations for a layer in training and in evaluation, with gradients and without, and a
#           recurrent layer has about as many as its four (LSTM) or three (GRU) gates need.
# Happens:  a GRU has what it needs and an LSTM has 0, in every mode. A transformer's layer has all operations in training, about a quarter
#           less in evaluation, and 0 under no_grad(). Nothing is said. On the meta device, in training mode, both are complete.
# Cause:    the counter adds up the operators that it has a formula for; others have 0. On the CPU an LSTM is one operator of oneDNN,
#           attention in evaluation is a fused operator for CPUs, and without gradients the whole layer is a single operator.
# Matters:  tasks on small models limit the operations of a system. A recurrent network for sound events seems to cost what its convolutions
#           cost, and a transformer costs nothing. Count on the meta device: torch.device("meta") for model and input.
# Versions: torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torch 2.13.0
#   Linear: needs 409,600; training 409,600, evaluation 409,600, evaluation under no_grad 409,600; on the meta device 409,600
#   GRU: needs 2,457,600; training 2,457,600, evaluation 2,457,600, evaluation under no_grad 2,457,600; on the meta device 2,457,600
#   LSTM: needs 3,276,800; training 0, evaluation 0, evaluation under no_grad 0; on the meta device 3,276,800
#   TransformerEncoderLayer: needs 4,556,800; training 4,556,800, evaluation 3,276,800, evaluation under no_grad 0; on the meta device 4,556,800
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0

cat > check.py <<'PYTHON'
import sys
import warnings

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

warnings.simplefilter("ignore")
FRAMES, BANDS, WIDTH = 100, 64, 64


def counted(make, training, gradients, device="cpu"):
    torch.manual_seed(0)
    with torch.device(device):
        model, frames = make().train(training), torch.randn(1, FRAMES, BANDS)
    with torch.set_grad_enabled(gradients), FlopCounterMode(display=False) as counter:
        model(frames)
    return counter.get_total_flops() // 2  # multiplications with an addition


gates = FRAMES * WIDTH * (BANDS + WIDTH)
wanted = {
    "Linear": (lambda: nn.Linear(BANDS, WIDTH), FRAMES * BANDS * WIDTH),
    "GRU": (lambda: nn.GRU(BANDS, WIDTH, batch_first=True), 3 * gates),
    "LSTM": (lambda: nn.LSTM(BANDS, WIDTH, batch_first=True), 4 * gates),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(WIDTH, 4, 128, batch_first=True),
        FRAMES * (4 * WIDTH**2 + 2 * WIDTH * 128) + 2 * FRAMES**2 * WIDTH,
    ),
}
print("torch", torch.__version__.split("+")[0])
found = {}
for name, (make, needed) in wanted.items():
    counts = [counted(make, *mode) for mode in ((True, True), (False, True), (False, False))]
    meta = counted(make, True, True, "meta")
    found[name] = [count / needed for count in (*counts, meta)]
    print(f"{name}: needs {needed:,}; training {counts[0]:,}, evaluation {counts[1]:,}, evaluation under no_grad {counts[2]:,};",
          f"on the meta device {meta:,}")
ok = all(share == 1 for name in ("Linear", "GRU") for share in found[name]) and found["LSTM"] == [0, 0, 0, 1]
ok &= found["TransformerEncoderLayer"][0] == 1 and 0.6 < found["TransformerEncoderLayer"][1] < 0.8
ok &= found["TransformerEncoderLayer"][2:4] == [0, 1]
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
