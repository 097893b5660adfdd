"""What the battery does not ask of the front-runners: boundary heads, first weights, one picture a batch."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from swath import SwathError, create_model
from swath.networks import model_info
from swath.networks.swiftnet import rounded

# The published sizes, with the heads that only training needs.
WITH_HEADS = {
    "bisenetv1_resnet18": 13_425_721,
    "bisenetv2": 5_231_487,
    "pidnet_s": 7_720_935,
    "pidnet_m": 28_763_111,
    "pidnet_l": 37_314_311,
    "ddrnet23_slim": 5_734_342,
    "ddrnet23": 20_299_366,
    "ddrnet39": 32_660_838,
    "stdc1_seg": 8_572_896,
    "stdc2_seg": 12_603_360,
    "msfnet": 12_775_974,
}


@pytest.mark.parametrize("name", WITH_HEADS)
def test_training_heads_have_the_authors_size(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=19)
    assert sum(p.numel() for p in model.parameters()) == WITH_HEADS[name]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("pidnet_s", ("segmentation", "boundary")),
        ("stdc1_seg", ("segmentation", "segmentation", "detail")),
        ("msfnet", ("band",)),
        ("bisenetv2", ("segmentation",) * 4),
    ],
)
def test_each_auxiliary_output_says_what_it_learns(name: str, kinds: tuple[str, ...]) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=7).train()
    assert model.aux_kinds == kinds and len(model.aux_weights) == len(kinds)
    main, *aux = model(torch.empty(2, 3, 64, 96, device="meta"))
    channels = {"segmentation": 7, "band": 7, "boundary": 1, "detail": 1}
    assert [each.shape[1] for each in aux] == [channels[kind] for kind in kinds]
    assert all(each.shape[-2:] == main.shape[-2:] for each in aux)
    assert model.drop_aux().aux_kinds == ()


@pytest.mark.parametrize("name", ["pidnet_s", "ddrnet23_slim", "bisenetv2", "stdc1_seg", "pp_liteseg_t"])
def test_training_with_one_picture_is_refused_in_words(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=2).train()
    with pytest.raises(SwathError, match="2 or more pictures a batch"):
        model(torch.empty(1, 3, 64, 96, device="meta"))


def test_swiftnet_rounds_its_columns_as_its_authors_do() -> None:
    for a in range(60):
        for b in range(1, 40):
            assert rounded(a, b) == round(Fraction(a, b))


def test_each_bisenetv2_block_starts_as_its_shortcut() -> None:
    torch.manual_seed(0)
    model = create_model("bisenetv2", num_classes=2).eval()
    x = torch.randn(1, 32, 9, 7).relu()
    same, down = model.get_submodule("semantic.1.1"), model.get_submodule("semantic.2.0")
    torch.testing.assert_close(same(x), x)
    torch.testing.assert_close(down(x), down.shortcut(x).relu())


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("SwiftNet", "swiftnet_resnet18"),
        ("rn18_pyramid", "swiftnet_pyramid_resnet18"),
        ("BiSeNetV1", "bisenetv1_resnet18"),
        ("BiSeNet", "bisenetv1_resnet18"),
        ("PIDNet-S", "pidnet_s"),
        ("pidnet_large", "pidnet_l"),
        ("DDRNet-23-slim", "ddrnet23_slim"),
        ("STDCNet813", "stdc1_seg"),
        ("stdc2", "stdc2_seg"),
        ("PP-LiteSeg-B", "pp_liteseg_b"),
        ("exp53_decoder29", "regseg_large"),
    ],
)
def test_the_authors_names_are_known(alias: str, name: str) -> None:
    assert model_info(alias).name == name
