"""Words for a run that has used up the memory of its device."""

import dataclasses

import torch

from bench.records import Failure, Run

_ON_THE_CPU = ("can't allocate memory", "not enough memory")
"""Parts of the messages of torch's allocator for the CPU, whose error has no class of its own."""


def failure(error: BaseException, run: Run) -> Failure:
    """Return the failure of a run; one that lacks memory names the setting that needs less.

    The run is not repeated with a smaller batch, which would be another training.
    """
    found = Failure.of(error)
    if isinstance(error, torch.OutOfMemoryError):
        where = "GPU"
    elif isinstance(error, MemoryError) or any(words in str(error) for words in _ON_THE_CPU):
        where = "machine"
    else:
        return found
    remedies = [f"set a batch_size below {run.recipe.batch_size} in the recipe of {run.model}"]
    if "accumulate" in {each.name for each in dataclasses.fields(run.recipe)}:
        remedies.append("or compute each batch in parts (accumulate), which keeps its size")
    remedies.append("or train fewer runs at a time (--per-gpu, --workers)")
    return dataclasses.replace(
        found, message=f"the {where} has too little memory: {', '.join(remedies)}. ({found.message})"
    )
