"""Optimisers, and which parameters weight decay leaves alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from swath.errors import SwathError, unknown
from swath.training.config import Part, Stage

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


class Optimisers:
    """The optimisers of a stage as one: parts of a network may have one of another kind."""

    def __init__(self, each: Sequence[Optimizer]):
        self.each = list(each)

    def set_rate(self, factor: float) -> None:
        """Every group at its own highest rate times `factor`."""
        for optimiser in self.each:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * factor

    def zero_grad(self) -> None:
        for optimiser in self.each:
            optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        for optimiser in self.each:
            optimiser.step()

    def skip_if(self, found: Tensor) -> None:
        """Fused optimisers look at this flag on the device, and leave everything as it is where it is 1."""
        for optimiser in self.each:
            optimiser.found_inf = found  # type: ignore[attr-defined]

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimiser.state_dict() for optimiser in self.each]

    def load_state_dict(self, states: Sequence[dict[str, Any]]) -> None:
        for optimiser, state in zip(self.each, states, strict=True):
            optimiser.load_state_dict(state)


def make_optimiser(stage: Stage, model: nn.Module, more: Iterable[nn.Parameter] = ()) -> Optimisers:
    """Optimisers over what the stage trains, and `more` that never decays; `fused` takes a step in few kernels, without
    a wait."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for group in parameter_groups(stage, model, more):
        by_kind.setdefault(group.pop("kind"), []).append(group)
    return Optimisers([_make(stage, kind, groups) for kind, groups in by_kind.items()])


def _make(stage: Stage, kind: str, groups: list[dict[str, Any]]) -> Optimizer:
    if kind == "sgd":
        return SGD(groups, lr=stage.lr, momentum=stage.momentum, nesterov=stage.nesterov, fused=True)
    return (AdamW if kind == "adamw" else Adam)(groups, lr=stage.lr, betas=stage.betas, eps=stage.eps, fused=True)


def parameter_groups(stage: Stage, model: nn.Module, more: Iterable[nn.Parameter] = ()) -> list[dict[str, Any]]:
    """Every trained parameter in exactly one group; frozen ones in none. A group has its optimiser's kind, its highest
    rate (`peak`) and its weight decay."""
    _check_parts(stage, model)
    groups: dict[tuple[str, bool], list[Tensor]] = {}
    for path, module in model.named_modules():
        part = part_of(path, stage.parts)
        for name, parameter in module.named_parameters(recurse=False):
            is_norm, is_bias = isinstance(module, NORMS) or getattr(module, "is_norm", False), name == "bias"
            spared = ("norms" in stage.decay_skips and is_norm) or ("biases" in stage.decay_skips and is_bias)
            if parameter.requires_grad:
                groups.setdefault((part, spared), []).append(parameter)
    made = [
        _group(stage, stage.parts.get(part, Part()), parameters, spared)
        for (part, spared), parameters in groups.items()
    ]
    if not made:
        raise SwathError(f"stage '{stage.name}' freezes every parameter; leave something to train")
    if added := list(more):
        made.append(_group(stage, Part(), added, spared=True))
    return made


def _group(stage: Stage, part: Part, parameters: Sequence[Tensor], spared: bool) -> dict[str, Any]:
    decay = stage.weight_decay if part.weight_decay is None else part.weight_decay
    return {
        "params": parameters,
        "kind": part.optimiser or stage.optimiser,
        "peak": stage.lr if part.lr is None else part.lr,
        "weight_decay": 0.0 if spared else decay,
    }


def part_of(path: str, parts: Iterable[str]) -> str:
    """The longest of `parts` that a module lies in; "" for none."""
    return max((part for part in parts if path == part or path.startswith(part + ".")), key=len, default="")


def _check_parts(stage: Stage, model: nn.Module) -> None:
    known = [name for name, _ in model.named_modules() if name]
    for part in stage.parts:
        if part not in known:
            raise SwathError(f"stage '{stage.name}': parts: {unknown('part of the network', part, known)}")


def freeze(model: nn.Module, parts: list[str], stage: str) -> list[nn.Module]:
    """Switch off the gradients of the named parts and on those of all others; returns the frozen modules, whose batch
    norms must not learn either: the loop keeps them in eval mode."""
    known = dict(model.named_modules())
    for part in parts:
        if part not in known or not part:
            raise SwathError(f"stage '{stage}': freeze: {unknown('part of the network', part, filter(None, known))}")
    model.requires_grad_(True)
    return [known[part].requires_grad_(False) for part in parts]


def norms(model: nn.Module) -> list[nn.Module]:
    """Layers that keep statistics while they train."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
