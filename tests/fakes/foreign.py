"""A tiny package that this project has never seen: a model with a helper module, and a dataset."""

from pathlib import Path

NET = '''
"""A model."""

from models.base import AudioModel
from torch import nn

from my_package.parts import head  # a comment


class Net(AudioModel):
    """Mean and maximum over time, logits."""

    def __init__(self, frontend, features, frames, classes, hidden=4):
        super().__init__(frontend, features, frames, classes)
        self.hidden = head(2 * features, hidden)
        self.logits = nn.Linear(hidden, classes)

    @property
    def output(self):
        return self.logits

    def classify(self, features):
        import torch

        return self.logits(self.hidden(torch.cat((features.mean(2), features.amax(2)), 1)).relu())
'''
PARTS = '''
from torch import nn


def head(inputs, outputs):
    """A linear layer."""
    return nn.Linear(inputs, outputs)
'''
DATA = '''
import hashlib
from typing import ClassVar

import numpy as np
import torch

from datamodules.base import AudioDataModule
from datamodules.clips.array_clips import WaveformClips
from datamodules.clips.folds import rotated


class Base(AudioDataModule):
    folds = 3


class Mine(Base):
    """Tones and noise, made by code."""

    task: ClassVar = "single"
    split = "folds of clips"
    sample_rate = 8000
    clip_seconds = 0.25

    def __init__(self, clips=18, **given):
        super().__init__(**given)
        self.clips = clips

    @classmethod
    def find(cls, root):
        return None

    def read(self):
        random = np.random.default_rng(0)
        time = np.arange(2000) / 8000
        samples = np.stack([
            4000 * (np.sin(2 * np.pi * random.uniform(300, 900) * time) if i % 2 else random.uniform(-1, 1, 2000))
            for i in range(self.clips)
        ]).astype(np.int16)
        self.clip_shape = (2000,)
        self.classes = ("noise", "tone")
        names = [f"clip {i}" for i in range(self.clips)]
        hashes = [hashlib.sha256(each.tobytes()).hexdigest() for each in samples]
        targets = torch.arange(self.clips) % 2
        folds = [1 + i // 2 % 3 for i in range(self.clips)]
        return rotated(WaveformClips(samples, names, names, hashes, targets), folds, self.fold)
'''
SCORES = """
def clips(logits, targets, classes):
    return len(logits)
"""
SUITE = """
models = ["mine", "fc"]
datasets = ["tones"]
metrics = ["my_package.scores:clips"]

[model.mine]
model = "my_package.net:Net"
frontend = "logmel"

[dataset.tones]
dataset = "my_package.data:Mine"

[recipe]
epochs = 1
"""


def write(folder: Path, suite: str = SUITE) -> Path:
    """Write the package and a suite that names it into a folder; return the suite's path."""
    package = folder / "my_package"
    package.mkdir(parents=True)
    for name, text in (("__init__", ""), ("net", NET), ("parts", PARTS), ("data", DATA), ("scores", SCORES)):
        (package / f"{name}.py").write_text(text)
    (folder / "mine.toml").write_text(suite)
    return folder / "mine.toml"


def installed(folder: Path, name: str = "my-package", version: str = "1.2", points: str = "") -> Path:
    """Write metadata of an installed distribution with entry points into a folder; return the folder."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points)
    return folder
