"""AudioSet's audio on small trees in the real layout, as a folder and as shards; its lists; and runs on its stream."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from fakes import audioset as fake
from fakes import vggsound as fake_vggsound
from fakes.paths import DATA
from fakes.shards import RATE, pack, sound

from bench.records import Recipe, Record, Run, Store
from bench.runner.settings import RunSettings
from bench.runner.worker import execute
from bench.training import build, fit
from datamodules.audioset import AudioSet
from datamodules.base import DataError, DatasetMissing
from datamodules.clips.audioset_lists import OFFICIAL, class_names, segments
from datamodules.clips.shards import StreamLoader
from datamodules.clips.youtube import VALIDATION_PERCENT, is_validation

BRIEF: dict[str, Any] = {"sample_rate": RATE, "clip_seconds": 0.1}


def counts(data: AudioSet) -> tuple[int, int]:
    data.setup()
    return len(data.splits.train) + len(data.splits.val), len(data.splits.test)


@pytest.mark.parametrize("shards", [0, 3])
def test_balanced_to_eval(tmp_path: Path, shards: int) -> None:
    data = AudioSet(fake.write(tmp_path / "audioset", shards=shards), tmp_path / "cache", **BRIEF)
    assert counts(data) == (39, 11)
    assert data.classes == ("Speech", "Male speech, man speaking", "Music", "Gush")
    assert data.splits.test.groups == tuple(fake.video(i, "e") for i in range(11))
    assert data.splits.test.ids[2] == "-e00000002__000020"
    wanted = torch.zeros(11, 4)
    for i in range(11):
        wanted[i, [list(fake.LABELS).index(mid) for mid in fake.labels(i)]] = 1
    assert torch.equal(data.splits.test.targets, wanted)
    assert wanted.sum() == 15
    assert 1 <= len(data.splits.val) < 8
    assert data.note == "coverage balanced_train 39 of 22,160, eval 11 of 20,371 segments"
    assert data.clips_official == 22_160 + 20_371
    assert isinstance(data.train_dataloader(), StreamLoader) == bool(shards)
    x, target = next(iter(data.train_dataloader()))
    assert (x.shape, x.dtype, target.shape[1], target.dtype) == ((len(x), 1600), torch.float32, 4, torch.float32)


@pytest.mark.parametrize("shards", [0, 3])
def test_the_full_training_part(tmp_path: Path, shards: int) -> None:
    """Validation is the same clips whichever part trains."""
    root = fake.write(tmp_path / "audioset", shards=shards, unbalanced=30)
    balanced, full = AudioSet(root, **BRIEF), AudioSet(root, train="full", **BRIEF)
    assert (counts(balanced), counts(full)) == ((39, 11), (39 + 29, 11))
    assert full.splits.val.ids == balanced.splits.val.ids
    assert "; 29 audio files that no list names left out" in balanced.note
    assert "unbalanced_train 29 of 2,041,789" in full.note
    assert full.clips_official == 22_160 + 2_041_789 + 20_371
    assert "balanced_train + unbalanced_train less the 5 %" in full.split
    with pytest.raises(DataError, match="balanced and full"):
        AudioSet(root, train="half")  # type: ignore[arg-type]


def test_both_forms_hold_the_same_clips(tmp_path: Path) -> None:
    made = [AudioSet(fake.write(tmp_path / str(shards), shards=shards), **BRIEF) for shards in (0, 4)]
    for data in made:
        data.setup()
    for part in ("train", "val", "test"):
        folder, tar = (getattr(data.splits, part) for data in made)
        assert folder.ids == tar.ids
        assert torch.equal(folder.targets, tar.targets)
        assert torch.equal(folder.load(range(len(folder))), tar.load(range(len(tar))))


def test_the_layout_of_panns(tmp_path: Path) -> None:
    """`metadata/` and `audios/`, the unbalanced part in numbered folders."""
    root = fake.write(tmp_path / "audioset", unbalanced=10)
    (root / "metadata").mkdir()
    for table in root.glob("*.csv"):
        table.rename(root / "metadata" / table.name)
    (root / "audio").rename(root / "audios")
    part = root / "audios" / "unbalanced_train_segments" / "unbalanced_train_segments_part00"
    part.mkdir()
    for path in part.parent.glob("*.flac"):
        path.rename(part / path.name)
    assert AudioSet.find(root) is None
    assert counts(AudioSet(root, train="full", **BRIEF)) == (48, 11)


@pytest.mark.parametrize("shards", [0, 2])
def test_leaks_are_refused(tmp_path: Path, shards: int) -> None:
    root = fake.write(tmp_path / "a", shards=shards)
    with (root / "eval_segments.csv").open("a") as file:
        file.write(f'{fake.video(3, "b")}, 200.000, 210.000, "/m/09x0r"\n')
    with pytest.raises(DataError, match=r"'-b00000003_' is listed in balanced_train and in eval"):
        AudioSet(root, **BRIEF).setup()
    root = fake.write(tmp_path / "b", shards=0)
    copied = (root / "audio" / "balanced_train_segments" / f"Y{fake.video(3, 'b')}.flac").read_bytes()
    (root / "audio" / "eval_segments" / f"Y{fake.video(4, 'e')}.flac").write_bytes(copied)
    if shards:
        files = {path.name: path.read_bytes() for path in (root / "audio").rglob("*.flac")}
        (root / "audio").rename(tmp_path / "away")
        pack(root / "shards", files, shards)
    with pytest.raises(DataError, match=r"same audio.*-b00000003__000030.*-e00000004__000040 \(test\)"):
        AudioSet(root, **BRIEF).setup()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"/m/09x0r,/m/05zppz"', '"/m/09x0r,/m/none"', "line 4: label '/m/none' is not in class_labels_indices.csv"),
        (", 0.000, 10.000", ", zero, 10.000", "line 4: 'zero' and '10.000' are not numbers of seconds"),
        (", 0.000, 10.000", ", 10.000, 0.000", "line 4: no clip lasts from 10 to 0 s"),
        (", 0.000, 10.000", ", nan, 10.000", "line 4: no clip lasts"),
        (", 0.000, 10.000", "", "line 4 has 2 cells"),
        ("-b00000001_", "-b00000000_", "line 5: video '-b00000000_' is listed above"),
        ('"/m/09x0r,/m/05zppz"', '"/m/09x0r', "cannot be read|has"),
        ('"/m/09x0r,/m/05zppz"', '""', r"line 4 has 4 cells \(1 empty\)"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    root = fake.write(tmp_path / "audioset")
    table = root / "balanced_train_segments.csv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        AudioSet(root, **BRIEF).setup()


def test_a_bad_label_table_is_refused(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "audioset")
    table = root / "class_labels_indices.csv"
    for old, new, line in (("2,/m/04rlf", "3,/m/04rlf", 4), ("/t/dd00088", "/m/04rlf", 5)):
        content = table.read_text()
        table.write_text(content.replace(old, new))
        with pytest.raises(DataError, match=f"line {line} has index 3"):
            AudioSet(root, **BRIEF).setup()
        table.write_text(content)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    said = AudioSet.find(tmp_path) or ""
    for words in ("class_labels_indices.csv, balanced_train_segments.csv, eval_segments.csv", "research.google.com"):
        assert words in said
    assert "cannot be downloaded" in said
    with pytest.raises(DatasetMissing, match="cannot be downloaded"):
        AudioSet(tmp_path).setup()
    root = fake.write(tmp_path / "a")
    with pytest.raises(DataError, match=r"unbalanced_train_segments\.csv"):
        AudioSet(root, train="full", **BRIEF).setup()


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "audioset_vggish").is_dir(), reason=f"the real lists are not in {DATA}: set BENCH_DATA")
def test_the_real_lists() -> None:
    """The counts that the lists' own comments give."""
    names = class_names(DATA / "audioset_vggish" / "class_labels_indices.csv")
    assert len(names) == 527
    assert list(names.values())[1] == "Male speech, man speaking"
    for part, count, positives in (("balanced_train", 22_160, 52_882), ("eval", 5_197, 13_273)):
        listed = segments(DATA / "audioset_vggish" / f"{part}_segments.csv", names)
        assert (len(listed), sum(len(each.labels) for each in listed)) == (count, positives)
        assert np.bincount([label for each in listed for label in each.labels], minlength=527).all()
        share = sum(is_validation(each.excerpt.video) for each in listed) / count
        assert abs(share - VALIDATION_PERCENT / 100) < 4 * (0.05 * 0.95 / count) ** 0.5
    assert OFFICIAL["balanced_train"] == 22_160


# Runs on the stream


def record(settings: RunSettings, run: Run) -> Record:
    assert execute(run, settings, False, lambda news: None) == "done", Store(settings.store).get(run.key)
    found = Store(settings.store).get(run.key)
    assert found is not None
    return found


@pytest.mark.parametrize("dataset", ["audioset", "vggsound"])
@pytest.mark.parametrize("shards", [0, 2])
@pytest.mark.slow
def test_a_run(tmp_path: Path, dataset: str, shards: int) -> None:
    """From the data to the record, balanced, with a teacher; once as a folder, once as shards."""
    write = {"audioset": fake.write, "vggsound": fake_vggsound.write}[dataset]
    write(tmp_path / dataset, shards=shards)
    settings = RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu")
    recipe = Recipe(epochs=1, balanced=True, batch_size=8)
    teacher = Run(model="fc", frontend="logmel-1s", dataset=dataset, recipe=recipe, data={"clip_seconds": 1.0})
    first = record(settings, teacher)
    assert first.data is not None
    assert first.data.clips_available == {"audioset": 50, "vggsound": 70}[dataset]
    student = replace(teacher, model="swishnet", frontend="mfcc", recipe=replace(recipe, teacher=teacher.key))
    assert record(settings, student).status == "ok"


def prepared(root: Path) -> tuple[Run, AudioSet, Any]:
    run = Run(model="fc", frontend="logmel-1s", dataset="audioset", recipe=Recipe(epochs=2, batch_size=8))
    data = AudioSet(root, seed=run.seed, batch_size=8, sample_rate=RATE, clip_seconds=1.0)
    data.setup()
    torch.manual_seed(0)
    return run, data, build.model(run, data)


@pytest.mark.process
def test_workers_change_no_bit_of_what_is_learnt(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "audioset", shards=3)
    weights = []
    for workers in (0, 2):
        run, data, model = prepared(root)
        data.workers = workers
        fit.train(model, data, run.recipe, tmp_path, "cpu", lambda *news: None)
        weights.append(model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


class Listener(pl.LightningModule):
    """Notes which clips it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.heard: list[list[float]] = []

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        self.heard.append(batch[0][:, 0].tolist())
        return (self.weight * batch[0].mean()).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(does not have many workers|has .__len__. defined|LeafSpec).*")
@pytest.mark.filterwarnings("ignore:.*(loading a checkpoint outside|mid-epoch checkpoint).*")
@pytest.mark.parametrize("stop", [2, 4, 7])
def test_lightning_takes_a_training_up_in_the_middle_of_an_epoch(tmp_path: Path, stop: int) -> None:
    _, data, _ = prepared(fake.write(tmp_path / "audioset", shards=3))

    def fit(steps: int, start: Path | None = None) -> list[list[float]]:
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=steps, logger=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, enable_checkpointing=False,
        )  # fmt: skip
        listener = Listener()
        trainer.fit(listener, data.splits.train.stream(8, 0), ckpt_path=str(start) if start else None)
        trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return listener.heard

    whole = fit(10)
    assert len(whole) == 10
    assert fit(stop) == whole[:stop]
    assert fit(10, tmp_path / f"{stop}.ckpt") == whole[stop:]


def test_a_bad_clip_in_a_shard_fails_the_run_and_is_named(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "audioset")
    files = {path.name: path.read_bytes() for path in (root / "audio").rglob("*.flac")}
    video = next(video for i in range(39) if not is_validation(video := fake.video(i, "b")))
    files[f"Y{video}.flac"] = sound(0)[:-300]
    (root / "audio").rename(tmp_path / "away")
    pack(root / "shards", files, 2)
    _, data, model = prepared(root)
    with pytest.raises(DataError, match=rf"00000[01]\.tar: Y{video}\.flac"):
        fit.train(model, data, Recipe(epochs=1, batch_size=8), tmp_path, "cpu", lambda *news: None)
