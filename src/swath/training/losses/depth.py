"""Losses of depth. Each takes values (N x H x W) and true metres (N x H x W, 0: not measured).

All are over measured pixels, and 0 with a zero gradient where there are none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.training.losses.options import Share, SomeAmount, SomeShare


def berhu(metres: Tensor, truth: Tensor, share: SomeShare = 0.2) -> Tensor:
    """The reverse Huber loss: |d| up to c, (d^2 + c^2) / 2c beyond, where c is `share` of the largest |d| of the batch
    (Laina et al., arXiv 1606.00373). Of the plain output: a ReLU before it would let negative ones learn nothing."""
    measured = truth > 0
    off = torch.where(measured, metres - truth, 0).abs()
    cut = (share * off.detach().max()).clamp(min=torch.finfo(off.dtype).tiny)
    each = torch.where(off <= cut, off, (off.square() + cut.square()) / (2 * cut))
    return torch.where(measured, each, 0).sum() / measured.sum().clamp(min=1)


def scale_invariant(metres: Tensor, truth: Tensor, balance: Share = 0.5, floor: SomeAmount = 0.5) -> Tensor:
    """Of d = log(metres) - log(truth): the mean square less `balance` times the squared mean, picture by picture
    (Eigen, Puhrsch and Fergus, arXiv 1406.2283). For log(x / floor) stands asinh(x / 2 floor), which is the same well
    above `floor` metres, and which an output of 0 or less has too (a fresh network's are anything)."""
    off, count = _log_errors(metres, truth, floor)
    each = _spread(off.flatten(1).sum(1), off.square().flatten(1).sum(1), count.flatten(1).sum(1), balance)
    return each.sum() / count.flatten(1).any(1).sum().clamp(min=1)


def silog(metres: Tensor, truth: Tensor, balance: Share = 0.85, floor: SomeAmount = 0.5) -> Tensor:
    """The root of the same over the whole batch, times 10 (Lee et al., BTS, arXiv 1907.10326)."""
    off, count = _log_errors(metres, truth, floor)
    inside = _spread(off.sum(), off.square().sum(), count.sum(), balance)
    tiny = torch.finfo(off.dtype).eps ** 2  # a root is infinitely steep at 0
    root: Tensor = (inside.clamp(min=0) + tiny).sqrt() - tiny**0.5
    return 10 * root


def smooth_l1(metres: Tensor, truth: Tensor, beta: SomeAmount = 1.0) -> Tensor:
    """d^2 / 2 beta up to |d| = beta, |d| - beta / 2 beyond (Girshick, arXiv 1504.08083)."""
    measured = truth > 0
    each = F.smooth_l1_loss(torch.where(measured, metres, 0), truth, beta=beta, reduction="none")
    return torch.where(measured, each, 0).sum() / measured.sum().clamp(min=1)


def mean_difference(metres: Tensor, truth: Tensor, epsilon: SomeAmount = 1e-3, power: SomeShare = 0.45) -> Tensor:
    """Charbonnier's function of the difference of the two means: ((mp - mt)^2 + e^2)^power - e^(2 power), so that the
    scale comes right first (EdgeAI-Lite's `scale_loss`)."""
    off, count = _errors(metres, truth)
    mean = off.sum() / count.sum().clamp(min=1)
    least = torch.full_like(mean, epsilon**2)
    return (mean.square() + least).pow(power) - least.pow(power)


def error_variance(metres: Tensor, truth: Tensor) -> Tensor:
    """The variance of the error (EdgeAI-Lite's `supervised_error_var`)."""
    off, count = _errors(metres, truth)
    pixels = count.sum().clamp(min=1)
    return torch.where(count, off - off.sum() / pixels, 0).square().sum() / pixels


def _errors(metres: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Differences, 0 where nothing was measured, and where something was."""
    measured = truth > 0
    return torch.where(measured, metres - truth, 0), measured


def _log_errors(metres: Tensor, truth: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    measured = truth > 0
    return torch.where(measured, (metres / (2 * floor)).asinh() - (truth / (2 * floor)).asinh(), 0), measured


def _spread(total: Tensor, squares: Tensor, count: Tensor, balance: float) -> Tensor:
    """The mean square less `balance` times the squared mean."""
    pixels = count.clamp(min=1)
    return squares / pixels - balance * (total / pixels).square()
