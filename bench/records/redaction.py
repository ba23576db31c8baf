"""Removal of secrets from everything that is written: a suite with a secret is refused, a message is redacted.

A text counts as a secret because of its name (`api_key = ...`), because of its form (credentials in a URL, prefixes of
well-known services' keys), or because an environment variable with such a name has it as its value.
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

REDACTED = "[redacted]"

_MIN_LENGTH = 8
"""Number of characters below which an environment variable's value counts as an ordinary word, not as a secret."""

_WORDS = frozenset(
    {"token", "secret", "password", "passwd", "passphrase", "credential", "credentials", "authorization", "apikey"}
)
_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("secret", "key"), ("auth", "key")})
_NAMED = re.compile(
    r"(?i)\b((?:[\w-]*[_-])?(?:token|secret|password|passwd|passphrase|credentials?|apikey|(?:api|access|private|secret|"
    r"auth)[_-]?key)[\"']?\s*[=:]\s*[\"']?)([^\s\"'&;,]+)"
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}")
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@\"']+@")
_SHAPES = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[opsur]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|xox[abprs]-[\w-]{8,}|"
    r"AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|wandb_v\d_\w{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text without the secrets in it.

    Args:
        text: any text.
        environment: variables; the values of those with a secret's name are removed. None takes this process's own.
    """
    return _without(text, _held(environment))


def _held(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the values of variables with a secret's name, the longest first."""
    variables = os.environ.copy() if environment is None else environment
    values = {value for name, value in variables.items() if len(value) >= _MIN_LENGTH and names_secret(name)}
    return tuple(sorted(values, key=len, reverse=True))


def _without(text: str, held: tuple[str, ...]) -> str:
    """Return a text without secrets; `held` are the values of variables."""
    for value in held:
        text = text.replace(value, REDACTED)
    text = _URL.sub(rf"\1{REDACTED}@", text)
    text = _NAMED.sub(rf"\1{REDACTED}", text)
    return _SHAPES.sub(REDACTED, _BEARER.sub(rf"\1{REDACTED}", text))


def clean(content: Any) -> Any:
    """Return JSON-like content with every text `redacted`, and with every text under a secret's name replaced."""
    return _clean(content, _held())


def _clean(content: Any, held: tuple[str, ...]) -> Any:
    if isinstance(content, str):
        return _without(content, held)
    if isinstance(content, Mapping):
        return {
            name: REDACTED if isinstance(value, str) and value and names_secret(str(name)) else _clean(value, held)
            for name, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [_clean(value, held) for value in content]
    return content


def find(content: Any, where: str = "") -> str | None:
    """Return the name of the first value that `clean` would change, such as "model.cnn.api_key", or None."""
    return _find(content, where, _held())


def _find(content: Any, where: str, held: tuple[str, ...]) -> str | None:
    if isinstance(content, Mapping):
        for name, value in content.items():
            path = f"{where}.{name}" if where else str(name)
            named = isinstance(value, str) and value and names_secret(str(name))
            if named or _without(str(name), held) != str(name):
                return path
            if found := _find(value, path, held):
                return found
    elif isinstance(content, list | tuple):
        return next((found for value in content if (found := _find(value, where, held))), None)
    elif isinstance(content, str) and _without(content, held) != content:
        return where
    return None


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Return whether a variable or an argument of this name usually contains a secret."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return not _WORDS.isdisjoint(words) or any(pair in _PAIRS for pair in pairwise(words))
