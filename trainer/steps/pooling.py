"""Max pooling on a CPU with channels last, where torch's kernel is vectorised: the same bits, several times as fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.library import custom_op

LAST, FIRST = torch.channels_last, torch.contiguous_format
_POOL = torch.ops.aten.max_pool2d_with_indices
_BACKWARD = torch.ops.aten.max_pool2d_with_indices_backward


def pool_with_channels_last(network: nn.Module) -> None:
    """Put `MaxPoolLast` in the place of each max pooling of a network of images, under the same name."""
    for path, module in list(network.named_modules()):
        if type(module) is nn.MaxPool2d and not module.return_indices and path:
            network.set_submodule(path, MaxPoolLast.like(module))


class MaxPoolLast(nn.MaxPool2d):
    """`nn.MaxPool2d`: images whose channels come first are laid out with channels last for it, and back again.

    Compiled, it is one operation, which keeps that layout: what the compiler makes of pooling itself is slower.
    """

    @classmethod
    def like(cls, pool: nn.MaxPool2d) -> MaxPoolLast:
        """The same pooling, in the same mode."""
        made = cls(pool.kernel_size, pool.stride, pool.padding, pool.dilation, ceil_mode=pool.ceil_mode)
        return made.train(pool.training)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.dtype != torch.float32:
            return super().forward(x)  # type: ignore[no-any-return]
        if torch.compiler.is_compiling():
            sizes = [_pair(one) for one in (self.kernel_size, self.stride, self.padding, self.dilation)]
            return _pooled(x, *sizes, self.ceil_mode)[0]  # type: ignore[no-any-return]
        if not x.is_contiguous() or x.is_contiguous(memory_format=LAST):
            return super().forward(x)  # type: ignore[no-any-return]
        return _ToLayout.apply(super().forward(_ToLayout.apply(x, LAST)), FIRST)  # type: ignore[no-any-return]


def _pair(size: Any) -> list[int]:
    return list(size) if isinstance(size, (tuple, list)) else [size, size]


class _ToLayout(torch.autograd.Function):
    """A tensor in another layout, whose gradient is laid out as the tensor was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: torch.memory_format) -> Tensor:
        ctx.back = FIRST if layout is LAST else LAST
        return x.contiguous(memory_format=layout)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.contiguous(memory_format=ctx.back), None


@custom_op("archspec::max_pool", mutates_args=(), tags=(torch.Tag.flexible_layout,))
def _pooled(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], dilation: list[int], ceil: bool
) -> tuple[Tensor, Tensor]:
    """The greatest values and their positions, both with channels last."""
    values, indices = _POOL(x.contiguous(memory_format=LAST), kernel, stride, padding, dilation, ceil)
    return values, indices


@custom_op("archspec::max_pool_backward", mutates_args=(), tags=(torch.Tag.flexible_layout,))
def _gradient(
    gradient: Tensor,
    x: Tensor,
    indices: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    ceil: bool,
) -> Tensor:
    laid = [one.contiguous(memory_format=LAST) for one in (gradient, x, indices)]
    return _BACKWARD(laid[0], laid[1], kernel, stride, padding, dilation, ceil, laid[2])  # type: ignore[no-any-return]


@_pooled.register_fake
def _(x: Tensor, *sizes: Any) -> tuple[Tensor, Tensor]:
    values, indices = _POOL(x.contiguous(memory_format=LAST), *sizes)
    return values, indices


@_gradient.register_fake
def _(gradient: Tensor, x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x, memory_format=LAST)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    x, *ctx.sizes = inputs
    ctx.save_for_backward(x, output[1])


def _backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor, None, None, None, None, None]:
    return _gradient(gradient, *ctx.saved_tensors, *ctx.sizes), None, None, None, None, None


_pooled.register_autograd(_backward, setup_context=_keep)
