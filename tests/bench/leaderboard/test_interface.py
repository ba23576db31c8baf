"""The JSON interface of a published store, its schema, and the badges."""

import hashlib
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from fakes.boards import boards, failure, nasty, record, run, timing

from bench import suites
from bench.errors import SuiteError
from bench.leaderboard import files, interface, render
from bench.leaderboard.render.badge import drawn
from bench.records import Store

API = Path("leaderboards") / interface.FOLDER
KINDS = sorted(path.name for path in API.glob("*.json") if path.name != "schema.json")


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((API / "schema.json").read_text())
    kind = jsonschema.validators.validator_for(schema)
    assert kind is jsonschema.Draft202012Validator
    kind.check_schema(schema)
    return kind(schema)


def content(*records, note=""):
    text = interface.suite_text("few", "Few", note, "bench run --suite few", {"page": "../few.html"}, boards(*records))
    return json.loads(text)


def test_the_committed_schema_is_current_and_every_field_is_described(validator):
    assert (API / "schema.json").read_text() == interface.schema_text(), "run `bench leaderboard`"
    for definition in validator.schema["$defs"].values():
        assert definition["description"]
        assert all(value["description"] for value in definition["properties"].values())


@pytest.mark.parametrize("name", KINDS)
def test_every_committed_file_fits_the_schema(validator, name):
    validator.validate(json.loads((API / name).read_text()))


def test_the_index_has_the_digest_of_each_file_and_the_paths_are_there():
    index = json.loads((API / "index.json").read_text())
    assert {entry["suite"] for entry in index["suites"]} == {p.stem for p in Path("leaderboards").glob("*.csv")}
    for entry in index["suites"]:
        assert entry["digest"] == hashlib.sha256((API / entry["file"]).read_bytes()).hexdigest()
        assert all((API / path).exists() for path in entry["files"].values())
    suite = json.loads((API / "esc10.json").read_text())
    keys = [key for row in suite["boards"][0]["rows"] for key in row["records"]]
    assert len(keys) == 100
    assert all((API / f"../records/{key}.json").exists() for key in keys)


def test_a_row_says_what_the_table_says(validator):
    found = content(record(run(), 0.8, latencies=(timing(7.0, "B"),)), record(run("fc"), 0.6), failure(run("ltc")))
    validator.validate(found)
    (board,) = found["boards"]
    assert (board["dataset"], board["metric"], board["higher_is_better"]) == ("esc10", "accuracy", True)
    best, _, failed = board["rows"]
    assert (best["name"], best["rank"], best["score"]) == ("cnn on logmel", 1, 0.8)
    assert best["interval"] == [0.7, 0.9]
    assert (best["parameters"], best["macs"], best["bytes"]) == (54_912_345, 47_130_000_000, 1)
    (latency,) = best["latencies"]
    assert (latency["kind"], latency["p50_ms"], latency["grade"]) == ("cpu", 7.0, "B")
    assert best["records"] == [run().key]
    assert (failed["rank"], failed["score"], failed["latencies"], failed["records"]) == (None, None, [], [])


@pytest.mark.parametrize(("key", "value"), [("version", 2), ("boards", {}), ("suite", None), ("draws", [])])
def test_other_content_does_not_fit(validator, key, value):
    good = content(record(run()))
    assert validator.is_valid(good)
    assert not validator.is_valid(good | {key: value})


def test_a_file_of_another_version_is_no_part_of_the_index():
    with pytest.raises(ValueError, match="another version"):
        interface.index_text({"few": json.dumps(content(record(run())) | {"version": 2})})
    with pytest.raises(ValueError, match="no file of the interface"):
        interface.index_text({"few": "[]"})


def test_a_suite_called_like_another_file_is_refused(tmp_path):
    (tmp_path / "board.toml").write_text('models = ["fc"]\ndatasets = ["synthetic"]\n')
    suite = suites.read(str(tmp_path / "board.toml"))
    assert files.texts(suite, (), Store(tmp_path))  # in a store of one's own there is no other such file
    with pytest.raises(SuiteError, match="rename the suite's file"):
        files.texts(suite, (), Store(tmp_path), index=True)


def test_a_badge_has_the_best_row_and_an_accessible_title():
    text = render.badge(boards(record(run(), 0.8), record(run("fc"), 0.6))[0])
    root = ET.fromstring(text)
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["esc10 accuracy", "cnn on logmel 80.0 %"]
    title = root.find("{http://www.w3.org/2000/svg}title").text
    assert title == root.get("aria-label") == "esc10 accuracy: cnn on logmel 80.0 %"
    assert root.get("role") == "img"
    assert "href" not in text
    assert "url(" not in text
    assert render.badge(boards(failure(run()))[0]) is None


def test_each_ranked_row_has_a_badge():
    found = render.row_badges(boards(record(run(), 0.8), record(run("fc"), 0.6), failure(run("ltc")))[0])
    assert list(found) == ["cnn-on-logmel", "fc-on-logmel"]
    texts = [node.text for node in ET.fromstring(found["fc-on-logmel"]).iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["fc on logmel on esc10", "accuracy 60.0 %"]
    assert re.search(r"accuracy 60.0 % \[[\d.]+, [\d.]+\], rank \d of 2</title>", found["fc-on-logmel"])


def test_a_badge_escapes_names():
    for text in nasty()[0]:
        ET.fromstring(drawn(text, text))
