"""What the battery does not hold about CSFCN and the networks of its repository."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath import SwathError, create_model, model_info
from swath.networks.csfcn import ContextCalibration, pyramid, round_ratio


def parameters(name: str, classes: int, **options: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in create_model(name, num_classes=classes, **options).parameters())


@pytest.mark.parametrize(
    "name, options, wanted",
    [
        ("csfcn", {}, 13_450_944),
        ("csfcn", {"head": "bilinear"}, 13_361_547),
        ("csfcn_bilinear", {}, 13_361_547),
        ("csfcn", {"stem": "plain"}, 13_302_464),
        ("csfcn_plainstem", {}, 13_302_464),
        ("csfcn_tiny", {}, 13_283_659),
        ("csfcn_tiny", {"head": "pixelshuffle"}, 13_373_056),
        ("csfcn_tiny_pixelshuffle", {}, 13_373_056),
        ("sfanet", {}, 12_715_870),
        ("mgseg", {}, 13_335_296),
        ("icnet_resnet50", {}, 26_243_488),
        ("icnet_resnet101", {}, 45_235_616),
    ],
)
def test_counts_with_eleven_classes(name: str, options: dict, wanted: int) -> None:
    assert parameters(name, 11, **options) == wanted


@pytest.mark.parametrize(
    "name, wanted",
    [("sfanet", 12_793_438), ("mgseg", 13_811_840), ("icnet_resnet50", 26_249_376), ("fastscnn", 1_187_433)],
)
def test_counts_with_auxiliary_heads(name: str, wanted: int) -> None:
    assert parameters(name, 19, aux=True) == wanted


@pytest.mark.parametrize(
    "name, strides",
    [
        ("csfcn", (1, 16, 32)),
        ("csfcn_tiny", (8, 16, 32)),
        ("sfanet", (4, 4, 8, 16, 32)),
        ("mgseg", (8, 8, 1)),
        ("icnet_resnet50", (4, 8, 16)),
        ("fastscnn", (8, 8, 32)),
    ],
)
def test_auxiliary_outputs_in_training(name: str, strides: tuple[int, ...]) -> None:
    model = create_model(name, num_classes=3, aux=True).train()
    outputs = model.logits(torch.randn(2, 3, 64, 96))
    assert [each.shape for each in outputs] == [(2, 3, 64 // s, 96 // s) for s in strides]
    assert model.aux_weights == (0.4,) * (len(strides) - 1)
    sum(each.square().mean() for each in outputs).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert len(model.drop_aux().logits(torch.randn(2, 3, 64, 96))) == 1


def test_the_authors_names() -> None:
    assert model_info("CSFCN-75").name == "csfcn"
    assert model_info("CSFCN_speed").name == "csfcn_plainstem"
    assert model_info("ICNet").name == "icnet_resnet50"


def test_an_unknown_head_names_the_right_one() -> None:
    with pytest.raises(SwathError, match="did you mean 'bilinear'"):
        create_model("csfcn", head="bilinaer")
    with pytest.raises(SwathError, match="did you mean 'deep'"):
        create_model("csfcn", stem="deeep")


def test_rounding_of_sizes_is_pythons() -> None:
    for a in range(1, 80):
        for b in range(1, 40):
            assert round_ratio(a, b) == max(1, round(a / b))


def test_pyramid_has_100_cells_at_the_shape_of_a_street() -> None:
    x = torch.randn(1, 4, 16, 32)
    cells, spare = pyramid(x)
    assert spare is None
    grids = [F.adaptive_avg_pool2d(x, grid).flatten(2) for grid in [(6, 12), (3, 6), (2, 4), (1, 2)]]
    assert torch.equal(cells, torch.cat(grids, 2)) and cells.shape == (1, 4, 100)


def test_exported_context_follows_the_shape_of_the_picture() -> None:
    """At 5x8 the last grid has two columns, at 9x8 and 8x3 one: nothing of the traced shape may stay in the graph."""
    module = ContextCalibration(6, 8, 4, 4).eval()
    nn.init.normal_(module.mask[1].weight)
    free = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        shapes = (({0: free, 2: free, 3: free},),)
        program = torch.export.export(module, (torch.randn(2, 6, 5, 8),), dynamic_shapes=shapes[0]).module()
        for size in [(5, 8), (9, 8), (8, 3), (4, 20)]:
            x = torch.randn(1, 6, *size)
            torch.testing.assert_close(program(x), module(x), rtol=1e-4, atol=1e-5)


def test_calibration_starts_from_nothing_moved_and_nothing_masked() -> None:
    model = create_model("csfcn").eval()
    low, high = torch.randn(1, 128, 8, 12), torch.randn(1, 256, 2, 3)
    with torch.no_grad():
        wanted: Tensor = model.spatial.from_low(low) + F.interpolate(
            model.spatial.from_high(high), size=(8, 12), mode="bilinear", align_corners=True
        )
        torch.testing.assert_close(model.spatial(low, high), wanted, rtol=1e-4, atol=1e-4)
        assert not model.context.mask(torch.randn(1, 256, 2, 3)).any()
