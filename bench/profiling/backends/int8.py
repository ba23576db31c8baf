"""ONNX Runtime in 8-bit integers: static quantisation per channel, with value ranges from real clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import ProfileError
from bench.profiling.backends.compiled import refuse_own_kernels
from bench.profiling.backends.onnx_runtime import OnnxRuntime, export, in_silence, missing
from models.base import AudioModel


class Int8(OnnxRuntime):
    """Unsigned 8-bit activations and signed 8-bit weights; the library keeps recurrent layers in 32-bit floats."""

    exact = False
    dtype = "int8"
    file = "model-int8.onnx"

    def prepare(self, model: AudioModel, features: Tensor, calibration: Sequence[Tensor], folder: Path) -> None:
        """Write the quantised graph.

        Raises:
            ProfileError: the packages are missing, the model cannot be exported, or nothing in it can be quantised.
        """
        refuse_own_kernels(model, "int8")
        if not calibration:
            raise ProfileError("int8 takes its ranges from clips, and there are none: time a trained run with --run")
        plain = folder / OnnxRuntime.file
        export(model, features, plain)
        batches = [clip.expand(len(features), -1, -1).contiguous().numpy() for clip in calibration]
        quantise(plain, folder / self.file, batches, type(model).__name__)


def quantise(plain: Path, target: Path, calibration: Sequence[NDArray[np.float32]], name: str) -> None:
    """Write an ONNX graph with its convolutions and products in 8-bit integers.

    Args:
        plain: the graph, whose input is called "features".
        target: file to write.
        calibration: inputs `(B, F, T)` that give the ranges of values.
        name: of the model, in messages.

    Raises:
        ProfileError: onnxruntime is missing, or nothing in the graph can be quantised.
    """
    try:
        import onnx
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise missing("int8", error) from error

    class CalibrationClips(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Provides the calibration clips."""

        def __init__(self) -> None:
            self.left = list(calibration)

        def get_next(self) -> dict[str, object] | None:
            return {"features": self.left.pop()} if self.left else None

    cleaned = target.with_name("cleaned.onnx")
    with in_silence():
        quant_pre_process(str(plain), str(cleaned), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(cleaned),
            str(target),
            CalibrationClips(),
            nodes_to_exclude=_stacked(onnx.load(str(cleaned)).graph),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=not _sums_in_32_bits(),
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    graph = onnx.load(str(target), load_external_data=False).graph
    if not any(node.op_type == "DequantizeLinear" for node in graph.node):
        raise ProfileError(f"nothing in {name} can be quantised: use onnxruntime")


def _stacked(graph: Any) -> list[str]:
    """Return the names of products with several matrices at once, which ONNX Runtime cannot quantise per channel."""
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 2}
    return [node.name for node in graph.node if node.op_type == "MatMul" and matrices & set(node.input)]


def _sums_in_32_bits() -> bool:
    """Return whether the processor adds 8-bit products in 32 bits.

    Other processors add them in 16 bits, which overflow unless the weights have only 7 bits.
    """
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
