"""Light-Weight RefineNet's checkpoints: the ResNets, MobileNetV2, and MobileNetV2 with several tasks.

Encoder keys stand at the top level, torchvision's for a ResNet. How many classes there are says which dataset is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from swath.weights.imports.layout import ImportLayout, blocks, encoder_names

_CARDS = {7: "person-part", 21: "voc", 40: "nyuv2", 60: "pascal-context"}
_resnet = encoder_names("ResNet (torchvision, timm)")
_mobilenet = encoder_names("MobileNetV2 (Light-Weight RefineNet)")


def _which_resnet(tensors: Mapping[str, Tensor]) -> list[str]:
    depth = {6: 50, 23: 101, 36: 152}.get(blocks(tensors, "layer3."))
    return [f"rf_lw_resnet{depth}"] if depth else []


def _rename_resnet(key: str) -> str | None:
    """Levels are counted from the deepest, 1, to the finest, 4."""
    layer, _, leaf = key.rpartition(".")
    if layer == "clf_conv":
        return f"classifier.{leaf}"
    if layer == "p_ims1d2_outl1_dimred":
        return f"entry.{leaf}"
    if match := re.fullmatch(r"(p_ims1d2_outl|adapt_stage)([2-4])(_b2_joint_varout)?_dimred", layer):
        second = match[1] == "adapt_stage"
        if second == bool(match[3]):
            return f"shortcuts.{int(match[2]) - 2}.{int(second)}.{leaf}"
    if match := re.fullmatch(r"mflow_conv_g([1-4])_pool\.0\.([1-4])_outvar_dimred", layer):
        return f"pools.{int(match[1]) - 1}.mixes.{int(match[2]) - 1}.{leaf}"
    if match := re.fullmatch(r"mflow_conv_g([1-3])_b3_joint_varout_dimred", layer):
        return f"narrow.{int(match[1]) - 1}.{leaf}"
    name = _resnet(key)
    return f"encoder.{name}" if name else None


# Convolution of a tap, named by the encoder's layer (8: the deepest) -> level of the refiner, place within it.
_TAPS = {8: (0, 0), 7: (0, 1), 6: (1, 0), 5: (1, 1), 4: (2, 0), 3: (3, 0)}


def _rename_refiner(layer: str) -> str | None:
    if match := re.fullmatch(r"conv([3-8])", layer):
        level, place = _TAPS[int(match[1])]
        return f"refiner.levels.{level}.taps.{place}"
    if match := re.fullmatch(r"crp([1-4])\.0\.([1-4])_outvar_dimred", layer):
        return f"refiner.levels.{4 - int(match[1])}.pool.mixes.{int(match[2]) - 1}"
    if match := re.fullmatch(r"conv_adapt([2-4])", layer):
        return f"refiner.narrow.{4 - int(match[1])}"
    return None


def _rename_small(key: str, heads: Mapping[str, str]) -> str | None:
    layer, _, leaf = key.rpartition(".")
    name = heads.get(layer) or _rename_refiner(layer)
    if name:
        return f"{name}.{leaf}"
    name = _mobilenet(key)
    return f"encoder.{name}" if name else None


_TASK_HEADS = {
    "pre_segm": "heads.segmentation.0",
    "segm": "heads.segmentation.2",
    "pre_depth": "heads.depth.0",
    "depth": "heads.depth.2",
    "pre_normal": "heads.normals.0",
    "normal": "heads.normals.2",
}


def _which_tasks(tensors: Mapping[str, Tensor]) -> list[str]:
    return ["rf_lw_mtl_mobilenetv2_normals" if "normal.weight" in tensors else "rf_lw_mtl_mobilenetv2"]


LAYOUTS = (
    ImportLayout(
        name="Light-Weight RefineNet on a ResNet",
        networks=("rf_lw_resnet50", "rf_lw_resnet101", "rf_lw_resnet152"),
        decisive=("conv1.weight", "p_ims1d2_outl1_dimred.weight", "clf_conv.weight"),
        candidates=_which_resnet,
        rename=_rename_resnet,
        classifier="clf_conv.weight",
        first="conv1.weight",
        cards=_CARDS,
    ),
    ImportLayout(
        name="Light-Weight RefineNet with several tasks",
        networks=("rf_lw_mtl_mobilenetv2", "rf_lw_mtl_mobilenetv2_normals"),
        decisive=("layer1.0.weight", "conv8.weight", "pre_segm.weight", "segm.weight"),
        candidates=_which_tasks,
        rename=lambda key: _rename_small(key, _TASK_HEADS),
        classifier="segm.weight",
        first="layer1.0.weight",
        cards={40: "nyuv2", 6: "kitti6"},
    ),
    ImportLayout(
        name="Light-Weight RefineNet on MobileNetV2",
        networks=("rf_lw_mobilenetv2",),
        decisive=("layer1.0.weight", "conv8.weight", "segm.weight"),
        candidates=lambda tensors: ["rf_lw_mobilenetv2"],
        rename=lambda key: _rename_small(key, {"segm": "classifier"}),
        classifier="segm.weight",
        first="layer1.0.weight",
        cards=_CARDS,
    ),
)
