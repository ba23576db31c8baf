"""Reads what an offline W&B run wrote: a log in LevelDB's framing of protobuf records. W&B has no reader of its own."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32 * 1024
HEADER = 7  # of the file: ":W&B", magic number, version; of a chunk: checksum, length, type
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbRun:
    """What one `.wandb` file says.

    Attributes:
        run_id: and the other properties of the run.
        config: name to value.
        history: one dict for each `log`.
        summary: name to value; nested names are joined by a dot.
        exit_code: None where the file has no exit record, and so is not whole.
        tables: logged name to the JSON of its table file.
        media: logged name to its files and captions, as (path, caption).
        artifacts: name to type and files, a file being its name in the artifact to its path on disk.
        kinds: kinds of all records, to see what else was kept.
    """

    run_id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    entity: str = ""
    host: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    tables: dict[str, Any] = field(default_factory=dict)
    media: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)
    artifacts: dict[str, tuple[str, dict[str, Path]]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)

    def curve(self, name: str) -> list[float]:
        """Return the logged values of one name."""
        return [step[name] for step in self.history if name in step]


def read_runs(folder: Path) -> dict[str, WandbRun]:
    """Return all offline runs under a folder by id."""
    runs = [read_run(path) for path in sorted(folder.rglob("*.wandb"))]
    return {run.run_id: run for run in runs}


def read_run(path: Path) -> WandbRun:
    """Return one offline run."""
    run = WandbRun()
    for content in frames(path.read_bytes()):
        record = Record.FromString(content)
        kind = record.WhichOneof("record_type")
        run.kinds.add(kind)
        if kind == "run":
            said = record.run
            run.run_id, run.name, run.group, run.job_type = (
                said.run_id,
                said.display_name,
                said.run_group,
                said.job_type,
            )
            run.project, run.entity, run.host, run.tags = said.project, said.entity, said.host, tuple(said.tags)
            run.config |= _items(said.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "artifact":
            files = {entry.path: Path(entry.local_path) for entry in record.artifact.manifest.contents}
            run.artifacts[record.artifact.name] = (record.artifact.type, files)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    for step in run.history:
        for name, value in _media(step).items():
            files = [path.parent / "files" / file for file in value["filenames"]]
            run.media[name] = list(zip(files, value["captions"], strict=True))
        for name, value in step.items():
            if name.endswith("._type") and value == "table-file":
                table = name.removesuffix("._type")
                run.tables[table] = json.loads((path.parent / "files" / step[f"{table}.path"]).read_text())
    return run


def _media(step: dict[str, Any]) -> dict[str, Any]:
    """Return what a step says of lists of pictures and sounds, by name."""
    lists = {name.removesuffix("._type"): value for name, value in step.items() if name.endswith("._type")}
    found = {}
    for name, kind in lists.items():
        if kind == "images/separated":
            found[name] = {"filenames": step[f"{name}.filenames"], "captions": step[f"{name}.captions"]}
        elif kind == "audio":
            sounds = step[f"{name}.audio"]
            captions = [sound["caption"] for sound in sounds]
            found[name] = {"filenames": [sound["path"] for sound in sounds], "captions": captions}
    return found


def frames(content: bytes) -> Iterator[bytes]:
    """Yield the records of a log; raise ValueError where a checksum or the order of chunks is wrong."""
    if content[:4] != b":W&B":
        raise ValueError("not a W&B file")
    position, parts = HEADER, []
    while position + HEADER <= len(content):
        if BLOCK - position % BLOCK < HEADER:  # a block's last bytes, too few for a chunk
            position += BLOCK - position % BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", content, position)
        chunk = content[position + HEADER : position + HEADER + length]
        if len(chunk) != length or zlib.crc32(bytes([kind]) + chunk) != checksum:
            raise ValueError(f"damaged chunk at {position}")
        if (kind in (FULL, FIRST)) == bool(parts):
            raise ValueError(f"chunk of kind {kind} at {position} is out of order")
        parts.append(chunk)
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []
        position += HEADER + length


def _items(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
