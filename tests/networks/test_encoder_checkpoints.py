"""Checkpoints with exactly the names and shapes of the public ones (numbers made up) land where they belong."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from swath import create_model
from swath.errors import SwathError
from swath.networks.encoders import create_encoder
from swath.networks.encoders.checkpoints import load_encoder

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
MOBILE = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))


class Made:
    """A state dict in the making: convolutions and norms under any names, filled with noise."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def conv(self, name: str, *shape: int) -> None:
        self.tensors[f"{name}.weight"] = torch.randn(shape)

    def norm(self, name: str, channels: int) -> None:
        for leaf in NORM[:4]:
            self.tensors[f"{name}.{leaf}"] = torch.rand(channels) + 0.5
        self.tensors[f"{name}.num_batches_tracked"] = torch.tensor(5)

    def linear(self, name: str, o: int, i: int) -> None:
        self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"] = torch.randn(o, i), torch.randn(o)


def resnet(depth: int, deep: bool = False) -> dict[str, Tensor]:
    """torchvision's and timm's names."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]
    made = Made()
    if deep:
        made.conv("conv1.0", 64, 3, 3, 3), made.norm("conv1.1", 64)
        made.conv("conv1.3", 64, 64, 3, 3), made.norm("conv1.4", 64)
        made.conv("conv1.6", 128, 64, 3, 3), made.norm("bn1", 128)
    else:
        made.conv("conv1", 64, 3, 7, 7), made.norm("bn1", 64)
    i = 128 if deep else 64
    for layer, (planes, count) in enumerate(zip((64, 128, 256, 512), blocks), 1):
        for block in range(count):
            name = f"layer{layer}.{block}"
            if depth < 50:
                shapes, o = [(planes, i, 3, 3), (planes, planes, 3, 3)], planes
            else:
                o = planes * 4
                shapes = [(planes, i, 1, 1), (planes, planes, 3, 3), (o, planes, 1, 1)]
            for number, shape in enumerate(shapes, 1):
                made.conv(f"{name}.conv{number}", *shape), made.norm(f"{name}.bn{number}", shape[0])
            if block == 0 and (layer > 1 or i != o):
                made.conv(f"{name}.downsample.0", o, i, 1, 1), made.norm(f"{name}.downsample.1", o)
            i = o
    made.linear("fc", 1000, i)
    return made.tensors


def mobilenet(layout: str) -> dict[str, Tensor]:
    """MobileNetV2 1.0 in torchvision's, timm's, flat, or Light-Weight RefineNet's names."""
    stem = {"timm": ("conv_stem", "bn1"), "refinenet": ("layer1.0", "layer1.1")}
    made = Made()
    conv, norm = stem.get(layout, ("features.0.0", "features.0.1"))
    made.conv(conv, 32, 3, 3, 3), made.norm(norm, 32)
    i, feature = 32, 1
    for stage, (expand, o, count) in enumerate(MOBILE):
        for block in range(count):
            h = i * expand
            shapes = [(h, i, 1, 1), (h, 1, 3, 3), (o, h, 1, 1)]
            f = f"features.{feature}.conv"
            names = {
                "torchvision": [(f"{f}.0.0", f"{f}.0.1"), (f"{f}.1.0", f"{f}.1.1"), (f"{f}.2", f"{f}.3")],
                "flat": [(f"{f}.0", f"{f}.1"), (f"{f}.3", f"{f}.4"), (f"{f}.6", f"{f}.7")],
                "timm": [
                    (f"blocks.{stage}.{block}.{c}", f"blocks.{stage}.{block}.bn{n}")
                    for n, c in enumerate(("conv_pw", "conv_dw", "conv_pwl"), 1)
                ],
                "refinenet": [
                    (f"layer{stage + 2}.{block}.output.{n}.0", f"layer{stage + 2}.{block}.output.{n}.1")
                    for n in range(3)
                ],
            }[layout]
            if expand == 1 and layout != "refinenet":
                shapes = shapes[1:]
                names = {
                    "torchvision": [(f"{f}.0.0", f"{f}.0.1"), (f"{f}.1", f"{f}.2")],
                    "flat": [(f"{f}.0", f"{f}.1"), (f"{f}.3", f"{f}.4")],
                    "timm": [("blocks.0.0.conv_dw", "blocks.0.0.bn1"), ("blocks.0.0.conv_pw", "blocks.0.0.bn2")],
                }[layout]
            for (conv, norm), shape in zip(names, shapes, strict=True):
                made.conv(conv, *shape), made.norm(norm, shape[0])
            i, feature = o, feature + 1
    if layout != "refinenet":
        head = {"timm": ("conv_head", "bn2"), "flat": ("conv.0", "conv.1")}
        conv, norm = head.get(layout, ("features.18.0", "features.18.1"))
        made.conv(conv, 1280, 320, 1, 1), made.norm(norm, 1280)
        made.linear("classifier.1" if layout == "torchvision" else "classifier", 1000, 1280)
    return made.tensors


def regnet(layout: str) -> dict[str, Tensor]:
    """RegNetX-800MF in torchvision's, timm's or pycls's names."""
    made = Made()
    made.conv("stem.0" if layout == "torchvision" else "stem.conv", 32, 3, 3, 3)
    made.norm("stem.1" if layout == "torchvision" else "stem.bn", 32)
    i = 32
    for stage, (count, o) in enumerate(zip((1, 3, 7, 5), (64, 128, 288, 672)), 1):
        for block in range(1, count + 1):
            shapes = [(o, i, 1, 1), (o, 16, 3, 3), (o, o, 1, 1)] + ([(o, i, 1, 1)] if block == 1 else [])
            tv, other = f"trunk_output.block{stage}.block{stage}-{block - 1}", f"s{stage}.b{block}"
            names = {
                "torchvision": [(f"{tv}.{n}.0", f"{tv}.{n}.1") for n in ("f.a", "f.b", "f.c", "proj")],
                "timm": [(f"{other}.{n}.conv", f"{other}.{n}.bn") for n in ("conv1", "conv2", "conv3", "downsample")],
                "pycls": [(f"{other}.f.{n}", f"{other}.f.{n}_bn") for n in "abc"] + [(f"{other}.proj", f"{other}.bn")],
            }[layout]
            for (conv, norm), shape in zip(names, shapes):
                made.conv(conv, *shape), made.norm(norm, shape[0])
            i = o
    made.linear("fc" if layout == "torchvision" else "head.fc", 1000, i)
    return made.tensors


def nasnet() -> dict[str, Tensor]:
    """NASNet-A-Mobile in the names of the public port."""
    made = Made()
    made.conv("conv0.conv", 32, 3, 3, 3), made.norm("conv0.bn", 32)

    def term(name: str, i: int, o: int, kernel: int) -> None:
        for number, (a, b) in enumerate(((i, o), (o, o)), 1):
            made.conv(f"{name}.separable_{number}.depthwise_conv2d", a, 1, kernel, kernel)
            made.conv(f"{name}.separable_{number}.pointwise_conv2d", b, a, 1, 1)
            made.norm(f"{name}.bn_sep_{number}", b)

    def cell(name: str, width: int, current: int, older: int, shrinks: bool, terms: list[tuple[str, int]]) -> None:
        made.conv(f"{name}.conv_1x1.conv", width, current, 1, 1), made.norm(f"{name}.conv_1x1.bn", width)
        if shrinks:
            made.conv(f"{name}.path_1.conv", width // 2, older, 1, 1)
            made.conv(f"{name}.path_2.conv", width // 2, older, 1, 1)
            made.norm(f"{name}.final_path_bn", width)
        elif name != "cell_stem_0":
            made.conv(f"{name}.conv_prev_1x1.conv", width, older, 1, 1), made.norm(f"{name}.conv_prev_1x1.bn", width)
        for place, kernel in terms:
            raw = name == "cell_stem_0" and "right" in place
            term(f"{name}.comb_iter_{place}", older if raw else width, width, kernel)

    normal = [("0_left", 5), ("0_right", 3), ("1_left", 5), ("1_right", 3), ("4_left", 3)]
    reduction = [("0_left", 5), ("0_right", 7), ("1_right", 7), ("2_right", 5), ("4_left", 3)]
    cell("cell_stem_0", 11, 32, 32, False, reduction)
    cell("cell_stem_1", 22, 44, 32, True, reduction)
    older, current = 44, 88
    for first, width in ((0, 44), (6, 88), (12, 176)):
        for number in range(first, first + 4):
            cell(f"cell_{number}", width, current, older, number == first, normal)
            older, current = current, 6 * width
        if first < 12:
            cell(f"reduction_cell_{first // 6}", 2 * width, current, older, False, reduction)
            older, current = current, 8 * width
    made.linear("last_linear", 1000, 1056)
    return made.tensors


CASES = [
    ("nasnet_mobile", nasnet, {}, 1318),
    *((f"resnet{depth}", lambda depth=depth: resnet(depth), {}, count)
      for depth, count in ((18, 122), (50, 320))),
    ("resnet18", lambda: resnet(18, deep=True), {"stem": "deep"}, None),
    *(("mobilenetv2", lambda layout=layout: mobilenet(layout), {}, 314) for layout in ("torchvision", "timm", "flat")),
    ("mobilenetv2", lambda: mobilenet("refinenet"), {"expand_first": True}, None),
    *(("regnetx800mf", lambda layout=layout: regnet(layout), {}, None) for layout in ("torchvision", "timm", "pycls")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "options", "count"), CASES)
def test_every_tensor_finds_its_place(tmp_path: Path, name: str, make, options: dict, count: int | None) -> None:
    file = make()
    assert count in (None, len(file))  # the public files have so many
    torch.save(file, tmp_path / "weights.pth")
    encoder = create_encoder(name, **options)
    loaded = load_encoder(encoder, tmp_path / "weights.pth")
    # Both sides list the same tensors in the order of execution, so names can be held against positions.
    given = [tensor for key, tensor in file.items() if key not in loaded.left_out]
    mine = list(encoder.state_dict().values())
    assert len(given) == len(mine) == loaded.used
    assert all(torch.equal(a, b) for a, b in zip(given, mine))
    heads = ("fc.", "classifier", "conv_head.", "bn2.", "features.18.", "conv.", "head.", "last_linear.")
    assert all(key.startswith(heads) for key in loaded.left_out)


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state", "model"])
@pytest.mark.parametrize("prefix", ["module.", "backbone.", "_orig_mod.module."])
def test_wrappers_prefixes_and_old_files(tmp_path: Path, wrapper: str, prefix: str) -> None:
    file = {key: tensor for key, tensor in resnet(18).items() if not key.endswith("num_batches_tracked")}
    named = {prefix + key: tensor for key, tensor in file.items()}
    old = {"_use_new_zipfile_serialization": False}
    torch.save({"epoch": 90, wrapper: named}, tmp_path / "old.pth.tar", **old)
    encoder = create_encoder("resnet18")
    assert load_encoder(encoder, tmp_path / "old.pth.tar").used == 100
    assert torch.equal(encoder.state_dict()["stages.0.0.weight"], file["conv1.weight"])


def test_safetensors(tmp_path: Path) -> None:
    file = mobilenet("timm")
    save_file(file, tmp_path / "w.safetensors")
    encoder = create_encoder("mobilenetv2")
    load_encoder(encoder, tmp_path / "w.safetensors")
    assert torch.equal(encoder.state_dict()["stages.1.0.body.1.0.weight"], file["blocks.0.0.conv_pw.weight"])


@torch.no_grad()
def test_a_first_expansion_of_identity_changes_nothing(tmp_path: Path) -> None:
    torch.save(mobilenet("torchvision"), tmp_path / "w.pth")
    plain = create_encoder("mobilenetv2").double().eval()
    wide = create_encoder("mobilenetv2", expand_first=True).double().eval()
    load_encoder(plain, tmp_path / "w.pth")
    load_encoder(wide, tmp_path / "w.pth")
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    for a, b in zip(plain(x), wide(x)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(a.abs().max()))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("resnet50", lambda: resnet(18), "another shape of stages.2"),
        ("resnet34", lambda: resnet(18), "lacks stages.2.2"),
        ("resnet18", lambda: resnet(34), "has too much stages.2.2"),
        ("resnet18", lambda: resnet(18, deep=True), "deep stem"),
        ("mobilenetv2", lambda: resnet(18), "holds a ResNet"),
        ("mobilenetv2_140", lambda: mobilenet("torchvision"), "another shape"),
        ("mobilenetv2", lambda: mobilenet("refinenet"), "has another shape of stages.1.0|has too much"),
        ("resnet18", lambda: {**resnet(18), "extra.weight": torch.zeros(3)}, "no business with extra.weight"),
        ("resnet18", lambda: {"a": torch.zeros(3), "b": torch.zeros(1)}, "it has a, b"),
        ("resnet18", lambda: {"epoch": 3}, "no tensors"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(tmp_path: Path, name: str, make, said: str) -> None:
    torch.save(make(), tmp_path / "w.pth")
    encoder = create_encoder(name)
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    with pytest.raises(SwathError, match=said):
        load_encoder(encoder, tmp_path / "w.pth")
    assert all(torch.equal(before[key], tensor) for key, tensor in encoder.state_dict().items())


def test_files_that_are_none(tmp_path: Path) -> None:
    encoder = create_encoder("resnet18")
    with pytest.raises(SwathError, match="no such file"):
        load_encoder(encoder, tmp_path / "none.pth")
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(b"not a checkpoint")
        with pytest.raises(SwathError, match=r"checkpoint|damaged"):
            load_encoder(encoder, tmp_path / name)
    torch.save({"model": nn.Linear(2, 2)}, tmp_path / "pickled.pth")
    with pytest.raises(SwathError, match="nothing is run from a file"):
        load_encoder(encoder, tmp_path / "pickled.pth")


def test_other_numbers_of_channels_only_on_request(tmp_path: Path) -> None:
    file = resnet(18)
    torch.save(file, tmp_path / "w.pth")
    with pytest.raises(SwathError, match=r"stages.0.0.weight \(\[64, 3, 7, 7\], needed \[64, 1, 7, 7\]\)"):
        load_encoder(create_encoder("resnet18", in_channels=1), tmp_path / "w.pth")
    for channels in (1, 6):
        encoder = create_encoder("resnet18", in_channels=channels)
        assert load_encoder(encoder, tmp_path / "w.pth", adapt_input=True).adapted
    stem = encoder.state_dict()["stages.0.0.weight"]
    torch.testing.assert_close(stem.sum(1), file["conv1.weight"].sum(1))  # six channels of the same grey


def test_create_model_starts_every_stream_and_remembers_no_path(tmp_path: Path) -> None:
    file = mobilenet("torchvision")
    torch.save(file, tmp_path / "w.pth")
    options = {"inputs": {"image": 3, "flow": 2}, "tasks": {"segmentation": 5, "depth": 1}}
    model = create_model("unet_lite_mobilenetv2", 5, encoder_weights=tmp_path / "w.pth", **options)
    first, second = model.encoder.encoders
    assert torch.equal(first.stages[0][0].weight, file["features.0.0.weight"])
    assert torch.equal(second.stages[2][1].body[2][0].weight, file["features.3.conv.2.weight"])
    assert len(second.stages) == 3
    assert model.arguments == {"num_classes": 5, "in_channels": 3, **options}
    with pytest.raises(SwathError, match="no encoder that public checkpoints fit"):
        create_model("contextnet14", encoder_weights=tmp_path / "w.pth")


class FakeFeatures(nn.Module):
    """What timm's features_only form of a four-stage model looks like, its maps N x H x W x C."""

    def __init__(self, in_chans: int, output_stride: int = 32):
        super().__init__()
        self.stem = nn.Conv2d(in_chans, 8, 4, 4)
        deepest = nn.Conv2d(8, 8, 2, 2) if output_stride == 32 else nn.Conv2d(8, 8, 1)
        self.steps = nn.ModuleList([nn.Conv2d(8, 8, 2, 2), nn.Conv2d(8, 8, 2, 2), deepest])
        reductions = [4, 8, 16, min(32, output_stride)]
        self.feature_info = SimpleNamespace(channels=lambda: [8] * 4, reduction=lambda: reductions)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [self.stem(x)]
        for step in self.steps:
            maps.append(step(maps[-1]))
        return [each.permute(0, 2, 3, 1) for each in maps]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    made: list[dict] = []

    def create(name: str, features_only: bool, in_chans: int, **options: object) -> nn.Module:
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        made.append(options)
        return FakeFeatures(in_chans, int(options.get("output_stride", 32)))

    fake = ModuleType("timm")
    fake.create_model = create  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", fake)
    return made


@pytest.mark.parametrize("name", ["deeplabv3plus_lite", "unet_lite", "fpn_lite"])
def test_decoders_stand_on_timm(calls: list[dict], name: str) -> None:
    model = create_model(name, 3, encoder="timm:tiny").eval()
    assert calls == [{"output_stride": 16}] if name == "deeplabv3plus_lite" else [{}]
    assert model.stride == 4
    assert model.logits(torch.randn(1, 3, 96, 64)).shape == (1, 3, 24, 16)


def test_timm_weights_come_from_a_local_safetensors_file_only(calls: list[dict], tmp_path: Path) -> None:
    encoder = create_encoder("timm:tiny", in_channels=4)
    path = tmp_path / "w.safetensors"
    with pytest.raises(SwathError, match="no such file"):
        load_encoder(encoder, path)
    with pytest.raises(SwathError, match="safetensors only"):
        load_encoder(encoder, tmp_path / "w.pth")
    path.touch()
    load_encoder(encoder, path)
    assert calls[-1] == {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}


def test_timm_absent_unknown_or_in_streams(calls: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SwathError, match=r"timm cannot build encoder 'nothing'.*Unknown model"):
        create_encoder("timm:nothing")
    with pytest.raises(SwathError, match="cannot be cut into streams"):
        create_model("fpn_lite", encoder="timm:tiny", inputs={"image": 3, "flow": 2})
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SwathError, match=r"swath\[timm\]"):
        create_encoder("timm:tiny")
