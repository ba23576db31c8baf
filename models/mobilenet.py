"""MobileNet (Howard et al. 2017, https://arxiv.org/abs/1704.04861) on log-mel, the baseline of SwishNet's paper.

As Hussain & Haque 2018 (https://arxiv.org/abs/1812.00149) take it from Keras: alpha = 0.25, 64 log-mel bands copied to
three channels, global average pooling, a hidden layer of 16 with ReLU; 217,235 trainable parameters for three classes.
Layers have Keras' names, paddings and epsilon, so that Keras' ImageNet weights fit. torchvision has
only MobileNet V2 and V3, and timm's V1 begins at alpha = 1.

Three differences: bands are standardised by running statistics (no parameters) instead of an image's [-1, 1]; running
statistics have PyTorch's momentum (0.1; Keras has 0.01); clips of less than 32 frames are padded.
"""

import hashlib
from pathlib import Path
from typing import ClassVar
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from platformdirs import user_cache_dir
from torch import Tensor, nn
from torch.hub import download_url_to_file

from models.base import AudioModel, ModelError
from models.frontends.logmel import LogMel
from models.layers.norm import FusedSequential
from models.recipe import is_weights_file

Arrays = dict[str, NDArray[np.float32]]

PLAN = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
"""Channels at alpha = 1 and stride of each depthwise separable block."""

REDUCTION = 32
"""Bands and frames of the spectrogram for one of the last maps."""

SOURCE = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"

IMAGENET = {
    0.25: ("mobilenet_2_5_224_tf_no_top.h5", "dbdb03ee2a22fd895301636cd328b234bb3a9952358f436d82f46b81e0d5b0bf"),
    0.5: ("mobilenet_5_0_224_tf_no_top.h5", "df860c59562f4c4af7a2fb2ae90731caef39fd5d03e5fcd6ca46988965f0a4b7"),
    0.75: ("mobilenet_7_5_224_tf_no_top.h5", "1da9019b66f05a0256dedfed0f321fcaf8bfa71f9facf3f9117e62820be39aa5"),
    1.0: ("mobilenet_1_0_224_tf_no_top.h5", "9f9cfd8c925431c06ce96744e1d201575f6a681bf38ae2de38e2ae8f7d7829d3"),
}
"""Keras' files without the top, by alpha, and the SHA-256 that Keras 3 checks them by."""


def layers(alpha: float) -> nn.Sequential:
    """Return Keras' layers under Keras' names: all with parameters, and the paddings and activations between them."""
    found = FusedSequential()

    def add(name: str, convolution: nn.Conv2d, padding: str | None = None) -> None:
        if padding is not None:
            found.add_module(padding, nn.ZeroPad2d((0, 1, 0, 1)))
        found.add_module(name, convolution)
        found.add_module(f"{name}_bn", nn.BatchNorm2d(convolution.out_channels, eps=1e-3))
        found.add_module(f"{name}_relu", nn.ReLU6(inplace=True))

    inputs = int(32 * alpha)
    add("conv1", nn.Conv2d(3, inputs, 3, 2, bias=False), "conv1_pad")
    for n, (width, stride) in enumerate(PLAN, start=1):
        outputs = int(width * alpha)
        depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=2 - stride, groups=inputs, bias=False)
        add(f"conv_dw_{n}", depthwise, f"conv_pad_{n}" if stride == 2 else None)
        add(f"conv_pw_{n}", nn.Conv2d(inputs, outputs, 1, bias=False))
        inputs = outputs
    return found


class MobileNet(AudioModel):
    """Depthwise separable convolutions, global average pooling, a hidden layer, logits.

    Args:
        frontend: maps the batch's `x` to features `(B, F, T)`, a log-mel spectrogram of 64 bands in the paper.
        features: F.
        frames: T of one clip; clips of other lengths are accepted.
        classes: C.
        alpha: multiplier of all channels.
        hidden: units of the hidden layer.
        weights: "imagenet" starts the convolutions from Keras' file, fetched once; or the path of such a file, see
            `load_keras`; or a checkpoint of this model, whose name ends in .pt, .pth, .ckpt or .safetensors; None
            initialises them at random.
    """

    default_frontend = LogMel

    inputs: ClassVar[frozenset[str]] = frozenset({"waveform"})
    clip_seconds = 2.0

    def __init__(
        self,
        frontend: nn.Module,
        features: int,
        frames: int,
        classes: int,
        alpha: float = 0.25,
        hidden: int = 16,
        weights: str | None = None,
    ) -> None:
        super().__init__(frontend, features, frames, classes)
        if int(32 * alpha) < 1 or hidden < 1:
            raise ModelError(f"need alpha ≥ 1/32 and hidden ≥ 1, got {alpha} and {hidden}")
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.body = layers(alpha)
        self.hidden = nn.Linear(int(PLAN[-1][0] * alpha), hidden)
        self.logits = nn.Linear(hidden, classes)
        if weights is not None and is_weights_file(weights):
            self.load_weights(weights)
        elif weights is not None:
            load_keras(self.body, fetch(alpha) if weights == "imagenet" else Path(weights))

    @property
    def output(self) -> nn.Linear:
        """The linear layer that makes the logits."""
        return self.logits

    def classify(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        x = self.standardise(features)
        short = [max(0, REDUCTION - size) for size in x.shape[1:]]
        x = F.pad(x, (0, short[1], 0, short[0]))[:, None].expand(-1, 3, -1, -1)  # (B, 3, F, T)
        x = self.body(x).mean((2, 3))  # (B, 1024 alpha)
        logits: Tensor = self.logits(self.hidden(x).relu())  # (B, C)
        return logits


def fetch(alpha: float) -> Path:
    """Return Keras' ImageNet file for this alpha, downloaded and checked the first time.

    Raises:
        ModelError: there is none for this alpha, or it cannot be fetched.
    """
    if alpha not in IMAGENET:
        raise ModelError(f"ImageNet weights exist for alpha {', '.join(map(str, IMAGENET))}, not {alpha}")
    name, sha256 = IMAGENET[alpha]
    folder = Path(user_cache_dir("audio-classification-bench"))
    path = folder / name
    try:
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            folder.mkdir(parents=True, exist_ok=True)
            download_url_to_file(SOURCE + name, str(path), sha256, progress=False)
    except Exception as error:
        raise ModelError(
            f"cannot fetch {SOURCE + name} ({error}): put the file into {folder}, or name it as `weights`"
        ) from error
    return path


def load_keras(body: nn.Sequential, path: Path) -> None:
    """Load Keras' weights into the convolutions and norms of `layers`; the file's top, if it has one, is left out.

    The file is Keras' `.h5`, or an `.npz` whose arrays are named layer/parameter: `conv1/kernel` (3, 3, 3, C),
    `conv_dw_1/depthwise_kernel` (3, 3, C, 1), `conv_pw_1/kernel` (1, 1, C, C'), and for the norm after each, such as
    `conv_dw_1_bn`, `gamma`, `beta`, `moving_mean`, `moving_variance` (C).

    Raises:
        ModelError: the file cannot be read, or is not of this network.
    """
    arrays = _arrays(path)
    wanted: dict[str, tuple[Tensor, tuple[int, ...]]] = {}  # by Keras' name our tensor, and Keras' order of its axes
    for layer, module in body.named_children():
        if isinstance(module, nn.Conv2d):
            if module.groups > 1:
                wanted[f"{layer}/depthwise_kernel"] = module.weight, (2, 3, 0, 1)
            else:
                wanted[f"{layer}/kernel"] = module.weight, (3, 2, 0, 1)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            ours = (module.weight, module.bias, module.running_mean, module.running_var)
            for name, tensor in zip(("gamma", "beta", "moving_mean", "moving_variance"), ours, strict=True):
                wanted[f"{layer}/{name}"] = tensor, (0,)
    for name, (tensor, axes) in wanted.items():
        if name not in arrays:
            raise ModelError(f"{path} has no {name}: it is not from Keras' MobileNet V1, see {SOURCE}")
        if arrays[name].ndim != len(axes) or arrays[name].transpose(axes).shape != tensor.shape:
            raise ModelError(f"{path}: {name} is {arrays[name].shape}, for another alpha than this model's")
    with torch.no_grad():
        for name, (tensor, axes) in wanted.items():
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name].transpose(axes))))


def _arrays(path: Path) -> Arrays:
    """Read a file's arrays by layer/parameter."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist: download a file ..._tf_no_top.h5 from {SOURCE}")
    try:
        return _npz(path) if path.suffix == ".npz" else _h5(path)
    except ImportError as error:
        raise ModelError(f"{path} is read with h5py, which is not installed: pip install h5py") from error
    except (OSError, ValueError, BadZipFile) as error:
        raise ModelError(
            f"{path} is not an .h5 or .npz file of arrays ({error}): download it again from {SOURCE}"
        ) from error


def _npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _h5(path: Path) -> Arrays:
    import h5py

    found: Arrays = {}

    def take(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            layer, *_, parameter = name.split("/")  # conv1/conv1/kernel:0
            found[f"{layer}/{parameter.removesuffix(':0')}"] = item[()]

    with h5py.File(path) as file:
        file.visititems(take)
    return found
