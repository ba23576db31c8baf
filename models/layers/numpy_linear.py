"""A linear layer whose products and gradients are NumPy's, to compare frameworks on the same network."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class _Product(torch.autograd.Function):
    """x W' + b and its gradients, in NumPy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.from_numpy(x.detach().numpy() @ weight.detach().numpy().T + bias.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        grad = np.ascontiguousarray(grads[0].numpy())
        found = (grad @ weight, grad.T @ x, grad.sum(0))
        return tuple(map(torch.from_numpy, found))  # type: ignore[return-value]


class NumpyLinear(nn.Linear):
    """`nn.Linear` on `(B, F)` that NumPy computes in training on a processor; otherwise torch's, from the same weights.

    Weights are drawn as torch draws them, and torch's optimiser takes the step.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map `(B, F)` to `(B, F')`."""
        if not self.training or input.device.type != "cpu" or input.dtype != torch.float32:
            return super().forward(input)
        return _Product.apply(input, self.weight, self.bias)  # type: ignore[no-any-return,no-untyped-call]
