"""MobileNet alpha = 0.25: the paper's size, Keras' form, Keras' weights."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fakes.server import serving

from bench.profiling.complexity import measure, trainable
from models import mobilenet
from models.base import ModelError
from models.frontends.none import NoFrontend
from models.mobilenet import MobileNet

BLOCKS = [(1, 8, 16), (2, 16, 32), (1, 32, 32), (2, 32, 64), (1, 64, 64), (2, 64, 128), *[(1, 128, 128)] * 5,
          (2, 128, 256), (1, 256, 256)]  # fmt: skip
"""Stride, channels in and channels out at alpha = 0.25, from the paper's Table 1."""


def test_the_size_is_the_published_one() -> None:
    model = MobileNet(NoFrontend(), 64, 200, 3)
    assert trainable(model) == 217_235
    # Keras counts 218,544 without the top, 5,472 of them statistics
    assert sum(p.numel() for p in model.body.parameters()) == 218_544 - 5472
    statistics = [b for name, b in model.body.named_buffers() if not name.endswith("num_batches_tracked")]
    assert sum(b.numel() for b in statistics) == 5472
    layers = 3 * 9 * 8 + 2 * 8 + sum(9 * i + 2 * i + i * o + 2 * o for _, i, o in BLOCKS)
    assert layers + (256 * 16 + 16) + (16 * 3 + 3) == 217_235
    assert trainable(MobileNet(NoFrontend(), 64, 200, 10)) == 217_235 + 7 * 17


@pytest.mark.slow
@pytest.mark.parametrize("frames", [50, 100, 200])
def test_multiply_adds_are_those_of_the_layers(frames: int) -> None:
    bands, length = 32, frames // 2
    total = 3 * 9 * 8 * bands * length
    for stride, inputs, outputs in BLOCKS:
        bands, length = bands // stride, length // stride  # a zero is put after the last, so that halves are cut
        total += (9 * inputs + inputs * outputs) * bands * length
    total += 256 * 16 + 16 * 3
    assert measure(MobileNet(NoFrontend(), 64, frames, 3), (frames, 64), frames / 100).macs == total


def test_a_strided_layer_pads_at_the_end_as_keras_does() -> None:
    """Of four pixels the first output sees 0, 1, 2, the second 2, 3 and the padding."""
    body = mobilenet.layers(1 / 32)
    with torch.no_grad():
        body.conv1.weight.fill_(1)
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0] = torch.arange(4.0) * torch.ones(4, 1)
    expected = torch.tensor([[3 * (0 + 1 + 2), 3 * (2 + 3)], [2 * (0 + 1 + 2), 2 * (2 + 3)]]).float()
    torch.testing.assert_close(body.conv1(body.conv1_pad(image))[0, 0], expected)


def keras_arrays(alpha: float = 0.25) -> dict[str, np.ndarray]:
    """Arrays of a file of Keras, in Keras' names and shapes, and the top that it may have."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"conv1/kernel": (3, 3, 3, int(32 * alpha))}
    norms = {"conv1_bn": int(32 * alpha)}
    for n, (_, quarter_in, quarter_out) in enumerate(BLOCKS, start=1):
        inputs, outputs = int(4 * alpha * quarter_in), int(4 * alpha * quarter_out)
        shapes[f"conv_dw_{n}/depthwise_kernel"] = (3, 3, inputs, 1)
        shapes[f"conv_pw_{n}/kernel"] = (1, 1, inputs, outputs)
        norms |= {f"conv_dw_{n}_bn": inputs, f"conv_pw_{n}_bn": outputs}
    for name, size in norms.items():
        shapes |= {f"{name}/{part}": (size,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}
    shapes["conv_preds/kernel"] = (1, 1, 4, 1000)
    return {name: random.random(shape, np.float32) for name, shape in shapes.items()}


def saved(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays in the layout of the file's kind."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            layer, parameter = name.split("/")
            file.create_dataset(f"{layer}/{layer}/{parameter}:0", data=array)
    return path


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_keras_weights_are_read(tmp_path: Path, kind: str) -> None:
    """The first separable block is computed from the file's arrays with sums over pixels."""
    arrays = keras_arrays()
    model = MobileNet(NoFrontend(), 64, 50, 3, weights=str(saved(tmp_path / f"weights.{kind}", arrays))).eval()
    assert trainable(model) == 217_235
    torch.manual_seed(0)
    x = torch.rand(2, 8, 5, 6)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, variance = (
            arrays[f"{name}/{k}"] for k in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return np.clip(gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta, 0, 6)

    image = np.pad(x.permute(0, 2, 3, 1).numpy(), ((0, 0), (1, 1), (1, 1), (0, 0)))  # channels last, as in Keras
    kernel = arrays["conv_dw_1/depthwise_kernel"][..., 0]
    y = sum(image[:, i : i + 5, j : j + 6] * kernel[i, j] for i in range(3) for j in range(3))
    y = norm(norm(y, "conv_dw_1_bn") @ arrays["conv_pw_1/kernel"][0, 0], "conv_pw_1_bn")
    names = list(dict(model.body.named_children()))
    block = model.body[names.index("conv_dw_1") : names.index("conv_pw_1_relu") + 1]
    torch.testing.assert_close(block(x).permute(0, 2, 3, 1), torch.from_numpy(y), atol=1e-4, rtol=1e-5)
    first = torch.from_numpy(arrays["conv1/kernel"]).permute(3, 2, 0, 1)
    assert torch.equal(model.body.conv1.weight, first)
    last = torch.from_numpy(arrays["conv_pw_13_bn/moving_variance"])
    assert torch.equal(model.body.conv_pw_13_bn.running_var, last)


def test_every_tensor_of_the_body_comes_from_the_file(tmp_path: Path) -> None:
    arrays = keras_arrays(0.5)
    path = str(saved(tmp_path / "weights.npz", arrays))
    model = MobileNet(NoFrontend(), 64, 50, 3, alpha=0.5, weights=path)
    ours = [t for name, t in model.body.state_dict().items() if not name.endswith("num_batches_tracked")]
    theirs = [array for name, array in arrays.items() if not name.startswith("conv_preds")]
    assert sorted(t.double().sum().item() for t in ours) == pytest.approx(
        sorted(array.sum(dtype=np.float64) for array in theirs)
    )


def test_wrong_files_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(path: Path) -> MobileNet:
        return MobileNet(NoFrontend(), 64, 50, 3, weights=str(path))

    with pytest.raises(ModelError, match="does not exist: download a file"):
        build(tmp_path / "none.npz")
    (tmp_path / "page.npz").write_text("<html>")
    with pytest.raises(ModelError, match=r"is not an \.h5 or \.npz file"):
        build(tmp_path / "page.npz")
    with pytest.raises(ModelError, match="for another alpha"):
        build(saved(tmp_path / "wide.npz", keras_arrays(0.5)))
    arrays = keras_arrays()
    del arrays["conv_pw_13_bn/beta"]
    with pytest.raises(ModelError, match="has no conv_pw_13_bn/beta"):
        build(saved(tmp_path / "short.npz", arrays))
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "file.h5").touch()
    with pytest.raises(ModelError, match="pip install h5py"):
        build(tmp_path / "file.h5")


@pytest.mark.slow
def test_imagenet_weights_are_fetched_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, sha256 = mobilenet.IMAGENET[0.25]
    assert mobilenet.SOURCE.endswith("/keras-applications/mobilenet/")
    assert name == "mobilenet_2_5_224_tf_no_top.h5"
    assert sha256.startswith("dbdb03ee")
    content = saved(tmp_path / "weights.npz", keras_arrays()).read_bytes()
    folder = tmp_path / "cache"
    monkeypatch.setattr(mobilenet, "user_cache_dir", lambda project: str(folder))
    monkeypatch.setitem(mobilenet.IMAGENET, 0.25, ("weights.npz", hashlib.sha256(content).hexdigest()))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def build() -> MobileNet:
        return MobileNet(NoFrontend(), 64, 50, 3, weights="imagenet")

    with serving() as server:
        monkeypatch.setattr(mobilenet, "SOURCE", server.url(""))
        server.files["weights.npz"] = content[:-1]
        with pytest.raises(ModelError, match=r"cannot fetch http.*invalid hash value.*put the file into"):
            build()
        assert not list(folder.iterdir())
        server.files["weights.npz"] = content
        expected = torch.from_numpy(keras_arrays()["conv1_bn/gamma"])
        for damage in (False, False, True):
            if damage:
                (folder / "weights.npz").write_bytes(content[:-1])
            assert torch.equal(build().body.conv1_bn.weight, expected)
        assert len(server.requests) == 3  # refused, fetched, kept, fetched in place of the damaged file
        (folder / "weights.npz").unlink()
        server.files.clear()
        with pytest.raises(ModelError, match=r"cannot fetch http.*404.*put the file into"):
            build()
    with pytest.raises(ModelError, match=r"exist for alpha 0.25, 0.5, 0.75, 1.0, not 0.3"):
        MobileNet(NoFrontend(), 64, 50, 3, alpha=0.3, weights="imagenet")


def test_the_three_channels_are_copies() -> None:
    """Summing the first layer's kernels over its channels gives a layer on one channel with the same output."""
    torch.manual_seed(0)
    model = MobileNet(NoFrontend(), 64, 50, 3).eval()
    x = torch.randn(2, 50, 64)
    seen = []
    model.body.conv1.register_forward_hook(lambda _, __, y: seen.append(y))
    model(x)
    one = model.standardise(x.mT)[:, None]
    expected = F.conv2d(F.pad(one, (0, 1, 0, 1)), model.body.conv1.weight.sum(1, keepdim=True), stride=2)
    torch.testing.assert_close(seen[0], expected)


def test_short_clips_are_padded_and_bad_sizes_refused() -> None:
    model = MobileNet(NoFrontend(), 20, 1, 3).eval()
    assert model(torch.rand(2, 1, 20)).isfinite().all()
    with pytest.raises(ModelError, match="need alpha ≥ 1/32"):
        MobileNet(NoFrontend(), 64, 50, 3, alpha=0.01)
