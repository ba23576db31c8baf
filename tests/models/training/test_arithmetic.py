"""What `precision = "auto"` means."""

import pytest
import torch
from torch import nn

from models.recipe import Recipe
from models.training import arithmetic
from models.training.arithmetic import has_bfloat16, resolved

CONVOLUTIONS = nn.Sequential(nn.Conv2d(1, 2, 3))


@pytest.mark.parametrize(("has", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_of_convolutions(monkeypatch: pytest.MonkeyPatch, has: bool, precision: str) -> None:
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda device: has)
    found = resolved(Recipe(precision="auto", epochs=3), CONVOLUTIONS, "cpu")
    assert found == Recipe(precision=precision, memory_format="channels-last", epochs=3)


def test_auto_of_another_model_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda device: True)
    assert resolved(Recipe(precision="auto"), nn.LSTM(2, 2), "cpu") == Recipe()


def test_a_recipe_that_names_its_precision_stays() -> None:
    for recipe in (Recipe(), Recipe(precision="bf16-mixed")):
        assert resolved(recipe, CONVOLUTIONS, "cpu") is recipe


@pytest.mark.parametrize("name", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_either_instruction_set_is_enough(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for each in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, each, lambda: False)
    assert not has_bfloat16("cpu")
    monkeypatch.setattr(torch.cpu, name, lambda: True)
    assert has_bfloat16("cpu")
