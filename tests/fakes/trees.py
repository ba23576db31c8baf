"""A small tree in the real layout for every dataset of the catalogue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fakes import audioset, audioset_embeddings, esc50, folder, gtzan, musan, ravdess, urbansound8k, vggsound
from fakes.audioset_embeddings import Segment


class Tree(NamedTuple):
    """A dataset's tree.

    Attributes:
        write: writes it to a folder that does not exist; None where the dataset is made by code.
        arguments: of the dataset's class, so that it is quick.
        shape: of its clips.
    """

    write: Callable[[Path], Any] | None
    arguments: dict[str, Any]
    shape: tuple[int, ...]


def embeddings(root: Path) -> None:
    rng = np.random.default_rng(0)
    parts = {
        part: [[Segment(f"{letter}{i:03}", [rng.bytes(128)] * 10, [i % 4]) for i in range(count)]]
        for part, letter, count in (("bal_train", "t", 60), ("eval", "e", 8))
    }
    audioset_embeddings.write(root, parts)


def features(root: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cat", "cow"):
        (root / label).mkdir(parents=True)
        for i in range(10):
            np.save(root / label / f"{label}{i}.npy", rng.random((3 + i % 3, 16), np.float32))


BRIEF = {"sample_rate": 8_000, "clip_seconds": 0.1}
SHORT = {"sample_rate": 8_000, "clip_seconds": 0.5}

TREES = {
    "synthetic": Tree(None, {"sample_rate": 8_000, "clip_seconds": 0.5, "clips_per_class": 10}, (4_000,)),
    "synthetic-tags": Tree(None, {"sample_rate": 8_000, "clip_seconds": 0.5, "clips_per_class": 10}, (4_000,)),
    "synthetic-streams": Tree(
        None,
        {
            "sample_rate": 8_000,
            "clip_seconds": 0.5,
            "stream_seconds": 30.0,
            "train_streams": 2,
            "val_streams": 1,
            "test_streams": 2,
        },
        (4_000,),
    ),
    "esc10": Tree(esc50.write, BRIEF, (800,)),
    "esc50": Tree(esc50.write, BRIEF, (800,)),
    "urbansound8k": Tree(urbansound8k.write, BRIEF, (800,)),
    "ravdess": Tree(lambda root: ravdess.write(root, range(1, 9)), BRIEF, (800,)),
    "musan": Tree(musan.write, SHORT, (4_000,)),
    "musan-streams": Tree(musan.write, {**SHORT, "train_streams": 4, "val_streams": 2}, (4_000,)),
    "gtzan-music-speech": Tree(gtzan.write, SHORT, (4_000,)),
    "vggsound": Tree(vggsound.write, BRIEF, (800,)),
    "audioset": Tree(audioset.write, BRIEF, (800,)),
    "audioset-embeddings": Tree(embeddings, {}, (10, 128)),
    "embeddings": Tree(features, {}, (5, 16)),
    "folder": Tree(folder.write, BRIEF, (800,)),
}
