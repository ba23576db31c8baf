"""Small clips, and tar shards of them as `tar` itself packs files."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def sound(number: int, seconds: float = 0.1, suffix: str = "flac") -> bytes:
    """An encoded clip like no other: a tone that its number gives, in noise."""
    time = np.arange(round(RATE * seconds)) / RATE
    noise = 0.01 * np.random.default_rng(number).standard_normal(len(time))
    content = io.BytesIO()
    soundfile.write(content, 0.3 * np.sin(2 * np.pi * (100 + 7 * number) * time) + noise, RATE, format=suffix.upper())
    return content.getvalue()


def pack(folder: Path, files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], shards: int = 1) -> list[Path]:
    """Pack files of these names into `000000.tar` ..., neighbours together."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = list(files.items() if isinstance(files, Mapping) else files)
    paths = []
    for i in range(shards):
        path = folder / f"{i:06d}.tar"
        with tarfile.open(path, "w") as tar:
            for name, content in pairs[i * len(pairs) // shards : (i + 1) * len(pairs) // shards]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        paths.append(path)
    return paths
