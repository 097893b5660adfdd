"""Quantised files for other engines: ranges from real pictures, the worst layers in float, the loss measured."""

from __future__ import annotations

from swath.quantise.engines.makers import ENGINES
from swath.quantise.engines.outcome import Outcome, Settings
from swath.quantise.engines.quantize import quantize

__all__ = ["ENGINES", "Outcome", "Settings", "quantize"]
