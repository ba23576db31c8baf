"""Maps that lie channels last in memory, as the convolutions of a CPU and the tensor cores of a GPU prefer them.

The maps change, and the weights don't: torch's fused optimisers on a CPU combine parameters, gradients and moments of
different layouts by their places in memory, and a checkpoint's moments have the layout of the training that wrote it.

Convolutions with 3×3 kernels are Winograd's on a CPU where that pays. Two gradients of oneDNN are slow there, and are
computed in another way: of a map of one channel, which has 16 lanes' worth of work for one, and of a depthwise
convolution with a stride in bfloat16, which is thirty times slower than in float32. A third one writes past its memory
(torch 2.13, float32, AVX-512), so pointwise convolutions take the places between their strides out first.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.loading import available
from models.layers import norm

HEAVY = 4
"""Weights for each value of the maps above which a convolution's maps stay contiguous."""


def channels_last(x: Tensor) -> Tensor:
    """Return maps `(B, C, H, W)` as they are, or as a copy that lies channels last."""
    if x.shape[1] == 1:  # of a single channel, both layouts are the same, and only the strides say which it is
        return x.contiguous().squeeze(1).unsqueeze(3).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def enter(model: nn.Module) -> None:
    """Let a model's 2-D convolutions take their maps channels last, and fuse its norms and poolings in training."""
    for module in model.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = _Convolution
    norm.fuse(model, True)


def leave(model: nn.Module) -> None:
    """Undo `enter`; nothing where it was not called."""
    for module in model.modules():
        if type(module) is _Convolution:
            module.__class__ = nn.Conv2d  # type: ignore[assignment]
    norm.fuse(model, False)


class _Convolution(nn.Conv2d):
    """A convolution that lays its maps out; only the class of a convolution between `enter` and `leave`."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if input.device.type == "cpu" and self._skips_places(input):
            return self._of_every_place(input, weight, bias)
        x = self._laid_out(input) if input.ndim == 4 else input
        if x.device.type != "cpu":
            return super()._conv_forward(x, weight, bias)  # type: ignore[no-any-return]
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if self.groups == self.in_channels > 1 and max(self.stride) > 1 and kind == torch.bfloat16:
            with torch.autocast("cpu", enabled=False):
                wide = None if bias is None else bias.float()
                return super()._conv_forward(x.float(), weight.float(), wide).to(kind)  # type: ignore[no-any-return]
        single = kind in {torch.float32, torch.bfloat16}
        if self.in_channels == 1 and x.requires_grad and single and self._is_plain(x):
            y: Tensor = _OfOneChannel.apply(  # type: ignore[no-untyped-call]
                x.to(kind), weight.to(kind), self.stride, self.padding[0]
            )
            return y
        if self._is_small_square() and bias is None and norm.here(x) and _agree(x, weight):
            kernel, maps = available("winograd_cpu"), x.to(kind)
            if kernel is not None and any(kernel.pays(maps, weight)):
                found: Tensor = kernel.Winograd.apply(maps, weight)
                return found
        return super()._conv_forward(x, weight, bias)  # type: ignore[no-any-return]

    def _is_small_square(self) -> bool:
        """Return whether this is a convolution with 3×3 kernels that keeps the size of its maps, in one group."""
        here = (self.kernel_size, self.stride, self.padding, self.dilation, self.groups, self.padding_mode)
        return here == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")

    def _laid_out(self, x: Tensor) -> Tensor:
        """Return the maps channels last, and contiguous where the weights, whose layout has to follow, are far more."""
        return x.contiguous() if self.weight.numel() > HEAVY * x.numel() else channels_last(x)

    def _skips_places(self, x: Tensor) -> bool:
        return x.ndim == 4 and self.kernel_size == (1, 1) and self.padding in {(0, 0), "valid"} and max(self.stride) > 1

    def _of_every_place(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the same maps as a convolution without a stride of the places that the stride does not skip."""
        x = self._laid_out(_EveryPlace.apply(x, *self.stride))  # type: ignore[no-untyped-call]
        return F.conv2d(x, weight, bias, groups=self.groups)

    def _is_plain(self, x: Tensor) -> bool:
        square = self.kernel_size[0] == self.kernel_size[1] and len(set(self.padding)) == 1
        zeros = self.padding_mode == "zeros" and self.dilation == (1, 1) and not isinstance(self.padding, str)
        return square and zeros and self.bias is None and x.ndim == 4


def _agree(x: Tensor, weight: Tensor) -> bool:
    """Return whether torch takes maps and weights of these types together, and computes in float32 or bfloat16."""
    small = {x.dtype, weight.dtype} <= {torch.float32, torch.bfloat16}
    return small and (x.dtype == weight.dtype or torch.is_autocast_enabled("cpu"))


class _EveryPlace(torch.autograd.Function):
    """Every so many places of maps `(B, C, H, W)`; the gradient lies in memory as the maps do.

    That of a slice of torch is contiguous, and so are the sums with it in all layers before.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, down: int, along: int) -> Tensor:
        ctx.like, ctx.steps = torch.empty_like(x, device="meta"), (down, along)
        return x[..., ::down, ::along].clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        whole = torch.zeros_like(ctx.like, device=gradient.device)
        down, along = ctx.steps
        whole[..., ::down, ::along] = gradient
        return whole, None, None


class _OfOneChannel(torch.autograd.Function):
    """Convolution of maps `(B, 1, H, W)` whose gradient of the maps is one product and a sum of shifted parts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, strides: tuple[int, int], padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.strides, ctx.padding = strides, padding
        return F.conv2d(x, weight, stride=strides, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        strides, padding = ctx.strides, ctx.padding
        again = torch.is_grad_enabled()  # the gradients are to be differentiated, too
        with torch.autocast("cpu", enabled=False):
            of_x, of_weight, _ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, strides, [padding] * 2, [1, 1], False, [0, 0], 1, [again, True, False]
            )
            if again:
                return of_x, of_weight, None, None
            return input_gradient(gradient, weight, strides, padding, x.shape), of_weight, None, None


def input_gradient(
    gradient: Tensor, weight: Tensor, strides: tuple[int, int], padding: int, shape: torch.Size
) -> Tensor:
    """Return the gradient of a convolution's input of one channel.

    Each tap of the kernel adds its share to the places that the strides leave. On one thread of a CPU, a kernel does
    this in one pass. Elsewhere all shares are one product; places of the same remainders by the strides are kept next
    to each other while they are added.

    Args:
        gradient: of the convolution's output `(B, C, H', W')`.
        weight: `(C, 1, K, K)`.
        strides: along rows and columns.
        padding: at both ends of both axes.
        shape: of the input, `(B, 1, H, W)`.
    """
    clips, channels, height, width = gradient.shape
    taps = weight.shape[2]
    if gradient.device.type == "cpu" and torch.get_num_threads() == 1 and not torch.compiler.is_compiling():
        kernel = available("stem_cpu")
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if kernel is not None and kernel.fits(gradient, strides):
            found: Tensor = kernel.input_gradient(gradient, weight, strides, padding, shape)
            return found
    rows = gradient.permute(0, 2, 3, 1).reshape(-1, channels)
    shares = (weight.reshape(channels, -1).T.float() @ rows.float().T).view(taps, taps, clips, height, width)
    edges = [-(-max(padding, taps - 1 - padding) // stride) for stride in strides]
    sizes = [
        max(size, -(-whole // stride)) for size, whole, stride in zip((height, width), shape[2:], strides, strict=True)
    ]
    high, long = (size + 2 * edge for size, edge in zip(sizes, edges, strict=True))
    sums = shares.new_zeros(*strides, clips, high, long)
    places = [
        [((tap - padding) % stride, edge + (tap - padding) // stride) for tap in range(taps)]
        for stride, edge in zip(strides, edges, strict=True)
    ]
    for i, (a, top) in enumerate(places[0]):
        for j, (b, left) in enumerate(places[1]):
            sums[a, b, :, top : top + height, left : left + width] += shares[i, j]
    whole = sums[..., edges[0] : edges[0] + sizes[0], edges[1] : edges[1] + sizes[1]].permute(2, 3, 0, 4, 1)
    inner = whole.reshape(clips, 1, strides[0] * sizes[0], strides[1] * sizes[1])[..., : shape[2], : shape[3]]
    return inner.to(gradient.dtype)
