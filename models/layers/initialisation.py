"""Initialisation of linear and recurrent layers, for studies of its effect.

Glorot & Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2014 (orthogonal); "normal" and "uniform" have
Keras' fixed scale for layers of any size, a deviation of 0.05 and the range -0.05 to 0.05.
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
    """Initialise all linear and LSTM layers of `model`, biases at 0; "default" keeps PyTorch's initialisation.

    Each of the four gates of an LSTM is initialised as a layer of its own.

    Raises:
        ModelError: the name is unknown.
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
