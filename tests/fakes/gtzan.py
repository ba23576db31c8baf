"""A small tree of GTZAN's music and speech in the layout of its archive."""

from pathlib import Path

import numpy as np
import soundfile
from fakes.musan import sound

NAMES = {
    "music_wav": ("bagpipe", "ballad", "bartok", "beat", "blues", "gravity", "gravity2", "u2"),
    "speech_wav": ("acomic", "acomic2", "allison", "amal", "austria", "news1", "news2", "voice"),
}


def write(root: Path, seconds: float = 2.0) -> Path:
    """Eight tracks per class under `root/music_speech`, 22,050 Hz; macOS' leftovers beside them, as in the archive."""
    rng = np.random.default_rng(0)
    for folder, names in NAMES.items():
        here = root / "music_speech" / folder
        here.mkdir(parents=True)
        for name in names:
            track = sound(folder.split("_")[0], rng, seconds, 22_050)
            soundfile.write(here / f"{name}.wav", track, 22_050, subtype="PCM_16")
        (here / f"._{names[0]}.wav").write_bytes(b"\0\5\26\7")
    return root
