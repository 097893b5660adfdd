"""Light-Weight RefineNet: a decoder of 1x1 convolutions and chained poolings on any encoder, for one task or several.

Nekrasov, Shen, Reid, "Light-Weight RefineNet for Real-Time Semantic Segmentation", BMVC 2018, arXiv 1810.03272; the
several tasks: Nekrasov et al., "Real-Time Joint Semantic Segmentation and Depth Estimation Using Asymmetric
Annotations", ICRA 2019, arXiv 1809.04766.

The decoders hold no norm; biases exist only in the last 3x3. The single-task decoders enlarge with aligned corners,
the multi-task ones without, and all answers are enlarged to the picture without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.encoders.encoder import Encoder
from swath.networks.parts import conv, resize_as
from swath.networks.preprocess import Preprocess
from swath.networks.registry import Claims, register

_WIDTH = 256


class ChainedPool(nn.Module):
    """Chained residual pooling: the sum of the input and four maps, each pooled and mixed from the one before."""

    def __init__(self, channels: int, groups: int = 1):
        super().__init__()
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.mixes = nn.ModuleList([conv(channels, channels, 1, groups=groups) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        path = x
        for mix in self.mixes:
            path = mix(self.pool(path))
            x = x + path
        return x


class RefineNetLW(Network):
    """The form of the ResNets: two 1x1 a shortcut, dropout on the two deepest maps while training."""

    stride = 4
    min_size = (33, 33)  # the deepest map is 2 x 2 then

    def __init__(self, num_classes: int, in_channels: int, encoder: Encoder):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        *_, c2, c3, c4, c5 = encoder.channels
        self.encoder = encoder
        self.dropout = nn.Dropout(0.5)
        self.entry = conv(c5, 2 * _WIDTH, 1)
        self.shortcuts = nn.ModuleList(
            [nn.Sequential(conv(i, _WIDTH, 1), conv(_WIDTH, _WIDTH, 1)) for i in (c4, c3, c2)]
        )
        self.pools = nn.ModuleList([ChainedPool(width) for width in (2 * _WIDTH, *[_WIDTH] * 3)])
        self.narrow = nn.ModuleList([conv(width, _WIDTH, 1) for width in (2 * _WIDTH, _WIDTH, _WIDTH)])
        self.relu = nn.ReLU()
        self.classifier = conv(_WIDTH, num_classes, 3, bias=True)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        *_, c2, c3, c4, c5 = self.encoder(*inputs)
        c5, c4 = self.dropout(c5), self.dropout(c4)
        x = self.pools[0](self.relu(self.entry(c5)))
        for finer, shortcut, narrow, pool in zip((c4, c3, c2), self.shortcuts, self.narrow, self.pools[1:]):
            below = resize_as(narrow(x), finer, align_corners=True)
            x = pool(self.relu(shortcut(finer) + below))
        logits: Tensor = self.classifier(x)
        return [logits] if self.training else logits


class Level(nn.Module):
    """Taps of one size, each through a 1x1, and the map from below, added; ReLU6; chained pooling."""

    def __init__(self, channels: Sequence[int], pool_groups: int):
        super().__init__()
        self.taps = nn.ModuleList([conv(i, _WIDTH, 1) for i in channels])
        self.pool = ChainedPool(_WIDTH, pool_groups)
        self.act = nn.ReLU6()

    def forward(self, maps: Sequence[Tensor], below: Sequence[Tensor]) -> Tensor:
        first, *others = [tap(each) for tap, each in zip(self.taps, maps)]
        x: Tensor = self.pool(self.act(sum([*others, *below], start=first)))
        return x


class Refiner(nn.Module):
    """The form of the small encoders: taps in groups that share a size, deepest first.

    `channels` are those of each group's taps, in the order in which they are added.
    """

    def __init__(self, channels: Sequence[Sequence[int]], align_corners: bool, last_pool_groups: int = 1):
        super().__init__()
        self.align_corners = align_corners
        pool_groups = [1] * (len(channels) - 1) + [last_pool_groups]
        self.levels = nn.ModuleList([Level(group, pools) for group, pools in zip(channels, pool_groups)])
        self.narrow = nn.ModuleList([conv(_WIDTH, _WIDTH, 1) for _ in channels[1:]])

    def forward(self, groups: Sequence[Sequence[Tensor]]) -> Tensor:
        x: Tensor = self.levels[0](groups[0], [])
        for level, narrow, maps in zip(self.levels[1:], self.narrow, groups[1:]):
            x = level(maps, [resize_as(narrow(x), maps[0], self.align_corners)])
        return x


class RefineNetLWSmall(Network):
    """An encoder with taps in groups, the refiner, and one 3x3 classifier."""

    stride = 4
    min_size = (33, 33)

    def __init__(self, num_classes: int, in_channels: int, encoder: Encoder, groups: Sequence[Sequence[int]]):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.encoder = encoder
        self.groups = groups
        self.refiner = Refiner(_of(encoder.channels, groups), align_corners=True)
        self.classifier = conv(_WIDTH, num_classes, 3, bias=True)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        maps = self.encoder(*inputs)
        logits: Tensor = self.classifier(self.refiner(_of(maps, self.groups)))
        return [logits] if self.training else logits


class RefineNetLWMultiTask(Network):
    """The same decoder, its last pooling depthwise, then one light head a task. Answers a dict by task."""

    stride = 4
    min_size = (33, 33)

    def __init__(self, in_channels: int, encoder: Encoder, groups: Sequence[Sequence[int]], tasks: dict[str, int]):
        super().__init__(num_classes=tasks["segmentation"], in_channels=in_channels)
        self.tasks = tasks
        self.groups = groups
        self.refiner = Refiner(_of(encoder.channels, groups), align_corners=False, last_pool_groups=_WIDTH)
        self.heads = nn.ModuleDict(
            {
                task: nn.Sequential(
                    conv(_WIDTH, _WIDTH, 1, groups=_WIDTH), nn.ReLU6(), conv(_WIDTH, channels, 3, bias=True)
                )
                for task, channels in tasks.items()
            }
        )
        for module in self.modules():  # before the encoder is attached: it keeps its own start
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.encoder = encoder

    def forward_logits(self, *inputs: Tensor) -> dict[str, Any]:
        shared = self.refiner(_of(self.encoder(*inputs), self.groups))
        answers = {task: head(shared) for task, head in self.heads.items()}
        return {task: [answer] for task, answer in answers.items()} if self.training else answers


def _of(items: Sequence[Any], groups: Sequence[Sequence[int]]) -> list[list[Any]]:
    """`items` (finest first) picked into groups by index."""
    return [[items[index] for index in group] for group in groups]


_LIGHT = "https://arxiv.org/abs/1810.03272"
_JOINT = "https://arxiv.org/abs/1809.04766"
_NOTE = "MACs at 512x512 with 40 classes; the page that publishes them says 625x468"


def _resnet(depth: int, claims: Claims) -> None:
    name = f"rf_lw_resnet{depth}"

    @register(
        name,
        paper=_LIGHT,
        year=2018,
        stride=4,
        size=(468, 625),
        aliases=(f"RF-LW-ResNet-{depth}", f"rf_lw{depth}"),
        claims=claims,
    )
    def build(num_classes: int, in_channels: int) -> RefineNetLW:
        return RefineNetLW(num_classes, in_channels, create_encoder(f"resnet{depth}", in_channels))


def _claims(params: float, gmacs: float, ms: float | None, **miou: float) -> Claims:
    fps = {"GTX 1080 Ti, 625x468": round(1000 / ms, 1)} if ms else {}
    named = {key.replace("_", " "): value for key, value in miou.items()}
    return Claims(params_m=params, gmacs=gmacs, miou=named, fps=fps, note=_NOTE)


_resnet(50, _claims(27, 33, 19.56, voc_val=78.5, person_part_val=64.9, nyuv2_val=41.7))
_resnet(101, _claims(46, 52, 27.16, voc_val=80.3, person_part_val=66.7, context_val=45.1, nyuv2_val=43.6))
_resnet(152, _claims(62, 71, 35.82, voc_val=82.1, person_part_val=67.6, context_val=45.8, nyuv2_val=44.4))

# MobileNetV2's stages 2...7 are tapped (24, 32, 64, 96, 160, 320 channels); deepest group first, in order of addition
_MOBILE_TAPS = (2, 3, 4, 5, 6, 7)
_MOBILE_GROUPS = ((5, 4), (3, 2), (1,), (0,))


def _mobile(in_channels: int) -> Encoder:
    return create_encoder("mobilenetv2", in_channels, expand_first=True, taps=_MOBILE_TAPS)


@register(
    "rf_lw_mobilenetv2",
    paper=_LIGHT,
    year=2018,
    stride=4,
    size=(468, 625),
    aliases=("RF-LW-MobileNet-v2", "rf_lw_mbv2"),
    claims=_claims(3.3, 9.3, None, voc_val=76.2),
)
def rf_lw_mobilenetv2(num_classes: int, in_channels: int) -> RefineNetLWSmall:
    return RefineNetLWSmall(num_classes, in_channels, _mobile(in_channels), _MOBILE_GROUPS)


@register(
    "rf_lw_nasnet_mobile",
    paper=_LIGHT,
    year=2018,
    stride=4,
    size=(468, 625),
    aliases=("RF-LW-NASNet-Mobile",),
    claims=Claims(miou={"voc val": 77.4}, gmacs=11.4, note="from memory of the paper; no code or weights exist"),
)
def rf_lw_nasnet_mobile(num_classes: int, in_channels: int) -> RefineNetLWSmall:
    """Our composition: NASNet-A-Mobile, tapped by the same rule (the last cell of each width from stride 4 on)."""
    encoder = create_encoder("nasnet_mobile", in_channels, taps=(1, 2, 6, 7, 11, 12, 16))
    model = RefineNetLWSmall(num_classes, in_channels, encoder, ((6, 5), (4, 3), (2, 1), (0,)))
    model.preprocess = Preprocess((0.5,) * in_channels, (0.5,) * in_channels)
    return model


def _multi_task(name: str, aliases: tuple[str, ...], more: dict[str, int], claims: Claims) -> None:
    @register(name, paper=_JOINT, year=2019, stride=4, size=(480, 640), aliases=aliases, claims=claims)
    def build(num_classes: int, in_channels: int) -> RefineNetLWMultiTask:
        tasks = {"segmentation": num_classes, "depth": 1, **more}
        return RefineNetLWMultiTask(in_channels, _mobile(in_channels), _MOBILE_GROUPS, tasks)


_multi_task(
    "rf_lw_mtl_mobilenetv2",
    ("Multi-Task Light-Weight RefineNet", "mtlwrefinenet"),
    {},
    Claims(gmacs=6.5, miou={"nyuv2 val": 42.0, "kitti-6": 87.0}, note="MACs at 640x480, 40 classes"),
)
_multi_task("rf_lw_mtl_mobilenetv2_normals", (), {"normals": 3}, Claims())
