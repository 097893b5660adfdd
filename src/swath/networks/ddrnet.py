"""DDRNet: two resolutions that exchange what they know, and a context pyramid at stride 64.

Hong, Pan, Sun, Jia, "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes",
arXiv 2101.06085; extended as Pan, Hong, Sun, Jia, IEEE T-ITS 2022.

As the authors' own code has it: the stem's convolutions have biases, the pyramid is in pre-activation order, nothing
aligns corners. One auxiliary head (`aux`) stands on the high resolution after its first exchange, weight 0.4.
"""

from __future__ import annotations

from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, initialise, resize_as
from swath.networks.parts.dual_resolution import DAPPM, bottleneck, chain, head, stem
from swath.networks.registry import Claims, register


class DDRNet(Network):
    """`width` is that of the stem; `blocks` are those of layer1, layer2, each exchange at stride 16, that at 32."""

    stride = 8
    deepest = 512  # the coarsest pool of the pyramid

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        width: int,
        head_width: int,
        blocks: tuple[int, int, int, int],
        exchanges: int,
        aux: bool,
    ):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        p, h = width, 2 * width
        first, second, third, fourth = blocks
        self.stem = stem(in_channels, p)
        self.layer1 = chain(p, p, first)
        self.layer2 = chain(p, 2 * p, second, stride=2)
        self.exchanges = nn.ModuleList()
        for exchange in range(exchanges):
            i, stride = (2 * p, 2) if exchange == 0 else (4 * p, 1)
            down = nn.Sequential(ConvNormAct(h, 4 * p, 3, 2, act=None))
            self.exchanges.append(Exchange(i, 4 * p, h, third, stride, down))
        deeper = nn.Sequential(ConvNormAct(h, 4 * p, 3, 2), ConvNormAct(4 * p, 8 * p, 3, 2, act=None))
        self.last_exchange = Exchange(4 * p, 8 * p, h, fourth, 2, deeper)
        self.high = bottleneck(h, h)
        self.low = nn.Sequential(bottleneck(8 * p, 8 * p, stride=2), DAPPM(16 * p, 128, 4 * p))
        self.head = head(4 * p, head_width, num_classes)
        if aux:
            self.aux_heads = nn.ModuleList([head(h, head_width, num_classes)])
            self.aux_weights = (0.4,)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        x = self.layer2(self.layer1(self.stem(image)).relu())
        h = x
        for exchange in self.exchanges:
            x, h = exchange(x, h)
        middle = h
        x, h = self.last_exchange(x, h)
        h = self.high(h.relu())
        main: Tensor = self.head(resize_as(self.low(x.relu()), h) + h)
        if self.training:
            return [main, *(each(middle) for each in self.aux_heads)]
        return main


class Exchange(nn.Module):
    """Both resolutions go on by themselves; then each is added to the other. The high one receives the low one as it
    was before it received the high one."""

    def __init__(self, i: int, o: int, high: int, blocks: int, stride: int, down: nn.Sequential):
        super().__init__()
        self.low = chain(i, o, blocks, stride)
        self.high = chain(high, high, blocks)
        self.down = down
        self.up = ConvNormAct(o, high, 1, act=None)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.low(x.relu()), self.high(h.relu())
        x = low + self.down(high.relu())
        h = high + resize_as(self.up(low.relu()), high)
        return x, h


def _variant(
    name: str,
    alias: str,
    width: int,
    head_width: int,
    blocks: tuple[int, int, int, int],
    exchanges: int,
    claims: Claims,
) -> None:
    @register(name, paper="https://arxiv.org/abs/2101.06085", year=2021, stride=8, aliases=(alias,), claims=claims)
    def build(num_classes: int, in_channels: int, aux: bool = True) -> DDRNet:
        return DDRNet(num_classes, in_channels, width, head_width, blocks, exchanges, aux)


_variant(
    "ddrnet23_slim",
    "DDRNet-23-slim",
    32,
    64,
    (2, 2, 2, 2),
    1,
    Claims(
        params_m=5.7,
        gmacs=36.3,
        miou={"cityscapes val": 77.8, "cityscapes test": 77.4, "camvid test": 74.7},
        fps={"RTX 2080 Ti, 2048x1024": 102, "RTX 2080 Ti, 960x720": 230},
    ),
)
_variant(
    "ddrnet23",
    "DDRNet-23",
    64,
    128,
    (2, 2, 2, 2),
    1,
    Claims(
        params_m=20.1,
        gmacs=143.1,
        miou={"cityscapes val": 79.5, "cityscapes test": 79.4, "camvid test": 76.3},
        fps={"RTX 2080 Ti, 2048x1024": 37.1, "RTX 2080 Ti, 960x720": 94},
    ),
)
_variant(
    "ddrnet39",
    "DDRNet-39",
    64,
    256,
    (3, 4, 3, 3),
    2,
    Claims(
        params_m=32.3,
        gmacs=281.2,
        miou={"cityscapes test": 80.4},
        fps={"RTX 2080 Ti, 2048x1024": 23},
    ),
)
