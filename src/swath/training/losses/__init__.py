"""Losses, one file an idea: `registry.py` has the names that recipes choose from and makes sums of them.

All are finite with a zero gradient on a crop that is ignored everywhere, and none waits for the device.
"""

from swath.training.losses.moment import START, Moment
from swath.training.losses.pixels import IGNORE
from swath.training.losses.registry import DEPTH_LOSSES, LOSSES, Criterion, make_depth_loss, make_loss

__all__ = ["DEPTH_LOSSES", "IGNORE", "LOSSES", "START", "Criterion", "Moment", "make_depth_loss", "make_loss"]
