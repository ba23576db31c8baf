"""Any image classifier of torchvision or timm, on the log-mel spectrogram as an image.

The suite `image_backbone.toml` names the class. The benchmark needs neither library: pip install torchvision timm.
"""

import importlib

from torch import Tensor, nn


class ImageBackbone(nn.Module):
    """Features `(B, F, T)` as an image `(B, channels, F, T)`, normalised, through an image classifier.

    The benchmark gives `classes`; the suite gives the rest.

    Args:
        classes: C.
        name: "torchvision/resnet18", "timm/efficientnet_b0" or any other name of the two libraries.
        channels: of the image. Torchvision's classifiers have three, timm's may have one.
        pretrained: whether the backbone starts from the library's ImageNet weights, which are downloaded.
    """

    def __init__(
        self, classes: int, name: str = "torchvision/resnet18", channels: int = 3, pretrained: bool = False
    ) -> None:
        super().__init__()
        self.channels = channels
        self.norm = nn.BatchNorm2d(1)
        library, _, model = name.partition("/")
        if library == "timm":
            create = importlib.import_module("timm").create_model
            self.backbone = create(model, pretrained=pretrained, in_chans=channels, num_classes=classes)
        elif library == "torchvision" and channels == 3:
            get = importlib.import_module("torchvision.models").get_model
            self.backbone = get(model, weights="DEFAULT" if pretrained else None)
            replace_head(self.backbone, classes)
        else:
            raise ValueError(f"no backbone {name!r} with {channels} channels: take torchvision/... with 3, or timm/...")

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(B, F, T)` to logits `(B, C)`."""
        image = self.norm(features[:, None]).expand(-1, self.channels, -1, -1)
        logits: Tensor = self.backbone(image)
        return logits


def replace_head(backbone: nn.Module, classes: int) -> None:
    """Put a new last linear layer of C outputs in the place of the one for ImageNet's classes."""
    linear = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    parent, _, last = linear[-1].rpartition(".")
    old: nn.Linear = backbone.get_submodule(linear[-1])  # type: ignore[assignment]
    setattr(backbone.get_submodule(parent), last, nn.Linear(old.in_features, classes))
