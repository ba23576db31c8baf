"""Texts that are secrets, and texts that are not."""

import json

import pytest

from bench import suites
from bench.records import Failure, redaction
from bench.records.redaction import clean, find, names_secret, redacted
from bench.suites import recipes

NOBODY: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:pw-1@host/a?b=c", "https://[redacted]@host/a?b=c"),
        ("cannot open ftp://someone@host", "cannot open ftp://[redacted]@host"),
        ("GET /x?api_key=abc&y=1", "GET /x?api_key=[redacted]&y=1"),
        ("HF_TOKEN=hf_abc WIDTH=3", "HF_TOKEN=[redacted] WIDTH=3"),
        ('{"password": "p w"}', '{"password": "[redacted] w"}'),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer [redacted]"),
        ("it was ghp_0123456789abcdefghij, I think", "it was [redacted], I think"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
    ],
)
def test_secrets_are_taken_out(text: str, expected: str) -> None:
    assert redacted(text, NOBODY) == expected
    assert redacted(expected, NOBODY) == expected


@pytest.mark.parametrize(
    "text",
    [
        "models/cnn.py, line 3: shape (8, 64) is not (8, 128)",
        "tokens = 12, keys: a, b",
        "me@example.org",
        "https://zenodo.org/records/1?download=1",
        "esc10-logmel-cnn-f0-s0-847f7b9e",
        "0123456789abcdef0123456789abcdef01234567",  # a commit, or a digest
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert redacted(text, NOBODY) == text


def test_values_of_secret_variables_are_taken_out() -> None:
    environment = {"MY_TOKEN": "abracadabra", "PIN_SECRET": "1234", "HOME": "/home/somebody", "WANDB_API_KEY": "a" * 40}
    text = f"abracadabra in /home/somebody, 1234, {'a' * 40}"
    assert redacted(text, environment) == "[redacted] in /home/somebody, 1234, [redacted]"


def test_names() -> None:
    assert all(map(names_secret, ("token", "HF_TOKEN", "apiKey", "api-key", "clientSecret", "DB_PASSWORD")))
    assert not any(map(names_secret, ("tokens", "keys", "key", "monkey", "passes", "width", "author")))


def test_content_is_cleaned_by_name_and_by_shape() -> None:
    content = {"width": 8, "token": "x", "tokens": 3, "deep": [{"password": "y"}, "https://a:b@c"], "token_dim": 4}
    assert clean(content) == {
        "width": 8, "token": "[redacted]", "tokens": 3, "deep": [{"password": "[redacted]"}, "https://[redacted]@c"],
        "token_dim": 4,
    }  # fmt: skip
    assert find(content) == "token"
    assert find({"model": {"cnn": {"deep": ["a", "https://a:b@c"]}}}) == "model.cnn.deep"
    assert find({"model": {"cnn": {"width": 8, "note": "a token of it"}}}) is None


def test_failures_keep_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "canary-in-environment")
    try:
        raise OSError("https://me:canary-url@host refused canary-in-environment")
    except OSError as error:
        failure = Failure.of(error)
    assert failure.message == "https://[redacted]@host refused [redacted]"
    assert "canary-" not in json.dumps([failure.message, failure.traceback])


@pytest.mark.slow
def test_the_suites_and_recipes_that_come_along_hold_none() -> None:
    for name in suites.suites():
        assert suites.read(name).runs()
    for name in recipes.names():
        assert find(recipes.read(name).values) is None


def test_the_environment_is_read_once_for_all_of_a_content(monkeypatch):
    """Reading it for every text was half of the time of `bench list`."""
    calls = []
    held = redaction._held
    monkeypatch.setattr(redaction, "_held", lambda *given: calls.append(given) or held(*given))
    content = {"a": ["b", "c"], "d": {"e": "f"}}
    assert find(content) is None
    assert clean(content) == content
    assert len(calls) == 2
