"""What a child process says of itself, or how it ends: functions that it can import."""

import os

import torch


def about() -> dict[str, object]:
    return {
        "process": os.getpid(),
        "pinned": os.sched_getaffinity(0),
        "threads": torch.get_num_threads(),
        "variable": os.environ["OMP_NUM_THREADS"],
    }


def fails() -> None:
    raise KeyError("cause")


def dies() -> None:
    os._exit(7)
