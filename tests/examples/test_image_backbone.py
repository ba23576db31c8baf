"""An image classifier on the spectrogram, with stand-ins that have the interfaces of timm and torchvision."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from fakes import forkservers
from fakes.paths import PROJECT
from torch import nn

from bench import suites
from bench.records import Store

FILE = PROJECT / "examples" / "image_backbone.py"
TIMM = """
from torch import nn


def create_model(name, pretrained=False, in_chans=3, num_classes=1000):
    return nn.Sequential(
        nn.Conv2d(in_chans, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, num_classes),
    )
"""
SUITE = """
models = ["image"]
datasets = ["synthetic"]
[recipe]
epochs = 1
[dataset.synthetic]
clips_per_class = 10
[model.image]
model = "image_backbone:ImageBackbone"
frontend = "logmel"
name = "timm/efficientnet_b0"
channels = 1
"""


def backbone(**arguments: Any) -> nn.Module:
    spec = importlib.util.spec_from_file_location("image_backbone", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: nn.Module = module.ImageBackbone(**arguments)
    return made


def test_torchvisions_head_is_replaced_and_its_three_channels_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def get_model(name: str, weights: str | None) -> nn.Module:
        given.append((name, weights))
        body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(body, nn.Linear(4, 1000))

    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["torchvision.models"].get_model = get_model  # type: ignore[attr-defined]
    model = backbone(classes=7, name="torchvision/resnet18", pretrained=True)
    assert given == [("resnet18", "DEFAULT")]
    assert model(torch.randn(2, 64, 50)).shape == (2, 7)
    with pytest.raises(ValueError, match="with 1 channels"):
        backbone(classes=7, channels=1)


def test_the_suite_of_the_example_can_be_read() -> None:
    runs = suites.read(str(FILE.with_suffix(".toml"))).runs()
    assert [run.arguments.get("name") for run in runs] == ["torchvision/resnet18", "timm/efficientnet_b0", None]


@pytest.mark.process
@pytest.mark.slow
def test_a_suite_trains_counts_and_times_it(tmp_path: Path) -> None:
    shutil.copy(FILE, tmp_path)
    (tmp_path / "timm.py").write_text(TIMM)
    (tmp_path / "image.toml").write_text(SUITE)
    command = "-m bench run --suite image.toml --executor serial --device cpu --wandb disabled"
    done = forkservers.run(command.split(), tmp_path, os.environ | {"PYTHONPATH": str(PROJECT)})
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(tmp_path / "runs")
    (key,) = store.keys()
    record = store.get(key)
    assert record is not None
    assert record.complexity is not None
    assert record.complexity.parameters == 2 + 4 * 9 + 4 + 8 + 4 * 10 + 10
    assert record.complexity.macs > 0
    assert record.latencies
    assert record.scores["accuracy"] is not None
    assert "accuracy" in record.intervals
