"""Words for work that has used up the memory of its device, the space of a disk, or the size of a file."""

import dataclasses
import errno
import tempfile

from bench.records import Failure, Run

_ON_THE_CPU = ("can't allocate memory", "not enough memory")
"""Parts of the messages of torch's allocator for the CPU, whose error has no class of its own."""

_FEWER = "train fewer runs at a time (--per-gpu, --workers)"

_TOO_LARGE = (
    "a file would be larger than this process or the file system permits: raise the limit (`ulimit -f` shows it), or "
    "put the --store on a file system that takes larger files"
)


def _of_recipe(run: Run) -> list[str]:
    """Return what may help in a run's recipe."""
    size, parts = run.recipe.batch_size, 2 * run.recipe.accumulate
    remedies = [f"set a batch_size below {size} in the recipe of {run.model}"] if size > 1 else []
    if 2 * parts <= size:
        remedies.append(f"accumulate = {parts}, which computes each batch in parts and keeps its size")
    return remedies


def failure(error: BaseException, run: Run | None = None) -> Failure:
    """Return the failure of work; one that lacks memory or space says what needs less, or where to free some.

    A run is not repeated with a smaller batch, which would be another training.

    Args:
        error: what ended the work.
        run: what was trained; None for other work, such as reading a dataset.
    """
    found = Failure.of(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = "" if error.filename else f" (the store's, or that of the temporary folder {tempfile.gettempdir()})"
        return dataclasses.replace(found, message=f"a disk is full{where}: free space on it. ({found.message})")
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return dataclasses.replace(found, message=f"{_TOO_LARGE}. ({found.message})")
    if type(error).__name__ == "OutOfMemoryError":  # torch's, without importing torch
        place = "GPU"
    elif isinstance(error, MemoryError) or any(words in str(error) for words in _ON_THE_CPU):
        place = "machine"
    else:
        return found
    remedies = [_FEWER, "or end other programs"]
    if run is not None:
        remedies = [*_of_recipe(run), _FEWER]
        remedies[1:] = [f"or {each}" for each in remedies[1:]]
    return dataclasses.replace(
        found, message=f"the {place} has too little memory: {', '.join(remedies)}. ({found.message})"
    )
