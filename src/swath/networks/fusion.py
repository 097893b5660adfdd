"""Fold batch norms into the convolutions before them: the same answers in eval mode with fewer passes over memory."""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

M = TypeVar("M", bound=nn.Module)


def fuse(model: M) -> M:
    """A copy of `model` in eval mode whose convolution-norm pairs are single convolutions.

    Pairs are neighbours within an `nn.Sequential`: there nothing else can read what lies between them.
    """
    fused = copy.deepcopy(model).eval()
    for module in list(fused.modules()):
        if isinstance(module, nn.Sequential):
            _fuse_neighbours(module)
    return fused


def _fuse_neighbours(chain: nn.Sequential) -> None:
    names = list(chain._modules)
    for first, second in itertools.pairwise(names):
        convolution, norm = chain._modules[first], chain._modules[second]
        if (
            isinstance(convolution, (nn.Conv2d, nn.ConvTranspose2d))
            and isinstance(norm, nn.BatchNorm2d)
            and norm.track_running_stats
        ):
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            chain._modules[first] = fuse_conv_bn_eval(convolution, norm, transpose=transposed)
            chain._modules[second] = nn.Identity()
