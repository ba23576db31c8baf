"""From names to data: a dataset's folder is looked at once, and a missing one is explained."""

import pytest
from fakes import esc50

from bench.records import Run
from bench.training import build
from datamodules.base import DatasetMissing
from datamodules.esc50 import ESC10

RUN = Run(model="cnn", frontend="logmel", dataset="esc10")


def test_a_dataset_looks_for_its_files_once(tmp_path, monkeypatch):
    esc50.write(tmp_path / "esc10")
    looked = []
    real = ESC10.find
    monkeypatch.setattr(ESC10, "find", staticmethod(lambda root: looked.append(root) or real(root)))
    build.dataset(RUN, tmp_path, None).setup()
    assert looked == [tmp_path / "esc10"]


def test_a_missing_dataset_names_the_folder_and_the_option(tmp_path):
    with pytest.raises(DatasetMissing, match=r"esc10 is not in .*esc50\.csv.*--data-dir or BENCH_DATA"):
        build.dataset(RUN, tmp_path, None)
