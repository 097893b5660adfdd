"""Optimisers, and which parameters weight decay leaves alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from swath.errors import SwathError
from swath.training.config import Stage

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def make_optimiser(stage: Stage, model: nn.Module, more: Iterable[nn.Parameter] = ()) -> Optimizer:
    """The stage's optimiser over what it trains, and `more` that never decays; `fused` takes a step in few kernels,
    without a wait."""
    groups = parameter_groups(stage, model)
    if added := list(more):
        groups.append({"params": added, "weight_decay": 0.0})
    common: dict[str, Any] = {"lr": stage.lr, "fused": True}
    if stage.optimiser == "sgd":
        return SGD(groups, momentum=stage.momentum, nesterov=stage.nesterov, **common)
    kind = AdamW if stage.optimiser == "adamw" else Adam
    return kind(groups, betas=stage.betas, **common)


def parameter_groups(stage: Stage, model: nn.Module) -> list[dict[str, Any]]:
    """Two groups at most: with and without weight decay; frozen parameters are in neither."""
    decayed: list[torch.Tensor] = []
    spared: list[torch.Tensor] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_norm, is_bias = isinstance(module, _NORMS), name == "bias"
            skip = ("norms" in stage.decay_skips and is_norm) or ("biases" in stage.decay_skips and is_bias)
            if parameter.requires_grad:
                (spared if skip else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": stage.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise SwathError(f"stage '{stage.name}' freezes every parameter; leave something to train")
    return groups


def freeze(model: nn.Module, parts: list[str], stage: str) -> list[nn.Module]:
    """Switch off the gradients of the named parts and on those of all others; returns the frozen modules, whose batch
    norms must not learn either: the loop keeps them in eval mode."""
    known = dict(model.named_modules())
    for part in parts:
        if part not in known or not part:
            from swath.errors import unknown

            raise SwathError(f"stage '{stage}': freeze: {unknown('part of the network', part, filter(None, known))}")
    model.requires_grad_(True)
    return [known[part].requires_grad_(False) for part in parts]
