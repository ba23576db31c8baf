"""Checkpoints as people have them: what is taken of each, and what a file that cannot be used is told."""

import argparse
import collections
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.training import build
from models import checkpoints, panns
from models.base import AudioModel, ModelError
from models.checkpoints import files


def model(name: str = "cnn", classes: int = 4, **arguments: Any) -> AudioModel:
    torch.manual_seed(classes)
    frontend = "logmel-panns" if name == "cnn6" else "logmel"
    return build.sized(name, frontend, arguments, (8_000,), 8_000, classes)


def weights(of: AudioModel) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        name: torch.rand_like(tensor) if tensor.is_floating_point() else tensor + 7
        for name, tensor in of.state_dict().items()
    }


class Attributes(dict[str, int]):
    """A mapping, as Lightning's AttributeDict is."""


class Entries(list[int]):
    """A list of a class of its own."""


class Secret:
    """An object of a class that is not imported when it is read."""


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "base.", "net.", "_orig_mod.", "module.model.net.", "a.b."]
)
def test_prefixes_are_found_by_the_names(tmp_path: Path, prefix: str) -> None:
    own, content = model(), weights(model())
    torch.save(prefixed(content, prefix), tmp_path / "w.pt")
    found = own.load_weights(tmp_path / "w.pt")
    assert found.prefix == prefix
    assert not found.random
    assert not found.unused
    for name, tensor in own.state_dict().items():
        assert torch.equal(tensor, content[name]), name


def test_a_wrapped_module_takes_weights_without_the_wrappers_name(tmp_path: Path) -> None:
    wrapped = nn.Sequential(collections.OrderedDict(module=nn.Linear(3, 2)))
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "w.pt")
    found = checkpoints.load(wrapped, tmp_path / "w.pt", ())
    assert found.taken == ("module.weight", "module.bias")


@pytest.mark.parametrize("entry", ["state_dict", "model", "model_state_dict", "net"])
def test_entries_of_training_checkpoints(tmp_path: Path, entry: str) -> None:
    content = weights(model())
    rest = {"epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3, "params": [0]}]}}
    torch.save({entry: content, **rest}, tmp_path / "w.pth")
    assert model().load_weights(tmp_path / "w.pth").entry == entry


def test_panns_own_training_checkpoints_hold_arrays_of_numpy(tmp_path: Path) -> None:
    content = weights(model("cnn6", 527, scale=0.05))
    sampler = {
        "indexes_per_class": [np.arange(5), np.arange(3, dtype=np.int32)], "queue": [1, 2], "pointers": np.float64(2),
        "names": np.array(["a", "b"]), "black": np.array([None, "x"], dtype=object),
    }  # fmt: skip
    state = {**content, "spectrogram_extractor.stft.conv_real.weight": torch.rand(3, 1, 4)}
    torch.save({"iteration": 10, "model": state, "sampler": sampler}, tmp_path / "w.pth")
    torch.save(
        {"iteration": 10, "model": state, "sampler": sampler},
        tmp_path / "old.pth",
        _use_new_zipfile_serialization=False,
    )
    for name in ("w.pth", "old.pth"):
        own = model("cnn6", 4, scale=0.05, weights=str(tmp_path / name))
        assert own.loaded is not None
        assert own.loaded.random == ("fc_audioset.weight", "fc_audioset.bias")
        assert "spectrogram_extractor" in str(own.loaded)
        assert torch.equal(own.state_dict()["fc1.weight"], content["fc1.weight"])


def test_arrays_of_numpy_1_are_read_under_its_names(tmp_path: Path) -> None:
    with (tmp_path / "array.pkl").open("wb") as file:
        pickle.dump(np.arange(3), file, protocol=2)
    old = (tmp_path / "array.pkl").read_bytes().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    names = dict(files._numpys())
    assert {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray.scalar", "numpy.dtype"} <= names.keys()
    assert b"numpy.core" in old


def test_a_lightning_checkpoint_with_objects_in_it_is_read_without_importing_them(tmp_path: Path) -> None:
    content = weights(model())
    torch.save(
        {
            "state_dict": {**prefixed(content, "model."), "criterion.pos_weight": torch.ones(4)},
            "hyper_parameters": {"args": argparse.Namespace(lr=1), "path": PosixPath("/x"), "own": Secret()},
            "callbacks": collections.defaultdict(list, a=[1]), "more": Attributes(a=1),
            "list": Entries([1, 2]), "pytorch-lightning_version": "2.1.0", "epoch": 3,
        },
        tmp_path / "last.ckpt",
    )  # fmt: skip
    found = model().load_weights(tmp_path / "last.ckpt")
    assert (found.entry, found.prefix) == ("state_dict", "model.")
    assert found.unused == ("criterion.pos_weight",)
    assert "criterion" in str(found)


@pytest.mark.parametrize("how", ["other size", "none", "other name"])
def test_heads_of_other_sizes_or_none(tmp_path: Path, how: str) -> None:
    content = weights(model(classes=10))
    if how != "other size":
        head = {name: content.pop(name) for name in list(content) if name.startswith("logits.")}
        content |= {"fc_transfer.weight": head["logits.weight"]} if how == "other name" else {}
    torch.save(prefixed(content, "module."), tmp_path / "w.pt")
    own = model()
    before = own.output.weight.clone()
    found = own.load_weights(tmp_path / "w.pt")
    assert found.random == ("logits.weight", "logits.bias")
    assert torch.equal(own.output.weight, before)
    assert torch.equal(own.state_dict()["hidden.weight"], content["hidden.weight"])
    assert "random weights stay in logits" in str(found)
    assert bool(found.unused) == (how != "none")


def test_counters_may_be_missing_and_halves_are_converted(tmp_path: Path) -> None:
    content = weights(model())
    few = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in content.items()}
    few = {name: tensor for name, tensor in few.items() if not name.endswith("num_batches_tracked")}
    assert len(few) < len(content)
    torch.save(few, tmp_path / "w.pt")
    own = model()
    found = own.load_weights(tmp_path / "w.pt")
    assert found.converted == "float16"
    assert own.output.weight.dtype == torch.float32
    torch.testing.assert_close(own.output.weight, content["logits.weight"], atol=1e-3, rtol=0)


def safetensors(content: dict[str, Tensor]) -> bytes:
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
    data = b""
    for name, tensor in content.items():
        raw = tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.dim() else tensor.numpy().tobytes()
        table[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape)}
        table[name]["data_offsets"] = [len(data), len(data) + len(raw)]
        data += raw
    header = json.dumps(table).encode()
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_safetensors(tmp_path: Path, dtype: torch.dtype) -> None:
    content = {name: t.to(dtype) if t.is_floating_point() else t for name, t in weights(model()).items()}
    (tmp_path / "model.safetensors").write_bytes(safetensors(content))
    own = model()
    own.load_weights(tmp_path / "model.safetensors")
    for name, tensor in own.state_dict().items():
        assert torch.equal(tensor, content[name].to(tensor.dtype)), name


def test_a_module_that_was_saved_as_a_whole_has_its_weights_read(tmp_path: Path) -> None:
    whole = nn.Sequential(collections.OrderedDict(a=nn.Linear(3, 4), b=nn.BatchNorm1d(4)))
    torch.save(whole, tmp_path / "w.pt")
    own = nn.Sequential(collections.OrderedDict(a=nn.Linear(3, 4), b=nn.BatchNorm1d(4)))
    checkpoints.load(own, tmp_path / "w.pt", ())
    for name, tensor in own.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name])


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def test_a_file_that_calls_something_is_refused_and_nothing_is_called(tmp_path: Path) -> None:
    import os
    import subprocess

    witness = tmp_path / "witness"
    calls = [
        Call(os.system, f"touch {witness}"), Call(eval, f"open({str(witness)!r}, 'w')"), Call(open, str(witness), "w"),
        Call(subprocess.run, ["touch", str(witness)]), Call(os.mkdir, str(witness)),
        Call(witness.touch),
    ]  # fmt: skip
    for number, call in enumerate(calls):
        path = tmp_path / f"{number}.pt"
        torch.save({"state_dict": weights(model()), "extra": call}, path)
        with pytest.raises(ModelError, match=r"calls .* when it is read, so it is more than weights"):
            model().load_weights(path)
    assert not witness.exists()


SOUND = [
    ("other.pt", lambda path: torch.save({"a": torch.ones(2)}, path), "does not belong to a CNN"),
    ("list.pt", lambda path: torch.save([1, 2], path), "no state dict of tensors"),
    ("keras.h5.pt", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(20)), "HDF5"),
    ("text.pt", lambda path: path.write_text("epoch 3"), "is not a checkpoint of torch"),
]
BROKEN = [
    ("empty.pt", lambda path: path.write_bytes(b""), "is empty"),
    ("page.pt", lambda path: path.write_text("<!DOCTYPE html><html>"), "a web page"),
]


@pytest.mark.parametrize(("name", "write", "words"), SOUND + BROKEN)
def test_only_what_is_broken_is_to_be_fetched_again(tmp_path: Path, name: str, write: Any, words: str) -> None:
    write(tmp_path / name)
    with pytest.raises(ModelError, match=words) as caught:
        model().load_weights(tmp_path / name)
    assert ("fetch it again" in str(caught.value)) == ((name, write, words) in BROKEN)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_to_be_fetched_again(tmp_path: Path, share: float) -> None:
    torch.save(weights(model()), tmp_path / "w.pt")
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match="cut off: fetch it again"):
        model().load_weights(tmp_path / "w.pt")
    content = safetensors(weights(model()))
    (tmp_path / "w.safetensors").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match="cut off; fetch it again"):
        model().load_weights(tmp_path / "w.safetensors")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    content = weights(model())
    content["hidden.weight"][0, 0] = float("nan")
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="not finite, in hidden"):
        model().load_weights(tmp_path / "w.pt")


def test_a_pann_without_a_head_keeps_its_own(tmp_path: Path) -> None:
    own = model("cnn6", scale=0.05)
    assert isinstance(own, panns.PANN)
    content = {name: tensor for name, tensor in weights(own).items() if not name.startswith("fc")}
    torch.save(content, tmp_path / "w.pt")
    found = own.load_weights(tmp_path / "w.pt")
    assert {name.partition(".")[0] for name in found.random} == {"fc1", "fc_audioset"}
