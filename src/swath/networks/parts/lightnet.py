"""What the LightNet families share: any size by padding, the head, deep supervision, preprocessing, first weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts.checkpointing import checkpointed
from swath.networks.parts.context import ASPP, Rates, abn
from swath.networks.parts.conv import conv
from swath.networks.parts.gates import SCSE, SE
from swath.networks.parts.resize import crop_to, resize_to
from swath.networks.preprocess import Preprocess

PROJECT = "https://github.com/linksense/LightNet"  # announced by its authors, never published as a paper
_MEANS = (73.16, 82.91, 72.39)  # of red, green and blue in Cityscapes


class LightNet(Network):
    """Pads the input at the right and bottom to a multiple, and cuts the logits back.

    The authors subtract the means of red, green and blue from blue, green and red; here each meets its own channel.
    """

    multiple = 8

    def __init__(self, *, num_classes: int, in_channels: int, align_corners: bool, checkpointing: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.align_corners = align_corners
        self.checkpointing = checkpointing
        self.preprocess = _preprocess(in_channels)

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        """Logits of a picture whose sides are multiples of `multiple`."""
        raise NotImplementedError

    def run(self, block: nn.Module, *inputs: Tensor) -> Any:
        """A block, checkpointed where the user asked for it."""
        return checkpointed(block, *inputs) if self.checkpointing else block(*inputs)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        height, width = image.shape[-2:]
        bottom = (height + self.multiple - 1) // self.multiple * self.multiple - height
        right = (width + self.multiple - 1) // self.multiple * self.multiple - width
        output = self.padded_logits(F.pad(image, (0, right, 0, bottom)))
        size = (height + self.stride - 1) // self.stride, (width + self.stride - 1) // self.stride
        if not isinstance(output, list):
            return crop_to(output, size)
        main, *aux = output
        return [crop_to(main, size), *(aux if "presence" in self.aux_kinds else [crop_to(each, size) for each in aux])]


class Cascade(nn.Module):
    """Three ASPP from coarse to fine, a score from each, and a fourth from the largest of the three.

    `skip_norms` act on the two finer maps of the trunk; the concatenations are shuffled in `groups`.
    """

    def __init__(
        self,
        channels: tuple[int, int, int],
        widths: tuple[int, int, int],
        rates: Rates,
        last_up: int,
        groups: int,
        skip_norms: tuple[nn.Module, nn.Module],
        num_classes: int,
        slope: float,
        context_slope: float,
        ring: bool,
        align_corners: bool,
    ):
        super().__init__()
        self.groups, self.align_corners = groups, align_corners
        inputs = (channels[0], widths[0] + channels[1], widths[1] + channels[2])
        scales = ((1, 2), (2, 2), (4, last_up))
        self.contexts = nn.ModuleList(
            [
                ASPP(i, o, (rates[0] * s, rates[1] * s, rates[2] * s), up, context_slope, ring, align_corners)
                for i, o, (s, up) in zip(inputs, widths, scales)
            ]
        )
        self.skip_norms = nn.ModuleList(skip_norms)
        self.scores = nn.ModuleList([nn.Sequential(nn.Conv2d(o, num_classes, 1), SE(num_classes, 4)) for o in widths])
        self.joint = nn.Sequential(*abn(num_classes, slope), nn.Conv2d(num_classes, num_classes, 1), SE(num_classes, 4))

    def forward(self, coarse: Tensor, middle: Tensor, fine: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        """Scores at the size of the map `size`: the joint one, then the three it comes from."""
        first, x = self.contexts[0].both(coarse)  # type: ignore[operator]
        x = shuffle(torch.cat((x, self.skip_norms[0](middle)), 1), self.groups)
        second, x = self.contexts[1].both(x)  # type: ignore[operator]
        x = shuffle(torch.cat((x, self.skip_norms[1](fine)), 1), self.groups)
        third = self.contexts[2](x)
        shape = (size.shape[-2], size.shape[-1])
        coarse_score = resize_to(self.scores[0](first), shape, self.align_corners)
        middle_score = resize_to(self.scores[1](second), shape, self.align_corners)
        fine_score: Tensor = self.scores[2](third)
        joint: Tensor = self.joint(torch.maximum(torch.maximum(coarse_score, middle_score), fine_score))
        return joint, coarse_score, middle_score, fine_score


def head(channels: int, num_classes: int, slope: float, hidden: int = 0) -> nn.Sequential:
    """The two convolutions that end most of these networks."""
    hidden = hidden or channels
    return nn.Sequential(
        *abn(channels, slope),
        conv(channels, hidden, 3, dilation=2),
        *abn(hidden, slope),
        nn.Conv2d(hidden, num_classes, 1),
    )


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle (arXiv 1707.01083): every group hands a channel to every other one."""
    mixed: Tensor = x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
    return mixed


def initialise_leaky(model: nn.Module, init: Callable[..., Tensor]) -> None:
    """`init` (a Kaiming rule) at fan-in for slope 0.1, gates Xavier with gain 0.1, norms 1 and 0, biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            init(module.weight, a=0.1, nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for layer in _gate_layers(model):
        nn.init.xavier_uniform_(layer.weight, gain=0.1)


def initialise_gates(model: nn.Module, std: float) -> None:
    for layer in _gate_layers(model):
        nn.init.normal_(layer.weight, std=std)


def _gate_layers(model: nn.Module) -> list[nn.Conv2d]:
    gates = [module.channel for module in model.modules() if isinstance(module, (SE, SCSE))]
    return [layer for gate in gates for layer in gate if isinstance(layer, nn.Conv2d)]


def _preprocess(channels: int) -> Preprocess:
    """Means without deviations; grey gets their average, channels beyond RGB the middle of the range."""
    means = tuple(mean / 255 for mean in _MEANS)
    if channels == 1:
        return Preprocess((sum(means) / 3,), (1.0,))
    extra = max(0, channels - 3)
    return Preprocess(means[:channels] + (0.5,) * extra, (1.0,) * channels)
