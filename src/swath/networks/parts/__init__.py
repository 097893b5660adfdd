"""Blocks that more than one family shares; what only one uses stands in that family's file."""

from __future__ import annotations

from swath.networks.parts.conv import ConvNormAct, InvertedResidual, SeparableConv, conv, initialise
from swath.networks.parts.resize import resize_as, resize_to

__all__ = ["ConvNormAct", "InvertedResidual", "SeparableConv", "conv", "initialise", "resize_as", "resize_to"]
