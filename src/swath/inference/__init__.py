"""From pictures to label maps, whichever engine runs underneath."""

from __future__ import annotations

from swath.inference.description import Description
from swath.inference.runtimes import ENGINES
from swath.inference.segmentation import Segmentation
from swath.inference.segmenter import Answer, Segmenter
from swath.inference.views import Views

__all__ = ["ENGINES", "Answer", "Description", "Segmentation", "Segmenter", "Views"]
