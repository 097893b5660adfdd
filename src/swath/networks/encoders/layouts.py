"""Key maps: which layout a public checkpoint of an encoder has, and what its keys are called here.

One function a layout takes a key of the file and gives ours, or None where there is no counterpart. Keys that an
encoder has no use for on purpose (classifiers) are named in `HEADS`; all others must find their place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

# Beginnings of keys that belong to a classifier, whatever the layout.
HEADS = ("fc.", "classifier.", "last_linear.", "head.")

_FIRST_FEATURE = (1, 2, 4, 7, 11, 14, 17)  # torchvision's index of the first block of MobileNetV2's stages


@dataclass(frozen=True)
class Layout:
    """One way of naming an encoder's tensors. `heads` are further keys that no encoder takes."""

    name: str
    encoder: str  # class of the encoder that it fits
    decisive: tuple[str, ...]  # keys that all must be there
    rename: Callable[[str], str | None]
    heads: tuple[str, ...] = ()
    expand_first: bool = False  # whether MobileNetV2's first block has an expansion


def recognise(keys: Collection[str]) -> Layout | None:
    """The layout whose decisive keys the file has."""
    for layout in LAYOUTS:
        if all(key in keys for key in layout.decisive):
            return layout
    return None


def _resnet(key: str) -> str | None:
    """conv1, bn1, layer1.0.conv1, layer1.0.bn1, layer1.0.downsample.0: the same in torchvision and timm."""
    if match := re.fullmatch(r"(conv|bn)1\.(\w+)", key):
        return f"stages.0.{_part(match[1])}.{match[2]}"
    return _resnet_layers(key)


def _resnet_deep(key: str) -> str | None:
    """The stem is a sequence conv1.0 (convolution), .1 (norm), .3, .4, .6, whose last norm is bn1."""
    if match := re.fullmatch(r"conv1\.([01346])\.(\w+)", key):
        return f"stages.0.{int(match[1]) // 3}.{int(match[1]) % 3}.{match[2]}"
    if match := re.fullmatch(r"bn1\.(\w+)", key):
        return f"stages.0.2.1.{match[1]}"
    return _resnet_layers(key)


def _resnet_layers(key: str) -> str | None:
    if match := re.fullmatch(r"layer([1-4])\.(\d+)\.(conv|bn)([1-3])\.(\w+)", key):
        layer, block, kind, number, leaf = match.groups()
        return f"stages.{int(layer) + 1}.{block}.body.{int(number) - 1}.{_part(kind)}.{leaf}"
    if match := re.fullmatch(r"layer([1-4])\.(\d+)\.downsample\.([01])\.(\w+)", key):
        return f"stages.{int(match[1]) + 1}.{match[2]}.projection.{match[3]}.{match[4]}"
    return None


def _mobilenet_torchvision(key: str) -> str | None:
    """features.0.0, .0.1; features.F.conv.P.0, .P.1 with the last convolution bare: .conv.2, .conv.3."""
    if match := re.fullmatch(r"features\.0\.([01])\.(\w+)", key):
        return f"stages.0.{match[1]}.{match[2]}"
    if match := re.fullmatch(r"features\.(\d+)\.conv\.(\d)\.([01])\.(\w+)", key):
        return f"{_feature(match[1])}.body.{match[2]}.{match[3]}.{match[4]}"
    if match := re.fullmatch(r"features\.(\d+)\.conv\.(\d)\.(\w+)", key):
        last = 1 if match[1] == "1" else 2  # the first block has no expansion
        return f"{_feature(match[1])}.body.{last}.{int(match[2]) - last}.{match[3]}"
    return None


def _mobilenet_flat(key: str) -> str | None:
    """As torchvision's, with a block's layers in one flat row: convolution, norm, activation, convolution, ..."""
    if match := re.fullmatch(r"features\.0\.([01])\.(\w+)", key):
        return f"stages.0.{match[1]}.{match[2]}"
    if match := re.fullmatch(r"features\.(\d+)\.conv\.([013467])\.(\w+)", key):
        return f"{_feature(match[1])}.body.{int(match[2]) // 3}.{int(match[2]) % 3}.{match[3]}"
    return None


def _feature(index: str) -> str:
    stage = max(s for s, first in enumerate(_FIRST_FEATURE) if first <= int(index))
    return f"stages.{stage + 1}.{int(index) - _FIRST_FEATURE[stage]}"


def _mobilenet_timm(key: str) -> str | None:
    """conv_stem, bn1, blocks.S.B.conv_pw, ...; in stage 0 conv_pw is the projection, elsewhere the expansion."""
    if match := re.fullmatch(r"(conv_stem|bn1)\.(\w+)", key):
        return f"stages.0.{0 if match[1] == 'conv_stem' else 1}.{match[2]}"
    if match := re.fullmatch(r"blocks\.(\d)\.(\d+)\.(conv_pwl|conv_pw|conv_dw|bn[123])\.(\w+)", key):
        stage, block, kind, leaf = match.groups()
        order = ["conv_dw", "bn1", "conv_pw", "bn2"]
        if stage != "0":
            order = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
        if kind in order:
            place, part = divmod(order.index(kind), 2)
            return f"stages.{int(stage) + 1}.{block}.body.{place}.{part}.{leaf}"
    return None


def _mobilenet_refinenet(key: str) -> str | None:
    """Light-Weight RefineNet's: layer1 is the stem, layer2... the stages, the first with an expansion."""
    if match := re.fullmatch(r"layer1\.([01])\.(\w+)", key):
        return f"stages.0.{match[1]}.{match[2]}"
    if match := re.fullmatch(r"layer([2-8])\.(\d+)\.output\.([012])\.([01])\.(\w+)", key):
        layer, block, place, part, leaf = match.groups()
        return f"stages.{int(layer) - 1}.{block}.body.{place}.{part}.{leaf}"
    return None


def _regnet_pycls(key: str) -> str | None:
    """stem.conv, stem.bn; s1.b1.f.a, f.a_bn, ..., proj, bn."""
    if match := re.fullmatch(r"stem\.(conv|bn)\.(\w+)", key):
        return f"stages.0.{_part(match[1])}.{match[2]}"
    if match := re.fullmatch(r"s([1-4])\.b(\d+)\.f\.([abc])(_bn)?\.(\w+)", key):
        stage, block, letter, norm, leaf = match.groups()
        return f"stages.{stage}.{int(block) - 1}.body.{'abc'.index(letter)}.{1 if norm else 0}.{leaf}"
    if match := re.fullmatch(r"s([1-4])\.b(\d+)\.(proj|bn)\.(\w+)", key):
        return f"stages.{match[1]}.{int(match[2]) - 1}.projection.{0 if match[3] == 'proj' else 1}.{match[4]}"
    return None


def _regnet_timm(key: str) -> str | None:
    """stem.conv, stem.bn; s1.b1.conv1.conv, conv1.bn, ..., downsample.conv, downsample.bn."""
    if match := re.fullmatch(r"stem\.(conv|bn)\.(\w+)", key):
        return f"stages.0.{_part(match[1])}.{match[2]}"
    if match := re.fullmatch(r"s([1-4])\.b(\d+)\.(?:conv([123])|downsample)\.(conv|bn)\.(\w+)", key):
        stage, block, number, kind, leaf = match.groups()
        place = f"body.{int(number) - 1}" if number else "projection"
        return f"stages.{stage}.{int(block) - 1}.{place}.{_part(kind)}.{leaf}"
    return None


def _regnet_torchvision(key: str) -> str | None:
    """stem.0, stem.1; trunk_output.block1.block1-0.f.a.0, .f.a.1, ..., proj.0, proj.1."""
    if match := re.fullmatch(r"stem\.([01])\.(\w+)", key):
        return f"stages.0.{match[1]}.{match[2]}"
    pattern = r"trunk_output\.block([1-4])\.block\1-(\d+)\.(?:f\.([abc])|proj)\.([01])\.(\w+)"
    if match := re.fullmatch(pattern, key):
        stage, block, letter, part, leaf = match.groups()
        place = f"body.{'abc'.index(letter)}" if letter else "projection"
        return f"stages.{stage}.{block}.{place}.{part}.{leaf}"
    return None


_NASNET_STAGES = (
    *("conv0", "cell_stem_0", "cell_stem_1", "cell_0", "cell_1", "cell_2", "cell_3", "reduction_cell_0"),
    *("cell_6", "cell_7", "cell_8", "cell_9", "reduction_cell_1", "cell_12", "cell_13", "cell_14", "cell_15"),
)
_NASNET_PLACES = {
    "conv_1x1.conv": "current.1",
    "conv_1x1.bn": "current.2",
    "conv_prev_1x1.conv": "older.1",
    "conv_prev_1x1.bn": "older.2",
    "path_1.conv": "older.even",
    "path_2.conv": "older.odd",
    "final_path_bn": "older.norm",
}
_NASNET_TERMS = {
    "separable_1.depthwise_conv2d": 2,
    "separable_1.pointwise_conv2d": 3,
    "bn_sep_1": 4,
    "separable_2.depthwise_conv2d": 6,
    "separable_2.pointwise_conv2d": 7,
    "bn_sep_2": 8,
}


def _nasnet(key: str) -> str | None:
    """conv0.conv; cell_0.conv_1x1.conv, cell_0.comb_iter_0_left.separable_1.depthwise_conv2d, ..."""
    name, _, rest = key.partition(".")
    place, _, leaf = rest.rpartition(".")
    if name not in _NASNET_STAGES:
        return None
    stage = f"stages.{_NASNET_STAGES.index(name)}"
    if name == "conv0":
        return f"{stage}.{_part(place)}.{leaf}" if place in ("conv", "bn") else None
    if place in _NASNET_PLACES:
        return f"{stage}.{_NASNET_PLACES[place]}.{leaf}"
    if match := re.fullmatch(r"comb_iter_([0-4])_(left|right)\.(.+)", place):
        number, side, term = match.groups()
        if term in _NASNET_TERMS:
            return f"{stage}.{side}{number}.{_NASNET_TERMS[term]}.{leaf}"
    return None


def _part(kind: str) -> int:
    return 0 if kind == "conv" else 1


_RESNET = ("layer1.0.conv1.weight", "layer4.0.downsample.0.weight")
_REGNET_1 = "trunk_output.block1.block1-0.f.a.0.weight"
LAYOUTS = (
    Layout("ResNet (torchvision, timm)", "ResNet", ("conv1.weight", *_RESNET), _resnet),
    Layout("ResNet with a deep stem (timm)", "ResNet", ("conv1.0.weight", *_RESNET), _resnet_deep),
    Layout(
        "MobileNetV2 (torchvision)",
        "MobileNetV2",
        ("features.1.conv.0.0.weight", "features.2.conv.1.0.weight"),
        _mobilenet_torchvision,
        ("features.18.",),
    ),
    Layout(
        "MobileNetV2 (flat keys)",
        "MobileNetV2",
        ("features.1.conv.0.weight", "features.2.conv.3.weight"),
        _mobilenet_flat,
        ("conv.0.", "conv.1."),
    ),
    Layout(
        "MobileNetV2 (timm)",
        "MobileNetV2",
        ("conv_stem.weight", "blocks.0.0.conv_dw.weight"),
        _mobilenet_timm,
        ("conv_head.", "bn2."),
    ),
    Layout(
        "MobileNetV2 (Light-Weight RefineNet)",
        "MobileNetV2",
        ("layer1.0.weight", "layer2.0.output.0.0.weight"),
        _mobilenet_refinenet,
        expand_first=True,
    ),
    Layout("RegNetX (pycls)", "RegNetX", ("stem.conv.weight", "s1.b1.f.a.weight"), _regnet_pycls),
    Layout("RegNetX (timm)", "RegNetX", ("stem.conv.weight", "s1.b1.conv1.conv.weight"), _regnet_timm),
    Layout("RegNetX (torchvision)", "RegNetX", ("stem.0.weight", _REGNET_1), _regnet_torchvision),
    Layout(
        "NASNet-A-Mobile",
        "NASNetMobile",
        ("cell_stem_0.conv_1x1.conv.weight", "cell_15.conv_1x1.conv.weight"),
        _nasnet,
    ),
)
