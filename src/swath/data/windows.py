"""Training windows: random scale, place, mirroring and colors; only the pixels of the window are ever resized.

What a window shows depends on (seed, epoch, index) alone: not on the workers, their number or what came before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.cards.tables import IGNORE
from swath.data import colors, draws
from swath.data.source import Source, read_ahead, read_window
from swath.errors import SwathError

MEAN_COLOR = (124, 116, 104)  # ImageNet's: after normalisation, padding is nothing


@dataclass(frozen=True)
class WindowSpec:
    """How windows are drawn. Ranges of colors are the most that a factor departs from 1 (hue: turns, 0.5 is half)."""

    size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    scale_log: bool = False  # as often half as double
    short_side: int | None = None  # scale 1 gives pictures this short side; None: leaves them as they are
    flip: float = 0.5
    jitter: float = 1.0  # how often colors are changed
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pad_color: tuple[int, int, int] = MEAN_COLOR
    # What follows is off, and draws nothing, until it is asked for.
    scale_often: float = 1.0  # how often a scale is drawn; else it is 1
    scale_axes: bool = False  # height and width have scales of their own
    resize: tuple[int, int] | None = None  # scale 1 gives pictures this very size, whatever their shape
    long_side: int | None = None  # scale 1 gives pictures this long side
    least_side: int | None = None  # no scale makes the short side smaller
    area: tuple[float, float] | None = None  # in place of scales: the share of the picture's area that a window shows
    aspect: tuple[float, float] = (0.5, 2.0)  # of such a part: width / height, as often half as double
    pad: Literal["anywhere", "around", "after"] = "anywhere"  # where small pictures lie; after: padded right and below
    rotate: float = 0.0  # degrees, at most, to either side; what is not known is padded
    rotate_often: float = 1.0
    blur: float = 0.0  # how often pictures are blurred, by a Gaussian of a radius from this range:
    blur_radius: tuple[float, float] = (0.0, 1.0)
    hsv: tuple[float, float, float] = (0.0, 0.0, 0.0)  # shifts of hue (of 180), saturation and value (of 255), at most
    most_of_one: float = 1.0  # a window in which one class has more of the known pixels is drawn again, ten times

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise SwathError(f"window size {self.size} must be at least 1 x 1")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise SwathError(f"window scale {self.scale} must be [low, high] with 0 < low <= high")
        if self.short_side is not None and self.short_side < 1:
            raise SwathError(f"window short_side {self.short_side} must be at least 1")
        for name in ("flip", "jitter", "brightness", "contrast", "saturation", "hue"):
            high = 0.5 if name == "hue" else 1
            if not 0 <= getattr(self, name) <= high:
                raise SwathError(f"window {name} {getattr(self, name)} must be from 0 to {high}")
        for name, high in (("scale_often", 1), ("rotate", 90), ("rotate_often", 1), ("blur", 1), ("most_of_one", 1)):
            if not 0 <= getattr(self, name) <= high:
                raise SwathError(f"window {name} {getattr(self, name)} must be from 0 to {high}")
        if not 0 <= self.blur_radius[0] <= self.blur_radius[1]:
            raise SwathError(f"window blur_radius {self.blur_radius} must be [low, high] with 0 <= low <= high")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise SwathError(f"window aspect {self.aspect} must be [low, high] with 0 < low <= high")
        if self.area is not None and not 0 < self.area[0] <= self.area[1] <= 1:
            raise SwathError(f"window area {self.area} must be [low, high] with 0 < low <= high <= 1")
        if not all(0 <= shift <= high for shift, high in zip(self.hsv, (90, 255, 255))):
            raise SwathError(f"window hsv {self.hsv} must be from 0 to 90, 255 and 255")
        for name in ("long_side", "least_side"):
            side = getattr(self, name)
            if side is not None and side < 1:
                raise SwathError(f"window {name} {side} must be at least 1")
        if self.resize is not None and min(self.resize) < 1:
            raise SwathError(f"window resize {self.resize} must be at least 1 x 1")
        ruled = [name for name in ("short_side", "long_side", "resize", "area") if getattr(self, name) is not None]
        if len(ruled) > 1:
            raise SwathError(f"window {' and '.join(ruled)} each say how large scale 1 is; take one of them")


@dataclass(frozen=True)
class Place:
    """Where a window lies: `rows` and `columns` of the picture, shown as `height` x `width` at (top, left) of `size`,
    then turned about its middle by `angle` degrees, counter-clockwise.

    The same place cuts every map that belongs to the picture: labels, depth, flow.
    """

    size: tuple[int, int]
    rows: slice
    columns: slice
    top: int
    left: int
    height: int
    width: int
    mirrored: bool
    angle: float = 0.0

    @property
    def scale(self) -> float:
        """How many times larger the picture is shown; along the axes it differs by what rounding makes of it."""
        rows, columns = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        return math.sqrt(self.height * self.width / (rows * columns))

    def of_the_part(self) -> Place:
        """The same window, to be cut from the rows and columns alone that it shows."""
        rows, columns = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        return replace(self, rows=slice(0, rows), columns=slice(0, columns))

    def image(self, image: NDArray[np.uint8], pad: tuple[int, int, int] = MEAN_COLOR) -> NDArray[np.uint8]:
        """The window of a picture."""
        part = image[self.rows, self.columns]
        # Down to half the size, linear interpolation passes over no pixel and costs a sixth of an average by area.
        halved = 2 * self.height < part.shape[0] or 2 * self.width < part.shape[1]
        shown = _resize(part, (self.height, self.width), cv2.INTER_AREA if halved else cv2.INTER_LINEAR)
        return np.asarray(self._finished(shown, pad, mixed=True))

    def labels(self, labels: NDArray[np.uint8], pad: int = IGNORE) -> NDArray[np.uint8]:
        """The window of a label map, or of any map whose values must not be mixed."""
        part = resize_labels(labels[self.rows, self.columns], (self.height, self.width))
        return np.asarray(self._finished(part, pad))

    def depth(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """The window of a depth map: what is shown twice as large is half as far away to the same lens.

        0 (not measured) is never mixed into measured values, and pads.
        """
        part = _resize(depth[self.rows, self.columns], (self.height, self.width), cv2.INTER_NEAREST_EXACT)
        return np.asarray(self._finished(part / np.float32(self.scale), 0))

    def flow(self, flow: NDArray[np.float32]) -> NDArray[np.float32]:
        """The window of an optical flow (u, v in pixels, and others): vectors grow and turn with the picture."""
        part = flow[self.rows, self.columns]
        factors = np.ones(flow.shape[2], np.float32)
        factors[0] = self.width / part.shape[1]
        factors[1] = self.height / part.shape[0]
        shown = _resize(part, (self.height, self.width), cv2.INTER_LINEAR) * factors
        if self.angle:
            c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
            shown[..., 0], shown[..., 1] = c * shown[..., 0] + s * shown[..., 1], c * shown[..., 1] - s * shown[..., 0]
        if self.mirrored:
            shown[..., 0] *= -1
        return np.asarray(self._finished(shown, 0, mixed=True))

    def _finished(self, part: NDArray[Any], pad: int | tuple[int, ...], mixed: bool = False) -> NDArray[Any]:
        """Turned, or padded to the window's size, then mirrored; `mixed`: where it is turned, neighbours may mix."""
        if self.angle:
            part = draws.turn(self, part, pad, mixed)
        elif (self.height, self.width) != self.size:
            whole = np.empty((*self.size, *part.shape[2:]), part.dtype)
            whole[...] = pad
            whole[self.top : self.top + self.height, self.left : self.left + self.width] = part
            part = whole
        return cv2.flip(part, 1) if self.mirrored else part


# What a map is called says what it is, and so how it is cut.
CUTS: Mapping[str, Callable[[Place, NDArray[Any]], NDArray[Any]]] = {
    "depth": Place.depth,  # float32 H x W, metres; 0: not measured
    "flow": Place.flow,  # float32 H x W x 2 or more, pixels right and down; then what is no vector, such as confidence
    "motion": Place.labels,  # uint8 H x W, 1 where a surface moves by itself, 0 where not, 255: unknown
}


def place(height: int, width: int, spec: WindowSpec, rng: np.random.Generator) -> Place:
    """Draw a window of a picture of that size; four draws, whatever they say, and those of what else is asked for."""
    drawn, at_y, at_x, mirrored = rng.random(4)
    scale = draws.between(spec.scale, drawn, spec.scale_log)
    if spec.area is not None:
        rows, columns = draws.part_of_area(height, width, spec, rng)
        (shown_height, shown_width), top, left = spec.size, 0, 0
    else:
        down, across = draws.scales(height, width, spec, scale, rng)
        rows, shown_height, top = _axis(height, spec.size[0], down, at_y, spec.pad)
        columns, shown_width, left = _axis(width, spec.size[1], across, at_x, spec.pad)
    found = Place(spec.size, rows, columns, top, left, shown_height, shown_width, bool(mirrored < spec.flip))
    return draws.turned(found, height, width, spec, rng) if spec.rotate else found


def _axis(length: int, size: int, scale: float, at: float, pad: str) -> tuple[slice, int, int]:
    """Along one axis: the source pixels, how many window pixels they become, and where these start.

    Source windows begin and end between pixels, so the scale is rounded to the nearest that allows it.
    """
    wanted = max(1, round(size / scale))
    if wanted <= length:
        start = int(at * (length - wanted + 1))
        return slice(start, start + wanted), size, 0
    shown = min(size, max(1, round(length * scale)))
    begin = {"anywhere": int(at * (size - shown + 1)), "around": (size - shown) // 2, "after": 0}[pad]
    return slice(0, length), shown, begin


def window(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], spec: WindowSpec, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A window of a picture and of its labels."""
    where = place(image.shape[0], image.shape[1], spec, rng)
    return colors.recolor(where.image(image, spec.pad_color), spec, rng), where.labels(labels)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at (height, width): by area where it shrinks, so that nothing flickers; else linear."""
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    return np.asarray(_resize(image, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Labels at (height, width): each pixel takes the label under its centre."""
    return np.asarray(_resize(labels, size, cv2.INTER_NEAREST_EXACT))


def _resize(array: NDArray[Any], size: tuple[int, int], how: int) -> NDArray[Any]:
    if array.shape[:2] == size:
        return np.ascontiguousarray(array)
    return np.asarray(cv2.resize(array, (size[1], size[0]), interpolation=how))


def whole(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], size: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The whole picture and its labels, at a size of (height, width) or as they are."""
    if size is None:
        return image, labels
    return resize_image(image, size), resize_labels(labels, size)


class Windows:
    """A map dataset: `windows[epoch, index]` is a dict of image (3 x H x W bytes), labels (H x W), index, and the named
    maps of the source (H x W, or channels x H x W where there are several). With `paint=False` the picture still has
    its own colors, and beside it are the numbers that change them (colors.py)."""

    def __init__(
        self, source: Source, spec: WindowSpec, seed: int = 0, maps: Sequence[str] = (), paint: bool = True
    ) -> None:
        self.source = source
        self.spec = spec
        self.seed = seed
        self.maps = tuple(maps)
        self.paint = paint

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        where = self._place(index, rng)
        parts = read_window(self.source, index, where.rows, where.columns, ("image", "labels", *self.maps))
        where = where.of_the_part()
        image = draws.blurred(where.image(parts["image"], self.spec.pad_color), self.spec, rng)
        drawn = colors.draw(image, self.spec, rng)
        if self.paint:
            image, drawn = colors.paint(image, drawn), {}
        cut = {"image": planes(image), **drawn, "labels": where.labels(parts["labels"])}
        cut.update({name: planes(CUTS[name](where, parts[name])) for name in self.maps})
        return {**cut, "index": index}

    def _place(self, index: int, rng: np.random.Generator) -> Place:
        """A window, drawn again while one class fills more of it than is wanted."""
        size = self.source.size(index)
        where = place(*size, self.spec, rng)
        for _ in range(draws.TRIES - 1 if self.spec.most_of_one < 1 else 0):
            seen = read_window(self.source, index, where.rows, where.columns, ("labels",))["labels"]
            if draws.shows_enough(where.of_the_part().labels(seen), self.spec.most_of_one):
                break
            where = place(*size, self.spec, rng)
        return where

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """What a DataLoader asks for a batch: a source on a network is told of all its pictures at once."""
        read_ahead(self.source, [index for _, index in keys], ("image", "labels", *self.maps))
        return [self[key] for key in keys]


def planes(array: NDArray[Any]) -> NDArray[Any]:
    """Channels first; a map without channels as it is."""
    if array.ndim == 2:
        return array
    split = np.empty((array.shape[2], *array.shape[:2]), array.dtype)
    cv2.split(array, list(split))
    return split
