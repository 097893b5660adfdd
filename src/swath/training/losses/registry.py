"""Losses by the names that recipes use, one or a sum of several, over all outputs of a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from swath.errors import SwathError, unknown
from swath.training.config import LossNames
from swath.training.losses import depth, entropy, hard, regions
from swath.training.losses.auxiliary import aux_loss
from swath.training.losses.edges import at_sure_boundaries
from swath.training.losses.moment import START, Moment
from swath.training.losses.options import read_options
from swath.training.losses.pixels import in_full

# Logits (N x C x H x W, single precision), labels (N x H x W, 255: ignored), weights of the classes or None, options;
# one that changes in the course of a stage takes the moment too.
LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross-entropy": entropy.cross_entropy,
    "ohem": hard.ohem,
    "bootstrapped": hard.bootstrapped,
    "focal": entropy.focal,
    "boundary-focal": entropy.boundary_focal,
    "dice": regions.dice,
    "lovasz": regions.lovasz,
}
# Metres (N x H x W), true metres (0: not measured), options.
DEPTH_LOSSES: dict[str, Callable[..., Tensor]] = {
    "berhu": depth.berhu,
    "scale-invariant": depth.scale_invariant,
    "silog": depth.silog,
    "smooth-l1": depth.smooth_l1,
    "mean-difference": depth.mean_difference,
    "error-variance": depth.error_variance,
}


class Criterion(Protocol):
    """Outputs (main, then auxiliary), the truth, the moment -> one number."""

    def __call__(self, outputs: Sequence[Tensor], truth: Tensor, moment: Moment = START) -> Tensor: ...


@dataclass(frozen=True)
class Term:
    """One loss of a sum."""

    weight: float
    loss: Callable[..., Tensor]
    options: dict[str, Any]
    timed: bool  # whether it takes the moment

    @classmethod
    def read(cls, weight: float, name: str, loss: Callable[..., Tensor], options: Mapping[str, Any]) -> Term:
        timed = "moment" in inspect.signature(loss).parameters
        return cls(weight, loss, read_options(name, loss, options), timed)

    def __call__(self, *given: Any, moment: Moment) -> Tensor:
        more = {"moment": moment} if self.timed else {}
        return self.weight * self.loss(*given, **more, **self.options)


def make_loss(
    named: LossNames,
    options: Mapping[str, Any],
    class_weights: Tensor | None = None,
    aux_weights: Sequence[float] = (),
    aux_kinds: Sequence[str] | None = None,
    aux_named: LossNames | None = None,
    class_weight_share: float = 1.0,
) -> Criterion:
    """The losses of classes over all outputs of a network; names and options are checked here, before any training.

    Auxiliary outputs of classes take the same loss as the main one or that of `aux_named`, other kinds
    (`Network.aux_kinds`) their own. Weights of classes count in the share of the iterations that is said.
    """
    terms = read_terms(LOSSES, "loss", named, options)
    aux_terms = terms if aux_named is None else read_terms(LOSSES, "loss", aux_named, {})
    kinds = aux_kinds if aux_kinds is not None else ["segmentation"] * len(aux_weights)

    def criterion(outputs: Sequence[Tensor], truth: Tensor, moment: Moment = START) -> Tensor:
        if len(outputs) != 1 + len(aux_weights):
            raise ValueError(f"{len(outputs)} outputs for one main and {len(aux_weights)} auxiliary weights")
        labels = truth.long()
        chosen = class_weights if moment.chosen(class_weight_share) else None

        def of_classes(terms: Sequence[Term]) -> Callable[[Tensor, Tensor], Tensor]:
            def summed(logits: Tensor, labels: Tensor) -> Tensor:
                logits = in_full(logits)
                weights = chosen if chosen is None else chosen.to(logits.dtype)
                return add([term(logits, labels, weights, moment=moment) for term in terms])

            return summed

        main, aux = of_classes(terms), of_classes(aux_terms)
        parts = [main(outputs[0], labels)]
        for kind, weight, output in zip(kinds, aux_weights, outputs[1:], strict=True):
            parts.append(weight * aux_loss(kind, aux)(output, labels))
            if kind == "boundary":
                parts.append(main(outputs[0], at_sure_boundaries(labels, output)))
        return add(parts)

    return criterion


def make_depth_loss(named: LossNames, options: Mapping[str, Any]) -> Criterion:
    """The losses of a network's one depth output."""
    terms = read_terms(DEPTH_LOSSES, "loss of depth", named, options)

    def criterion(outputs: Sequence[Tensor], truth: Tensor, moment: Moment = START) -> Tensor:
        metres = in_full(outputs[0][:, 0])
        return add([term(metres, truth.to(metres.dtype), moment=moment) for term in terms])

    return criterion


def changes_with_time(named: LossNames) -> list[str]:
    """Those of some losses that go by the moment."""
    table = {**LOSSES, **DEPTH_LOSSES}
    return [name for name in _weights(named) if name in table and "moment" in inspect.signature(table[name]).parameters]


def read_terms(
    table: Mapping[str, Callable[..., Tensor]], kind: str, named: LossNames, options: Mapping[str, Any]
) -> list[Term]:
    """What a recipe's `loss` and `loss_options` mean. The options of one loss stand there as they are, those of each of
    several below its name."""
    weights = _weights(named)
    for name in weights:
        if name not in table:
            raise unknown(kind, name, table)
    if isinstance(named, str):
        return [Term.read(1.0, named, table[named], options)]
    for name, below in options.items():
        if name not in weights or not isinstance(below, Mapping):
            first = next(iter(weights))
            raise SwathError(
                f"loss_options.{name}: with a list of losses options stand below the name of one of them, "
                f"such as loss_options: {{{first}: {{OPTION: VALUE}}}}; the losses are {', '.join(weights)}"
            )
    return [Term.read(weight, name, table[name], options.get(name, {})) for name, weight in weights.items()]


def _weights(named: LossNames) -> dict[str, float]:
    if isinstance(named, str):
        return {named: 1.0}
    if not named:
        raise SwathError("loss names no loss; give one, such as cross-entropy")
    if not isinstance(named, Mapping):
        if twice := next((name for name in named if named.count(name) > 1), None):
            raise SwathError(f"loss names '{twice}' twice; give it a weight instead, such as loss: {{{twice}: 2}}")
        return dict.fromkeys(named, 1.0)
    weights = {}
    for name, weight in named.items():
        try:
            weights[name] = float("nan") if isinstance(weight, bool) else float(weight)
        except (TypeError, ValueError):
            weights[name] = float("nan")
        if not 0 < weights[name] < float("inf"):
            raise SwathError(f"loss.{name} is {weight}; it is the weight of that loss in the sum, a number above 0")
    return weights


def add(parts: Sequence[Tensor]) -> Tensor:
    """The sum of at least one."""
    return sum(parts[1:], start=parts[0])
