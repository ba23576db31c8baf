"""What a child process says of itself, or how it ends: functions that it can import."""

import os
from multiprocessing.connection import Connection

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


def count(connection: Connection, last: int) -> None:
    """Send 1, 2, ... to `last`, then end with exit code 3."""
    for number in range(1, last + 1):
        connection.send(number)
    connection.close()
    os._exit(3)


def wait(connection: Connection) -> None:
    """Send a word and stay until the parent closes its end."""
    connection.send("here")
    connection.recv()
