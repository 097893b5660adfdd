"""The contract that every network keeps (design.md, Contracts)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.preprocess import Preprocess

if TYPE_CHECKING:
    from swath.weights import WeightsMeta

# One tensor in eval mode; in training mode a list, the main output first, then the auxiliary ones.
# Networks with several tasks return a dict of these by task name.
Output = Tensor | list[Tensor] | dict[str, Tensor] | dict[str, list[Tensor]]


class Network(nn.Module):
    """A network answers `logits` at its own stride, and `forward` enlarges them to the input's size.

    A family implements `forward_logits(*inputs)` and sets the class attributes below. Auxiliary heads live in
    `self.aux_heads` (an `nn.ModuleList`, possibly empty) and run in training mode only.
    """

    stride: int = 8  # of the logits
    min_size: tuple[int, int] = (1, 1)  # the smallest height and width that work
    deepest: int = 32  # stride of the coarsest map; tracers need larger pictures, they take a side of 1 for a constant
    align_corners: bool = False  # how logits are enlarged
    quantised: str = ""  # the scheme of a network that computes with 8 bits (swath.quantise)

    def __init__(self, *, num_classes: int, in_channels: int = 3):
        super().__init__()
        self.num_classes = num_classes
        self.name = type(self).__name__.lower()
        self.arguments: dict[str, Any] = {}
        self.inputs: dict[str, int] = {"image": in_channels}
        self.tasks: dict[str, int] = {"segmentation": num_classes}
        self.preprocesses: dict[str, Preprocess] = {"image": Preprocess.imagenet(in_channels)}
        self.aux_weights: tuple[float, ...] = ()
        self._aux_kinds: tuple[str, ...] = ()
        self.aux_heads = nn.ModuleList()
        self.meta: WeightsMeta | None = None  # what the weights file said, for a loaded network

    @property
    def preprocess(self) -> Preprocess:
        """How pictures become this network's input."""
        return self.preprocesses["image"]

    @preprocess.setter
    def preprocess(self, value: Preprocess) -> None:
        if len(value.mean) != self.inputs["image"]:
            wanted = self.inputs["image"]
            raise SwathError(f"{self.name} takes {wanted} channels, this preprocess has {len(value.mean)}")
        self.preprocesses = {**self.preprocesses, "image": value}

    @property
    def aux_kinds(self) -> tuple[str, ...]:
        """What each auxiliary output is trained on, parallel to `aux_weights`.

        "segmentation": the classes, as the main output, and the default. "band": the classes, near class boundaries
        only. "boundary": one channel, whether a pixel is at a class boundary. "detail": one channel, fine structure of
        the labels (STDC-Seg's Laplacian target). "presence": N x classes x 1 x 1, whether the class occurs at all.
        """
        return self._aux_kinds or ("segmentation",) * len(self.aux_weights)

    @aux_kinds.setter
    def aux_kinds(self, kinds: tuple[str, ...]) -> None:
        self._aux_kinds = kinds

    def forward_logits(self, *inputs: Tensor) -> Any:
        raise NotImplementedError  # the one method that a family must write

    def logits(self, *inputs: Tensor) -> Any:
        """Scores at the native stride; in training mode `[main, *aux]`."""
        if not torch.compiler.is_compiling():  # sizes are symbols while a graph is traced
            self.check_size(*inputs[0].shape[-2:])
        try:
            return self.forward_logits(*inputs)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise SwathError(
                f"{self.name}: a batch norm sees one value a channel, which nothing can be learned from; "
                "train with 2 or more pictures a batch on each device"
            ) from error

    def forward(self, *inputs: Tensor) -> Any:
        """Scores at the input's size, as every other library gives them."""
        height, width = inputs[0].shape[-2:]
        return self._enlarge(self.logits(*inputs), (height, width))

    def _enlarge(self, output: Any, size: tuple[int, int]) -> Any:
        if isinstance(output, dict):
            return {task: self._enlarge(each, size) for task, each in output.items()}
        if isinstance(output, list):
            return [self._enlarge(each, size) for each in output]
        if self.training and output.device.type == "cpu":
            output = output.contiguous()  # losses go plane by plane: a third faster there than channels last
        return F.interpolate(output, size=size, mode="bilinear", align_corners=self.align_corners)

    def check_size(self, height: int, width: int) -> None:
        """Refuse a picture that some stage cannot hold."""
        if height < self.min_size[0] or width < self.min_size[1]:
            raise SwathError(
                f"{self.name} needs pictures of at least {self.min_size[1]}x{self.min_size[0]} pixels "
                f"(width x height), this one is {width}x{height}; enlarge or pad it"
            )

    def drop_aux(self) -> Network:
        """Remove the heads that only training needs; returns the network itself."""
        self.aux_heads = nn.ModuleList()
        self.aux_weights = ()
        self.aux_kinds = ()
        return self
