"""`Segmenter`: one class with one behaviour, whichever engine runs underneath."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from swath import finish
from swath.errors import SwathError
from swath.inference.description import Description
from swath.inference.runtimes import Runtime, open_runtime
from swath.inference.segmentation import Segmentation
from swath.networks import Network

if TYPE_CHECKING:
    from PIL.Image import Image

Array = npt.NDArray[np.uint8]


class Segmenter:
    """Pictures to label maps, by weights, an exported file or a network in memory.

    Pictures may have any size: those that the network cannot take as they are get their edge repeated at the right and
    bottom, and the answer is cut back.
    """

    def __init__(
        self, model: str | Path | Network, device: str = "cpu", *, optimise: bool = True, dtype: str = "float32"
    ):
        self.runtime: Runtime
        if isinstance(model, Network):
            from swath.inference.runtimes.torch import from_network

            self.runtime = from_network(model, device, optimise=optimise, dtype=dtype)
            self.name = model.name
        else:
            self.runtime = open_runtime(model, device)
            self.name = str(model)

    @property
    def description(self) -> Description:
        return self.runtime.description

    @property
    def num_classes(self) -> int:
        return self.description.num_classes

    @property
    def class_names(self) -> list[str]:
        return list(self.description.meta.classes)

    @property
    def colors(self) -> list[tuple[int, int, int]]:
        return [(r, g, b) for r, g, b in self.description.meta.colors]

    def __call__(self, image: str | Path | Array | Image) -> Segmentation:
        """Segment one picture: a path, a uint8 RGB array H x W x 3, or a PIL image."""
        return self.batch([image])[0]

    def batch(self, images: Sequence[str | Path | Array | Image]) -> list[Segmentation]:
        """Segment several pictures, of different sizes if need be; those of one size go through together."""
        arrays = [self._array(image) for image in images]
        names, colors = self.class_names, self.colors
        return [Segmentation(labels, names, colors, image) for labels, image in zip(self.label_maps(arrays), arrays)]

    def label_maps(self, images: Sequence[Array]) -> list[Array]:
        """The bare labels H x W of uint8 RGB arrays, in their order."""
        by_size: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            by_size.setdefault(self._checked(image).shape, []).append(index)
        maps: dict[int, Array] = {}
        for indices in by_size.values():
            labels = self.labels(torch.from_numpy(np.stack([images[i] for i in indices])))
            maps.update(zip(indices, labels.cpu().numpy()))
        return [maps[index] for index in range(len(images))]

    def labels(self, pixels: Tensor) -> Tensor:
        """uint8 labels N x H x W of uint8 RGB pixels N x H x W x C; what all the others come down to."""
        height, width = pixels.shape[1:3]
        padded = self.pad(pixels)
        answer = self.runtime.run(padded)
        if self.description.finish == "outside":
            with torch.inference_mode():
                answer = finish.labels(answer, (padded.shape[1], padded.shape[2]), self.description.align_corners)
        return answer[:, :height, :width]

    def pad(self, pixels: Tensor) -> Tensor:
        """Repeat the last row and column until the network can take the picture."""
        height, width = pixels.shape[1:3]
        tall, wide = (
            -(-max(side, least) // self.description.multiple) * self.description.multiple
            for side, least in zip((height, width), self.description.min_size)
        )
        if (tall, wide) == (height, width):
            return pixels
        rows = torch.arange(tall, device=pixels.device).clamp_(max=height - 1)
        columns = torch.arange(wide, device=pixels.device).clamp_(max=width - 1)
        return pixels.index_select(1, rows).index_select(2, columns)

    def _array(self, image: str | Path | Array | Image) -> Array:
        if isinstance(image, (str, Path)):
            from swath.data import read_image

            return read_image(Path(image))
        if isinstance(image, np.ndarray):
            return image
        if hasattr(image, "convert"):
            return np.asarray(image.convert("RGB"))
        raise SwathError(f"a picture is a path, a uint8 array or a PIL image, not {type(image).__name__}")

    def _checked(self, image: Array) -> Array:
        channels = self.description.channels
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels or not image.size:
            raise SwathError(
                f"a picture for {self.name} is a uint8 array height x width x {channels} with values 0-255, "
                f"this one is {image.dtype} {'x'.join(map(str, image.shape))}"
            )
        return image

    def __repr__(self) -> str:
        return f"Segmenter({self.name!r}: {self.num_classes} classes, {self.runtime.engine} on {self.runtime.device})"
