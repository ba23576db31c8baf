"""Writing, checking and keeping of a file in one of the formats."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.errors import ArgumentError, ProfileError, RunError
from bench.inference import card as model_card
from bench.inference.classifier import Classifier
from bench.inference.exporting import earlier, executorch_file, gate, onnx_file, openvino_file, program, pt2_file
from bench.inference.exporting.subject import Subject, subject
from bench.profiling import complexity
from models.base import AudioModel

FORMATS = {"onnx": ".onnx", "onnx-int8": ".onnx", "pt2": ".pt2", "openvino": ".xml", "executorch": ".pte"}
"""Formats and the endings of their files."""

SMALL_BYTES, SMALL_MACS = 128_000, 30_000_000
"""Limits of DCASE's low-complexity task: 128 kB of weights and 30 million multiply-adds for one clip."""

CALIBRATION = 8
"""Number of test signals that give the ranges of 8-bit integers where no clips are given."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A written file, and what its check found.

    Attributes:
        format: of the file.
        path: the file.
        files: the file, and the files next to it that it needs.
        bytes: of all of them.
        input: name of the input.
        shape: of the input; None is any size.
        shortest: shortest length that the file takes.
        opset: version of ONNX's operators; None for the other formats.
        difference: largest difference of a logit from the model, as a share of the greatest or of 1.
        agreement: share of the checked clips whose most likely class is the model's.
        score: share of the given clips that the file and the model classify correctly; None without labelled clips.
        lengths: number of lengths that were checked.
        clips: number of clips that were checked.
        macs: multiply-adds of the model for one clip, without a front-end that never learns; None where not counted.
        small: whether the files have at most 128 kB, and the model at most 30 million multiply-adds.
    """

    format: str
    path: Path
    files: tuple[Path, ...]
    bytes: int
    input: str
    shape: tuple[int | None, ...]
    shortest: int
    opset: int | None
    difference: float
    agreement: float
    score: tuple[float, float] | None
    lengths: int
    clips: int
    macs: int | None
    small: tuple[bool, bool | None]


def export(
    model: Classifier,
    out: str | Path,
    format: str = "onnx",
    *,
    features: bool = False,
    clips: Sequence[tuple[Tensor, str | None]] = (),
    lengths: int = 0,
) -> Exported:
    """Write a trained model to a file, and keep it if its own runtime gives the model's logits.

    Args:
        model: from `bench.load_model`.
        out: the file, whose folder is made where it is not there; OpenVINO's has a `.bin` next to it, ONNX's with more
            than a gigabyte of weights a `.data`. Only files of an earlier export are replaced.
        format: one of `FORMATS`.
        features: whether the file starts at the features, without the front-end.
        clips: real clips `(S,)` with the name of their class or None, for the check and for the ranges of 8-bit
            integers; without them there are test signals.
        lengths: number of further lengths to check.

    Raises:
        ArgumentError: the format is unknown, `out` cannot be a file of it, or other files are there.
        RunError: the format is not installed, the model cannot be exported, or the file differs from it.
    """
    if format not in FORMATS:
        raise ArgumentError(f"there is no format {format!r}: choose one of {', '.join(FORMATS)}")
    path = Path(out).expanduser()
    if path.suffix != FORMATS[format]:
        raise ArgumentError(
            f"a file of the format {format} ends in {FORMATS[format]}: name it {path.stem}{FORMATS[format]}"
        )
    target = path.parent.resolve()
    there = next(folder for folder in (target, *target.parents) if folder.exists())
    if path.is_dir() or not there.is_dir():
        reason = "it is a folder" if path.is_dir() else f"{there} is a file"
        raise ArgumentError(f"{path} cannot be written, because {reason}: name another file")
    weights = sum(each.numel() * each.element_size() for each in model.module.state_dict().values())
    earlier.refuse_other(path, earlier.files_of(path, weights > onnx_file.INSIDE))
    of = subject(model, features)  # ExecuTorch has no operators for lengths that are computed from others
    problems: list[str] = []
    for is_open, batch in _forms(of, format):
        with tempfile.TemporaryDirectory(prefix=".bench-export-", dir=there) as folder:
            try:
                written = Path(folder) / path.name
                opset = _write(
                    of, format, is_open, batch, written, facts(model, of, is_open), _calibration(of, clips, model)
                )
                run = _runner(of, format, written, batch)
                found = gate.check(of, run, is_open, format != "onnx-int8", _inputs(of, clips, model), lengths)
            except RunError as error:
                problems.append(str(error))
                continue
            score = _score(of, run, clips, model)
            files = tuple(target / each.name for each in sorted(Path(folder).iterdir()))
            size = sum(each.stat().st_size for each in Path(folder).iterdir())
            earlier.refuse_other(path, [path.parent / each.name for each in files])  # others may have come meanwhile
            target.mkdir(parents=True, exist_ok=True)
            for each in Path(folder).iterdir():
                each.replace(target / each.name)
        macs = multiply_adds(model)
        return Exported(
            format=format, path=path, files=files, bytes=size, input=of.input,
            shape=(batch, *(None if is_open and axis == of.axis - 1 else n for axis, n in enumerate(of.shape))),
            shortest=found.shortest, opset=opset, difference=found.difference, agreement=found.agreement,
            score=score, lengths=found.lengths, clips=found.clips, macs=macs,
            small=(size <= SMALL_BYTES, None if macs is None else macs <= SMALL_MACS),
        )  # fmt: skip
    several = len(set(problems)) > 1
    raise RunError(f"{problems[-1]}; for clips of any length: {problems[0]}" if several else problems[0])


def facts(model: Classifier, of: Subject, is_open: bool) -> dict[str, str]:
    """Return what a file says about itself, as texts."""
    length = "any" if is_open else str(of.length)
    return {
        "name": model.name,
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "task": model.task,
        "probabilities": "softmax of the logits" if model.task == "single" else "sigmoid of each logit",
        "sample_rate": str(model.sample_rate),
        "clip_seconds": str(model.clip_seconds),
        "input": of.input,
        "length": length,
        "shortest": str(of.least if is_open else of.length),
        "short_clips": model.short_clips,
        "keys": json.dumps(model.keys),
        "card": card(model, of, is_open),
    }


def card(model: Classifier, of: Subject, is_open: bool) -> str:
    """Return what the model is, in Markdown: the card of `bench pack`, with the use of this file.

    A model that is not of a described run has a shorter card.
    """
    length = "any length" if is_open else f"a length of {of.length}"
    outcome = "softmax of the logits gives" if model.task == "single" else "sigmoid of each logit gives"
    use = f"The input, named {of.input}, takes 32-bit floats of {length}. Output: the logits of the classes below; "
    use += f"{outcome} probabilities."
    if of.input == "clips":
        use += f" Clips are mono, at {model.sample_rate} Hz, in [-1, 1]."
    parts = [model.parts[key] for key in model.keys if key in model.parts]
    if parts and all(part.description is not None for part in model.parts.values()):
        return model_card.text(parts, model.parts, model.name, use)
    return f"# {model.name}\n\nA classifier of {len(model.classes)} classes: {', '.join(model.classes)}.\n\n{use}\n"


def multiply_adds(model: Classifier) -> int | None:
    """Return the multiply-adds for one clip, without a front-end that never learns; None where they are not counted."""
    if isinstance(model.module, AudioModel):
        try:
            size = complexity.measure(model.module, model.clip_shape, model.clip_seconds)
        except ProfileError:
            return None
        fixed = getattr(model.module.frontend, "fixed", False)
        return size.macs + (0 if fixed else size.frontend_macs)
    known = [record.complexity for record in model.records]
    return sum(size.macs for size in known if size) if known and all(known) else None


def _forms(of: Subject, format: str) -> list[tuple[bool, int | None]]:
    """Return what is tried in turn: whether any length is taken, and the number of clips, None for any."""
    if format == "executorch":
        return [(False, 1)]
    fixed: list[tuple[bool, int | None]] = [(False, None)] if format == "onnx-int8" else [(False, None), (False, 1)]
    return [(True, None), *fixed] if of.open else fixed


def _write(
    of: Subject,
    format: str,
    is_open: bool,
    batch: int | None,
    path: Path,
    about: dict[str, str],
    calibration: Sequence[Tensor],
) -> int | None:
    if format == "onnx-int8":
        return onnx_file.write_int8(of, not is_open, path, about, calibration)
    graph = program.program(of, not is_open, single=batch == 1)
    if format == "onnx":
        return onnx_file.write(graph, of.name, of.input, path, about)
    if format == "pt2":
        pt2_file.write(graph, path, about)
    elif format == "openvino":
        openvino_file.write(graph, of.name, of.input, path, about)
    else:
        executorch_file.write(graph, of.name, path, about)
    return None


def _runner(of: Subject, format: str, path: Path, batch: int | None) -> gate.Runner:
    run: gate.Runner
    if format.startswith("onnx"):
        run = onnx_file.runner(path, of.input)
    elif format == "pt2":
        run = pt2_file.runner(path)
    else:
        run = (openvino_file if format == "openvino" else executorch_file).runner(path)
    return run if batch is None else lambda x: torch.cat([run(clip[None]) for clip in x])


def _inputs(of: Subject, clips: Sequence[tuple[Tensor, str | None]], model: Classifier) -> list[Tensor]:
    """Return the given clips as inputs of one clip each."""
    if of.input == "clips":
        return [clip[None] for clip, _ in clips]
    if of.input == "features":
        assert isinstance(model.module, AudioModel)
        with torch.inference_mode():
            return [model.module.extract(clip[None]) for clip, _ in clips]
    return []


def _calibration(of: Subject, clips: Sequence[tuple[Tensor, str | None]], model: Classifier) -> list[Tensor]:
    return _inputs(of, clips, model) or list(of.signals(CALIBRATION, of.length).split(1))  # type: ignore[no-untyped-call]


def _score(
    of: Subject, run: gate.Runner, clips: Sequence[tuple[Tensor, str | None]], model: Classifier
) -> tuple[float, float] | None:
    labels = [label for _, label in clips]
    known = [i for i, label in enumerate(labels) if label in model.classes]
    if not known:
        return None
    inputs = _inputs(of, clips, model)
    right = np.array([
        [model.classes[int(out.argmax())] == labels[i] for out in (run(inputs[i]), of.reference(inputs[i]))]
        for i in known
    ])  # fmt: skip
    file, own = right.mean(0)
    return float(file), float(own)


def as_json(found: Exported) -> dict[str, object]:
    """Return the results as plain content."""
    content = asdict(found)
    return content | {"path": str(found.path), "files": [str(each) for each in found.files]}
