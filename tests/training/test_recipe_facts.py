"""Every setting of the authors' recipes, against the facts of their papers and scripts, written down once more here.

The facts are whole: what a stage says beyond them is as wrong as what it lacks. Recipes of our own are not held.
"""

from __future__ import annotations

from typing import Any

import pytest

from swath.cards import load_card
from swath.training import list_recipes, load_recipe
from swath.training.fill import as_plain
from swath.training.tasks import bare_network

Settings = dict[str, Any]

# What a setting is where nothing is said about it. Not here: names, and what does not change what is learned.
NEUTRAL: Settings = {
    "iterations": None, "init": None, "prune": {}, "quantise": None, "freeze": [], "parts": {}, "frozen_norms": False,
    "momentum": 0.9, "nesterov": False, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0, "decay_skips": [],
    "clip": None, "ema": None, "swa": None, "span": [0, 1], "warmup": 0, "power": 0.9, "floor": 0.0, "period": None,
    "cycle": "triangular", "loss": "cross-entropy", "loss_options": {}, "class_weights": "none",
    "class_weight_share": 1.0, "aux_loss": None, "distill": None, "tasks": {}, "task_weights": "fixed",
    # windows
    "scale_log": False, "short_side": None, "flip": 0.5, "jitter": 1.0, "brightness": 0.0, "contrast": 0.0,
    "saturation": 0.0, "hue": 0.0, "pad_color": [124, 116, 104], "scale_often": 1.0, "scale_axes": False,
    "resize": None, "long_side": None, "least_side": None, "area": None, "pad": "anywhere", "rotate": 0.0,
    "rotate_often": 1.0, "blur": 0.0, "blur_radius": [0.0, 1.0], "hsv": [0.0, 0.0, 0.0], "most_of_one": 1.0,
}  # fmt: skip

# ContextNet and Fast-SCNN: the scripts of torch_semantic_segmentation.
CONTEXTNET: Settings = {
    "epochs": 1000, "batch": 16, "size": [512, 768], "scale": [0.5, 2.0], "jitter": 0.5, "hsv": [20, 30, 20],
    "optimiser": "adamw", "lr": 3e-3, "weight_decay": 1e-5, "schedule": "cosine", "warmup": 1000, "warmup_from": 0.0,
    "floor": 1e-3, "loss": "ohem", "loss_options": {"threshold": 0.7, "min_share": 0.05},
}  # fmt: skip


def cut(width: float, epochs: int, span: list[float]) -> Settings:
    """A stage after a cut: its stretch of the same schedule, 500 iterations from a tenth of the rate."""
    return {**CONTEXTNET, "prune": {"width": width}, "epochs": epochs, "span": span, "warmup": 500, "warmup_from": 0.1}


# CSFCN's trainer, which trains SFANet and MGSeg too; their heads at ten times the rate.
CSFCN: Settings = {
    "epochs": 480, "batch": 12, "size": [1024, 1024], "scale": [0.125, 2.0], "short_side": 1024, "pad": "after",
    "pad_color": [0, 0, 0], "blur": 0.5, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "optimiser": "sgd",
    "lr": 0.01, "weight_decay": 5e-4, "decay_skips": ["norms", "biases"], "schedule": "poly", "warmup": 2480,
    "warmup_from": 0.3333, "loss": "ohem", "loss_options": {"threshold": 0.9, "min_share": 0, "min_pixels": 110000},
}  # fmt: skip
CSFCN_CAMVID: Settings = {
    **CSFCN, "epochs": 968, "batch": 16, "lr": 1e-3, "size": [720, 960], "scale": [0.5, 2.0], "short_side": None,
    "long_side": 960, "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1, "warmup": 290,
}  # fmt: skip
FAST = {"lr": 0.1, "weight_decay": None, "optimiser": None}

# LightNet's scripts, a line a script; the weights are their own count of Cityscapes.
MEDIAN = [
    0.05570516, 0.32337477, 0.08998544, 1.03602707, 1.03413147, 1.68195437, 5.58540548, 3.56563995, 0.12704978, 1.0,
    0.46783719, 1.34551528, 5.29974114, 0.28342531, 0.9396095, 0.81551811, 0.42679146, 3.6399074, 2.78376194,
]  # fmt: skip


def lightnet(
    epochs: int, batch: int, lr: float, period: float, k: tuple[int, float], share: float, **others: Any
) -> Settings:
    return {
        "epochs": epochs, "batch": batch, "size": [448, 896], "scale": [0.5, 0.75], "rotate": 5, "optimiser": "sgd",
        "nesterov": True, "lr": lr, "weight_decay": 5e-4, "schedule": "sgdr", "period": period, "loss": "bootstrapped",
        "loss_options": {"start": k[0], "least": 128, "step": 512, "power": k[1]},
        "class_weights": MEDIAN if share else "none", "class_weight_share": share or 1.0, **others,
    }  # fmt: skip


MOBILE = lightnet(200, 10, 2.5e-3, 20, (512, 0.95), 0.2)
LOVASZ = {key: value for key, value in MOBILE.items() if not key.startswith(("loss", "class_weight"))}
CYCLICAL: Settings = {"schedule": "cyclical", "lr": 6e-3, "floor": pytest.approx(1 / 6, rel=1e-3), "period": 2}

# Light-Weight RefineNet: encoder at a tenth of the decoder's rate, statistics of norms fixed.
REFINENET: Settings = {
    "epochs": 100, "batch": 6, "size": [500, 500], "scale": [0.5, 2.0], "least_side": 350, "pad": "around",
    "optimiser": "sgd", "weight_decay": 1e-5, "frozen_norms": True, "schedule": "constant",
}  # fmt: skip
SEGMENTATION = {"loss": "cross-entropy", "loss_options": {}, "class_weights": "none", "class_weight_share": 1.0}
TWO_TASKS: Settings = {
    "epochs": 300, "batch": 6, "size": [512, 512], "scale": [0.8, 2.0], "scale_often": 0.5, "pad": "around",
    "optimiser": "sgd", "lr": 0.01, "weight_decay": 1e-5, "schedule": "steps", "period": 100, "drop": 0.5,
    "parts": {"encoder": {"lr": 1e-3, "weight_decay": None, "optimiser": None}},
    "tasks": {"segmentation": {**SEGMENTATION, "weight": 0.5},
              "depth": {**SEGMENTATION, "loss": "berhu", "weight": 0.5}},
}  # fmt: skip


def refinenet(encoder: float, decoder: float) -> Settings:
    return {**REFINENET, "lr": decoder, "parts": {"encoder": {"lr": encoder, "weight_decay": None, "optimiser": None}}}


NYU = [refinenet(5e-4, 5e-3), refinenet(2.5e-4, 2.5e-3), refinenet(1e-4, 1e-3)]


BY_PIXELS = {"divide_by": "pixels"}  # so that weights of classes change the size of the loss


# EdgeAI-Lite: five epochs of warm-up, weights of classes in a fifth of the iterations.
def edgeai(width: int, height: int, pictures: int, batch: int = 12, **others: Any) -> Settings:
    return {
        "epochs": 250, "batch": batch, "size": [height, width], "resize": [height, width], "scale": [1.0, 2.0],
        "scale_often": 0.5, "scale_axes": True, "rotate": 5, "rotate_often": 0.5, "optimiser": "adam", "lr": 4e-4,
        "weight_decay": 1e-4, "schedule": "steps", "period": 100, "drop": 0.25, "warmup": 5 * (pictures // batch),
        "warmup_from": 1e-3, "loss_options": BY_PIXELS, "class_weights": MEDIAN, "class_weight_share": 0.2, **others,
    }  # fmt: skip


CITYSCAPES, SBD, ADE, COCO = 2975, 5623, 20210, 92500  # pictures to learn from; COCO's are about so many
NO_WEIGHTS = {"class_weights": "none", "class_weight_share": 1.0}
COSINE = {"optimiser": "sgd", "schedule": "cosine", "period": None}
SMALL = {**COSINE, "epochs": 60, "lr": 0.05, "weight_decay": 4e-5, "class_weights": "inverse"}
MOBILENET = edgeai(768, 384, CITYSCAPES)
LARGE = {"size": [512, 1024], "resize": [768, 1536]}
THREE_TASKS: Settings = {
    **edgeai(768, 384, CITYSCAPES, 16, **NO_WEIGHTS), "lr": 1e-4, "drop": 0.5, "loss_options": {},
    "tasks": {
        "segmentation": {**SEGMENTATION, "weight": 1.0, "class_weight_share": 0.2, "loss_options": BY_PIXELS,
                         "class_weights": [0.22567085, 1.89944273, 5.24032014, 1.0, 0.13516443]},
        "depth": {**SEGMENTATION, "weight": 1.0, "loss": {"smooth-l1": 1.0, "mean-difference": 1.0}},
        "motion": {**SEGMENTATION, "weight": 1.0, "class_weight_share": 0.2, "loss_options": BY_PIXELS,
                   "class_weights": [0.05, 0.95]},
    },
}  # fmt: skip


def regnet(width: int, height: int, **others: Any) -> Settings:
    return {**edgeai(width, height, CITYSCAPES, 16), **COSINE, "lr": 0.1, **others}


def ade(side: int = 512, **others: Any) -> Settings:
    return {**edgeai(side, side, ADE, 32), **SMALL, **others}


def coco(**others: Any) -> Settings:
    return {**edgeai(512, 512, COCO, 32), **SMALL, **NO_WEIGHTS, **others}


FACTS: dict[str, list[Settings]] = {
    "contextnet12-camvid": [{**CONTEXTNET, "size": [352, 480]}],
    "contextnet14-bdd100k": [CONTEXTNET],
    "contextnet14-cityscapes": [CONTEXTNET],
    "contextnet14-cityscapes-compressed": [
        {**CONTEXTNET, "epochs": 400, "span": [0, 0.4]},
        *(cut(1.5, 150, [0.4, 0.55]), cut(1.25, 150, [0.55, 0.7]), cut(1.0, 300, [0.7, 1.0])),
    ],
    "fastscnn-cityscapes": [
        {**CONTEXTNET, "warmup": 0, "floor": 0.0, "loss_options": {"threshold": 0.7, "min_share": 0.1},
         "aux_loss": "cross-entropy", "jitter": 0, "hsv": [0, 0, 0]}
    ],
    "csfcn-cityscapes": [CSFCN],
    "csfcn-cityscapes-trainval": [CSFCN],
    "csfcn_tiny-cityscapes": [CSFCN],
    "csfcn-camvid": [CSFCN_CAMVID],
    "csfcn-camvid-pretrained": [CSFCN, CSFCN_CAMVID],
    "sfanet-cityscapes": [{**CSFCN, "parts": {"head": FAST, "aux_heads": FAST}}],
    "mgseg-cityscapes": [{**CSFCN, "parts": {"aggregate": FAST, "refine": FAST, "aux_heads": FAST}}],
    "mobilenetv2plus-cityscapes": [MOBILE],
    "rf_mobilenetv2plus-cityscapes": [MOBILE],
    "mobilenetv2aspp-cityscapes": [MOBILE],
    "mobilenetv2vortex-cityscapes": [MOBILE],
    "mobilenetv2plus-cityscapes-synthesised": [MOBILE],
    "mobilenetv2plus-cityscapes-cyclical": [{**MOBILE, **CYCLICAL}],
    "mobilenetv2plus-cityscapes-swa": [
        {**MOBILE, "epochs": 140},
        {**lightnet(60, 10, 6e-3, 2, (128, 0), 0.2, swa=4), **CYCLICAL},
    ],
    "rf_mobilenetv2plus-cityscapes-lovasz": [MOBILE, {**LOVASZ, "loss": "lovasz"}],
    "mobilenetv2exfuse-cityscapes": [{**MOBILE, "batch": 5}],
    "rf_mobilenetv2context-cityscapes": [{**MOBILE, "batch": 7}],
    "mobilenetv2share-cityscapes": [
        lightnet(200, 2, 2.5e-3, 20, (896, 0.95), 0.1, size=[896, 1792], scale=[0.875, 1.25], rotate=0,
                 loss_options={"start": 896, "least": 128, "step": 896, "power": 0.95})
    ],
    "mixscale_densenet-cityscapes": [lightnet(128, 6, 2.5e-2, 30, (768, 0.98), 0.1)],
    "shufflenetplus-cityscapes": [lightnet(128, 6, 2.5e-3, 20, (512, 0.99), 0.1)],
    "se_wresnetv2-cityscapes": [lightnet(128, 3, 2.5e-3, 20, (512, 0.95), 0.2)],
    "se_dpshufflenet-cityscapes": [
        lightnet(120, 2, 2.5e-3, 20, (256, 0), 0, scale=[0.5, 0.5], rotate=6, nesterov=False, schedule="steps",
                 drop=0.1)
    ],
    "mobilenetv2plus-mapillary": [
        lightnet(256, 2, 1e-3, 1, (256, 0), 0, scale=[0.625, 0.75], short_side=1024, rotate=6, schedule="steps",
                 drop=0.9)
    ],
    **dict.fromkeys(
        ["rf_lw_resnet50-nyuv2", "rf_lw_resnet101-nyuv2", "rf_lw_resnet152-nyuv2", "rf_lw_mobilenetv2-nyuv2",
         "rf_lw_resnet50-voc", "rf_lw_mobilenetv2-voc", "rf_lw_resnet50-person-part", "rf_lw_resnet101-pascal-context"],
        NYU,
    ),
    "rf_lw_resnet50-nyuv2-v2": [
        {**refinenet(5e-4, 5e-3), "epochs": 300, "schedule": "steps", "period": 100, "drop": 0.5}
    ],
    "rf_lw_resnet50-sbd-voc": NYU[:2],
    "rf_lw_mtl_mobilenetv2-nyuv2": [TWO_TASKS],
    "rf_lw_mtl_mobilenetv2-nyuv2-long": [
        {**TWO_TASKS, "epochs": 1000, "batch": 4, "size": [400, 400], "scale": [1, 1], "drop": 0.1}
    ],
    "deeplabv3plus_lite_mobilenetv2-cityscapes": [MOBILENET],
    "unet_lite_mobilenetv2-cityscapes": [MOBILENET],
    "fpn_lite_mobilenetv2-cityscapes": [MOBILENET],
    "fpn_lite_mobilenetv2-cityscapes-768": [{**MOBILENET, **LARGE}],
    "fpn_lite_mobilenetv2_fd-cityscapes-768": [{**MOBILENET, **LARGE}],
    "deeplabv3plus_lite_mobilenetv2-cityscapes-qat": [
        MOBILENET,
        {**MOBILENET, "epochs": 10, "lr": 1e-5, "warmup": 0,
         "quantise": {"scheme": "power2", "norms": 0.4, "ranges": 0.6}},
    ],
    "deeplabv3plus_lite_mobilenetv2-voc": [edgeai(512, 512, SBD, **NO_WEIGHTS)],
    "fpn_lite_regnetx400mf-cityscapes": [regnet(768, 384)],
    "fpn_lite_regnetx800mf-cityscapes": [regnet(768, 384)],
    "fpn_lite_regnetx1p6gf-cityscapes-512": [regnet(1024, 512)],
    "fpn_lite_regnetx3p2gf-cityscapes-768": [regnet(1536, 768, size=[512, 1024])],
    "deeplabv3plus_lite_mobilenetv2-ade20k32": [ade()],
    "unet_lite_mobilenetv2-ade20k32": [ade()],
    "fpn_lite_mobilenetv2-ade20k32": [ade()],
    "fpn_lite_mobilenetv2_1p4-ade20k32": [ade()],
    "fpn_lite_regnetx400mf-ade20k32": [ade(384, lr=0.1)],
    "fpn_lite_regnetx800mf-ade20k32": [ade(lr=0.1)],
    "deeplabv3plus_lite_mobilenetv2-cocoseg21": [coco()],
    "unet_lite_mobilenetv2-cocoseg21": [coco()],
    "fpn_lite_regnetx800mf-cocoseg21": [coco(lr=0.1)],
    "deeplabv3plus_lite_mobilenetv2_multitask-cityscapes5": [THREE_TASKS],
    "deeplabv3plus_lite_mobilenetv2_multitask-cityscapes5-learned": [{**THREE_TASKS, "task_weights": "learned"}],
    "deeplabv3plus_lite_mobilenetv2_multitask-cityscapes5-gradients": [{**THREE_TASKS, "task_weights": "gradients"}],
}  # fmt: skip
SEEDS = {"csfcn": 123, "sfanet": 123, "mgseg": 123, "rf_lw": 42}  # the others begin with 1
SPLITS = {
    "csfcn-cityscapes-trainval": ("train+val", "val"),
    "csfcn-camvid": ("train+val", "test"),
    "csfcn-camvid-pretrained": ("train+val", "test"),
    "deeplabv3plus_lite_mobilenetv2-voc": ("trainaug_noval", "val"),
}
# Of each output beside the main one; presence: of the classes in the picture.
AUX = {
    "sfanet": [0.4] * 4, "mgseg": [0.4] * 2, "fastscnn": [0.4] * 2, "se_dpshufflenet": [1.0] * 3,
    "mobilenetv2exfuse": [0.2] * 7, "rf_mobilenetv2context": [0.2] * 2,
}  # fmt: skip


def ours(name: str) -> bool:
    return name == "own" or load_recipe(name).reference.startswith("none, this is ours") or name.startswith("streets")


def settings(stage: Settings) -> Settings:
    """What a stage says that is not neutral; keys that another one makes idle are left out."""
    idle = set() if stage["schedule"] == "steps" else {"drop"}
    idle |= set() if stage["warmup"] else {"warmup", "warmup_from"}
    said = {**stage, **stage["window"]}
    told = ("epochs", "batch", "optimiser", "lr", "schedule", "size", "scale", "drop", "warmup_from")
    return {key: said[key] for key in (*told, *NEUTRAL) if key not in idle and said[key] != NEUTRAL.get(key, "?")}


def wanted(facts: Settings) -> Settings:
    return settings({**NEUTRAL, "drop": 0.1, "warmup_from": 0.0, "window": {}, **facts})


@pytest.mark.parametrize("name", [name for name in list_recipes() if not ours(name)])
def test_settings(name: str) -> None:
    stages = as_plain(load_recipe(name))["stages"]
    assert len(stages) == len(FACTS[name])
    for stage, facts in zip(stages, FACTS[name]):
        assert settings(stage) == wanted(facts)


def test_every_setting_is_looked_at() -> None:
    stage = as_plain(load_recipe("csfcn-cityscapes"))["stages"][0]
    machine = {"accumulate", "amp", "channels_last", "compile", "graphs"}
    told = {"epochs", "batch", "optimiser", "lr", "schedule", "size", "scale", "drop", "warmup_from"}
    elsewhere = {"name", "window", "data", "peak", "gamma", "aspect"}  # the last three: of what no recipe here has
    assert {*stage, *stage["window"]} == {*NEUTRAL, *machine, *told, *elsewhere}


@pytest.mark.parametrize("name", FACTS)
def test_seeds_and_splits(name: str) -> None:
    recipe = load_recipe(name)
    seed = next((seed for begin, seed in SEEDS.items() if name.startswith(begin)), 1)
    assert recipe.seed == seed
    assert (recipe.data.train, recipe.data.val) == SPLITS.get(name, ("train", "val"))
    assert [mix.share for mix in recipe.data.mix] == ([0.5] if name.endswith("-synthesised") else [])


def test_other_data_of_stages() -> None:
    found = {name: [stage.data for stage in load_recipe(name).stages if stage.data] for name in FACTS}
    said = {name: [(data.card, data.train) for data in own] for name, own in found.items() if own}
    assert said == {
        "csfcn-camvid-pretrained": [("cityscapes", "train")],
        "rf_lw_resnet50-sbd-voc": [("sbd", "train_noval")],
    }


@pytest.mark.parametrize("name", FACTS)
def test_auxiliary_weights(name: str) -> None:
    recipe = load_recipe(name)
    assert list(bare_network(recipe, load_card(recipe.data.card)).aux_weights) == AUX.get(recipe.network, [])
