"""The confusion matrix as a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from swath.evaluation.metrics import Scores

Array = npt.NDArray[np.uint8]

_CELL = 40
_LETTERS = cv2.FONT_HERSHEY_SIMPLEX
_INK = (30, 30, 30)


def confusion_picture(scores: Scores) -> Array:
    """Rows are the truth and add up to 100 %; what lies off the diagonal is what was mistaken for something else."""
    counts = scores.counts.astype(np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    names, n = scores.class_names, len(scores.class_names)
    margin = 24 + max(cv2.getTextSize(name, _LETTERS, 0.45, 1)[0][0] for name in names)
    top = margin + 20
    canvas = np.full((top + n * _CELL + 20, margin + n * _CELL + 20, 3), 255, np.uint8)
    _write(canvas, "truth (rows), prediction (columns), % of the row", 12, 18, 0.45)
    for row in range(n):
        _write(canvas, names[row], margin - 8, top + row * _CELL + 25, 0.45, right=True)
        for column in range(n):
            _cell(
                canvas,
                margin + column * _CELL,
                top + row * _CELL,
                shares[row, column],
                row == column,
                bool(totals[row, 0]),
            )
    upright = np.full((n * _CELL, margin - 8, 3), 255, np.uint8)  # names are written along rows, then turned
    for column in range(n):
        _write(upright, names[column], 2, column * _CELL + 25, 0.45)
    canvas[top - 4 - upright.shape[1] : top - 4, margin : margin + n * _CELL] = np.rot90(upright)
    return canvas


def _cell(canvas: Array, x: int, y: int, share: float, hit: bool, present: bool) -> None:
    color = np.array((33, 113, 181) if hit else (203, 24, 29), np.float64)
    strength = share**0.5  # so that one per cent can still be seen
    fill = 255 - (255 - color) * strength if present else np.full(3, 240.0)
    cv2.rectangle(canvas, (x, y), (x + _CELL - 2, y + _CELL - 2), fill.tolist(), -1)
    if share >= 0.005:
        text = f"{100 * share:.0f}"
        ink = (255, 255, 255) if strength > 0.6 else _INK
        width = cv2.getTextSize(text, _LETTERS, 0.4, 1)[0][0]
        cv2.putText(canvas, text, (x + (_CELL - width) // 2, y + 24), _LETTERS, 0.4, ink, 1, cv2.LINE_AA)


def _write(canvas: Array, text: str, x: int, y: int, scale: float, right: bool = False) -> None:
    if right:
        x -= cv2.getTextSize(text, _LETTERS, scale, 1)[0][0]
    cv2.putText(canvas, text, (x, y), _LETTERS, scale, _INK, 1, cv2.LINE_AA)
