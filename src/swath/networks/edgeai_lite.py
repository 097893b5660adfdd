"""EdgeAI-Lite: DeepLabV3+, UNet and FPN made light for small devices, with several inputs and several tasks.

The family has no paper of its own. It puts light forms of DeepLabV3+ (Chen et al., arXiv 1802.02611), UNet (Ronneberger
et al., arXiv 1505.04597) and FPN (Lin et al., arXiv 1612.03144) on MobileNetV2, FD-MobileNetV2 (arXiv 1802.03750) and
RegNetX (arXiv 2003.13678). "Light": every 3x3 outside the encoder works on groups as wide as the encoder's own, one
channel for MobileNetV2. Encoders of stride 16 have no dilation; activations are ReLU, ReLU6 in the 1.4 models.

Where the original fails, this does not: any size, any number of tasks with every decoder, any number of inputs (UNet
takes its finest shortcut from the stream of `image`), and channel counts that the group width does not divide take
the next smaller number of groups. Norms start at 1, not 1 - 1e-5. Pixels become (x - 128) / 64. The
input `flow` is the flow itself, not a picture of it: u and v in pixels, here / 16, then a confidence from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.base import Network
from swath.networks.edgeai_decoders import FPN, DeepLabV3Plus, Style, UNet
from swath.networks.encoders import create_encoder
from swath.networks.encoders.streams import Streams
from swath.networks.parts import initialise
from swath.networks.parts.conv import relu
from swath.networks.preprocess import Preprocess
from swath.networks.registry import Claims, register

Decoder = Callable[[Sequence[int], int, Style], DeepLabV3Plus | FPN | UNet]


class EdgeAILite(Network):
    """An encoder (or several streams of one) and a whole decoder for each task.

    Pictures come in the order of `inputs`. One task is answered as a tensor, several as a dict in the order of `tasks`.
    """

    def __init__(
        self,
        encoder: str,
        decoder: Decoder,
        style: Style,
        inputs: Mapping[str, int],
        tasks: Mapping[str, int],
        **encoder_options: Any,
    ):
        main = "segmentation" if "segmentation" in tasks else next(iter(tasks))
        super().__init__(num_classes=tasks[main], in_channels=inputs["image"])
        self.inputs, self.tasks = dict(inputs), dict(tasks)
        self.preprocesses = {name: _preprocess(name, channels) for name, channels in inputs.items()}
        encoders = [create_encoder(encoder, channels, **encoder_options) for channels in inputs.values()]
        self.encoder = encoders[0] if len(encoders) == 1 else Streams(encoders, list(inputs).index("image"))
        decoders = {task: decoder(self.encoder.channels, classes, style) for task, classes in tasks.items()}
        self.decoders = nn.ModuleDict(decoders)
        self.stride = self.encoder.strides[decoders[main].finest]
        self.deepest = self.encoder.strides[-1] * decoders[main].reduction
        initialise(self.decoders)  # encoders have begun by themselves
        if "depth" in decoders:  # by the rule of the other layers it would begin at tens of metres, of either sign
            last = [module for module in decoders["depth"].modules() if isinstance(module, nn.Conv2d)][-1]
            nn.init.normal_(last.weight, std=0.01)

    def forward_logits(self, *inputs: Tensor) -> Any:
        if len(inputs) != len(self.inputs):
            wanted = ", ".join(self.inputs)
            raise SwathError(f"{self.name} takes {len(self.inputs)} pictures ({wanted}), got {len(inputs)}")
        if not torch.compiler.is_compiling() and any(x.shape[-2:] != inputs[0].shape[-2:] for x in inputs):
            sizes = ", ".join(f"{x.shape[-1]}x{x.shape[-2]}" for x in inputs)
            raise SwathError(f"{self.name} takes pictures of one size, these are {sizes} (width x height)")
        maps = self.encoder(*inputs)
        answers: dict[str, Any] = {task: decoder(maps) for task, decoder in self.decoders.items()}
        if self.training:
            answers = {task: [answer] for task, answer in answers.items()}
        return answers if len(answers) > 1 else next(iter(answers.values()))


def _preprocess(name: str, channels: int) -> Preprocess:
    """How an input is scaled; flow is small numbers about 0, not pixels."""
    if name == "flow":
        return Preprocess(mean=(0.0,) * channels, std=((16.0, 16.0) + (1.0,) * channels)[:channels], scale=1.0)
    return Preprocess(mean=(128.0,) * channels, std=(64.0,) * channels, scale=1.0)


_PAPER = "https://github.com/TexasInstruments/edgeai-torchvision"
# Encoders: name here, options, look of the decoder.
_ENCODERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "mobilenetv2": ("mobilenetv2", {"act": relu}, {}),
    "mobilenetv2_1p4": ("mobilenetv2_140", {}, {"act": nn.ReLU6, "width": 360, "shortcut": 64}),
    "mobilenetv2_fd": ("mobilenetv2", {"act": relu, "fast_down": True}, {}),
    "regnetx400mf": ("regnetx400mf", {}, {"group_width": 16}),
    "regnetx800mf": ("regnetx800mf", {}, {"group_width": 16}),
    "regnetx1p6gf": ("regnetx1p6gf", {}, {"group_width": 24, "width": 264}),
    "regnetx3p2gf": ("regnetx3p2gf", {}, {"group_width": 48, "width": 288}),
}
# Decoders: class, stride of the encoder, stride of the logits, prefix of the authors' names.
_DECODERS: dict[str, tuple[Decoder, int, int, str]] = {
    "deeplabv3plus_lite": (DeepLabV3Plus, 16, 4, "deeplabv3plus"),
    "unet_lite": (UNet, 32, 2, "unet_aspp"),
    "fpn_lite": (FPN, 32, 4, "fpn_aspp"),
    "fpn128_lite": (partial(FPN, levels=4), 32, 2, "fpn128_aspp"),
    "fpn_noaspp_lite": (partial(FPN, aspp=False), 32, 4, "fpn"),
}


def _checked(
    name: str, inputs: Mapping[str, int] | None, tasks: Mapping[str, int] | None, in_channels: int, num_classes: int
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """What a user asked for, with the defaults filled in; the counts given twice must agree."""
    inputs = inputs or {"image": in_channels}
    tasks = tasks or {"segmentation": num_classes}
    for kind, counts in (("inputs", inputs), ("tasks", tasks)):
        for key, count in counts.items():
            if not key.isidentifier() or not isinstance(count, int) or count < 1:
                raise SwathError(f"{name}: {kind} has '{key}: {count}'; give a plain word and a count of 1 or more")
    if inputs.get("image") != in_channels:
        raise SwathError(f"{name}: inputs must have 'image: {in_channels}' (in_channels), got {dict(inputs)}")
    main = "segmentation" if "segmentation" in tasks else next(iter(tasks))
    if tasks[main] != num_classes:
        raise SwathError(f"{name}: tasks has '{main}: {tasks[main]}' but num_classes is {num_classes}; make them equal")
    return inputs, tasks


def _variant(decoder: str, encoder: str, size: tuple[int, int] = (384, 768), claims: Claims | None = None) -> None:
    """Register one pair of decoder and encoder."""
    make, encoder_stride, stride, prefix = _DECODERS[decoder]
    plain, encoder_options, look = _ENCODERS[encoder]
    theirs = encoder.replace("mobilenetv2", "mobilenetv2_tv")
    if encoder == "mobilenetv2_1p4" and decoder == "fpn_lite":
        theirs = "mobilenetv2_1p4_tv"
    aliases = [f"{prefix}_{theirs}_edgeailite"]
    if "regnetx" in encoder:
        aliases.append(f"{prefix}_{theirs}_bgr_edgeailite")
    if (decoder, encoder) == ("unet_lite", "mobilenetv2"):
        aliases.append("unet_edgeailite_pixel2pixel_aspp_mobilenetv2_tv")
    if decoder == "fpn128_lite":
        look = {**look, "width": 128}
    name = f"{decoder}_{encoder}"

    @register(
        name,
        paper=_PAPER,
        year=2021,
        stride=stride * (2 if encoder_options.get("fast_down") else 1),
        size=size,
        aliases=tuple(aliases),
        claims=claims,
    )
    def build(
        num_classes: int,
        in_channels: int,
        inputs: Mapping[str, int] | None = None,
        tasks: Mapping[str, int] | None = None,
        dilations: Sequence[int] = (6, 12, 18),
    ) -> EdgeAILite:
        inputs, tasks = _checked(name, inputs, tasks, in_channels, num_classes)
        style = Style(dilations=tuple(dilations), **look)
        return EdgeAILite(
            plain, make, style, inputs, tasks, output_stride=encoder_stride, dilated=False, **encoder_options
        )


def _any_encoder(decoder: str) -> None:
    """Register a decoder that takes any encoder with five maps; ResNet-50 is the one its authors tried."""
    make, encoder_stride, stride, prefix = _DECODERS[decoder]

    @register(
        decoder, paper=_PAPER, year=2021, stride=stride, size=(384, 768), aliases=(f"{prefix}_resnet50_edgeailite",)
    )
    def build(
        num_classes: int,
        in_channels: int,
        encoder: str = "resnet50",
        inputs: Mapping[str, int] | None = None,
        tasks: Mapping[str, int] | None = None,
        dilations: Sequence[int] = (6, 12, 18),
    ) -> EdgeAILite:
        inputs, tasks = _checked(decoder, inputs, tasks, in_channels, num_classes)
        style = Style(dilations=tuple(dilations))
        return EdgeAILite(encoder, make, style, inputs, tasks, output_stride=encoder_stride)


# The authors' figures: GMACs at the network's size, mIoU of Cityscapes there and of two sets at 512x512.
def _claims(
    gmacs: float,
    cityscapes: float | None = None,
    ade20k32: float | None = None,
    cocoseg21: float | None = None,
    note: str = "",
) -> Claims:
    miou = {"cityscapes val": cityscapes, "ade20k32 val": ade20k32, "cocoseg21 val": cocoseg21}
    return Claims(gmacs=gmacs, miou={key: value for key, value in miou.items() if value is not None}, note=note)


_CLAIMS = {
    "deeplabv3plus_lite_mobilenetv2": ((384, 768), _claims(3.54, 69.13, 51.01, 57.77)),
    "unet_lite_mobilenetv2": ((384, 768), _claims(2.20, 68.94, 49.95, 57.01)),
    "fpn_lite_mobilenetv2": ((768, 1536), _claims(15.07, 74.61, 50.72, note="70.39 % at 768x384")),
    "fpn_lite_mobilenetv2_1p4": ((512, 512), _claims(6.646, None, 52.93, note="ADE20K32, 32 classes")),
    "fpn_lite_mobilenetv2_fd": ((1024, 2048), _claims(7.03, 72.67, note="71.28 % and 3.96 GMACs at 1536x768")),
    "fpn_lite_regnetx400mf": (
        (768, 1536),
        _claims(24.37, 73.96, 51.03, note="ADE20K32 at 384x384; 68.03 % and 6.09 GMACs at 768x384"),
    ),
    "fpn_lite_regnetx800mf": ((384, 768), _claims(8.84, 72.01, 53.29, 61.15)),
    "fpn_lite_regnetx1p6gf": ((512, 1024), _claims(24.29, 75.84, note="the figure belongs to an older configuration")),
    "fpn_lite_regnetx3p2gf": (
        (768, 1536),
        _claims(111.16, 78.90, note="77.24 % and 49.40 GMACs at 1024x512"),
    ),
}
for _decoder in ("deeplabv3plus_lite", "unet_lite", "fpn_lite"):
    for _encoder in _ENCODERS:
        _variant(_decoder, _encoder, *_CLAIMS.get(f"{_decoder}_{_encoder}", ()))
    _any_encoder(_decoder)
_variant("fpn128_lite", "mobilenetv2_fd")
_variant("fpn_noaspp_lite", "mobilenetv2")
_variant("fpn_noaspp_lite", "mobilenetv2_fd")


def _with_flow(name: str, tasks: Mapping[str, int]) -> None:
    """Register the default network with optical flow (u, v, confidence) as its first input.

    `tasks` are the others' channels; the main task has `num_classes`.
    """
    main = "segmentation" if "segmentation" in tasks else next(iter(tasks))

    @register(name, paper=_PAPER, year=2021, stride=4, size=(384, 768))
    def build(num_classes: int, in_channels: int, dilations: Sequence[int] = (2, 4, 6)) -> EdgeAILite:
        return EdgeAILite(
            "mobilenetv2",
            DeepLabV3Plus,
            Style(dilations=tuple(dilations)),
            {"flow": 3, "image": in_channels},
            {**tasks, main: num_classes},
            output_stride=16,
            dilated=False,
            act=relu,
        )


_with_flow("deeplabv3plus_lite_mobilenetv2_motion", {"motion": 2})
_with_flow("deeplabv3plus_lite_mobilenetv2_multitask", {"depth": 1, "segmentation": 19, "motion": 2})
