"""Is an exported file the same network? Compared with the original, picture by picture, within limits that follow from
how the file computes and from how much of that arrives at the logits, which is a matter of the network: a calm one
passes on a few roundings, a deep one with little between its classes amplifies hundreds, one that pools maxima for
unpooling lets a value jump when two are nearly equal. So it is measured, on each picture: the original runs once more
with what its export rounds moved as rounding moves it (`moved`), and an export may be four times as far from the
original as that is, in logits and in wrong labels. No export is asked to be nearer than the limits below.

**float32.** Engines add in different orders, which moves a sum of n products by about 2^-24 sqrt(n) of its usual size.
Moved: the answer of every convolution, at random, by 2^-20 of its spread, as sums of 256 products are.

**fp16.** A half has 11 bits, so one rounding is off by up to 2^-11 of the value. Moved: the weights, rounded to halves.
They are one of about four things that a layer rounds (its weights, its norm or sum, its activation, a resize or join
behind it), each by the same share of the value and each independent of the others: all of them together are off by
sqrt(4) = 2 times as much as the weights alone. Twice that again leaves room for luck, for the largest of a hundred
thousand logits is compared with the largest. Labels may differ where the original's best two are nearer than that.

**8 bits.** The original computes in float32 what integers will: values that fall near the middle between two levels
go to the one or to the other by the last bits of a sum, and a value that went the other way moves others behind it. So
answers differ by whole steps: one or two in a calm network, dozens in a deep one that was never trained. Where logits
themselves are levels, the step is read off them; where they are not (a resize or a layer kept in float stands behind
the last levels), 1/128 of the largest logit is taken for one, what a step of a range about zero is. Moved: as float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule

from swath.errors import SwathError
from swath.inference import Segmenter, Views
from swath.networks import Network
from swath.networks.fusion import fuse
from swath.quantise import Quantised


@dataclass(frozen=True)
class Limits:
    """How far an export may be from the original."""

    tie: float  # where the original's two best classes lie closer, relative to its largest logit, either is right
    wrong: float  # share of a picture's pixels that may differ without being ties
    error: float  # of logits, relative to the largest


# At the least:
EXACT = Limits(tie=1e-4, wrong=1e-4, error=1e-3)
HALF = Limits(tie=2.0**-9, wrong=1e-3, error=2.0**-9)  # of four roundings
QUANTISED = Limits(tie=2.0, wrong=0.01, error=8.0)  # tie and error in steps
_FURTHER = 4.0  # than the moved original is
_SUMS = 2.0**-20  # of sums of floats in another order, relative to their spread
_BIASES = 2.0**-16  # of sums whose bias is rounded to the product of two 8-bit steps, as ONNX Runtime does
_LEVELS = 256


@dataclass(frozen=True)
class Truth:
    """What the original answers to a picture (or to a batch of equal ones)."""

    name: str
    pixels: Tensor  # uint8 N x H x W x C
    logits: Tensor
    full: Tensor  # the logits at the picture's size
    scale: float  # the largest logit
    limits: Limits

    @property
    def labels(self) -> Tensor:
        return self.full.argmax(1)

    @property
    def sure(self) -> Tensor:
        """Where another class would be a mistake: N x H x W."""
        if self.full.shape[1] == 1:
            return torch.ones_like(self.full[:, 0], dtype=torch.bool)
        best = self.full.topk(2, 1).values
        return best[:, 0] - best[:, 1] > self.limits.tie * self.scale


@dataclass(frozen=True)
class Check:
    """The outcome on one picture (or batch of equal ones)."""

    name: str
    size: tuple[int, int]  # height, width
    pixels: int
    wrong: int  # differ, and the original was sure
    ties: int  # differ where the original's best two were equal but for rounding
    error: float | None  # largest difference of logits relative to the largest logit; None where only labels come out
    limits: Limits = EXACT

    @property
    def passed(self) -> bool:
        return self.wrong <= self.limits.wrong * self.pixels and (self.error is None or self.error <= self.limits.error)


@dataclass(frozen=True)
class Report:
    """All checks of one file."""

    path: str
    checks: list[Check]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def worst(self) -> Check:
        return max(self.checks, key=lambda check: (not check.passed, check.wrong / check.pixels, check.error or 0))


def moved(network: Network, precision: str) -> Segmenter:
    """The network with what its export rounds moved as far as rounding does."""
    network = copy.deepcopy(network).cpu().eval()
    if isinstance(network, Quantised):
        _move_sums_of_graph(network.graph)
    elif precision == "fp16":
        network = fuse(network).half().float()  # an export rounds what its norms were folded into
    else:
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                module.register_forward_hook(lambda module, inputs, answer: _moved_sums(answer, _SUMS))
    return Segmenter(network, optimise=False, views=Views())


def _move_sums_of_graph(module: GraphModule) -> None:
    for node in list(module.graph.nodes):
        if node.op != "call_function" or "conv" not in str(node.target):
            continue
        with module.graph.inserting_after(node):
            other = module.graph.call_function(_moved_sums, (node, _BIASES))
        node.replace_all_uses_with(other, delete_user_cb=lambda user, other=other: user is not other)
    module.recompile()


def _moved_sums(values: Tensor, by: float) -> Tensor:
    noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(0), dtype=values.dtype)
    return values + noise * (by * values.std())


def truth_of(
    original: Segmenter, name: str, pixels: Tensor, other: Segmenter | None = None, precision: str = "fp32"
) -> Truth:
    """What the original answers, and how near to it an export must be: `other` is the original, `moved`."""
    height, width = pixels.shape[1:3]
    padded = original.pad(pixels)
    logits = original.runtime.run(padded).float()
    full = F.interpolate(
        logits, size=padded.shape[1:3], mode="bilinear", align_corners=original.description.align_corners
    )[:, :, :height, :width]
    scale = max(float(logits.abs().max()), torch.finfo(torch.float32).tiny)
    limits = EXACT
    if original.description.meta.quantised:
        step = (_step(logits) or scale * 2 / _LEVELS) / scale
        limits = replace(QUANTISED, tie=QUANTISED.tie * step, error=QUANTISED.error * step)
    elif precision == "fp16":
        limits = HALF
    truth = Truth(name, pixels, logits, full, scale, limits)
    if other is None:
        return truth
    answer = other.runtime.run(padded).float()
    error = max(limits.error, _FURTHER * float((answer - logits).abs().max()) / scale)
    truth = replace(truth, limits=replace(limits, error=error, tie=error if limits is HALF else limits.tie))
    wrong = _mistakes(truth, other.labels(pixels).long())[1].float().mean()
    return replace(truth, limits=replace(truth.limits, wrong=max(limits.wrong, _FURTHER * float(wrong))))


def _mistakes(truth: Truth, given: Tensor) -> tuple[Tensor, Tensor]:
    """Where labels differ from the original's, and where it was sure."""
    full, expected = truth.full, truth.labels
    differ = given != expected
    # How far behind the best class the given one is, in the original's own scores.
    behind = full.gather(1, expected[:, None]) - full.gather(1, given.clamp(max=full.shape[1] - 1)[:, None])
    return differ, differ & ((behind[:, 0] > truth.limits.tie * truth.scale) | (given >= full.shape[1]))


def compare(
    original: Segmenter,
    exported: Segmenter,
    pictures: Iterable[tuple[str, Tensor]],
    *,
    other: Segmenter | None = None,
    precision: str = "fp32",
    witness: Callable[[Truth], Any] | None = None,
) -> list[Check]:
    """`pictures`: names with uint8 pixels N x H x W x C. `other` and `precision`: see `truth_of`. `witness` is shown
    what the original answers."""
    checks = []
    for name, pixels in pictures:
        truth = truth_of(original, name, pixels, other, precision)
        checks.append(_compare_one(truth, exported))
        if witness is not None:
            witness(truth)
    return checks


def _compare_one(truth: Truth, exported: Segmenter) -> Check:
    expected, logits = truth.labels, truth.logits
    given = exported.labels(truth.pixels).long().cpu()
    if given.shape != expected.shape:
        raise SwathError(
            f"the export gives labels of {tuple(given.shape)} for {truth.name}, the original {tuple(expected.shape)}"
        )
    differ, mistaken = _mistakes(truth, given)
    error = None
    if exported.description.finish == "outside":
        theirs = exported.runtime.run(exported.pad(truth.pixels)).float().cpu()
        error = float((theirs - logits).abs().max()) / truth.scale if theirs.shape == logits.shape else float("inf")
        error = error if error == error else float("inf")  # a NaN is as wrong as can be
    wrong = int(mistaken.sum())
    height, width = truth.pixels.shape[1:3]
    return Check(truth.name, (height, width), differ.numel(), wrong, int(differ.sum()) - wrong, error, truth.limits)


def _step(logits: Tensor) -> float | None:
    """How far apart the levels of logits are, if levels are what they are."""
    levels = torch.unique(logits)
    if not 2 <= len(levels) <= _LEVELS:
        return None
    return float(levels.diff().min())
