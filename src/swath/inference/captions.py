"""Pictures with the names of their classes below."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from swath.report.strip import legend_strip

Array = npt.NDArray[np.uint8]

_LETTERS = 11, 32  # the least that is read without effort, and the most that is needed


def captioned(picture: Array, classes: Mapping[str, tuple[int, int, int]]) -> Array:
    """The picture (RGB), and below it each class beside its color, in letters that suit its width."""
    width = picture.shape[1]
    letters = min(max(width // 60, _LETTERS[0]), _LETTERS[1])
    return np.concatenate([picture, legend_strip(list(classes.items()), width, letters)])
