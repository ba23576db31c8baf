"""Export of trained models to files of other runtimes, each of which is compared with the model before it is kept.

| format | file | runtime |
|---|---|---|
| onnx | `.onnx` | ONNX Runtime |
| onnx-int8 | `.onnx` | ONNX Runtime, convolutions and products of the classifier in 8-bit integers |
| pt2 | `.pt2` | `torch.export.load` |
| openvino | `.xml` and `.bin` | OpenVINO |
| executorch | `.pte` | ExecuTorch |

The front-end is inside, so that a file maps clips `(B, S)` to logits `(B, C)`, for any number of clips of any length
where the model allows it. Otherwise the file has one length and refuses others.
"""

from bench.inference.exporting.files import FORMATS, Exported, export
from bench.inference.exporting.subject import Subject, subject

__all__ = ["FORMATS", "Exported", "Subject", "export", "subject"]
