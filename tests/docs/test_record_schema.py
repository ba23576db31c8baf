"""The JSON Schema of a record is the one that the code generates, and it describes every published record."""

import json
from typing import Any

import jsonschema
import pytest
from fakes.paths import PROJECT

from bench.records import Failure, Record, Run
from bench.records import schema as record_schema

RECORDS = sorted((PROJECT / "leaderboards" / "records").glob("*.json"))


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads((PROJECT / record_schema.PATH).read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    assert kind is jsonschema.Draft202012Validator
    kind.check_schema(schema)
    return kind(schema)


def test_the_committed_schema_is_current() -> None:
    committed = (PROJECT / record_schema.PATH).read_text(encoding="utf-8")
    assert committed == record_schema.text(), "run `python -m bench.records.schema`"


@pytest.mark.slow
def test_every_published_record_fits(validator: Any) -> None:
    assert RECORDS
    for path in RECORDS:
        validator.validate(json.loads(path.read_text(encoding="utf-8")))


def test_a_failed_record_fits(validator: Any) -> None:
    run = Run(model="fc", frontend="logmel-1s", dataset="esc10")
    validator.validate(json.loads(Record(run=run, status="failed", error=Failure(kind="E", message="m")).to_json()))


@pytest.mark.parametrize(
    ("key", "value"),
    [("schema", 2), ("digest", "abc"), ("status", "done"), ("scores", {"accuracy": "high"}), ("surprise", 1)],
)
def test_other_content_does_not_fit(validator: Any, key: str, value: Any) -> None:
    content = json.loads(RECORDS[0].read_text(encoding="utf-8"))
    assert validator.is_valid(content)
    assert not validator.is_valid(content | {key: value})
    if key != "surprise":
        missing = {name: each for name, each in content.items() if name != key}
        assert validator.is_valid(missing) == (key == "scores")


def test_every_field_is_described() -> None:
    schema = record_schema.schema()
    assert schema["title"] == "Record of one run"
    for definition in (schema, *schema["$defs"].values()):
        assert definition["description"]
        assert all(value["description"] for value in definition["properties"].values())
    assert schema["$defs"]["Recipe"]["properties"]["epochs"]["description"] == "passes over the training clips."
