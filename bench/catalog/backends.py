"""Backends: what runs a trained model while it is timed."""

from dataclasses import dataclass

from bench.catalog.kinds import Kind, line
from bench.lookup import Package


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A backend's entry: "module:Class", what it is, and its package."""

    target: str
    line: str
    package: Package | None = None


BACKENDS = {
    "eager": Backend(target="bench.profiling.backends.eager:Eager", line="PyTorch as it trains"),
    "compile": Backend(target="bench.profiling.backends.compiled:Compile", line="torch.compile; needs a C++ compiler"),
    "channels-last": Backend(
        target="bench.profiling.backends.channels_last:ChannelsLast",
        line="PyTorch, 2-D convolutions with channels last",
    ),
    "onnxruntime": Backend(
        target="bench.profiling.backends.onnx_runtime:OnnxRuntime",
        line="exported to ONNX Runtime, on the CPU; needs [export]",
    ),
    "int8": Backend(
        target="bench.profiling.backends.int8:Int8",
        line="ONNX Runtime in 8 bits, ranges from training clips; needs [export]",
    ),
    "cuda-graphs": Backend(
        target="bench.profiling.backends.cuda_graphs:CudaGraphs", line="a GPU's kernels played back at once"
    ),
    "cuda-graphs-bf16": Backend(
        target="bench.profiling.backends.cuda_graphs:CudaGraphsBf16", line="the same in bfloat16 from the features on"
    ),
}


def _of_package(target: str, package: Package) -> Backend:
    return Backend(target=target, line=line(target, package), package=package)


KIND = Kind("backends", "backend", BACKENDS, _of_package)


def backend(name: str) -> Backend:
    """Return a backend's entry."""
    return KIND.entry(name)
