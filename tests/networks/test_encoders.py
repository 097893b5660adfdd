"""Encoders against golden facts, and what decoders count on: any size, any channels, honest `channels`, `strides`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from swath.errors import SwathError
from swath.networks import fuse
from swath.networks.encoders import create_encoder, list_encoders

from golden_facts import check

FACTS = sorted((Path(__file__).parents[1] / "golden").glob("encoder_*.json"))


@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    name, stride = re.fullmatch(r"encoder_(.*?)(?:_os(\d+))?", path.stem).groups()
    encoder = create_encoder(name, output_stride=int(stride or 32))
    assert check(encoder, json.loads(path.read_text())) == []


@pytest.mark.parametrize("name", [n for n in list_encoders() if n not in ("resnet101", "resnet152", "resnet34")])
@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_maps_are_as_described(name: str, output_stride: int) -> None:
    if name == "nasnet_mobile" and output_stride != 32:
        pytest.skip("has one stride")
    encoder = create_encoder(name, in_channels=4, output_stride=output_stride).eval()
    assert max(encoder.strides) == output_stride and encoder.strides == tuple(sorted(encoder.strides))
    with torch.inference_mode():
        maps = encoder(torch.randn(1, 4, 75, 99))
    assert tuple(each.shape[1] for each in maps) == encoder.channels
    if name != "nasnet_mobile":  # its first map loses a border
        sizes = [(-(-75 // stride), -(-99 // stride)) for stride in encoder.strides]
        assert [tuple(each.shape[-2:]) for each in maps] == sizes


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenetv2", "regnetx400mf"])
def test_the_same_weights_fit_every_output_stride(name: str) -> None:
    wide, narrow = create_encoder(name), create_encoder(name, output_stride=8)
    narrow.load_state_dict(wide.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2", "regnetx400mf"])
def test_fused_and_half_sized(name: str) -> None:
    encoder = create_encoder(name).eval()
    image = torch.randn(1, 3, 65, 97)
    with torch.inference_mode():
        fused = fuse(encoder)
        for a, b in zip(encoder(image), fused(image)):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fused.modules())


def test_stems_of_a_resnet() -> None:
    x = torch.randn(1, 3, 64, 64)
    assert create_encoder("resnet18", stem="deep").eval()(x)[0].shape[1] == 128
    assert create_encoder("resnet18", stem="deep32").eval()(x)[0].shape[1] == 64
    with pytest.raises(SwathError, match="did you mean 'deep'"):
        create_encoder("resnet18", stem="depe")


def test_running_the_projection_first_changes_nothing() -> None:
    x = torch.randn(1, 3, 64, 64)
    a = create_encoder("resnet18").eval()
    b = create_encoder("resnet18", projection_first=True).eval()
    b.load_state_dict(a.state_dict())
    assert all(torch.equal(p, q) for p, q in zip(a(x), b(x)))


def test_fast_down_and_undilated() -> None:
    assert create_encoder("mobilenetv2", fast_down=True).strides == (4, 8, 16, 32, 64)
    assert create_encoder("mobilenetv2", output_stride=16, fast_down=True, dilated=False).strides == (4, 8, 16, 32, 32)
    for name in ("mobilenetv2", "regnetx800mf"):
        encoder = create_encoder(name, output_stride=16, dilated=False)
        assert all(m.dilation == (1, 1) for m in encoder.modules() if isinstance(m, torch.nn.Conv2d))


@pytest.mark.parametrize("name", list_encoders())
def test_builds_without_memory(name: str) -> None:
    with torch.device("meta"):
        encoder = create_encoder(name)
    assert all(parameter.is_meta for parameter in encoder.parameters())


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (7, 13), (3, 4)])
def test_uneven_padding_of_nasnet_against_each_window(size: tuple[int, int]) -> None:
    from swath.networks.encoders.nasnet import _halving_average, _pad_same

    x = torch.randn(1, 1, *size, dtype=torch.float64)
    averages, largest = _halving_average(x)[0, 0], F.max_pool2d(_pad_same(x, 3, -torch.inf), 3, 2)[0, 0]
    # TensorFlow's "SAME": the output is ceil(n / 2), the smaller half of the padding stands in front.
    outs = [-(-n // 2) for n in size]
    starts = [max((o - 1) * 2 + 3 - n, 0) // 2 for n, o in zip(size, outs)]
    assert tuple(averages.shape) == tuple(outs)
    for i in range(outs[0]):
        for j in range(outs[1]):
            top, left = 2 * i - starts[0], 2 * j - starts[1]
            window = x[0, 0, max(top, 0) : top + 3, max(left, 0) : left + 3]
            torch.testing.assert_close(averages[i, j], window.mean())
            assert largest[i, j] == window.max()


def test_mistakes_name_what_is_right() -> None:
    with pytest.raises(SwathError, match="did you mean 'resnet18'"):
        create_encoder("resnet_18")
    with pytest.raises(SwathError, match="output_stride 4"):
        create_encoder("resnet18", output_stride=4)
    with pytest.raises(SwathError, match="option of encoder resnet18"):
        create_encoder("resnet18", width=2)
