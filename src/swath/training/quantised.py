"""Stages that train what will run with 8 bits: how they begin, what they fix on the way, and what cannot follow."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from swath.errors import SwathError
from swath.networks import Network
from swath.quantise import Quantised
from swath.quantise.library import torchao
from swath.quantise.prepare import WEIGHT
from swath.training.config import Stage
from swath.weights.file import read_meta


def quantised(stage: Stage, model: Network, device: torch.device) -> Quantised:
    """The network that a stage with `quantise` trains: that of the stage before it, or a float one made ready."""
    assert stage.quantise
    if isinstance(model, Quantised):
        return model
    return Quantised(model.to(device), stage.quantise.scheme, learning=True)


def deployed(model: Network) -> Network:
    """The form in which a network is measured and saved; a float one is its own."""
    return model.deployed() if isinstance(model, Quantised) else model


def fix_statistics(stage: Stage, model: Network, share: float) -> None:
    """Norms and ranges rest from the share of the stage on that its recipe says; a function of the iteration alone."""
    assert stage.quantise and isinstance(model, Quantised)
    model.fix(
        norms=stage.frozen_norms or share >= stage.quantise.norms,
        ranges=share >= stage.quantise.ranges,
    )


def summary(model: Network) -> str:
    """For the person who watches: what has become of the network."""
    assert isinstance(model, Quantised)
    weights = sum(name.startswith(WEIGHT) for name, _ in model.graph.named_children())
    return f"{model.quantised}: {weights} weights and {len(model.ranges())} activations pass through 8 bits"


def check_quantised(stages: Sequence[Stage], classes: Sequence[Sequence[str]]) -> None:
    """Refuse what cannot be done to a network that has been quantised; `classes` of each stage's card."""
    scheme, names = "", list(classes[0])
    for stage, mine in zip(stages, classes):
        name = f"stage '{stage.name}'"
        if stage.quantise:
            torchao()
            if stage.init and read_meta(stage.init).quantised:
                raise SwathError(f"{stage.init}: has been quantised already; {name} begins with float weights")
        if scheme:
            if stage.quantise is None or stage.quantise.scheme != scheme:
                raise SwathError(f"{name} comes after one with quantise: {scheme}; give it the same, or put it before")
            for key, given in (("prune", stage.prune), ("init", stage.init), ("other classes", list(mine) != names)):
                if given:
                    raise SwathError(f"{name}: {key} would change a network that is quantised; do it in a stage before")
        if stage.quantise:
            scheme, names = stage.quantise.scheme, list(mine)
