"""Logits at the network's stride -> a label a pixel, and how sure it is, without ever holding full-size logits."""

from __future__ import annotations

from swath.finish.axis import Shown
from swath.finish.confidence import Confident, confident
from swath.finish.labels import labels, reference_labels, way

__all__ = ["Confident", "Shown", "confident", "labels", "reference_labels", "way"]
