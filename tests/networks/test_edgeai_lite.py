"""EdgeAI-Lite beyond the battery: published counts, group rule, several inputs and tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from swath import create_model, list_models, load, save
from swath.errors import SwathError
from swath.networks import model_info
from swath.networks.edgeai_decoders import Style

NAMES = [name for name in list_models() if model_info(name).family == "edgeai_lite"]

# Parameters that the project's own documents give for 19 classes, where no golden facts exist.
PUBLISHED = {"deeplabv3plus_lite": 25_958_976, "fpn_lite": 26_612_032, "unet_lite": 28_300_288}


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_counts_with_resnet50(name: str, count: int) -> None:
    with torch.device("meta"):
        model = create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("name", NAMES)
def test_registered_stride_and_range_of_pixels(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
    assert model.stride == model_info(name).stride
    assert set(model.preprocesses) == set(model.inputs)
    grey, brightest = model.preprocess(torch.tensor([128, 255]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2))[0, 0, 0]
    assert (grey, brightest) == (0, pytest.approx(127 / 64))


def test_aliases_of_the_authors() -> None:
    for alias, name in {
        "deeplabv3plus_mobilenetv2_tv_edgeailite": "deeplabv3plus_lite_mobilenetv2",
        "unet_edgeailite_pixel2pixel_aspp_mobilenetv2_tv": "unet_lite_mobilenetv2",
        "fpn_aspp_mobilenetv2_1p4_tv_edgeailite": "fpn_lite_mobilenetv2_1p4",
        "deeplabv3plus_mobilenetv2_tv_1p4_edgeailite": "deeplabv3plus_lite_mobilenetv2_1p4",
        "fpn_aspp_regnetx3p2gf_bgr_edgeailite": "fpn_lite_regnetx3p2gf",
        "fpn_mobilenetv2_tv_fd_edgeailite": "fpn_noaspp_lite_mobilenetv2_fd",
        "fpn128_aspp_mobilenetv2_tv_fd_edgeailite": "fpn128_lite_mobilenetv2_fd",
    }.items():
        assert model_info(alias).name == name


def test_groups_divide_and_are_never_narrower_than_asked() -> None:
    for width in (1, 16, 24, 48):
        style = Style(group_width=width)
        for channels in range(1, 700, 7):
            groups = style.groups(channels)
            assert channels % groups == 0
            assert groups == 1 or channels // groups >= width
    assert Style(group_width=16).groups(38) == 2  # UNet at 19 classes: two groups of 19
    assert Style().groups(320) == 320


@pytest.mark.parametrize("decoder", ["deeplabv3plus_lite", "unet_lite", "fpn_lite"])
@pytest.mark.parametrize("encoder", ["mobilenetv2", "regnetx400mf"])
def test_several_inputs_and_tasks_with_every_decoder(tmp_path: Path, decoder: str, encoder: str) -> None:
    inputs = {"image": 3, "flow": 2, "previous": 3}
    tasks = {"segmentation": 5, "depth": 1, "motion": 2}
    model = create_model(f"{decoder}_{encoder}", 5, inputs=inputs, tasks=tasks)
    pictures = [torch.randn(2, channels, 65, 97) for channels in inputs.values()]
    answers = model.train()(*pictures)
    assert {task: [t.shape[1] for t in each] for task, each in answers.items()} == {t: [n] for t, n in tasks.items()}
    sum(each[0].square().mean() for each in answers.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())

    model.eval()
    save(tmp_path / "w.safetensors", model, classes=list("abcde"), colors=[(i, i, i) for i in range(5)])
    again = load(tmp_path / "w.safetensors")
    assert list(again.tasks) == list(tasks) and list(again.inputs) == list(inputs)  # the order is part of it
    with torch.inference_mode():
        for task, logits in model(*pictures).items():
            assert logits.shape == (2, tasks[task], 65, 97)
            assert torch.equal(logits, again(*pictures)[task])


def test_the_finest_shortcut_of_unet_is_of_the_current_image() -> None:
    model = create_model("unet_lite_mobilenetv2", inputs={"flow": 2, "image": 3}).eval()
    flow, image = torch.randn(1, 2, 64, 64), torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        finest = model.encoder(flow, image)[0]
        assert torch.equal(finest, model.encoder.encoders[1].stages[1](model.encoder.encoders[1].stages[0](image)))


def test_activations() -> None:
    kinds = {name: {type(m) for m in create_model(name).modules()} for name in NAMES if name.endswith(("v2", "1p4"))}
    for name, types in kinds.items():
        assert (nn.ReLU6 in types, nn.ReLU in types) == ((True, False) if name.endswith("1p4") else (False, True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tasks": {"segmentation": 7}}, "num_classes is 19"),
        ({"inputs": {"flow": 2}}, "image: 3"),
        ({"inputs": {"image": 1}}, "image: 3"),
        ({"tasks": {"segmentation": 19, "a b": 1}}, "'a b: 1'"),
        ({"inputs": {"image": 3, "flow": 0}}, "'flow: 0'"),
        ({"task": {}}, "did you mean 'tasks'"),
    ],
)
def test_mistakes_in_inputs_and_tasks(options: dict, said: str) -> None:
    with pytest.raises(SwathError, match=said):
        create_model("fpn_lite_mobilenetv2", **options)


def test_mistakes_in_pictures() -> None:
    model = create_model("deeplabv3plus_lite_mobilenetv2_motion", 2).eval()
    with pytest.raises(SwathError, match=r"2 pictures \(flow, image\), got 1"):
        model(torch.randn(1, 3, 64, 64))
    with pytest.raises(SwathError, match="these are 64x64, 32x64"):
        model(torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 32))
