"""Whole checkpoints in the authors' names: made up with exactly those names and shapes, and read back."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import swath
from swath.cli.main import main
from swath.errors import SwathError
from swath.networks.shapes import ShapesOnly
from swath.weights import save_weights
from swath.weights.imports import LAYOUTS, identify, import_checkpoint, importable


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{leaf}": (channels,) for leaf in leaves}, f"{name}.num_batches_tracked": ()}


def pair(conv: str, bn: str, o: int, i: int, kernel: int = 1) -> dict[str, tuple[int, ...]]:
    return {f"{conv}.weight": (o, i, kernel, kernel), **norm(bn, o)}


def mobilenet_stages() -> list[tuple[int, int, int]]:
    """(expansion, channels, blocks) of MobileNetV2."""
    return [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]


def refinenet_resnet(depth: int, classes: int) -> dict[str, tuple[int, ...]]:
    keys = pair("conv1", "bn1", 64, 3, 7)
    i = 64
    for layer, count in enumerate({50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}[depth], 1):
        planes = 32 * 2**layer
        for block in range(count):
            name = f"layer{layer}.{block}"
            keys |= pair(f"{name}.conv1", f"{name}.bn1", planes, i)
            keys |= pair(f"{name}.conv2", f"{name}.bn2", planes, planes, 3)
            keys |= pair(f"{name}.conv3", f"{name}.bn3", 4 * planes, planes)
            if block == 0:
                keys |= pair(f"{name}.downsample.0", f"{name}.downsample.1", 4 * planes, i)
            i = 4 * planes
    for level, (channels, width) in enumerate(((2048, 512), (1024, 256), (512, 256), (256, 256)), 1):
        keys[f"p_ims1d2_outl{level}_dimred.weight"] = (width, channels, 1, 1)
        for place in range(1, 5):
            keys[f"mflow_conv_g{level}_pool.0.{place}_outvar_dimred.weight"] = (width, width, 1, 1)
        if level > 1:
            keys[f"adapt_stage{level}_b2_joint_varout_dimred.weight"] = (256, 256, 1, 1)
        if level < 4:
            keys[f"mflow_conv_g{level}_b3_joint_varout_dimred.weight"] = (256, width, 1, 1)
    return {**keys, "clf_conv.weight": (classes, 256, 3, 3), "clf_conv.bias": (classes,)}


def refinenet_mobilenet(classes: int, heads: dict[str, int] | None = None) -> dict[str, tuple[int, ...]]:
    keys = pair("layer1.0", "layer1.1", 32, 3, 3)
    i = 32
    for layer, (expand, o, count) in enumerate(mobilenet_stages(), 2):
        for block in range(count):
            name, wide = f"layer{layer}.{block}.output", i * expand
            keys |= pair(f"{name}.0.0", f"{name}.0.1", wide, i)
            keys |= {f"{name}.1.0.weight": (wide, 1, 3, 3), **norm(f"{name}.1.1", wide)}
            keys |= pair(f"{name}.2.0", f"{name}.2.1", o, wide)
            i = o
    for layer, channels in zip((8, 7, 6, 5, 4, 3), (320, 160, 96, 64, 32, 24)):
        keys[f"conv{layer}.weight"] = (256, channels, 1, 1)
    for crp, place in itertools.product((4, 3, 2, 1), range(1, 5)):
        columns = 1 if heads and crp == 1 else 256
        keys[f"crp{crp}.0.{place}_outvar_dimred.weight"] = (256, columns, 1, 1)
    for level in (4, 3, 2):
        keys[f"conv_adapt{level}.weight"] = (256, 256, 1, 1)
    for head, channels in (heads or {"segm": classes}).items():
        if heads:
            keys[f"pre_{head}.weight"] = (256, 1, 1, 1)
        keys |= {f"{head}.weight": (channels, 256, 3, 3), f"{head}.bias": (channels,)}
    return keys


def edgeai_decoder(kind: str, classes: int) -> dict[str, tuple[int, ...]]:
    """On MobileNetV2, whose 3x3 have one channel a group."""

    def grouped(name: str, channels: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.0.weight": (channels, 1, 3, 3), **norm(f"{name}.1", channels)}

    block = "rfblock" if kind == "unet" else "aspp"
    keys = pair(f"{block}.conv1x1.0", f"{block}.conv1x1.1", 256, 320)
    for branch in (f"{block}.aspp_bra{number}" for number in (1, 2, 3)):
        keys |= grouped(f"{branch}.0", 320) | pair(f"{branch}.1.0", f"{branch}.1.1", 256, 320)
    keys |= pair(f"{block}.aspp_out.0", f"{block}.aspp_out.1", 256, 1024)
    width = 304 if kind == "deeplab" else 256
    if kind == "deeplab":
        keys |= pair("shortcut.0", "shortcut.1", 48, 24)
    elif kind == "fpn":
        for level, channels in enumerate((96, 32, 24), 1):
            keys |= pair(f"fpn.shortcuts.{level}.0", f"fpn.shortcuts.{level}.1", 256, channels)
            smooth = f"fpn.smooth_convs.{level}"
            keys |= grouped(f"{smooth}.0", 256) | pair(f"{smooth}.1.0", f"{smooth}.1.1", 256, 256)
    else:
        for level, channels in enumerate((96, 32, 24, 16), 1):
            smooth, i = f"unet.smooth_convs.{level}", width + channels
            width = max(2 * classes, 32, channels)
            keys |= grouped(f"{smooth}.0", i) | pair(f"{smooth}.1.0", f"{smooth}.1.1", width, i)
    keys |= grouped("pred.0", width) | {"pred.1.0.weight": (classes, width, 1, 1)}
    return {f"decoders.0.{key}": shape for key, shape in keys.items()}


def edgeai_mobilenet() -> dict[str, tuple[int, ...]]:
    keys = pair("features.0.0", "features.0.1", 32, 3, 3)
    i, feature = 32, 0
    for expand, o, count in mobilenet_stages():
        for _ in range(count):
            feature += 1
            name, wide, last = f"features.{feature}.conv", i * expand, 0
            if expand > 1:
                keys |= pair(f"{name}.0.0", f"{name}.0.1", wide, i)
                last = 1
            keys |= {f"{name}.{last}.0.weight": (wide, 1, 3, 3), **norm(f"{name}.{last}.1", wide)}
            keys |= pair(f"{name}.{last + 1}", f"{name}.{last + 2}", o, wide)
            i = o
    return {f"encoder.{key}": shape for key, shape in keys.items()}


def edgeai_regnet(classes: int) -> dict[str, tuple[int, ...]]:
    """FPN-Lite on RegNetX-800MF: groups are 16 wide."""
    keys = pair("encoder.stem.conv", "encoder.stem.bn", 32, 3, 3)
    i = 32
    for stage, (o, count) in enumerate(((64, 1), (128, 3), (288, 7), (672, 5)), 1):
        for block in range(1, count + 1):
            name = f"encoder.s{stage}.b{block}"
            if block == 1:
                keys |= pair(f"{name}.proj", f"{name}.bn", o, i)
            keys |= pair(f"{name}.f.a", f"{name}.f.a_bn", o, i)
            keys |= {f"{name}.f.b.weight": (o, 16, 3, 3), **norm(f"{name}.f.b_bn", o)}
            keys |= pair(f"{name}.f.c", f"{name}.f.c_bn", o, o)
            i = o

    def grouped(name: str, channels: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.0.weight": (channels, 16, 3, 3), **norm(f"{name}.1", channels)}

    head = pair("aspp.conv1x1.0", "aspp.conv1x1.1", 256, 672)
    for branch in (f"aspp.aspp_bra{number}" for number in (1, 2, 3)):
        head |= grouped(f"{branch}.0", 672) | pair(f"{branch}.1.0", f"{branch}.1.1", 256, 672)
    head |= pair("aspp.aspp_out.0", "aspp.aspp_out.1", 256, 1024)
    for level, channels in enumerate((288, 128, 64), 1):
        head |= pair(f"fpn.shortcuts.{level}.0", f"fpn.shortcuts.{level}.1", 256, channels)
        smooth = f"fpn.smooth_convs.{level}"
        head |= grouped(f"{smooth}.0", 256) | pair(f"{smooth}.1.0", f"{smooth}.1.1", 256, 256)
    head |= grouped("pred.0", 256) | {"pred.1.0.weight": (classes, 256, 1, 1)}
    return keys | {f"decoders.0.{key}": shape for key, shape in head.items()}


MADE_UP = {
    "rf_lw_resnet50": (refinenet_resnet(50, 40), 40),
    "rf_lw_resnet101": (refinenet_resnet(101, 7), 7),
    "rf_lw_mobilenetv2": (refinenet_mobilenet(21), 21),
    "rf_lw_mtl_mobilenetv2": (refinenet_mobilenet(6, {"segm": 6, "depth": 1}), 6),
    "rf_lw_mtl_mobilenetv2_normals": (refinenet_mobilenet(40, {"segm": 40, "depth": 1, "normal": 3}), 40),
    "deeplabv3plus_lite_mobilenetv2": (edgeai_mobilenet() | edgeai_decoder("deeplab", 19), 19),
    "fpn_lite_mobilenetv2_fd": (edgeai_mobilenet() | edgeai_decoder("fpn", 11), 11),
    "unet_lite_mobilenetv2": (edgeai_mobilenet() | edgeai_decoder("unet", 21), 21),
    "fpn_lite_regnetx800mf": (edgeai_regnet(5), 5),
}


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A different number in every tensor, so that a tensor in the wrong place shows."""
    return {
        key: torch.full(shape, 1 + index, dtype=torch.float32 if shape else torch.int64)
        for index, (key, shape) in enumerate(shapes.items())
    }


@pytest.mark.parametrize("network", MADE_UP)
def test_every_tensor_finds_its_place(network: str, tmp_path: Path) -> None:
    shapes, classes = MADE_UP[network]
    tensors = filled(shapes)
    wrapped = {"epoch": 3, "segmenter": {f"module.{key}": tensor for key, tensor in tensors.items()}}
    torch.save(wrapped, tmp_path / "theirs.pth")
    found = identify(tmp_path / "theirs.pth")
    assert network in found.networks and found.num_classes == classes
    model, _ = import_checkpoint(tmp_path / "theirs.pth", network)
    ours = {found.layout.rename(key): tensor for key, tensor in tensors.items()}
    assert None not in ours and len(ours) == len(tensors)
    state = model.state_dict()
    assert set(state) == set(ours)
    assert all(torch.equal(state[str(name)], tensor) for name, tensor in ours.items())


def by_step(network: str, key: str) -> str | None:
    layout = next(each for each in LAYOUTS if network in each.networks)
    return layout.rename(key)


@pytest.mark.parametrize(
    ("network", "theirs", "ours"),
    [
        ("rf_lw_resnet50", "p_ims1d2_outl3_dimred.weight", "shortcuts.1.0.weight"),
        ("rf_lw_resnet50", "adapt_stage3_b2_joint_varout_dimred.weight", "shortcuts.1.1.weight"),
        ("rf_lw_resnet50", "mflow_conv_g2_pool.0.4_outvar_dimred.weight", "pools.1.mixes.3.weight"),
        ("rf_lw_mobilenetv2", "conv5.weight", "refiner.levels.1.taps.1.weight"),
        ("rf_lw_mobilenetv2", "crp4.0.2_outvar_dimred.weight", "refiner.levels.0.pool.mixes.1.weight"),
        ("rf_lw_mobilenetv2", "conv_adapt2.weight", "refiner.narrow.2.weight"),
        ("rf_lw_mobilenetv2", "p_ims1d2_outl3_dimred.weight", None),
        (
            "fpn_lite_mobilenetv2",
            "decoders.0.aspp.aspp_bra2.1.0.weight",
            "decoders.segmentation.aspp.branches.2.1.0.weight",
        ),
        ("fpn_lite_mobilenetv2", "decoders.0.fpn.shortcuts.1.1.bias", "decoders.segmentation.shortcuts.0.1.bias"),
        ("fpn_lite_mobilenetv2", "decoders.1.pred.1.0.weight", None),
    ],
)
def test_equal_shapes_go_where_the_layout_says(network: str, theirs: str, ours: str | None) -> None:
    """Shapes cannot tell these apart; the authors' numbering can."""
    assert by_step(network, theirs) == ours


def test_a_deeper_network_is_told_by_its_blocks_and_one_stride_cannot_be_told(tmp_path: Path) -> None:
    save_file(filled(MADE_UP["rf_lw_resnet101"][0]), tmp_path / "a.safetensors")
    found = identify(tmp_path / "a.safetensors")
    assert (found.networks, found.num_classes, found.card) == (("rf_lw_resnet101",), 7, "person-part")
    torch.save({"state_dict": filled(MADE_UP["unet_lite_mobilenetv2"][0])}, tmp_path / "b.pth")
    assert identify(tmp_path / "b.pth").networks == ("unet_lite_mobilenetv2", "unet_lite_mobilenetv2_fd")


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    tensors = filled(MADE_UP["rf_lw_mobilenetv2"][0])
    del tensors["conv_adapt3.weight"]
    tensors["extra.weight"] = torch.zeros(1)
    tensors["segm.bias"] = torch.zeros(9)
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(SwathError) as error:
        import_checkpoint(tmp_path / "odd.pth", "rf_lw_mobilenetv2")
    for named in ("refiner.narrow.1.weight", "extra.weight", "segm.bias ([9], needed [21])"):
        assert named in str(error.value)


def test_missing_counters_of_batches_are_no_difference(tmp_path: Path) -> None:
    tensors = {
        key: tensor
        for key, tensor in filled(MADE_UP["rf_lw_mobilenetv2"][0]).items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save({"model": tensors}, tmp_path / "old.pth")
    model, found = import_checkpoint(tmp_path / "old.pth", "rf_lw_mbv2")
    assert model.name == "rf_lw_mobilenetv2" and len(found.tensors) == len(tensors)


@pytest.mark.parametrize(
    ("network", "message"),
    [("enet", "can be imported: rf_lw_resnet50, "), ("rf_lw_resnet50", "is rf_lw_mobilenetv2 with 21 classes, not")],
)
def test_another_network_is_refused(network: str, message: str, tmp_path: Path) -> None:
    torch.save(filled(MADE_UP["rf_lw_mobilenetv2"][0]), tmp_path / "x.pth")
    with pytest.raises(SwathError, match=message):
        import_checkpoint(tmp_path / "x.pth", network)


def test_files_that_are_no_checkpoint_of_a_whole_network(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1), "layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(SwathError, match="no checkpoint that is known here; it has conv1"):
        identify(tmp_path / "x.pth")
    encoder = {key: torch.zeros(1) for key in ("conv1.weight", "layer1.0.conv1.weight", "layer4.0.downsample.0.weight")}
    torch.save(encoder, tmp_path / "encoder.pth")
    with pytest.raises(SwathError, match="an encoder; give it to a network as encoder_weights"):
        identify(tmp_path / "encoder.pth")
    model = swath.create_model("contextnet14_160", num_classes=2)
    save_weights(tmp_path / "own.safetensors", model, classes=["a", "b"], colors=[(0, 0, 0), (1, 1, 1)])
    with pytest.raises(SwathError, match="is swath's own already, a contextnet14_160"):
        identify(tmp_path / "own.safetensors")
    with pytest.raises(SwathError, match="no such file"):
        identify(tmp_path / "nothing.pth")


def test_all_that_is_importable_exists_and_has_room_for_its_layout() -> None:
    assert set(importable()) <= set(swath.list_models())
    with ShapesOnly():
        for name in importable():
            assert swath.create_model(name, num_classes=3).num_classes == 3


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(filled(MADE_UP["rf_lw_mobilenetv2"][0]), "voc.pth")
    assert main(["import", "voc.pth"]) == 0
    assert "rf_lw_mobilenetv2, 21 classes" in capsys.readouterr().out
    assert not Path("rf_lw_mobilenetv2.safetensors").exists()
    words = ["import", "voc.pth", "--as", "rf_lw_mobilenetv2"]
    assert main(words) == 0
    model = swath.load("rf_lw_mobilenetv2.safetensors")
    assert model.meta is not None and model.meta.classes[15] == swath.load_card("voc").class_names[15]
    assert model.meta.notes == {"imported from": "voc.pth", "layout": "Light-Weight RefineNet on MobileNetV2"}
    assert main(words) == 2 and "exists already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert main([*words, "--out", "b.safetensors", "--classes", "cityscapes"]) == 2
    assert "'cityscapes' has 19 classes, the checkpoint has 21" in capsys.readouterr().err
    assert main([*words, "--out", "b.pth"]) == 2 and main(["import", "voc.pth", "--out", "b.safetensors"]) == 2


def test_classes_without_a_card_are_numbered(tmp_path: Path) -> None:
    torch.save(filled(MADE_UP["fpn_lite_mobilenetv2_fd"][0]), tmp_path / "x.pth")
    out = tmp_path / "x.safetensors"
    assert main(["import", str(tmp_path / "x.pth"), "--as", "fpn_lite_mobilenetv2_fd", "--out", str(out)]) == 0
    meta = swath.load(out).meta
    assert meta is not None and meta.classes[:2] == ["class 0", "class 1"]
    assert len(set(map(tuple, meta.colors))) == 11 and list(meta.colors[3]) == [128, 128, 0]
