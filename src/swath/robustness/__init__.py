"""How a network bears bad weather and bad cameras: pictures spoiled on purpose, and the run that scores them."""

from __future__ import annotations

from swath.robustness.faults import FAULTS, SEVERITIES, Fault, corrupt
from swath.robustness.stress import Stressed, stress

__all__ = ["FAULTS", "SEVERITIES", "Fault", "Stressed", "corrupt", "stress"]
