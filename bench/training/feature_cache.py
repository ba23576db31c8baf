"""Features of a split, computed once by a front-end that learns nothing, and kept on disk for the runs that need them.

An entry is in the data's cache of arrays (`datamodules.clips.array_cache`). Its key is a digest of everything that
determines the features: the data's manifest, the split's clips in order, the front-end (class, source code, scalar
attributes, buffers, frozen weights), torch, and the device with the settings that change its arithmetic. Features from
the cache equal newly computed features bit for bit.
"""

import errno
import hashlib
import inspect
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.evaluation import pulse
from datamodules.base import AudioDataModule, ClipSet
from datamodules.clips.array_cache import ArrayCache, Facts
from models.base import Frontend

CODE_VERSION = 1
"""Version of this code's features; raise it when they change, so that older entries are not read."""

BATCH = 64
"""Number of clips per forward pass; part of the key, because it may change the last bits."""

SPARE_BYTES = 2**30
"""Disk space that must stay free after a new entry is written."""


class Cache:
    """Features on disk; in memory if there is no folder or if it cannot be written.

    Args:
        folder: shared by any number of processes; None keeps features in memory.

    Attributes:
        folder: folder of the entries; None after the first failure to write.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def features(self, frontend: nn.Module, data: AudioDataModule, clips: ClipSet, device: str) -> Tensor:
        """Return the features of a split `(N, F, T)` float32, on the CPU; they may be mapped from disk: do not write.

        Args:
            frontend: without learnable parameters.
            data: set up.
            clips: the split.
            device: "cpu" or "cuda"; it computes the features.
        """
        keeps = self.folder is not None and _worth_keeping(frontend, data.clip_shape[0])
        name = key(frontend, data, clips, device) if keeps else None
        if self.folder is not None and name is not None:
            try:
                return self._kept(self.folder, name, frontend, clips, device)
            except OSError as error:
                self._give_up(error.strerror or str(error))
        return torch.cat(list(computed(frontend, clips, device)))

    def _kept(self, folder: Path, name: str, frontend: nn.Module, clips: ClipSet, device: str) -> Tensor:
        """Return an entry, which is computed and written batch by batch where it is absent or damaged."""

        def build(_: Facts) -> Iterator[NDArray[np.float32]]:
            for i, part in enumerate(computed(frontend, clips, device)):
                block = part.numpy()
                if i == 0:
                    needed = len(clips) * block[0].nbytes + SPARE_BYTES
                    if shutil.disk_usage(folder).free < needed:
                        raise OSError(errno.ENOSPC, f"less than {needed / 2**30:.1f} GiB free")
                yield block

        # Copy on write, because torch takes no read-only arrays; changes do not reach the disk.
        return torch.from_numpy(ArrayCache(folder).array("features", name, build, copy_on_write=True)[0])

    def _give_up(self, reason: str) -> None:
        warnings.warn(
            f"features are kept in memory and computed again by the next run, because {str(self.folder)!r} cannot be "
            f"written ({reason}): free space or choose another folder with --store",
            RuntimeWarning,
            stacklevel=3,
        )
        self.folder = None


@torch.inference_mode()
def computed(frontend: nn.Module, clips: ClipSet, device: str) -> Iterator[Tensor]:
    """Yield the features of a split in batches `(B, F, T)`, on the CPU."""
    frontend = frontend.to(device).eval()
    for i in range(0, len(clips), BATCH):
        x = clips.load(range(i, min(i + BATCH, len(clips))))
        yield frontend(x.to(device)).cpu()
        pulse.beat()


def key(frontend: nn.Module, data: AudioDataModule, clips: ClipSet, device: str) -> str | None:
    """Return the key of a split's features; None if the front-end's content does not determine its features."""
    digest = hashlib.sha256()
    try:
        _describe(frontend, digest.update)
    except _Indescribable:
        return None
    for word in (CODE_VERSION, BATCH, data.manifest(), type(clips).__module__, type(clips).__qualname__, len(clips)):
        digest.update(f"{word}\0".encode())
    for clip in zip(clips.ids, clips.hashes, strict=True):
        digest.update("\0".join(clip).encode() + b"\n")
    for fact in (*_arithmetic(device), data.clip_shape, data.sample_rate):
        digest.update(f"{fact}\0".encode())
    return digest.hexdigest()[:32]


class _Indescribable(Exception):  # noqa: N818 - it is not an error
    """A front-end contains something without a stable digest, or has no source code."""


def _describe(frontend: nn.Module, update: Callable[[bytes], object]) -> None:
    """Feed everything that determines a front-end's features, except the audio, into a digest."""
    modules: set[str] = set()
    for name, module in frontend.named_modules():
        update(f"\0module {name} {type(module).__module__}.{type(module).__qualname__}".encode())
        modules |= {kind.__module__ for kind in type(module).__mro__}
        own = {name: value for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}
        for part in (own, module._buffers, module._parameters):
            _value(part, update)
    for source in sorted(_sources(modules)):
        try:
            text = inspect.getsource(sys.modules[source])
        except (OSError, TypeError) as error:
            raise _Indescribable from error
        update(f"\0source {source} {len(text)} {text}".encode())


_OF_EVERY_MODULE = frozenset(vars(nn.Module())) | {"given_arguments", "left_out_arguments"}


def _value(value: Any, update: Callable[[bytes], object]) -> None:
    """Feed an attribute into a digest, its type and length first, so that different values give different input."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, torch.device)):
        update(f"\0{type(value).__name__} {value!r}".encode())
    elif isinstance(value, Enum):
        update(f"\0{type(value).__qualname__} {value.name}".encode())
    elif isinstance(value, Tensor):
        update(f"\0tensor {value.dtype} {tuple(value.shape)} ".encode())
        update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        update(f"\0array {value.dtype.str} {value.shape} ".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        update(f"\0mapping {len(value)}".encode())
        for name in sorted(value, key=str):
            _value(name, update)
            _value(value[name], update)
    elif isinstance(value, (tuple, list)):
        update(f"\0{type(value).__name__} {len(value)}".encode())
        for each in value:
            _value(each, update)
    else:
        raise _Indescribable


_FOREIGN = frozenset({"torch", "torchaudio", "numpy", "scipy"}) | sys.stdlib_module_names


def _sources(modules: set[str]) -> set[str]:
    """Return these Python modules and the modules of the same packages that they use, without torch and the like."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        package = name.partition(".")[0]
        if name in found or package in _FOREIGN:
            continue
        if name not in sys.modules:
            raise _Indescribable
        found.add(name)
        for value in list(vars(sys.modules[name]).values()):
            used = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(used, str) and used.partition(".")[0] == package and used in sys.modules:
                waiting.append(used)
    return found


def _arithmetic(device: str) -> tuple[object, ...]:
    """Return the versions and settings that may change the last bits of a result."""
    cpu = (torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
    gpu = (torch.cuda.get_device_name(), torch.backends.cudnn.allow_tf32) if device == "cuda" else ()
    return torch.__version__, device, torch.get_float32_matmul_precision(), *cpu, *gpu


def _worth_keeping(frontend: nn.Module, samples: int) -> bool:
    """Return whether the front-end computes anything; samples and embeddings that pass through are on disk already."""
    return not isinstance(frontend, Frontend) or frontend.macs(samples) > 0
