"""Modules that inherit nothing from this project, as models of it."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from bench.profiling import complexity
from bench.training.build import Sizes
from datamodules.synthetic import Synthetic
from models.base import ModelError
from models.cnn import CNN
from models.foreign import ForeignModel
from models.frontends.logmel import LogMel
from models.frontends.none import NoFrontend
from models.frontends.waveform import Waveform
from models.recipe import Recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*number of training batches.*logging interval"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature"),
]


class OnWaveforms(nn.Module):
    """A strided convolution and a linear layer, `(B, S)` to `(B, C)`."""

    def __init__(self, num_classes: int, sample_rate: int, hidden: int = 4) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.conv = nn.Conv1d(1, hidden, 400, stride=160)
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, waveform: Tensor) -> Tensor:
        assert waveform.ndim == 2
        logits: Tensor = self.head(self.conv(waveform[:, None]).relu().mean(2))
        return logits


class OnFeatures(nn.Module):
    """A linear layer on the mean over time, `(B, F, T)` to `(B, C)`."""

    def __init__(self, features: int, frames: int, n_classes: int) -> None:
        super().__init__()
        self.shape = features, frames
        self.head = nn.Linear(features, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        assert features.shape[1:] == self.shape
        logits: Tensor = self.head(features.mean(2))
        return logits


class OnEmbeddings(nn.Module):
    """A linear layer on the mean over time, `(B, T, F)` to `(B, C)`."""

    def __init__(self, clip_shape: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(clip_shape[1], classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x.mean(1))
        return logits


@pytest.fixture(scope="module")
def data() -> Synthetic:
    made = Synthetic(clips_per_class=10, clip_seconds=0.5, batch_size=16)
    made.setup()
    return made


def test_a_module_on_waveforms_gets_its_arguments_by_name(data: Synthetic) -> None:
    model = ForeignModel.of(OnWaveforms, data, Waveform(data.sample_rate), arguments={"hidden": 6})
    assert isinstance(model.module, OnWaveforms)
    assert (model.module.sample_rate, model.module.conv.out_channels) == (data.sample_rate, 6)
    assert model.output is model.module.head
    assert model(data.splits.val.load([0, 1])).shape == (2, 10)
    assert (model.task, model.labels, model.sample_rate) == ("single", data.classes, data.sample_rate)
    assert model.takes_batches
    assert not model.trains_itself


def test_a_module_on_features_gets_the_front_ends_sizes(data: Synthetic) -> None:
    model = ForeignModel.of(OnFeatures, data, LogMel(data.sample_rate))
    assert isinstance(model.module, OnFeatures)
    assert model.module.shape == (model.features, model.frames)
    assert model(data.splits.val.load([0, 1])).shape == (2, 10)
    assert not model.takes_batches


def test_a_module_on_embeddings_gets_them_as_they_are() -> None:
    embeddings = Sizes((10, 128), tuple("abc"), "multi", None)
    model = ForeignModel.of(OnEmbeddings, embeddings, NoFrontend(), Recipe(prior_bias=False))
    assert model(torch.rand(2, 10, 128)).shape == (2, 3)
    assert model.task == "multi"
    assert model.takes_batches
    assert complexity.measure(model, (10, 128), 10.0).macs == 128 * 3


def test_the_output_starts_at_the_prior_unless_the_recipe_says_no(data: Synthetic) -> None:
    model = ForeignModel.of(OnFeatures, data, LogMel(data.sample_rate))
    assert torch.allclose(model.output.bias, torch.logit(data.prior()), atol=1e-5)
    model = ForeignModel.of(OnFeatures, data, LogMel(data.sample_rate), Recipe(prior_bias=False))
    assert not torch.allclose(model.output.bias, torch.logit(data.prior()), atol=1e-5)


def test_multiply_adds_are_counted(data: Synthetic) -> None:
    model = ForeignModel.of(OnWaveforms, data, Waveform(data.sample_rate))
    size = complexity.measure(model, data.clip_shape, data.clip_seconds)
    steps = (data.clip_shape[0] - 400) // 160 + 1
    assert (size.macs, size.frontend_macs) == (4 * 400 * steps + 4 * 10, 0)
    assert size.parameters == 4 * 400 + 4 + 4 * 10 + 10


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (lambda classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), r"returns \(2, 3\) for 2 clips.*\(2, 10\)"),
        (lambda: nn.Linear(7, 10), "Linear cannot compute waveforms of 2 clips of shape"),
        (lambda width: nn.Identity(), "cannot be built with no arguments: .*'width'; set it in the suite"),
        (lambda classes: "text", "makes a str, not an nn.Module"),
    ],
)
def test_what_is_no_classifier_is_an_error(data: Synthetic, kind: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        ForeignModel.of(kind, data, Waveform(data.sample_rate))


def test_a_model_without_a_last_linear_layer_works_and_has_no_output(data: Synthetic) -> None:
    module = nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 10, 400, 400), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    model = ForeignModel.around(module, data)
    assert model(data.splits.val.load([0])).shape == (1, 10)
    with pytest.raises(ModelError, match="no linear layer of 10 outputs"):
        _ = model.output


class OwnSteps(pl.LightningModule):
    """A LightningModule with a training step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4000, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x[:, :4000])
        return logits

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


def test_a_lightning_module_trains_itself_only_with_a_step_of_its_own(data: Synthetic) -> None:
    assert ForeignModel.around(OwnSteps(), data).trains_itself
    torch.manual_seed(1)
    module = OwnSteps()
    before = module.head.bias.clone()
    assert torch.equal(ForeignModel.around(module, data).output.bias, before)  # its initial weights are its own

    class Plain(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.inner = OnWaveforms(10, 16_000)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.inner(x)
            return logits

    assert not ForeignModel.around(Plain(), data).trains_itself


@pytest.mark.slow
def test_a_plain_module_learns_by_the_recipe_under_a_plain_trainer(data: Synthetic, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ForeignModel.of(OnFeatures, data, LogMel(data.sample_rate), Recipe(learning_rate=1e-2, mixup=0.2))
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[ModelCheckpoint(tmp_path, "last")],
    )  # fmt: skip
    trainer.fit(model, data)
    assert model.curves["train_loss"][-1] < model.curves["train_loss"][0]
    module = OnFeatures(model.features, model.frames, 10)
    loaded = ForeignModel.load_from_checkpoint(tmp_path / "last.ckpt", module=module, weights_only=True)
    assert loaded.labels == data.classes
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_model_without_a_front_end_of_its_own_asks_for_one(data: Synthetic) -> None:
    class Bare(CNN):
        default_frontend = None  # type: ignore[assignment]

    with pytest.raises(ModelError, match="give for_data a `frontend`, or the command line the option --frontend"):
        Bare.for_data(data)
