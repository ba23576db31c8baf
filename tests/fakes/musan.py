"""A small MUSAN tree in the real layout."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
FILES = {
    "music/fma": 5,
    "music/jamendo": 3,
    "music/rfm": 2,
    "speech/librivox": 6,
    "speech/us-gov": 4,
    "noise/free-sound": 7,
    "noise/sound-bible": 3,
}
MUSIC = {  # two artists have several pieces, one of them in two sources; rfm has no annotations, as in the real corpus
    "fma": [
        "music-fma-0000 folk,international N Ana_Tu",
        "music-fma-0001 blues Y Cullah",
        "music-fma-0002 rock N Cullah",
        "music-fma-0003 pop,electronica Y Quiet_Music",
        "music-fma-0004 jazz N Mid-Air_Machine",
    ],
    "jamendo": [
        "music-jamendo-0000 blues Y cullah",
        "music-jamendo-0001 pop N Ana_Tu",
        "music-jamendo-0002 rock N Kellee",
    ],
}
OTHERS = ("README", "music/README", "music/fma/LICENSE", "noise/free-sound/LICENSE", "music/fma/._music-fma-0000.wav")


def write(root: Path, rate: int = RATE) -> Path:
    """Ten files of 1.2 to 2.4 s per class under `root/musan`: tones, bursts of a voice's harmonics, noise."""
    rng = np.random.default_rng(0)
    for place, files in FILES.items():
        folder = root / "musan" / place
        folder.mkdir(parents=True)
        kind, source = place.split("/")
        for i in range(files):
            name = f"{kind}-{source}-{i:04}.wav"
            soundfile.write(folder / name, sound(kind, rng, rng.uniform(1.2, 2.4), rate), rate, subtype="PCM_16")
    for source, lines in MUSIC.items():
        (root / "musan/music" / source / "ANNOTATIONS").write_text("\n".join(lines) + "\n")
    (root / "musan/speech/librivox/ANNOTATIONS").write_text(
        "\n".join(f"speech-librivox-{i:04} {'mf'[i % 2]} english" for i in range(6)) + "\n"
    )
    for name in OTHERS:
        (root / "musan" / name).write_bytes(b"not a clip")
    return root / "musan"


def sound(kind: str, rng: np.random.Generator, seconds: float, rate: int) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    hiss = rng.standard_normal(len(time))
    if kind == "noise":
        return 0.1 * hiss
    if kind == "music":
        chord = rng.uniform(200, 400) * np.array([1, 1.25, 1.5])
        return 0.1 * np.sin(2 * np.pi * np.outer(chord, time)).sum(0) + 1e-3 * hiss
    pitch = rng.uniform(90, 200)
    voice = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 12))
    return 0.1 * voice * (np.sin(2 * np.pi * 3 * time) > 0) + 1e-4 * hiss
