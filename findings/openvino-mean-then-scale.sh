#!/usr/bin/env bash
# A mean over time that is then scaled per channel is wrong in OpenVINO for more than one clip.
#
# Guess:    ReduceMean of (batch, channels, time) without keepdims, followed by a multiplication and an addition per
#           channel, as every exported "global pooling + batch normalisation" has them, is the same for one clip and
#           for several.
# Happens:  For one clip it is right. For two and more it is wrong, without a warning, with static and with dynamic
#           shapes. With keepdims and a Squeeze after it, it is right.
# Cause:    Presumably the CPU plugin fuses the scale and the shift into the reduction, and takes the axis of the batch
#           for the axis of the channels. A graph that also returns the mean has no such fusion, and is right.
# Matters:  A check with one clip, which most exporters do, passes. `bench export` checks with one and with three.
# Versions: openvino 2026.4.1, onnx 1.23.2, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   openvino 2026.4.1
#   axis removed by the mean, 1 clips: largest difference 0.0
#   axis removed by the mean, 2 clips: largest difference 2.2
#   axis removed by the mean, 8 clips: largest difference 3.0
#   axis removed by Squeeze, 1 clips: largest difference 0.0
#   axis removed by Squeeze, 2 clips: largest difference 0.0
#   axis removed by Squeeze, 8 clips: largest difference 0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6

cat > check.py <<'PYTHON'
import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper

CHANNELS = 8
rng = np.random.default_rng(0)
scale, shift = rng.uniform(1, 2, CHANNELS).astype("f"), rng.normal(size=CHANNELS).astype("f")


def difference(clips, kept):
    x = rng.normal(size=(clips, CHANNELS, 5)).astype("f")
    constants = {"axes": np.array([2]), "scale": scale, "shift": shift}
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["raw" if kept else "mean"], keepdims=int(kept)),
        *([helper.make_node("Squeeze", ["raw", "axes"], ["mean"])] if kept else []),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (clips, CHANNELS))],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, "model.onnx")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model("model.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return float(np.abs(compiled(x)[0] - (x.mean(2) * scale + shift)).max())


print("openvino", openvino.__version__.split("-")[0])
for kept, words in ((False, "the mean"), (True, "Squeeze")):
    for clips in (1, 2, 8):
        found = difference(clips, kept)
        print(f"axis removed by {words}, {clips} clips: largest difference {found:.1f}")
        assert (found > 0.1) == (not kept and clips > 1)
PYTHON
venv/bin/python check.py
