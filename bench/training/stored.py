"""What a training leaves behind for its use: weights, and a description that builds the model again without its data.

A run's folder of artifacts holds `weights.safetensors`, `model.json` and `record.json`. None of them can run code. Runs
of earlier versions have `model.pt` and no description; their model is described by their record where it says enough.
"""

import json
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import safetensors
import torch
from pydantic import TypeAdapter, ValidationError, with_config
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bench import catalog
from bench.errors import AGAIN, RunError
from bench.records import Json, Record, Run, Store, artifacts, write_whole
from bench.records.canonical import STRICT
from bench.records.store import OLD_WEIGHTS, WEIGHTS
from datamodules.base import AudioDataModule
from datamodules.clips.segments import SegmentClips
from models.base import AudioModel
from models.foreign import ForeignModel

DESCRIPTION = "model.json"
FORMAT = 1
"""Version of the description; another version is refused by name."""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Description:
    """The facts that a trained model is built from and used by.

    Attributes:
        key: of the run.
        model: name in the catalogue, or "package.module:Class"; for a fusion its rule.
        frontend: likewise; "none" for embeddings and for a fusion.
        arguments: constructor arguments of the model that differ from its defaults, without files of weights.
        clip_shape: `(S,)` of a waveform, or `(T, F)` of an embedding sequence.
        clip_seconds: length of a clip.
        sample_rate: in hertz; None for embeddings.
        classes: names of the classes, in the order of the logits.
        task: whether a clip has one label or several.
        short_clips: whether a sound that is shorter than a clip is padded with zeros or repeated.
        dataset: name of the dataset, whose class says how a recording is prepared.
        recipe: the recipe's values that differ from the defaults.
        members: keys of the runs that a fusion combines.
        weights: of the members.
        format: version of this description.
    """

    key: str
    model: str
    frontend: str
    arguments: Json = field(default_factory=dict)
    clip_shape: tuple[int, ...]
    clip_seconds: float
    sample_rate: int | None
    classes: tuple[str, ...]
    task: Literal["single", "multi"]
    short_clips: Literal["pad", "repeat"] = "pad"
    dataset: str
    recipe: Json = field(default_factory=dict)
    members: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str | bytes, where: str) -> "Description":
        """Read a description; `where` names its file in messages.

        Raises:
            RunError: the text is damaged, or of another version.
        """
        try:
            content = json.loads(text)
            if not isinstance(found := content.get("format"), int):
                raise ValueError(f"its format is {found!r}")
            if found != FORMAT:
                raise RunError(f"{where} has format {found}, but this version reads {FORMAT}: install that version")
            return TypeAdapter(Description).validate_python(content)
        except (ValueError, AttributeError, RecursionError, ValidationError) as error:
            raise RunError(
                f"{where} is damaged ({error}): do the run again with --force, or unpack it again"
            ) from error


def describe(run: Run, data: AudioDataModule, read_once: frozenset[str] = frozenset()) -> Description:
    """Return the description of a run's model.

    Args:
        run: the run.
        data: its dataset, set up.
        read_once: arguments of the model that name a file with weights, which the stored weights replace.
    """
    test = data.splits.test
    repeated = isinstance(test, SegmentClips) and not test.padded
    return Description(
        key=run.key, model=run.model, frontend=run.frontend, dataset=run.dataset,
        arguments={name: value for name, value in run.arguments.items() if name not in {"members", *read_once}},
        clip_shape=tuple(data.clip_shape), clip_seconds=data.clip_seconds, sample_rate=data.sample_rate,
        classes=tuple(data.classes), task=data.task, short_clips="repeat" if repeated else "pad",
        recipe=run.recipe_differences, members=run.members,
    )  # fmt: skip


def keep(model: AudioModel, run: Run, data: AudioDataModule, folder: Path) -> None:
    """Write a trained model's weights and description to its folder."""
    write_whole(folder / WEIGHTS, weights_file(model.state_dict()))
    read_once = frozenset() if isinstance(model, ForeignModel) else type(model).read_once
    write_whole(folder / DESCRIPTION, describe(run, data, read_once).to_json().encode())
    (folder / OLD_WEIGHTS).unlink(missing_ok=True)


def keep_fusion(run: Run, weights: Sequence[float], data: AudioDataModule, folder: Path) -> None:
    """Write the description of a fusion, with the weights of its members."""
    description = replace(describe(run, data), weights=tuple(map(float, weights)))
    write_whole(folder / DESCRIPTION, description.to_json().encode())


def weights_file(state: dict[str, Tensor]) -> bytes:
    """Return tensors in the format safetensors; those that share memory are written one by one."""
    return save_tensors({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})


def read_weights(folder: Path, key: str, record: Record | None = None) -> dict[str, Tensor]:
    """Return a run's weights by name.

    Args:
        folder: the run's artifacts.
        key: of the run.
        record: of the run, which names the file by its digest; None checks nothing.

    Raises:
        RunError: there are none, they are damaged, or they are not those that the record names.
    """
    try:
        if (path := folder / WEIGHTS).exists():
            return load_tensors(artifacts.read(path, record, key))
        of_earlier_version = record is None or WEIGHTS not in record.artifacts
        if of_earlier_version and (path := folder / OLD_WEIGHTS).exists():
            found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
            return found
    except pickle.UnpicklingError as error:  # its words recommend to load the objects all the same
        raise RunError(
            f"the weights {path} hold something else than tensors, which is not read, because that could run code: "
            f"{AGAIN.format(key)}"
        ) from error
    except (safetensors.SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise RunError(f"the weights {path} are damaged ({error}): {AGAIN.format(key)}") from error
    raise RunError(f"{key} has no weights in {folder}: {AGAIN.format(key)}")


def read_description(folder: Path, record: Record | None = None) -> Description | None:
    """Return the description in a folder; None where a run of an earlier version has none.

    Args:
        folder: the run's artifacts.
        record: of the run, which names the file by its digest; None checks nothing.

    Raises:
        RunError: it is damaged, of another version, or not the one that the record names.
    """
    if not (path := folder / DESCRIPTION).exists():
        return None
    content = artifacts.read(path, record, folder.name)
    return Description.from_json(content, str(path))


def described_by(record: Record, store: Store) -> Description | None:
    """Return the description of a run of an earlier version, as far as its record says what it needs, or None."""
    from bench.training import lineage

    run, form = record.run, lineage.form(store, (*record.run.members, record.key)[0])
    if form is None or record.task is None or record.complexity is None:
        return None
    kind: Any = catalog.load(catalog.dataset(run.dataset).target)
    repeated = getattr(kind, "default_hop_seconds", None) is None and hasattr(kind, "recordings")
    return Description(
        key=run.key, model=run.model, frontend=run.frontend, dataset=run.dataset, arguments=dict(run.arguments),
        clip_shape=form[1], clip_seconds=record.complexity.clip_seconds, sample_rate=form[0],
        classes=record.classes, task=record.task, short_clips="repeat" if repeated else "pad",
        recipe=run.recipe_differences, members=run.members,
    )  # fmt: skip
