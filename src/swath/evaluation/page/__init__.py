"""The results page of an evaluation: one file with every score, the worst pictures and where they go wrong."""

from __future__ import annotations

from swath.evaluation.page.page import Page

__all__ = ["Page"]
