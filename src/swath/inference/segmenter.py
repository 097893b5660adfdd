"""`Segmenter`: one class with one behaviour, whichever engine runs underneath."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from swath import finish
from swath.errors import SwathError
from swath.inference.blend import Axis, Blended, Piece, blend
from swath.inference.description import Description
from swath.inference.runtimes import Runtime, open_runtime, runtime_of
from swath.inference.segmentation import Segmentation
from swath.inference.unsure import threshold
from swath.inference.views import Size, Views, shown, windows
from swath.networks import Network

if TYPE_CHECKING:
    from PIL.Image import Image

    from swath.inference.streams import Source

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Answer:
    """uint8 labels H x W, and the probability of each (float32) where it was asked for and can be known."""

    labels: Array
    confidence: npt.NDArray[np.float32] | None = None


class Segmenter:
    """Pictures to label maps, by weights, an exported file or a network in memory.

    Pictures may have any size: those that the network cannot take as they are get their edge repeated at the right and
    bottom, and the answer is cut back. `views` says how each picture is shown: without, once, as it is or, where the
    weights say at which short side they learnt (those that come with swath do), at that. `unsure` is the confidence
    below which pixels get no class: a number, or "95%" for what `swath calibrate` stored for that.
    """

    def __init__(
        self,
        model: str | Path | Network,
        device: str = "cpu",
        *,
        engine: str | None = None,
        optimise: bool = True,
        dtype: str = "float32",
        views: Views | None = None,
        unsure: float | str | None = None,
    ):
        views = views or Views(as_learnt=True)
        self.runtime: Runtime
        if isinstance(model, Network):
            self.runtime = runtime_of(model, device, engine, optimise=optimise, dtype=dtype)
            self.name = model.name
        else:
            seen = views.window or views.size
            self.runtime = open_runtime(model, device, engine, dtype=dtype, size=seen)
            self.name = str(model)
        self.views = views.settled(self.description.learnt_side)
        if self.views.several and not self.gives_logits:
            raise SwathError(
                f"{self.name}: answers labels, which cannot be averaged over scales, mirrored pictures or windows; "
                "use the weights, or a file of `swath export --finish outside`"
            )
        self.unsure = None if unsure is None else threshold(unsure, self.description, self.name)

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

    @property
    def _temperature(self) -> float:
        return self.description.meta.temperature

    @property
    def gives_logits(self) -> bool:
        """Whether there is more to know than the labels: how sure they are."""
        return self.description.finish == "outside"

    def __call__(self, image: str | Path | Array | Image, confidence: bool = False) -> Segmentation:
        """Segment one picture: a path, a uint8 RGB array H x W x 3, or a PIL image; with how sure it is, if asked."""
        return self.batch([image], confidence)[0]

    def batch(self, images: Sequence[str | Path | Array | Image], confidence: bool = False) -> list[Segmentation]:
        """Segment several pictures, of different sizes if need be; those of one size go through together."""
        arrays = [self._array(image) for image in images]
        answers = self.answers(arrays, confidence or self.unsure is not None)
        return [self.result(image, answer) for image, answer in zip(arrays, answers)]

    def result(self, image: Array, answer: Answer) -> Segmentation:
        """An answer about a picture with its names and colours; "unsure" where it is not as sure as was asked for."""
        found = Segmentation(answer.labels, self.class_names, self.colors, image, answer.confidence)
        return found if self.unsure is None else found.unsure(self.unsure)

    def label_maps(self, images: Sequence[Array]) -> list[Array]:
        """The bare labels H x W of uint8 RGB arrays, in their order."""
        return [answer.labels for answer in self.answers(images)]

    def answers(self, images: Sequence[Array], confidence: bool = False) -> list[Answer]:
        """Labels of uint8 RGB arrays, in their order; and how sure they are, unless labels are all that comes out."""
        by_size: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            by_size.setdefault(self._checked(image).shape, []).append(index)
        found: dict[int, Answer] = {}
        for indices in by_size.values():
            blended = self._answer(torch.from_numpy(np.stack([images[i] for i in indices])), confidence)
            labels = blended.labels.cpu().numpy()
            sure = [None] * len(indices) if blended.confidence is None else blended.confidence.cpu().numpy()
            found.update(zip(indices, map(Answer, labels, sure)))
        return [found[index] for index in range(len(images))]

    def labels(self, pixels: Tensor) -> Tensor:
        """uint8 labels N x H x W of uint8 RGB pixels N x H x W x C."""
        return self._answer(pixels, False).labels

    @torch.inference_mode()
    def _answer(self, pixels: Tensor, sure: bool) -> Blended:
        """What all the others come down to."""
        if not self.views.several:
            ready = self.prepare(pixels)
            return self.finish(self.runtime.run(ready), ready, (pixels.shape[1], pixels.shape[2]), sure)
        height, width = pixels.shape[1:3]
        views = [
            self._pieces(pixels, size, mirrored)
            for size in self.views.sizes(height, width)
            for mirrored in ((False, True) if self.views.flip else (False,))
        ]
        logits = self.views.average == "logits"
        return blend(views, (height, width), logits=logits, confidence=sure, temperature=self._temperature)

    def prepare(self, pixels: Tensor) -> Tensor:
        """Pixels N x H x W x C as the runtime takes them when they are seen once: of that view's size, and padded."""
        (size,) = self.views.sizes(pixels.shape[1], pixels.shape[2])
        return self.pad(shown(pixels, size))

    @torch.inference_mode()
    def finish(self, answer: Tensor, ready: Tensor, size: Size, sure: bool = False) -> Blended:
        """From the runtime's answer to `ready` to the labels of the pictures, whose size was (height, width)."""
        height, width = size
        corners = self.description.align_corners
        (seen,) = self.views.sizes(height, width)
        if not self.gives_logits:
            labels = answer[:, : seen[0], : seen[1]]
            if seen != size:  # of labels there is none in between: each pixel takes the nearest
                enlarged = torch.nn.functional.interpolate(labels[:, None], size, mode="nearest-exact")
                labels = enlarged[:, 0]
            return Blended(labels, None)
        whole = (ready.shape[1], ready.shape[2])
        if seen == size:
            if not sure:
                return Blended(finish.labels(answer, whole, corners)[:, :height, :width], None)
            found = finish.confident(answer, whole, corners, self._temperature)
            labels, sureness, _ = (each[:, :height, :width] for each in found)
            return Blended(labels, sureness)
        if seen == whole and not corners and not sure:  # nothing to cut off: from the logits straight to the picture
            return Blended(finish.labels(answer, size), None)
        shown_as = finish.Shown(seen, whole)
        if not sure:
            return Blended(finish.labels(answer, size, corners, shown_as), None)
        labels, sureness, _ = finish.confident(answer, size, corners, self._temperature, shown_as)
        return Blended(labels, sureness)

    def video(self, source: str | Path | int | Source, *, smooth: float = 0.0) -> Iterator[tuple[float, Segmentation]]:
        """Times in seconds and results of a video file, a camera (its number), an address or `-`, a frame after the
        other; reading, the network and your own work overlap. `smooth` is the share kept of earlier frames' logits."""
        from swath.inference.streams import Budget, Pipeline, network_stages, open_source

        stages = network_stages(self, smooth)
        opened = open_source(source) if isinstance(source, (str, Path, int)) else source
        for work in Pipeline(opened, stages, Budget()):
            assert work.result is not None
            yield work.frame.time, work.result

    def _pieces(self, pixels: Tensor, size: Size, mirrored: bool) -> list[Piece]:
        """What the network answers to one view of the pictures."""
        height, width = pixels.shape[1:3]
        picture = shown(pixels, size)
        if mirrored:
            picture = picture.flip(2)
        starts = self.views.starts(size)
        pieces = []
        for row, column, part in windows(picture, self.views):
            padded = self.pad(part, self.views.window or (1, 1))
            logits = self.runtime.run(padded)
            rows, columns = (
                Axis.of(
                    (height, width)[axis],
                    logits=logits.shape[2 + axis],
                    shown=size[axis],
                    starts=starts[axis],
                    at=(row, column)[axis],
                    window=part.shape[1 + axis],
                    padded=padded.shape[1 + axis],
                    mirrored=mirrored and axis == 1,
                    align_corners=self.description.align_corners,
                    device=logits.device,
                )
                for axis in (0, 1)
            )
            pieces.append(Piece(logits, rows, columns))
        return pieces

    def pad(self, pixels: Tensor, least: Size = (1, 1)) -> Tensor:
        """Repeat the last row and column until the network can take the picture, and it has the least size. A file for
        one size takes no other."""
        height, width = pixels.shape[1:3]
        tall, wide = (
            -(-max(side, smallest, wanted) // self.description.multiple) * self.description.multiple
            for side, smallest, wanted in zip((height, width), self.description.min_size, least)
        )
        if self.description.shape not in (None, (tall, wide)):
            raise self._wrong_size(height, width)
        if (tall, wide) == (height, width):
            return pixels
        rows = torch.arange(tall, device=pixels.device).clamp_(max=height - 1)
        columns = torch.arange(wide, device=pixels.device).clamp_(max=width - 1)
        return pixels.index_select(1, rows).index_select(2, columns)

    def _wrong_size(self, height: int, width: int) -> SwathError:
        assert self.description.shape is not None
        only = f"{self.description.shape[1]}x{self.description.shape[0]}"
        return SwathError(
            f"{self.name}: was exported for pictures of {only} (width x height) only, this one is {width}x{height}; "
            f"use --size {only} or --window {only} (in Python, Views), or export it without a size"
        )

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
