"""How sure a pixel has to be: a confidence, or the accuracy that is wanted of the pixels that are kept."""

from __future__ import annotations

import re

from swath.errors import SwathError
from swath.inference.description import Description


def threshold(unsure: float | str, description: Description, name: str) -> float:
    """A confidence from 0 to 1, as given or as `swath calibrate` stored it for an accuracy such as "95%"."""
    if description.finish == "inside":
        raise SwathError(
            f"{name}: answers labels, without how sure it is; "
            "use the weights, or a file of `swath export --finish outside`"
        )
    if isinstance(unsure, str):
        return _stored(unsure, description, name)
    if not 0 <= unsure <= 1:
        raise SwathError(f"unsure {unsure}: a confidence lies between 0 and 1")
    return float(unsure)


def _stored(wanted: str, description: Description, name: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", wanted)
    if not match:
        raise SwathError(f"unsure '{wanted}': a confidence such as 0.6 is needed, or an accuracy such as 95%")
    known = description.meta.calibration.get("thresholds", {})
    found = known.get(f"{float(match[1]):g}")
    if found is None:
        has = ", ".join(f"{key}%" for key in known)
        said = f"it has them for {has}" if known else "run `swath calibrate` on the weights first"
        raise SwathError(f"{name}: holds no threshold for {wanted.strip()} right pixels; {said}")
    return float(found["confidence"])
