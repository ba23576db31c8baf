"""The sample rate as a key of a suite: every dataset takes it, and front-ends and models follow."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.calls import records, run
from fakes.trees import TREES

from bench import catalog
from datamodules.clips.waveform_data import lower_rates
from models.frontends.logmel import PooledLogMel

WAVEFORMS = [name for name, entry in catalog.DATASETS.items() if entry.kind == "waveform"]


def suite(dataset: str, folder: Path, rate: object, models: tuple[str, ...] = ("fc",)) -> str:
    """A suite of one dataset with its tree, at a rate."""
    tree = TREES[dataset]
    arguments = dict(tree.arguments)
    entry = catalog.DATASETS[dataset]
    if tree.write is not None:
        place = folder / (entry.folder or "mine")
        tree.write(place)
        if entry.folder is None:
            arguments["root"] = str(place)
    arguments["sample_rate"] = rate
    lines = [f"{name} = {json.dumps(value)}" for name, value in arguments.items()]
    return "\n".join([
        f"models = {json.dumps(models)}", f'datasets = ["{dataset}"]', "[recipe]", "epochs = 1",
        f"[dataset.{dataset}]", *lines,
    ])  # fmt: skip


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("dataset", WAVEFORMS)
def test_every_dataset_takes_a_sample_rate_in_a_suite(dataset: str, tmp_path: Path) -> None:
    call = run(suite(dataset, tmp_path, 16_000), tmp_path)
    assert call.code == 0, call.words
    (record,) = records(tmp_path)
    assert record.run.data["sample_rate"] == 16_000
    assert record.complexity is not None
    samples = round(16_000 * TREES[dataset].arguments["clip_seconds"])
    assert record.complexity.frontend_macs == PooledLogMel(16_000).macs(samples)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("rate", [8_000, 96_000])
def test_models_of_every_kind_are_trained_at_a_rate_of_ones_own(rate: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cat", "cow"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for i in range(6):
            clip = 0.1 * rng.standard_normal(rate // 2)
            soundfile.write(tmp_path / "mine" / label / f"{label}{i}.wav", clip, rate, subtype="FLOAT")
    models = ("fc", "cnn", "swishnet", "rann")
    text = f'models = {json.dumps(models)}\ndatasets = ["folder"]\n[recipe]\nepochs = 1\n[model.rann]\nwidth = 1\n'
    call = run(f'{text}[dataset.folder]\nroot = "{tmp_path / "mine"}"\nsample_rate = {rate}\n', tmp_path)
    assert call.code == 0, call.words
    found = records(tmp_path)
    assert sorted(record.run.model for record in found) == sorted(models)
    assert {record.complexity.clip_seconds for record in found if record.complexity} == {0.5}


@pytest.mark.process
@pytest.mark.parametrize("rate", ["16 kHz", 16_000.5, 100, True])
def test_a_rate_that_is_none_is_refused_with_an_example(rate: object, tmp_path: Path) -> None:
    call = run(suite("folder", tmp_path, rate), tmp_path)
    assert call.code != 0
    assert "a whole number of 4000 to 192000, such as 16000" in call.words


def test_embeddings_have_no_sample_rate(tmp_path: Path) -> None:
    call = run(suite("audioset-embeddings", tmp_path, 16_000), tmp_path)
    assert call.code == 2
    assert "[dataset.audioset-embeddings] takes no sample_rate" in call.words


@pytest.mark.process
def test_a_misspelt_rate_is_met_with_the_right_name(tmp_path: Path) -> None:
    call = run(suite("folder", tmp_path, 8_000).replace("sample_rate", "samplerate"), tmp_path)
    assert call.code == 2
    assert "did you mean 'sample_rate'?" in call.words


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("dataset", [name for name in WAVEFORMS if TREES[name].write])
def test_files_below_the_rate_are_counted_in_terminal_record_and_page(dataset: str, tmp_path: Path) -> None:
    call = run(suite(dataset, tmp_path, 96_000), tmp_path)
    assert call.code == 0, call.words
    (record,) = records(tmp_path)
    assert record.data is not None
    words = "below the 96,000 Hz of the clips: they have no sound above"
    assert words in record.data.note
    assert words in call.words
    assert words in " ".join((tmp_path / "runs" / "own.md").read_text().split())


@pytest.mark.slow
@pytest.mark.process
def test_nothing_is_said_of_rates_that_are_high_enough(tmp_path: Path) -> None:
    call = run(suite("folder", tmp_path, 8_000), tmp_path)
    assert call.code == 0
    assert "Hz of the clips" not in call.words


def test_the_remedy_names_the_highest_rate_of_telephone_data() -> None:
    assert lower_rates([16_000, 44_100], 16_000) is None
    assert lower_rates([8_000, 44_100], 16_000) == (
        "1 of 2 files have a sample rate of 8,000 Hz, below the 16,000 Hz of the clips: they have no "
        "sound above 4,000 Hz"
    )
    assert str(lower_rates([8_000, 11_025], 32_000)).endswith("; sample_rate = 11025 would lose nothing of them")
