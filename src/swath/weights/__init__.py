"""Weights that describe themselves, and the small ones that ship with the package."""

from __future__ import annotations

from swath.weights.file import WeightsMeta, describe_again, load_weights, read_meta, save_weights

__all__ = ["WeightsMeta", "describe_again", "load_weights", "read_meta", "save_weights"]
