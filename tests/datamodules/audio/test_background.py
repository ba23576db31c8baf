"""Background noise: where its folder is looked for, and which pieces a seed gives."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fakes.numbered import Numbers

from datamodules.audio.background import BackgroundNoise
from datamodules.base import DataError

RATE = 8_000


def ramp(path: Path, samples: int, start: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.arange(start, start + samples, dtype=np.int16), RATE)
    return path


def test_pieces_are_the_seed_s(tmp_path: Path) -> None:
    """File first, then the position: so a recipe's training stays as it was."""
    ramp(tmp_path / "a.wav", 50, 0)
    ramp(tmp_path / "below" / "b.wav", 1_000, 1_000)
    (tmp_path / "LICENSE").write_text("free")
    background = BackgroundNoise(str(tmp_path), RATE)
    assert background.files == 2
    torch.manual_seed(3)
    pieces = background(6, 60)
    torch.manual_seed(3)
    file = torch.randint(2, (6, 1))
    length = torch.tensor([50, 1_000])[file]
    wanted = 1_000 * file + ((torch.rand(6, 1, dtype=torch.float64) * length).long() + torch.arange(60)) % length
    assert (pieces.shape, pieces.dtype) == ((6, 60), torch.float16)
    assert {0, 1} == set(file.flatten().tolist())
    torch.testing.assert_close(pieces.float(), wanted / 32768, rtol=1e-3, atol=0)


def test_the_digest_is_of_the_samples(tmp_path: Path) -> None:
    def digest() -> str:
        return BackgroundNoise(tmp_path, RATE).digest()

    ramp(tmp_path / "a.wav", 50, 0)
    ramp(tmp_path / "b.wav", 60, 0)
    first = digest()
    assert digest() == first
    ramp(tmp_path / "b.wav", 60, 500)
    other = digest()
    assert other != first
    (tmp_path / "a.wav").rename(tmp_path / "c.wav")  # another order
    assert digest() not in (first, other)


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder '.*absent': unpack it there"):
        BackgroundNoise(tmp_path / "absent", RATE)
    with pytest.raises(DataError, match="no audio file"):
        BackgroundNoise(tmp_path, RATE)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"background noise: .*a\.wav"):
        BackgroundNoise(tmp_path, RATE)


def test_a_relative_folder_lies_next_to_the_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ramp(tmp_path / "data" / "musan" / "noise" / "a.wav", 50, 0)
    ramp(tmp_path / "elsewhere" / "own" / "b.wav", 50, 0)
    data = Numbers(3, root=tmp_path / "data" / "esc50")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert data.background("musan/noise").files == 1
    assert data.background(Path("own")).files == 1
    assert data.background(tmp_path / "elsewhere").files == 1
    with pytest.raises(DataError, match=str(tmp_path / "data" / "absent")):
        data.background("absent")
    assert Numbers(3).background("own").files == 1


def test_embeddings_have_no_background(tmp_path: Path) -> None:
    data = Numbers(3)
    data.sample_rate = None
    with pytest.raises(DataError, match="Numbers has embeddings"):
        data.background(tmp_path)
