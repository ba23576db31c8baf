#!/usr/bin/env bash
# OnnxSlim makes a scale of frequency bands a scale of channels where there are as many bands as channels.
#
# Guess:    OnnxSlim returns a smaller file with the same outputs, or leaves what it cannot merge.
# Happens:  a convolution with 64 channels, whose output is multiplied by one constant for each of 64 mel bands, gives wrong outputs after
#           slim(): each channel has the constant of a band. The error is 0.43 of the signal. With 32 channels the outputs are right, so
#           are a sum in the place of the product, and the constant as the first factor. Nothing is said.
# Cause:    the fusion of Conv and Mul takes any constant with one axis longer than 1 whose length is the number of channels, and does not
#           look which axis it is. The fusion of Conv and Add does.
# Matters:  64 channels on 64 bands, 128 on 128, and 40 frames with 40 channels are ordinary in audio models, and so are weights per band.
#           The file runs, has the right shapes and is wrong. Use slim(..., model_check=True), which compares the outputs and is off by
#           default, or pass skip_fusion_patterns=["FusionConvMul"].
# Versions: onnxslim 0.1.98, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   onnxslim 0.1.98
#   64 channels, scale of bands: Conv; relative error 0.43
#   32 channels, scale of bands: Conv and Mul; relative error 0.00
#   64 channels, scale of channels: Conv; relative error 0.00
#   64 channels, sum with bands: Conv and Add; relative error 0.00
#   64 channels, scale of bands as the first factor: Conv and Mul; relative error 0.00
#   64 channels, scale of bands, no FusionConvMul: Conv and Mul; relative error 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import onnxslim
from onnx import TensorProto, helper, numpy_helper

BANDS, FRAMES = 64, 100
generator = np.random.default_rng(0)
spectrogram = generator.standard_normal((2, 1, BANDS, FRAMES)).astype("float32")


def model(channels, operator="Mul", axis=2, first=False):
    """Return a convolution whose output is scaled (or shifted) by a constant for each place on an axis: clip, channel, band, frame."""
    shape = [1, 1, 1, 1]
    shape[axis] = (1, channels, BANDS, FRAMES)[axis]
    constants = {
        "kernel": generator.standard_normal((channels, 1, 3, 3)),
        "bias": generator.standard_normal(channels),
        "constant": generator.uniform(0.5, 2, shape),
    }
    inputs = ["constant", "hidden"] if first else ["hidden", "constant"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel", "bias"], ["hidden"], pads=[1, 1, 1, 1]),
            helper.make_node(operator, inputs, ["y"]),
        ],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["clips", 1, BANDS, FRAMES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["clips", channels, BANDS, FRAMES])],
        [numpy_helper.from_array(value.astype("float32"), name) for name, value in constants.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(built, full_check=True)
    return built


def outputs(built):
    session = onnxruntime.InferenceSession(built.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": spectrogram})[0]


print("onnxslim", version("onnxslim"))
found = []
for name, built, options in (
    ("64 channels, scale of bands", model(64), {}),
    ("32 channels, scale of bands", model(32), {}),
    ("64 channels, scale of channels", model(64, axis=1), {}),
    ("64 channels, sum with bands", model(64, "Add"), {}),
    ("64 channels, scale of bands as the first factor", model(64, first=True), {}),
    ("64 channels, scale of bands, no FusionConvMul", model(64), {"skip_fusion_patterns": ["FusionConvMul"]}),
):
    expected = outputs(built)
    slim = onnxslim.slim(onnx.ModelProto.FromString(built.SerializeToString()), **options)
    error = np.sqrt(np.mean((outputs(slim) - expected) ** 2) / np.mean(expected**2))
    print(f"{name}: {' and '.join(node.op_type for node in slim.graph.node)}; relative error {error:.2f}")
    found.append(error > 0.1)
sys.exit(0 if found == [True] + [False] * 5 else "the behaviour has changed")
PYTHON
ORT_DISABLE_TELEMETRY=1 venv/bin/python check.py
