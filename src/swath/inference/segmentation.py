"""`Segmentation`: a label map with everything that is needed to look at it, count it and keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from swath.errors import SwathError
from swath.inference.pictures import write_picture

Array = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

UNSURE = "unsure"  # what pixels are called whose class is not sure enough; their label is 255
_NOTHING = 255
_APART = 110  # of two colours that nobody confuses, as a distance in RGB
_STRIKING: tuple[Color, ...] = ((255, 255, 255), (255, 0, 255), (0, 255, 255), (255, 255, 0), (255, 128, 0), (0, 0, 0))


@dataclass(frozen=True, repr=False, eq=False)
class Segmentation:
    """`labels` H x W (255: none) and `image` H x W x 3 RGB, both uint8. `confidence` is the probability of each label,
    where it was asked for; where a `threshold` was too, labels less sure than that are 255: the class "unsure"."""

    labels: Array
    class_names: Sequence[str]
    colors: Sequence[Color]
    image: Array
    confidence: npt.NDArray[np.float32] | None = None
    threshold: float | None = None

    def unsure(self, threshold: float) -> Segmentation:
        """The same with "unsure" wherever the confidence lies below the threshold."""
        if not 0 <= threshold <= 1:
            raise SwathError(f"unsure: the threshold {threshold} must lie between 0 and 1")
        if self.confidence is None:
            raise SwathError("unsure: nobody asked how sure it is; make it with segmenter(picture, confidence=True)")
        if len(self.class_names) > _NOTHING:
            raise SwathError("unsure: with 256 classes there is no label left for it")
        sure = self.confidence >= threshold  # which no NaN is
        labels = np.where(sure, self.labels, np.uint8(_NOTHING))
        return replace(self, labels=labels, threshold=max(threshold, self.threshold or 0.0))

    def palette(self) -> Array:
        """256 x 3: the colour of each label; black where there is no class."""
        table: Array = np.zeros((256, 3), np.uint8)
        table[: len(self.colors)] = self.colors
        if self.threshold is not None:
            table[_NOTHING] = unsure_color(self.colors)
        return table

    def names(self) -> dict[int, str]:
        """What each label is called; 255 only where there is "unsure"."""
        return {**dict(enumerate(self.class_names)), **({} if self.threshold is None else {_NOTHING: UNSURE})}

    def key(self) -> dict[str, Color]:
        """The colours of all classes that may occur, in their order."""
        unsure = {} if self.threshold is None or UNSURE in self.class_names else {UNSURE: unsure_color(self.colors)}
        return {**dict(zip(self.class_names, self.colors)), **unsure}

    def legend(self) -> dict[str, Color]:
        """The colours of what occurs, the largest first."""
        key = self.key()
        return {name: key[name] for name in self.shares()}

    def color(self) -> Array:
        """Each pixel in the colour of its class, RGB."""
        # OpenCV's tables are five times as fast as numpy's indices, which matters in videos.
        colored: Array = cv2.LUT(cv2.merge([self.labels] * 3), self.palette()[None])
        return colored

    def overlay(self, alpha: float = 0.5) -> Array:
        """The picture tinted by class, RGB; borders between classes stand out. `alpha` 0 is the picture, 1 the colours.
        Pixels without a class stay as they are."""
        if not 0 <= alpha <= 1:
            raise SwathError(f"overlay: alpha {alpha} must lie between 0 and 1")
        image = self.image if self.image.shape[2] == 3 else np.repeat(self.image[:, :, :1], 3, axis=2)
        color = self.color()
        mixed: Array = cv2.addWeighted(image, 1 - alpha, color, alpha, 0)
        edge = self._borders()
        mixed[edge] = (0.25 * mixed[edge] + 0.75 * np.maximum(color[edge], 48)).astype(np.uint8)
        if self.threshold is None:
            nothing = self.labels == _NOTHING
            mixed[nothing] = image[nothing]
        return mixed

    def shares(self) -> dict[str, float]:
        """The share of the picture that each class covers, the largest first; those that do not occur are left out."""
        counts = np.bincount(self.labels.ravel(), minlength=256)
        sums: dict[str, int] = {}
        for label, name in self.names().items():  # a class may be called "unsure" too
            sums[name] = sums.get(name, 0) + int(counts[label])
        order = sorted(sums, key=lambda name: -sums[name])
        return {name: sums[name] / self.labels.size for name in order if sums[name]}

    def save(self, path: str | Path) -> None:
        """Write the labels as a PNG: pixel values are class numbers, its palette their colours."""
        from swath.data import write_label

        if Path(path).suffix.lower() != ".png":
            raise SwathError(f"{path}: labels are kept as .png, others change values; name it {Path(path).stem}.png")
        write_label(Path(path), self.labels, self.palette())

    def save_overlay(self, path: str | Path, alpha: float = 0.5) -> None:
        """Write the overlay as .png or .jpg."""
        write_picture(Path(path), self.overlay(alpha))

    def _borders(self) -> npt.NDArray[np.bool_]:
        """Pixels beside another class; the line grows with the picture, so that it is seen at any size."""
        width = 2 * (max(self.labels.shape) // 1500) + 3
        kernel = np.ones((width, width), np.uint8)
        differs: npt.NDArray[np.bool_] = cv2.dilate(self.labels, kernel) != cv2.erode(self.labels, kernel)
        return differs

    def __repr__(self) -> str:
        height, width = self.labels.shape
        most = ", ".join(f"{name} {share:.0%}" for name, share in list(self.shares().items())[:3])
        return f"Segmentation({width}x{height}: {most})"


def unsure_color(colors: Sequence[Color]) -> Color:
    """White, or another striking colour where a class is white."""
    taken = np.asarray(colors, np.float64).reshape(-1, 3)

    def apart(color: Color) -> float:
        return float(np.linalg.norm(taken - color, axis=1).min(initial=1e9))

    return next((color for color in _STRIKING if apart(color) >= _APART), max(_STRIKING, key=apart))
