"""How linear and recurrent layers are drawn, for studies of it.

Glorot & Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2014 (orthogonal); "normal" and "uniform" have the
one size that Keras gives them whatever the layer's, a deviation of 0.05 and the range -0.05 to 0.05.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.base import ModelError

Initialisation = Literal["default", "xavier", "normal", "uniform", "kaiming", "orthogonal"]

_DRAWS: dict[str, Callable[[Tensor], Any]] = {
    "xavier": nn.init.xavier_uniform_,
    "normal": partial(nn.init.normal_, std=0.05),
    "uniform": partial(nn.init.uniform_, a=-0.05, b=0.05),
    "kaiming": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}


def initialise(model: nn.Module, initialisation: Initialisation) -> None:
    """Draw the matrices of all linear and LSTM layers of `model` anew, their biases 0; "default" leaves PyTorch's.

    The four gates of an LSTM are drawn apart, each as a layer of its own.

    Raises:
        ModelError: there is no such initialisation.
    """
    if initialisation == "default":
        return
    if initialisation not in _DRAWS:
        raise ModelError(f"initialisation is one of default, {', '.join(_DRAWS)}, not {initialisation!r}")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.LSTM)):
                for parameter in module.parameters(recurse=False):
                    if parameter.ndim == 1:
                        parameter.zero_()
                        continue
                    for gate in parameter.chunk(4) if isinstance(module, nn.LSTM) else [parameter]:
                        _DRAWS[initialisation](gate)
