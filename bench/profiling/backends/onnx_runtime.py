"""ONNX Runtime: the model is exported to an ONNX graph for one shape and runs without torch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import ProfileError
from bench.extras import install
from bench.profiling.backends import Backend, Classify
from bench.profiling.backends.compiled import refuse_own_kernels
from models.base import AudioModel


def missing(name: str, error: ImportError) -> ProfileError:
    """Return the error of a backend whose packages are not installed."""
    return ProfileError(f"the backend {name} needs onnx, onnxscript and onnxruntime ({error}): {install('export')}")


class OnnxRuntime(Backend):
    """The exported graph, optimised by ONNX Runtime for this processor."""

    prepares = True
    packages = ("torch", "onnxruntime")
    file = "model.onnx"

    def prepare(self, model: AudioModel, features: Tensor, calibration: Sequence[Tensor], folder: Path) -> None:
        """Write the graph.

        Raises:
            ProfileError: the packages are not installed, or the model cannot be exported.
        """
        export(model, features, folder / OnnxRuntime.file)

    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return a function that runs the graph.

        Raises:
            ProfileError: ONNX Runtime is not installed.
        """
        run = session(folder / self.file, threads)

        def classify(features: Tensor) -> Tensor:
            (logits,) = run.run(None, {"features": np.ascontiguousarray(features.numpy())})
            return torch.from_numpy(logits)

        return classify


def session(path: Path, threads: int) -> Any:
    """Return ONNX Runtime's session of a file, on the CPU.

    Raises:
        ProfileError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing("onnxruntime", error) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # hides messages about nodes that cannot be folded
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class _FromFeatures(nn.Module):
    """`classify` as a module, without the front-end."""

    def __init__(self, model: AudioModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> Tensor:
        return self.model.classify(features)


def export(model: AudioModel, features: Tensor, path: Path) -> None:
    """Write the ONNX graph of `model.classify` for features of this shape.

    Raises:
        ProfileError: the packages are not installed, or the model cannot be exported.
    """
    refuse_own_kernels(model, "ONNX")
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing("onnxruntime", error) from error
    frontend, model.frontend = model.frontend, nn.Identity()
    try:
        with in_silence():
            program = torch.onnx.export(
                _FromFeatures(model).eval(),
                (features,),
                dynamo=True,
                input_names=["features"],
                output_names=["logits"],
                verbose=False,
            )
        assert program is not None
        program.save(path)
    except Exception as error:  # the exporter passes on any exception of an operator
        first = str(error).strip().partition("\n")[0]
        raise ProfileError(
            f"{type(model).__name__} cannot be exported to ONNX ({type(error).__name__}: {first}): use eager or compile"
        ) from error
    finally:
        model.frontend = frontend


@contextlib.contextmanager
def in_silence() -> Iterator[None]:
    """Hide what exporters print from the terminal: progress, optional packages, and the graph that has failed.

    The exception of a failure says why.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    words = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
