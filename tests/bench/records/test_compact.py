"""Tests of the quick check of a record's digest, and of what records share."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bench.records import canonical
from bench.records.compact import Floats, shared, verified
from bench.records.record import Record

FILES = sorted(Path("leaderboards/records").glob("*.json"))[::20]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_published_record_is_verified_without_parsing(file: Path) -> None:
    content = json.loads(file.read_text())
    del content["digest"]
    assert verified(file.read_text()) == canonical(content).encode()
    assert Record.from_json(file.read_text(), file.stem).to_json() == file.read_text()


def test_no_flipped_bit_is_verified() -> None:
    content = bytearray(FILES[0].read_bytes())
    for place in range(0, len(content), 97):
        content[place] ^= 1
        assert verified(content.decode()) is None, place
        content[place] ^= 1


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
