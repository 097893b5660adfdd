"""Synthetic streets: an endless procedural data set that needs no download and has exact ground truth."""

from __future__ import annotations

from swath.data.streets.frame import Street, render, video
from swath.data.streets.source import Streets

__all__ = ["Street", "Streets", "render", "video"]
