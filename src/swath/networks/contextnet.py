"""ContextNet: a shallow branch on the whole image for detail, a deep one on a small copy for context.

Poudel, Bonde, Liwicki, Zach, "ContextNet: Exploring Context and Detail for Semantic Segmentation in Real-time",
BMVC 2018, arXiv 1805.04554.

The deep branch ends with the last inverted residual: that has the 0.85 M convolution weights of the paper, while a
further 3x3 convolution (`final_conv`) has 1.0 M. One width factor acts on every layer, rounded to multiples of 4; that
gives the 0.5 M and 0.16 M variants too. `residual_relu` adds the ReLU after each inverted residual that a public
implementation has and MobileNetV2 has not. Auxiliary heads (`aux`) stand at the end of both branches, weight 0.4 each.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, InvertedResidual, SeparableConv, initialise, resize_as, resize_to
from swath.networks.registry import Claims, register

# Inverted residuals of the context branch: expansion, channels, blocks, stride of the first.
_CONTEXT = ((1, 32, 1, 1), (6, 32, 1, 1), (6, 48, 3, 2), (6, 64, 3, 2), (6, 96, 2, 1), (6, 128, 2, 1))


class ContextNet(Network):
    """Two branches, joined by one addition at stride 8."""

    stride = 8
    align_corners = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        context_scale: int,
        width: float,
        final_conv: bool = False,
        residual_relu: bool = False,
        aux: bool = False,
    ):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        if context_scale < 1 or width <= 0:
            raise SwathError(f"contextnet: context_scale {context_scale} must be 1 or more and width {width} above 0")

        def w(channels: int) -> int:
            return max(4, int(channels * width / 4 + 0.5) * 4)

        self.context_scale = context_scale
        self.min_size = (8 * context_scale, 8 * context_scale)
        self.detail = nn.Sequential(
            ConvNormAct(in_channels, w(32), 3, 2),
            SeparableConv(w(32), w(64), 2),
            SeparableConv(w(64), w(128), 2),
            SeparableConv(w(128), w(128)),
        )
        self.context = _context_branch(in_channels, w, final_conv, residual_relu)
        self.fuse_context = nn.Sequential(
            ConvNormAct(w(128), w(128), 3, dilation=4, groups=w(128)),
            ConvNormAct(w(128), w(128), 1, act=None),
        )
        self.fuse_detail = ConvNormAct(w(128), w(128), 1, act=None)
        self.activate = nn.ReLU(inplace=True)
        last = nn.Conv2d(w(128), num_classes, 1)
        self.classifier = nn.Sequential(
            SeparableConv(w(128), w(128)), SeparableConv(w(128), w(128)), nn.Dropout(0.1), last
        )
        if aux:
            self.aux_heads = nn.ModuleList([_aux_head(w(128), num_classes) for _ in range(2)])
            self.aux_weights = (0.4, 0.4)
        initialise(self)
        nn.init.normal_(last.weight, std=0.01)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        height, width = image.shape[-2:]
        detail = self.detail(image)
        small = resize_to(image, (height // self.context_scale, width // self.context_scale), align_corners=True)
        context = self.context(small)
        enlarged = resize_as(context, detail, align_corners=True)
        joined = self.activate(self.fuse_context(enlarged) + self.fuse_detail(detail))
        main: Tensor = self.classifier(joined)
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (detail, context)))]
        return main


def _context_branch(in_channels: int, w: Callable[[int], int], final_conv: bool, residual_relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = [ConvNormAct(in_channels, w(32), 3, 2)]
    i = w(32)
    for expand, channels, blocks, stride in _CONTEXT:
        for block in range(blocks):
            layers.append(InvertedResidual(i, w(channels), stride if block == 0 else 1, expand, expand_always=True))
            if residual_relu:
                layers.append(nn.ReLU())  # not in place: its input is the sum that autograd keeps
            i = w(channels)
    if final_conv:
        layers.append(ConvNormAct(i, w(128), 3))
    return nn.Sequential(*layers)


def _aux_head(channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(SeparableConv(channels, channels), nn.Dropout(0.1), nn.Conv2d(channels, num_classes, 1))


def _variant(name: str, context_scale: int, width: float, aliases: tuple[str, ...], claims: Claims) -> None:
    """Register one flavour; its scale and width stay keywords, so that pruning can start from a wider one."""

    @register(
        name,
        paper="https://arxiv.org/abs/1805.04554",
        year=2018,
        stride=8,
        size=(1024, 2048),
        aliases=aliases,
        claims=claims,
    )
    def build(
        num_classes: int,
        in_channels: int,
        width: float = width,
        context_scale: int = context_scale,
        final_conv: bool = False,
        residual_relu: bool = False,
        aux: bool = False,
    ) -> ContextNet:
        return ContextNet(num_classes, in_channels, context_scale, width, final_conv, residual_relu, aux)


_NOTE = "parameters: convolution weights only; FPS from the paper, one Titan X"
_variant(
    "contextnet12",
    2,
    1.0,
    ("cn12", "ContextNet12"),
    Claims(params_m=0.85, miou={"cityscapes val": 68.7}, fps={"Titan X, 2048x1024": 11.4}, note=_NOTE),
)
_variant(
    "contextnet14",
    4,
    1.0,
    ("cn14", "ContextNet14"),
    Claims(
        params_m=0.85,
        miou={"cityscapes val": 65.9, "cityscapes test": 66.1},
        fps={"Titan X, 2048x1024": 18.3},
        note=_NOTE,
    ),
)
_variant(
    "contextnet18",
    8,
    1.0,
    ("cn18", "ContextNet18"),
    Claims(params_m=0.85, miou={"cityscapes val": 60.1}, fps={"Titan X, 2048x1024": 21.0}, note=_NOTE),
)
_variant(
    "contextnet14_500",
    4,
    0.75,
    ("cn14-500", "ContextNet14-500"),
    Claims(params_m=0.49, miou={"cityscapes val": 62.1}, fps={"Titan X, 2048x1024": 20.6}, note=_NOTE),
)
_variant(
    "contextnet14_160",
    4,
    0.4125,
    ("cn14-160", "ContextNet14-160"),
    Claims(params_m=0.16, miou={"cityscapes val": 57.7}, fps={"Titan X, 2048x1024": 22.0}, note=_NOTE),
)
