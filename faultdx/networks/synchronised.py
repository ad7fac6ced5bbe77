"""Batch normalisation over the segments of all processes of a training, as if one process had the whole batch.

torch.nn.SyncBatchNorm does this on GPUs only; this one runs wherever the processes can talk to each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faultdx.networks.units import BatchNorm

Gather = Callable[[Tensor], Tensor]  # (n,) of this process -> (processes, n), in the order of the processes
Add = Callable[[Tensor], Tensor]  # a tensor of this process -> the sum over all processes


def synchronise(network: torch.nn.Module, *, gather: Gather, add: Add) -> None:
    """Let every batch normalisation of `network` take its statistics, in training mode, from all processes.

    All processes then have to run the same forward and backward passes, each with its part of the batch; a part may be
    empty. The running statistics stay the same everywhere.
    """

    def across(norm: BatchNorm, x: Tensor) -> Tensor:
        return _normalised(norm, x, gather, add)

    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.across = across


def _normalised(norm: BatchNorm, x: Tensor, gather: Gather, add: Add) -> Tensor:
    mean, var, count = statistics(x.detach(), norm.num_features, gather)
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    if count <= 1:  # no variance: see `BatchNorm`
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    with torch.no_grad():
        momentum = 0.1 if norm.momentum is None else norm.momentum
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(var * (count / (count - 1)), momentum)  # unbiased, as torch keeps it
    out: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
        x, norm.weight, norm.bias, mean, var, norm.eps, count, add
    )
    return out


def statistics(x: Tensor, channels: int, gather: Gather) -> tuple[Tensor, Tensor, float]:
    """Return the mean (C,), the biased variance (C,) and the number of values a channel, over all processes.

    From the means and sums of squares of the parts (Chan, Golub & LeVeque 1979): nothing large is subtracted.
    """
    said = torch.zeros(2 * channels + 1, dtype=torch.float64, device=x.device)
    if x.numel():
        mean, var = torch.batch_norm_update_stats(x, None, None, 0.0)
        count = x.numel() // channels
        said[:channels], said[channels:-1], said[-1] = mean, var * count, count
    everyone = gather(said)
    counts = everyone[:, -1:]
    total = float(counts.sum())
    if not total:
        return said[:channels].to(x.dtype), said[channels:-1].to(x.dtype), 0.0
    means, squares = everyone[:, :channels], everyone[:, channels:-1]
    mean = (counts * means).sum(0) / total
    var = (squares.sum(0) + (counts * (means - mean).square()).sum(0)) / total
    return mean.to(x.dtype), var.to(x.dtype), total


class _Normalise(torch.autograd.Function):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, where mean and var depend on the x of all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        var: Tensor,
        eps: float,
        count: float,
        add: Add,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps, ctx.count, ctx.add = eps, count, add
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Ioffe & Szegedy 2015, section 3, with the sums over the batch taken over all processes."""
        x, weight, mean, var = ctx.saved_tensors
        dy = gradients[0]
        inverse = (var + ctx.eps).rsqrt()
        if x.numel():
            # in evaluation mode torch's kernel gives the sums over this part: of dy, and of dy * (x - mean) / std
            _, dy_x, dy_sum = torch.ops.aten.native_batch_norm_backward(
                dy, x, weight, mean, var, None, None, False, ctx.eps, [False, True, True]
            )
        else:
            dy_x, dy_sum = torch.zeros_like(weight), torch.zeros_like(weight)
        everyone = ctx.add(torch.stack([dy_sum, dy_x])) / ctx.count
        shape = (1, -1, *[1] * (x.dim() - 2))
        scale = weight * inverse
        dx = x - mean.view(shape)
        dx.mul_((-scale * inverse * everyone[1]).view(shape)).sub_((scale * everyone[0]).view(shape))
        dx.addcmul_(dy, scale.view(shape))
        return dx, dy_x, dy_sum, None, None, None, None, None
