"""Reading files of weights as people have them, without running code that a file contains.

A file may be a `.safetensors` file or what `torch.save` wrote: a state dict, a training checkpoint of any project, or a
whole module. torch reads the latter with `weights_only=True`. numpy's arrays are allowed. Objects of other classes that
lie next to the weights, such as settings, become inert placeholders: nothing of their modules is imported. A file that
names a function which could do something is refused.
"""

import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.checkpoints import safetensors
from models.errors import ModelError

ENTRIES = (
    "state_dict", "model_state_dict", "model", "module", "net", "network", "model_state", "weights", "params", "ema",
    "state_dict_ema", "model_ema",
)  # fmt: skip
"""Entries of a checkpoint that hold the weights, likeliest first."""

DANGEROUS = frozenset({
    "os", "posix", "nt", "sys", "subprocess", "shutil", "socket", "ctypes", "importlib", "runpy", "pty", "commands",
    "webbrowser", "code", "codeop", "pdb", "bdb", "timeit", "asyncio", "multiprocessing", "threading", "signal", "http",
    "urllib", "requests", "pip", "io", "_io", "pickle", "_pickle", "marshal", "types",
})  # fmt: skip
"""Modules whose functions no file of weights needs."""

BUILTINS = {
    kind.__name__: kind
    for kind in (
        bool,
        bytearray,
        bytes,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        object,
        range,
        set,
        slice,
        str,
        tuple,
    )
}
"""Built-in classes of plain data."""

MAX_CLASSES = 200
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_OBJECT = re.compile(r"but got <class '([\w.]+)'>")
_FETCH_AGAIN = "fetch it again"


@dataclass(frozen=True)
class StateDict:
    """Tensors of a file by name, and the entry of the file that holds them; empty for the file itself."""

    tensors: dict[str, Tensor]
    entry: str = ""


class Placeholder:
    """Stands for an object of a class that is not imported."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Placeholder":
        """Make one whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Keep the content of a whole module, in which its weights are."""
        if isinstance(state, dict):
            self.__dict__.update({name: value for name, value in state.items() if isinstance(name, str)})

    def __hash__(self) -> int:
        return id(self)


class _Entries:
    """Stands for a mapping of a class that is not imported."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return {}


class _Items:
    """Stands for a list of a class that is not imported."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return []


def read(path: Path) -> StateDict:
    """Return the weights of a file.

    Raises:
        ModelError: there is no such file, it is no file of weights, or it contains more than data; the message says
            which, and what to do.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise ModelError(f"{path} cannot be opened ({error.strerror}): correct the path of the weights") from error
    if problem := _no_checkpoint(start):
        raise ModelError(f"{path} is {problem}")
    if safetensors.is_safetensors(start):
        try:
            return StateDict(safetensors.read(path))
        except ValueError as error:
            remedy = _FETCH_AGAIN if "cut off" in str(error) or "damaged" in str(error) else "save it in another type"
            raise ModelError(f"{path} is a safetensors file that cannot be read: {error}; {remedy}") from error
    return _state_dict(_unpickled(path), path)


def _no_checkpoint(start: bytes) -> str | None:
    """Say what a file is instead of a checkpoint, and the remedy; None where it may be one."""
    if not start:
        return f"empty: {_FETCH_AGAIN}"
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"a web page and no file of weights: {_FETCH_AGAIN}, by the link of the file itself"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS and not the file: run `git lfs pull` in its folder"
    if start.startswith(b"\x89HDF"):
        return "an HDF5 file of Keras: only mobilenet-025 reads one"
    if start.startswith(b"\x08") and b"onnx" in text:
        return "an ONNX model, whose weights have other names: name the checkpoint it was exported from"
    return None


def _unpickled(path: Path) -> Any:
    """Return the content of a file that torch wrote."""
    known: dict[str, Any] = dict(_numpys())
    for _ in range(MAX_CLASSES):
        allowed: list[Any] = [(value, name) for name, value in known.items()]
        try:
            with torch.serialization.safe_globals(allowed):
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if not _allowed_more(known, str(error), path):
                raise ModelError(_unreadable(path, error)) from error
        except Exception as error:
            raise ModelError(_unreadable(path, error)) from error
    raise ModelError(f"{path} contains objects of more than {MAX_CLASSES} classes: save its state dict alone")


def _allowed_more(known: dict[str, Any], problem: str, path: Path) -> bool:
    """Allow a placeholder for what torch has met, or a data type of Python; return whether that is something new.

    Raises:
        ModelError: the file names a function that could do something.
    """
    if (found := _OBJECT.search(problem)) and known.get(found[1]) is not None:  # an object with items
        plain = type(known[found[1]].__name__, (_Items if "list" in problem else _Entries,), {})
        new = found[1], plain
        if issubclass(known[found[1]], _Items | _Entries):
            return False
    elif found := _GLOBAL.search(problem):
        module, _, name = found[1].rpartition(".")
        module = module or "builtins"  # which torch leaves out
        if module.partition(".")[0] in DANGEROUS or (module == "builtins" and name not in BUILTINS):
            raise ModelError(_calls(path, f"{module}.{name}"))
        kind = BUILTINS[name] if module == "builtins" else type(name, (Placeholder,), {"__module__": module})
        new = f"{module}.{name}", kind
        if new[0] in known:
            return False
    else:
        return False
    known[new[0]] = new[1]
    return True


def _unreadable(path: Path, error: Exception) -> str:
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "TorchScript" in str(error):
        return (
            f"{path} is a TorchScript archive: save its weights with "
            f"torch.save(torch.jit.load({str(path)!r}).state_dict(), 'weights.pt') and name that file"
        )
    if "blocked" in str(error) and (found := _GLOBAL.search(str(error))):
        return _calls(path, found[1])
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            try:
                damaged = archive.testzip()
            except (OSError, zipfile.BadZipFile, EOFError):
                damaged = "its content"
        if damaged:
            return f"{path} is damaged (in {damaged}): {_FETCH_AGAIN}"
        return (
            f"{path} is no checkpoint that can be read as data ({words}): load it where it was made, save "
            f"model.state_dict() with torch.save, and name that file"
        )
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"PK\x03\x04"):
        return f"{path} is cut off: {_FETCH_AGAIN}"
    if start.startswith(b"\x80"):
        return (
            f"{path} cannot be read as data ({words}): if it was fetched, compare its size with the original's; else "
            f"save model.state_dict() with torch.save, and name that file"
        )
    return f"{path} is not a checkpoint of torch and no safetensors file: name a file with weights"


def _calls(path: Path, function: str) -> str:
    return (
        f"{path} calls {function} when it is read, so it is more than weights, and it is not read: take weights from a "
        f"source that you trust"
    )


def _numpys() -> Iterator[tuple[str, Any]]:
    """Yield what pickled arrays and scalars of numpy consist of, under the names of numpy 1 and 2."""
    multiarray = sys.modules["numpy._core.multiarray"]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        yield f"{module}._reconstruct", multiarray._reconstruct
        yield f"{module}.scalar", multiarray.scalar
    yield "numpy.ndarray", np.ndarray
    yield "numpy.dtype", np.dtype
    for name in dir(np.dtypes):
        if name.endswith("DType"):
            yield f"numpy.dtypes.{name}", getattr(np.dtypes, name)


def _state_dict(content: Any, path: Path) -> StateDict:
    """Return the weights in the content of a file."""
    for entry, part in _candidates(content):
        tensors = _tensors(part)
        if tensors:
            return StateDict(tensors, entry)
    names = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
    raise ModelError(
        f"{path} has no state dict of tensors (it contains {names or 'nothing'}): save model.state_dict() with "
        f"torch.save, and name that file"
    )


def _candidates(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a file that may be its weights, with their entries."""
    if isinstance(content, Mapping):
        for entry in ENTRIES:
            part = content.get(entry)
            if isinstance(part, Mapping | Placeholder):
                yield entry, part
                if isinstance(part, Mapping):
                    for inner in ENTRIES:
                        if isinstance(part.get(inner), Mapping):
                            yield f"{entry}.{inner}", part[inner]
    yield "", content


def _tensors(part: Any) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of a whole module; arrays become tensors."""
    if isinstance(part, Placeholder):
        part = dict(_of_module(part, ""))
    if not isinstance(part, Mapping):
        return {}
    found = {}
    for name, value in part.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(np.array(value))
        if isinstance(name, str) and isinstance(value, Tensor):
            found[name] = value.detach()
    return found


def _of_module(module: Placeholder, prefix: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the parameters and buffers of a module that was saved as a whole, by their names in its state dict."""
    parts = vars(module)
    for kind in ("_parameters", "_buffers"):
        for name, value in dict(parts.get(kind) or {}).items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
    for name, child in dict(parts.get("_modules") or {}).items():
        if isinstance(child, Placeholder) and depth < 100:
            yield from _of_module(child, f"{prefix}{name}.", depth + 1)
