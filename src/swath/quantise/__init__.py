"""Networks that compute with 8 bits: trained so (quantisation-aware), or made so from a few pictures (calibrated)."""

from __future__ import annotations

from swath.quantise.calibrate import calibrate
from swath.quantise.network import Quantised
from swath.quantise.schemes import SCHEMES

__all__ = ["SCHEMES", "Quantised", "calibrate"]
