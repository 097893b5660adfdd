"""Logits at the network's stride -> a label a pixel, without ever holding full-size logits."""

from __future__ import annotations

from swath.finish.labels import labels, reference_labels

__all__ = ["labels", "reference_labels"]
