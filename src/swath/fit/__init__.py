"""`swath fit`: which network, at which size, by which engine, is best within so many milliseconds on this device."""

from __future__ import annotations

from swath.fit.fitting import fit
from swath.fit.outcome import Outcome, Settings

__all__ = ["Outcome", "Settings", "fit"]
