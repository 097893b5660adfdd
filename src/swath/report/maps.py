"""Depth as a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def depth_range(metres: Floats) -> tuple[float, float]:
    """The nearest and the farthest that are worth a colour of their own: all measured but a per cent at both ends."""
    measured = metres[metres > 0]
    if not measured.size:
        return 1.0, 100.0
    near, far = np.percentile(measured, (1, 99))
    return float(near), float(max(far, near * 1.01))


def depth_picture(metres: Floats, near: float, far: float) -> npt.NDArray[np.uint8]:
    """RGB: bright yellow is near, dark blue far (plasma), by the logarithm; what is not measured is grey."""
    logs = np.log(np.clip(metres, near, far) / near) / np.log(far / near)
    shown = np.asarray(cv2.applyColorMap(np.uint8(255) - (255 * logs).astype(np.uint8), cv2.COLORMAP_PLASMA))[..., ::-1]
    return np.where((metres > 0)[..., None], shown, np.uint8(128))
