#!/usr/bin/env bash
# onnxoptimizer moves zeros that are padded before a max pooling into the pooling, where they count as minus infinity.
#
# Guess:    the passes that merge nodes keep the outputs. A Pad with zeros before a MaxPool is not the padding of MaxPool, so it is kept.
# Happens:  the Pad is gone, and the maxima at the edges are other numbers wherever all values in reach are negative, as they are in
#           spectrograms in decibels: -34.5 dB in the place of 0. Positive values, average pooling and a convolution are right.
#           onnxsim 0.8.1 and OnnxSlim 0.1.98 keep the Pad. Nothing is said.
# Cause:    fuse_pad_into_pool adds the widths to the attribute "pads" if the constant is 0, for both kinds of pooling. For MaxPool the
#           value there is minus infinity.
# Matters:  F.pad before a pooling is how causal and "same" poolings are written. The pass is in get_fuse_and_elimination_passes(), which
#           the command line uses by default. Leave fuse_pad_into_pool out of the list.
# Versions: onnxoptimizer 0.4.2, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   onnxoptimizer 0.4.2
#   maximum in decibels: MaxPool; first frame 0.0, then -34.5; error 59.6
#   the same, command line: MaxPool; first frame 0.0, then -34.5; error 59.6
#   maximum of positive values: MaxPool; first frame 34.5, then 34.5; error 0.0
#   mean in decibels: AveragePool; first frame -11.5, then -11.5; error 0.0
#   maximum, without fuse_pad_into_pool: Pad and MaxPool; first frame 0.0, then 0.0; error 0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxoptimizer==0.4.2

cat > check.py <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = ["clips", 8, 10]  # clips, bands, frames
decibels = np.random.default_rng(0).uniform(-60, -20, (2, 8, 10)).astype("float32")


def model(pool):
    """Return a pooling over three frames behind two frames of zeros, which makes it causal."""
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["x", "widths", "zero"], ["padded"]),
            helper.make_node(pool, ["padded"], ["y"], kernel_shape=[3]),
        ],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SIZE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SIZE)],
        [numpy_helper.from_array(np.array([0, 0, 2, 0, 0, 0]), "widths"), numpy_helper.from_array(np.float32(0), "zero")],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(built, full_check=True)
    return built


def outputs(built, x):
    session = onnxruntime.InferenceSession(built.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def row(name, built, changed, x):
    before, after = outputs(built, x), outputs(changed, x)
    nodes = " and ".join(node.op_type for node in changed.graph.node)
    print(f"{name}: {nodes}; first frame {before[0, 0, 0]:.1f}, then {after[0, 0, 0]:.1f}; error {np.abs(after - before).max():.1f}")
    return np.abs(after - before).max() > 0.1


print("onnxoptimizer", version("onnxoptimizer"))
passes = onnxoptimizer.get_fuse_and_elimination_passes()
pooled, averaged = model("MaxPool"), model("AveragePool")
onnx.save(pooled, "model.onnx")
subprocess.run([sys.executable, "-m", "onnxoptimizer", "model.onnx", "smaller.onnx"], check=True, stdout=subprocess.DEVNULL)
rest = [name for name in passes if name != "fuse_pad_into_pool"]
found = [
    row("maximum in decibels", pooled, onnxoptimizer.optimize(pooled, passes), decibels),
    row("the same, command line", pooled, onnx.load("smaller.onnx"), decibels),
    row("maximum of positive values", pooled, onnxoptimizer.optimize(pooled, passes), -decibels),
    row("mean in decibels", averaged, onnxoptimizer.optimize(averaged, passes), decibels),
    row("maximum, without fuse_pad_into_pool", pooled, onnxoptimizer.optimize(pooled, rest), decibels),
]
sys.exit(0 if found == [True, True, False, False, False] else "the behaviour has changed")
PYTHON
ORT_DISABLE_TELEMETRY=1 venv/bin/python check.py
