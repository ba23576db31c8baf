"""Which clips are kept as the worst mistakes, and what of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.evaluation import mistakes
from datamodules.base import AudioDataModule, ClipSet, Splits


class Clips(ClipSet):
    def __init__(self, x: Tensor, targets: Tensor) -> None:
        names = [f"clip {i}" for i in range(len(x))]
        super().__init__(names, names, names, targets)
        self.x = x

    def load(self, indices):
        return self.x[list(indices)]


class Sounds(AudioDataModule):
    classes = ("dog", "rain", "sea")
    sample_rate = 16000

    def __init__(self, x: Tensor, targets: Tensor) -> None:
        super().__init__(None)
        clips = Clips(x, targets)
        self.splits = Splits(clips, clips, clips)

    @classmethod
    def find(cls, root):
        return None

    def read(self):
        return self.splits


LOGITS = np.array([[4, 0, 0], [0, 1, 0], [0, 3, 0], [0.2, 0, 0], [0, 0, 5]], np.float32)
TARGETS = torch.tensor([0, 0, 2, 0, 0])


def kept(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "worst.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_the_wrong_clips_with_the_highest_loss_are_kept_worst_first(tmp_path: Path) -> None:
    x = torch.sin(torch.arange(16000) * torch.arange(1, 6)[:, None] / 50)
    mistakes.keep(LOGITS, Sounds(x, TARGETS), tmp_path, 2)
    found = kept(tmp_path)
    assert found["ids"].tolist() == ["clip 4", "clip 2"]
    # By hand: the logarithms of e^5 + 2 and of e^3 + 2.
    np.testing.assert_allclose(found["loss"], [5.01339, 3.09492], atol=1e-4)
    assert found["truth"].tolist() == ["dog", "sea"]
    assert found["predicted"].tolist() == ["sea 99 %, dog 1 %, rain 1 %", "rain 91 %, dog 5 %, sea 5 %"]
    assert found["audio"].dtype == np.int16
    np.testing.assert_allclose(found["audio"] / 32767, x[[4, 2]].numpy(), atol=2e-5)
    assert found["sample_rate"] == 16000
    assert found["spectrograms"].dtype == np.uint8
    assert found["spectrograms"].shape[0] == 2
    assert found["spectrograms"].shape[1] >= 40
    assert [picture.max() for picture in found["spectrograms"]] == [255, 255]


def test_a_clip_that_is_right_is_no_mistake(tmp_path: Path) -> None:
    mistakes.keep(LOGITS, Sounds(torch.zeros(5, 16000), TARGETS), tmp_path, 8)
    assert kept(tmp_path)["ids"].tolist() == ["clip 4", "clip 2", "clip 1"]


def test_without_mistakes_nothing_is_kept_and_an_earlier_file_goes(tmp_path: Path) -> None:
    (tmp_path / "worst.npz").write_text("of an earlier training")
    mistakes.keep(LOGITS[[0, 3]], Sounds(torch.zeros(2, 16000), TARGETS[[0, 3]]), tmp_path, 8)
    assert not (tmp_path / "worst.npz").exists()
    mistakes.keep(LOGITS, Sounds(torch.zeros(5, 16000), TARGETS), tmp_path, 0)
    assert not (tmp_path / "worst.npz").exists()


def test_long_clips_are_cut_and_the_file_is_bounded(tmp_path: Path) -> None:
    noise = torch.rand(5, 30 * 16000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mistakes.keep(LOGITS, Sounds(noise, TARGETS), tmp_path, 8)
    found = kept(tmp_path)
    assert found["audio"].shape == (3, 160000)
    assert found["spectrograms"].shape[2] <= 500
    assert (tmp_path / "worst.npz").stat().st_size < 3 * (320_000 + 128 * 500) + 10_000


def test_clips_too_short_for_a_spectrogram_are_still_heard(tmp_path: Path) -> None:
    mistakes.keep(LOGITS, Sounds(torch.ones(5, 20), TARGETS), tmp_path, 1)
    assert kept(tmp_path)["audio"].shape == (1, 20)


def test_several_labels_are_named_and_embeddings_are_seen(tmp_path: Path) -> None:
    data = Sounds(torch.arange(5 * 10 * 4).reshape(5, 10, 4).float(), torch.eye(3)[TARGETS] + torch.eye(3)[1])
    data.task, data.sample_rate = "multi", None
    data.splits.test.targets[1] = 0
    mistakes.keep(LOGITS, data, tmp_path, 5)
    found = kept(tmp_path)
    assert len(found["ids"]) == 5
    truths = dict(zip(found["ids"].tolist(), found["truth"].tolist(), strict=True))
    assert truths["clip 2"] == "rain, sea"
    assert truths["clip 1"] == "nothing"
    assert found["spectrograms"].shape == (5, 4, 10)
    assert found["audio"].shape == (5, 0)


@pytest.mark.parametrize("targets", [TARGETS, torch.eye(3)[TARGETS]])
def test_the_loss_is_a_clips_own(targets: Tensor) -> None:
    x = torch.from_numpy(LOGITS)
    alone = [float(mistakes.loss(x[[i]], targets[[i]])) for i in range(5)]
    np.testing.assert_allclose(mistakes.loss(x, targets), alone, rtol=1e-6)
