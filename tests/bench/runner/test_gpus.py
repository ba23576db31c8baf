"""Runs on the GPUs of one machine. No test needs a GPU: the jobs report what they would see."""

import errno
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import torch

from bench.errors import SuiteError
from bench.records import Recipe, Run
from bench.runner import gpus, shortage
from bench.runner.executors import Finished, Job, Reported, executor

DIVIDED = """\
GPU 0: NVIDIA H200 (UUID: GPU-aaaa-1)
  MIG 1g.18gb     Device  0: (UUID: MIG-bbbb-1)
  MIG 1g.18gb     Device  1: (UUID: MIG-bbbb-2)
GPU 1: NVIDIA H200 (UUID: GPU-aaaa-2)
"""


def test_the_gpus_are_those_that_this_process_may_use():
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": "4,GPU-x, 6"}) == ("4", "GPU-x", "6")
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": "2,-1,3"}) == ("2",)
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert gpus.listed(DIVIDED) == ("MIG-bbbb-1", "MIG-bbbb-2", "GPU-aaaa-2")


def test_gpus_are_chosen_by_their_places():
    there = ("GPU-a", "GPU-b", "GPU-c")
    assert gpus.chosen("all", "auto", there) == there
    assert gpus.chosen("2,0", "cuda", there) == ("GPU-c", "GPU-a")
    for asked, message in (("3", "GPUs 0 to 2"), ("0,0", "different numbers"), ("-1", "all, or"), ("", "all, or")):
        with pytest.raises(SuiteError, match=message):
            gpus.chosen(asked, "auto", there)
    with pytest.raises(SuiteError, match="no NVIDIA GPU"):
        gpus.chosen("all", "auto", ())
    with pytest.raises(SuiteError, match="not 'foo'"):
        gpus.chosen("foo", "auto", ())
    with pytest.raises(SuiteError, match="exclude each other"):
        gpus.chosen("all", "cpu", there)


def test_places_are_dealt_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert gpus.shared("all", None, 1, "auto", None) == (("4", "5", "6", "7"), 4)
    assert gpus.shared("1,3", 2, 1, "auto", None) == (("5", "7", "5", "7"), 4)
    assert gpus.shared("all", None, 2, "auto", None) == (("4,5", "6,7"), 2)
    assert gpus.shared("all", None, 1, "auto", 3)[1] == 3
    assert gpus.shared(None, None, 1, "auto", None) == ((), None)
    for given, message in (
        (("0", None, 1, "auto", 2), "--workers 2 is more"),
        (("0", None, 2, "auto", None), "--devices 2"),
        (("0,1", 2, 2, "auto", None), "--per-gpu"),
        ((None, 2, 1, "auto", None), "add --gpus all"),
        (("0", None, 1, "auto", None, "serial"), "--executor serial"),
        (("0", None, 1, "auto", None, "ray"), "Ray deals out"),
    ):
        with pytest.raises(SuiteError, match=message):
            gpus.shared(*given)


def test_the_least_occupied_gpu_is_next():
    free = gpus.Places(("a", "b", "a", "b"))
    assert [free.take() for _ in range(4)] == ["a", "b", "a", "b"]
    assert free.take() is None
    free.give_back("b")
    assert free.take() == "b"


@pytest.mark.process
@pytest.mark.slow
def test_a_job_sees_the_gpu_of_its_place_alone_and_all_are_in_use(tmp_path: Path):
    jobs = [Job(str(i), "fakes.jobs:tell_gpus", (str(tmp_path), i, 4)) for i in range(6)]
    events = executor("processes")(jobs, 4, ("GPU-a", "GPU-b", "GPU-a", "GPU-b"))
    seen = [event.value for event in events if isinstance(event, Finished)]
    first = Counter(json.loads((tmp_path / f"{i}.json").read_text()) for i in range(4))
    assert first == {"GPU-a": 2, "GPU-b": 2}
    assert set(seen) == {"GPU-a", "GPU-b"}


@pytest.mark.process
def test_without_places_a_job_sees_what_the_driver_sees(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    events = list(executor("processes")([Job("0", "fakes.jobs:tell_gpus", (str(tmp_path), 0, 1))], 1))
    assert [event.value for event in events if isinstance(event, Finished)] == [None]
    assert not [event for event in events if isinstance(event, Reported)]


def test_work_without_space_or_memory_says_what_to_free(tmp_path: Path):
    bare = shortage.failure(OSError(errno.ENOSPC, "No space left on device")).message
    assert bare == (
        f"a disk is full (the store's, or that of the temporary folder {tempfile.gettempdir()}): free space on it. "
        f"([Errno {errno.ENOSPC}] No space left on device)"
    )
    named = shortage.failure(OSError(errno.EDQUOT, "Disk quota exceeded", "/there/a.npz")).message
    assert named.startswith("a disk is full: free space on it. (")
    assert "/there/a.npz" in named
    large = shortage.failure(OSError(errno.EFBIG, "File too large", "/there/a.npy")).message
    assert large == (
        "a file would be larger than this process or the file system permits: raise the limit (`ulimit -f` shows it), "
        f"or put the --store on a file system that takes larger files. ([Errno {errno.EFBIG}] File too large: "
        "'/there/a.npy')"
    )
    reading = shortage.failure(MemoryError("Unable to allocate 2 TiB")).message
    assert reading == (
        "the machine has too little memory: train fewer runs at a time (--per-gpu, --workers), or end other programs. "
        "(Unable to allocate 2 TiB)"
    )
    assert shortage.failure(FileNotFoundError(2, "none", "x")).message == "[Errno 2] none: 'x'"


def test_a_run_without_memory_is_told_what_needs_less():
    run = Run(model="cnn", frontend="logmel", dataset="synthetic", fold=0, seed=0)
    found = shortage.failure(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), run)
    assert found.kind == "OutOfMemoryError"
    assert found.message.startswith(
        "the GPU has too little memory: set a batch_size below 32 in the recipe of cnn, or "
    )
    assert "accumulate = 2, which computes each batch in parts" in found.message
    assert "Tried to allocate 2 GiB" in found.message
    bare = shortage.failure(MemoryError(), run).message
    assert bare.startswith("the machine has too little memory: set a batch_size")
    assert bare.endswith("(MemoryError without a message)")
    assert shortage.failure(ValueError("no such thing"), run).message == "no such thing"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(batch_size=1), "train fewer runs at a time"),
        (Recipe(batch_size=2), "set a batch_size below 2 in the recipe of cnn, or train fewer"),
        (Recipe(batch_size=4), "set a batch_size below 4 in the recipe of cnn, or accumulate = 2, which"),
        (Recipe(batch_size=32, accumulate=16), "set a batch_size below 32 in the recipe of cnn, or train fewer"),
    ],
)
def test_no_advice_is_a_recipe_that_is_refused(recipe: Recipe, words: str):
    run = Run(model="cnn", frontend="logmel", dataset="synthetic", recipe=recipe)
    assert shortage.failure(MemoryError(), run).message.startswith(f"the machine has too little memory: {words}")
