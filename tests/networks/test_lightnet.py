"""What the battery does not see: modules against slow references, padding, quadrants, mended quirks, options."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from swath.errors import SwathError
from swath.networks import create_model, list_models, model_info
from swath.networks.lightnet_encoding import Encoding
from swath.networks.lightnet_wresnet import SkippedBlock
from swath.networks.parts.context import ASPP
from swath.networks.parts.lightnet import shuffle


def count(name, **options):
    with torch.device("meta"):
        return sum(p.numel() for p in create_model(name, **options).parameters())


def test_published_parameter_counts_without_golden_facts():
    assert count("rf_mobilenetv2context") == 13_525_485 - 2 * 32  # smoothing factors are redrawn, never learnt
    assert count("mixscale_densenet", layers=128, dilations=(1, 2, 4, 8, 4, 2)) == 1_253_031


def test_mended_receptive_field_block_has_all_norms():
    assert count("rf_mobilenetv2plus", faithful=False) - count("rf_mobilenetv2plus") == 4_352


def test_aliases_are_the_authors_names():
    for alias, name in (
        ("SE-DPShuffleNet", "se_dpshufflenet"),
        ("RFMobileNetV2Plus", "rf_mobilenetv2plus"),
        ("Mixed-scale DenseNet", "mixscale_densenet"),
        ("SEWiderResNetV2", "se_wresnetv2"),
    ):
        assert model_info(alias).name == name


def test_shuffle_hands_channels_around():
    x = torch.arange(12.0).reshape(1, 12, 1, 1)
    assert shuffle(x, 3).flatten().tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]


def test_encoding_equals_its_definition():
    torch.manual_seed(0)
    layer = Encoding(3, 4).double().eval()
    nn.init.normal_(layer.codewords)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    expected = torch.zeros(2, 4, 3, dtype=torch.float64)
    for n in range(2):
        for pixel in x[n].flatten(1).T:
            distances = torch.stack([(pixel - word).square().sum() for word in layer.codewords])
            for k, share in enumerate((-0.5 * distances).softmax(0)):
                expected[n, k] += share * (pixel - layer.codewords[k])
    assert torch.allclose(layer(x), expected)


def test_ring_pads_the_last_convolution():
    x = torch.randn(1, 4, 5, 6)
    for ring, size in ((True, (7, 8)), (False, (5, 6))):
        small, large = ASPP(4, 2, (1, 2, 3), up=2, ring=ring).eval().both(x)
        assert small.shape[-2:] == size and large.shape[-2:] == (10, 12)
        assert bool((small[..., 0, :] == 0).all()) == ring


def test_sizes_between_multiples_are_padded_with_zeros():
    torch.manual_seed(0)
    model = create_model("mobilenetv2plus", num_classes=4, width=0.25).eval()
    x = torch.randn(1, 3, 33, 50)
    with torch.no_grad():
        padded = model.logits(F.pad(x, (0, 6, 0, 7)))
        assert torch.equal(model.logits(x), padded[..., :9, :13])


def test_share_is_plus_on_quadrants():
    torch.manual_seed(0)
    plus = create_model("mobilenetv2plus", num_classes=4, width=0.25).double().eval()
    share = create_model("mobilenetv2share", num_classes=4, width=0.25).double().eval()
    share.load_state_dict(plus.state_dict())
    x = torch.randn(2, 3, 32, 64, dtype=torch.float64)
    with torch.no_grad():
        rows = []
        for top in (0, 16):
            parts = [x[..., top : top + 16, left : left + 32] for left in (0, 32)]
            rows.append(torch.cat([plus.features(plus.trunk(part)) for part in parts], -1))
        assert torch.allclose(share.logits(x), plus.head(torch.cat(rows, -2)))


def test_wide_residual_skip_is_the_normalised_map_unless_mended():
    normed, raw = [], []
    for faithful in (True, False):
        with torch.device("meta"):
            model = create_model("se_wresnetv2", blocks=(1,) * 6, faithful=faithful).eval()
        block = next(module for module in model.modules() if isinstance(module, SkippedBlock))
        block.register_forward_hook(lambda _, inputs, __: raw.append(inputs[0]))
        block.register_forward_hook(lambda _, __, outputs: normed.append(outputs[1]))
        _, middle, _ = model.trunk(torch.empty(1, 3, 16, 16, device="meta"))
        assert middle is (normed if faithful else raw)[-1]


@pytest.mark.parametrize("name", ["se_dpshufflenet", "se_wresnetv1"])
def test_deep_supervision_can_be_dropped(name):
    with torch.device("meta"):
        model = create_model(name, num_classes=5)
    x = torch.empty(2, 3, 32, 32, device="meta")
    assert model.aux_weights == (1.0, 1.0, 1.0)
    assert [tuple(each.shape) for each in model(x)] == [(2, 5, 32, 32)] * 4
    assert len(model.drop_aux()(x)) == 1
    with torch.device("meta"):
        assert len(create_model(name, aux=False)(x)) == 1


@pytest.mark.parametrize(("name", "heads"), [("mobilenetv2exfuse", 7), ("rf_mobilenetv2context", 2)])
def test_presence_heads_answer_once_a_picture(name, heads):
    model = create_model(name, num_classes=5, width=0.25)
    main, *aux = model.logits(torch.randn(2, 3, 16, 40))
    assert model.aux_kinds == ("presence",) * heads and model.aux_weights == (0.2,) * heads
    assert main.shape == (2, 5, 4, 10) and [each.shape for each in aux] == [(2, 5, 1, 1)] * heads


def test_rates_hold_no_weights():
    for name in list_models("*mobilenetv2*") + list_models("*mixscale*"):
        if model_info(name).family.startswith("lightnet"):
            with torch.device("meta"):
                ours = create_model(name).state_dict()
                wider = create_model(name, rates=(5, 7, 11)).state_dict()
            assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in wider.items()}


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_shufflenet_groups(groups):
    with torch.device("meta"):
        model = create_model("rf_shufflenetplus", num_classes=5, groups=groups).eval()
    assert model(torch.empty(1, 3, 40, 24, device="meta")).shape == (1, 5, 40, 24)


def test_small_dual_path_follows_its_trunk():
    with torch.device("meta"):
        model = create_model("se_dpshufflenet", num_classes=5, small=True).eval()
    assert model(torch.empty(1, 3, 40, 24, device="meta")).shape == (1, 5, 40, 24)


def test_wrong_options_are_refused():
    with pytest.raises(SwathError, match="groups 5"):
        create_model("shufflenetplus", groups=5)
    with pytest.raises(SwathError, match="blocks"):
        create_model("se_wresnetv2", blocks=(1, 1))
