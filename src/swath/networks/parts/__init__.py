"""Blocks that more than one family shares; what only one uses stands in that family's file."""

from __future__ import annotations

from swath.networks.parts.conv import ConvNormAct, InvertedResidual, NormActConv, SeparableConv, conv, initialise
from swath.networks.parts.pool import PyramidPooling, pool_to
from swath.networks.parts.resize import crop_to, resize_as, resize_to
from swath.networks.parts.warp import warp

__all__ = [
    "ConvNormAct",
    "InvertedResidual",
    "NormActConv",
    "PyramidPooling",
    "SeparableConv",
    "conv",
    "crop_to",
    "initialise",
    "pool_to",
    "resize_as",
    "resize_to",
    "warp",
]
