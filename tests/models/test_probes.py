"""The linear probe and nearest neighbours on embeddings, against scikit-learn."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch.utils.data import DataLoader, TensorDataset

from models.errors import ModelError
from models.frontends.none import NoFrontend
from models.knn import KNN
from models.linear_probe import LinearProbe
from models.recipe import Recipe

CLASSES, WIDTH = 4, 12
pytestmark = [  # Lightning's own
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*number of training batches.*logging interval"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]


def clips(each: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings `(N, 3, F)` of overlapping classes, and their classes."""
    centres = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(each * CLASSES, 3, WIDTH, generator=torch.Generator().manual_seed(seed))
    targets = torch.arange(CLASSES).repeat(each)
    return centres[targets][:, None] + 2 * noise, targets


def fitted(model, epochs: int = 1, batch_size: int = 16):
    train = DataLoader(TensorDataset(*clips(30, 1)), batch_size=batch_size, shuffle=True)
    val = DataLoader(TensorDataset(*clips(5, 2)), batch_size=batch_size)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, train, val)
    return model.eval()


@pytest.mark.parametrize("k", [1, 5])
def test_nearest_neighbours_are_scikit_learns(k: int) -> None:
    torch.manual_seed(0)
    model = KNN(NoFrontend(), WIDTH, 3, CLASSES, k=k)
    model.start_at_prior(torch.tensor([0.7, 0.1, 0.1, 0.1]))
    fitted(model)
    train, targets = clips(30, 1)
    test, _ = clips(25, 3)
    assert len(model.kept) == len(train)
    other = KNeighborsClassifier(k, metric="cosine").fit(train.mean(1).numpy(), targets.numpy())
    with torch.inference_mode():
        logits = model(test)
    shares = other.predict_proba(test.mean(1).numpy())
    np.testing.assert_allclose(logits.numpy() / float(model.sharpness.detach()), shares, atol=1e-5)
    assert logits.argmax(1).tolist() == shares.argmax(1).tolist()


def test_every_epoch_keeps_each_clip_once_and_validation_uses_them() -> None:
    torch.manual_seed(0)
    model = fitted(KNN(NoFrontend(), WIDTH, 3, CLASSES), epochs=2)
    assert len(model.kept) == 120
    assert len(model.curves["val_accuracy"]) == 2
    assert model.curves["val_accuracy"][0] == model.curves["val_accuracy"][1] > 0.4


def test_a_memory_of_any_size_is_loaded() -> None:
    model, other = (KNN(NoFrontend(), WIDTH, 3, CLASSES) for _ in range(2))
    model.remember(torch.randn(50, WIDTH), torch.eye(CLASSES)[torch.arange(50) % CLASSES])
    other.load_state_dict(model.state_dict())
    x = clips(2, 4)[0]
    with torch.inference_mode():
        assert torch.equal(other.eval()(x), model.eval()(x))


def test_several_labels_per_clip_are_shares() -> None:
    model = KNN(NoFrontend(), 2, 1, 3, k=2).eval()
    model.remember(
        torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    )
    with torch.inference_mode():
        assert model(torch.tensor([[[1.0, 0.05]]])).tolist() == [[10, 5, 0]]


def test_k_must_be_positive() -> None:
    with pytest.raises(ModelError, match="k must be ≥ 1, got 0"):
        KNN(NoFrontend(), WIDTH, 3, CLASSES, k=0)


@pytest.mark.slow
def test_the_linear_probe_is_logistic_regression() -> None:
    torch.manual_seed(0)
    model = LinearProbe(NoFrontend(), WIDTH, 3, CLASSES)
    model.recipe = Recipe(optimizer="adam", weight_decay=1 / 120, learning_rate=0.05, schedule="cosine")
    fitted(model, epochs=100, batch_size=120)
    train, targets = clips(30, 1)
    test, wanted = clips(50, 3)
    x = train.mean(1).numpy()
    other = LogisticRegression(C=1).fit((x - x.mean(0)) / x.std(0), targets.numpy())
    with torch.inference_mode():
        ours = model(test).argmax(1).numpy()
    theirs = other.predict((test.mean(1).numpy() - x.mean(0)) / x.std(0))
    assert (ours == theirs).mean() >= 0.95
    assert (ours == wanted.numpy()).mean() > 0.6
