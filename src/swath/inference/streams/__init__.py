"""Videos, cameras and streams: reading, network and writing overlap; times are kept; every stage is accounted for."""

from __future__ import annotations

from swath.inference.streams.budget import Budget
from swath.inference.streams.frame import Frame, Source
from swath.inference.streams.network import network_stages
from swath.inference.streams.pipeline import Pipeline, Work
from swath.inference.streams.run import Outcome, Wishes, run_stream
from swath.inference.streams.smoothing import Flicker, Smoothing
from swath.inference.streams.sources import open_source

__all__ = [
    "Budget",
    "Flicker",
    "Frame",
    "Outcome",
    "Pipeline",
    "Smoothing",
    "Source",
    "Wishes",
    "Work",
    "network_stages",
    "open_source",
    "run_stream",
]
