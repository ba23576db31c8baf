"""A small UrbanSound8K tree in the real layout: files of many formats, and a recording that the folds tear."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import soundfile

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling",
    "engine_idling", "gun_shot", "jackhammer", "siren", "street_music",
)  # fmt: skip
FORMATS = (  # rate, channels, encoding: such as there are in the official files
    (44_100, 2, "PCM_16"),
    (48_000, 2, "PCM_24"),
    (96_000, 2, "PCM_32"),
    (22_050, 1, "IMA_ADPCM"),
    (11_025, 1, "MS_ADPCM"),
    (8_000, 1, "PCM_U8"),
    (192_000, 2, "FLOAT"),
)
TORN = "77751"  # fold 2 drilling, fold 7 jackhammer, as in the official table
SECONDS = 0.1


def write(root: Path, folds: Collection[int] = range(1, 11)) -> Path:
    """One clip per class and fold, two of a recording for dog_bark; the table has all folds, the disk these."""
    (root / "metadata").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = [HEADER]
    for fold in range(1, 11):
        folder = root / "audio" / f"fold{fold}"
        folder.mkdir(parents=True)
        (folder / ".DS_Store").touch()
        for target, label in enumerate(CLASSES):
            recording = TORN if (fold, target) in ((2, 4), (7, 7)) else f"{100 * fold + target}"
            for part in range(2 if label == "dog_bark" else 1):
                name = f"{recording}-{target}-0-{part}.wav"
                lines.append(f"{name},{recording},{part / 2},{part / 2 + SECONDS},1,{fold},{target},{label}")
                if fold in folds:
                    rate, channels, encoding = FORMATS[(fold + target) % len(FORMATS)]
                    sound = 0.1 * rng.standard_normal((round(SECONDS * rate), channels))
                    soundfile.write(folder / name, sound, rate, encoding)
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines) + "\n")
    return root
