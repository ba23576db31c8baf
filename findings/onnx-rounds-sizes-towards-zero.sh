#!/usr/bin/env bash
# A size that is computed with // is one more in an ONNX file than in the model, where the numerator is below 0.
#
# Guess:    torch.onnx.export keeps the meaning of Python's floor division for sizes, as torch.export does.
# Happens:  The size (n - 10) // 4 + 5 of a model is 3 for n = 3, and 4 in ONNX Runtime. Nothing warns; for n of at
#           least 10 both agree. Formulas without a minus are rewritten to such ones: torch simplifies
#           (8 - r) // 8 to (-r) // 8 + 1.
# Cause:    The exporter writes ONNX's Div, which rounds integers towards 0.
# Matters:  Counts of frames, paddings and strides of clips of any length are such sizes. A file that was checked at the
#           length of its example is right, and off by a frame at others.
# Versions: torch 2.13.0 on the CPU, onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.31.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torch 2.13.0+cpu onnxruntime 1.31.1
#   n 3: model 3, torch.export 3, ONNX Runtime 4
#   n 7: model 4, torch.export 4, ONNX Runtime 5
#   n 10: model 5, torch.export 5, ONNX Runtime 5
#   n 30: model 10, torch.export 10, ONNX Runtime 10
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1 numpy==2.4.6

cat > check.py <<'PYTHON'
import contextlib
import io
import logging

import onnxruntime
import torch

logging.disable(logging.WARNING)


class Net(torch.nn.Module):
    def forward(self, x):
        return x.new_ones((x.shape[0] - 10) // 4 + 5)


example = torch.zeros(30)
program = torch.export.export(Net(), (example,), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=1000)},))
with contextlib.redirect_stdout(io.StringIO()):
    converted = torch.onnx.export(program, (example,), dynamo=True, verbose=False, input_names=["x"])
converted.save("net.onnx")
session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__)
for n in (3, 7, 10, 30):
    x = torch.zeros(n)
    model, exported = len(Net()(x)), len(program.module()(x))
    onnx = len(session.run(None, {"x": x.numpy()})[0])
    print(f"n {n}: model {model}, torch.export {exported}, ONNX Runtime {onnx}")
    assert model == exported == (n - 10) // 4 + 5
    assert onnx == model + (n in (3, 7))
PYTHON
venv/bin/python check.py
