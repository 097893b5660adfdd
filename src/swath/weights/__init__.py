"""Weights that describe themselves, and the small ones that ship with the package."""

from __future__ import annotations

from swath.weights.file import WeightsMeta, describe_again, load_weights, read_meta, save_weights
from swath.weights.shipped import beside, list_shipped, weights_file

__all__ = [
    "WeightsMeta",
    "beside",
    "describe_again",
    "list_shipped",
    "load_weights",
    "read_meta",
    "save_weights",
    "weights_file",
]
