"""Starting from weights that were trained elsewhere: which tensors of a file belong to which of a model.

Wrappers add prefixes (`module.`, `model.`, `base.`, `net.`, `_orig_mod.`, and combinations of them), and other tasks
have heads of other sizes or none. The prefix is found by the names themselves. The last layer keeps its random weights
where the file has none that fit. Counters of batches may be missing. Numbers of half precision are converted.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoints import files
from models.errors import ModelError

_LOG = logging.getLogger("models.checkpoints")
_SHOWN = 3
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Loaded:
    """Report on the weights that a model has taken from a file.

    Attributes:
        path: the file.
        entry: entry of the file that holds the weights; empty for the file itself.
        prefix: what the file's names have before the model's.
        taken: names of the model's tensors that come from the file.
        random: names of the model's tensors that keep their random weights.
        unused: names of the file's tensors that the model does not have.
        converted: name of the other type of number that the file has; empty where it is the model's.
    """

    path: Path
    entry: str
    prefix: str
    taken: tuple[str, ...]
    random: tuple[str, ...]
    unused: tuple[str, ...]
    converted: str = ""

    def __str__(self) -> str:
        about = [f"entry {self.entry!r}"] if self.entry else []
        about += [f"without the prefix {self.prefix!r}"] if self.prefix else []
        about += [f"{self.converted} numbers converted"] if self.converted else []
        words = f"{len(self.taken)} tensors taken from {self.path.name}" + (f" ({', '.join(about)})" if about else "")
        words += f"; random weights stay in {_few(self.random)}" if self.random else "; no layer keeps random weights"
        return words + (f"; not used of the file: {_few(self.unused)}" if self.unused else "")


def load(
    model: nn.Module,
    path: str | Path,
    head: Collection[str],
    *,
    ignored: Collection[str] = (),
    sisters: tuple[str, ...] = (),
    renamed: Callable[[str], str] = str,
) -> Loaded:
    """Load a file's weights into a model.

    Args:
        model: receives the weights.
        path: of the file.
        head: names of modules that may keep their random weights.
        ignored: starts of the names of the model's tensors that no file has, such as those of its front-end.
        sisters: starts of names that only other architectures have: a file with such names is refused.
        renamed: maps a name in the file, without prefix, to the model's.

    Returns:
        What was taken and what was not; it is logged, too.

    Raises:
        ModelError: the file cannot be read, or is of another architecture.
    """
    path = Path(path).expanduser()
    found = files.read(path)
    own = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(tuple(ignored))}
    tensors, prefix, outside = _named(found.tensors, own, renamed)
    result = _fitted(type(model).__name__, path, found.entry, prefix, tensors, own, head, sisters, outside)
    taken = {name: tensors[name].to(own[name].dtype) for name in result.taken}
    if bad := [name for name, tensor in taken.items() if not bool(torch.isfinite(tensor).all())]:
        raise ModelError(f"{path} has numbers that are not finite, in {_few(bad)}: choose another checkpoint")
    model.load_state_dict(taken, strict=False)
    _LOG.info("%s", result)
    return result


def _named(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], renamed: Callable[[str], str]
) -> tuple[dict[str, Tensor], str, list[str]]:
    """Return a file's tensors by the model's names, the prefix that was removed, and the names without that prefix."""
    votes: Counter[tuple[str, str]] = Counter()  # prefixes in the file and in the model
    ends: dict[str, list[str]] = {}
    for name in own:
        for before, end in _splits(name):
            ends.setdefault(end, []).append(before)
    for name in tensors:
        for before, end in _splits(name):
            for added in ends.get(renamed(end), ()):
                votes[before, added] += own[added + renamed(end)].shape == tensors[name].shape
    likely = [names for names, count in votes.items() if count]
    prefix, added = min(likely, key=lambda names: (-votes[names], *map(len, names)), default=("", ""))
    inside = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    outside = [name for name in tensors if name not in inside]
    return {added + renamed(name.removeprefix(prefix)): tensor for name, tensor in inside.items()}, prefix, outside


def _splits(name: str) -> Iterable[tuple[str, str]]:
    """Yield every start of a name that ends with a dot, the empty one too, and the rest."""
    parts = name.split(".")
    for count in range(len(parts)):
        yield "".join(f"{part}." for part in parts[:count]), ".".join(parts[count:])


def _fitted(
    kind: str,
    path: Path,
    entry: str,
    prefix: str,
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    head: Collection[str],
    sisters: tuple[str, ...],
    outside: list[str],
) -> Loaded:
    """Return what to take; raise `ModelError` where anything else than the head is missing or differs."""
    heads = tuple(f"{module}." for module in head)
    same = [name for name in own if name in tensors and tensors[name].shape == own[name].shape]
    loose = {
        start for start in heads if any(name.startswith(start) and name not in same for name in own)
    }  # all of a layer, or nothing of it
    random = [name for name in own if name.startswith(tuple(loose))]
    taken = [name for name in same if name not in random]
    missing = [name for name in own if name not in tensors and name not in random and not name.endswith(_COUNTER)]
    other = [name for name in own if name in tensors and name not in same and name not in random]
    unused = [name for name in tensors if name not in own]
    unknown = [name for name in unused if name.startswith(sisters)] if sisters else []
    if missing or other or unknown or not taken:
        words = [
            f"{len(names)} {what} such as {names[0]}"
            for names, what in (
                (missing, "missing"),
                (unknown or (unused if missing else []), "unknown"),
                (other, "of another shape"),
            )
            if names
        ]
        shapes = f" ({tuple(tensors[other[0]].shape)} for {tuple(own[other[0]].shape)})" if other else ""
        raise ModelError(
            f"{path} does not belong to a {kind} with these arguments: {', '.join(words)}{shapes}. The file itself can "
            f"be read; choose the model that it was trained as"
        )
    types = {str(tensors[name].dtype).removeprefix("torch.") for name in taken if tensors[name].is_floating_point()}
    others = types - {str(own[name].dtype).removeprefix("torch.") for name in taken}
    left = [*unused, *(name for name in tensors if name in own and name in random), *outside]
    return Loaded(path, entry, prefix, tuple(taken), tuple(random), tuple(left), " and ".join(sorted(others)))


def _few(names: Collection[Any]) -> str:
    """Return the first names, by module, and how many more there are."""
    modules = list(dict.fromkeys(str(name).rpartition(".")[0] or str(name) for name in names))
    more = f" and {len(modules) - _SHOWN} more" if len(modules) > _SHOWN else ""
    return ", ".join(modules[:_SHOWN]) + more
