"""A LightningDataModule of somebody else's: its splits, its own training loader, and what it does not say."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

from datamodules.base import DataError
from datamodules.foreign import NO_GROUPS, ForeignData

SAMPLES = 6


def waves(count: int, first: int, channel: bool = False) -> Tensor:
    """Clip i is (first + i) / 1000."""
    x = (torch.arange(count) + first).float()[:, None].expand(count, SAMPLES) / 1000
    return x[:, None] if channel else x


class Plain(pl.LightningDataModule):
    """Knows nothing of this project."""

    sample_rate = 8_000

    def __init__(self, **sets: Dataset[Any]) -> None:
        super().__init__()
        self.batch_size = 4
        self.calls: list[str] = []
        self.sets = sets

    def prepare_data(self) -> None:
        self.calls.append("prepare_data")

    def setup(self, stage: str) -> None:
        self.calls.append(stage)
        for number, part in enumerate(("train", "val", "test")):
            x = waves(10, 100 * number, channel=True)
            self.sets.setdefault(part, TensorDataset(x, torch.arange(10) % 3))

    def train_dataloader(self) -> Any:
        return DataLoader(self.sets["train"], 4, shuffle=not isinstance(self.sets["train"], IterableDataset))

    def val_dataloader(self) -> Any:
        return DataLoader(self.sets["val"], 4)

    def test_dataloader(self) -> Any:
        return DataLoader(self.sets["test"], 4)


def read(module: pl.LightningDataModule) -> ForeignData:
    data = ForeignData(module)
    data.prepare_data()
    data.setup()
    return data


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    def __init__(self, first: int, count: int = 5) -> None:
        self.first, self.count = first, count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter([(x, torch.tensor(i % 2)) for i, x in enumerate(waves(self.count, self.first))])


def test_the_splits_are_those_of_its_loaders() -> None:
    module = Plain()
    data = read(module)
    assert module.calls == ["prepare_data", "fit", "test"]
    train, test = data.splits.train, data.splits.test
    assert (data.kind, data.task, data.sample_rate, data.clip_shape) == ("waveform", "single", 8_000, (SAMPLES,))
    assert data.clip_seconds == SAMPLES / 8_000
    assert data.classes == ("0", "1", "2")
    assert (train.ids[3], test.ids[9]) == ("train-0003", "test-0009")
    assert train.groups == train.ids
    assert torch.equal(test.load([9, 0]), waves(10, 200)[[9, 0]])
    assert test.targets.tolist() == [i % 3 for i in range(10)]
    assert [len(x) for x, _ in data.val_dataloader()] == [4, 4, 2]
    assert data.note == NO_GROUPS
    assert data.split == "as Plain divides its clips"
    assert data.prior().tolist() == pytest.approx([0.4, 0.3, 0.3])
    assert data.manifest() == read(Plain()).manifest()
    data.setup("test")
    assert module.calls == ["prepare_data", "fit", "test"]  # it might divide its clips again


def test_its_own_loader_trains() -> None:
    module = Plain()
    data = read(module)
    assert data.own_training_loader
    torch.manual_seed(1)
    wanted = [(x[:, 0], target) for x, target in module.train_dataloader()]
    torch.manual_seed(1)
    for _ in range(2):  # of one loader or of several
        loader = data.train_dataloader()
    for (x, target), (wanted_x, wanted_target) in zip(loader, wanted, strict=True):
        assert torch.equal(x, wanted_x)
        assert torch.equal(target, wanted_target)
    data.balanced = True
    with pytest.raises(DataError, match="Plain draws its training clips itself"):
        data.train_dataloader()


def test_reading_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    read(Plain())
    assert torch.equal(torch.rand(1), wanted)


def test_labels_and_embeddings() -> None:
    class Tags(Plain):
        class_names = ["dog", "cat"]  # noqa: RUF012
        sample_rate = None
        clip_seconds = 2.0

    def part(first: int) -> TensorDataset:
        x = (torch.arange(5) + first).float()[:, None, None].expand(5, 10, 3) / 1000
        return TensorDataset(x, torch.tensor([[0, 1]] * 5))

    data = read(Tags(train=part(0), val=part(100), test=part(200)))
    assert (data.kind, data.task, data.sample_rate, data.clip_shape) == ("embedding", "multi", None, (10, 3))
    assert (data.classes, data.clip_seconds) == (("dog", "cat"), 2.0)
    x, target = next(iter(data.train_dataloader()))
    assert (x.shape, target.dtype, target.tolist()[0]) == ((4, 10, 3), torch.float32, [0.0, 1.0])
    Tags.clip_seconds = None
    again = read(Tags(train=part(0), val=part(100), test=part(200)))
    assert again.clip_seconds == 10.0
    assert "each frame is taken for a second" in again.note


def test_a_dataset_that_is_iterated() -> None:
    data = read(Plain(train=Stream(0), val=Stream(100), test=Stream(200)))
    assert torch.equal(data.splits.val.load([4, 1]), waves(5, 100)[[4, 1]])
    assert [len(x) for x, _ in data.train_dataloader()] == [4, 1]
    assert data.classes == ("0", "1")


def test_a_loader_of_any_kind() -> None:
    class Batches(Plain):
        def train_dataloader(self) -> Any:
            return [(waves(3, 0, channel=True), torch.tensor([0, 1, 2]))] * 2

    class Listed(Plain):
        def train_dataloader(self) -> Any:
            class Own:
                def __iter__(self) -> Iterator[Any]:
                    return iter([(waves(3, 0, channel=True), torch.tensor([0, 1, 2]))])

                def __len__(self) -> int:
                    return 1

            return Own()

    data = read(Listed())
    assert [x.shape for x, _ in data.train_dataloader()] == [(3, SAMPLES)]
    assert len(data.train_dataloader()) == 1
    with pytest.raises(DataError, match=r"Batches\.train_dataloader returns a list: return one loader"):
        read(Batches())


def test_samplers_that_divide_one_dataset() -> None:
    class Subsets(Plain):
        def loader(self, rows: range) -> DataLoader[Any]:
            every = TensorDataset(waves(12, 0), torch.arange(12) % 2)
            return DataLoader(every, 4, sampler=SubsetRandomSampler(rows))  # type: ignore[arg-type]

        def train_dataloader(self) -> Any:
            return self.loader(range(6))

        def val_dataloader(self) -> Any:
            return self.loader(range(6, 9))

        def test_dataloader(self) -> Any:
            return self.loader(range(9, 12))

    data = read(Subsets())
    assert [len(part) for part in (data.splits.train, data.splits.val, data.splits.test)] == [6, 3, 3]
    assert torch.equal(data.splits.test.load([0, 1, 2]), waves(3, 9))


def test_copies_in_two_splits_are_found_by_their_audio() -> None:
    same = TensorDataset(waves(10, 100, channel=True)[[0, 0, 0]], torch.arange(3))
    with pytest.raises(DataError, match=r"1 clips have the same audio.*train-0000 \(train\) and val-0000 \(val\)"):
        read(Plain(train=same))


def test_augmentation_in_the_dataset_is_said() -> None:
    class Noisy(Dataset[tuple[Tensor, Tensor]]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return torch.rand(SAMPLES), torch.tensor(index % 3)

    data = read(Plain(train=Noisy()))
    assert "training clips change with each reading" in data.note
    assert "test clips change" not in data.note


class NoVal(pl.LightningDataModule):
    sample_rate = 8_000

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(waves(4, 0), torch.arange(4)), 4)


class Two(Plain):
    def test_dataloader(self) -> Any:
        return [super().test_dataloader(), super().test_dataloader()]


class Rateless(Plain):
    sample_rate = None


class FewNames(Plain):
    classes = ("dog", "cat")


class Dict(Plain):
    def val_dataloader(self) -> Any:
        class Batch(Dataset[dict[str, Tensor]]):
            def __len__(self) -> int:
                return 2

            def __getitem__(self, index: int) -> dict[str, Tensor]:
                return {"audio": torch.zeros(SAMPLES)}

        return DataLoader(Batch(), 2)


def pairs(x: Tensor, target: Tensor) -> Plain:
    return Plain(val=TensorDataset(x, target))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (NoVal(), r"NoVal has no val clips: give it a `val_dataloader`; training, validation and test are needed"),
        (Plain(test=TensorDataset(waves(0, 0), torch.zeros(0))), "Plain has no test clips"),
        (Two(), r"Two\.test_dataloader returns a list: return one loader"),
        (Rateless(), r"Rateless has waveforms, and its `sample_rate` is None: set `self\.sample_rate = 16_000`"),
        (FewNames(), "FewNames names 2 classes, and its targets have 3: correct `classes`"),
        (Dict(), r"the val loader of Dict: a batch is a dict: yield two tensors, \(x, target\)"),
        (pairs(torch.zeros(3, SAMPLES, dtype=torch.int16), torch.arange(3)), r"x is torch\.int16 .*float waveforms"),
        (pairs(torch.zeros(3, 1, 64, 9), torch.arange(3)), "spectrograms are made by the models' front-ends"),
        (pairs(torch.full((3, SAMPLES), torch.nan), torch.arange(3)), "not finite: leave out or repair"),
        (pairs(waves(3, 0), torch.rand(3)), r"target is torch\.float32 of shape \(3,\)"),
        (pairs(waves(3, 0), torch.rand(3, 2)), "a 0 or 1 for each label"),
        (pairs(waves(3, 0), torch.tensor([0, -1, 2])), "from 0"),
        (pairs(waves(3, 100)[:, :4], torch.arange(3)), r"clips differ in shape \(train \(6,\), val \(4,\)"),
        (pairs(waves(3, 100), torch.eye(3)), "targets differ in shape"),
        (
            Plain(**{name: TensorDataset(torch.rand(3, 2, 6), torch.arange(3)) for name in ("train", "val", "test")}),
            "waveforms have 2 channels: mix them to one",
        ),
        (
            Plain(
                **{name: TensorDataset(torch.rand(3, 6), torch.zeros(3).long()) for name in ("train", "val", "test")}
            ),
            "clips of one class: at least two are needed",
        ),
    ],
)
def test_what_does_not_fit_says_how_to_mend_it(module: pl.LightningDataModule, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(module)


def test_copies_are_whole() -> None:
    data = read(Plain())
    for same in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert same.manifest() == data.manifest()
        assert torch.equal(same.splits.test.load([1]), data.splits.test.load([1]))


def test_the_batch_size_is_its_own() -> None:
    assert ForeignData(Plain()).batch_size == 4
    assert ForeignData(Plain(), batch_size=7).batch_size == 7
    assert ForeignData(NoVal()).batch_size == 32


class Linear(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(SAMPLES, 3)
        self.shapes: set[tuple[int, ...]] = set()

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, target = batch
        self.shapes.add(tuple(x.shape[1:]))
        return nn.functional.cross_entropy(self.layer(x), target)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.training_step(batch)

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.training_step(batch)

    def predict_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return batch[1]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_under_a_trainer() -> None:
    data, model = ForeignData(Plain()), Linear()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, log_every_n_steps=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    predicted = trainer.predict(model, datamodule=data)
    assert predicted is not None
    assert torch.cat(predicted).tolist() == [i % 3 for i in range(10)]
    assert model.shapes == {(SAMPLES,)}
