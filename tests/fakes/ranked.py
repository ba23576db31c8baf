"""Trainings in several processes, of which tests look at one thing. Each does what `bench.runner.worker` does."""

import hashlib
import json
import os
import time

import torch

from bench.runner import ranks
from bench.training import build, fit
from datamodules.clips.draws import place_among_ranks


def _end():
    if place_among_ranks()[0]:
        raise ranks.Followed
    return "done"


def seen(run, settings, report, store, folder):
    """Write which clips this process sees in each step of an epoch."""
    data = build.dataset(run, settings.data_dir, store.cache)
    data.setup()
    data.batch_size //= settings.devices
    clips, _, _ = fit._loaders(build.model(run, data), data, run.recipe, "cpu", None)
    steps = [[hashlib.sha256(clip.numpy().tobytes()).hexdigest() for clip in batch[0]] for batch in clips]
    (store.root / f"{place_among_ranks()[0]}.json").write_text(json.dumps(steps))
    report("seen")
    return _end()


def die(run, settings, report, store, folder):
    """End the second process while the first one waits for it."""
    if place_among_ranks()[0]:
        os._exit(9)
    torch.distributed.barrier()
    time.sleep(600)


def fail(run, settings, report, store, folder):
    """Raise in the second process while the first one waits for ever."""
    if place_among_ranks()[0]:
        raise ValueError("no such clip")
    time.sleep(600)
