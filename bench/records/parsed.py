"""Digests and imports of source files that earlier commands of this user have parsed, by the files' contents.

Parsing the sources of all models takes half a second. The file is in the user's cache folder; without it, or where it
cannot be written, every command parses for itself.
"""

import hashlib
import json
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from bench import lookup

MOST = 4000
"""Number of files that are kept; the ones that were parsed longest ago make room for others."""

Parsed = tuple[tuple[str, ...], str]
"""Names of the modules that a file may import, and the digest of its syntax."""


class Kept:
    """Digests and imports of sources in a file.

    Args:
        path: of the file, which need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fresh: dict[str, Parsed] = {}
        self._old: dict[str, Parsed] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError):
            content = json.loads(path.read_text(encoding="utf-8"))
            self._old = {str(key): (tuple(map(str, names)), str(digest)) for key, (names, digest) in content.items()}

    def get(self, module: str, path: Path, content: bytes) -> Parsed | None:
        """Return what is known about a file of this content that is imported under this name."""
        key = _key(module, path, content)
        return self._fresh.get(key) or self._old.get(key)

    def add(self, module: str, path: Path, content: bytes, parsed: Parsed) -> None:
        """Keep what was found about a file, until `save` writes it."""
        self._fresh[_key(module, path, content)] = parsed

    def save(self) -> None:
        """Write what was added, if something was; a folder that cannot be written is left alone."""
        from bench.records.store import write_whole

        if self._fresh:
            self._old = dict(list((self._old | self._fresh).items())[-MOST:])
            self._fresh = {}
            with suppress(OSError):
                write_whole(self.path, json.dumps(self._old, separators=(",", ":")).encode())


@cache
def kept() -> Kept:
    """Return what is kept for this version of Python and of the code that digests; another one has another file."""
    import platformdirs

    version = hashlib.sha256(sys.version.encode())
    for name in ("sources.py", "parsed.py"):
        version.update((Path(__file__).parent / name).read_bytes())
    version.update(Path(lookup.__file__).read_bytes())
    return Kept(platformdirs.user_cache_path("audio-classification-bench") / f"sources-{version.hexdigest()[:12]}.json")


def _key(module: str, path: Path, content: bytes) -> str:
    about: tuple[Any, ...] = module, path.name, hashlib.sha256(content).hexdigest()
    return " ".join(about)
