"""Datasets of waveforms share their arguments and defaults, and look for their files once."""

import inspect
from pathlib import Path

import pytest
from fakes import esc50 as fake_esc50

from datamodules.audioset import AudioSet
from datamodules.base import AudioDataModule, DatasetMissing
from datamodules.esc50 import ESC10, ESC50
from datamodules.folder import Folder
from datamodules.gtzan import GTZANMusicSpeech
from datamodules.musan import MUSAN
from datamodules.ravdess import RAVDESS
from datamodules.synthetic import Synthetic, SyntheticTags
from datamodules.urbansound8k import UrbanSound8K
from datamodules.vggsound import VGGSound


@pytest.mark.parametrize(
    ("dataset", "sample_rate", "clip_seconds"),
    [
        (ESC10, 32_000, 5.0),
        (ESC50, 32_000, 5.0),
        (UrbanSound8K, 32_000, 4.0),
        (RAVDESS, 32_000, 5.3),
        (VGGSound, 32_000, 10.0),
        (AudioSet, 32_000, 10.0),
        (MUSAN, 16_000, 1.0),
        (GTZANMusicSpeech, 16_000, 1.0),
        (Synthetic, 16_000, 1.5),
        (SyntheticTags, 16_000, 1.5),
    ],
)
def test_defaults_are_those_of_published_records(
    dataset: type[AudioDataModule], sample_rate: int, clip_seconds: float
) -> None:
    shown = {name: argument.default for name, argument in inspect.signature(dataset).parameters.items()}
    common = {"root": None, "cache": None, "fold": 0, "seed": 0, "batch_size": 32}
    assert shown.items() >= (common | {"sample_rate": sample_rate, "clip_seconds": clip_seconds}).items()
    made = dataset()
    assert (made.sample_rate, made.clip_seconds) == (sample_rate, clip_seconds)
    changed = dataset(sample_rate=8_000, clip_seconds=0.5)  # type: ignore[call-arg]
    assert (changed.sample_rate, changed.clip_seconds) == (8_000, 0.5)


def test_a_constructor_of_ones_own_keeps_its_own_arguments() -> None:
    class Half(ESC50):
        default_clip_seconds = 2.5

        def __init__(self, root: Path | None = None, *, part: str = "first", clip_seconds: float | None = None) -> None:
            super().__init__(root, clip_seconds=clip_seconds)
            self.part = part

    shown = {name: argument.default for name, argument in inspect.signature(Half).parameters.items()}
    assert shown == {"root": None, "part": "first", "clip_seconds": 2.5}
    assert Half(part="second").clip_seconds == 2.5
    assert inspect.signature(Folder).parameters["clip_seconds"].default is None  # the longest clip's, found by `read`


def test_a_dataset_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake_esc50.write(tmp_path)
    asked: list[Path] = []
    find = ESC50.find
    monkeypatch.setattr(ESC50, "find", staticmethod(lambda root: asked.append(root) or find(root)))
    data = ESC50(root, sample_rate=8_000, clip_seconds=0.2)
    assert data.checked_root() == root
    data.listing()
    data.setup()
    assert asked == [root]


def test_a_dataset_that_is_not_there_is_looked_for_again(tmp_path: Path) -> None:
    data = ESC50(tmp_path / "data", sample_rate=8_000, clip_seconds=0.2)
    with pytest.raises(DatasetMissing, match=r"missing .*esc50\.csv"):
        data.setup()
    (tmp_path / "written").mkdir()
    fake_esc50.write(tmp_path / "written").rename(tmp_path / "data")
    data.setup()
    with pytest.raises(DatasetMissing, match="ESC50 needs a folder: give `root`"):
        ESC50().checked_root()
