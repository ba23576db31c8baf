"""Training in two processes: which clips each of them sees."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from fakes import forkservers
from fakes import vggsound as fake_vggsound
from fakes.paths import TESTS
from fakes.trees import TREES
from fakes.two_ranks import digest

from datamodules.clips import draws
from datamodules.clips.shards import StreamLoader
from datamodules.vggsound import VGGSound


def data(root: Path, batch_size: int = 3) -> VGGSound:
    made = VGGSound(root, batch_size=batch_size, **TREES["vggsound"].arguments)
    made.setup()
    return made


@pytest.mark.parametrize("shards", [0, 4])
@pytest.mark.process
@pytest.mark.slow
def test_two_processes_see_every_clip_once_an_epoch(tmp_path: Path, shards: int) -> None:
    """With two gloo processes of `ddp`: files, and a stream of shards."""
    root = fake_vggsound.write(tmp_path / "vggsound", shards=shards)
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}", "CUDA_VISIBLE_DEVICES": ""}
    done = forkservers.run(["-m", "fakes.two_ranks", "vggsound", root, tmp_path], TESTS.parent, environment)
    assert done.returncode == 0, done.stderr
    train = data(root).splits.train
    clips = {digest(train.load([i])[0]) for i in range(len(train))}
    orders = []
    for epoch in range(2):
        ranks = [json.loads((tmp_path / f"{rank}-{epoch}.json").read_text()) for rank in range(2)]
        assert len(ranks[0]) == len(ranks[1]) > 5  # steps
        seen = Counter(clip for steps in ranks for step in steps for clip in step)
        assert set(seen) == clips
        assert seen.total() == len(clips)
        orders.append(ranks)
    assert orders[0] != orders[1]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_read_other_parts_of_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int) -> None:
    made = data(fake_vggsound.write(tmp_path / "vggsound", shards=4))
    seen: list[list[int]] = []
    for rank in range(ranks):
        monkeypatch.setattr("datamodules.clips.shards.place_among_ranks", lambda rank=rank: (rank, ranks))
        loader = made.train_dataloader()
        assert isinstance(loader, StreamLoader)
        seen.append([len(target) for _, target in loader])
        assert len(loader) == len(seen[-1])
    assert len({len(sizes) for sizes in seen}) == 1
    assert sum(map(sum, seen)) == len(made.splits.train)


def test_a_balanced_stream_is_drawn_by_rarity(tmp_path: Path) -> None:
    made = data(fake_vggsound.write(tmp_path / "vggsound", shards=4))
    made.balanced = True
    loader = made.train_dataloader()
    assert isinstance(loader, StreamLoader)
    weights = loader.dataset.weights  # type: ignore[attr-defined]
    assert weights.tolist() == draws.rarity(made.splits.train.targets, "single", 3).tolist()
