"""Tests of the quick check of a record's digest, and of what records share."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from bench.errors import RecordError
from bench.records import canonical
from bench.records.compact import Floats, shared, verified, without
from bench.records.record import Record

FILES = sorted(Path("leaderboards/records").glob("*.json"))[::20]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_published_record_is_verified_without_parsing(file: Path) -> None:
    content = json.loads(file.read_text())
    del content["digest"]
    assert verified(file.read_text()) == canonical(content).encode()
    assert Record.from_json(file.read_text(), file.stem).to_json() == file.read_text()


@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_is_verified(bit: int) -> None:
    content = bytearray(FILES[0].read_bytes())
    for place in range(0, len(content), 97):
        content[place] ^= 1 << bit
        assert verified(content.decode("latin-1")) is None, place
        content[place] ^= 1 << bit


@pytest.mark.parametrize("place", ["\n ", '": ', '"curves"'], ids=["indent", "blank after a key", "word"])
def test_a_null_character_is_never_layout(place: str) -> None:
    text = FILES[0].read_text()
    assert place in text
    for damaged in (text.replace(place, place[:-1] + "\0", 1), text.replace(place, place + "\0", 1)):
        assert verified(damaged) is None
        with pytest.raises(RecordError):
            Record.from_json(damaged, FILES[0].stem)


@pytest.mark.parametrize("words", ["a  b", 'a": b', "é", "a\n  b"], ids=["blanks", "key", "not ASCII", "line break"])
def test_text_that_looks_like_layout_is_never_changed(words: str) -> None:
    content = {"message": words}
    content["digest"] = hashlib.sha256(canonical(content).encode()).hexdigest()
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    found = verified(text)
    assert found is None or json.loads(found) == {"message": words}


def test_floats_equal_the_tuple_of_their_numbers() -> None:
    found = Floats((0.25, -0.0, 1e-300))
    assert found == (0.25, -0.0, 1e-300)
    assert found != (0.25, 0.5)
    assert (found[0], found[:2], len(found), list(found)) == (0.25, (0.25, -0.0), 3, [0.25, -0.0, 1e-300])
    assert hash(found) == hash(tuple(found))
    assert np.array_equal(np.asarray(found), np.array([0.25, -0.0, 1e-300]))


def test_equal_values_are_shared() -> None:
    first, second = shared(tuple(range(3))), shared(tuple(range(3)))
    assert first is second


@pytest.mark.parametrize(
    "shares", [[0.0, 1.0, 0.5, 0.475, 0.0001, 0.99999] * 50, [round(i / 999, 5) for i in range(1000)]]
)
def test_shares_are_held_as_whole_numbers_and_are_the_same_floats(shares: list[float]) -> None:
    draws = Floats(shares)
    assert draws._codes is not None
    assert tuple(draws) == tuple(shares) == tuple(np.asarray(draws))
    assert (draws[0], draws[-1], draws[1:3]) == (shares[0], shares[-1], tuple(shares[1:3]))
    assert len(draws) == len(shares)
    assert pickle.loads(pickle.dumps(draws)) == draws


@pytest.mark.parametrize("values", [[0.1] * 400 + [0.123456], [-0.0] * 400, [float("nan")] * 400, [7.0] * 400])
def test_other_floats_are_held_as_they_are(values: list[float]) -> None:
    assert np.array_equal(np.array(tuple(Floats(values))).view(np.uint64), np.array(values).view(np.uint64))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_record_of_a_run_at_hand_is_the_same_record(file: Path) -> None:
    alone = Record.from_json(file.read_text(), file.stem)
    assert f'"run":{alone.run.text},' in canonical(json.loads(file.read_text()))
    other = Record.from_json(file.read_text(), file.stem, alone.run)
    assert other == alone
    assert other.run is alone.run
    assert other.to_json() == file.read_text()


def test_a_record_of_another_run_than_the_one_at_hand_keeps_its_own() -> None:
    first, second = (Record.from_json(file.read_text(), file.stem) for file in FILES[:2])
    assert Record.from_json(FILES[0].read_text(), FILES[0].stem, second.run) == first


def test_only_an_attribute_of_the_record_itself_is_cut_out() -> None:
    assert without(b'{"a":1,"run":{"b":2},"z":3}', "run", '{"b":2}') == b'{"a":1,"z":3}'
    assert without(b'{"a":1,"run":{"b":3},"z":3}', "run", '{"b":2}') is None
    assert without(b'{"a":{"b":1,"run":{"b":2},"z":3},"z":3}', "run", '{"b":2}') is None
