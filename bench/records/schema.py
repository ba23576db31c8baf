"""JSON Schema of a record file, generated from the dataclasses: `python -m bench.records.schema [FILE]`."""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench import records
from bench.records import SCHEMA, Record

PATH = Path("docs/record.schema.json")
"""Path of the generated file, relative to the repository's root."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a file in `records/`.

    Titles are the names of the classes, descriptions are their docstrings: the summary describes the class, and the
    section "Attributes" describes its fields.
    """
    content = TypeAdapter(Record).json_schema()
    definitions = content.pop("$defs")
    for name, definition in definitions.items():
        _describe(definition, getattr(records, name))
    _describe(content, Record)
    content["title"] = "Record of one run"
    content["properties"]["schema"]["const"] = SCHEMA
    content["properties"]["digest"] = {
        "description": "SHA-256 of the canonical JSON of all other keys (sorted, no spaces); `Record.from_json` "
        "checks it.",
        "pattern": "^[0-9a-f]{64}$",
        "title": "Digest",
        "type": "string",
    }
    content["required"] = [*content["required"], "schema", "digest"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content, "$defs": definitions}


def text() -> str:
    """Return the text of the schema file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _describe(definition: dict[str, Any], of: type) -> None:
    """Copy the descriptions of a class and its fields from its docstring."""
    summary, _, attributes = inspect.getdoc(of).partition("\nAttributes:\n")  # type: ignore[union-attr]
    definition["description"] = " ".join(summary.split())
    fields = {name: " ".join(words.split()) for name, words in _FIELD.findall(attributes)}
    for name, value in definition["properties"].items():
        value["description"] = fields[name]


_FIELD = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PATH).write_text(text(), encoding="utf-8")
