"""LightNet's MobileNetV2 networks: every stage of a dilated trunk in one concatenation, gated, and a context block.

Huijun Liu, "LightNet: Light-weight Networks for Semantic Image Segmentation", TU Braunschweig, 2018. The trunk is that
of Sandler et al., arXiv 1801.04381, without its last 1280 channels; ExFuse's semantic supervision: arXiv 1804.03821.

`faithful=False` mends what the authors' code did and did not mean: the zero ring of ASPP and vortex pooling, and the
norms that the receptive field block lost. `rates` hold no weights, so that a network trained at half size can be
evaluated with doubled ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.parts import ConvNormAct, InvertedResidual, conv, initialise
from swath.networks.parts.context import ASPP, RFB, Rates, VortexPooling
from swath.networks.parts.gates import SCSE
from swath.networks.parts.lightnet import PROJECT, LightNet, head, initialise_gates
from swath.networks.registry import Claims, register

# Stages of inverted residuals: channels, expansion, blocks, stride of the first, dilation.
_STAGES = (
    (16, 1, 1, 1, 1),
    (24, 6, 2, 2, 1),
    (32, 6, 3, 2, 1),
    (64, 6, 4, 1, 2),
    (96, 6, 3, 1, 4),
    (160, 6, 3, 1, 8),
    (320, 6, 1, 1, 16),
)


class MobileNetPlus(LightNet):
    """`context(i, o)` builds the context block; `presence` adds a head for "what occurs here" to every stage;
    `hidden` is the width of the last but one convolution where it is not that of its input."""

    stride = 4

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        context: Callable[[int, int], nn.Module],
        gate: Callable[[int], nn.Module] = SCSE,
        width: float = 1.0,
        abn_slope: float = 0.1,
        align_corners: bool = True,
        checkpointing: bool = False,
        padded_pools: bool = False,
        presence: bool = False,
        hidden: int = 0,
    ):
        super().__init__(
            num_classes=num_classes, in_channels=in_channels, align_corners=align_corners, checkpointing=checkpointing
        )
        self.padded_pools = padded_pools
        i = int(32 * width)
        self.stem = ConvNormAct(in_channels, i, 3, 2)
        self.stages = nn.ModuleList()
        widths = []
        for channels, expand, blocks, stride, dilation in _STAGES:
            o = int(channels * width)
            self.stages.append(_stage(i, o, expand, blocks, stride, dilation))
            widths.append(o)
            i = o
        together, joined = sum(widths), 256 + widths[1] + widths[0]
        self.gate = gate(together)
        self.context = context(together, 256)
        self.detail_gate = gate(joined)
        self.head = head(joined, num_classes, abn_slope, hidden)
        if presence:
            self.aux_heads = nn.ModuleList([_PresenceHead(o, num_classes) for o in widths])
            self.aux_weights = (0.2,) * len(widths)
            self.aux_kinds = ("presence",) * len(widths)
        initialise(self)
        initialise_gates(self, 0.01)

    def trunk(self, image: Tensor) -> list[Tensor]:
        """The maps of the seven stages."""
        x = self.run(self.stem, image)
        maps = []
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                x = self.run(block, x)
            maps.append(x)
        return maps

    def gather(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """All stages at stride 8, and the first one at stride 4."""
        first = self.pool(maps[0])
        return torch.cat((*maps[2:], self.pool(first), self.pool(maps[1])), 1), first

    def pool(self, x: Tensor) -> Tensor:
        if self.padded_pools:
            return F.max_pool2d(x, 3, 2, 1)
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def features(self, maps: list[Tensor]) -> Tensor:
        """What the head reads, at stride 4."""
        together, first = self.gather(maps)
        context = self.run(self.context, self.run(self.gate, together))
        joined: Tensor = self.run(self.detail_gate, torch.cat((context, maps[1], first), 1))
        return joined

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        maps = self.trunk(image)
        main: Tensor = self.run(self.head, self.features(maps))
        if self.training:
            return [main, *(each(x) for each, x in zip(self.aux_heads, maps))]
        return main


class MobileNetShare(MobileNetPlus):
    """Everything but the head works on the picture's quadrants, as a batch four times as large.

    A large crop in the memory of small ones, at the cost of seams; same weights as `MobileNetPlus`.
    """

    multiple = 16

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        n, c, h, w = image.shape
        quadrants = image.reshape(n, c, 2, h // 2, 2, w // 2).permute(2, 4, 0, 1, 3, 5).flatten(0, 2)
        features = self.features(self.trunk(quadrants)).unflatten(0, (2, 2, n))
        whole = features.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3)
        main: Tensor = self.run(self.head, whole)
        return [main] if self.training else main


class _PresenceHead(nn.Sequential):
    """ExFuse's semantic supervision: which classes occur, from one stage; N x classes x 1 x 1."""

    def __init__(self, channels: int, num_classes: int):
        middle, last = 3 * (channels // 2), max(1, 3 * (num_classes // 2))
        super().__init__(
            conv(channels, middle, (1, 7)),
            nn.BatchNorm2d(middle),
            nn.LeakyReLU(0.1, inplace=True),
            conv(middle, last, (7, 1)),
            nn.BatchNorm2d(last),
            nn.LeakyReLU(0.1, inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(last, num_classes, 1),
        )


def _stage(i: int, o: int, expand: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            InvertedResidual(
                o if block else i, o, 1 if block else stride, expand, dilation, act=_relu6, expand_always=True
            )
            for block in range(blocks)
        )
    )


def _relu6() -> nn.Module:
    return nn.ReLU6(inplace=True)


def _product(channels: int) -> SCSE:
    return SCSE(channels, product=True)


def _aspp(i: int, o: int, rates: Rates, slope: float, align_corners: bool, faithful: bool) -> nn.Module:
    return ASPP(i, o, rates, 2, slope, faithful, align_corners)


def _separable_aspp(i: int, o: int, rates: Rates, slope: float, align_corners: bool, faithful: bool) -> nn.Module:
    return ASPP(i, o, rates, 2, slope, faithful, align_corners, separable=True)


def rfb(i: int, o: int, rates: Rates, slope: float, align_corners: bool, faithful: bool) -> nn.Module:
    return RFB(i, o, rates, 2, slope, not faithful, align_corners)


def _vortex(i: int, o: int, rates: Rates, slope: float, align_corners: bool, faithful: bool) -> nn.Module:
    return VortexPooling(i, o, rates, 2, faithful, align_corners)


def _variant(
    name: str,
    aliases: tuple[str, ...],
    context: Callable[[int, int, Rates, float, bool, bool], nn.Module],
    network: type[MobileNetPlus] = MobileNetPlus,
    rates: Rates = (12, 24, 36),
    size: tuple[int, int] = (448, 896),
    gate: Callable[[int], nn.Module] = SCSE,
    padded_pools: bool = False,
    claims: Claims | None = None,
) -> None:
    @register(name, paper=PROJECT, year=2018, stride=4, size=size, aliases=aliases, claims=claims)
    def build(
        num_classes: int,
        in_channels: int,
        width: float = 1.0,
        rates: Rates = rates,
        abn_slope: float = 0.1,
        align_corners: bool = True,
        faithful: bool = True,
        checkpointing: bool = False,
    ) -> MobileNetPlus:
        def block(i: int, o: int) -> nn.Module:
            return context(i, o, rates, abn_slope, align_corners, faithful)

        return network(
            num_classes, in_channels, block, gate, width, abn_slope, align_corners, checkpointing, padded_pools
        )


_COUNTER = "claimed MACs come from a counter that ignores dilation, counted rightly they are {} G; "
_SYNTHETIC = "trained on GAN-synthesised pictures as well"
_variant(
    "mobilenetv2plus",
    ("MobileNetV2Plus",),
    _aspp,
    claims=Claims(
        params_m=8.3,
        gmacs=117.1,
        miou={"cityscapes val": 73.89, "cityscapes test": 70.72},
        note=_COUNTER.format("65.96") + _SYNTHETIC + " (without them 70.13 val, 68.90 test)",
    ),
)
_variant(
    "rf_mobilenetv2plus",
    ("RF-MobileNetV2Plus", "RFMobileNetV2Plus"),
    rfb,
    claims=Claims(
        params_m=8.6,
        gmacs=87.6,
        miou={"cityscapes val": 72.37, "cityscapes test": 70.68},
        note=_COUNTER.format("68.69") + _SYNTHETIC,
    ),
)
_variant("mobilenetv2share", ("MobileNetV2Share",), _aspp, MobileNetShare, size=(896, 1792))
_variant(
    "mobilenetv2aspp",
    ("MobileNetV2ASPP", "MobileNetV2SDASPP"),
    _separable_aspp,
    gate=_product,
    padded_pools=True,
    claims=Claims(miou={"cityscapes val": 73.17, "cityscapes test": 70.09}, note=_SYNTHETIC),
)
_variant("mobilenetv2vortex", ("MobileNetV2Vortex",), _vortex, rates=(3, 9, 27), gate=_product, padded_pools=True)


@register("mobilenetv2exfuse", paper=PROJECT, year=2018, stride=4, size=(448, 896), aliases=("MobileNetV2ExFuse",))
def mobilenetv2exfuse(
    num_classes: int,
    in_channels: int,
    width: float = 1.0,
    rates: Rates = (12, 24, 36),
    abn_slope: float = 0.1,
    align_corners: bool = True,
    faithful: bool = True,
    checkpointing: bool = False,
    aux: bool = True,
) -> MobileNetPlus:
    """`rf_mobilenetv2plus`, told in training which classes occur (binary cross-entropy, weight 0.2 each)."""

    def block(i: int, o: int) -> nn.Module:
        return rfb(i, o, rates, abn_slope, align_corners, faithful)

    return MobileNetPlus(
        num_classes, in_channels, block, SCSE, width, abn_slope, align_corners, checkpointing, presence=aux
    )
