#!/usr/bin/env bash
# torchinfo counts a linear layer that runs over 100 frames once, and four times too much for a transposed convolution.
#
# Guess:    "Total mult-adds" of summary() is the number of multiplications and additions of the network for the given input: a linear layer
#           over 100 frames has 100 times as many as over one frame, and as many as the convolution of width 1 that computes the same.
# Happens:  the linear layer has the number of its weights, whatever the length is, and the convolution 100 times that. A self-attention has
#           none at all, a transformer's layer less than a hundredth, and a transposed convolution with a stride of 4 four times too many.
# Cause:    a layer that is not called Conv has its weights times the first dimension of its output, the batch. One that is called Conv has
#           its weights times all positions of the output, which with a stride are the positions of the input of a transposed convolution.
#           The weights of an attention have names that the counter does not know.
# Matters:  the limits of tasks on small models are stated in such numbers, and a model of frames (transformer, mixer, head for each frame)
#           comes out far below them. Recurrent layers and plain convolutions are right. Use torch's FlopCounterMode on the meta device.
# Versions: torchinfo 1.8.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torchinfo 1.8.0 torch 2.13.0
#     1 frames, Linear: needs 4,096, torchinfo has 4,096
#     1 frames, Conv1d of width 1: needs 4,096, torchinfo has 4,096
#     1 frames, LSTM: needs 32,768, torchinfo has 32,768
#     1 frames, ConvTranspose1d, stride 4: needs 16,384, torchinfo has 65,536
#     1 frames, MultiheadAttention: needs 16,512, torchinfo has 0
#     1 frames, TransformerEncoderLayer: needs 32,896, torchinfo has 16,832
#   100 frames, Linear: needs 409,600, torchinfo has 4,096
#   100 frames, Conv1d of width 1: needs 409,600, torchinfo has 409,600
#   100 frames, LSTM: needs 3,276,800, torchinfo has 3,276,800
#   100 frames, ConvTranspose1d, stride 4: needs 1,638,400, torchinfo has 6,553,600
#   100 frames, MultiheadAttention: needs 2,918,400, torchinfo has 0
#   100 frames, TransformerEncoderLayer: needs 4,556,800, torchinfo has 16,832
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchinfo==1.8.0

cat > check.py <<'PYTHON'
import sys

import torch
import torchinfo
from torch import nn

BANDS, WIDTH = 64, 64


def counted(model, shape):
    return torchinfo.summary(model.eval(), input_size=shape, verbose=0).total_mult_adds


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)

    def forward(self, frames):
        return self.attention(frames, frames, frames)[0]


print("torchinfo", torchinfo.__version__, "torch", torch.__version__.split("+")[0])
shares = {}
for frames in (1, 100):
    by_frame, by_band = (1, frames, BANDS), (1, BANDS, frames)
    encoder = nn.TransformerEncoderLayer(WIDTH, 4, 128, batch_first=True)
    attention = frames * 4 * WIDTH**2 + 2 * frames**2 * WIDTH
    for name, model, shape, needed in (
        ("Linear", nn.Linear(BANDS, WIDTH, bias=False), by_frame, frames * BANDS * WIDTH),
        ("Conv1d of width 1", nn.Conv1d(BANDS, WIDTH, 1, bias=False), by_band, frames * BANDS * WIDTH),
        ("LSTM", nn.LSTM(BANDS, WIDTH, batch_first=True, bias=False), by_frame, frames * 4 * WIDTH * (BANDS + WIDTH)),
        ("ConvTranspose1d, stride 4", nn.ConvTranspose1d(BANDS, WIDTH, 4, 4, bias=False), by_band, frames * BANDS * WIDTH * 4),
        ("MultiheadAttention", SelfAttention(), by_frame, attention),
        ("TransformerEncoderLayer", encoder, by_frame, attention + frames * 2 * WIDTH * 128),
    ):
        found = counted(model, shape)
        shares[name, frames] = found / needed
        print(f"{frames:3d} frames, {name}: needs {needed:,}, torchinfo has {found:,}")
ok = shares["Linear", 1] == 1 and shares["Linear", 100] == 0.01
ok &= all(shares[name, frames] == 1 for name in ("Conv1d of width 1", "LSTM") for frames in (1, 100))
ok &= shares["ConvTranspose1d, stride 4", 100] == 4 and shares["MultiheadAttention", 100] == 0
ok &= shares["TransformerEncoderLayer", 100] < 0.01
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
